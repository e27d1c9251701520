"""Which deliveries are repeats; the time is an argument."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.journal.dedup import Dedup, Entry

SECOND_NS = 10**9


def entry(seq: int = 1, received_ns: int = 0) -> Entry:
    return Entry(seq, received_ns, 0)


@pytest.mark.parametrize(
    ("timed", "later_s", "repeat"),
    [
        (True, 0, True),
        (True, 99.999, True),
        (True, 100, False),
        (False, 9.999, True),
        (False, 10, False),
        (True, -5000, True),
        (False, -5000, True),
    ],
)
def test_a_repeat_comes_within_its_window(timed: bool, later_s: float, repeat: bool) -> None:
    """With the vendor's time in the key the window is long, without it short; a clock set back makes nothing new."""
    dedup = Dedup(10, window_s=100, untimed_window_s=10)
    now_ns = 10**15
    assert dedup.is_repeat(entry(received_ns=now_ns), now_ns + int(later_s * SECOND_NS), timed=timed) is repeat


def test_the_newest_delivery_with_a_key_counts() -> None:
    """A key that came again honestly is compared with the last one."""
    dedup = Dedup(10, 100, 10)
    assert dedup.find(b"k") is None
    dedup.remember(b"k", entry(1))
    dedup.remember(b"k", entry(2))
    found = dedup.find(b"k")
    assert found is not None and found.seq == 2


def test_what_did_not_reach_the_disk_is_forgotten() -> None:
    """The vendor's next try must count; a newer delivery with the same key is not forgotten with it."""
    dedup = Dedup(10, 100, 10)
    dedup.remember(b"k", entry(1))
    dedup.forget(b"k", 2)
    assert dedup.find(b"k") is not None
    dedup.forget(b"k", 1)
    assert dedup.find(b"k") is None
    dedup.forget(b"never seen", 1)


def test_what_is_forgotten_does_not_uncover_an_older_one() -> None:
    """Across the two generations of the memory, the newest is what `find` sees."""
    dedup = Dedup(2, 100, 10)
    dedup.remember(b"k", entry(1))
    dedup.remember(b"a", entry(2))
    dedup.remember(b"k", entry(3))
    found = dedup.find(b"k")
    assert found is not None and found.seq == 3


@given(st.integers(1, 20), st.lists(st.integers(0, 60), max_size=200))
def test_the_newest_keys_are_remembered_and_no_more_than_twice_as_many(entries: int, numbers: list[int]) -> None:
    """The promise of the memory: at least the newest `entries`, at most two generations of them."""
    dedup = Dedup(entries, 100, 10)
    newest: dict[bytes, int] = {}
    for seq, number in enumerate(numbers):
        key = b"%d" % number
        newest.pop(key, None)
        newest[key] = seq
        dedup.remember(key, entry(seq))
    for key, seq in list(newest.items())[-entries:]:
        found = dedup.find(key)
        assert found is not None and found.seq == seq
    assert sum(dedup.find(key) is not None for key in newest) <= 2 * entries
