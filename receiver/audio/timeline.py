"""One track of a meeting on the clock of what is sent: chunks in, samples at their places out. Pure.

Two clocks tell where a chunk belongs. The stream's own (``first_sample``) is exact and knows of every gap that the
vendor counts; arrival is rough, and the only one that knows of a pause in which the vendor sent nothing and counted
nothing. So: a chunk that continues the one before follows it without a seam, one that its clock puts further on is put
there, and after a pause that no clock tells, arrival decides. What was sent already is never taken back: what comes
late is put right behind it, complete.
"""

from collections import deque
from typing import NamedTuple

import msgspec
import numpy as np

from receiver.audio.pcm import Raw, Samples, Sound
from receiver.audio.resample import LiveResampler
from receiver.events import AudioChunk, Event

NS_PER_S = 1_000_000_000
#: nothing for so long, behind the length of a chunk, is a pause and no delay of the network
QUIET_NS = 200_000_000
#: a sample clock that runs ahead of arrival by more is not believed
_AHEAD_S = 10
#: one that steps back by more has begun again
_BACK_S = 10


class Clock(msgspec.Struct, frozen=True):
    """Frame 0 of what is sent is at ``zero_ns`` (since the epoch)."""

    rate_hz: int
    zero_ns: int

    def frame(self, time_ns: int) -> int:
        """The frame at a time."""
        return (time_ns - self.zero_ns) * self.rate_hz // NS_PER_S


class Piece(NamedTuple):
    """Samples, and the frame of the first of them."""

    at: int
    samples: Samples


class _Anchor(NamedTuple):
    """A place on both clocks."""

    frame: int
    sample: int


