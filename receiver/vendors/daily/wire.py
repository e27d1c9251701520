"""What all Daily bodies share: numbers, moments, the room, and the events of a delivery under the vendor's event id.

Daily writes times as Unix seconds, whole or fractional, some as text; a room as ``room``, ``room_name``, or not at all
(webhook events, docs.daily.co, 2026).
"""

import math
import re
from typing import Any

import msgspec

from receiver.events import Artifact, Data, VendorBody, parse_time
from receiver.record import Decoded
from receiver.vendors.wire import Delivery, timed_key

Number = int | float
#: Unix seconds or milliseconds, as a number or as text; also ISO 8601
Moment = int | float | str

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_DECIMAL = re.compile(r"\d{1,20}(\.\d{1,20})?", re.ASCII)
#: A number from here on counts milliseconds: as seconds it would lie beyond the year 5000.
_FIRST_MILLISECONDS = 1e11
_LAST_MILLISECONDS = 253_402_300_799_999


class Payload(msgspec.Struct):
    """The keys that payloads of several events have; all may be missing or null."""

    room: str | None = None
    room_name: str | None = None
    room_id: str | None = None
    meeting_id: str | None = None
    mtg_session_id: str | None = None
    timestamp: Moment | None = None
    start_ts: Moment | None = None

    @property
    def subject(self) -> str:
        """The room's name; empty where none is told. ``room_id`` holds it in one sample of the vendor, else a UUID."""
        name_in_id = self.room_id if self.room_id and not is_uuid(self.room_id) else ""
        return self.room or self.room_name or name_in_id or ""

    @property
    def session(self) -> str | None:
        """The occurrence of the meeting."""
        return self.meeting_id or self.mtg_session_id or None


class News(msgspec.Struct):
    """What a body tells: events as type and data, room, occurrence, and when; ``None``: it does not say when.

    ``rest``: part of it, or all, is known to the contract only as ``vendor.event``.
    """

    events: list[tuple[str, Data]]
    subject: str = ""
    session: str | None = None
    time_ns: int | None = None
    rest: bool = False


def decoded(
    news: News, body: dict[str, Any], delivery: Delivery, *, name: str, id_: str = "", key: bytes | None = None
) -> Decoded:
    """The events of one body. ``id_`` is the vendor's event id; ``key``: what identifies a body that has none.

    Several events of one delivery have its id, ``/`` and the kind of the artifact, or ``other``. Without id and key
    the whole body identifies it: for good where it holds a time, else for a short while.
    """
    events = list(news.events)
    if news.rest or not events:
        events.append(("vendor.event", VendorBody(body=body, session=news.session)))
    subject = news.subject or delivery.subject
    if id_:
        key = timed_key("event", id_)
    type_, data = events[0]
    result = delivery.decoded(type_, data, subject=subject, timestamp=None, name=name, key=key)
    result.timed = key is not None or news.time_ns is not None
    base = id_ or result.events[0].id
    result.events = [
        delivery.event(
            base if len(events) == 1 else f"{base}/{_part(data)}",
            type_,
            data,
            subject=subject,
            timestamp=None,
            name=name,
        )
        for type_, data in events
    ]
    if news.time_ns is not None:
        for event in result.events:
            event.time_ns = news.time_ns
    return result


def is_uuid(text: str) -> bool:
    """Whether ``text`` is a UUID in its usual form."""
    return _UUID.fullmatch(text) is not None


def finite(number: Number | None) -> float | None:
    """``number`` as a float; ``None`` where there is none or it is too large for one."""
    try:
        value = math.nan if number is None else float(number)
    except OverflowError:
        return None
    return value if math.isfinite(value) else None


def seconds(moment: Moment | None) -> float | None:
    """Unix seconds of a number, or of the decimal text of one; ``None`` where that is no time."""
    if isinstance(moment, str):
        if not _DECIMAL.fullmatch(moment):
            return None
        moment = float(moment)
    if moment is None or not 0 < moment <= _LAST_MILLISECONDS:
        return None
    return float(moment if moment < _FIRST_MILLISECONDS else moment / 1000)


def moment_ns(moment: Moment | None) -> int | None:
    """Nanoseconds since the epoch, exact to the microsecond; ``None`` where ``moment`` is no time."""
    moment_s = seconds(moment)
    if moment_s is not None:
        return round(moment_s * 1e6) * 1000
    return parse_time(moment) if isinstance(moment, str) else None


def _part(data: Data) -> str:
    return data.kind if isinstance(data, Artifact) else "other"
