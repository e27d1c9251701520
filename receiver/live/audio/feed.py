"""One bot's newest records, and those who listen to it."""

import asyncio
from collections import deque
from collections.abc import Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Protocol

from receiver.bundle import single
from receiver.delivery.decoding import decode_all
from receiver.delivery.worker import READ_BYTES
from receiver.events import Event
from receiver.record import Record

if TYPE_CHECKING:
    from receiver.live.audio.feeds import Feeds

#: of one bot's newest records, in memory: a second or two; what an event takes beside its sound
_FEED_BYTES, _EVENT_BYTES = 256 << 10, 1500
#: the log names who met what no decoder takes
NAME = "live audio"


class Ear(Protocol):
    """A listener who has heard all that was read."""

    def hear(self, records: Sequence[Record], before: int) -> None:
        """``records`` are all that there is of this bot behind ``before``. It must not raise."""


class Feed:
    """What one bot's listeners share: ``read`` behind a cursor, ``wait`` for more, or ``join`` those who keep up."""

    def __init__(self, feeds: "Feeds", subject: str) -> None:
        self.subject = subject
        self.listeners = 0
        #: what lies up to here is in the journal only
        self.floor = feeds.cursor
        self._feeds = feeds
        self._records: deque[tuple[Record, int]] = deque()
        self._bytes = 0
        self._ears: tuple[Ear, ...] = ()
        self._waiters: list[asyncio.Future[None]] = []

    @property
    def cursor(self) -> int:
        """Up to where the journal was read."""
        return self._feeds.cursor

    @property
    def open(self) -> bool:
        """Whether it comes in now."""
        live = self._feeds.lives.get(self.subject)
        return live is not None and bool(live.open)

    @property
    def known(self) -> bool:
        """Whether it can be heard, or may come back."""
        return self._feeds.is_known(self.subject)

    async def read(self, after: int) -> tuple[Sequence[Record], int, bool]:
        """Records of this bot's audio behind ``after``, the number up to which that is all, and whether the journal
        has let go of some that were there."""
        if after >= self.cursor:
            return (), after, False
        if after >= self.floor:
            newest = takewhile(lambda kept: kept[0].seq > after, reversed(self._records))
            return [record for record, _ in newest][::-1], self.cursor, False
        found, upto = await self._feeds.journal.read(after, media=True, limit_bytes=READ_BYTES)
        first = next((record for record in found if record.kind in ("bundle", "frames")), None)
        lost = first is not None and first.prev > after
        return [one for record in found for one in single(record) if _is_of(one, self.subject)], upto, lost

    def add(self, record: Record) -> None:
        """The next record; the oldest go when there is no more room."""
        size = len(record.payload) + _EVENT_BYTES * record.count
        for event in record.events or ():
            if event.media is not None:
                size += len(event.media)
        self._records.append((record, size))
        self._bytes += size
        while self._bytes > _FEED_BYTES:
            oldest, size = self._records.popleft()
            self._bytes -= size
            self.floor = oldest.last_seq

    async def events(self, records: Sequence[Record]) -> list[Event]:
        """Their events, in order. What came from disk is decoded at the pace of all who catch up."""
        if any(record.events is None for record in records):
            await decode_all(records, self._feeds.decode, self._feeds.pace, NAME)
        return [event for record in records for event in record.events or ()]

    def join(self, ear: Ear) -> None:
        """Have ``ear`` hear what is read from now on. It has heard everything up to ``cursor``."""
        self._ears = (*self._ears, ear)

    def leave(self, ear: Ear) -> None:
        """No more for ``ear``."""
        self._ears = tuple(other for other in self._ears if other is not ear)

    async def wait(self, after: int, most_s: float) -> None:
        """Return when there may be something behind ``after``, and after ``most_s`` in any case."""
        if after < self.cursor:
            return
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        self._waiters.append(waiter)
        limit = loop.call_later(most_s, _release, waiter)
        try:
            await waiter
        finally:
            limit.cancel()
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    def tell(self, records: Sequence[Record], before: int) -> None:
        """``records`` were added; they are all that there is behind ``before``."""
        for ear in self._ears:
            ear.hear(records, before)
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            _release(waiter)


def _release(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)


def _is_of(record: Record, subject: str) -> bool:
    return record.channel == "audio" and record.subject == subject
