"""RealtimeKit's webhooks, and Dyte's, which are the same but for headers, time shapes and what may be missing.

``event`` tells the kind. ``meeting.status`` decides nothing: it stays ``LIVE`` after the end. Who comes back is another
``peerId``. Source: RealtimeKit, webhooks; Dyte, webhook events (2026).
"""

import hashlib
import re
from collections.abc import Callable
from typing import Any

import msgspec

from receiver.errors import Malformed
from receiver.events import Artifact, ArtifactKind, MeetingInfo, Participant, ParticipantChange, VendorBody
from receiver.record import Decoded, Record
from receiver.vendors.realtimekit.recording import Meaning, Recording, recording_meanings
from receiver.vendors.realtimekit.wire import moment, seconds_between
from receiver.vendors.wire import Delivery, delivery_of, not_blank, read_object, require_shallow, timed_key, typed

#: a delivery's own id and that of the webhook's configuration; the older names behind the newer
ID_HEADERS = ("rtk-uuid", "dyte-uuid")
WEBHOOK_HEADERS = ("rtk-webhook-id", "dyte-webhook-id")
LIVESTREAM = "livestreaming.statusUpdate"
#: event name -> event type. A recording that is ready or has failed is an artifact.
NAMES = {
    "meeting.started": "meeting.started",
    "meeting.ended": "meeting.ended",
    "meeting.participantJoined": "participant.joined",
    "meeting.participantLeft": "participant.left",
    "meeting.chatSynced": "artifact.ready",
    "meeting.transcript": "artifact.ready",
    "meeting.summary": "artifact.ready",
    "recording.statusUpdate": "recording.status",
    LIVESTREAM: "vendor.event",
}
#: headers come from strangers: what looks otherwise is no id
_ID = re.compile(r"[\w.:\-]{1,128}", re.ASCII)


class _Meeting(msgspec.Struct):
    id: str | None = None
    sessionId: str | None = None  # noqa: N815 - the vendor's spelling
    title: str | None = None
    startedAt: str | None = None  # noqa: N815 - the vendor's spelling
    endedAt: str | None = None  # noqa: N815 - the vendor's spelling


class _Who(msgspec.Struct):
    peerId: str | None = None  # noqa: N815 - the vendor's spelling
    userDisplayName: str | None = None  # noqa: N815 - the vendor's spelling
    customParticipantId: str | None = None  # noqa: N815 - the vendor's spelling
    clientSpecificId: str | None = None  # noqa: N815 - the vendor's spelling
    joinedAt: str | None = None  # noqa: N815 - the vendor's spelling
    leftAt: str | None = None  # noqa: N815 - the vendor's spelling


class _Body(msgspec.Struct):
    """``meetingId`` and ``sessionId`` stand at the top in ``meeting.chatSynced`` only."""

    meeting: _Meeting = msgspec.field(default_factory=_Meeting)
    participant: _Who | None = None
    recording: Recording | None = None
    reason: str | None = None
    meetingId: str | None = None  # noqa: N815 - the vendor's spelling
    sessionId: str | None = None  # noqa: N815 - the vendor's spelling
    chatDownloadUrl: str | None = None  # noqa: N815 - the vendor's spelling
    chatDownloadUrlExpiry: str | None = None  # noqa: N815 - the vendor's spelling
    transcriptDownloadUrl: str | None = None  # noqa: N815 - the vendor's spelling
    transcriptDownloadUrlExpiry: str | None = None  # noqa: N815 - the vendor's spelling
    summaryDownloadUrl: str | None = None  # noqa: N815 - the vendor's spelling
    summaryDownloadUrlExpiry: str | None = None  # noqa: N815 - the vendor's spelling


def decode(record: Record) -> Decoded:
    """Events of one HTTP body. Raises ``Malformed`` with the path or byte of what is wrong.

    The delivery's id is that of its header, and so is the key. Without one it is the digest of webhook id and body: for
    good where the body tells a moment that comes once, else (a livestream, a recording that goes on after a pause)
    within the short window only. The header's id has been seen to change between the tries of one delivery, so what
    comes once is known by that digest as well.
    """
    delivery = delivery_of(record)
    body = read_object(record.payload)
    name = body.get("event")
    if name is not None and not isinstance(name, str):
        raise Malformed("expected `str`", "$.event")
    meanings: list[Meaning] = []
    if name in _MEANINGS:
        told = typed(body, _Body)
        meanings = _MEANINGS[name](told)
        recording = told.recording or Recording()
        subject = not_blank(told.meeting.id) or not_blank(told.meetingId) or not_blank(recording.meetingId)
        session = not_blank(told.meeting.sessionId) or not_blank(told.sessionId) or not_blank(recording.roomUUID)
    if not meanings:
        require_shallow(body)
        meanings = [Meaning("vendor.event", VendorBody(body=body), once=False)]
        subject = _text(body, "meeting", "id") or _text(body, "meetingId")
        session = _text(body, "meeting", "sessionId") or _text(body, "sessionId")
    return _decoded(record, delivery, meanings, name or "", subject or delivery.subject, session)


