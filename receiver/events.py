"""The public event contract: the envelope and its JSON and binary forms, with the data types of ``receiver.data``.

Everything that leaves the receiver is one of these. May import the standard library, msgspec, pybase64, the data types,
the names of media's attributes and the redaction rules; nothing else of ours. Envelope: CloudEvents 1.0.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import quote

import msgspec
import pybase64

from receiver.data import (
    DATA_TYPES,
    MEDIA_TYPES,
    Artifact,
    ArtifactKind,
    AudioChunk,
    BotStatus,
    BotStatusName,
    ChatMessage,
    ControlMessage,
    Data,
    DataDeleted,
    ExitReason,
    FetchedArtifact,
    FetchedKind,
    MeetingInfo,
    Message,
    Participant,
    ParticipantChange,
    Person,
    RecordingStatus,
    Segment,
    StreamChannel,
    StreamClosed,
    StreamOpened,
    Transcript,
    VendorBody,
    VideoChunk,
    Word,
)
from receiver.media_names import counting_attributes, lasting_attributes, lasting_of, media_attributes
from receiver.redaction import redact_fields, redact_json

__all__ = [
    "DATA_TYPES",
    "JSON_TYPE",
    "MEDIA_TYPES",
    "Artifact",
    "ArtifactKind",
    "AudioChunk",
    "BotStatus",
    "BotStatusName",
    "ChatMessage",
    "ControlMessage",
    "Data",
    "DataDeleted",
    "Encoder",
    "Event",
    "ExitReason",
    "FetchedArtifact",
    "FetchedKind",
    "MeetingInfo",
    "Message",
    "Participant",
    "ParticipantChange",
    "Person",
    "RecordingStatus",
    "Segment",
    "StreamChannel",
    "StreamClosed",
    "StreamOpened",
    "Transcript",
    "VendorBody",
    "VideoChunk",
    "Word",
    "batch_json",
    "counting_attributes",
    "format_sequence",
    "format_time",
    "http_headers",
    "lasting_attributes",
    "lasting_of",
    "media_attributes",
    "parse_time",
    "quote_header",
]

JSON_TYPE = "application/json"
Encoder = msgspec.json.Encoder()


class Event(msgspec.Struct, kw_only=True, gc=False):
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
    #: the plain JSON form, made once for all sinks; not of media: to fill memory costs more than to make it
    cached_json: bytes = b""

    def json(self, *, secrets: bool = False, raw: bool = False) -> bytes:
        """CloudEvents structured mode: one JSON object without line breaks."""
        if secrets or raw or self.media is not None:
            return _encode(self, secrets, raw)
        if not self.cached_json:
            self.cached_json = _encode(self, False, False)
        return self.cached_json

    def times(self) -> tuple[str, str]:
        """``time`` and ``receivedtime`` as text; without a time of the vendor's they are one."""
        time = format_time(self.time_ns)
        return time, time if self.received_ns == self.time_ns else format_time(self.received_ns)

    def attributes(self) -> dict[str, str]:
        """All CloudEvents context attributes as text, without data: what the binary modes send as headers."""
        attributes = _attributes(self)
        if self.media is not None:
            attributes = {name: value if type(value) is str else str(value) for name, value in attributes.items()}
        return attributes

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
            return "rawbase64", pybase64.b64encode_as_string(plain)
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
    if not _FIRST_NS <= time_ns <= _LAST_NS:
        time_ns = _FIRST_NS if time_ns < _FIRST_NS else _LAST_NS
    second, rest_ns = divmod(time_ns, 10**9)
    return f"{_format_second(second)}.{rest_ns // 1000:06d}Z"


def parse_time(text: str) -> int | None:
    """Nanoseconds since the epoch of an ISO 8601 text; without a zone it is UTC; ``None`` where it is no time."""
    try:
        moment = datetime.fromisoformat(text.strip())
        passed = moment - (_EPOCH if moment.tzinfo is None else _EPOCH_UTC)
    except (ValueError, OverflowError):
        return None
    time_ns = ((passed.days * 86400 + passed.seconds) * 10**6 + passed.microseconds) * 1000
    return time_ns if _FIRST_NS <= time_ns <= _LAST_NS else None


