"""From an ``audio.chunk`` event to samples that can be placed in a file. Pure; no file is touched here."""

import msgspec
import numpy as np

from receiver.events import AudioChunk, Event
from sinks.resample import Samples
from sinks.rttm import field

MAX_RATE_HZ = 384_000
MAX_CHANNELS = 32
#: a thousand years at the highest rate; beyond it a position is nonsense
MAX_POSITION = 2**53
CODECS = ("pcm_s16le", "pcm_mulaw")


class Mark(msgspec.Struct, frozen=True):
    """How far a recording has come: sequence number and arrival (nanoseconds since the epoch) of its last event.

    The arrival is there for the day on which somebody starts with an empty journal: sequence numbers begin again at 1
    then, and without it new audio would pass for a repetition.
    """

    sequence: int = 0
    received_ns: int = 0

    def covers(self, event: Event) -> bool:
        """Whether ``event`` is a repetition of what was written. Events without a sequence number never are."""
        return 0 < event.sequence <= self.sequence and event.received_ns <= self.received_ns


class Chunk(msgspec.Struct):
    """Samples [frame, channel] of one event. ``first_sample`` is the position on the stream's clock, ``None`` where the
    event tells none; ``label`` is the speaker's, empty for nobody in particular."""

    samples: Samples
    rate_hz: int
    first_sample: int | None
    gap_ms: float
    label: str
    mark: Mark

    @property
    def channels(self) -> int:
        """Samples in a frame."""
        return int(self.samples.shape[1])

    @property
    def next_sample(self) -> int | None:
        """The position right behind the chunk."""
        return None if self.first_sample is None else self.first_sample + len(self.samples)


def decode_chunk(event: Event) -> Chunk:
    """The samples of an ``audio.chunk``. What is left of an incomplete last frame is dropped.

    Raises ``ValueError``, with a text for the operator, for a codec that is no PCM and for numbers without sense.
    """
    data = event.data
    if not isinstance(data, AudioChunk) or event.media is None:
        raise ValueError("an audio.chunk without audio")
    if data.codec not in CODECS:
        raise ValueError(f"codec {data.codec!r}, the wav sink takes {' and '.join(CODECS)}")
    if not (0 < data.rate_hz <= MAX_RATE_HZ and 0 < data.channels <= MAX_CHANNELS):
        limits = f"at most {MAX_RATE_HZ} and {MAX_CHANNELS}"
        raise ValueError(f"{data.rate_hz} Hz and {data.channels} channels, allowed more than 0 and {limits}")
    if data.first_sample is not None and not 0 <= data.first_sample <= MAX_POSITION:
        raise ValueError("a first_sample that is negative or beyond any stream's length")
    speaker = data.speaker
    return Chunk(
        samples=_samples(data.codec, data.channels, event.media),
        rate_hz=data.rate_hz,
        first_sample=data.first_sample,
        gap_ms=max(0.0, data.gap_ms or 0.0),
        label=field(speaker.name or speaker.id or "") if speaker else "",
        mark=Mark(event.sequence, event.received_ns),
    )


def _samples(codec: str, channels: int, media: bytes | memoryview) -> Samples:
    if codec == "pcm_mulaw":
        whole = len(media) // channels * channels
        return _MULAW[np.frombuffer(media, np.uint8, whole)].reshape(-1, channels)
    whole = len(media) // (2 * channels) * channels
    return np.frombuffer(media, "<i2", whole).reshape(-1, channels)


def _mulaw_table() -> Samples:
    """ITU-T G.711, mu-law: all bits inverted, sign, three bits of exponent, four of mantissa, bias 132."""
    code = ~np.arange(256) & 0xFF
    size = (((code & 0x0F) << 3) + 132 << ((code & 0x70) >> 4)) - 132
    return np.where(code & 0x80, -size, size).astype("<i2")


_MULAW = _mulaw_table()
