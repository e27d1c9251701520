"""How records come to the writer: those of one turn of the loop as one, in order, and none is left behind."""

import asyncio
import os
import sqlite3
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from receiver.errors import JournalUnavailable
from receiver.journal.aside import NICE
from receiver.journal.base import EVENTS
from receiver.journal.lane import Lane
from receiver.journal.segment import Segment
from receiver.journal.sqlite import SqliteJournal
from receiver.record import Record
from tests.journal.test_sqlite import opened, read_all, record
from tests.support import until


class Watched:
    """A lane whose commits are counted, wait for ``go``, and fail while ``broken``."""

    def __init__(self, lane: Lane) -> None:
        self.groups: list[list[int]] = []
        self.go = threading.Event()
        self.go.set()
        self.broken = False
        self._commit = lane._commit
        lane._commit = self.commit  # type: ignore[method-assign]

    def commit(self, records: list[Record]) -> None:
        assert self.go.wait(20)
        self.groups.append([one.seq for one in records])
        if self.broken:
            raise sqlite3.OperationalError("no")
        self._commit(records)


@asynccontextmanager
async def watched(folder: Path) -> AsyncIterator[tuple[SqliteJournal, Watched]]:
    async with opened(folder) as journal:
        yield journal, Watched(journal.lanes[EVENTS])


async def test_a_turn_of_the_loop_is_one_commit(tmp_path: Path) -> None:
    """Many records, one wake-up; in the order in which they were given."""
    async with watched(tmp_path) as (journal, seen):
        records = [record(b"%d" % number) for number in range(200)]
        await asyncio.gather(*(journal.submit(one) for one in records))
        assert seen.groups == [[one.seq for one in records]]
        assert [one.payload for one in await read_all(journal)] == [one.payload for one in records]


async def test_turns_are_committed_in_their_order(tmp_path: Path) -> None:
    """What comes while the writer is busy waits behind what it has."""
    async with watched(tmp_path) as (journal, seen):
        seen.go.clear()
        futures = []
        for number in range(30):
            futures += [journal.submit(record(b"%d" % number)) for _ in range(number % 3 + 1)]
            await asyncio.sleep(0)
        seen.go.set()
        await asyncio.gather(*futures)
        order = [seq for group in seen.groups for seq in group]
        assert order == sorted(order) and len(order) == len(futures)


async def test_settling_waits_for_what_was_given_in_this_turn(tmp_path: Path) -> None:
    """Also when nothing of it has come to the writer yet."""
    async with watched(tmp_path) as (journal, seen):
        future = journal.submit(record())
        assert not seen.groups and journal.lanes[EVENTS].pending_bytes == 2
        await journal.settle()
        assert future.done() and journal.lanes[EVENTS].pending_bytes == 0


async def test_closing_commits_what_was_given_in_this_turn(tmp_path: Path) -> None:
    """It is on disk for the next process."""
    async with opened(tmp_path) as journal:
        future = journal.submit(record(b"last"))
    await future
    async with opened(tmp_path) as journal:
        assert [one.payload for one in await read_all(journal)] == [b"last"]


async def test_what_is_given_to_a_closing_lane_is_told(tmp_path: Path) -> None:
    """On disk or failed: nobody waits for ever."""
    async with watched(tmp_path) as (journal, seen):
        seen.go.clear()
        first = journal.submit(record(b"first"))
        closing = asyncio.ensure_future(journal.lanes[EVENTS].close())
        await asyncio.sleep(0)
        late = journal.submit(record(b"late"))
        await asyncio.sleep(0)
        seen.go.set()
        await closing
        after = journal.submit(record(b"after"))
        async with asyncio.timeout(20):
            told = await asyncio.gather(first, late, after, return_exceptions=True)
        assert told[0] is None and isinstance(told[2], JournalUnavailable)


async def test_a_failure_is_told_to_each_and_the_next_turn_is_taken(tmp_path: Path) -> None:
    """All of the group fail; the lane goes on with what comes next."""
    async with watched(tmp_path) as (journal, seen):
        seen.broken = True
        futures = [journal.submit(record()) for _ in range(3)]
        results = await asyncio.gather(*futures, return_exceptions=True)
        assert all(isinstance(one, JournalUnavailable) for one in results) and journal.lanes[EVENTS].error == "no"
        seen.broken = False
        await journal.submit(record(b"next"))
        assert [one.payload for one in await read_all(journal)] == [b"next"] and journal.lanes[EVENTS].error is None


@pytest.mark.skipif(sys.platform != "linux", reason="threads have a priority of their own on Linux only")
async def test_a_file_is_folded_by_a_thread_that_stands_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is as much work as writing the file was, and would take its core from what is live for so long."""
    priorities: list[tuple[str, int]] = []

    def close(segment: Segment) -> None:
        thread = threading.current_thread()
        priorities.append((thread.name, os.getpriority(os.PRIO_PROCESS, threading.get_native_id())))
        fold(segment)

    fold = Segment.close
    monkeypatch.setattr(Segment, "close", close)
    before = os.getpriority(os.PRIO_PROCESS, 0)
    async with opened(tmp_path, segment_bytes=4096) as journal:
        for number in range(20):
            await journal.submit(record(b"%d" % number))
        await until(lambda: len(priorities) > 1)
        assert {name for name, _ in priorities} == {"journal-events-fold"}
        assert {nice for _, nice in priorities} == {max(before, NICE)}
        assert os.getpriority(os.PRIO_PROCESS, 0) == before
        assert [one.payload for one in await read_all(journal)] == [b"%d" % number for number in range(20)]


async def test_a_probe_needs_no_record(tmp_path: Path) -> None:
    """A lane that failed finds out by itself that it can write again; with records under way it need not ask."""
    async with watched(tmp_path) as (journal, seen):
        lane = journal.lanes[EVENTS]
        seen.broken = True
        with pytest.raises(JournalUnavailable):
            await journal.submit(record())
        seen.broken = False
        lane.probe()
        await until(lambda: lane.error is None)
        assert seen.groups[-1] == []


async def test_who_does_not_wait_any_more_disturbs_nobody(tmp_path: Path) -> None:
    """A cancelled future of a group: its record and the others are on disk."""
    async with watched(tmp_path) as (journal, _):
        first, second = journal.submit(record(b"1")), journal.submit(record(b"2"))
        first.cancel()
        await second
        assert [one.payload for one in await read_all(journal)] == [b"1", b"2"]
