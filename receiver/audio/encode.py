"""From samples to the bytes of a live stream: raw PCM, mu-law, the header of a WAV file without end, fixed lengths."""

import struct
from collections.abc import Sequence

import numpy as np

from receiver.audio.pcm import MULAW_VALUES, Raw, Samples

CODECS = ("pcm_s16le", "pcm_mulaw")
_WAV = struct.Struct("<4sI4s 4sIHHIIHH 4sI")
#: a size that nobody knows yet; players then read to the end
_ENDLESS = 0xFFFFFFFF


def wav_header(rate_hz: int, channels: int) -> bytes:
    """The 44 bytes before 16-bit PCM whose length is not known yet."""
    block = 2 * channels
    return _WAV.pack(
        b"RIFF", _ENDLESS, b"WAVE", b"fmt ", 16, 1, channels, rate_hz, rate_hz * block, block, 16, b"data", _ENDLESS
    )


def frame_bytes(codec: str, channels: int) -> int:
    """Bytes of one frame, a sample for each channel."""
    return channels * (1 if codec == "pcm_mulaw" else 2)


def encode(codec: str, samples: Samples | Raw) -> bytes:
    """``samples`` in one of ``CODECS``, channels interleaved."""
    if not isinstance(samples, np.ndarray):
        if codec == "pcm_s16le":
            return bytes(samples)
        samples = np.frombuffer(samples, "<i2").astype(np.int16, copy=False)
    if codec == "pcm_mulaw":
        return _MULAW_CODES[np.ascontiguousarray(samples).view(np.uint16)].tobytes()
    return samples.astype("<i2", copy=False).tobytes()


def silence(codec: str, channels: int, frames: int) -> bytes:
    """So many frames of nothing."""
    return (b"\xff" if codec == "pcm_mulaw" else b"\0") * (frames * frame_bytes(codec, channels))


class Cutter:
    """Cuts a stream of bytes into messages of one length. ``held_bytes``: what waits for the rest of its message."""

    def __init__(self, message_bytes: int) -> None:
        self._message_bytes = message_bytes
        self._held = bytearray()

    @property
    def held_bytes(self) -> int:
        return len(self._held)

    def push(self, more: bytes) -> Sequence[bytes]:
        """Add ``more``; the messages that are complete now."""
        size = self._message_bytes
        if not self._held and len(more) == size:
            return (more,)
        self._held += more
        whole = len(self._held) // size * size
        messages = bytes(self._held[:whole])
        del self._held[:whole]
        return [messages[start : start + size] for start in range(0, whole, size)]


def _mulaw_codes() -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """The nearest code for each 16-bit value, by its bits as an unsigned number."""
    order = np.argsort(MULAW_VALUES, kind="stable").astype(np.uint8)
    values = MULAW_VALUES[order].astype(np.int32)
    # between two values that stand side by side, the nearer one: a value is above so many of the middles
    middles = (values[:-1] + values[1:]) / 2
    samples = np.arange(65_536, dtype=np.uint16).view(np.int16)
    codes = order[np.searchsorted(middles, samples)]
    codes[0] = 0xFF  # zero has two codes; this is the one that lines send in silence
    return codes


_MULAW_CODES = _mulaw_codes()
