"""Which deliveries are repeats; the time is an argument."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.journal.dedup import Dedup, Entry, join_keys, split_keys

SECOND_NS = 10**9


def entry(seq: int = 1, at_ns: int = 0) -> Entry:
    return Entry(seq, at_ns, 0)


@pytest.mark.parametrize(
    ("timed", "later_s", "repeat"),
    [
        (True, 0, True),
        (True, 99.999, True),
        (True, 100, False),
        (False, 9.999, True),
        (False, 10, False),
        (True, -99.999, True),
        (True, -100, False),
        (False, -10, False),
    ],
)
def test_a_repeat_comes_within_its_window(timed: bool, later_s: float, repeat: bool) -> None:
    """With the vendor's time in the key the window is long, without it short; what is retried late may come before."""
    dedup = Dedup(10, window_s=100, untimed_window_s=10)
    now_ns = 10**15
    assert dedup.is_repeat(entry(at_ns=now_ns), now_ns + int(later_s * SECOND_NS), timed=timed) is repeat


def test_the_newest_delivery_with_a_key_counts() -> None:
    """A key that came again honestly is compared with the last one."""
    dedup = Dedup(10, 100, 10)
    assert dedup.find(b"k") is None
    dedup.remember(b"k", entry(1))
    dedup.remember(b"k", entry(2))
    found = dedup.find(b"k")
    assert found is not None and found.seq == 2


def test_what_is_on_its_way_counts_already() -> None:
    """A repeat finds the delivery before it is on disk, and after that without its future."""
    dedup = Dedup(10, 100, 10)
    expected = entry(1)
    dedup.expect(b"k", expected)
    assert dedup.find(b"k") is expected
    dedup.settle(b"k", expected, safe=True)
    found = dedup.find(b"k")
    assert found == entry(1) and found is not expected


def test_what_did_not_reach_the_disk_is_forgotten() -> None:
    """The vendor's next try must count; another delivery with the same key is not forgotten with it."""
    dedup = Dedup(10, 100, 10)
    first, second = entry(1), entry(2)
    dedup.expect(b"k", first)
    dedup.expect(b"k", second)
    dedup.settle(b"k", first, safe=False)
    assert dedup.find(b"k") is second
    dedup.settle(b"k", second, safe=False)
    assert dedup.find(b"k") is None


@given(st.lists(st.binary(max_size=300), max_size=5))
def test_joined_keys_come_apart_again(keys: list[bytes]) -> None:
    """A journal's row has one column for all of them; what a damaged disk has cut off is left out."""
    joined = join_keys(keys)
    assert split_keys(joined) == keys
    for length in range(1, len(joined)):
        torn = split_keys(joined[:length])
        assert torn == keys[: len(torn)] and len(torn) < len(keys)


def test_a_single_key_is_what_it_is() -> None:
    """As every row was written before, and as nearly all are."""
    assert split_keys(b"vendor/name/key") == (b"vendor/name/key",) and split_keys(b"") == (b"",)


def test_a_delivery_with_several_keys_is_found_by_each() -> None:
    """On its way to the disk and when it is there; one that did not get there leaves none of them."""
    dedup, both = Dedup(10, 100, 10), join_keys([b"v/e/a", b"v/e/b"])
    first, second = entry(1), entry(2)
    dedup.expect(both, first)
    assert dedup.find(b"v/e/a") is first and dedup.find(b"v/e/b") is first
    dedup.settle(both, first, safe=False)
    assert dedup.find(b"v/e/a") is dedup.find(b"v/e/b") is None
    dedup.expect(both, second)
    dedup.settle(both, second, safe=True)
    assert dedup.find(b"v/e/a") == dedup.find(b"v/e/b") == entry(2) and dedup.find(both) is None
    dedup.remember(join_keys([b"v/e/c", b"v/e/d"]), entry(3))
    assert dedup.find(b"v/e/d") == entry(3)


