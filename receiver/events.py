"""The public event contract: the envelope, the data of each type, and their JSON and binary forms.

Everything that leaves the receiver is one of these. May import the standard library, msgspec and the redaction rules;
nothing else of ours. Envelope: CloudEvents 1.0; ``receiver schema`` is generated from the types below.
"""

import base64
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import Any, Literal, get_args
from urllib.parse import quote

import msgspec

from receiver.redaction import redact, redact_fields, redact_json, redact_text

JSON_TYPE = "application/json"
BotStatusName = Literal[
    "scheduled", "joining", "waiting_room", "in_meeting", "recording_permission_allowed", "recording_permission_denied",
    "recording", "paused", "leaving", "stopped", "uploading", "done", "error",
]  # fmt: skip
ExitReason = Literal["left", "kicked", "not_admitted", "denied", "failed"]
StreamChannel = Literal["audio", "video", "transcript", "control"]
ArtifactKind = Literal["audio", "video", "transcript", "summary", "recording", "chat", "manifest", "livestream"]
Encoder = msgspec.json.Encoder()


class Data(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What every type may carry. A key with nothing to say is absent, never null."""

    attributes: dict[str, Any] | None = None
    session: str | None = None

    def without_secrets(self) -> "Data":
        """The same data as a sink without ``secrets = true`` gets it; this very object where it has none."""
        changes: dict[str, Any] = {}
        for name in self.__struct_fields__:
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


class Person(msgspec.Struct, kw_only=True, omit_defaults=True):
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
    url: str | None = None
    expires_at: str | None = None
    message: str | None = None
    duration_s: float | None = None
    size_bytes: int | None = None

    def without_secrets(self) -> "Data":
        clean = Data.without_secrets(self)
        return clean if self.url is None else msgspec.structs.replace(clean, url=None)


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
    "data.deleted": DataDeleted,
    "control.message": ControlMessage,
    "vendor.event": VendorBody,
}
MEDIA_TYPES = frozenset({"audio.chunk", "video.chunk"})


class Event(msgspec.Struct, kw_only=True):
    """One event. Times are integers of nanoseconds since the epoch; ``sequence`` is set by the journal.

    ``raw`` is the vendor's body or message, byte for byte. ``media`` (with its media type) stands for ``data`` on
    ``audio.chunk`` and ``video.chunk``: there ``data`` holds the keys that become attributes.
    """

    id: str
    source: str
    type: str
    time_ns: int
    received_ns: int
    data: Data
    subject: str = ""
    sequence: int = 0
    vendorevent: str = ""
    media: bytes | memoryview | None = None
    media_type: str = ""
    raw: bytes = b""
    #: the plain JSON form, made once for all sinks
    cached_json: bytes = b""

    def json(self, *, secrets: bool = False, raw: bool = False) -> bytes:
        """CloudEvents structured mode: one JSON object without line breaks."""
        if secrets or raw:
            return _encode(self, secrets, raw)
        if not self.cached_json:
            self.cached_json = _encode(self, False, False)
        return self.cached_json

    def attributes(self) -> dict[str, str]:
        """All CloudEvents context attributes as text, without data: what the binary modes send as headers."""
        plain = {"specversion": "1.0", "id": self.id, "source": self.source, "type": self.type}
        plain.update((name, str(value)) for name, value in _optional_attributes(self))
        return plain

    def body(self, *, secrets: bool = False) -> bytes | memoryview:
        """The data alone: media bytes, or JSON."""
        if self.media is not None:
            return self.media
        try:
            return Encoder.encode(_data(self, secrets))
        except RecursionError:
            return Encoder.encode(_data(self, False))

    def raw_member(self, *, secrets: bool = False) -> tuple[str, str] | None:
        """``("raw", text)``, or ``("rawbase64", text)`` where it is no UTF-8: the vendor's bytes.

        Unless ``secrets``, they are without; of a media message only the text form is looked through.
        """
        if not self.raw:
            return None
        try:
            text = self.raw.decode()
        except UnicodeDecodeError:
            plain = self.raw
            if not secrets and self.media is None:
                plain = redact_fields(plain.decode("latin-1")).encode("latin-1")
            return "rawbase64", base64.b64encode(plain).decode()
        return "raw", text if secrets else redact_json(text)


def http_headers(event: Event) -> dict[str, str]:
    """CloudEvents HTTP binding, binary mode: ``ce-*`` headers, values percent-encoded as the binding says."""
    headers = {
        f"ce-{name}": quote_header(value) for name, value in event.attributes().items() if name != "datacontenttype"
    }
    headers["content-type"] = event.media_type or JSON_TYPE
    return headers


def quote_header(value: str) -> str:
    """Percent-encode space, double quote, percent and everything outside printable ASCII (CloudEvents HTTP 3.1.3.2)."""
    return value if _PLAIN_HEADER(value) else quote(value, safe=_HEADER_SAFE, errors="replace")


def batch_json(events: Iterable[Event], *, secrets: bool = False, raw: bool = False) -> bytes:
    """CloudEvents batch mode: a JSON array."""
    return b"[" + b",".join(event.json(secrets=secrets, raw=raw) for event in events) + b"]"


def format_time(time_ns: int) -> str:
    """RFC 3339 in UTC with microseconds; beyond the years that it can write, the nearest that it can."""
    second, rest_ns = divmod(min(max(time_ns, _FIRST_NS), _LAST_NS), 10**9)
    return f"{_format_second(second)}.{rest_ns // 1000:06d}Z"


def parse_time(text: str) -> int | None:
    """Nanoseconds since the epoch of an ISO 8601 text; without a zone it is UTC; ``None`` where it is no time."""
    try:
        moment = datetime.fromisoformat(text.strip())
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return ((moment.replace(tzinfo=None) - _EPOCH) // timedelta(microseconds=1)) * 1000


def format_sequence(sequence: int) -> str:
    """Zero-padded to twenty digits, so that text sorts like numbers."""
    return f"{sequence:020d}"


@cache
def media_attributes(kind: type[Data]) -> dict[str, tuple[str, str]]:
    """Attribute name -> field of media data and, for a speaker, the field within: ``ratehz`` -> ``("rate_hz", "")``.

    The keys of ``kind`` without underscore. Custom attributes have no place: attributes of CloudEvents are scalars.
    """
    names: dict[str, tuple[str, str]] = {}
    for field in msgspec.structs.fields(kind):
        name = field.name.replace("_", "")
        if Person in (field.type, *get_args(field.type)):
            names.update({name + inner: (field.name, inner) for inner in Person.__struct_fields__})
        elif field.name != "attributes":
            names[name] = (field.name, "")
    return names


_EPOCH = datetime(1970, 1, 1)  # naive on purpose: all arithmetic here is UTC
_FIRST_NS = (datetime.min - _EPOCH) // timedelta(seconds=1) * 10**9
_LAST_NS = (datetime.max - _EPOCH) // timedelta(seconds=1) * 10**9 + 999_999_999
#: printable ASCII but the double quote and the percent sign; letters, digits and ``_.-~`` are safe in any case
_HEADER_SAFE = "!#$&'()*+,/:;<=>?@[\\]^`{|}"
_PLAIN_HEADER = re.compile(r"[!#$&-~]*").fullmatch


@lru_cache(maxsize=1024)
def _format_second(second: int) -> str:
    return (_EPOCH + timedelta(seconds=second)).isoformat()


def _encode(event: Event, secrets: bool, raw: bool) -> bytes:
    try:
        return Encoder.encode(_members(event, secrets, raw))
    except RecursionError:
        # Free-form JSON may be nested deeper than this stack allows; without secrets it is shallow.
        return Encoder.encode(_members(event, False, raw))


def _data(event: Event, secrets: bool) -> Any:
    data = event.data if secrets else event.data.without_secrets()
    return data.body if isinstance(data, VendorBody) else data


def _optional_attributes(event: Event) -> Iterable[tuple[str, str | int | float]]:
    if event.subject:
        yield "subject", event.subject
    yield "time", format_time(event.time_ns)
    yield "receivedtime", format_time(event.received_ns)
    yield "sequence", format_sequence(event.sequence)
    yield "datacontenttype", event.media_type or JSON_TYPE
    if event.vendorevent:
        yield "vendorevent", event.vendorevent
    if event.media is not None:
        yield from _media_attributes(event.data)


def _media_attributes(data: Data) -> Iterable[tuple[str, str | int | float]]:
    for name, (field, inner) in media_attributes(type(data)).items():
        value = getattr(data, field)
        if inner and value is not None:
            value = getattr(value, inner)
        if value is not None:
            yield name, value


def _members(event: Event, secrets: bool, raw: bool) -> dict[str, Any]:
    members: dict[str, Any] = {"specversion": "1.0", "id": event.id, "source": event.source, "type": event.type}
    members.update(_optional_attributes(event))
    if event.media is not None:
        members["data_base64"] = base64.b64encode(event.media).decode()
    else:
        members["data"] = _data(event, secrets)
    if raw and (member := event.raw_member(secrets=secrets)) is not None:
        members[member[0]] = member[1]
    return members
