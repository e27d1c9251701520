"""Reading a file of a lane: where its newest part begins."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.journal.reader import SegmentReader
from receiver.journal.segment import Segment
from receiver.record import Record

#: how far behind the one before it a record is numbered: other lanes take numbers, and damage lets them jump
STEPS = st.sampled_from([1, 1, 1, 2, 33, 5000, 1 << 20, 1 << 45])


@contextmanager
def reading(rows: list[tuple[int, int]]) -> Iterator[SegmentReader]:
    """A file with records of these numbers and sizes."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "1.db")
        segment = Segment(path)
        segment.append(
            [
                Record(vendor="v", endpoint="e", kind="body", payload=bytes(size), received_ns=1, seq=seq)
                for seq, size in rows
            ],
            sync=False,
        )
        segment.close()
        reader = SegmentReader(path)
        yield reader
        reader.close()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(STEPS, st.integers(0, 300)), max_size=60), st.integers(1, 12_000))
def test_the_newest_part_has_the_bytes_that_are_wanted(steps: list[tuple[int, int]], limit_bytes: int) -> None:
    """However the numbers lie: all that is behind the number counts, it is enough, and no more than a little; 0 where
    all of the file is less."""
    rows, seq = [], 0
    for step, size in steps:
        seq += step
        rows.append((seq, size))
    with reading(rows) as reader:
        after, size = reader.begin_of_newest(limit_bytes)
    behind = [bytes_ for number, bytes_ in rows if number > after]
    assert size == sum(behind)
    assert size >= limit_bytes or (after == 0 and len(behind) == len(rows))


def test_it_is_about_as_much_as_is_wanted() -> None:
    """Of rows of one size not a quarter more, small ones or large."""
    for size, limit_bytes in ((10, 20_000), (1000, 200_000), (9000, 200_000)):
        with reading([(number, size) for number in range(1, 6001 if size < 5000 else 200)]) as reader:
            _, found = reader.begin_of_newest(limit_bytes)
        assert limit_bytes <= found <= limit_bytes * 1.25
