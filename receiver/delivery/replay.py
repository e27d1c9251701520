"""Replay: what the journal holds of a span of time, decoded again from the raw bytes, written to one sink once more.

It goes through the sink's own worker, between the live batches, and never past the sink's cursor: what is behind that
comes by itself. Ids and sequence numbers are those of the first time, as long as the decoder makes the same events.
"""

import asyncio
from collections.abc import Callable

import msgspec

from receiver.delivery.decoding import decode_again
from receiver.delivery.select import Selection
from receiver.delivery.worker import READ_BYTES, SinkWorker
from receiver.errors import Malformed
from receiver.events import Event, format_time
from receiver.journal.base import Journal
from receiver.record import Decoded, Record

#: how much later than its arrival, nanoseconds, a message may be numbered (a media lane that was behind)
_LATE_NS = 60 * 10**9
#: the longest pause of a paced replay; a clock that was set leaves longer ones in the journal
_MOST_PAUSE_S = 3600.0


class ReplayOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked for. ``from_ns`` … ``to_ns``: time of arrival, nanoseconds since the epoch, both included.

    ``types``, ``subjects``: patterns, within what the sink itself wants. ``speed``: 0 as fast as it goes, 1 with the
    pauses of the first time, 2 with half of them. ``dry_run``: only count.
    """

    sink: str
    from_ns: int
    to_ns: int
    types: list[str] = msgspec.field(default_factory=lambda: ["*"])
    subjects: list[str] = msgspec.field(default_factory=lambda: ["*"])
    speed: float = 0.0
    dry_run: bool = False

    def check(self) -> None:
        """Raises ``Malformed``, naming the field, for what can never be carried out."""
        if self.from_ns > self.to_ns:
            raise Malformed(f"the range ends ({format_time(self.to_ns)}) before it begins", "from")
        for pattern in self.types:
            if Selection([pattern], ["*"]).empty:
                raise Malformed(f"{pattern!r} is no event type, nor a pattern of any", "types")
        if not self.types or not self.subjects:
            raise Malformed("an empty list: no event would fit", "types" if not self.types else "subjects")
        if self.speed < 0:
            raise Malformed("a speed below 0", "speed")


class Progress(msgspec.Struct):
    """How far a replay has come. ``begin``, ``at``, ``end`` are sequence numbers; times in nanoseconds."""

    begin: int = 0
    at: int = 0
    end: int = 0
    #: event type -> how many were found
    found: dict[str, int] = {}
    written: int = 0
    #: refused by the far side: dead letters now
    refused: int = 0
    #: sequence numbers that no decoder takes any more
    undecodable: int = 0
    #: arrival of the first and the last event that was found; 0: none
    first_ns: int = 0
    last_ns: int = 0
    #: whether the journal goes on behind the sink's cursor
    waiting: bool = False


class Replay:
    """One replay. ``progress`` may be looked at while it runs."""

    def __init__(
        self, order: ReplayOrder, worker: SinkWorker, journal: Journal, decode: Callable[[Record], Decoded]
    ) -> None:
        """Raises ``Malformed``."""
        order.check()
        self.progress = Progress()
        self._order = order
        self._worker = worker
        self._journal = journal
        self._decode = decode
        self._selection = Selection(order.types, order.subjects)
        self._media = worker.media and self._selection.media
        #: of a paced replay: when the next event is due, by the loop's clock, and when the last one arrived
        self._due_s: float | None = None
        self._due_ns = 0

    async def run(self) -> None:
        """Find and write it all, in order. Waits for as long as the sink is down; raises ``SinkNotConnected`` when its
        worker ends."""
        order, progress, worker = self._order, self.progress, self._worker
        after = await self._journal.since(order.from_ns - _LATE_NS, media=self._media)
        progress.begin = progress.at = after
        progress.end = max(after, worker.cursor)
        progress.waiting = self._journal.head > worker.cursor
        while after < progress.end:
            records, reached = await self._journal.reread(
                after, progress.end, media=self._media, limit_bytes=READ_BYTES
            )
            if reached <= after:
                break
            parts = await self._worker.pace.each(records, self._events)
            events = [event for part in parts for event in part]
            for event in events:
                progress.found[event.type] = progress.found.get(event.type, 0) + 1
                progress.first_ns = progress.first_ns or event.received_ns
                progress.last_ns = event.received_ns
            if order.dry_run:
                await asyncio.sleep(0)
            else:
                await self._write(events)
            progress.at = after = reached

    def _events(self, record: Record) -> list[Event]:
        """The wanted events of a record."""
        order = self._order
        if record.received_ns > order.to_ns or record.received_ns < order.from_ns - _LATE_NS:
            return []
        decoded = decode_again(record, self._decode, self._worker.name)
        if decoded is None:
            self.progress.undecodable += record.count
            return []
        wanted = self._worker.selection.pick(self._selection.pick(decoded))
        return [event for event in wanted if order.from_ns <= event.received_ns <= order.to_ns]

    async def _write(self, events: list[Event]) -> None:
        size = self._worker.config.batch_events
        begin = 0
        while begin < len(events):
            end = min(len(events), begin + size)
            if self._order.speed:
                end = await self._until_due(events, begin, end)
            refused = len(await self._worker.hand_over(events[begin:end]))
            self.progress.refused += refused
            self.progress.written += end - begin - refused
            self.progress.at = max(self.progress.at, events[end - 1].sequence)
            begin = end

    async def _until_due(self, events: list[Event], begin: int, end: int) -> int:
        """Sleep until the first event's turn; the index behind the last one whose turn it is, too."""
        loop = asyncio.get_running_loop()
        self._next_due(events[begin], loop.time())
        await asyncio.sleep(max(0.0, (self._due_s or 0.0) - loop.time()))
        now_s = loop.time()
        for index in range(begin + 1, end):
            before = self._due_s, self._due_ns
            if self._next_due(events[index], now_s) > now_s:
                self._due_s, self._due_ns = before
                return index
        return end

    def _next_due(self, event: Event, now_s: float) -> float:
        """When it is the turn of the event behind the last one."""
        pause_s = max(0, event.received_ns - self._due_ns) / 1e9 / self._order.speed
        self._due_s = now_s if self._due_s is None else self._due_s + min(pause_s, _MOST_PAUSE_S)
        self._due_ns = event.received_ns
        return self._due_s
