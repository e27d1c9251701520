"""Resampling a live run of samples: every piece goes in once, what comes out is final and of steady delay.

soxr works in blocks at a fixed ratio, and what it gives then waits for up to 40 ms at 16 kHz. With ``vr`` it gives
after each piece all that its filter has seen both sides of: 12.5 ms behind at 16 kHz, 27.5 ms at 8 kHz. The price is a
phase that is not linear: from the lowest tones to the highest, the delay differs by less than a millisecond. (What
``sinks.resample`` does, which gives the last milliseconds twice is for files.)
"""

import numpy as np
import soxr

from receiver.audio.pcm import Samples


class LiveResampler:
    """One unbroken run of samples from ``rate_in_hz`` to ``rate_out_hz``; arrays are [frame, channel]."""

    def __init__(self, rate_in_hz: int, rate_out_hz: int, channels: int) -> None:
        self._channels = channels
        self._taken = self._given = 0
        self._rates = rate_in_hz, rate_out_hz
        self._soxr = None
        if rate_in_hz != rate_out_hz:
            self._soxr = soxr.ResampleStream(rate_in_hz, rate_out_hz, channels, dtype="float32", quality="HQ", vr=True)

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
    return np.clip(np.rint(samples), -32768, 32767).astype(np.int16)
