"""From the bytes of an ``audio.chunk`` to samples. Pure."""

import msgspec
import numpy as np
from numpy.typing import NDArray

from receiver.events import AudioChunk, Event

Samples = NDArray[np.int16]
#: 16-bit PCM as it came, little-endian, channels interleaved
Raw = bytes | memoryview

MAX_RATE_HZ = 384_000
MAX_CHANNELS = 32
#: a thousand years at the highest rate; beyond it a position is nonsense
MAX_POSITION = 2**53
CODECS = ("pcm_s16le", "pcm_mulaw")


class Sound(msgspec.Struct):
    """Samples [frame, channel] of one event. ``first_sample`` is the position on the stream's clock, ``None`` where the
    event tells none; ``gap_ms`` is what the stream tells of silence or loss before it."""

    samples: Samples
    rate_hz: int
    first_sample: int | None = None
    gap_ms: float = 0.0


def decode_sound(event: Event) -> Sound:
    """The samples of an ``audio.chunk``. What is left of an incomplete last frame is dropped.

    Raises ``ValueError``, with a text for the operator, for a codec that is no PCM and for numbers without sense.
    """
    data = event.data
    if not isinstance(data, AudioChunk) or event.media is None:
        raise ValueError("an audio.chunk without audio")
    if data.codec not in CODECS:
        raise ValueError(f"codec {data.codec!r}, allowed {' and '.join(CODECS)}")
    if not (0 < data.rate_hz <= MAX_RATE_HZ and 0 < data.channels <= MAX_CHANNELS):
        limits = f"at most {MAX_RATE_HZ} and {MAX_CHANNELS}"
        raise ValueError(f"{data.rate_hz} Hz and {data.channels} channels, allowed more than 0 and {limits}")
    if data.first_sample is not None and not 0 <= data.first_sample <= MAX_POSITION:
        raise ValueError("a first_sample that is negative or beyond any stream's length")
    samples = _samples(data.codec, data.channels, event.media)
    return Sound(samples, data.rate_hz, data.first_sample, max(0.0, data.gap_ms or 0.0))


def _samples(codec: str, channels: int, media: bytes | memoryview) -> Samples:
    if codec == "pcm_mulaw":
        whole = len(media) // channels * channels
        return MULAW_VALUES[np.frombuffer(media, np.uint8, whole)].reshape(-1, channels)
    whole = len(media) // (2 * channels) * channels
    return np.frombuffer(media, "<i2", whole).reshape(-1, channels)


def _mulaw_values() -> Samples:
    """ITU-T G.711, mu-law: all bits inverted, sign, three bits of exponent, four of mantissa, bias 132."""
    code = ~np.arange(256) & 0xFF
    size = (((code & 0x0F) << 3) + 132 << ((code & 0x70) >> 4)) - 132
    return np.where(code & 0x80, -size, size).astype("<i2")


#: what each of the 256 codes means
MULAW_VALUES = _mulaw_values()
