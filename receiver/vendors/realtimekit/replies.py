"""Answers of RealtimeKit's REST API, and the files that its links lead to, as events.

A call is the path that was asked for, ``sessions/{id}/transcript`` and the like; where that answers with a link, what
lies at the link may stand in its place. Answers write names with underscores, a summary's link in camel case.
Source: RealtimeKit, REST API, sessions and recordings; transcription, summary, chat (2026).
"""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from receiver.errors import Malformed
from receiver.events import (
    Event,
    FetchedArtifact,
    FetchedKind,
    Message,
    Participant,
    ParticipantChange,
    Person,
    Segment,
    format_time,
    parse_time,
)
from receiver.record import Decoded, Record
from receiver.vendors.realtimekit.artefacts import (
    TranscriptLine,
    chat_csv,
    cues,
    summary,
    transcript_csv,
    transcript_json,
)
from receiver.vendors.realtimekit.replies_recordings import recording_events
from receiver.vendors.realtimekit.wire import moment, seconds_between
from receiver.vendors.replies import Seen, call_of, passed_on, reply, reply_event, seen_of
from receiver.vendors.wire import not_blank, read_object, require_shallow, typed

_SESSION = re.compile(r"sessions/(?P<id>[\w.\-]{1,128})(?:/(?P<what>[a-z]{1,20}))?", re.ASCII)
_RECORDINGS = re.compile(r"recordings(?:/[\w.\-]{1,128})?", re.ASCII)
#: how an SRT or WebVTT file begins; no row of a CSV transcript does
_CUES = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:WEBVTT|[0-9]{1,9}\r?\n\s*[0-9]{2,4}:[0-9]{2}:[0-9]{2}[.,])")
_BLANK = b"\xef\xbb\xbf \t\r\n"
_S_PER_MIN = 60.0


class _Attendee(msgspec.Struct):
    """Somebody's one connection to a session; ``id`` is the peer's, ``duration`` minutes."""

    id: str | None = None
    custom_participant_id: str | None = None
    display_name: str | None = None
    joined_at: str | None = None
    left_at: str | None = None
    duration: float | None = None


class _Data(msgspec.Struct):
    participants: list[_Attendee] | None = None


class _Attendees(msgspec.Struct):
    data: _Data = msgspec.field(default_factory=_Data)


def decode_reply(record: Record) -> Decoded:
    """Events of one answer. Raises ``Malformed`` with a path, row or byte; an answer in no known form is passed on.

    Of participants and recordings, where ``Seen`` stands in the record: only who and what it has not.
    """
    call = call_of(record)
    found = _SESSION.fullmatch(call)
    events: list[Event] | None = None
    if _RECORDINGS.fullmatch(call):
        events = recording_events(record)
    elif found and (found["what"] or "") in _OF_SESSION:
        events = _OF_SESSION[found["what"] or ""](record, found["id"])
    return passed_on(record) if events is None else reply(record, events)


def _transcript(record: Record, session: str) -> list[Event] | None:
    """CSV, JSON, SRT or WebVTT, told apart by how they begin: a link serves what it was made for."""
    content = record.payload
    first = content.lstrip(_BLANK)[:1]
    if first == b"{":
        return _linked(record, "transcript", session)
    if first == b"[":
        segments = _segments(transcript_json(content))
    elif _CUES.match(content):
        segments = [
            Segment(
                text=cue.text,
                speaker=Person(name=cue.name) if cue.name else None,
                start_s=cue.start_ms / 1000,
                end_s=cue.end_ms / 1000,
            )
            for cue in cues(content)
            if not_blank(cue.text)
        ]
    else:
        segments = _segments(transcript_csv(content))
    return [reply_event(record, FetchedArtifact(kind="transcript", segments=segments, session=session))]


def _segments(lines: list[TranscriptLine]) -> list[Segment]:
    """In order of time. Dyte's older files tell the time of day: seconds count from the first line then."""
    begin_ns = min((line.time_ns for line in lines if line.time_ns is not None), default=0)
    found = []
    for line in lines:
        start_s = None if line.start_ms is None else line.start_ms / 1000
        if line.time_ns is not None:
            start_s = (line.time_ns - begin_ns) / 1e9
        id_ = line.peer_id or line.user_id or line.custom_participant_id
        segment = Segment(
            text=line.text,
            speaker=Person(id=id_, name=line.name) if id_ or line.name else None,
            start_s=start_s,
            end_s=None if line.end_ms is None else line.end_ms / 1000,
        )
        if not_blank(line.text):
            found.append(segment)
    if all(segment.start_s is not None for segment in found):
        found.sort(key=lambda segment: segment.start_s or 0.0)
    return found


