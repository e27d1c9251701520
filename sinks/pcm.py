"""From an ``audio.chunk`` event to samples that can be placed in a file. Pure; no file is touched here."""

import msgspec

from receiver.audio.pcm import MAX_RATE_HZ, Samples, decode_sound
from receiver.events import AudioChunk, Event
from sinks.rttm import field

__all__ = ["MAX_RATE_HZ", "Chunk", "Mark", "decode_chunk"]


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
    """The samples of an ``audio.chunk``, and who speaks. Raises ``ValueError`` as :func:`decode_sound` does."""
    sound = decode_sound(event)
    speaker = event.data.speaker if isinstance(event.data, AudioChunk) else None
    return Chunk(
        samples=sound.samples,
        rate_hz=sound.rate_hz,
        first_sample=sound.first_sample,
        gap_ms=sound.gap_ms,
        label=field(speaker.name or speaker.id or "") if speaker else "",
        mark=Mark(event.sequence, event.received_ns),
    )
