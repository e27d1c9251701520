"""Replies of Water AI's transcript routes, as typed records (docs.waterr.ai, API reference, transcripts and scenarios).

The vendor wraps replies as ``{"success": true, "data": …}``, as ``{"status": "success", "data": …}`` or not at all, and
does not say which route does what: every route is read in each form. What the caller knows from the route's path, and
the reply may not repeat, stays with the caller. Pure.
"""

import re
from typing import Any

import msgspec

from receiver.errors import Malformed
from receiver.vendors.wire import read_object, typed

_CLOCK = re.compile(r"(?:(\d{1,4}):)?(\d{1,4}):(\d{1,2}(?:\.\d{1,9})?)", re.ASCII)


class Sentence(msgspec.Struct, frozen=True, kw_only=True):
    """One thing said. ``start_s``: seconds from the start, as coarse as the vendor's clock text. Empty: not told."""

    text: str
    id: str = ""
    speaker: str = ""
    start_s: float | None = None
    sequence_number: int | None = None


class SentencedTranscript(msgspec.Struct, frozen=True, kw_only=True):
    """A transcript in sentences, in the order in which they were said. ``created_at``: the vendor's text."""

    sentences: list[Sentence]
    id: str = ""
    meeting: str = ""
    person_name: str = ""
    created_at: str = ""


class PlainTranscript(msgspec.Struct, frozen=True, kw_only=True):
    """A transcript as one text. ``status``: such as ``completed``."""

    content: str
    id: str = ""
    meeting: str = ""
    status: str = ""
    language: str = ""
    created_at: str = ""


class _Sentence(msgspec.Struct):
    id: int | str | None = None
    speaker: str | None = None
    message: str | None = None
    start_duration: str | int | float | None = None
    sequence_number: int | float | None = None


class _Transcript(msgspec.Struct):
    sentences: list[_Sentence]
    transcript_id: int | str | None = None


class _Meeting(msgspec.Struct):
    transcripts: list[_Transcript]
    meeting_id: int | str | None = None
    person_name: str | None = None
    created_at: str | None = None


class _Scenario(msgspec.Struct):
    meetings: list[_Meeting]


class _MeetingInfo(msgspec.Struct):
    id: int | str | None = None


class _One(msgspec.Struct):
    sentences: list[_Sentence]
    meeting_info: _MeetingInfo | None = None


class _Plain(msgspec.Struct):
    content: str
    id: int | str | None = None
    meeting_id: int | str | None = None
    status: str | None = None
    language: str | None = None
    created_at: str | None = None


def scenario_transcripts(payload: bytes) -> list[SentencedTranscript]:
    """All of ``GET /sentenced-transcripts/scenario/{scenario_id}``, meeting by meeting. Raises ``Malformed``.

    Shape: ``meetings[{meeting_id, person_name, created_at, transcripts[{transcript_id, sentences[]}]}]``.
    """
    at, data = _reply(payload)
    if isinstance(data, list):
        at, data = "$", {"meetings": data}
    return [
        SentencedTranscript(
            sentences=_in_order(one.sentences),
            id=_text(one.transcript_id),
            meeting=_text(meeting.meeting_id),
            person_name=_text(meeting.person_name),
            created_at=_text(meeting.created_at),
        )
        for meeting in typed(_object(data, at), _Scenario, at).meetings
        for one in meeting.transcripts
    ]


def sentenced_transcript(payload: bytes) -> SentencedTranscript:
    """That of ``GET /sentenced-transcripts/{transcript_id}/{meeting_id}/{scenario_id}``. Raises ``Malformed``.

    Shape: ``sentences[], meeting_info{id}``; its own id stands in the path only.
    """
    at, data = _reply(payload)
    if isinstance(data, list):
        at, data = "$", {"sentences": data}
    told = typed(_object(data, at), _One, at)
    meeting = told.meeting_info.id if told.meeting_info else None
    return SentencedTranscript(sentences=_in_order(told.sentences), meeting=_text(meeting))


def meeting_transcripts(payload: bytes) -> list[PlainTranscript]:
    """All of ``GET /transcripts/meeting/{meeting_id}``. Raises ``Malformed``.

    Shape: a bare array ``[{id, meeting_id, content, status, language, created_at}]``.
    """
    at, data = _reply(payload)
    if not isinstance(data, list):
        raise Malformed("expected an array", at)
    transcripts = []
    for number, item in enumerate(data):
        place = f"{at}[{number}]"
        told = typed(_object(item, place), _Plain, place)
        transcripts.append(
            PlainTranscript(
                content=told.content,
                id=_text(told.id),
                meeting=_text(told.meeting_id),
                status=_text(told.status),
                language=_text(told.language),
                created_at=_text(told.created_at),
            )
        )
    return transcripts


def clock_s(value: str | float | None) -> float | None:
    """Seconds of ``mm:ss`` or ``hh:mm:ss``; a number is seconds; ``None`` where it is neither."""
    if not isinstance(value, str):
        return None if value is None else float(value)
    found = _CLOCK.fullmatch(value.strip())
    if not found:
        return None
    hours, minutes, seconds = found.groups()
    return int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds)


def _reply(payload: bytes) -> tuple[str, Any]:
    """What the reply is about, without its envelope, and its path. Raises ``Malformed``, also where it says failure."""
    try:
        value: Any = msgspec.json.decode(payload)
    except (msgspec.DecodeError, ValueError, RecursionError):
        value = None
    if isinstance(value, list):
        return "$", value
    body = read_object(payload)
    if body.get("status") == "error" or body.get("success") is False:
        raise Malformed("the reply says that it is an error", "$")
    return ("$.data", body["data"]) if "data" in body else ("$", body)


def _object(value: Any, at: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Malformed("expected an object", at)
    return value


def _in_order(told: list[_Sentence]) -> list[Sentence]:
    """By ``sequence_number`` where all have one, else as they came; sentences without text are none."""
    if all(one.sequence_number is not None for one in told):
        told = sorted(told, key=lambda one: one.sequence_number or 0)
    return [
        Sentence(
            text=one.message,
            id=_text(one.id),
            speaker=_text(one.speaker),
            start_s=clock_s(one.start_duration),
            sequence_number=None if one.sequence_number is None else int(one.sequence_number),
        )
        for one in told
        if one.message and not one.message.isspace()
    ]


def _text(value: str | int | None) -> str:
    return "" if value is None else str(value)
