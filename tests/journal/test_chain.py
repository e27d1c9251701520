"""Records that vanish without an error: each names the one before it, so whoever passes the place knows, and how much.

SQLite trusts its pages. A flipped bit in the count or a pointer of an inner page, or in a row's number, takes rows out
of its sight, and no statement fails.
"""

import asyncio
import random
import shutil
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from receiver.events import Event, StreamClosed
from receiver.journal.base import EVENTS, MEDIA, QUARANTINE
from receiver.journal.chain import Chain, Link
from receiver.journal.lane import LaneLimits
from receiver.journal.reader import ALL
from receiver.journal.row import encode_row
from receiver.journal.sqlite import SqliteJournal
from receiver.record import Record
from tests.support import JOINING, drained, running

PAGE = 4096
INNER = 5
WRITTEN = 200
FIRST = 1001


def limits(**changes: int) -> dict[str, LaneLimits]:
    """Small files, and nothing from memory."""
    return dict.fromkeys(
        (EVENTS, MEDIA, QUARANTINE), LaneLimits(**{"segment_bytes": 60_000, "tail_bytes": 0} | changes)
    )


def record(number: int, count: int = 1) -> Record:
    """One that takes ``count`` numbers; every tenth reaches over several pages."""
    fact = StreamClosed(channel="audio", connection="c", code=1000, clean=True, duration_s=0)
    events = [Event(id="i", source="s", type="stream.closed", time_ns=1, received_ns=1, data=fact)] * count
    payload = (b"%d:" % number) + random.Random(number).randbytes(9000 if number % 10 == 0 else 300)
    return Record(vendor="v", endpoint="e", kind="body", payload=payload, received_ns=1, events=events)


async def write(folder: Path, *, written: int = WRITTEN) -> int:
    """Events and, between them, media; how many numbers they take."""
    journal = SqliteJournal(folder, limits(), FIRST - 1)
    for number in range(written):
        safe = journal.submit(record(number, 1 + number % 3), MEDIA if number % 4 == 1 else EVENTS)
        if number % 8 == 7:
            await safe
    taken = journal.head - FIRST + 1
    await journal.close()
    return taken


async def read_all(journal: SqliteJournal, limit_bytes: int, *, media: bool = True) -> list[Record]:
    """As a sink reads, in steps."""
    records: list[Record] = []
    after = 0
    while True:
        found, upto = await journal.read(after, media=media, limit_bytes=limit_bytes)
        if upto == after:
            return records
        assert upto > after
        records += found
        after = upto


async def reopened(folder: Path, limit_bytes: int = 20_000) -> tuple[list[Record], int]:
    """What a reader finds, and how many numbers the journal says are there."""
    journal = SqliteJournal(folder, limits(), FIRST - 1)
    try:
        taken = await journal.backlog(0, media=True)
        return await read_all(journal, limit_bytes), taken
    finally:
        await journal.close()


def files(folder: Path, lane: str = EVENTS) -> list[Path]:
    """Of a lane, oldest first."""
    return sorted((folder / lane).glob("*.db"))


def numbers(path: Path) -> list[int]:
    """Sequence numbers of the rows of a file."""
    with sqlite3.connect(path) as db:
        return [seq for (seq,) in db.execute("SELECT seq FROM record ORDER BY seq")]


def vanish(path: Path, seqs: Iterable[int]) -> None:
    """Rows go, and the file is as sound as ever."""
    with sqlite3.connect(path) as db:
        assert db.executemany("DELETE FROM record WHERE seq = ?", [(seq,) for seq in seqs]).rowcount > 0
    db.close()


def whole(records: list[Record]) -> set[int]:
    """Which ones came as they were written."""
    return {int(one.payload.split(b":")[0]) for one in records if one.kind != "damaged"}