class Track:
    """Give it the chunks of one track in order of arrival; ``pieces`` are for whoever sends them, who takes them away.

    ``end``: the frame up to which all is known. ``running``: chunks are expected to follow right there.
    """

    def __init__(self, clock: Clock, channels: int) -> None:
        self.pieces: deque[Piece] = deque()
        self.end = 0
        self.heard_ns = 0
        self.longest_ns = 0
        self._clock = clock
        self._channels = channels
        self._sequence = 0
        self._rate_hz = 0
        self._next: int | None = None
        self._anchor: _Anchor | None = None
        self._run: LiveResampler | None = None

    @property
    def running(self) -> bool:
        return self._run is not None

    @property
    def rests_ns(self) -> int:
        """Nobody waits for this track behind that time, unless something is pushed."""
        return self.heard_ns + self.longest_ns + QUIET_NS

    def push(self, sound: Sound, sequence: int, received_ns: int, head: int, latest_ns: int) -> None:
        """Put ``sound`` at its place, or right behind what was sent: ``head`` frames. ``latest_ns``: the time now;
        arrivals behind it are a clock that was set. Repeated chunks, by number or by place, are left out."""
        if 0 < sequence <= self._sequence:
            return
        self._sequence = max(self._sequence, sequence)
        if sound.rate_hz != self._rate_hz:
            self.renew()
            self._rate_hz = sound.rate_hz
        samples, first = sound.samples, sound.first_sample
        if first is not None and self._next is not None:
            known = self._next - first
            if known > _BACK_S * sound.rate_hz:
                self.renew()
            elif known > 0:
                samples, first = samples[known:], self._next
        if not len(samples):
            return
        length_ns = len(samples) * NS_PER_S // sound.rate_hz
        arrived_ns = min(received_ns, latest_ns)
        quiet = arrived_ns - self.heard_ns > QUIET_NS + max(self.longest_ns, length_ns)
        missing = first - self._next if first is not None and self._next is not None else 0
        if self._next is None and sound.gap_ms:
            missing = round(sound.gap_ms * sound.rate_hz / 1000)
        if self._run is None or quiet or missing:
            by_arrival = quiet or (first is not None and self._next is None)
            self._begin(first, missing, self._clock.frame(arrived_ns - length_ns) if by_arrival else self.end, head)
        self._next = None if first is None else first + len(samples)
        self.heard_ns = max(self.heard_ns, arrived_ns)
        self.longest_ns = max(self.longest_ns, length_ns)
        assert self._run is not None  # noqa: S101 - set by _begin; for the type checker
        self._add(self._run.push(_mapped(samples, self._channels)))

    def follow(self, chunk: AudioChunk, raw: Raw, frames: int, event: Event, latest_ns: int, now_ns: int) -> Raw | None:
        """What comes of ``raw``, ``frames`` of ``event``, where they follow what was taken without a seam and the run
        goes on at ``now_ns``: they are pushed and taken then. ``None``: they do not, and nothing is done. For who has
        looked at form and position."""
        first, sequence, run = chunk.first_sample, event.sequence, self._run
        if (
            run is None
            or self.pieces
            or chunk.rate_hz != self._rate_hz
            or 0 < sequence <= self._sequence
            or first != self._next
            or (first is None and chunk.gap_ms)
        ):
            return None
        longest_ns = max(self.longest_ns, frames * NS_PER_S // self._rate_hz)
        arrived_ns = min(event.received_ns, latest_ns)
        heard_ns = max(self.heard_ns, arrived_ns)
        if max(arrived_ns - self.heard_ns, now_ns - heard_ns) > QUIET_NS + longest_ns:
            return None
        if sequence > 0:
            self._sequence = sequence
        if first is not None:
            self._next = first + frames
        self.heard_ns, self.longest_ns = heard_ns, longest_ns
        if self._rate_hz == self._clock.rate_hz:
            self.end += frames
            return raw
        samples = run.push(np.frombuffer(raw, "<i2").reshape(-1, self._channels))
        self.end += len(samples)
        return samples.astype("<i2", copy=False).tobytes()

    def frames_out(self, frames: int) -> int:
        """How many ``frames`` of what was pushed last become, nearly."""
        return frames * self._clock.rate_hz // self._rate_hz

    def rest(self, now_ns: int) -> None:
        """End the run where nothing has come for a while: nobody waits for this track then."""
        if now_ns > self.rests_ns:
            self.end_run()

    def renew(self) -> None:
        """The stream begins anew: its clock tells nothing of where it was."""
        self.end_run()
        self._next = self._anchor = None

    def end_run(self) -> None:
        """Have all that was pushed in ``pieces``."""
        if self._run is not None:
            self._add(self._run.end())
            self._run = None

    def _begin(self, first: int | None, missing: int, arrival: int, head: int) -> None:
        """A new run of samples. ``arrival``: the frame of its begin, as far as the sample clock does not tell it."""
        self.end_run()
        rate_hz = self._clock.rate_hz
        at = arrival
        if missing and self._anchor is not None and first is not None:
            at = self._anchor.frame + _scale(first - self._anchor.sample, self._rate_hz, rate_hz)
        elif missing and self.end:
            at = max(at - rate_hz // 50, self.end + _scale(missing, self._rate_hz, rate_hz))
        if at > arrival + _AHEAD_S * rate_hz:
            at, missing = arrival, 0
        at = max(at, self.end, head)
        if first is not None and not (missing and self._anchor):
            self._anchor = _Anchor(at, first)
        self._run = LiveResampler(self._rate_hz, rate_hz, self._channels)
        self.end = at

    def _add(self, samples: Samples) -> None:
        if len(samples):
            self.pieces.append(Piece(self.end, samples))
            self.end += len(samples)


def _scale(position: int, rate_in_hz: int, rate_out_hz: int) -> int:
    """A position on one sample clock as the nearest on another."""
    return (2 * position * rate_out_hz + rate_in_hz) // (2 * rate_in_hz)


def _mapped(samples: Samples, channels: int) -> Samples:
    """The same with one channel or two: several become one by their mean, one is heard on both."""
    given = samples.shape[1]
    if given == channels:
        return samples
    if given > 1:
        samples = np.rint(samples.mean(axis=1, keepdims=True, dtype=np.float32)).astype(np.int16)
    return samples if channels == 1 else np.repeat(samples, channels, axis=1)
