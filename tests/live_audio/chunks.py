"""Chunks of sound for the tests of live audio, and a vendor of our own whose frames say all that the contract has."""

from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np

from receiver.audio.pcm import Samples
from receiver.bundle import unpack
from receiver.events import AudioChunk, Event, Person, StreamClosed, StreamOpened
from receiver.record import Decoded, Record, unpack_frames

#: 2026-11-21T09:30:05Z
ZERO_NS = 1_795_253_405_000_000_000
MS = 1_000_000
BOT = "bot-7"


def noise(frames: int, channels: int = 1, seed: int = 7) -> Samples:
    """Loud noise without a zero in it, so that silence can be told from sound."""
    samples = np.random.default_rng(seed).integers(-12_000, 12_000, (frames, channels)).astype(np.int16)
    samples[samples == 0] = 1
    return samples


def tone(hertz: float, rate_hz: int, seconds: float, level: float = 10_000) -> Samples:
    """A sine."""
    at_s = np.arange(round(rate_hz * seconds)) / rate_hz
    return np.rint(level * np.sin(2 * np.pi * hertz * at_s)).astype(np.int16).reshape(-1, 1)


class Frame(msgspec.Struct, array_like=True):
    """One message of the vendor."""

    pcm: bytes
    rate_hz: int = 16_000
    channels: int = 1
    codec: str = "pcm_s16le"
    track: str | None = None
    speaker: str | None = None
    first_sample: int | None = None
    gap_ms: float | None = None


def frame_event(frame: Frame, received_ns: int, *, sequence: int = 0, subject: str = BOT) -> Event:
    """The event of a frame that arrives at ``received_ns``."""
    width = frame.channels * (1 if frame.codec == "pcm_mulaw" else 2)
    data = AudioChunk(
        codec=frame.codec, rate_hz=frame.rate_hz, channels=frame.channels, track=frame.track,
        speaker=Person(name=frame.speaker) if frame.speaker else None, first_sample=frame.first_sample,
        samples=len(frame.pcm) // max(1, width), gap_ms=frame.gap_ms,
    )  # fmt: skip
    return Event(
        id=f"e{received_ns}", source="/v/e", type="audio.chunk", time_ns=received_ns, received_ns=received_ns,
        subject=subject, data=data, media=frame.pcm, media_type="audio/pcm", sequence=sequence,
    )  # fmt: skip


def chunk(samples: Samples, end_ms: float, **keys: Any) -> Event:
    """The event of ``samples`` that arrive as soon as the last of them was said, ``end_ms`` after zero."""
    sequence = keys.pop("sequence", 0)
    frame = Frame(samples.tobytes(), channels=samples.shape[1], **keys)
    return frame_event(frame, ZERO_NS + round(end_ms * MS), sequence=sequence)


def decode(record: Record) -> Decoded:
    """Frames as :class:`Frame` packs them; openings and closings as the server writes them."""
    if record.kind == "bundle":
        return Decoded([event for one, frames in unpack(record) for event in _events(one, frames)])
    if record.kind == "frames":
        return Decoded(_events(record, unpack_frames(record.payload)))
    kind: Any = {"opened": StreamOpened, "closed": StreamClosed}[record.kind]
    data = msgspec.json.decode(record.payload, type=kind)
    return Decoded(
        [
            Event(
                id=f"{record.connection}/{record.kind}", source="/v/e", type=f"stream.{record.kind}",
                subject=record.subject, time_ns=record.received_ns, received_ns=record.received_ns, data=data,
            )
        ]
    )  # fmt: skip


def _events(record: Record, frames: Iterable[tuple[int, bytes]]) -> list[Event]:
    events = []
    for number, (at_ns, message) in enumerate(frames):
        event = frame_event(msgspec.msgpack.decode(message, type=Frame), at_ns, subject=record.subject)
        event.id = f"{record.connection}/{number}"
        events.append(event)
    return events
