"""The embedded journal: three lanes of SQLite files under one folder, one sequence over all of them.

Readers see the lanes merged in order of arrival: a record is shown once everything numbered before it is committed
in the lanes that the reader wants, so one cursor is enough and nothing overtakes.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog

from receiver.errors import JournalUnavailable
from receiver.journal.base import EVENTS, MEDIA, QUARANTINE, Ended
from receiver.journal.clock import steady_ns
from receiver.journal.dedup import Dedup, Entry
from receiver.journal.keyfile import KeyFile
from receiver.journal.lane import Lane, LaneLimits
from receiver.journal.shelf import Shelf
from receiver.journal.view import Mark, merged, wanted
from receiver.record import Record

T = TypeVar("T")
log = structlog.get_logger()
#: threads that read files; each holds the interpreter while it forms records, so more would not be faster
_READERS = 2


class SqliteJournal:
    """Open it on the event loop; ``close`` commits what waits."""

    def __init__(self, folder: Path, limits: dict[str, LaneLimits], floor: int = 0) -> None:
        """``floor``: numbers up to it were given out before (cursors know), so they are not given out again.

        A journal that is new starts at the clock's microseconds: were its folder ever deleted, the numbers of the next
        one would still be higher than any that sinks remember from the last.
        """
        self.folder = folder
        #: whom to tell when there is something behind a number, with the media lane or without
        self._alerts: dict[asyncio.Event, tuple[int, bool]] = {}
        #: of its own: what sinks keep waiting in the common pool never holds up a reader
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="journal-read")
        self.lanes = {
            name: Lane(name, folder / name, limits[name], self._wake, chained=name != QUARANTINE)  # deletes on purpose
            for name in (EVENTS, MEDIA, QUARANTINE)
        }
        self._last = max(floor, *(lane.head for lane in self.lanes.values())) or time.time_ns() // 1000

    @property
    def head(self) -> int:
        return self._last

    @property
    def error(self) -> str | None:
        """Why the last commit of a lane failed; ``None`` while all is well."""
        return next((lane.error for lane in self.lanes.values() if lane.error), None)

    @property
    def full(self) -> list[str]:
        """Lanes whose last commit failed for want of space."""
        return [name for name, lane in self.lanes.items() if lane.full]

    def probe(self) -> None:
        """Have lanes whose last commit failed try the disk by themselves."""
        for lane in self.lanes.values():
            lane.probe()

    def put(self, record: Record, ended: Ended, lane: str = EVENTS) -> None:
        record.seq = number = self._last + 1
        for event in record.events or ():
            event.sequence = number
            number += 1
        record.count = max(1, number - record.seq)
        self._last += record.count
        self.lanes[lane].put(record, ended)

    def submit(self, record: Record, lane: str = EVENTS) -> "asyncio.Future[None]":
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.put(record, partial(_end, future), lane)
        return future

    def has_room(self, lane: str = EVENTS) -> bool:
        return self.lanes[lane].has_room

    async def room(self, lane: str = EVENTS, frames_bytes: Callable[[], int] | None = None) -> None:
        await self.lanes[lane].room(frames_bytes)

    def ask_room(self, lane: str, let_in: Callable[[], bool], frames_bytes: Callable[[], int]) -> None:
        self.lanes[lane].ask_room(let_in, frames_bytes)

    async def read(
        self, after: int, *, media: bool, limit_bytes: int, reader: str = ""
    ) -> tuple[Sequence[Record], int]:
        upto = self.visible(media=media)
        if upto <= after:
            return (), after
        lanes = [self.lanes[name] for name in wanted(media=media)]
        return merged([await self._read_lane(lane, after, upto, limit_bytes, reader) for lane in lanes])

    def in_memory(self, after: int, *, media: bool) -> bool:
        return all(after >= self.lanes[name].tail.floor for name in wanted(media=media))

    async def reread(self, after: int, upto: int, *, media: bool, limit_bytes: int) -> tuple[Sequence[Record], int]:
        upto = min(upto, self.visible(media=media))
        if upto <= after:
            return (), after
        lanes = [self.lanes[name] for name in wanted(media=media)]
        return merged([await self._in_reader(lane.read_disk, after, upto, limit_bytes) for lane in lanes])

    async def since(self, received_ns: int, *, media: bool) -> int:
        return min([await asyncio.to_thread(self.lanes[name].since, received_ns) for name in wanted(media=media)])

    async def wait(self, after: int, *, media: bool) -> None:
        event = asyncio.Event()
        self.alert(event, after, media=media)
        try:
            await event.wait()
        finally:
            self._alerts.pop(event, None)

    def alert(self, event: asyncio.Event, after: int, *, media: bool) -> None:
        if self.visible(media=media) > after:
            event.set()
        else:
            self._alerts[event] = after, media

    def visible(self, *, media: bool) -> int:
        borders = [self.lanes[EVENTS].visible, self.lanes[MEDIA].visible if media else None]
        return min((border for border in borders if border is not None), default=self._last)

    def mark(self) -> bytes:
        """What a :class:`receiver.journal.view.View` has to be told to read as far as can be read here now."""
        events, media = self.visible(media=False), self.visible(media=True)
        return Mark(events, media, {name: self.lanes[name].last_link for name in (EVENTS, MEDIA)}).packed()

    async def settle(self) -> None:
        """Return when nothing waits for a writer."""
        for lane in self.lanes.values():
            await lane.settle()

    def recall(self, entries: int, dedup: Dedup, after: int = 0, kept: KeyFile | None = None) -> None:
        """Fill ``dedup`` with the newest keys on disk behind ``after``; behind 0 with what ``kept`` has, if that can be
        used, and the keys behind that. For the start: it reads files on the calling thread."""
        _recall(self.lanes[EVENTS], entries, dedup, after, kept)

    async def keep_keys(self, dedup: Dedup, kept: KeyFile, least: int) -> None:
        """Write to ``kept`` what ``dedup`` remembers, if at least ``least`` are new."""
        await kept.save(self.lanes[EVENTS], dedup, least)

    def positions(self, *, media: bool) -> int:
        """Sequence numbers committed since start in the lanes that a reader wants."""
        return sum(self.lanes[name].positions for name in wanted(media=media))

    async def backlog(self, cursor: int, *, media: bool) -> int:
        """What to add to ``positions`` to know what is taken behind ``cursor``, in the lanes that a reader wants."""
        lanes = [self.lanes[name] for name in wanted(media=media)]
        heads = [(lane, lane.head) for lane in lanes]
        since_start = sum(lane.positions for lane in lanes)
        return sum([await asyncio.to_thread(lane.positions_behind, cursor, head) for lane, head in heads]) - since_start

    async def trim(self, cursors: Mapping[str, int], media_cursors: Mapping[str, int]) -> dict[str, int]:
        """Enforce retention in every lane, off the event loop. What each reader lost that had not read it yet."""
        lost: dict[str, int] = {}
        readers = {EVENTS: cursors, MEDIA: media_cursors, QUARANTINE: {}}
        for name, lane in self.lanes.items():
            removed, missed = await asyncio.to_thread(lane.trim, readers[name])
            if removed:
                lane.recent.forget()
                log.info("journal.trimmed", lane=name, files=removed)
            for reader, count in missed.items():
                lost[reader] = lost.get(reader, 0) + count
        return lost

    async def review(self) -> None:
        """Look at files that opening passed over: mend, and say what is damaged. Off the event loop, may take long."""
        for lane in self.lanes.values():
            await asyncio.to_thread(lane.review)

    def let_go(self, idle_s: float) -> None:
        """Of what was read from disk and nobody has asked for since."""
        for lane in self.lanes.values():
            lane.recent.let_go(idle_s)

    async def close(self) -> None:
        """Commit what waits and close the files."""
        for lane in self.lanes.values():
            await asyncio.to_thread(lane.end_review)
            await lane.close()
        self._readers.shutdown(wait=False)

    async def _read_lane(
        self, lane: Lane, after: int, upto: int, limit_bytes: int, reader: str
    ) -> tuple[list[Record], int]:
        if after >= lane.tail.floor:
            return lane.tail.read(after, upto, limit_bytes, reader)
        return await lane.recent.read(after, upto, limit_bytes, partial(self._in_reader, lane.read_disk))

    def _in_reader(self, read: Callable[..., T], *arguments: int) -> "asyncio.Future[T]":
        return asyncio.get_running_loop().run_in_executor(self._readers, read, *arguments)

    def _wake(self) -> None:
        for event, (after, media) in list(self._alerts.items()):
            if self.visible(media=media) > after:
                del self._alerts[event]
                event.set()


def _end(future: "asyncio.Future[None]", problem: JournalUnavailable | None) -> None:
    if future.done():
        return
    if problem is None:
        future.set_result(None)
    else:
        future.set_exception(problem)
        future.exception()  # nobody may be waiting: that is no fault of theirs


def recall_ahead(folder: Path, entries: int, dedup: Dedup, kept: KeyFile | None = None) -> int:
    """Fill ``dedup`` from a journal that another process still writes. The number up to which that is all."""
    shelf = Shelf(EVENTS, folder / EVENTS)
    shelf.look()
    return _recall(shelf, entries, dedup, 0, kept)


def _recall(shelf: Shelf, entries: int, dedup: Dedup, after: int, kept: KeyFile | None) -> int:
    known = kept.read(shelf, dedup.share) if kept is not None and not after else None
    keys = shelf.newest_keys(entries, known.memory.last if known is not None else after)
    if known is not None and len(keys) < entries:  # else some behind it may be left out, and it tells what is outdated
        dedup.restore(*known)
        after = known.memory.last
    for key, seq, received_ns, repeat in keys:
        dedup.remember(key, Entry(seq, steady_ns(received_ns), repeat))
        after = seq
    return after
