"""Rows read many at once are the rows that were written, whatever is in them."""

import contextlib
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.journal.block import next_block
from receiver.journal.row import Row
from receiver.journal.segment import SCHEMA

_BLOBS = st.binary(max_size=12) | st.sampled_from([b"\0", b"\xff\xfe", "ü".encode(), b"'", b" 1 2"])
_LARGE = 300_000


@contextmanager
def table(rows: list[Row]) -> Iterator[sqlite3.Connection]:
    db = sqlite3.connect(":memory:")
    db.execute(SCHEMA)
    db.executemany("INSERT INTO record VALUES (?, ?, ?, ?)", rows)
    try:
        yield db
    finally:
        db.close()


def blocks_behind(db: sqlite3.Connection, after: int) -> Iterator[list[Row]]:
    while rows := next_block(db, after):
        yield rows
        after = rows[-1][0]


def blocks(db: sqlite3.Connection, after: int = 0) -> list[list[Row]]:
    return list(blocks_behind(db, after))


@given(
    st.dictionaries(st.integers(1, (1 << 63) - 1), st.tuples(_BLOBS, _BLOBS, _BLOBS), max_size=12),
    st.integers(0, 1 << 63),
)
def test_any_bytes_come_back(columns: dict[int, tuple[bytes, bytes, bytes]], after: int) -> None:
    """In the order of their numbers, those behind the one that was asked for."""
    after = min(after, (1 << 63) - 1)
    rows = [(seq, *rest) for seq, rest in sorted(columns.items())]
    with table(rows) as db:
        assert [row for found in blocks(db, after) for row in found] == [row for row in rows if row[0] > after]


def test_a_block_has_a_limit_of_rows_and_of_bytes() -> None:
    """256 of them, or 256 KiB of payload."""
    with table([(seq, b"", b"m", b"p") for seq in range(1, 601)]) as db:
        assert [len(one) for one in blocks(db)] == [256, 256, 88]
    with table([(seq, b"", b"m", bytes(100 << 10)) for seq in range(1, 6)]) as db:
        assert [len(one) for one in blocks(db)] == [2, 2, 1]


def leaves(raw: bytearray) -> list[int]:
    """Where in a file of the smallest pages there are rows."""
    return [at for at in range(512, len(raw), 512) if raw[at] == 13]


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_tree_that_leads_elsewhere_is_for_others(data: st.DataObject) -> None:
    """Two pages in each other's place: what comes out goes upwards, and comes to an end."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "1.db")
        db = sqlite3.connect(path, isolation_level=None)
        db.execute("PRAGMA page_size = 512")
        db.execute("PRAGMA synchronous = OFF")
        db.execute(SCHEMA)
        db.execute("BEGIN")
        db.executemany("INSERT INTO record VALUES (?, x'', x'00', zeroblob(60))", [(seq,) for seq in range(1, 400)])
        db.execute("COMMIT")
        db.close()
        raw = bytearray(path.read_bytes())
        one, other = data.draw(st.lists(st.sampled_from(leaves(raw)), min_size=2, max_size=2, unique=True))
        raw[one : one + 512], raw[other : other + 512] = raw[other : other + 512], raw[one : one + 512]
        path.write_bytes(raw)
        db = sqlite3.connect(path)
        after = data.draw(st.integers(0, 400))
        numbers: list[int] = []
        with contextlib.suppress(sqlite3.DatabaseError):
            for rows in islice(blocks_behind(db, after), 400):
                numbers += [row[0] for row in rows]
        db.close()
    assert numbers == sorted(set(numbers)) and min(numbers, default=after + 1) > after
    assert len(numbers) < 400


@pytest.mark.parametrize(
    "odd",
    [
        (3, b"", b"m", bytes(_LARGE)),
        (3, "key", b"m", b"p"),
        (3, b"", 5, b"p"),
        (3, b"", b"m", "text"),
        (3, b"", b"m", 0.5),
    ],
)
def test_a_large_row_and_an_odd_one_are_for_others(odd: Row) -> None:
    """Nothing of the block that they are in; a large one ends the block before."""
    rows = [(1, b"", b"m", b"p"), (2, b"k", b"m", b"q"), odd, (4, b"", b"m", b"r")]
    with table(rows) as db:
        large = len(str(odd[3])) > _LARGE
        assert blocks(db) == ([rows[:2]] if large else [])
        assert blocks(db, 3) == [rows[3:]]
