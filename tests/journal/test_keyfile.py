"""Keys out of a file beside the journal: what is known then is what the journal alone tells, or nothing is used."""

import asyncio
import os
import random
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from receiver.journal.base import EVENTS, MEDIA, QUARANTINE
from receiver.journal.clock import steady_ns
from receiver.journal.dedup import Dedup, Entry, join_keys, split_keys
from receiver.journal.keyfile import KeyFile
from receiver.journal.lane import LaneLimits
from receiver.journal.sqlite import SqliteJournal, recall_ahead
from receiver.record import Record
from tests.support import JOINING, drained, running

ENTRIES = 8
FIRST = 1001
KEYS = [b"v/e/%d" % number for number in range(10)]
LIMITS = dict.fromkeys((EVENTS, MEDIA, QUARANTINE), LaneLimits(segment_bytes=30_000, tail_bytes=0))
#: between two looks at the clocks
JITTER_NS = 10**9


class Server:
    """What of a server has to do with keys: it remembers each delivery once it is on disk."""

    def __init__(self, journal: SqliteJournal, entries: int = ENTRIES) -> None:
        self.journal = journal
        self.dedup = Dedup(entries, 1e6, 10)
        self.keyfile = KeyFile(journal.folder / "keys.snapshot")

    async def take(self, key: bytes, age_s: int = 0, repeat: int = 0) -> None:
        """A delivery that was received so long ago."""
        received_ns = time.time_ns() - age_s * 10**9
        one = Record(vendor="v", endpoint="e", kind="body", payload=b"{}", received_ns=received_ns, key=key)
        one.repeat = repeat
        await self.journal.submit(one)
        if key:
            self.dedup.remember(key, Entry(one.seq, steady_ns(received_ns), repeat))

    async def keep(self) -> bool:
        """Write the file."""
        return await self.keyfile.save(self.journal.lanes[EVENTS], self.dedup, 1)


@asynccontextmanager
async def serving(folder: Path, entries: int = ENTRIES) -> AsyncIterator[Server]:
    """On a journal whose numbers begin with ``FIRST``."""
    journal = SqliteJournal(folder, LIMITS, FIRST - 1)
    try:
        yield Server(journal, entries)
    finally:
        await journal.close()


async def recalled(folder: Path, entries: int = ENTRIES, *, with_file: bool = True) -> Dedup:
    """What a start finds in ``folder``."""
    async with serving(folder, entries) as server:
        server.journal.recall(entries, server.dedup, kept=server.keyfile if with_file else None)
        return server.dedup


def same(found: Entry | None, wanted: Entry | None) -> bool:
    """The same delivery, equally long ago."""
    if found is None or wanted is None:
        return found is wanted
    alike = (found.seq, found.repeat) == (wanted.seq, wanted.repeat)
    return alike and abs(found.at_ns - wanted.at_ns) < JITTER_NS


async def write(folder: Path, keys: list[bytes], kept_at: Collection[int] = ()) -> Dedup:
    """Take deliveries with ``keys`` one after another, the first ones hours ago, and write the file behind some."""
    async with serving(folder) as server:
        for number, key in enumerate(keys):
            await server.take(key, 3600 * (len(keys) - number), number % 3)
            if number in kept_at:
                await server.keep()
        return server.dedup


async def reasons(folder: Path, entries: int = ENTRIES) -> list[str]:
    """Why a start does not use the file; empty where it does, or where there is none."""
    with capture_logs() as logs:
        await recalled(folder, entries)
    return [line["reason"] for line in logs if line["event"] == "journal.keys.ignored"]


# Whatever happened


def flip(raw: bytearray, dice: random.Random) -> None:
    """One bit."""
    raw[dice.randrange(len(raw))] ^= 1 << dice.randrange(8)


def cut(raw: bytearray, dice: random.Random) -> None:
    """The end is missing."""
    del raw[dice.randrange(len(raw)) :]


def more(raw: bytearray, dice: random.Random) -> None:
    """Something behind the end."""
    raw += dice.randbytes(dice.randrange(1, 5000))


