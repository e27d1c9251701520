"""A journal as another process sees it: as far as it was told, and not without a word about what is missing."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from receiver.journal.base import EVENTS, MEDIA, QUARANTINE
from receiver.journal.lane import LaneLimits
from receiver.journal.sqlite import SqliteJournal
from receiver.journal.view import View
from receiver.record import Record
from tests.support import DEADLINE_S

ALL_BYTES = 1 << 30


def record(payload: bytes = b"x", *, kind: str = "body", count: int = 1) -> Record:
    return Record(vendor="v", endpoint="e", kind=kind, payload=payload, received_ns=7, count=count)  # type: ignore[arg-type]


@asynccontextmanager
async def journal_and_view(folder: Path, **limits: int) -> AsyncIterator[tuple[SqliteJournal, View]]:
    journal = SqliteJournal(folder, dict.fromkeys((EVENTS, MEDIA, QUARANTINE), LaneLimits(**limits)), 100)
    view = View(folder)
    try:
        yield journal, view
    finally:
        view.close()
        await journal.close()


async def payloads(view: View, after: int = 100, *, media: bool = True, limit_bytes: int = ALL_BYTES) -> list[bytes]:
    records, _ = await view.read(after, media=media, limit_bytes=limit_bytes)
    return [one.payload for one in records]


async def test_a_view_reads_both_lanes_in_order_of_arrival(tmp_path: Path) -> None:
    """The same records, in the same order, up to the same number, as the journal itself reads."""
    async with journal_and_view(tmp_path) as (journal, view):
        for number in range(20):
            await journal.submit(record(b"%d" % number), MEDIA if number % 3 else EVENTS)
        view.see(journal.mark())
        for media in (True, False):
            theirs, upto = await journal.reread(100, 1 << 40, media=media, limit_bytes=ALL_BYTES)
            ours = await view.read(100, media=media, limit_bytes=ALL_BYTES)
            assert ours == (list(theirs), upto) and len(theirs) == (20 if media else 7)
        assert await payloads(view, 118) == [b"18", b"19"]


async def test_a_view_reads_no_further_than_it_was_told(tmp_path: Path) -> None:
    """What is on disk may have something before it that is not yet; only the server knows."""
    async with journal_and_view(tmp_path) as (journal, view):
        assert await view.read(100, media=True, limit_bytes=ALL_BYTES) == ((), 100)
        await journal.submit(record(b"a"))
        view.see(journal.mark())
        await journal.submit(record(b"b"))
        assert await payloads(view) == [b"a"]
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(view.wait())
            await asyncio.sleep(0.01)
            assert not waiting.done()
            view.see(journal.mark())
            await asyncio.wait_for(waiting, DEADLINE_S)
        assert await payloads(view, 101) == [b"b"]


async def test_a_view_reads_piece_by_piece(tmp_path: Path) -> None:
    """As much as is asked for; the next piece begins where that ended, in files that came later, too."""
    async with journal_and_view(tmp_path, segment_bytes=1 << 16) as (journal, view):
        for number in range(40):
            await journal.submit(record(bytes([number]) * 5000))
            view.see(journal.mark())
        assert len(list((tmp_path / EVENTS).glob("*.db"))) > 2
        after, found, pieces = 100, list[bytes](), 0
        while after < journal.head:
            records, after = await view.read(after, media=True, limit_bytes=20_000)
            found += [one.payload[:1] for one in records]
            pieces += 1
        assert found == [bytes([number]) for number in range(40)] and pieces == 10


async def test_a_record_that_is_missing_at_the_end_is_told(tmp_path: Path) -> None:
    """Nothing behind it names it, but the server knew that it was there."""
    async with journal_and_view(tmp_path) as (journal, view):
        for payload in (b"a", b"b", b"c"):
            await journal.submit(record(payload))
        (path,) = (tmp_path / EVENTS).glob("*.db")
        db = sqlite3.connect(path, isolation_level=None)
        db.execute("DELETE FROM record WHERE seq = 103")
        db.close()
        view.see(journal.mark())
        records, upto = await view.read(100, media=True, limit_bytes=ALL_BYTES)
        assert [(one.kind, one.seq, one.count) for one in records] == [
            ("body", 101, 1), ("body", 102, 1), ("damaged", 103, 1),
        ]  # fmt: skip
        assert upto == 103


async def test_what_retention_takes_is_gone_from_a_view_at_its_next_look(tmp_path: Path) -> None:
    """Also what was read of it before: the server has booked it as expired."""
    async with journal_and_view(tmp_path, segment_bytes=1 << 16, max_bytes=1 << 18) as (journal, view):
        for number in range(80):
            await journal.submit(record(bytes([number]) * 5000))
        view.see(journal.mark())
        assert (await payloads(view))[0][0] == 0
        lost = await journal.trim({"s": 100}, {})
        view.see(journal.mark())
        found = await payloads(view)
        assert lost["s"] > 0 and len(found) == 80 - lost["s"] and found[-1][0] == 79
