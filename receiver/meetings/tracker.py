"""Keeps a book of meetings up to date from the journal. It reads the events lane and leaves media alone.

At the start it begins behind what a snapshot of the book tells, or else so far back as is configured, and folds again
what was there before. What is live goes on beside it: decoding is done at the pace of all who catch up, folding in
short slices. A journal that cannot be read for a while only makes the book late.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence

import structlog

from receiver.delivery.decoding import decode_all
from receiver.delivery.pace import Pace
from receiver.journal.base import Journal
from receiver.meetings.book import MeetingBook
from receiver.record import Decoded, Record
from receiver.redaction import redact_text

log = structlog.get_logger()
#: what is read from disk, and decoded, at once
_READ_BYTES = 256 << 10
#: then everybody else has their turn
_SLICE_S = 0.001
_FIRST_RETRY_S, _MOST_RETRY_S = 0.5, 30.0
#: what comes in shorter intervals is folded together, unless somebody asks
_GATHER_S = 0.02
_NAME = "meetings"
#: fills a book; told the number behind which the journal would be read, it tells the one behind which to go on
Restore = Callable[[MeetingBook, int], Awaitable[int | None]]


class MeetingTracker:
    """One reader of the journal. Use ``run`` as a task of its own."""

    def __init__(
        self,
        book: MeetingBook,
        journal: Journal,
        decode: Callable[[Record], Decoded],
        *,
        pace: Pace,
        history_s: float = 2 * 86400.0,
        restore: Restore | None = None,
        tick_s: float = 5.0,
        now_ns: Callable[[], int] = time.time_ns,
        retry_s: float = _FIRST_RETRY_S,
    ) -> None:
        """``pace``: what all who catch up have in common. ``history_s``: how far back it begins, unless ``restore``
        knows better. ``tick_s``: how often quiet meetings are looked for. ``now_ns``: the clock that stamps
        arrivals."""
        self.book = book
        self._journal = journal
        self._decode = decode
        self._pace = pace
        self._history_s = history_s
        self._restore = restore
        self._tick_s = tick_s
        self._now_ns = now_ns
        self._retry_s = retry_s
        self._cursor = 0
        self._begun = False
        self._ticked_s = 0.0
        self._asked = asyncio.Event()
        self._folded = asyncio.Event()
        #: the last record that was read since the start and is in the book
        self.last: Record | None = None
        #: whoever holds it finds the book at rest, just behind ``last``
        self.still = asyncio.Lock()
        #: set once everything that was there at the start is folded
        self.caught_up = asyncio.Event()

    @property
    def cursor(self) -> int:
        """The last number whose events are in the book."""
        return self._cursor

    async def current(self, most_s: float = 1.0) -> None:
        """Return when everything that is in the journal now is in the book, and after ``most_s`` in any case; at once
        while what was there at the start is still folded."""
        upto = self._journal.visible(media=False)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(most_s):
                while self._cursor < upto and self.caught_up.is_set():
                    self._asked.set()
                    await self._folded.wait()

    async def run(self) -> None:
        """Follow the journal for ever. Nothing but cancellation ends it."""
        retry_s = self._retry_s
        while True:
            try:
                await self._step()
            except Exception as error:  # the journal's fault, or ours
                log.error("meetings.read.failed", error=redact_text(f"{type(error).__name__}: {error}"))
                await asyncio.sleep(retry_s)
                retry_s = min(retry_s * 2, _MOST_RETRY_S)
            else:
                retry_s = self._retry_s

    async def _step(self) -> None:
        """Read and fold once, or wait for more."""
        if not self._begun:
            self._cursor = await self._begin()
            self._begun = True
        records, upto = await self._journal.read(self._cursor, media=False, limit_bytes=_READ_BYTES, reader=_NAME)
        behind = upto > self._cursor
        await decode_all(records, self._decode, self._pace, _NAME)
        async with self.still:
            await self._fold(records)
            self._cursor = upto
            self._folded.set()
            self._folded.clear()
            if not behind:
                self.caught_up.set()
            if self.caught_up.is_set():
                self._tick()
        if not behind:
            await self._wait()

    async def _begin(self) -> int:
        """The number behind which to read."""
        since_ns = self._now_ns() - int(self._history_s * 1e9)
        since = await self._journal.since(since_ns, media=False)
        known = None if self._restore is None else await self._restore(self.book, since)
        return since if known is None else known

    async def _wait(self) -> None:
        self._asked.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GATHER_S):
                await self._asked.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._tick_s):
                await self._journal.wait(self._cursor, media=False)

    def _tick(self) -> None:
        """Not while the past is folded: what looks quiet there is only not read yet."""
        now_s = time.monotonic()
        if now_s - self._ticked_s >= self._tick_s:
            self._ticked_s = now_s
            self.book.tick(self._now_ns())

    async def _fold(self, records: Sequence[Record]) -> None:
        """In slices."""
        until_s = time.perf_counter() + _SLICE_S
        for record in records:
            if record.events is not None:
                self.book.fold(record.events)
            else:
                source = f"/{record.vendor}/{record.endpoint}"
                self.book.lost(source, record.subject, damaged=record.kind == "damaged")
            self._cursor, self.last = record.last_seq, record
            if time.perf_counter() >= until_s:
                await asyncio.sleep(0)
                until_s = time.perf_counter() + _SLICE_S