def other(raw: bytearray, dice: random.Random) -> None:
    """Other bytes in the middle."""
    begin = dice.randrange(len(raw))
    raw[begin : begin + 64] = dice.randbytes(len(raw[begin : begin + 64]))


def nothing(raw: bytearray, dice: random.Random) -> None:
    """As it was written."""


DELIVERIES = st.lists(
    st.one_of(
        st.sampled_from(KEYS),
        st.just(b""),
        st.lists(st.sampled_from(KEYS), min_size=2, max_size=3, unique=True).map(join_keys),
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=25, deadline=None)
@given(
    DELIVERIES,
    st.sets(st.integers(0, 24), max_size=3),
    st.booleans(),
    st.sampled_from([nothing, nothing, nothing, flip, cut, more, other]),
    st.integers(0, 1 << 32),
)
def test_a_start_with_the_file_knows_what_one_without_it_knows(
    keys: list[bytes], kept_at: set[int], killed: bool, damage: Callable[..., None], seed: int
) -> None:
    """Any history, the file written at any moment, an orderly end or a kill, any damage to the file: all is as it was
    before the end, or as the journal alone tells. Each of the newest keys leads to the same delivery both ways; what is
    known beyond them is true."""

    async def scenario(folder: Path) -> None:
        async with serving(folder / "live") as server:
            for number, key in enumerate(keys):
                await server.take(key, 3600 * (len(keys) - number), number % 3)
                if number in kept_at:
                    await server.keep()
            live = server.dedup
            if killed:
                for closer in server.journal.lanes[EVENTS]._closers:  # no copy of what is being folded
                    closer.join()
                shutil.copytree(folder / "live", folder / "found")
        if not killed:
            shutil.copytree(folder / "live", folder / "found")
        kept = folder / "found" / "keys.snapshot"
        if kept.exists():
            raw = bytearray(kept.read_bytes())
            damage(raw, random.Random(seed))
            kept.write_bytes(raw)
        with_it = await recalled(folder / "found")
        without = await recalled(folder / "found", with_file=False)
        last = {one: FIRST + number for number, key in enumerate(keys) for one in split_keys(key) if key}
        assert with_it.last == without.last
        found, alone, before = ([one.find(key) for key in KEYS] for one in (with_it, without, live))
        assert all(map(same, found, before)) or all(map(same, found, alone))
        newest = [one for key in keys if key for one in split_keys(key)][-ENTRIES:]
        for key, one, other in zip(KEYS, found, alone, strict=True):
            assert {entry.seq for entry in (one, other) if entry is not None} <= {last.get(key)}
            assert key not in newest or (one is not None and same(one, other))

    with tempfile.TemporaryDirectory() as name:
        asyncio.run(scenario(Path(name)))


async def test_only_what_came_behind_the_file_is_read(tmp_path: Path) -> None:
    """The rest is known as it was when the file was written."""
    live = await write(tmp_path, KEYS[:6], {3})
    with capture_logs() as logs:
        found = await recalled(tmp_path)
    (told,) = [line for line in logs if line["event"] == "journal.keys.read"]
    assert (told["keys"], told["sequence"], told["log_level"]) == (4, FIRST + 3, "info")
    assert found.fresh == 2 and all(same(found.find(key), live.find(key)) for key in KEYS)


async def test_a_process_that_comes_next_reads_it_ahead(tmp_path: Path) -> None:
    """While the one before it still writes: it reads the file, and what came behind it until then."""
    async with serving(tmp_path) as server:
        await server.take(b"v/e/1")
        await server.keep()
        await server.take(b"v/e/2")
        dedup = Dedup(ENTRIES, 1e6, 10)
        assert recall_ahead(tmp_path, ENTRIES, dedup, server.keyfile) == FIRST + 1
        assert dedup.fresh == 1 and dedup.find(b"v/e/1") and dedup.find(b"v/e/2")
        await server.take(b"v/e/3")
        server.journal.recall(ENTRIES, dedup, FIRST + 1, server.keyfile)
        assert dedup.fresh == 2 and dedup.find(b"v/e/1") and dedup.find(b"v/e/3")


@pytest.mark.parametrize(("jump_s", "age_s"), [(0, 0), (600, 600), (-600, 0)])
async def test_how_long_ago_it_was_is_told_between_two_processes_by_the_wall_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump_s: int, age_s: int
) -> None:
    """Their monotonic clocks have nothing to do with each other. A wall clock that was set back makes nothing younger
    than it was when it was written down."""
    steady, wall_ns = time.monotonic_ns, time.time_ns
    begun_ns = steady()
    async with serving(tmp_path) as server:
        await server.take(KEYS[0], 3600)
        await server.keep()
    monkeypatch.setattr(time, "monotonic_ns", lambda: steady() + 10**15)
    monkeypatch.setattr(time, "time_ns", lambda: wall_ns() + jump_s * 10**9)
    found = (await recalled(tmp_path)).find(KEYS[0])
    assert found is not None
    more_ns = time.monotonic_ns() - found.at_ns - (3600 + age_s) * 10**9
    assert -JITTER_NS < more_ns < steady() - begun_ns + JITTER_NS  # as long as the disk took


