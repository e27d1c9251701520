"""The log of a file goes on over zeros that were laid out before: nothing of it is ever written over by them."""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.journal.leaves import LeafIndex
from receiver.journal.segment import Segment, log_of
from receiver.record import Record
from tests.disk import small_disk

AHEAD = 64 << 10


def record(seq: int, size: int = 400) -> Record:
    """One with a payload that no other number has."""
    payload = (b"%d:" % seq).ljust(size, bytes([seq % 251 + 1]))
    return Record(vendor="v", endpoint="e", kind="body", payload=payload, received_ns=seq, seq=seq)


def opened(path: Path, ahead_bytes: int = AHEAD) -> Segment:
    segment = Segment(path)
    segment.ahead.step_bytes = ahead_bytes
    return segment


def kept(path: Path) -> dict[int, bytes]:
    """What a start after a crash at this moment would find: number -> payload."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "1.db")
        shutil.copy(path, copy)
        shutil.copy(log_of(path), log_of(copy))
        with closing(sqlite3.connect(copy)) as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            return dict(db.execute("SELECT seq, payload FROM record"))


def test_commits_fill_what_was_laid_out(tmp_path: Path) -> None:
    """The file of the log does not grow with them, until its end comes near; behind them it is zero."""
    segment = opened(tmp_path / "1.db")
    log = log_of(segment.path)
    folded_bytes = segment.path.stat().st_size
    sizes = set()
    for seq in range(1, 61):
        segment.append([record(seq)], sync=True)
        content = log.read_bytes()
        sizes.add(len(content))
        end = segment.written_bytes - folded_bytes
        assert content[end:].count(0) == len(content) - end >= AHEAD // 4
        assert content[end - 4096 : end].strip(b"\0")
    assert len(sizes) < 8
    assert kept(segment.path) == {seq: record(seq).payload for seq in range(1, 61)}
    segment.close()
    assert not log.exists() and segment.path.stat().st_size < AHEAD


def test_only_a_log_that_is_synced_with_each_commit_is_laid_out(tmp_path: Path) -> None:
    segment = opened(tmp_path / "1.db")
    segment.append([record(1)], sync=False)
    assert log_of(segment.path).stat().st_size < AHEAD // 2
    segment.close()


def test_a_log_of_a_killed_server_is_gone_on_with(tmp_path: Path) -> None:
    """Zeros and all."""
    segment, path = opened(tmp_path / "1.db"), tmp_path / "killed.db"
    segment.append([record(1)], sync=True)
    shutil.copy(segment.path, path)
    shutil.copy(log_of(segment.path), log_of(path))
    size = log_of(path).stat().st_size
    again = opened(path)
    again.append([record(2)], sync=True)
    assert log_of(path).stat().st_size == size
    assert kept(path) == {seq: record(seq).payload for seq in (1, 2)}
    again.close()
    segment.close()


STEPS = ["one", "many", "large", "undone", "other", "folded", "anew"]


@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(1, 40)), max_size=25), st.sampled_from([1, 4096, AHEAD]))
def test_nothing_is_lost_whoever_writes(steps: list[tuple[str, int]], ahead_bytes: int) -> None:
    """Commits of any size, some that are undone halfway, of another connection, a log that somebody else folds, and a
    file that is opened anew, in any order: after each a crash would leave what was committed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "1.db")
        segment, expected = opened(path, ahead_bytes), dict[int, bytes]()
        for step, count in steps:
            seq = len(expected) + 1
            if step in ("one", "many", "large"):
                sizes = {"one": (1, 10 * count), "many": (5 * count, 700), "large": (1, 20_000 * count)}[step]
                records = [record(seq + number, sizes[1]) for number in range(sizes[0])]
                segment.append(records, sync=True)
                expected.update({one.seq: one.payload for one in records})
            elif step == "undone":
                records = [record(seq + number, 20_000) for number in range(count)]
                with pytest.raises(sqlite3.IntegrityError):
                    segment.append([*records, records[0]], sync=True)
            elif step == "other":
                with closing(sqlite3.connect(path, isolation_level=None)) as db:
                    payload = os.urandom(100 * count)
                    db.execute("INSERT INTO record VALUES (?, '', '', ?)", (seq, payload))
                    expected[seq] = payload
            elif step == "folded":
                with closing(sqlite3.connect(path, isolation_level=None)) as db:
                    db.execute("PRAGMA wal_checkpoint(RESTART)")
            else:
                segment.close()
                segment = opened(path, ahead_bytes)
            if log_of(path).exists():
                assert kept(path) == expected
        segment.close()
        with closing(sqlite3.connect(path)) as db:
            assert dict(db.execute("SELECT seq, payload FROM record")) == expected


