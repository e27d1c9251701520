"""What RealtimeKit's agent socket says: the live transcript, who comes and goes, broadcasts. And what is asked over it.

A message is ``{category, name, data}``. Transcripts have no number: a partial takes the place of the one before it of
the same speaker, until a final. Source: RealtimeKit, agent WebSocket, events (beta, 2026).
"""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from receiver.errors import Malformed
from receiver.events import (
    Encoder,
    MeetingInfo,
    Participant,
    ParticipantChange,
    Person,
    Transcript,
    VendorBody,
)
from receiver.record import Decoded
from receiver.vendors.realtimekit.wire import seconds_between
from receiver.vendors.wire import Delivery, not_blank, require_shallow, timed_key, typed

#: message name -> event type. A transcript that is not final is ``transcript.partial``.
NAMES = {
    "session.started": "meeting.started",
    "session.ended": "meeting.ended",
    "participant.join": "participant.joined",
    "participant.leave": "participant.left",
    "transcript.received": "transcript.final",
    "broadcast.received": "vendor.event",
    "participant.kick_all": "vendor.event",
}
_MOST_ID_CHARACTERS = 128
_PRINTABLE_ID = re.compile(rf"[!-~]{{1,{_MOST_ID_CHARACTERS}}}")


class AgentState(msgspec.Struct, array_like=True):
    """What the messages so far have told: the session, when it began, the vendor's name of the connection."""

    session: str = ""
    started_at: str = ""
    connection_id: str = ""


class _Session(msgspec.Struct):
    id: str | None = None
    meeting_id: str | None = None
    started_at: str | None = None
    ended_at: str | None = None


class _Who(msgspec.Struct):
    peer_id: str | None = None
    participant_id: str | None = None
    custom_participant_id: str | None = None
    display_name: str | None = None
    waitlisted: bool | None = None


class _Connection(msgspec.Struct):
    id: str | None = None


class _Data(msgspec.Struct):
    session: _Session | None = None
    reason: str | None = None
    participant: _Who | None = None
    text: str | None = None
    is_final: bool | None = None
    started_at: str | None = None
    ended_at: str | None = None
    confidence: float | None = None
    speaker: _Who | None = None
    connection: _Connection | None = None


class _Message(msgspec.Struct):
    data: _Data = msgspec.field(default_factory=_Data)
    error: Any = None


def meeting_of(body: dict[str, Any]) -> str | None:
    """The meeting that a message names, empty where it names none; ``None`` where it is no message of the agent's."""
    name = body.get("name")
    if body.get("category") == "result":
        return ""
    if body.get("category") != "message" or not isinstance(name, str) or name not in NAMES:
        return None
    data = body.get("data")
    holders = [data.get(key) for key in ("session", "participant")] if isinstance(data, dict) else []
    ids = [holder.get("meeting_id") for holder in holders if isinstance(holder, dict)]
    return next((id_ for id_ in ids if isinstance(id_, str) and id_), "")


def decode_message(body: dict[str, Any], delivery: Delivery, state: AgentState, number_id: str) -> Decoded:
    """The event of one message, none of a result without an error. Raises ``Malformed`` and leaves ``state`` as it was.

    After a reconnection messages may come again: those with a time of their own are identified by it and by what they
    say, joins and leaves by the whole message, for a short time. What else there is has ``number_id``.
    """
    name = body.get("name")
    if body.get("category") == "result":
        told = typed(body, _Message)
        if told.error is None:
            state.connection_id = (told.data.connection or _Connection()).id or state.connection_id
            return Decoded([])
    elif body.get("category") == "message" and isinstance(name, str) and name in _DECODERS:
        decoded = _DECODERS[name](typed(body, _Message).data, delivery, state, name)
        if decoded is not None:
            return decoded
    return _other(body, delivery, state, number_id)


def ping(request_id: str) -> str:
    """The message that keeps the socket open; to be sent each 20 s. No result within 10 s: reconnect.

    Raises ``Malformed`` where ``request_id`` is not of 1 to 128 printable ASCII characters.
    """
    return _request("connection.ping", request_id)


def connection_get(request_id: str) -> str:
    """The message that asks for the connection's id, which a session keeps. Raises ``Malformed`` like :func:`ping`."""
    return _request("connection.get", request_id)


