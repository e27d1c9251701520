"""Small events for the tests of the sinks."""

from collections.abc import Sequence
from typing import Any

from receiver.events import (
    DATA_TYPES,
    Artifact,
    AudioChunk,
    BotStatus,
    ChatMessage,
    ControlMessage,
    Data,
    DataDeleted,
    Event,
    FetchedArtifact,
    MeetingInfo,
    Participant,
    ParticipantChange,
    Person,
    RecordingStatus,
    Segment,
    StreamClosed,
    StreamOpened,
    Transcript,
    VendorBody,
    VideoChunk,
    parse_time,
)
from sinks.base import Batch

#: 2026-11-21 09:30:05 UTC, in nanoseconds since the epoch
START_NS = parse_time("2026-11-21T09:30:05Z") or 0
DAY_NS = 86_400 * 10**9


def make_event(sequence: int = 1, data: Data | None = None, **changes: Any) -> Event:
    """A final transcript line of ``bot-7`` unless told otherwise; arrival is ``START_NS`` plus ``sequence`` seconds."""
    values: dict[str, Any] = {
        "id": f"delivery-{sequence}",
        "source": "/meetstream/default",
        "type": "transcript.final",
        "time_ns": START_NS,
        "received_ns": START_NS + sequence * 10**9,
        "subject": "bot-7",
        "sequence": sequence,
    }
    said = data or Transcript(text=f"line {sequence}", speaker=Person(id="p1", name="Ada"))
    return Event(data=said, **(values | changes))


def make_batch(events: Sequence[Event], **options: bool) -> Batch:
    """A batch of ``events``."""
    return Batch(events=events, **options)


def make_lines(first: int, last: int, **changes: Any) -> list[Event]:
    """Transcript lines numbered ``first`` to ``last``."""
    return [make_event(sequence, **changes) for sequence in range(first, last + 1)]


def one_of_each() -> list[Event]:
    """An event of every type of the contract, in the contract's order."""
    ada = Person(id="p1", name="Ada")
    audio = AudioChunk(codec="pcm_s16le", rate_hz=16_000, channels=1, speaker=ada, samples=1600, gap_ms=20.0)
    joined = ParticipantChange(participant=Participant(id="p1", name="Ada", host=True), duration_s=312.4)
    meeting = MeetingInfo(title="Weekly")
    data: dict[str, Data] = {
        "bot.status": BotStatus(status="stopped", reason="kicked", final=True, code=42),
        "recording.status": RecordingStatus(status="paused", recording="rec-1"),
        "transcript.partial": Transcript(text="Good mor", speaker=ada),
        "transcript.final": Transcript(text="Good morning.", speaker=ada),
        "chat.message": ChatMessage(text="Hello", sender=ada, to="Bob"),
        "audio.chunk": audio,
        "video.chunk": VideoChunk(codec="h264", container="fmp4", width=1280, height=720),
        "stream.opened": StreamOpened(channel="audio", connection="c2", resumes="c1"),
        "stream.closed": StreamClosed(channel="audio", connection="c1", code=1006, clean=False, messages=3),
        "artifact.ready": Artifact(kind="recording", url="https://files/signed", size_bytes=1000, duration_s=12.0),
        "artifact.failed": Artifact(kind="transcript", message="no speech"),
        "artifact.skipped": Artifact(kind="summary"),
        "artifact.fetched": FetchedArtifact(kind="transcript", segments=[Segment(text="Hi"), Segment(text="Bye")]),
        "data.deleted": DataDeleted(objects=3, ok=True),
        "control.message": ControlMessage(command="usermsg", text="stop", speaker=ada),
        "vendor.event": VendorBody(body={"event": "x", "secret_payload": "do not show"}),
    }
    data |= dict.fromkeys(("meeting.created", "meeting.deleted", "meeting.started", "meeting.ended"), meeting)
    data |= dict.fromkeys(("participant.joined", "participant.left", "participant.updated"), joined)
    events = []
    for sequence, name in enumerate(DATA_TYPES, start=1):
        media = b"\x1b[31m" * 100 if name in ("audio.chunk", "video.chunk") else None
        events.append(make_event(sequence, data[name], type=name, media=media, media_type="audio/pcm" if media else ""))
    return events