def insert(path: Path, seqs: Iterable[int]) -> None:
    """As another connection would, a commit each."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executemany("INSERT INTO record VALUES (?, '', '', ?)", [(seq, record(seq).payload) for seq in seqs])


def test_a_log_that_somebody_else_began_anew_is_left_alone(tmp_path: Path) -> None:
    """Where that one ends is not known: no zeros are written there."""
    segment = opened(tmp_path / "1.db")
    segment.append([record(1, 200_000)], sync=False)
    with closing(sqlite3.connect(segment.path, isolation_level=None)) as db:
        db.execute("PRAGMA wal_checkpoint(RESTART)")
    insert(segment.path, range(2, 62))
    segment.append([record(62)], sync=True)
    assert kept(segment.path) == {1: record(1, 200_000).payload} | {seq: record(seq).payload for seq in range(2, 63)}
    assert segment.ahead.step_bytes == 0
    segment.close()


def test_where_the_log_ends_is_found_when_nobody_else_can_write(tmp_path: Path) -> None:
    """A commit of somebody else's, between the look at the end and the lock."""

    class Between:
        """The connection of a segment; another one commits just before it gets the lock."""

        in_transaction = True

        def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
            if sql == "BEGIN IMMEDIATE":
                insert(segment.path, range(2, 32))
            return db.execute(sql, *values)

    segment = opened(tmp_path / "1.db")
    db, segment.ahead._db = segment._db, cast(Any, Between())
    segment.append([record(1)], sync=True)
    segment.ahead._db = db
    assert kept(segment.path).keys() == set(range(1, 32))
    assert log_of(segment.path).stat().st_size > 30 * 4096 + AHEAD
    segment.close()


def test_what_was_laid_out_is_a_reserve_on_a_full_disk(tmp_path: Path) -> None:
    """What fits in there is kept, and no more; with space again the file goes on."""
    with small_disk(tmp_path / "disk", 2 << 20) as disk:
        segment = opened(disk.folder / "1.db")
        segment.append([record(1)], sync=True)
        disk.fill()
        seq = 1
        with suppress(sqlite3.Error):
            while seq < 1000:
                segment.append([record(seq + 1)], sync=True)
                seq += 1
        assert 1 < seq < 1000
        disk.free()
        segment.append([record(seq + 1)], sync=True)
        assert kept(segment.path).keys() == set(range(1, seq + 2))
        segment.close()


def test_where_nothing_can_be_laid_out_commits_go_on(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 2 << 20) as disk:
        segment = opened(disk.folder / "1.db")
        disk.fill(leave_bytes=40 << 10)
        for seq in range(1, 4):
            segment.append([record(seq)], sync=True)
        assert kept(segment.path).keys() == {1, 2, 3}
        segment.close()


def test_leaves_are_looked_at_again_though_the_file_has_not_grown(tmp_path: Path) -> None:
    segment = opened(tmp_path / "1.db")
    index = LeafIndex(lambda path: True)
    for seq in range(1, 4):
        segment.append([record(seq)], sync=True)
        found = [one.seq for one in index.records(segment.path, 0, 1 << 62, whole=True)]
        assert found == list(range(1, seq + 1))
    segment.close()
    index.close()