# What is not used


async def test_every_damage_is_noticed(tmp_path: Path) -> None:
    """Each shorter file, and each bit: the journal is read instead, and the log says why."""
    live = await write(tmp_path, KEYS[:3], {2})
    path = tmp_path / "keys.snapshot"
    content = path.read_bytes()
    async with serving(tmp_path) as server:
        lane = server.journal.lanes[EVENTS]
        assert server.keyfile.read(lane, server.dedup.share) is not None
        for length in range(len(content)):
            path.write_bytes(content[:length])
            assert server.keyfile.read(lane, server.dedup.share) is None, length
        for place in range(len(content)):
            path.write_bytes(content[:place] + bytes((content[place] ^ 1 << place % 8,)) + content[place + 1 :])
            assert server.keyfile.read(lane, server.dedup.share) is None, place
    path.write_bytes(content[:-1])
    (reason,) = await reasons(tmp_path)
    assert reason == f"damaged: found {len(content) - 1} bytes, which is not what its head says"
    found = await recalled(tmp_path)
    assert all(same(found.find(key), live.find(key)) for key in KEYS[:3])


async def test_one_of_another_program_is_not_used(tmp_path: Path) -> None:
    """It may make keys or columns in another way."""
    await write(tmp_path, KEYS[:3], {2})
    path = tmp_path / "keys.snapshot"
    raw = bytearray(path.read_bytes())
    raw[4:20] = bytes(16)
    path.write_bytes(raw)
    assert await reasons(tmp_path) == ["made by another version of this program"]


async def test_one_of_another_size_is_not_used(tmp_path: Path) -> None:
    """``journal.dedup_entries`` is how much there has to be remembered."""
    await write(tmp_path, KEYS[:3], {2})
    assert await reasons(tmp_path, ENTRIES + 2) == ["made under another journal.dedup_entries"]


async def test_one_of_another_journal_is_not_used(tmp_path: Path) -> None:
    """The number alone proves nothing: the record has to be the very one, with the same place and content."""
    await write(tmp_path / "a", KEYS[:3], {2})
    await write(tmp_path / "b", KEYS[:3])
    shutil.copy(tmp_path / "a" / "keys.snapshot", tmp_path / "b")
    (reason,) = await reasons(tmp_path / "b")
    assert reason == f"the journal has another record with the number {FIRST + 2}, with which this file ends"


async def test_one_that_knows_more_than_the_journal_is_not_used(tmp_path: Path) -> None:
    """A journal out of an older backup: what was delivered since then is delivered again, and is no repeat."""
    await write(tmp_path / "old", KEYS[:2])
    shutil.copytree(tmp_path / "old", tmp_path / "new")
    async with serving(tmp_path / "new") as server:
        await server.take(KEYS[5])
        await server.keep()
    shutil.copy(tmp_path / "new" / "keys.snapshot", tmp_path / "old")
    (reason,) = await reasons(tmp_path / "old")
    assert reason == f"the journal has no whole record with the number {FIRST + 2}, with which this file ends"
    assert (await recalled(tmp_path / "old")).find(KEYS[5]) is None


