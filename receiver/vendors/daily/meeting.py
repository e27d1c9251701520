"""Daily's webhooks about meetings, participants and telephone calls (webhook events, docs.daily.co, 2026).

Events of participants name no occurrence of the meeting: the room and the time tell which it is.
"""

from typing import Any

from receiver.events import MeetingInfo, Participant, ParticipantChange
from receiver.vendors.daily.wire import Moment, News, Number, Payload, finite, moment_ns, seconds
from receiver.vendors.wire import not_blank, typed

PAYLOAD = "$.payload"


class _Meeting(Payload):
    end_ts: Moment | None = None


class _Participant(Payload):
    session_id: str | None = None
    user_id: str | None = None
    user_name: str | None = None
    joined_at: Moment | None = None
    duration: Number | None = None
    owner: bool | None = None


def read_meeting(name: str, type_: str, payload: dict[str, Any]) -> News:
    """``meeting.started`` and ``meeting.ended``. Raises ``Malformed``."""
    told = typed(payload, _Meeting, PAYLOAD)
    moment = told.end_ts if name == "meeting.ended" else told.start_ts
    data = MeetingInfo(session=told.session)
    return News([(type_, data)], subject=told.subject, session=told.session, time_ns=moment_ns(moment))


def read_participant(name: str, type_: str, payload: dict[str, Any]) -> News:
    """Joins and leaves, of the meeting or of its waiting room: who waits is in no meeting, so the contract has no type.

    A leave happened ``duration`` seconds after ``joined_at``. Raises ``Malformed``.
    """
    told = typed(payload, _Participant, PAYLOAD)
    who = Participant(
        id=told.session_id or None,
        name=not_blank(told.user_name),
        user_id=told.user_id or None,
        host=told.owner,
    )
    left = name.endswith(".left")
    duration_s = finite(told.duration) if left else None
    time_ns = moment_ns(told.joined_at)
    if left:
        joined_s = seconds(told.joined_at)
        time_ns = None if joined_s is None or duration_s is None else moment_ns(joined_s + duration_s)
    data = ParticipantChange(participant=who, duration_s=duration_s, session=told.session)
    waits = type_ == "vendor.event"
    return News([] if waits else [(type_, data)], subject=told.subject, session=told.session, time_ns=time_ns)


def read_plain(_name: str, _type: str, payload: dict[str, Any]) -> News:
    """What the contract has no type for: the room, the occurrence and the moment. Raises ``Malformed``."""
    told = typed(payload, Payload, PAYLOAD)
    moment = told.start_ts if told.timestamp is None else told.timestamp
    return News([], subject=told.subject, session=told.session, time_ns=moment_ns(moment))
