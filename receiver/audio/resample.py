"""Resampling a live run of samples: every piece goes in once, what comes out is final and of steady delay.

By a whole factor (48 to 16 kHz, 8 to 16 kHz, and so on) it is one filter of linear phase: 2.6 ms behind where the lower
rate is 16 kHz, 5.1 ms at 8 kHz, and less work than soxr (a third of it from 48 to 16 kHz).

Between other rates it is soxr. That works in blocks at a fixed ratio, and what it gives then waits for up to 40 ms at
16 kHz. With ``vr`` it gives after each piece all that its filter has seen both sides of: 12.5 ms behind at 16 kHz,
27.5 ms at 8 kHz. The price is a phase that is not linear: from the lowest tones to the highest, the delay differs by
less than a millisecond. (What ``sinks.resample`` does, which gives the last milliseconds twice is for files.)
"""

from functools import lru_cache
from typing import Protocol

import numpy as np
import soxr
from numpy.typing import NDArray

from receiver.audio.pcm import Samples

Floats = NDArray[np.float32]

#: frames of the lower rate that its filter sees to each side: by Kaiser's formulas enough for tones to sink by 96 dB,
#: all that 16 bits hold, between 0.85 of what the lower rate can carry and all of it
_REACH = 41
_PASS, _KAISER_BETA = 0.85, 9.62
#: beyond it filters get long
_MOST_FACTOR = 6
#: as arrays, since numbers would be made into such each time
_LEAST, _MOST = np.array(-32768, np.float32), np.array(32767, np.float32)


class _Resampler(Protocol):
    """Frames [frame, channel] in, those that are final out; with ``last`` as if silence followed."""

    def resample_chunk(self, x: Floats, last: bool = False) -> Floats: ...


class LiveResampler:
    """One unbroken run of samples from ``rate_in_hz`` to ``rate_out_hz``; arrays are [frame, channel]."""

    def __init__(self, rate_in_hz: int, rate_out_hz: int, channels: int) -> None:
        self._channels = channels
        self._taken = self._given = 0
        self._rates = rate_in_hz, rate_out_hz
        self._inner = None if rate_in_hz == rate_out_hz else _resampler(rate_in_hz, rate_out_hz, channels)

    def push(self, samples: Samples) -> Samples:
        """Add ``samples``; what can be told for good now."""
        if self._inner is None:
            return samples
        self._taken += len(samples)
        result = _int16(self._inner.resample_chunk(samples.astype(np.float32)))
        self._given += len(result)
        return result

    def end(self) -> Samples:
        """What is left, as if silence followed; the run has then the length of its input, rounded half up."""
        empty = np.empty((0, self._channels), np.int16)
        if self._inner is None:
            return empty
        rate_in_hz, rate_out_hz = self._rates
        left = (2 * self._taken * rate_out_hz + rate_in_hz) // (2 * rate_in_hz) - self._given
        rest = self._inner.resample_chunk(np.empty((0, self._channels), np.float32), last=True)
        result = _int16(rest)[: max(0, left)]
        return result if len(result) else empty


class _WholeFactor:
    """To a rate ``up`` times higher or ``down`` times lower; the other of them is 1."""

    def __init__(self, up: int, down: int, channels: int) -> None:
        self._step = down
        self._taps = _taps(up, down)
        #: [channel, frame]: what the next sample sees of the past
        self._held = np.zeros((channels, _REACH * down), np.float32)

    def resample_chunk(self, x: Floats, last: bool = False) -> Floats:
        step, (phases, width), channels = self._step, self._taps.shape, x.shape[1]
        silence = np.zeros((channels, (_REACH + 1) * step * last), np.float32)
        held = np.empty((channels, self._held.shape[1] + len(x) + silence.shape[1]), np.float32)
        np.concatenate((self._held, x.T, silence), axis=1, out=held)
        count = max(0, (held.shape[1] - width) // step + 1)
        self._held = held[:, count * step :]
        result = np.empty((count, phases, channels), np.float32)
        for channel in range(channels):
            strides = step * held.itemsize, held.itemsize
            seen = np.ndarray((count, width), held.dtype, held, channel * held.strides[0], strides)
            result[:, :, channel] = np.einsum("ij,pj->ip", seen, self._taps)
        return result.reshape(count * phases, channels)


def _resampler(rate_in_hz: int, rate_out_hz: int, channels: int) -> _Resampler:
    up, down = rate_out_hz // rate_in_hz, rate_in_hz // rate_out_hz
    if 1 < up <= _MOST_FACTOR and rate_out_hz % rate_in_hz == 0:
        return _WholeFactor(up, 1, channels)
    if 1 < down <= _MOST_FACTOR and rate_in_hz % rate_out_hz == 0:
        return _WholeFactor(1, down, channels)
    stream: _Resampler = soxr.ResampleStream(rate_in_hz, rate_out_hz, channels, dtype="float32", quality="HQ", vr=True)
    return stream


@lru_cache
def _taps(up: int, down: int) -> Floats:
    """A low pass for the lower of two rates: [frame that goes out for one that comes in, frame that it sees]."""
    factor = max(up, down)
    at = np.arange(2 * _REACH * factor + 1) - _REACH * factor
    taps = np.sinc((1 + _PASS) / 2 / factor * at) * np.kaiser(len(at), _KAISER_BETA)
    taps *= up / taps.sum()
    # between two frames that come in it sees one more behind itself than before: the first is none of its own
    phases = [taps[::up], *(np.append(0, taps[up - phase :: up]) for phase in range(1, up))]
    return np.array(phases, np.float32)


def _int16(samples: Floats) -> Samples:
    """To the nearest, held to the range. Changes ``samples``."""
    np.rint(samples, out=samples)
    np.maximum(samples, _LEAST, out=samples)
    np.minimum(samples, _MOST, out=samples)
    return samples.astype(np.int16)