async def test_beside_a_damaged_journal_it_is_not_used(tmp_path: Path) -> None:
    """What the journal has lost is taken again, where a vendor sends it again: the file does not speak against that."""
    await write(tmp_path, KEYS[:3], {2})
    async with serving(tmp_path) as server:
        server.journal.lanes[EVENTS].damaged = True
        assert server.keyfile.read(server.journal.lanes[EVENTS], server.dedup.share) is None
    (newest,) = (tmp_path / EVENTS).glob("*.db")
    newest.write_bytes(b"no database")
    (reason,) = await reasons(tmp_path)
    assert reason == "the journal was found damaged: what it still tells counts"


async def test_where_too_much_came_behind_it_it_is_not_used(tmp_path: Path) -> None:
    """Then not all that came behind it is read, and it would tell of an outdated delivery with a key."""
    key = KEYS[0]
    await write(tmp_path, [key, key, *[b"v/e/more-%d" % number for number in range(ENTRIES)]], {0})
    assert (await recalled(tmp_path)).find(key) is None


# Writing


async def test_it_is_written_when_enough_came(tmp_path: Path) -> None:
    """For its owner only, in one step."""
    async with serving(tmp_path) as server:
        lane, path = server.journal.lanes[EVENTS], tmp_path / "keys.snapshot"
        assert not await server.keyfile.save(lane, server.dedup, 1) and not path.exists()
        await server.take(KEYS[0])
        assert not await server.keyfile.save(lane, server.dedup, 2) and not path.exists()
        assert await server.keyfile.save(lane, server.dedup, 1)
        assert path.stat().st_mode & 0o777 == 0o600
        assert not await server.keyfile.save(lane, server.dedup, 1)
        assert [one.name for one in tmp_path.iterdir() if "keys" in one.name] == [path.name]


async def test_a_failure_to_write_is_told_once(tmp_path: Path) -> None:
    """The file stays as it was; what was not written is written the next time."""
    async with serving(tmp_path) as server:
        await server.take(KEYS[0])
        await server.keep()
        content = (tmp_path / "keys.snapshot").read_bytes()
        await server.take(KEYS[1])
        draft = tmp_path / f".keys.snapshot.{os.getpid()}"
        (draft / "in the way").mkdir(parents=True)
        with capture_logs() as logs:
            assert not await server.keep() and not await server.keep()
        (told,) = logs
        assert (told["event"], told["log_level"], told["file"]) == ("journal.keys.failed", "error", "keys.snapshot")
        assert (tmp_path / "keys.snapshot").read_bytes() == content
        shutil.rmtree(draft)
        assert await server.keep() and (tmp_path / "keys.snapshot").read_bytes() != content


async def test_it_leaves_the_space_that_is_to_be_left(tmp_path: Path) -> None:
    """``journal.min_free_bytes`` is for deliveries."""
    async with serving(tmp_path) as server:
        await server.take(KEYS[0])
        keyfile = KeyFile(tmp_path / "keys.snapshot", spare_bytes=1 << 60)
        with capture_logs() as logs:
            assert not await keyfile.save(server.journal.lanes[EVENTS], server.dedup, 1)
        assert "min_free_bytes" in logs[0]["error"] and not (tmp_path / "keys.snapshot").exists()


# The server


async def test_a_server_writes_it_at_its_end_and_reads_it_at_its_start(tmp_path: Path) -> None:
    """A repeat is one across the stop, and was not read out of the journal."""

    async def post(url: str, number: int) -> None:
        body = JOINING | {"bot_id": f"bot-{number}"}
        async with aiohttp.ClientSession() as client, client.post(f"{url}/meetstream/default", json=body) as reply:
            assert reply.status == 200

    journal = {"dedup_entries": 100, "min_free_bytes": 0}
    async with running(tmp_path, journal=journal) as receiver:
        for number in range(3):
            await post(receiver.url, number)
        await drained(receiver)
    with capture_logs() as logs:
        async with running(tmp_path, journal=journal) as receiver:
            for number in range(3):
                await post(receiver.url, number)
            assert receiver.ledger.endpoint("meetstream", "default").duplicates == 3
    assert [line["keys"] for line in logs if line["event"] == "journal.keys.read"] == [3]
