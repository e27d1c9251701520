"""From an event to a Kafka message: topic, key, value, headers. Pure; knows no client library and no connection.

The form is the CloudEvents Kafka binding 1.0.2 (https://github.com/cloudevents/spec, kafka-protocol-binding.md).
Unlike the HTTP binding it takes header values as plain UTF-8, without percent-encoding.
"""

import re
import string
from functools import lru_cache
from typing import Any, NamedTuple

from receiver.events import (
    JSON_TYPE,
    Data,
    Event,
    counting_attributes,
    format_sequence,
    lasting_attributes,
    lasting_of,
)

STRUCTURED_TYPE = b"application/cloudevents+json; charset=UTF-8"
#: Kafka's own limit for a topic's name
TOPIC_BYTES_MAX = 249
PLACEHOLDERS = ("type", "vendor", "subject")

#: name and value
Header = tuple[str, bytes]

_ILLEGAL = re.compile(r"[^a-zA-Z0-9._-]")


class Message(NamedTuple):
    """One message as the producer takes it. A ``key`` of ``None`` lets the producer choose the partition."""

    topic: str
    key: bytes | None
    value: bytes
    headers: list[Header]


class TopicTemplate:
    """A topic name with placeholders, e.g. ``meetings.{vendor}.{type}``.

    Values come from strangers: what a topic's name may not hold becomes ``-`` (not ``_``, because Kafka refuses two
    topics that differ only in ``_`` and ``.``), an absent value becomes ``none``, and the name is cut to its limit.
    Raises: ValueError, which says what is wrong with the template.
    """

    def __init__(self, template: str) -> None:
        for literal, field, spec, conversion in string.Formatter().parse(template):
            if _ILLEGAL.search(literal):
                raise ValueError("letters, digits, '.', '_', '-' and placeholders")
            if field is not None and (field not in PLACEHOLDERS or spec or conversion):
                raise ValueError("the placeholders " + " ".join(f"{{{name}}}" for name in PLACEHOLDERS))
        if template in ("", ".", "..") or len(template) > TOPIC_BYTES_MAX:
            raise ValueError(f"1 to {TOPIC_BYTES_MAX} characters, neither '.' nor '..'")
        self._template = template
        self._fixed = "" if "{" in template else template

    def name(self, event: Event) -> str:
        """The topic of ``event``, always a legal name."""
        if self._fixed:
            return self._fixed
        vendor = event.source.removeprefix("/").partition("/")[0]
        name = self._template.format(type=_legal(event.type), vendor=_legal(vendor), subject=_legal(event.subject))
        name = name[:TOPIC_BYTES_MAX]
        return name.replace(".", "-") if name in (".", "..") else name


def binary_message(topic: str, event: Event, *, raw: bool = False, secrets: bool = False) -> Message:
    """Binary mode: the value is the data alone, each attribute is a header ``ce_<name>``.

    With ``raw`` the vendor's body is the header ``ce_raw``; one that is not UTF-8 text is the header ``raw``, its bytes
    as they came, since an attribute is text and Kafka needs no base64.
    """
    time, received = event.times()
    kind, content_type = type(event.data), event.media_type or JSON_TYPE
    lasting = lasting_of(event.data) if event.media is not None else ()
    headers = [
        *_lasting_headers(event.source, event.type, event.subject, event.vendorevent, content_type, kind, lasting),
        ("ce_id", _utf8(event.id)),
        ("ce_time", time.encode()),
        ("ce_receivedtime", received.encode()),
        ("ce_sequence", format_sequence(event.sequence).encode()),
    ]
    if event.media is not None:
        headers += [(f"ce_{name}", str(value).encode()) for name, value in counting_attributes(event.data).items()]
    if raw and (member := event.raw_member(secrets=secrets)) is not None:
        headers.append(("ce_raw", _utf8(member[1])) if member[0] == "raw" else ("raw", event.raw))
    return Message(topic, _key(event), bytes(event.body(secrets=secrets)), headers)


def structured_message(topic: str, event: Event, whole: bytes) -> Message:
    """Structured mode: the value is ``whole``, the event as one JSON object."""
    return Message(topic, _key(event), whole, [("content-type", STRUCTURED_TYPE)])


def _key(event: Event) -> bytes | None:
    return _utf8(event.subject) if event.subject else None


def _legal(value: str) -> str:
    return _ILLEGAL.sub("-", value) or "none"


@lru_cache(maxsize=4096)
def _lasting_headers(
    source: str,
    type_: str,
    subject: str,
    vendorevent: str,
    content_type: str,
    kind: type[Data],
    lasting: tuple[Any, ...],
) -> tuple[Header, ...]:
    """What many events have in common, made once; ``lasting`` is of media. ``datacontenttype`` is Kafka's own
    ``content-type``."""
    texts = {
        "content-type": content_type,
        "ce_specversion": "1.0",
        "ce_source": source,
        "ce_type": type_,
        "ce_subject": subject,
        "ce_vendorevent": vendorevent,
    }
    headers = {name: text for name, text in texts.items() if text}
    if lasting:
        headers |= {f"ce_{name}": str(value) for name, value in lasting_attributes(kind, lasting).items()}
    return tuple((name, _utf8(text)) for name, text in headers.items())


def _utf8(text: str) -> bytes:
    # a lone surrogate must not stop the sink: it cannot be sent, whatever is tried
    return text.encode("utf-8", "replace")
