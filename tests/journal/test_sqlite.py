"""The embedded journal on real files: order, durability, both lanes, retention, damage."""

import asyncio
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from receiver.errors import JournalUnavailable
from receiver.journal.base import EVENTS, MEDIA, QUARANTINE
from receiver.journal.dedup import Dedup
from receiver.journal.lane import LaneLimits
from receiver.journal.segment import Segment
from receiver.journal.sqlite import SqliteJournal
from receiver.record import Record
from tests.support import DEADLINE_S

ALL = 1 << 40


def record(payload: bytes = b"{}", *, key: bytes = b"", received_ns: int = 1) -> Record:
    """A body as ingress hands it over."""
    return Record(vendor="v", endpoint="e", kind="body", payload=payload, received_ns=received_ns, key=key)


def limits(**changes: int) -> dict[str, LaneLimits]:
    """The same small limits for all lanes."""
    lane = LaneLimits(**changes)
    return {EVENTS: lane, MEDIA: lane, QUARANTINE: lane}


@asynccontextmanager
async def opened(folder: Path, floor: int = 0, **changes: int) -> AsyncIterator[SqliteJournal]:
    journal = SqliteJournal(folder, limits(**changes), floor)
    try:
        yield journal
    finally:
        await journal.close()


async def read_all(journal: SqliteJournal, after: int = 0, *, media: bool = True, step: int = ALL) -> list[Record]:
    """Everything behind ``after``, as a sink reads it: piece by piece."""
    found: list[Record] = []
    while True:
        records, upto = await journal.read(after, media=media, limit_bytes=step)
        if upto == after:
            return found
        found += records
        after = upto


async def test_a_record_is_on_disk_when_its_future_ends(tmp_path: Path) -> None:
    """Architecture 2: a 2xx means on disk. Another process sees the row at once."""
    async with opened(tmp_path) as journal:
        one = record(b'{"a":1}')
        await journal.submit(one)
        db = sqlite3.connect(next((tmp_path / EVENTS).glob("*.db")))
        assert db.execute("SELECT seq, payload FROM record").fetchall() == [(one.seq, b'{"a":1}')]
        db.close()


async def test_every_commit_of_the_events_lane_is_synced(tmp_path: Path) -> None:
    """Architecture 4: events are fsynced at every commit, media by time."""
    path = tmp_path / "00000000000000000001.db"
    segment = Segment(path)
    segment.append([record()], sync=True)
    assert segment._db.execute("PRAGMA synchronous").fetchone() == (2,)
    two = record()
    two.seq = 2
    segment.append([two], sync=False)
    assert segment._db.execute("PRAGMA synchronous").fetchone() == (0,)
    segment.close()


def test_a_log_is_folded_with_syncs_also_where_its_commits_had_none(tmp_path: Path) -> None:
    """It is cut only when the file has all of it on disk: a power failure in between would take more than a second."""
    segment = Segment(tmp_path / "00000000000000000001.db")
    segment.append([record()], sync=False)
    said: list[str] = []
    segment._db.set_trace_callback(said.append)
    segment.close()
    assert said.index("PRAGMA synchronous = FULL") < said.index("PRAGMA wal_checkpoint(TRUNCATE)")


