"""What Meemo's REST API was asked for, as events: what a meeting has, and deliveries that never came (fact sheet, 4).

Calls: ``detail``, ``transcript``, ``summary``, ``participants``, ``recording``, each of one meeting; ``delivery-log``,
one entry of the log of webhooks. An answer that none of them explains is passed on as it is. Pure.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from receiver.events import Data, FetchedArtifact, Participant, Person, Segment, VendorBody
from receiver.record import Decoded, Record
from receiver.vendors.hints import MEETING_IDS, moment, told_id
from receiver.vendors.meemo import replies
from receiver.vendors.meemo.callback import EVENT_TYPES, PING, known
from receiver.vendors.replies import call_of, passed_on, reply, reply_event
from receiver.vendors.wire import delivery_of, not_blank, read_json, timed_key, typed

DELIVERY_LOG = "delivery-log"
#: what stands for a voice that nobody knows
_NOBODY = frozenset({"", "unknown", "nospeaker"})
_MEDIA_TYPES = {
    "mp3": "audio/mpeg", "m4a": "audio/mp4", "wav": "audio/wav", "ogg": "audio/ogg", "mp4": "video/mp4",
    "webm": "video/webm",
}  # fmt: skip


class _Detail(msgspec.Struct):
    id: int | str | None = None
    title: str | None = None
    language: str | None = None
    keywords: list[str] | None = None
    duration_seconds: float | None = None


class _Entry(msgspec.Struct):
    event_uuid: str | None = None
    event_type: str | None = None
    created_at: str | None = None


class _About(NamedTuple):
    """``key``: without it the answer is about something else. ``read`` gives the meeting and what is told of it."""

    key: str
    read: Callable[[bytes, dict[str, Any]], tuple[str, Data]]


def decode_reply(record: Record) -> Decoded:
    """The event of one answer. Raises ``Malformed`` where a known key has a wrong type."""
    call = call_of(record)
    body = read_json(record.payload)
    if not isinstance(body, dict):
        return passed_on(record)
    if call == DELIVERY_LOG:
        return _missed(record, body)
    about = _CALLS.get(call)
    if about is None or about.key not in body:
        return passed_on(record)
    meeting, data = about.read(record.payload, body)
    return reply(record, [reply_event(record, data, subject=meeting)])


def _detail(_payload: bytes, body: dict[str, Any]) -> tuple[str, Data]:
    told = typed(body, _Detail)
    data = FetchedArtifact(
        kind="detail",
        title=not_blank(told.title),
        language=not_blank(told.language),
        keywords=told.keywords or None,
        duration_s=told.duration_seconds,
        body=body,
    )
    return "" if told.id is None else str(told.id), data


def _transcript(payload: bytes, _body: dict[str, Any]) -> tuple[str, Data]:
    """Segments in order of time; those without text are left out."""
    told = replies.transcript(payload)
    segments = [
        Segment(text=one.text, speaker=_speaker(one.speaker), start_s=one.start_s, end_s=one.end_s)
        for one in told.segments
        if one.text and not one.text.isspace()
    ]
    segments.sort(key=lambda one: one.start_s or 0.0)
    return told.meeting, FetchedArtifact(kind="transcript", title=not_blank(told.title), segments=segments)


def _summary(payload: bytes, body: dict[str, Any]) -> tuple[str, Data]:
    """Markdown is ``text``; what an old meeting has in its place, and notes that are no text, stay as they are."""
    told = replies.summary(payload)
    told_text = told.summary if isinstance(told.summary, str) else None
    notes = told.notes if isinstance(told.notes, str) else None
    odd = (told.summary is not None and told_text is None) or (told.notes is not None and notes is None)
    data = FetchedArtifact(
        kind="summary",
        title=not_blank(told.title),
        text=not_blank(told_text),
        notes=not_blank(notes),
        keywords=told.keywords or None,
        body=body if odd else None,
    )
    return told.meeting, data


def _participants(payload: bytes, body: dict[str, Any]) -> tuple[str, Data]:
    """Position and department are in no key of the contract: with one of them the answer stands beside."""
    told = replies.participants(payload)
    people = [
        Participant(
            id=None if one.id is None else str(one.id), name=not_blank(one.name), email=not_blank(one.email)
        )
        for one in told.participants
    ]  # fmt: skip
    more = any(one.position or one.department for one in told.participants)
    data = FetchedArtifact(
        kind="participants", title=not_blank(told.title), participants=people, body=body if more else None
    )
    return told.meeting, data


def _recording(payload: bytes, _body: dict[str, Any]) -> tuple[str, Data]:
    told = replies.recording(payload)
    data = FetchedArtifact(
        kind="recording",
        title=not_blank(told.title),
        url=not_blank(told.url),
        content_type=_MEDIA_TYPES.get((told.format or "").lower()),
        duration_s=told.duration_s,
    )
    return told.meeting, data


def _missed(record: Record, body: dict[str, Any]) -> Decoded:
    """The event of a log's entry under the id and key of its callback, so that one of the two is a repeat.

    The log tells no meeting, but where it does all the same it is the subject.
    """
    told = typed(body, _Entry)
    uuid, name = (told.event_uuid or "").strip(), (told.event_type or "").strip()
    if name == PING:
        return Decoded([])
    if not uuid:
        return passed_on(record)
    data = known(name, [("$", body)]) if name in EVENT_TYPES else VendorBody(body=body)
    data.reconciled = True
    event = delivery_of(record).event(
        uuid,
        EVENT_TYPES.get(name, "vendor.event"),
        data,
        subject=told_id(body, MEETING_IDS, strict=False) or record.subject,
        timestamp=moment(told.created_at),
        name=name,
    )
    return Decoded([event], timed_key("event", uuid))


def _speaker(name: str | None) -> Person | None:
    text = (name or "").strip()
    return None if text.lower() in _NOBODY else Person(name=text)


_CALLS: Mapping[str, _About] = {
    "detail": _About("id", _detail),
    "transcript": _About("transcripts", _transcript),
    "summary": _About("summary", _summary),
    "participants": _About("participants", _participants),
    "recording": _About("recording_url", _recording),
}