def _decoded(
    record: Record, delivery: Delivery, meanings: list[Meaning], name: str, subject: str, session: str | None
) -> Decoded:
    id_ = _header(record, ID_HEADERS)
    digest = hashlib.sha256(record.payload).hexdigest()
    key = timed_key("body", _header(record, WEBHOOK_HEADERS), delivery.subject, digest)
    timed = all(meaning.once for meaning in meanings) and bool(session or meanings[0].timestamp)
    also: tuple[bytes, ...] = ()
    if id_:
        also = (key,) if timed else ()
        key, timed = timed_key("uuid", id_), True
    else:
        id_ = key.hex() + (f"~{record.repeat + 1}" if record.repeat else "")
    events = []
    for meaning in meanings:
        meaning.data.session = session
        own_id = f"{id_}/{meaning.part}" if len(meanings) > 1 else id_
        events.append(
            delivery.event(own_id, meaning.type, meaning.data, subject=subject, timestamp=meaning.timestamp, name=name)
        )
    return Decoded(events, key, timed, also)


def _started(told: _Body) -> list[Meaning]:
    return [Meaning("meeting.started", MeetingInfo(title=not_blank(told.meeting.title)), told.meeting.startedAt)]


def _ended(told: _Body) -> list[Meaning]:
    data = MeetingInfo(title=not_blank(told.meeting.title), reason=not_blank(told.reason))
    return [Meaning("meeting.ended", data, told.meeting.endedAt)]


def _joined(told: _Body) -> list[Meaning]:
    who = told.participant
    if who is None:
        return []
    return [Meaning("participant.joined", ParticipantChange(participant=_participant(who)), who.joinedAt)]


def _left(told: _Body) -> list[Meaning]:
    who = told.participant
    if who is None:
        return []
    duration_s = seconds_between(who.joinedAt, who.leftAt)
    data = ParticipantChange(participant=_participant(who), duration_s=duration_s)
    return [Meaning("participant.left", data, who.leftAt)]


def _participant(who: _Who) -> Participant:
    user_id = not_blank(who.customParticipantId) or not_blank(who.clientSpecificId)
    return Participant(id=not_blank(who.peerId), name=not_blank(who.userDisplayName), user_id=user_id)


def _recording(told: _Body) -> list[Meaning]:
    return [] if told.recording is None else recording_meanings(told.recording)


def _file(kind: ArtifactKind) -> Callable[[_Body], list[Meaning]]:
    """An artifact whose link stands under ``<kind>DownloadUrl``. Nothing tells when it was made."""

    def meanings(told: _Body) -> list[Meaning]:
        url, expiry = getattr(told, f"{kind}DownloadUrl"), getattr(told, f"{kind}DownloadUrlExpiry")
        return [Meaning("artifact.ready", Artifact(kind=kind, url=not_blank(url), expires_at=moment(expiry)))]

    return meanings


#: event name -> what it means; a livestream has no type of its own
_MEANINGS: dict[str, Callable[[_Body], list[Meaning]]] = {
    "meeting.started": _started,
    "meeting.ended": _ended,
    "meeting.participantJoined": _joined,
    "meeting.participantLeft": _left,
    "meeting.chatSynced": _file("chat"),
    "meeting.transcript": _file("transcript"),
    "meeting.summary": _file("summary"),
    "recording.statusUpdate": _recording,
}


def _header(record: Record, names: tuple[str, ...]) -> str:
    """The first of these headers that is there and looks like an id; empty where none does."""
    values = (value.strip() for name in names for told, value in record.headers if told == name)
    return next((value for value in values if _ID.fullmatch(value)), "")


def _text(body: dict[str, Any], *path: str) -> str | None:
    value: Any = body
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return not_blank(value) if isinstance(value, str) else None
