"""What Water AI's REST API answers, as events (docs.waterr.ai, API reference, meetings and transcripts, 2026).

Calls: ``meeting``, ``transcripts`` (those of a meeting, each as one text), ``sentenced-transcript/ID`` and
``scenario-transcripts``.
"""

from typing import Any
from urllib.parse import unquote

import msgspec

from receiver.data import FetchedArtifact, MeetingInfo, Person, Segment
from receiver.events import Event, parse_time
from receiver.record import Decoded, Record
from receiver.vendors.replies import Seen, call_of, passed_on, reply, reply_event, seen_of
from receiver.vendors.waterai.transcripts import (
    SentencedTranscript,
    meeting_transcripts,
    scenario_transcripts,
    sentenced_transcript,
)
from receiver.vendors.wire import not_blank, read_json, typed

_ENDED = "meeting.ended"
_OVER = frozenset({"ended", "completed", "finished"})


class _Meeting(msgspec.Struct):
    id: int | str | None = None
    status: str | None = None
    person_name: str | None = None
    language: str | None = None
    updated_at: str | None = None
    ended_at: str | None = None


def decode_reply(record: Record) -> Decoded:
    """Events of one answer; what is in no known form is passed on, and so is one that says that it is an error.

    Raises ``Malformed`` with the path of a known key that has the wrong type.
    """
    name, _, id_ = call_of(record).partition("/")
    body = read_json(record.payload)
    at, data = ("$.data", body["data"]) if isinstance(body, dict) and "data" in body else ("$", body)
    if isinstance(body, dict) and (body.get("status") == "error" or body.get("success") is False):
        return passed_on(record)
    if name == "meeting" and isinstance(data, dict) and ("id" in data or "status" in data):
        return _meeting(record, data, at)
    if name == "transcripts" and isinstance(data, list) and all(_has(one, "content") for one in data):
        return _texts(record)
    if name == "sentenced-transcript" and (isinstance(data, list) or _has(data, "sentences")):
        return reply(record, [_spoken(record, sentenced_transcript(record.payload), unquote(id_), 0)])
    if name == "scenario-transcripts" and (isinstance(data, list) or _has(data, "meetings")):
        spoken = enumerate(scenario_transcripts(record.payload))
        return reply(record, [_spoken(record, one, one.id, number, several=True) for number, one in spoken])
    return passed_on(record)


def _meeting(record: Record, data: dict[str, Any], at: str) -> Decoded:
    """The meeting as it is; or, where it is known what had come, its end if that was missed."""
    told = typed(data, _Meeting, at)
    subject = record.subject or _text(told.id)
    seen = seen_of(record)
    if seen is not None:
        return reply(record, _missed(record, told, subject, seen))
    fetched = FetchedArtifact(kind="detail", id=_text(told.id) or None, language=told.language or None, body=data)
    return reply(record, [reply_event(record, fetched, subject=subject)])


def _missed(record: Record, told: _Meeting, subject: str, seen: Seen) -> list[Event]:
    """The vendor tells no time of the end but that of the last change."""
    if (told.status or "").lower() not in _OVER or _ENDED in seen.statuses:
        return []
    time_ns = parse_time(told.ended_at or told.updated_at or "") or 0
    data = MeetingInfo(reconciled=True)
    return [
        reply_event(record, data, type_=_ENDED, time_ns=time_ns, suffix=_ENDED, vendorevent=_ENDED, subject=subject)
    ]


def _texts(record: Record) -> Decoded:
    events = []
    for number, one in enumerate(meeting_transcripts(record.payload)):
        data = FetchedArtifact(
            kind="transcript", id=one.id or None, text=not_blank(one.content), language=one.language or None
        )
        subject = record.subject or one.meeting
        events.append(reply_event(record, data, suffix=one.id or f"#{number}", subject=subject))
    return reply(record, events)


def _spoken(record: Record, told: SentencedTranscript, id_: str, number: int, *, several: bool = False) -> Event:
    """One transcript in sentences. ``speaker`` is the vendor's word, such as ``user``: a part that is played."""
    segments = [
        Segment(text=one.text, speaker=Person(name=one.speaker) if one.speaker else None, start_s=one.start_s)
        for one in told.sentences
    ]
    data = FetchedArtifact(kind="transcript", id=id_ or None, segments=segments or None)
    subject = (told.meeting or record.subject) if several else (record.subject or told.meeting)
    return reply_event(record, data, suffix=(id_ or f"#{number}") if several else "", subject=subject)


def _has(value: Any, key: str) -> bool:
    return isinstance(value, dict) and key in value


def _text(value: int | str | None) -> str:
    return "" if value is None else str(value)
