"""One listener's way through the journal: records in, samples out, at the listener's own pace."""

import time
from collections.abc import AsyncIterator

import msgspec
import structlog

from receiver.audio.mix import Mixer
from receiver.audio.pcm import Samples
from receiver.audio.timeline import Clock
from receiver.events import AudioChunk, Event, StreamOpened
from receiver.live.audio.feeds import Seat
from receiver.live.audio.query import Wish
from receiver.live.masking import Mask

log = structlog.get_logger()
#: longest wait before silence is told, and so the least that comes of it at once
_TICK_S = 0.04
#: what is sent at once is no longer
_MOST_S = 0.5


class Gap(msgspec.Struct, frozen=True):
    """So many frames are left out, from ``first_sample`` on. None: what is left out was ahead of the clock."""

    first_sample: int
    frames: int


class Listening:
    """``sounds`` gives samples and gaps in order, frame 0 is at the time of the seat. Whoever takes long is further
    behind; beyond ``max_behind_s``, or where the journal has let go of what he did not hear, he goes on with now."""

    def __init__(self, seat: Seat, wish: Wish, max_behind_s: float, mask: Mask | None = None) -> None:
        """``mask``: what the listener does not see; a speaker is then known by the label that he sees."""
        self._feed = seat.feed
        self._begin = seat.begin
        self._max_behind_ns = int(max_behind_s * 1e9)
        self._mixer = Mixer(Clock(wish.rate_hz, seat.zero_ns), wish.channels, wish.track, wish.speaker)
        self._most_frames = int(_MOST_S * wish.rate_hz)
        #: a clock that nobody sets
        self._epoch_ns = time.time_ns() - time.monotonic_ns()
        self._refused = False
        self._mask = mask if mask is not None and mask.names and wish.speaker else None

    async def sounds(self) -> AsyncIterator[Samples | Gap]:
        """Until the stream has ended for good."""
        feed, mixer = self._feed, self._mixer
        cursor = self._begin
        while True:
            records, upto, lost = await feed.read(cursor)
            if lost or (records and time.time_ns() - records[0].received_ns > self._max_behind_ns):
                cursor = feed.cursor
                frames = max(0, mixer.clock.frame(self._now_ns()) - mixer.head)
                yield Gap(mixer.head, frames)
                mixer.skip(frames)
                continue
            for event in await feed.events(records):
                if isinstance(event.data, StreamOpened):
                    if not event.data.resumes:
                        mixer.renew(event.source)
                    continue
                try:
                    mixer.push(self._masked(event), self._now_ns())
                except ValueError as problem:
                    if not self._refused:
                        self._refused = True
                        log.warning("live.audio.refused", reason=str(problem))
            cursor = upto
            live = cursor >= feed.cursor
            over = live and not feed.known
            if over:
                mixer.end()
            elif live:
                mixer.advance(self._now_ns())
            while len(samples := mixer.take(self._most_frames)):
                yield samples
                if len(samples) < self._most_frames:
                    break
            if over:
                return
            if cursor >= feed.cursor:
                await feed.wait(cursor, _TICK_S)

    def _masked(self, event: Event) -> Event:
        data = event.data
        if self._mask is None or not isinstance(data, AudioChunk) or data.speaker is None:
            return event
        shown = msgspec.structs.replace(data, speaker=self._mask.apply(data.speaker))
        return msgspec.structs.replace(event, data=shown)

    def _now_ns(self) -> int:
        return self._epoch_ns + time.monotonic_ns()