def missing_lines(logs: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the log says is missing."""
    return [line["error"] for line in logs if line["log_level"] == "error" and "missing" in line.get("error", "")]


def spoil(raw: bytearray, dice: random.Random) -> None:
    """Bits flip, half of them where SQLite keeps its order: at the beginnings of pages."""
    for _ in range(dice.choice((1, 2, 1 + len(raw) // 8192))):
        page = dice.randrange(len(raw) // PAGE) * PAGE
        raw[page + dice.randrange(64 if dice.random() < 0.5 else PAGE)] ^= 1 << dice.randrange(8)


async def test_flipped_bits_in_closed_files_are_always_told(tmp_path: Path) -> None:
    """Each number is either delivered or stood in for, by the same count that the sink's book began with."""
    taken = await write(tmp_path / "sound")
    silent, lost = [], 0
    for seed in range(80):
        dice = random.Random(seed)
        shutil.rmtree(tmp_path / "spoilt", ignore_errors=True)
        shutil.copytree(tmp_path / "sound", tmp_path / "spoilt")
        for path in [*files(tmp_path / "spoilt")[:-1], *files(tmp_path / "spoilt", MEDIA)[:-1]]:
            raw = bytearray(path.read_bytes())
            spoil(raw, dice)
            path.write_bytes(raw)
        with capture_logs():
            records, counted = await reopened(tmp_path / "spoilt", dice.choice((1, 20_000, 1 << 20)))
        lost += WRITTEN - len(whole(records))
        if not sum(one.count for one in records) == counted == taken:
            silent.append((seed, sum(one.count for one in records), counted))
    assert silent == [] and lost > 100


async def test_a_wrong_count_in_an_inner_page(tmp_path: Path) -> None:
    """The leaves behind it are out of SQLite's sight; they are found all the same, and nothing is missing."""
    taken = await write(tmp_path)
    path = files(tmp_path)[0]
    raw = bytearray(path.read_bytes())
    inner = next(page for page in range(PAGE, len(raw), PAGE) if raw[page] == INNER)
    raw[inner + 4] ^= raw[inner + 4] & -raw[inner + 4]  # the lowest bit that is set
    path.write_bytes(raw)
    records, counted = await reopened(tmp_path)
    assert len(whole(records)) == WRITTEN
    assert sum(one.count for one in records) == counted == taken


@pytest.mark.parametrize("limit_bytes", [1, 2000, 1 << 20])
@pytest.mark.parametrize("which", ["first", "middle", "end", "file"])
async def test_each_gap_is_told_once_with_its_size(tmp_path: Path, which: str, limit_bytes: int) -> None:
    """At a file's beginning, in it, at its end, all of it; wherever a reader's steps end."""
    taken = await write(tmp_path)
    path = files(tmp_path)[1]
    rows = numbers(path)
    gone = {"first": rows[:2], "middle": rows[4:7], "end": rows[-3:], "file": rows}[which]
    vanish(path, gone)
    with capture_logs() as logs:
        records, counted = await reopened(tmp_path, limit_bytes)
    (gap,) = [one for one in records if one.kind == "damaged"]
    assert gap.last_seq == gone[-1]
    assert len(whole(records)) == WRITTEN - len(gone)
    assert sum(one.count for one in records) == counted == taken
    assert len(missing_lines(logs)) == 1
    rest = [one for one in records if one.kind != "damaged"]
    assert [one.seq for one in rest] == sorted(one.seq for one in rest)


async def test_the_end_of_the_lane_while_it_runs(tmp_path: Path) -> None:
    """What was committed and is gone before a reader came to it is told; nothing behind it is needed for that."""
    journal = SqliteJournal(tmp_path, limits(), FIRST - 1)
    for number in range(10):
        await journal.submit(record(number, 2))
    vanish(files(tmp_path)[-1], numbers(files(tmp_path)[-1])[-2:])
    records = await read_all(journal, 1 << 20)
    await journal.close()
    assert (records[-1].kind, records[-1].count) == ("damaged", 4)
    assert sum(one.count for one in records) == 20


async def test_retention_is_no_damage(tmp_path: Path) -> None:
    """What was deleted on purpose is expired for those who had not read it, and nobody is told of a gap."""
    taken = await write(tmp_path)
    vanish(files(tmp_path)[0], numbers(files(tmp_path)[0])[-2:])  # not delivered, so it expires as well
    journal = SqliteJournal(tmp_path, limits(max_bytes=150_000), FIRST - 1)
    before = len(files(tmp_path))
    lost = await journal.trim({"sink": 0}, {"sink": 0})
    with capture_logs() as logs:
        records = await read_all(journal, 20_000)
    await journal.close()
    assert len(files(tmp_path)) < before and lost["sink"] > 0
    assert lost["sink"] + sum(one.count for one in records) == taken
    assert not missing_lines(logs)


async def test_what_leaves_quarantine_is_no_damage(tmp_path: Path) -> None:
    """Records are deleted there on purpose."""
    journal = SqliteJournal(tmp_path, limits(), FIRST - 1)
    for number in range(4):
        await journal.submit(record(number), QUARANTINE)
    lane = journal.lanes[QUARANTINE]
    assert lane.delete(FIRST + 1) and lane.delete(FIRST + 3)
    records, _ = lane.read_disk(0, ALL, 1 << 20)
    await journal.close()
    assert [one.seq for one in records] == [FIRST, FIRST + 2]


async def test_files_of_an_earlier_version(tmp_path: Path) -> None:
    """Rows that name nothing before them are taken as they come; the ones written now hang on to them."""
    await write(tmp_path, written=6)
    with sqlite3.connect(files(tmp_path)[-1]) as db:
        for seq in numbers(files(tmp_path)[-1]):
            old = record(seq)
            old.seq = seq
            db.execute("REPLACE INTO record VALUES (?, ?, ?, ?)", encode_row(old))
    db.close()
    journal = SqliteJournal(tmp_path, limits(), FIRST - 1)
    newest = journal.lanes[EVENTS].head
    await journal.submit(record(7))
    records = await read_all(journal, 1, media=False)
    await journal.close()
    assert all(one.kind != "damaged" for one in records)
    assert (records[-1].prev, records[-1].place) == (newest, 1)


async def test_a_sinks_book_balances_over_a_loss(tmp_path: Path) -> None:
    """What no reader can ever get is counted as undecodable and told: it does not stay pending for ever."""
    nowhere = {"http": {"type": "http", "url": "http://127.0.0.1:9/"}}
    async with running(tmp_path, sinks=nowhere) as receiver:
        for number in range(6):
            assert await post(receiver.url, number) == 200
    (path,) = files(tmp_path / "journal")
    vanish(path, numbers(path)[1:3])
    with capture_logs() as logs:
        async with running(tmp_path) as receiver:
            await asyncio.wait_for(drained(receiver), 20)
            book = receiver.ledger.sink("file")
            assert (book.delivered, book.undecodable) == (4, 2)
    assert missing_lines(logs)


async def post(url: str, number: int) -> int:
    """One delivery."""
    import aiohttp

    body = JOINING | {"bot_id": f"bot-{number}"}
    async with aiohttp.ClientSession() as client, client.post(f"{url}/meetstream/default", json=body) as reply:
        return reply.status


def test_a_link_to_what_was_never_passed() -> None:
    """The chain by itself: in order nothing, a gap its size, an end that was not reached."""
    chain = Chain(10, 0)
    one = Record(vendor="", endpoint="", kind="body", payload=b"", received_ns=0, seq=11, count=2, prev=9, place=5)
    assert chain.step(one) is None
    other = Record(vendor="", endpoint="", kind="body", payload=b"", received_ns=0, seq=20, prev=17, place=9)
    gap = chain.step(other)
    assert gap is not None and (gap.seq, gap.last_seq, gap.count) == (15, 17, 3)
    assert chain.end(Link(20, 20, 9)) is None
    gap = chain.end(Link(22, 24, 12))
    assert gap is not None and gap.count == 3
