"""Resampling a live run of samples: every piece goes in once, what comes out is final.

soxr has two ways. With ``vr`` it gives after each piece all that its filter has seen both sides of, always as far
behind: 27.5 ms from 48 to 8 kHz. Its phase is not linear: from the lowest tones to the highest, the delay differs by
less than a millisecond. At a fixed ratio it works in blocks. Where they are as short as ``receiver serve`` has
it make them (by itself: up to 37 ms), it is 6 to 15 ms behind from 48 to 16 kHz, and takes a tenth of the time; for
rates that lie lower, or where one is the double of the other, its blocks are too long. (What ``sinks.resample`` does,
which gives the last milliseconds twice, is for files.)
"""

import numpy as np
import soxr

from receiver.audio.pcm import Samples

#: both rates of a run in blocks
_LEAST_BLOCK_RATE_HZ = 16_000


class LiveResampler:
    """One unbroken run of samples from ``rate_in_hz`` to ``rate_out_hz``; arrays are [frame, channel]."""

    def __init__(self, rate_in_hz: int, rate_out_hz: int, channels: int) -> None:
        self._channels = channels
        self._taken = self._given = 0
        self._rates = rate_in_hz, rate_out_hz
        self._soxr = None
        if rate_in_hz != rate_out_hz:
            low_hz, high_hz = sorted(self._rates)
            vr = low_hz < _LEAST_BLOCK_RATE_HZ or high_hz == 2 * low_hz
            self._soxr = soxr.ResampleStream(rate_in_hz, rate_out_hz, channels, dtype="float32", quality="HQ", vr=vr)

    def push(self, samples: Samples) -> Samples:
        """Add ``samples``; what can be told for good now."""
        if self._soxr is None:
            return samples
        self._taken += len(samples)
        result = _int16(self._soxr.resample_chunk(samples.astype(np.float32)))
        self._given += len(result)
        return result

    def end(self) -> Samples:
        """What is left, as if silence followed; the run has then the length of its input, rounded half up."""
        empty = np.empty((0, self._channels), np.int16)
        if self._soxr is None:
            return empty
        rate_in_hz, rate_out_hz = self._rates
        left = (2 * self._taken * rate_out_hz + rate_in_hz) // (2 * rate_in_hz) - self._given
        result = _int16(self._soxr.resample_chunk(np.empty((0, self._channels), np.float32), last=True))[: max(0, left)]
        return result if len(result) else empty


def _int16(samples: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> Samples:
    return np.rint(samples, out=samples).clip(-32768, 32767, out=samples).astype(np.int16)
