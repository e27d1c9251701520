"""The journal on a disk that is really full, and has space again: nothing is skipped, nothing needs a restart."""

import asyncio
import os
import sqlite3
from pathlib import Path

import pytest

from receiver.errors import DiskFull, JournalUnavailable
from receiver.journal.base import EVENTS, MEDIA
from receiver.journal.segment import is_damage
from receiver.journal.sqlite import SqliteJournal
from tests.disk import small_disk
from tests.journal.test_sqlite import opened, read_all, record

MIB = 1 << 20


async def probed(journal: SqliteJournal, lane: str = EVENTS) -> None:
    """Until the lane has recovered by itself."""
    async with asyncio.timeout(20):
        while journal.lanes[lane].error is not None:
            journal.lanes[lane].probe()
            await asyncio.sleep(0.01)


async def until_full(journal: SqliteJournal) -> int:
    """Records that were taken until not even a small one was: also what was laid out of the log is used up then."""
    for count in range(1000):
        try:
            await journal.submit(record())
        except DiskFull:
            return count
    raise AssertionError("never full")


async def folded(journal: SqliteJournal) -> None:
    """Until nothing more is done to files that are closed."""
    for closer in journal.lanes[EVENTS]._closers:
        await asyncio.to_thread(closer.join)


async def test_a_full_disk_is_told_as_such_and_the_file_goes_on(tmp_path: Path) -> None:
    """Refused for want of space; once there is some the same file takes records, and none is half there. They are
    larger than what is laid out of a log before."""
    with small_disk(tmp_path / "disk", 2 * MIB) as disk:
        async with opened(disk.folder / "journal", segment_bytes=MIB) as journal:
            kept = record(b"before")
            await journal.submit(kept)
            disk.fill()
            for _ in range(3):
                with pytest.raises(DiskFull, match="full"):
                    await journal.submit(record(os.urandom(100_000)))
            assert journal.lanes[EVENTS].full
            disk.free()
            after = record(os.urandom(100_000))
            await journal.submit(after)
            assert not journal.lanes[EVENTS].full and journal.error is None
            assert [one.payload for one in await read_all(journal)] == [kept.payload, after.payload]
            assert len(list((disk.folder / "journal" / EVENTS).glob("*.db"))) == 1


async def test_a_lane_that_was_full_recovers_without_anybody_coming(tmp_path: Path) -> None:
    """Readiness stays red until a commit works, and while it is red nobody sends anything: the lane tries by itself."""
    with small_disk(tmp_path / "disk", 2 * MIB) as disk:
        async with opened(disk.folder / "journal", segment_bytes=MIB) as journal:
            disk.fill(leave_bytes=100_000)
            kept = await until_full(journal)
            journal.lanes[EVENTS].probe()
            journal.lanes[EVENTS].probe()
            await asyncio.sleep(0.1)
            assert journal.error is not None
            disk.free()
            await probed(journal)
            await journal.submit(record())
            assert len(await read_all(journal)) == kept + 1


async def test_a_file_that_cannot_be_created_leaves_nothing_behind(tmp_path: Path) -> None:
    """Each try takes another number: a full disk must not be littered with empty files."""
    with small_disk(tmp_path / "disk", 2 * MIB) as disk:
        async with opened(disk.folder / "journal") as journal:
            disk.fill()
            for _ in range(5):
                with pytest.raises(JournalUnavailable):
                    await journal.submit(record(os.urandom(5000)), MEDIA)
            assert list((disk.folder / "journal" / MEDIA).iterdir()) == []
            assert journal.lanes[MEDIA].full
            disk.free()
            await probed(journal, MEDIA)
            await journal.submit(record(os.urandom(5000)), MEDIA)
        async with opened(disk.folder / "journal") as journal:
            assert len(await read_all(journal)) == 1


async def test_a_reader_on_a_full_disk_skips_nothing(tmp_path: Path) -> None:
    """Opening a closed file takes a little space. A reader that has none must come back, not take it for damage."""
    with small_disk(tmp_path / "disk", 4 * MIB) as disk:
        async with opened(disk.folder / "journal", segment_bytes=1, tail_bytes=0) as journal:
            for index in range(3):
                await journal.submit(record(b"%d" % index))
            await folded(journal)
            disk.fill()
            with pytest.raises(sqlite3.Error) as refused:
                await read_all(journal)
            assert not is_damage(refused.value)
            disk.free()
            assert [one.payload for one in await read_all(journal)] == [b"0", b"1", b"2"]


async def test_a_file_is_not_folded_where_space_is_short(tmp_path: Path) -> None:
    """Folding takes as much again, which new records need. The write-ahead log stays and is read with its file."""
    with small_disk(tmp_path / "disk", 2 * MIB) as disk:
        async with opened(disk.folder / "journal", segment_bytes=300_000, tail_bytes=0) as journal:
            lane, sent = journal.lanes[EVENTS], []
            while lane._segment is None or lane._segment.written_bytes < 300_000:
                sent.append(record(os.urandom(40_000)))
                await journal.submit(sent[-1])
            disk.fill(200 << 10)
            for _ in range(2):
                sent.append(record(os.urandom(40_000)))
                await journal.submit(sent[-1])
                await folded(journal)
            first, _ = sorted((disk.folder / "journal" / EVENTS).glob("*.db"))
            assert first.with_name(first.name + "-wal").stat().st_size > 200_000, "it was folded: no proof of anything"
            disk.free()
            assert [one.payload for one in await read_all(journal)] == [one.payload for one in sent]