def test_so_it_is_where_the_last_sync_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite folds the log all the same, with the last connection that closes."""
    segment = Segment(tmp_path / "00000000000000000001.db")
    segment.append([record()], sync=False)
    said: list[str] = []
    segment._db.set_trace_callback(said.append)
    with monkeypatch.context() as disk, pytest.raises(OSError, match="the disk"):
        disk.setattr(os, "fdatasync", _fails)
        segment.close()
    assert said == ["PRAGMA synchronous = FULL"]


def _fails(_file: int) -> None:
    raise OSError("the disk")


async def test_all_fields_survive_the_disk(tmp_path: Path) -> None:
    """What was received is kept byte for byte, with all that decoding depends on."""
    full = Record(
        vendor="meetstream", endpoint="e", kind="frames", payload=bytes(range(256)), received_ns=123, channel="audio",
        connection="c", subject="bot\x00\u00e9", headers=(("a", "b"),), key=b"k", repeat=2, state=b"s", reason="r",
    )  # fmt: skip
    async with opened(tmp_path) as journal:
        await journal.submit(full)
    async with opened(tmp_path) as journal:
        (back,) = await read_all(journal)
    assert back == full


async def test_lanes_are_read_as_one_in_order_of_arrival(tmp_path: Path) -> None:
    """A reader with media sees both lanes by sequence; one without sees events only; nothing overtakes."""
    async with opened(tmp_path) as journal:
        for number in range(50):
            journal.submit(record(b"%d" % number), MEDIA if number % 3 else EVENTS)
        await journal.settle()
        both = await read_all(journal, step=600)
        assert [int(one.payload) for one in both] == list(range(50))
        assert [int(one.payload) for one in await read_all(journal, media=False)] == list(range(0, 50, 3))


async def test_a_reader_with_media_never_passes_what_a_slow_lane_still_holds(tmp_path: Path) -> None:
    """Order across lanes holds also while one lane's commit hangs: the other's newer records wait."""
    async with opened(tmp_path) as journal:
        await journal.submit(record(b"first"))
        media = journal.lanes[MEDIA]
        blocker = sqlite3.connect(":memory:")
        blocker.close()
        entered, release = asyncio.Event(), __import__("threading").Event()
        loop, commit = asyncio.get_running_loop(), media._commit

        def slow(records: list[Record]) -> None:
            loop.call_soon_threadsafe(entered.set)
            assert release.wait(DEADLINE_S)
            commit(records)

        media._commit = slow  # type: ignore[method-assign]
        journal.submit(record(b"second"), MEDIA)
        await entered.wait()
        await journal.submit(record(b"third"))
        seen, _ = await journal.read(0, media=True, limit_bytes=ALL)
        assert [one.payload for one in seen] == [b"first"]
        events_only, _ = await journal.read(0, media=False, limit_bytes=ALL)
        assert [one.payload for one in events_only] == [b"first", b"third"]
        release.set()
        await journal.settle()
        assert [one.payload for one in await read_all(journal)] == [b"first", b"second", b"third"]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.integers(0, 3000), min_size=1, max_size=60),
    counts=st.lists(st.integers(1, 5), min_size=1, max_size=5),
    step=st.integers(1, 5000),
    tail=st.integers(0, 20_000),
)
async def test_reading_from_memory_and_from_disk_is_the_same(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], counts: list[int], step: int, tail: int
) -> None:
    """Architecture 3: same code, bounded memory. Whatever the tail holds, a cursor sees each record once, in order."""
    folder = tmp_path_factory.mktemp("journal")
    async with opened(folder, tail_bytes=tail, segment_bytes=8_000) as journal:
        for index, size in enumerate(sizes):
            journal.submit(record(b"%d:" % index + bytes(size)), MEDIA if index % counts[0] else EVENTS)
            if index % 7 == 0:
                await journal.settle()
        await journal.settle()
        live = await read_all(journal, step=step)
    async with opened(folder, tail_bytes=tail) as journal:
        cold = await read_all(journal, step=step)
    assert [one.payload for one in live] == [one.payload for one in cold]
    assert [int(one.payload.split(b":")[0]) for one in live] == list(range(len(sizes)))


async def test_sequence_goes_on_after_a_restart(tmp_path: Path) -> None:
    """Numbers are never given out twice, also where cursors know of more than the disk does (power failure)."""
    async with opened(tmp_path) as journal:
        await journal.submit(record())
        last = journal.head
    async with opened(tmp_path, floor=last + 10) as journal:
        one = record()
        await journal.submit(one)
        assert one.seq == last + 11


async def test_an_event_is_set_once_there_is_something(tmp_path: Path) -> None:
    """Once, in the lanes that its owner wants; at once where something is there; the last call counts."""
    async with opened(tmp_path) as journal:
        text, sound = asyncio.Event(), asyncio.Event()
        journal.alert(text, journal.head, media=False)
        journal.alert(sound, journal.head, media=True)
        await journal.submit(record(), MEDIA)
        await journal.settle()
        assert sound.is_set()
        sound.clear()
        await journal.submit(record())
        await journal.settle()
        assert text.is_set() and not sound.is_set()
        for after, is_there in ((journal.head, False), (journal.head - 1, True)):
            text.clear()
            journal.alert(text, after, media=False)
            assert text.is_set() is is_there
        text.clear()
        journal.alert(text, journal.head, media=False)
        journal.alert(text, journal.head + 1, media=False)
        await journal.submit(record())
        assert not text.is_set()
        await journal.submit(record())
        assert text.is_set()


async def test_a_reader_waits_and_is_woken(tmp_path: Path) -> None:
    """``wait`` returns when something is committed behind the cursor, not before."""
    async with opened(tmp_path) as journal, asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(journal.wait(journal.head, media=False))
        await asyncio.sleep(0)
        assert not waiting.done()
        await journal.submit(record())
        await asyncio.wait_for(waiting, DEADLINE_S)


async def test_retention_by_size_gives_disk_back_and_counts_what_was_unread(tmp_path: Path) -> None:
    """Old files go as a whole; a cursor that had not read them is told how many sequence numbers it lost."""
    async with opened(tmp_path, segment_bytes=10_000, max_bytes=40_000, tail_bytes=0) as journal:
        for _ in range(100):
            await journal.submit(record(bytes(1000)))
        await fold(journal)
        before = journal.lanes[EVENTS].disk_bytes()
        lost = await journal.trim({"slow": 0, "fast": journal.head}, {})
        after = journal.lanes[EVENTS].disk_bytes()
        left = await read_all(journal)
        assert after <= 60_000 < before
        assert lost == {"slow": 100 - len(left), "fast": 0}
        assert left[-1].seq == journal.head and 0 < len(left) < 100


async def test_retention_by_age(tmp_path: Path) -> None:
    """Files last written longer ago than ``max_age_s`` go; the newest stays."""
    async with opened(tmp_path, segment_bytes=1000, max_age_s=3600) as journal:
        for _ in range(5):
            await journal.submit(record(bytes(2000)))
        await fold(journal)
    files = sorted((tmp_path / EVENTS).glob("*.db"))
    for path in files[:2]:
        os.utime(path, (1, 1))
        for wal in path.parent.glob(path.name + "-wal"):
            os.utime(wal, (1, 1))
    async with opened(tmp_path, segment_bytes=1000, max_age_s=3600) as journal:
        await journal.trim({}, {})
        assert sorted((tmp_path / EVENTS).glob("*.db")) == files[2:]


@pytest.mark.parametrize("jump_s", [-400 * 86_400, 400 * 86_400])
async def test_a_clock_that_is_set_makes_nothing_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump_s: int
) -> None:
    """Age is what has really passed: files of this run and of the last one stay, and go when their time has come."""
    async with opened(tmp_path, segment_bytes=1000, max_age_s=3600) as journal:
        await journal.submit(record(bytes(2000)))
    async with opened(tmp_path, segment_bytes=1000, max_age_s=3600) as journal:
        for _ in range(2):
            await journal.submit(record(bytes(2000)))
        wall_s, steady_ns = time.time, time.monotonic_ns
        monkeypatch.setattr(time, "time", lambda: wall_s() + jump_s)
        monkeypatch.setattr(time, "time_ns", lambda: int((wall_s() + jump_s) * 1e9))
        for _ in range(2):
            await journal.submit(record(bytes(2000)))
        await journal.trim({}, {})
        assert len(list((tmp_path / EVENTS).glob("*.db"))) == 5
        monkeypatch.setattr(time, "monotonic_ns", lambda: steady_ns() + 3601 * 10**9)
        await journal.trim({}, {})
        assert len(list((tmp_path / EVENTS).glob("*.db"))) == 1


async def fold(journal: SqliteJournal) -> None:
    """Wait until closed files are folded."""
    for closer in journal.lanes[EVENTS]._closers:
        await asyncio.to_thread(closer.join)


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: raw[:100],
        lambda raw: b"\x00" * len(raw),
        lambda raw: os.urandom(len(raw)),
        lambda raw: b"not a database",
    ],
    ids=["cut", "zeroed", "random", "text"],
)
async def test_a_damaged_newest_file_is_set_aside_and_the_journal_opens(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    """A damaged file costs its own records at most: it is kept under another name, the rest is served."""
    async with opened(tmp_path, segment_bytes=1) as journal:
        await journal.submit(record(b"old"))
        await journal.submit(record(b"new" * 2000))
    newest = max((tmp_path / EVENTS).glob("*.db"))
    newest.write_bytes(damage(newest.read_bytes()))
    async with opened(tmp_path) as journal:
        await journal.submit(record(b"after"))
        assert [one.payload for one in await read_all(journal)] == [b"old", b"after"]
    assert list((tmp_path / EVENTS).glob("*.damaged-*"))


async def test_a_damaged_older_file_is_passed_over(tmp_path: Path) -> None:
    """Reading goes on behind a file that cannot be read; what it held is told as missing."""
    async with opened(tmp_path, segment_bytes=1, tail_bytes=0) as journal:
        for name in (b"a", b"b", b"c"):
            await journal.submit(record(name))
    middle = sorted((tmp_path / EVENTS).glob("*.db"))[1]
    middle.write_bytes(b"\x00" * 8192)
    async with opened(tmp_path, tail_bytes=0) as journal:
        assert [one.payload for one in await read_all(journal)] == [b"a", b"", b"c"]


async def test_a_disk_that_refuses_is_said_and_recovered_from(tmp_path: Path) -> None:
    """The journal that cannot write says so (503 upstairs) and goes on by itself once it can; nothing is half there."""
    async with opened(tmp_path) as journal:
        await journal.submit(record(b"before"))
        lane = journal.lanes[EVENTS]
        assert lane._segment is not None
        lane._segment._db.execute("PRAGMA max_page_count = 1")
        with pytest.raises(JournalUnavailable, match="full"):
            await journal.submit(record(bytes(200_000)))
        assert journal.error is not None
        lane._segment._db.execute("PRAGMA max_page_count = 1000000")
        await journal.submit(record(b"after"))
        assert journal.error is None
        assert [one.payload for one in await read_all(journal)] == [b"before", b"after"]
    async with opened(tmp_path) as journal:
        assert [one.payload for one in await read_all(journal)] == [b"before", b"after"]


async def test_a_lane_asks_for_patience_beyond_its_memory_ceiling(tmp_path: Path) -> None:
    """Architecture 7: a socket is read no faster than the journal takes it."""
    async with opened(tmp_path, pending_bytes=1000) as journal, asyncio.TaskGroup() as tasks:
        await asyncio.wait_for(journal.room(), DEADLINE_S)
        future = journal.submit(record(bytes(5000)))
        waiting = tasks.create_task(journal.room())
        await asyncio.sleep(0)
        assert not waiting.done()
        await future
        await asyncio.wait_for(waiting, DEADLINE_S)


async def test_those_who_wait_for_room_come_in_turn_and_not_all_at_once(tmp_path: Path) -> None:
    """A crowd that is let in together writes as many rows as it has heads, far beyond the ceiling."""
    most, row, crowd = 1 << 20, 64 << 10, 200
    async with opened(tmp_path, pending_bytes=most) as journal, asyncio.TaskGroup() as tasks:
        lane, turns, peak = journal.lanes[EVENTS], list[int](), 0

        async def visitor(number: int) -> None:
            nonlocal peak
            await journal.room()
            turns.append(number)
            journal.submit(record(bytes(row)))
            peak = max(peak, lane.pending_bytes)

        first = journal.submit(record(bytes(most + row)))
        gone = tasks.create_task(journal.room())
        waiting = [tasks.create_task(visitor(number)) for number in range(crowd)]
        await asyncio.sleep(0)
        gone.cancel()
        async with asyncio.timeout(30):
            await asyncio.gather(first, *waiting)
    assert turns == sorted(turns) and peak <= 2 * most, f"{peak / most:.1f} times the ceiling"


async def test_those_who_have_nothing_to_write_hold_nobody_up(tmp_path: Path) -> None:
    """They were woken in place of others; those come a moment later, without another commit."""
    async with opened(tmp_path, pending_bytes=1000) as journal, asyncio.TaskGroup() as tasks:
        journal.submit(record(bytes(5000)))
        waiting = [tasks.create_task(journal.room()) for _ in range(50)]
        async with asyncio.timeout(20):
            await asyncio.gather(*waiting)


async def test_keys_are_remembered_across_a_restart(tmp_path: Path) -> None:
    """A delivery repeated after a restart is still a repeat."""
    async with opened(tmp_path, segment_bytes=1) as journal:
        for name in (b"k1", b"k2", b""):
            await journal.submit(record(key=name, received_ns=time.time_ns()))
    async with opened(tmp_path) as journal:
        dedup = Dedup(10, 60, 10)
        journal.recall(10, dedup)
        entry = dedup.find(b"k1")
        assert entry is not None and dedup.is_repeat(entry, time.monotonic_ns(), timed=True)
        assert dedup.find(b"k2") and not dedup.find(b"")


async def test_a_quarantined_record_can_be_deleted(tmp_path: Path) -> None:
    """Retry takes a record out of quarantine; others stay; sinks never see that lane."""
    async with opened(tmp_path) as journal:
        one, two = record(b"1"), record(b"2")
        await journal.submit(one, QUARANTINE)
        await journal.submit(two, QUARANTINE)
        assert await read_all(journal) == []
        assert journal.lanes[QUARANTINE].delete(one.seq)
        assert not journal.lanes[QUARANTINE].delete(one.seq)
        left, _ = journal.lanes[QUARANTINE].read_disk(0, journal.head, ALL)
        assert [record.payload for record in left] == [b"2"]


async def test_text_that_no_disk_can_hold_costs_nothing(tmp_path: Path) -> None:
    """Lone surrogates in what a stranger named become question marks; the records beside it are as they were."""
    async with opened(tmp_path) as journal:
        bad = record(b"1")
        bad.subject, bad.reason, bad.headers = "a\udcff", "\ud800", (("x-\udcf1", "b\udcff"),)
        await asyncio.gather(*(journal.submit(one) for one in (record(b"0"), bad, record(b"2"))))
    async with opened(tmp_path) as journal:
        found = await read_all(journal)
    assert [one.payload for one in found] == [b"0", b"1", b"2"]
    assert (found[1].subject, found[1].reason, found[1].headers) == ("a?", "?", (("x-?", "b?"),))


async def test_a_fault_of_ours_does_not_end_the_writer(tmp_path: Path) -> None:
    """What cannot be written at all is refused; the next record is on disk."""
    async with opened(tmp_path) as journal:
        bad = record(b"1")
        bad.state = object()  # type: ignore[assignment]  # nothing that a caller could mean
        with pytest.raises(JournalUnavailable):
            await asyncio.wait_for(journal.submit(bad), DEADLINE_S)
        await asyncio.wait_for(journal.submit(record(b"2")), DEADLINE_S)
        assert journal.error is None