def _request(name: str, request_id: str) -> str:
    if not _PRINTABLE_ID.fullmatch(request_id):
        raise Malformed(f"expected 1 to {_MOST_ID_CHARACTERS} printable ASCII characters", "request_id")
    return Encoder.encode({"category": "request", "request_id": request_id, "name": name, "data": {}}).decode()


def _started(data: _Data, delivery: Delivery, state: AgentState, name: str) -> Decoded | None:
    """A second one means that events were lost; it is the same event."""
    told = data.session
    if told is None:
        return None
    state.session, state.started_at = told.id or "", told.started_at or ""
    key = timed_key("agent", name, told.id, told.started_at) if told.id else None
    return delivery.decoded(
        "meeting.started",
        MeetingInfo(session=not_blank(told.id)),
        subject=delivery.subject,
        timestamp=told.started_at,
        name=name,
        key=key,
    )


def _ended(data: _Data, delivery: Delivery, state: AgentState, name: str) -> Decoded | None:
    told = data.session
    if told is None:
        return None
    session = told.id or state.session
    key = timed_key("agent", name, session, told.ended_at) if session else None
    return delivery.decoded(
        "meeting.ended",
        MeetingInfo(reason=not_blank(data.reason), session=not_blank(session)),
        subject=delivery.subject,
        timestamp=told.ended_at,
        name=name,
        key=key,
    )


def _changed(data: _Data, delivery: Delivery, state: AgentState, name: str) -> Decoded | None:
    """Of somebody who was kicked nothing is told but the peer; who waits for admission joins with a reason."""
    who = data.participant
    if who is None:
        return None
    user_id, display_name = not_blank(who.custom_participant_id), not_blank(who.display_name)
    reason = None
    if name == "participant.join":
        reason = "waitlisted" if who.waitlisted else None
    elif not (not_blank(who.participant_id) or user_id or display_name):
        reason = "kicked"
    change = ParticipantChange(
        participant=Participant(id=not_blank(who.peer_id), name=display_name, user_id=user_id),
        reason=reason,
        session=not_blank(state.session),
    )
    return delivery.decoded(NAMES[name], change, subject=delivery.subject, timestamp=None, name=name)


def _transcript(data: _Data, delivery: Delivery, state: AgentState, name: str) -> Decoded | None:
    """Times are those of arrival at the vendor's server; seconds count from the beginning of the session, if known."""
    if data.text is None:
        return None
    who = data.speaker or _Who()
    speaker_id, speaker_name = not_blank(who.peer_id) or not_blank(who.participant_id), not_blank(who.display_name)
    final = data.is_final is not False
    start_s = seconds_between(state.started_at, data.started_at)
    end_s = seconds_between(state.started_at, data.ended_at)
    transcript = Transcript(
        text=data.text or None,
        speaker=Person(id=speaker_id, name=speaker_name) if speaker_id or speaker_name else None,
        start_s=start_s,
        end_s=end_s,
        confidence=data.confidence or None,
        session=not_blank(state.session),
    )
    key = None
    if data.started_at or data.ended_at:
        said = speaker_id, data.started_at, data.ended_at, final, data.text
        key = timed_key("agent", name, state.session, delivery.subject, *said)
    return delivery.decoded(
        "transcript.final" if final else "transcript.partial",
        transcript,
        subject=delivery.subject,
        timestamp=data.ended_at or data.started_at,
        name=name,
        key=key,
    )


#: a broadcast is what the customer's application sends, and no chat: it is passed on, like ``participant.kick_all``
_DECODERS: dict[str, Callable[[_Data, Delivery, AgentState, str], Decoded | None]] = {
    "session.started": _started,
    "session.ended": _ended,
    "participant.join": _changed,
    "participant.leave": _changed,
    "transcript.received": _transcript,
}


def _other(body: dict[str, Any], delivery: Delivery, state: AgentState, number_id: str) -> Decoded:
    """``vendor.event``: the message itself."""
    require_shallow(body)
    name, data = body.get("name"), body.get("data")
    created_at = data.get("created_at") if isinstance(data, dict) else None
    event = delivery.event(
        number_id,
        "vendor.event",
        VendorBody(body=body, session=not_blank(state.session)),
        subject=delivery.subject,
        timestamp=created_at if isinstance(created_at, str) else None,
        name=name if isinstance(name, str) else "",
    )
    if not created_at or name != "broadcast.received":
        return Decoded([event])
    key = delivery.body_key(delivery.subject)
    event.id = key.hex()
    return Decoded([event], key)
