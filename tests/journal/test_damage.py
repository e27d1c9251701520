"""Damage on disk: flipped bits, cut files, zeroed pages, of every file of the data folder.

Whatever is hit, the journal opens, what can be read is read, nothing is handed out that was not written, what is
damaged stays on disk, and the log says so. Seeds fix the place that is hit; salts of logs differ from run to run.
"""

import asyncio
import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from receiver.errors import ConfigError
from receiver.journal.base import EVENTS, MEDIA, QUARANTINE
from receiver.journal.lane import LaneLimits
from receiver.journal.sqlite import SqliteJournal
from receiver.journal.state import State
from receiver.record import Record
from tests.support import JOINING, drained, events_in, running

PAGE = 4096
WRITTEN = 60
LIMITS = dict.fromkeys((EVENTS, MEDIA, QUARANTINE), LaneLimits(segment_bytes=120_000, tail_bytes=0))
Damage = Callable[[bytearray, random.Random], None]


def body(number: int) -> bytes:
    """A payload that says what it has to be; some reach over several pages."""
    return (b"%d:" % number) + random.Random(number).randbytes(9000 if number % 10 == 0 else 700)


def flip(raw: bytearray, dice: random.Random) -> None:
    """One bit."""
    raw[dice.randrange(len(raw))] ^= 1 << dice.randrange(8)