def test_numbers_are_kept_exactly() -> None:
    """The largest that can come: sequence and time are 63 bits, and many equal ones went before."""
    dedup = Dedup(10, 100, 10)
    most = Entry((1 << 63) - 1, (1 << 63) - 1, 1 << 30)
    dedup.remember(b"k", most)
    assert dedup.find(b"k") == most


def test_a_newer_one_covers_an_older_one() -> None:
    """Across the two generations of the memory, the newest is what `find` sees."""
    dedup = Dedup(2, 100, 10)
    dedup.remember(b"k", entry(1))
    dedup.remember(b"a", entry(2))
    dedup.remember(b"k", entry(3))
    found = dedup.find(b"k")
    assert found is not None and found.seq == 3


@given(st.integers(1, 20), st.lists(st.integers(0, 60), max_size=200))
def test_the_newest_deliveries_are_remembered_and_not_many_more(entries: int, numbers: list[int]) -> None:
    """The promise of the memory: the newest `entries` at least, and half as many more at most."""
    dedup = Dedup(entries, 100, 10)
    for seq, number in enumerate(numbers):
        dedup.remember(b"%d" % number, entry(seq))
    last = {number: seq for seq, number in enumerate(numbers)}
    for number in numbers[-entries:]:
        found = dedup.find(b"%d" % number)
        assert found is not None and found.seq == last[number]
    assert sum(dedup.find(b"%d" % number) is not None for number in last) <= 3 * ((entries + 1) // 2)


KEYS = [b"%d" % number for number in range(12)]
HISTORIES = st.lists(
    st.lists(st.sampled_from(KEYS), min_size=1, max_size=3, unique=True).map(
        lambda keys: keys[0] if len(keys) == 1 else join_keys(keys)
    ),
    max_size=40,
)


def remembering(history: list[bytes], entries: int, begin: int = 0) -> Dedup:
    """Who has seen ``history``, each a second after the one before it."""
    dedup = Dedup(entries, 100, 10)
    for seq, key in enumerate(history, begin + 1):
        dedup.remember(key, Entry(seq, seq * SECOND_NS, seq % 3))
    return dedup


@given(HISTORIES, st.integers(0, 40), st.integers(0, 40), st.integers(1, 9), st.integers(-(10**20), 10**20))
def test_what_goes_on_from_a_memory_is_as_if_it_had_never_stopped(
    history: list[bytes], at: int, until: int, entries: int, shift_ns: int
) -> None:
    """Wherever it is cut, twice as well: each key leads to the same delivery, as long ago by another clock; and the one
    whose memory it was is not changed by what comes later."""
    shift_ns %= 1 << 60
    live = remembering(history, entries)
    before = remembering(history[:at], entries)
    memory = before.memory()
    told = [list(column) for one in memory.generations for column in one.arrays]
    again = Dedup(entries, 100, 10)
    again.restore(memory, shift_ns)
    assert again.last == len(history[:at]) and before.fresh == again.fresh == 0
    for seq, key in enumerate(history[at:], at + 1):
        if seq == until:
            again, once_more = Dedup(entries, 100, 10), again.memory()
            again.restore(once_more, 0)
        again.remember(key, Entry(seq, seq * SECOND_NS + shift_ns, seq % 3))
        before.remember(key, Entry(seq, seq * SECOND_NS, seq % 3))
    for key in KEYS:
        found, wanted = again.find(key), live.find(key)
        assert found == (wanted and Entry(wanted.seq, wanted.at_ns + shift_ns, wanted.repeat))
        assert before.find(key) == wanted
    assert len(told) == 6 * len(memory.generations) and told[0] != []
    assert len(history) <= at or again.last == live.last == len(history)


def test_it_counts_what_came_since_its_memory_was_asked_for() -> None:
    """Deliveries, not keys: whoever writes it down knows whether that is worth it."""
    dedup = Dedup(10, 100, 10)
    dedup.remember(join_keys([b"a", b"b"]), entry(1))
    dedup.remember(b"a", entry(2))
    assert (dedup.fresh, dedup.last) == (2, 2)
    assert dedup.memory().last == 2 and dedup.fresh == 0
