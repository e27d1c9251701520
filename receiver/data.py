"""What events tell: the data of each event type. Types only, no encoding; ``receiver.events`` puts them into envelopes.

``receiver schema`` is generated from these. May import the standard library, msgspec and the redaction rules.
"""

from functools import cache
from typing import Any, Literal, TypeVar, get_args, get_origin

import msgspec

from receiver.redaction import redact, redact_text

BotStatusName = Literal[
    "scheduled", "joining", "waiting_room", "in_meeting", "recording_permission_allowed", "recording_permission_denied",
    "recording", "paused", "leaving", "stopped", "uploading", "done", "error",
]  # fmt: skip
ExitReason = Literal["left", "kicked", "not_admitted", "denied", "failed"]
StreamChannel = Literal["audio", "video", "transcript", "control"]
ArtifactKind = Literal["audio", "video", "transcript", "summary", "recording", "chat", "manifest", "livestream"]
FetchedKind = Literal[
    "audio", "video", "transcript", "summary", "recording", "chat", "detail", "participants", "timeline", "screenshots",
    "streams",
]  # fmt: skip


class Data(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """What every type may carry. A key with nothing to say is absent, never null."""

    attributes: dict[str, Any] | None = None
    session: str | None = None
    #: nobody pushed it: it was found in the vendor's own record afterwards
    reconciled: bool = False

    def without_secrets(self) -> "Data":
        """The same data as a sink without ``secrets = true`` gets it; this very object where it has none."""
        changes: dict[str, Any] = {}
        for name in _of_strangers(type(self)):
            value = getattr(self, name)
            if isinstance(value, str):
                clean: Any = redact_text(value)
            elif isinstance(value, dict):
                clean = redact(value)
            else:
                continue
            if clean is not value:
                changes[name] = clean
        return msgspec.structs.replace(self, **changes) if changes else self


@cache
def _of_strangers(kind: type[Data]) -> tuple[str, ...]:
    """The fields of ``kind`` that may hold a text or an object of the vendor's own: no number, none of our words."""
    kinds = {field.name: get_args(field.type) or (field.type,) for field in msgspec.structs.fields(kind)}
    return tuple(
        name for name, found in kinds.items() if any(one in (str, Any) or get_origin(one) is dict for one in found)
    )


class Person(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False, frozen=True):
    """A speaker or sender. Placeholders of the vendor are nobody: the key is left out."""

    id: str | None = None
    name: str | None = None


class BotStatus(Data, kw_only=True, omit_defaults=True):
    """``bot.status``: where the bot is. ``final``: true on ``stopped`` and ``done``; ``reason``: on ``stopped``."""

    status: BotStatusName
    reason: ExitReason | None = None
    final: bool = False
    message: str | None = None
    code: int | None = None


class RecordingStatus(Data, kw_only=True, omit_defaults=True):
    """``recording.status``: a platform's own recording, no bot involved."""

    status: Literal["requested", "recording", "paused", "uploading", "stopped"]
    recording: str | None = None


class MeetingInfo(Data, kw_only=True, omit_defaults=True):
    """``meeting.created``, ``meeting.deleted``, ``meeting.started``, ``meeting.ended``."""

    title: str | None = None
    reason: str | None = None


class Participant(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Somebody in the meeting; ``id`` is the vendor's, per connection or per person as the vendor has it."""

    id: str | None = None
    name: str | None = None
    user_id: str | None = None
    email: str | None = None
    host: bool | None = None
    bot: bool | None = None
    platform: str | None = None


class ParticipantChange(Data, kw_only=True, omit_defaults=True):
    """``participant.joined``, ``participant.left``, ``participant.updated``; times in seconds."""

    participant: Participant
    offset_s: float | None = None
    duration_s: float | None = None
    reason: str | None = None


class Word(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One word; seconds on the provider's stream clock."""

    text: str | None = None
    formatted_text: str | None = None
    start_s: float | None = None
    end_s: float | None = None
    confidence: float | None = None
    final: bool | None = None
    speaker: Person | None = None


class Transcript(Data, kw_only=True, omit_defaults=True):
    """``transcript.partial`` and ``transcript.final``. ``text`` is the turn so far as a person would be shown it."""

    text: str | None = None
    formatted_text: str | None = None
    new_text: str | None = None
    speaker: Person | None = None
    turn: int | str | None = None
    start_s: float | None = None
    end_s: float | None = None
    language: str | None = None
    confidence: float | None = None
    words: list[Word] | None = None


class ChatMessage(Data, kw_only=True, omit_defaults=True):
    """``chat.message``."""

    text: str | None = None
    sender: Person | None = None
    to: str | None = None


class AudioChunk(Data, kw_only=True, omit_defaults=True):
    """``audio.chunk``. ``first_sample`` and ``samples`` count samples per channel; the bytes stand beside them."""

    codec: str
    rate_hz: int
    channels: int
    speaker: Person | None = None
    track: str | None = None
    first_sample: int | None = None
    samples: int | None = None
    gap_ms: float | None = None


class VideoChunk(Data, kw_only=True, omit_defaults=True):
    """``video.chunk``: one piece of the container, to be appended in order; the bytes stand beside it."""

    codec: str | None = None
    container: str | None = None
    width: int | None = None
    height: int | None = None
    track: str | None = None


class StreamOpened(Data, kw_only=True, omit_defaults=True):
    """``stream.opened``; ``resumes`` names the connection that this one continues."""

    channel: StreamChannel
    connection: str
    resumes: str | None = None


class StreamClosed(Data, kw_only=True, omit_defaults=True):
    """``stream.closed``: the WebSocket close code, whether both sides agreed, and what came through."""

    channel: StreamChannel
    connection: str
    code: int | None = None
    clean: bool | None = None
    messages: int | None = None
    bytes: int | None = None
    duration_s: float | None = None


class Artifact(Data, kw_only=True, omit_defaults=True):
    """``artifact.ready``, ``artifact.failed``, ``artifact.skipped``. ``url`` is a secret: it needs no password."""

    kind: ArtifactKind
    id: str | None = None
    url: str | None = None
    expires_at: str | None = None
    message: str | None = None
    duration_s: float | None = None
    size_bytes: int | None = None

    def without_secrets(self) -> "Data":
        clean = Data.without_secrets(self)
        return clean if self.url is None else msgspec.structs.replace(clean, url=None)


class Segment(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A piece of a transcript that was made after the fact; seconds from its beginning."""

    text: str
    speaker: Person | None = None
    start_s: float | None = None
    end_s: float | None = None
    language: str | None = None
    confidence: float | None = None
    words: list[Word] | None = None


class Message(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A chat message of a log; ``time``: RFC 3339."""

    text: str
    sender: Person | None = None
    to: str | None = None
    time: str | None = None


Said = TypeVar("Said", Segment, Message)


def _clean_texts(said: list[Said] | None) -> list[Said] | None:
    """What was said or written without secrets; the very same list where there were none."""
    clean = [(one, redact_text(one.text)) for one in said or ()]
    if all(text is one.text for one, text in clean):
        return said
    return [one if text is one.text else msgspec.structs.replace(one, text=text) for one, text in clean]


class FetchedArtifact(Data, kw_only=True, omit_defaults=True):
    """``artifact.fetched``: what a vendor's REST API gave when it was asked. ``url`` is a secret.

    ``segments``: a transcript in order of time. ``text``: of a summary, or of a transcript that has no segments.
    ``participants``: who was there, on the whole. ``body``: the vendor's own JSON where the keys above do not say it.
    """

    kind: FetchedKind
    id: str | None = None
    title: str | None = None
    text: str | None = None
    notes: str | None = None
    keywords: list[str] | None = None
    language: str | None = None
    segments: list[Segment] | None = None
    participants: list[Participant] | None = None
    messages: list[Message] | None = None
    url: str | None = None
    expires_at: str | None = None
    content_type: str | None = None
    duration_s: float | None = None
    size_bytes: int | None = None
    body: dict[str, Any] | list[Any] | str | int | float | bool | None = None

    def without_secrets(self) -> "Data":
        clean, body = Data.without_secrets(self), redact(self.body)
        segments, messages = _clean_texts(self.segments), _clean_texts(self.messages)
        if self.url is None and body is self.body and segments is self.segments and messages is self.messages:
            return clean
        return msgspec.structs.replace(clean, url=None, body=body, segments=segments, messages=messages)


class DataDeleted(Data, kw_only=True, omit_defaults=True):
    """``data.deleted``."""

    objects: int | None = None
    ok: bool | None = None


class ControlMessage(Data, kw_only=True, omit_defaults=True):
    """``control.message``: what a bot tells over its control socket."""

    command: str
    text: str | None = None
    speaker: Person | None = None


class VendorBody(Data, kw_only=True):
    """``vendor.event``: the vendor's own JSON. In the envelope ``data`` is ``body`` itself."""

    body: Any = None

    def without_secrets(self) -> "Data":
        clean = redact(self.body)
        return self if clean is self.body else msgspec.structs.replace(self, body=clean)


#: The data of each event type. The order is the order of the documents.
DATA_TYPES: dict[str, type[Data]] = {
    "bot.status": BotStatus,
    "recording.status": RecordingStatus,
    "meeting.created": MeetingInfo,
    "meeting.deleted": MeetingInfo,
    "meeting.started": MeetingInfo,
    "meeting.ended": MeetingInfo,
    "participant.joined": ParticipantChange,
    "participant.left": ParticipantChange,
    "participant.updated": ParticipantChange,
    "transcript.partial": Transcript,
    "transcript.final": Transcript,
    "chat.message": ChatMessage,
    "audio.chunk": AudioChunk,
    "video.chunk": VideoChunk,
    "stream.opened": StreamOpened,
    "stream.closed": StreamClosed,
    "artifact.ready": Artifact,
    "artifact.failed": Artifact,
    "artifact.skipped": Artifact,
    "artifact.fetched": FetchedArtifact,
    "data.deleted": DataDeleted,
    "control.message": ControlMessage,
    "vendor.event": VendorBody,
}
# msgspec completes what it knows of a type when that is first used, and a second thread that uses it meanwhile ends the
# process: so all of them here, before there is one
for _known in DATA_TYPES.values():
    msgspec.json.Decoder(_known)
MEDIA_TYPES = frozenset({"audio.chunk", "video.chunk"})