def flip_many(raw: bytearray, dice: random.Random) -> None:
    """One bit in each 8 KiB or so."""
    for _ in range(1 + len(raw) // 8192):
        flip(raw, dice)


def cut(raw: bytearray, dice: random.Random) -> None:
    """The end is missing."""
    del raw[dice.randrange(len(raw)) :]


def zero(raw: bytearray, dice: random.Random) -> None:
    """A page of nothing."""
    start = dice.randrange(0, len(raw), PAGE)
    raw[start : start + PAGE] = bytes(len(raw[start : start + PAGE]))


DAMAGES = (flip, flip_many, cut, zero)


async def write(folder: Path) -> None:
    """Several closed files and a newest one, as an orderly stop leaves them."""
    journal = SqliteJournal(folder, LIMITS, 1000)
    for number in range(WRITTEN):
        await journal.submit(Record(vendor="v", endpoint="e", kind="body", payload=body(number), received_ns=1))
    await journal.close()


async def written_and_killed(folder: Path) -> Path:
    """A copy of the journal while it is open: what a killed process leaves, all of it in the newest file's log."""
    journal = SqliteJournal(folder / "live", dict.fromkeys((EVENTS, MEDIA, QUARANTINE), LaneLimits(tail_bytes=0)), 1000)
    for number in range(WRITTEN):
        await journal.submit(Record(vendor="v", endpoint="e", kind="body", payload=body(number), received_ns=1))
    killed = folder / "killed"
    shutil.copytree(folder / "live", killed)
    await journal.close()
    for index in killed.rglob("*-shm"):
        index.unlink()
    return killed


@pytest.fixture(params=["small", "large"])
def size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest file, as the start sees it: read through first, or left as it is, and read through by the review."""
    if request.param == "large":
        monkeypatch.setattr("receiver.journal.opening._MOST_BYTES", 0)


async def reopened(folder: Path, *, reviewed: bool = True) -> tuple[list[int], int]:
    """Open, take one more record, read all: which of the written ones came back whole, and how many as damaged."""
    journal = SqliteJournal(folder, LIMITS, 1000)
    try:
        if reviewed:
            await journal.review()
        fresh = Record(vendor="v", endpoint="e", kind="body", payload=b"fresh", received_ns=1)
        await journal.submit(fresh)
        records: list[Record] = []
        after = 0
        while True:
            found, upto = await journal.read(after, media=True, limit_bytes=20_000)
            if upto == after:
                break
            records += found
            after = upto
    finally:
        await journal.close()
    assert records[-1].payload == b"fresh" and records[-1].seq == fresh.seq
    assert [one.seq for one in records] == sorted({one.seq for one in records})
    whole = [one.payload for one in records[:-1] if one.kind != "damaged"]
    numbers = [int(payload.split(b":")[0]) for payload in whole]
    assert whole == [body(number) for number in numbers], "handed out what was never written"
    return numbers, sum(one.kind == "damaged" for one in records)


def hit(path: Path, damage: Damage, seed: int) -> None:
    """Damage a file."""
    raw = bytearray(path.read_bytes())
    damage(raw, random.Random(seed))
    path.write_bytes(raw)


@pytest.mark.usefixtures("size")
@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_damaged_file_costs_its_own_damaged_rows(tmp_path: Path, damage: Damage, seed: int) -> None:
    """Any file of the lane: the records of the others are all there, and the journal takes the next delivery."""
    await write(tmp_path)
    files = sorted((tmp_path / EVENTS).glob("*.db"))
    assert len(files) > 3
    victim = files[seed % len(files)]
    before = {path: set(stored(path)) for path in files}
    hit(victim, damage, seed)
    with capture_logs() as logs:
        numbers, damaged = await reopened(tmp_path, reviewed=seed % 2 > 0)
    lost = set(range(WRITTEN)) - set(numbers)
    assert lost <= before[victim]
    if len(lost) > damaged:
        assert any(line["log_level"] == "error" for line in logs), logs
    if damage is flip and lost:
        assert len(lost) <= 8 or any(line["event"] == "journal.segment.set_aside" for line in logs)


def stored(path: Path) -> list[int]:
    """Numbers of the records in a file."""
    db = sqlite3.connect(path)
    numbers = [int(payload.split(b":")[0]) for (payload,) in db.execute("SELECT payload FROM record")]
    db.close()
    return numbers


@pytest.mark.usefixtures("size")
@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_damaged_log_of_a_killed_server_is_mended(tmp_path: Path, damage: Damage, seed: int) -> None:
    """SQLite alone would forget all that lies behind the first damaged frame; here the rest is found again. With what
    was laid out behind the log's end, and without."""
    killed = await written_and_killed(tmp_path)
    (wal,) = (killed / EVENTS).glob("*.db-wal")
    if not seed % 2:
        wal.write_bytes(wal.read_bytes().rstrip(b"\0"))
    size = wal.stat().st_size
    hit(wal, damage, seed)
    left = wal.stat().st_size
    with capture_logs() as logs:
        numbers, _ = await reopened(killed)
    if damage is not cut:
        assert len(numbers) >= WRITTEN - 12
        lost = len(numbers) < WRITTEN
        assert not lost or any(line["log_level"] == "error" for line in logs), logs
    else:
        assert len(numbers) >= WRITTEN * left // size - 8
    if any(line["event"] == "journal.segment.mended" for line in logs):
        assert list((killed / EVENTS).glob("*.damaged-*-wal"))


@pytest.mark.usefixtures("size")
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_damaged_main_file_beside_its_log(tmp_path: Path, damage: Damage, seed: int) -> None:
    """All pages are in the log of a file that was never folded: nothing is lost, also where it was cut to nothing."""
    killed = await written_and_killed(tmp_path)
    (main,) = (killed / EVENTS).glob("*.db")
    if damage is cut and seed == 0:
        os.truncate(main, 0)
    else:
        hit(main, damage, seed)
    numbers, _ = await reopened(killed)
    assert numbers == list(range(WRITTEN))


async def test_an_intact_log_is_left_alone(tmp_path: Path) -> None:
    """A kill alone is no damage: nothing is set aside, nothing is said, the newest file is written on."""
    killed = await written_and_killed(tmp_path)
    with capture_logs() as logs:
        numbers, damaged = await reopened(killed)
    assert (numbers, damaged) == (list(range(WRITTEN)), 0)
    assert not [line for line in logs if line["log_level"] == "error"]
    assert len(list((killed / EVENTS).glob("*"))) == 1


async def test_a_spoilt_payload_keeps_its_place(tmp_path: Path) -> None:
    """One flipped bit that SQLite does not notice: that record comes as `damaged` with its numbers, the rest whole."""
    await write(tmp_path)
    path = sorted((tmp_path / EVENTS).glob("*.db"))[0]
    raw = bytearray(path.read_bytes())
    raw[raw.index(body(3)[:40]) + 20] ^= 4
    path.write_bytes(raw)
    numbers, damaged = await reopened(tmp_path)
    assert numbers == [number for number in range(WRITTEN) if number != 3] and damaged == 1


async def test_damage_under_a_running_server(tmp_path: Path) -> None:
    """A commit that finds its file damaged goes into a new one: the delivery is not refused."""
    journal = SqliteJournal(tmp_path, LIMITS)
    lane = journal.lanes[EVENTS]
    await journal.submit(Record(vendor="v", endpoint="e", kind="body", payload=b"1", received_ns=1))
    calls, commit = 0, lane._commit

    def once_damaged(records: list[Record]) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise sqlite3.DatabaseError("database disk image is malformed")
        commit(records)

    lane._commit = once_damaged  # type: ignore[method-assign]
    await journal.submit(Record(vendor="v", endpoint="e", kind="body", payload=b"2", received_ns=1))
    await journal.close()
    assert calls == 2 and len(list((tmp_path / EVENTS).glob("*.db"))) == 2


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_damaged_state_never_skips(tmp_path: Path, damage: Damage, seed: int) -> None:
    """Cursors come back as they were, lower or not at all: events may be repeated, none is passed over."""
    state = State(tmp_path / "state.db")
    for sink in ("a", "b", "c"):
        state.move(sink, 1_000_000)
    for number in range(40):
        state.stream_opened(f"c{number}", bytes(200))
    await state.close()
    hit(tmp_path / "state.db", damage, seed)
    with capture_logs() as logs:
        back = State(tmp_path / "state.db")
    assert all(seq <= 1_000_000 for seq in back.cursors.values())
    back.move("a", 5)
    await back.close()
    aside = list(tmp_path.glob("state.db.damaged-*"))
    assert bool(aside) == any(line["event"] == "state.set_aside" for line in logs)


async def post(url: str) -> int:
    """One delivery."""
    import aiohttp

    async with aiohttp.ClientSession() as client, client.post(f"{url}/meetstream/default", json=JOINING) as reply:
        return reply.status


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("damage", DAMAGES)
async def test_the_server_starts_on_a_damaged_folder(tmp_path: Path, damage: Damage, seed: int) -> None:
    """One file of the folder is hit: it starts, takes a delivery and gives it to its sinks."""
    async with running(tmp_path) as receiver:
        await post(receiver.url)
        await drained(receiver)
    hit((tmp_path / "journal" / "state.db", next((tmp_path / "journal" / EVENTS).glob("*.db")))[seed % 2], damage, seed)
    (tmp_path / "server.json").write_bytes(random.Random(seed).randbytes(90))
    async with running(tmp_path) as receiver:
        assert await post(receiver.url) == 200
        await asyncio.wait_for(drained(receiver), 20)
        assert receiver.journal.error is None
    assert events_in(tmp_path)


async def test_damaged_tokens_are_for_the_operator(tmp_path: Path) -> None:
    """New tokens would lock every vendor out: the start is refused in one line that names the file."""
    endpoints = {"meetstream": {"default": {"token": "auto"}}}
    async with running(tmp_path, endpoints=endpoints):
        pass
    (tmp_path / "tokens.json").write_bytes(b"\x00" * 80)
    with pytest.raises(ConfigError, match=r"^data_dir: found .*tokens\.json damaged"):
        async with running(tmp_path, endpoints=endpoints):
            pass
