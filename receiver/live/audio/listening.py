"""One listener's way through the journal: records in, samples out, at the listener's own pace."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Protocol

import msgspec
import structlog

from receiver.audio.mix import Mixer
from receiver.audio.pcm import Raw, Samples
from receiver.audio.timeline import NS_PER_S, Clock
from receiver.events import AudioChunk, Event, StreamOpened
from receiver.live.audio.feeds import Seat
from receiver.live.audio.query import Wish
from receiver.live.masking import Mask
from receiver.record import Record

log = structlog.get_logger()
#: longest wait before silence is told, and so the least that comes of it at once
_TICK_S = 0.04
#: timers of the loop are no finer
_LEAST_S = 0.001
#: what is sent at once is no longer
_MOST_S = 0.5


class Gap(msgspec.Struct, frozen=True):
    """So many frames are left out, from ``first_sample`` on. None: what is left out was ahead of the clock."""

    first_sample: int
    frames: int


class Line(Protocol):
    """The connection of a listener."""

    def send(self, samples: Samples | Raw) -> bool:
        """Have ``samples`` sent; whether it takes more at once. Raises ``ConnectionError`` where nobody is there."""

    async def drain(self) -> None:
        """Return when it takes more. Raises ``ConnectionError`` likewise."""


class Listening:
    """``sounds`` gives samples and gaps in order, frame 0 is at the time of the seat. Whoever takes long is further
    behind; beyond ``max_behind_s``, or where the journal has let go of what he did not hear, he goes on with now."""

    def __init__(self, seat: Seat, wish: Wish, max_behind_s: float, mask: Mask | None = None) -> None:
        """``mask``: what the listener does not see; a speaker is then known by the label that he sees."""
        self.feed = seat.feed
        self._begin = seat.begin
        self._max_behind_ns = int(max_behind_s * 1e9)
        self._mixer = Mixer(Clock(wish.rate_hz, seat.zero_ns), wish.channels, wish.track, wish.speaker)
        self._most_frames = int(_MOST_S * wish.rate_hz)
        #: a clock that nobody sets
        self._epoch_ns = time.time_ns() - time.monotonic_ns()
        self._refused = False
        self._mask = mask if mask is not None and mask.names and wish.speaker else None

    async def sounds(self, line: Line) -> AsyncIterator[Samples | Gap]:
        """Until the stream has ended for good. While the listener keeps up, samples go to ``line`` and not through
        here."""
        feed, mixer = self.feed, self._mixer
        cursor = self._begin
        while True:
            records, upto, lost = await feed.read(cursor)
            if lost or self.is_late(records):
                cursor = feed.cursor
                frames = max(0, mixer.clock.frame(self.now_ns()) - mixer.head)
                yield Gap(mixer.head, frames)
                mixer.skip(frames)
                continue
            self.push(await feed.events(records), self.now_ns())
            cursor = upto
            live = cursor >= feed.cursor
            over = live and not feed.known
            if over:
                mixer.end()
            elif live:
                mixer.advance(self.now_ns())
            for samples in self.ready():
                yield samples
            if over:
                return
            if cursor >= feed.cursor:
                cursor = await _keep_up(self, line)

    def is_late(self, records: Sequence[Record]) -> bool:
        """Whether the listener is so far behind that he goes on with now."""
        return bool(records) and time.time_ns() - records[0].received_ns > self._max_behind_ns

    def hear(self, events: Sequence[Event], line: Line, now_ns: int) -> bool:
        """Have ``line`` send what comes of ``events``, the last that there are now; whether it takes more at once. If
        it does not, ``ready`` may give some."""
        takes_more = True
        count, straight = self._mixer.straight(events, now_ns, self._most_frames)
        if straight:
            takes_more = line.send(straight[0] if len(straight) == 1 else b"".join(straight))
        if count and count == len(events):
            return takes_more
        self.push(events[count:], now_ns)
        self._mixer.advance(now_ns)
        if takes_more:
            for samples in self.ready():
                if not line.send(samples):
                    return False
        return takes_more

    def due_s(self, now_ns: int) -> float:
        """For how long there is nothing to send if nothing comes."""
        return (self._mixer.due_ns() - now_ns) / NS_PER_S

    def push(self, events: Iterable[Event], now_ns: int) -> None:
        """The next ones of the feed."""
        mixer = self._mixer
        for event in events:
            data = event.data
            if isinstance(data, StreamOpened):
                if not data.resumes:
                    mixer.renew(event.source)
                continue
            try:
                mixer.push(event if self._mask is None else self._masked(event, self._mask), now_ns)
            except ValueError as problem:
                if not self._refused:
                    self._refused = True
                    log.warning("live.audio.refused", reason=str(problem))

    def ready(self) -> Iterator[Samples]:
        """All that can be sent now."""
        while len(samples := self._mixer.take(self._most_frames)):
            yield samples
            if len(samples) < self._most_frames:
                break

    def now_ns(self) -> int:
        """The time on a clock that nobody sets, since the epoch."""
        return self._epoch_ns + time.monotonic_ns()

    def _masked(self, event: Event, mask: Mask) -> Event:
        data = event.data
        if not isinstance(data, AudioChunk) or data.speaker is None:
            return event
        return msgspec.structs.replace(event, data=msgspec.structs.replace(data, speaker=mask.apply(data.speaker)))


async def _keep_up(listening: Listening, line: Line) -> int:
    """Send what comes in the very step that reads it, and silence in its time. Returns when this way will not do any
    more; up to where everything was heard. Raises ``ConnectionError``."""
    ear = _Ear(listening, line)
    try:
        await ear.left
    finally:
        ear.close()
    await line.drain()
    return ear.cursor


class _Ear:
    """A listener who keeps up. ``left`` is done when he does not, or when it is over; ``cursor`` then says how far he
    has heard."""

    def __init__(self, listening: Listening, line: Line) -> None:
        self.cursor = 0
        self._loop = asyncio.get_running_loop()
        self.left: asyncio.Future[None] = self._loop.create_future()
        self._listening = listening
        self._line = line
        self._heard_ns = listening.now_ns()
        self._timer = self._loop.call_later(_TICK_S, self._tick)
        listening.feed.join(self)

    def hear(self, records: Sequence[Record], before: int) -> None:
        """See :class:`receiver.live.audio.feed.Ear`."""
        events: list[Event] = []
        for record in records:
            if record.events is None or record.kind in ("opened", "closed"):  # with time to look what it means
                self._leave(before)
                return
            events += record.events
        if self._listening.is_late(records):
            self._leave(before)
        else:
            self._hear(events, self._listening.now_ns())

    def close(self) -> None:
        """Hear no more."""
        self._timer.cancel()
        self._listening.feed.leave(self)

    def _tick(self) -> None:
        """Nothing has come for a while: it is silence, or the end."""
        listening, now_ns = self._listening, self._listening.now_ns()
        rest_s = _TICK_S - (now_ns - self._heard_ns) / NS_PER_S
        if listening.feed.open:
            rest_s = max(rest_s, listening.due_s(now_ns))
        elif not listening.feed.known:
            self._leave(listening.feed.cursor)
            return
        self._timer = self._loop.call_later(rest_s if rest_s > _LEAST_S else _TICK_S, self._tick)
        if rest_s <= _LEAST_S:
            self._hear((), now_ns)

    def _hear(self, events: Sequence[Event], now_ns: int) -> None:
        self._heard_ns = now_ns
        try:
            takes_more = self._listening.hear(events, self._line, now_ns)
        except Exception as problem:  # the listener has gone, or a fault of ours: his own task tells
            self._leave(self._listening.feed.cursor, problem)
        else:
            if not takes_more:
                self._leave(self._listening.feed.cursor)

    def _leave(self, cursor: int, problem: Exception | None = None) -> None:
        self.close()
        if self.left.done():
            return
        self.cursor = cursor
        if problem is None:
            self.left.set_result(None)
        else:
            self.left.set_exception(problem)