def format_sequence(sequence: int) -> str:
    """Zero-padded to twenty digits, so that text sorts like numbers."""
    return f"{sequence:020d}"


_EPOCH = datetime(1970, 1, 1)  # naive on purpose: all arithmetic here is UTC
_EPOCH_UTC = _EPOCH.replace(tzinfo=UTC)
_FIRST_NS = (datetime.min - _EPOCH) // timedelta(seconds=1) * 10**9
_LAST_NS = (datetime.max - _EPOCH) // timedelta(seconds=1) * 10**9 + 999_999_999
#: printable ASCII but the double quote and the percent sign; letters, digits and ``_.-~`` are safe in any case
_HEADER_SAFE = "!#$&'()*+,/:;<=>?@[\\]^`{|}"
_PLAIN_HEADER = re.compile(r"[!#$&-~]*").fullmatch


@lru_cache(maxsize=1024)
def _format_second(second: int) -> str:
    return (_EPOCH + timedelta(seconds=second)).isoformat()


def _encode(event: Event, secrets: bool, raw: bool) -> bytes:
    whole = _media_json(event, event.media) if event.media is not None else _json(event, secrets)
    if raw and (member := event.raw_member(secrets=secrets)) is not None:
        return b"%b,%b" % (whole[:-1], Encoder.encode({member[0]: member[1]})[1:])
    return whole


def _json(event: Event, secrets: bool) -> bytes:
    try:
        return Encoder.encode(_members(event, secrets))
    except RecursionError:
        # Free-form JSON may be nested deeper than this stack allows; without secrets it is shallow.
        return Encoder.encode(_members(event, False))


def _data(event: Event, secrets: bool) -> Any:
    data = event.data if secrets else event.data.without_secrets()
    return data.body if isinstance(data, VendorBody) else data


def _attributes(event: Event) -> dict[str, Any]:
    """Text, but for the numbers among those of media."""
    attributes: dict[str, Any] = {"specversion": "1.0", "id": event.id, "source": event.source, "type": event.type}
    if event.subject:
        attributes["subject"] = event.subject
    attributes["time"], attributes["receivedtime"] = event.times()
    attributes["sequence"] = format_sequence(event.sequence)
    attributes["datacontenttype"] = event.media_type or JSON_TYPE
    if event.vendorevent:
        attributes["vendorevent"] = event.vendorevent
    if event.media is not None:
        attributes |= lasting_attributes(type(event.data), lasting_of(event.data))
        attributes |= counting_attributes(event.data)
    return attributes


def _members(event: Event, secrets: bool) -> dict[str, Any]:
    members = _attributes(event)
    members["data"] = _data(event, secrets)
    return members


def _media_json(event: Event, media: bytes | memoryview) -> bytes:
    """What ``_attributes`` and the media would be, with what lasts written once for a stream."""
    data = event.data
    origin, form = _lasting_json(
        event.source, event.type, event.subject, event.vendorevent, event.media_type, type(data), lasting_of(data)
    )
    time, received = event.times()
    moment = f'"time":"{time}","receivedtime":"{received}","sequence":"{format_sequence(event.sequence)}"'.encode()
    counting = counting_attributes(data)
    numbers = Encoder.encode(counting)[1:-1] + b"," if counting else b""
    head = b'{"specversion":"1.0","id":', Encoder.encode(event.id), origin, moment, form, numbers
    return b"".join((*head, b'"data_base64":"', pybase64.b64encode(media), b'"}'))


@lru_cache(maxsize=4096)
def _lasting_json(
    source: str, type_: str, subject: str, vendorevent: str, media_type: str, kind: type[Data], lasting: tuple[Any, ...]
) -> tuple[bytes, bytes]:
    """The members between the id and the time, and those behind the sequence number."""
    origin = {"source": source, "type": type_}
    if subject:
        origin["subject"] = subject
    form = {"datacontenttype": media_type or JSON_TYPE}
    if vendorevent:
        form["vendorevent"] = vendorevent
    form |= lasting_attributes(kind, lasting)
    return b"," + Encoder.encode(origin)[1:-1] + b",", b"," + Encoder.encode(form)[1:-1] + b","
