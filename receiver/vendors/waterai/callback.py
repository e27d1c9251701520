"""Water AI's callback. Its body and headers are in no public document (fact sheet, section 12): what can be told is.

Known are two names: ``meeting.ended``, when the transcript can be fetched, and ``analysis.completed``, when the
analysis can. It is a hint: who acts on it asks the API first, so that a forged one does no harm.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from receiver.events import Artifact, Data, MeetingInfo, VendorBody
from receiver.record import Decoded, Record
from receiver.vendors.base import Session, Signature
from receiver.vendors.hints import EVENT_HEADER, MEETING_IDS, first_texts, header_like, told_id, told_moment
from receiver.vendors.texts import TextSession
from receiver.vendors.wire import Delivery, delivery_of, read_object, require_shallow, timed_key

#: vendor event name -> event type. The contract has no kind for an analysis. It is made from the finished conversation
#: and fetched as a text about it, as a summary is, so it is a ``summary``; ``vendorevent`` tells what the vendor calls
#: it. Created and started are in no document: names that say so are taken at their word.
EVENT_TYPES: Mapping[str, str] = {
    "meeting.created": "meeting.created",
    "meeting.started": "meeting.started",
    "meeting.ended": "meeting.ended",
    "analysis.completed": "artifact.ready",
}
#: they happen to a meeting once; a start (somebody comes back) and an analysis (made anew) may happen again
_ONCE = frozenset({"meeting.created", "meeting.ended"})
_TIMES = {
    "meeting.created": ("created_at",),
    "meeting.started": ("started_at", "start_time"),
    "meeting.ended": ("ended_at", "end_time"),
    "analysis.completed": ("completed_at",),
}
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_NOT_WORD = re.compile(r"[^a-z0-9]+")


def verify(headers: Mapping[str, str], body: bytes, *, secrets: Sequence[str], now_s: float | None) -> Signature:
    """Always ``unsigned``: no signature is known, so only a token in the URL lets a callback in."""
    return "unsigned"


def decode(record: Record) -> Decoded:
    """The event of one callback. Raises ``Malformed`` where it is no JSON object or an id is neither number nor text.

    The name stands below ``event`` or ``type``, or in a header like ``X-…-Event``, in any spelling:
    ``meeting.ended``, ``meeting_ended``, ``meetingEnded``. One that is known outweighs one that is not.
    """
    delivery = delivery_of(record)
    body = read_object(record.payload)
    names = [*first_texts(body, ("event", "type")), header_like(record, EVENT_HEADER)]
    for spelled in names:
        name = _plain_name(spelled)
        if name in EVENT_TYPES:
            return _known(name, spelled, body, delivery)
    return _unknown(next(filter(None, names), ""), body, delivery)


def session(record: Record) -> Session:
    """A bridge's socket, on which each text message is a callback's body."""
    return TextSession(record, decode)


def _known(name: str, spelled: str, body: dict[str, Any], delivery: Delivery) -> Decoded:
    meeting = told_id(body, MEETING_IDS, strict=True)
    data: Data = Artifact(kind="summary") if name == "analysis.completed" else MeetingInfo()
    timestamp = told_moment(body, _TIMES[name])
    subject = meeting or delivery.subject
    # The URL's hint may be one word for all meetings: it makes no two deliveries one.
    if meeting and name in _ONCE:
        key = timed_key("callback", name, meeting)
        return delivery.decoded(EVENT_TYPES[name], data, subject=subject, timestamp=timestamp, name=spelled, key=key)
    return _by_body(EVENT_TYPES[name], data, name, spelled, subject, timestamp, delivery)


def _unknown(spelled: str, body: dict[str, Any], delivery: Delivery) -> Decoded:
    require_shallow(body)
    subject = told_id(body, MEETING_IDS, strict=False) or delivery.subject
    data = VendorBody(body=body)
    return _by_body("vendor.event", data, spelled, spelled, subject, told_moment(body), delivery)


def _by_body(
    type_: str, data: Data, name: str, spelled: str, subject: str, timestamp: str | None, delivery: Delivery
) -> Decoded:
    """An event that its whole body identifies, with the name, which may stand in a header only."""
    key = timed_key("callback", name, subject, delivery.body_key(subject).hex())
    decoded = delivery.decoded(type_, data, subject=subject, timestamp=timestamp, name=spelled, key=key)
    decoded.timed = timestamp is not None
    return decoded


def _plain_name(spelled: str) -> str:
    return _NOT_WORD.sub(".", _HUMP.sub(".", spelled).lower()).strip(".")
