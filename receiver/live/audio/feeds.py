"""Which bots' sound can be heard, and the newest records of those that somebody listens to.

One reader follows the journal for all listeners, in the media lane only while there are any. What it reads of a bot is
kept for a moment in that bot's feed. Each listener has a cursor of his own: one who keeps up hears what is read in
the very step that reads it, one who falls behind reads the feed and then the journal. Nothing is queued for anybody.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from itertools import chain
from typing import NamedTuple

import structlog

from receiver.bundle import single
from receiver.delivery.decoding import give_events
from receiver.delivery.pace import Pace
from receiver.delivery.worker import READ_BYTES
from receiver.errors import NotFound, Overloaded
from receiver.events import StreamClosed, StreamOpened
from receiver.journal.base import Journal
from receiver.live.audio.feed import NAME, Feed
from receiver.record import Decoded, Record

log = structlog.get_logger()
_RETRY_S = 1.0
#: see ``Feeds._wait``
_GATHER_S = 0.02
#: a journal that cannot be read keeps a listener for so long
_CURRENT_S = 1.0


class Live:
    """A bot's audio: connections that are open, when the last of them ended (monotonic seconds), when it began."""

    __slots__ = ("began_ns", "ended_s", "open")

    def __init__(self, began_ns: int) -> None:
        self.began_ns = began_ns
        self.open: set[str] = set()
        self.ended_s = 0.0


class Seat(NamedTuple):
    """A listener's place: whose sound, behind which number of the journal, since when (nanoseconds since the epoch)."""

    feed: Feed
    begin: int
    zero_ns: int


class Feeds:
    """Have ``run`` as a task for as long as the journal is open; ``close`` ends all listening."""

    def __init__(self, journal: Journal, decode: Callable[[Record], Decoded], resume_s: float, pace: Pace) -> None:
        """``resume_s``: for so long after its last connection a stream may come back. ``pace``: the server's."""
        self.journal = journal
        self.pace = pace
        self.cursor = journal.head
        self.lives: dict[str, Live] = {}
        self.decode = decode
        self._resume_s = resume_s
        self._feeds: dict[str, Feed] = {}
        self._wanted = asyncio.Event()
        self._stepped = asyncio.Event()
        self._running: set[asyncio.Timeout] = set()
        self._closed = False

    async def run(self) -> None:
        """Follow the journal for ever."""
        while True:
            try:
                await self._step()
            except Exception:  # the journal's fault, or ours
                log.exception("live.audio.fault")
                await asyncio.sleep(_RETRY_S)

    def is_known(self, subject: str) -> bool:
        """Whether a bot's audio can be heard, or may come back."""
        live = self.lives.get(subject)
        return live is not None and (bool(live.open) or time.monotonic() - live.ended_s <= self._resume_s)

    @asynccontextmanager
    async def listen(self, subject: str, wait_s: float) -> AsyncIterator[Seat]:
        """A place from now on, or from the begin of what begins within ``wait_s``. Raises ``NotFound`` where none does.

        What is done with it ends with ``Overloaded`` when this is closed.
        """
        if self._closed:
            raise Overloaded("the server is stopping")
        limit = asyncio.timeout(None)
        try:
            async with limit, self._joined(subject) as feed:
                self._running.add(limit)
                await self._current()
                begin, zero_ns = self.cursor, time.time_ns()
                if not feed.known:
                    await self._begun(feed, wait_s)
                    zero_ns = self.lives[subject].began_ns
                yield Seat(feed, begin, zero_ns)
        except TimeoutError:
            if not limit.expired():
                raise
            raise Overloaded("the server is stopping") from None
        finally:
            self._running.discard(limit)

    def close(self) -> None:
        """End all listening, also where a listener does not take what it is sent."""
        self._closed = True
        for limit in self._running:
            if not limit.expired():
                limit.reschedule(0.0)

    # ---- parts

    @asynccontextmanager
    async def _joined(self, subject: str) -> AsyncIterator[Feed]:
        feed = self._feeds.get(subject)
        if feed is None:
            feed = self._feeds[subject] = Feed(self, subject)
        feed.listeners += 1
        self._wanted.set()
        try:
            yield feed
        finally:
            feed.listeners -= 1
            if not feed.listeners:
                self._feeds.pop(subject, None)

    async def _current(self) -> None:
        """Return when everything has been read that is in the journal now."""
        upto = self.journal.visible(media=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(_CURRENT_S):
                while self.cursor < upto:
                    await self._stepped.wait()

    async def _begun(self, feed: Feed, wait_s: float) -> None:
        until_s = time.monotonic() + wait_s
        while not feed.known:
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                raise NotFound(
                    f"no live audio of {feed.subject!r}; ?wait= with a number of seconds waits for it to begin"
                )
            await feed.wait(feed.cursor, left_s)

    async def _step(self) -> None:
        media = bool(self._feeds)
        records, upto = await self.journal.read(self.cursor, media=media, limit_bytes=READ_BYTES, reader=NAME)
        news: dict[Feed, list[Record]] = {}
        for record in chain.from_iterable(map(single, records)):
            if record.channel != "audio" or not record.subject:
                continue
            if record.kind in ("opened", "closed"):
                self._note(record)
            elif not self.is_known(record.subject):  # its opening did not tell yet whose it is
                self._opened(record)
            feed = self._feeds.get(record.subject)
            if feed is not None:
                feed.add(record)
                news.setdefault(feed, []).append(record)
        if upto > self.cursor:
            before, self.cursor = self.cursor, upto
            self._stepped.set()
            self._stepped.clear()
            for feed, found in news.items():
                feed.tell(found, before)
        else:
            await self._wait(media)

    async def _wait(self, media: bool) -> None:
        """Wait for the journal. Without listeners what comes in shorter intervals is read together: then only what was
        opened and closed matters, and the first listener ends the wait."""
        self._wanted.clear()
        if not self._feeds:
            with suppress(TimeoutError):
                async with asyncio.timeout(_GATHER_S):
                    await self._wanted.wait()
        await self.journal.wait(self.cursor, media=media and bool(self._feeds))

    def _note(self, record: Record) -> None:
        """A stream was opened or closed."""
        give_events(record, self.decode, NAME)
        for event in record.events or ():
            data = event.data
            if isinstance(data, StreamOpened):
                self._opened(record)
            elif isinstance(data, StreamClosed) and record.subject in self.lives:
                live = self.lives[record.subject]
                live.open.discard(record.connection)
                live.ended_s = time.monotonic()
                self._forget_gone()

    def _opened(self, record: Record) -> None:
        if not self.is_known(record.subject):
            self.lives[record.subject] = Live(record.received_ns)
        self.lives[record.subject].open.add(record.connection)

    def _forget_gone(self) -> None:
        """The first of those that will not come back; they lie in order of their beginning, roughly that of ending."""
        for subject in list(self.lives)[:16]:
            if not self.is_known(subject):
                del self.lives[subject]
