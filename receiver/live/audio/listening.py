"""One listener's way through the journal: records in, samples out, at the listener's own pace."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Protocol

import msgspec
import structlog

from receiver.audio.mix import Mixer
from receiver.audio.pcm import Samples
from receiver.audio.timeline import Clock
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

    def send(self, samples: Samples) -> bool:
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

    async def sounds(self, line: Line | None = None) -> AsyncIterator[Samples | Gap]:
        """Until the stream has ended for good. While the listener keeps up, samples go to ``line`` and not through
        here."""
        feed, mixer = self.feed, self._mixer
        cursor = self._begin
        while True:
            records, upto, lost = await feed.read(cursor)
            if lost or self.is_late(records):
                cursor = feed.cursor
                frames = max(0, mixer.clock.frame(self._now_ns()) - mixer.head)
                yield Gap(mixer.head, frames)
                mixer.skip(frames)
                continue
            self.push(await feed.events(records))
            cursor = upto
            live = cursor >= feed.cursor
            over = live and not feed.known
            if over:
                mixer.end()
            for samples in self.ready(advance=live and not over):
                yield samples
            if over:
                return
            if cursor < feed.cursor:
                continue
            if line is None:
                await feed.wait(cursor, _TICK_S)
            else:
                cursor = await _keep_up(self, line)

    def is_late(self, records: Sequence[Record]) -> bool:
        """Whether the listener is so far behind that he goes on with now."""
        return bool(records) and time.time_ns() - records[0].received_ns > self._max_behind_ns

    def push(self, events: Iterable[Event]) -> None:
        """The next ones of the feed."""
        mixer, now_ns = self._mixer, self._now_ns()
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

    def ready(self, *, advance: bool) -> Iterator[Samples]:
        """All that can be sent now. ``advance``: there is nothing in the journal that was not pushed."""
        if advance:
            self._mixer.advance(self._now_ns())
        while len(samples := self._mixer.take(self._most_frames)):
            yield samples
            if len(samples) < self._most_frames:
                break

    def _masked(self, event: Event, mask: Mask) -> Event:
        data = event.data
        if not isinstance(data, AudioChunk) or data.speaker is None:
            return event
        return msgspec.structs.replace(event, data=msgspec.structs.replace(data, speaker=mask.apply(data.speaker)))

    def _now_ns(self) -> int:
        return self._epoch_ns + time.monotonic_ns()


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
        self._heard_s = time.monotonic()
        self._timer = self._loop.call_later(_TICK_S, self._tick)
        listening.feed.join(self)

    def hear(self, records: Sequence[Record], before: int) -> None:
        """See :class:`receiver.live.audio.feed.Ear`."""
        listening = self._listening
        if listening.is_late(records):
            self._leave(before)
            return
        for record in records:
            if record.events is None:
                self._leave(before)
                return
        try:
            for record in records:
                listening.push(record.events or ())
            self._send()
        except Exception as problem:
            self._leave(listening.feed.cursor, problem)

    def close(self) -> None:
        """Hear no more."""
        self._timer.cancel()
        self._listening.feed.leave(self)

    def _tick(self) -> None:
        """Nothing has come for a while: it is silence, or the end."""
        feed = self._listening.feed
        rest_s = self._heard_s + _TICK_S - time.monotonic()
        if rest_s > _LEAST_S:
            self._timer = self._loop.call_later(rest_s, self._tick)
        elif not feed.known:
            self._leave(feed.cursor)
        else:
            self._timer = self._loop.call_later(_TICK_S, self._tick)
            try:
                self._send()
            except Exception as problem:
                self._leave(feed.cursor, problem)

    def _send(self) -> None:
        self._heard_s = time.monotonic()
        takes_more = True
        for samples in self._listening.ready(advance=True):
            takes_more = self._line.send(samples)
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
