"""Resampling piece by piece, with the same result as resampling the whole at once. Pure arithmetic on arrays.

A resampling filter looks a little into the future: the last few milliseconds of what is there come out as if silence
followed. Each piece is therefore resampled together with a little of what went before it, and the result begins with
a better version of the last few milliseconds of the previous one. Whoever writes each result at its place has, at any
moment, a recording of full length, without a click at the borders.
"""

from math import gcd
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

from receiver.audio.pcm import Samples

#: reach of soxr's HQ filter to either side, in samples of the lower rate: 92 by measurement
_REACH_SAMPLES = 128


class Resampler:
    """One unbroken run of samples from ``rate_in_hz`` to ``rate_out_hz``; arrays are [frame, channel]."""

    def __init__(self, rate_in_hz: int, rate_out_hz: int, channels: int) -> None:
        common = gcd(rate_in_hz, rate_out_hz)
        self.rate_in_hz = rate_in_hz
        self.rate_out_hz = rate_out_hz
        self._step_in = rate_in_hz // common
        self._step_out = rate_out_hz // common
        self._reach = -(-_REACH_SAMPLES * rate_in_hz // min(rate_in_hz, rate_out_hz))
        #: frames in so far
        self.taken = 0
        self._held: NDArray[Any] = np.empty((0, channels), np.float32)
        self._held_from = 0

    @property
    def length(self) -> int:
        """Frames out so far."""
        return self.frames_out(self.taken)

    def frames_out(self, frames_in: int) -> int:
        """How many frames come out of ``frames_in`` from the start of the run, rounded half up."""
        return (2 * frames_in * self.rate_out_hz + self.rate_in_hz) // (2 * self.rate_in_hz)

    def push(self, samples: Samples) -> tuple[int, Samples]:
        """Add ``samples``; return the frame at which the result belongs, counted from the run's start, and the result.

        The result reaches from there to :attr:`length`, and its head replaces what was returned before.
        """
        if self.rate_in_hz == self.rate_out_hz:
            self.taken += len(samples)
            return self.taken - len(samples), samples
        self._held = np.concatenate((self._held, samples.astype(np.float32)))
        settled_in = max(0, self.taken - self._reach)
        self.taken += len(samples)
        origin = self._held_from // self._step_in * self._step_out
        start = settled_in * self.rate_out_hz // self.rate_in_hz
        result = soxr.resample(self._held, self.rate_in_hz, self.rate_out_hz)[start - origin : self.length - origin]
        self._forget()
        return start, np.clip(np.rint(result), -32768, 32767).astype("<i2")

    def _forget(self) -> None:
        """Keep what the next call needs, from a frame that has an exact counterpart on the other side."""
        keep_from = max(0, self.taken - 2 * self._reach) // self._step_in * self._step_in
        self._held = self._held[keep_from - self._held_from :].copy()
        self._held_from = keep_from