def _summary(record: Record, session: str) -> list[Event] | None:
    if record.payload.lstrip(_BLANK)[:1] == b"{":
        return _linked(record, "summary", session)
    kinds = (value for name, value in record.headers if name == "content-type")
    kind = next((value for value in kinds if value.startswith("text/")), None)
    data = FetchedArtifact(kind="summary", text=summary(record.payload), content_type=kind, session=session)
    return [reply_event(record, data)]


def _chat(record: Record, session: str) -> list[Event] | None:
    """Of a picture or file the log has a link that needs no password: the name of its kind stands for it."""
    if record.payload.lstrip(_BLANK)[:1] == b"{":
        return _linked(record, "chat", session)
    messages = []
    for line in chat_csv(record.payload):
        is_text = line.kind in (None, "TEXT_MESSAGE")
        sender = Person(id=line.participant_id, name=line.name) if line.participant_id or line.name else None
        messages.append(
            Message(
                text=line.payload if is_text else line.kind or "",
                sender=sender,
                time=None if line.time_ns is None else format_time(line.time_ns),
            )
        )
    return [reply_event(record, FetchedArtifact(kind="chat", messages=messages, session=session))]


def _linked(record: Record, kind: FetchedKind, session: str) -> list[Event] | None:
    """The answer that tells the link itself; none where it tells no link."""
    body = read_object(record.payload)
    require_shallow(body)
    data = body.get("data")
    holder, at = (data, "$.data") if isinstance(data, dict) else (body, "$")
    url = _first_text(holder, at, f"{kind}_download_url", f"{kind}DownloadUrl")
    if url is None:
        return None
    expires_at = moment(_first_text(holder, at, f"{kind}_download_url_expiry", f"{kind}DownloadUrlExpiry"))
    return [reply_event(record, FetchedArtifact(kind=kind, url=url, expires_at=expires_at, session=session))]


def _first_text(holder: dict[str, Any], at: str, *names: str) -> str | None:
    for name in names:
        value = holder.get(name)
        if value is not None and not isinstance(value, str):
            raise Malformed("expected `str | null`", f"{at}.{name}")
        if text := not_blank(value):
            return text
    return None


def _participants(record: Record, session: str) -> list[Event] | None:
    """Who was there; the same person once for each connection, as events have them."""
    attendees = typed(read_object(record.payload), _Attendees).data.participants
    if attendees is None:
        return None
    seen = seen_of(record)
    if seen is not None:
        return [event for attendee in attendees for event in _missed(record, attendee, seen, session)]
    people = [_participant(attendee) for attendee in attendees]
    return [reply_event(record, FetchedArtifact(kind="participants", participants=people, session=session))]


def _missed(record: Record, told: _Attendee, seen: Seen, session: str) -> list[Event]:
    """The joining and leaving of one that nobody has told of."""
    who = not_blank(told.id) or not_blank(told.display_name)
    if who is None:
        return []
    duration_s = seconds_between(told.joined_at, told.left_at)
    if duration_s is None and told.duration:
        duration_s = told.duration * _S_PER_MIN
    changes = (
        ("joined", "meeting.participantJoined", told.joined_at, seen.joined, None),
        ("left", "meeting.participantLeft", told.left_at, seen.left, duration_s),
    )
    events = []
    for change, name, when, known, lasted_s in changes:
        if who in known or (change == "left" and not_blank(when) is None):
            continue
        data = ParticipantChange(participant=_participant(told), duration_s=lasted_s, session=session, reconciled=True)
        events.append(
            reply_event(
                record, data, type_=f"participant.{change}", time_ns=parse_time(when or "") or 0,
                suffix=f"{change}/{who}", vendorevent=name,
            )
        )  # fmt: skip
    return events


def _participant(told: _Attendee) -> Participant:
    return Participant(
        id=not_blank(told.id), name=not_blank(told.display_name), user_id=not_blank(told.custom_participant_id)
    )


def _detail(record: Record, session: str) -> list[Event] | None:
    body = read_object(record.payload)
    require_shallow(body)
    data = body.get("data")
    told = data if isinstance(data, dict) else body
    title = _first_text(told, "$.data" if told is data else "$", "meeting_display_name")
    return [reply_event(record, FetchedArtifact(kind="detail", title=title, body=told, session=session))]


#: what of a session -> its events
_OF_SESSION: dict[str, Callable[[Record, str], list[Event] | None]] = {
    "": _detail,
    "transcript": _transcript,
    "summary": _summary,
    "chat": _chat,
    "participants": _participants,
}
