"""What is read out of a callback whose body no document shows: a name, an id and a time, wherever they stand.

Such a callback is a hint that something happened; REST has the facts. Knows no particular vendor. Places are dotted
paths below the body. Pure.
"""

import re
from collections.abc import Iterable
from typing import Any

from receiver.errors import Malformed
from receiver.events import format_time, parse_time
from receiver.record import Record

EVENT_HEADER = re.compile(r"x-(?:.+-)?event")
UUID_HEADER = re.compile(r"x-(?:.+-)?event-uuid")
#: where a callback names its meeting; what is called a meeting outweighs a bare ``id``, which may be anything's
MEETING_IDS = (
    "meeting_id", "data.meeting_id", "payload.meeting_id", "meeting.id", "data.meeting.id", "payload.meeting.id",
    "data.id", "payload.id",
)  # fmt: skip

_HOLDERS = ("", "data.", "payload.", "meeting.", "data.meeting.", "payload.meeting.")
_SENT = ("timestamp", "occurred_at", "event_time", "event_ts", "time", "sent_at")
#: shorter digits are a date without hyphens
_EPOCH_TEXT = re.compile(r"\d{9,}(?:\.\d+)?", re.ASCII)
#: a number from here on counts milliseconds: in seconds it would be the year 5138
_MILLISECONDS_FROM = 1e11
#: what is smaller counts from somewhere else
_FIRST_S = 1e8
_LAST_S = 253_402_300_799


def header_named(record: Record, name: str) -> str:
    """The first header of this name, in any case, with text; empty where there is none."""
    lower = name.lower()
    return next(filter(None, (_plain(value) for key, value in record.headers if key == lower)), "")


def header_like(record: Record, pattern: re.Pattern[str]) -> str:
    """The first header with text whose whole name, in lower case, fits ``pattern``; empty where there is none."""
    return next(filter(None, (_plain(value) for name, value in record.headers if pattern.fullmatch(name))), "")


def first_texts(body: dict[str, Any], keys: Iterable[str]) -> list[str]:
    """The texts below ``keys``, in their order; what is no text or blank is left out."""
    values = (body.get(key) for key in keys)
    return [value.strip() for value in values if isinstance(value, str) and value.strip()]


def told_id(body: dict[str, Any], paths: Iterable[str], *, strict: bool) -> str:
    """The first id below ``paths`` as text; empty where there is none. Ids are whole numbers or texts.

    Raises ``Malformed``, if ``strict``, where something else stands in its place.
    """
    for path in paths:
        value = _value_at(body, path)
        id_ = _id(value)
        if id_:
            return id_
        if strict and id_ is None and value is not None:
            raise Malformed("expected a whole number or text", f"$.{path}")
    return ""


def told_moment(body: dict[str, Any], specific: Iterable[str] = ()) -> str | None:
    """When it happened, as ISO 8601; ``None`` where nothing readable tells it.

    ``specific`` keys mean the moment of this very event, in the meeting or at the top. The others say when it was
    sent, or when the meeting was last changed. ``created_at`` comes last: in a flat body it is the meeting's.
    """
    paths = [holder + key for key in specific for holder in reversed(_HOLDERS)]
    paths += [holder + key for holder in _HOLDERS for key in _SENT]
    paths += [f"{holder}updated_at" for holder in _HOLDERS]
    moments = (moment(_value_at(body, path)) for path in [*paths, "created_at"])
    return next(filter(None, moments), None)


def moment(value: Any) -> str | None:
    """A time as ISO 8601: of ISO text, or of seconds or milliseconds since the epoch as number or text."""
    if isinstance(value, str):
        text = value.strip()
        if not _EPOCH_TEXT.fullmatch(text):
            return None if parse_time(text) is None else text
        value = float(text)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if value >= _MILLISECONDS_FROM:
        value = min(value, _LAST_S * 1000 + 1) / 1000
    return format_time(round(value * 1_000_000) * 1000) if _FIRST_S <= value <= _LAST_S else None


def _value_at(body: dict[str, Any], path: str) -> Any:
    node: Any = body
    for key in path.split("."):
        if not isinstance(node, dict):
            return None
        node = node.get(key)
    return node


def _id(value: Any) -> str | None:
    """``None`` where it is no id."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        return None
    return str(int(value))


def _plain(value: str) -> str:
    """A header's value; bytes that are no UTF-8, which servers hand on as lone surrogates, become U+FFFD."""
    return value.encode("utf-8", "surrogatepass").decode("utf-8", "replace").strip()
