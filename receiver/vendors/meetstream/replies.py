"""Answers of MeetStream's REST API as events: what was fetched of a bot (OpenAPI and plugin reference, autumn 2026).

The vendor's shapes are loosely documented: a list may lie in an object, a link may have another name. What fits no
known form is passed on as it is. ``RequestPayload``, the echo of what was asked for, is never handed on: it holds the
URLs of this receiver, with their tokens.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from receiver.errors import Malformed
from receiver.events import FetchedArtifact, FetchedKind, Message, Participant, Segment, Word, format_time
from receiver.record import Decoded, Record
from receiver.vendors.hints import moment
from receiver.vendors.meetstream.missed import details_of, missed
from receiver.vendors.meetstream.wire import person, real, speaker
from receiver.vendors.replies import call_of, reply, reply_event, seen_of
from receiver.vendors.wire import not_blank, read_json, typed

#: how long the links of an answer hold (plugin reference, May 2026), seconds
_AUDIO_LINK_S = 3600
_VIDEO_LINK_S = 600
_ECHO = "RequestPayload"


def decode_reply(record: Record) -> Decoded:
    """Events of one answer: of ``detail`` and ``participant_events`` with a ``Seen`` what was missed, else one
    ``artifact.fetched``. Raises ``Malformed`` with the path of what is wrong."""
    call, seen = call_of(record), seen_of(record)
    if call == "caption_file":
        return reply(record, [reply_event(record, _captions(record.payload))])
    value = read_json(record.payload)
    if not isinstance(value, dict | list):
        raise Malformed("expected a JSON object or array", "$")
    if seen is not None:
        return reply(record, missed(record, call, value, seen))
    data = _READERS.get(call, _plain("detail"))(value, record)
    return reply(record, [reply_event(record, data, subject=record.subject or _bot_of(value))])


class _Word(msgspec.Struct):
    word: str | None = None
    punctuated_word: str | None = None
    start: float | None = None
    end: float | None = None
    confidence: float | None = None
    speaker: str | int | None = None


class _Segment(msgspec.Struct):
    speaker: str | int | None = None
    transcript: str | None = None
    text: str | None = None
    start_time: float | None = None
    end_time: float | None = None
    words: list[_Word] | None = None


class _Segments(msgspec.Struct):
    segments: list[_Segment]


class _Raw(msgspec.Struct):
    """What the transcription service itself gave, as far as services agree."""

    id: str | None = None
    text: str | None = None
    language_code: str | None = None


class _Chat(msgspec.Struct, rename="camel"):
    text: str | None = None
    message: str | None = None
    device_id: str | None = None
    sender: str | None = None
    speaker_name: str | None = None
    speaker_display_name: str | None = None
    timestamp: str | int | float | None = None
    client_timestamp: str | int | float | None = None


class _Chats(msgspec.Struct):
    messages: list[_Chat]


class _Present(msgspec.Struct, rename="camel"):
    device_id: str | None = None
    display_name: str | None = None
    full_name: str | None = None


class _Everybody(msgspec.Struct):
    participants: list[_Present]


class _Audio(msgspec.Struct):
    audio_url: str | None = None
    url: str | None = None


class _VideoInfo(msgspec.Struct):
    duration: float | None = None


class _Video(msgspec.Struct):
    video_url: str | None = None
    url: str | None = None
    video_info: _VideoInfo | None = None


Reader = Callable[[Any, Record], FetchedArtifact]


def _plain(kind: FetchedKind) -> Reader:
    """An answer for which the contract has no keys."""
    return lambda value, record: FetchedArtifact(kind=kind, body=_without_echo(value))


def _transcript(value: Any, record: Record) -> FetchedArtifact:
    """An array of segments, also below ``message`` or ``transcript``; or, raw, the service's own object.

    ``absolute_start_time`` is not read: in one saved answer it lay in January 1970.
    """
    at, told = _list_in(value, ("message", "transcript", "transcripts", "segments"))
    if told is not None:
        segments = _in_order(_typed_list(told, at, "segments", _Segments).segments)
        return FetchedArtifact(kind="transcript", segments=[one for one in map(_segment, segments) if one])
    if isinstance(value.get("transcript"), str):
        return FetchedArtifact(kind="transcript", text=not_blank(value["transcript"]))
    raw = typed(value, _Raw)
    return FetchedArtifact(
        kind="transcript", id=raw.id or None, text=not_blank(raw.text), language=raw.language_code or None, body=value
    )


def _in_order(segments: list[_Segment]) -> list[_Segment]:
    """By time where all have one, else as they came."""
    if any(one.start_time is None for one in segments):
        return segments
    return sorted(segments, key=lambda one: one.start_time or 0.0)


def _segment(told: _Segment) -> Segment | None:
    words = [
        Word(
            text=word.word or None,
            formatted_text=word.punctuated_word or None,
            start_s=word.start,
            end_s=word.end,
            confidence=word.confidence or None,
            speaker=speaker(word.speaker),
        )
        for word in told.words or []
    ]
    text = not_blank(told.transcript) or not_blank(told.text)
    if text is None:
        return None
    return Segment(
        text=text,
        speaker=speaker(told.speaker),
        start_s=told.start_time,
        end_s=told.end_time,
        words=words or None,
    )


def _captions(payload: bytes) -> FetchedArtifact:
    """The platform's own captions; their format is not documented: JSON, or text as it is."""
    try:
        value = read_json(payload)
    except Malformed:
        return FetchedArtifact(kind="transcript", text=not_blank(payload.decode("utf-8", "replace")))
    if isinstance(value, dict | list):
        return FetchedArtifact(kind="transcript", body=value)
    return FetchedArtifact(kind="transcript", text=not_blank(str(value)))


def _summary(value: Any, record: Record) -> FetchedArtifact:
    """The same shape as ``detail``; where in it the text lies is not documented."""
    details = details_of(value)
    text = details.get("summary") or details.get("Summary")
    told = not_blank(text) if isinstance(text, str) else None
    return FetchedArtifact(kind="summary", text=told, body=None if told and len(details) == 1 else _without_echo(value))


def _audio(value: Any, record: Record) -> FetchedArtifact:
    if not isinstance(value, dict):
        return FetchedArtifact(kind="audio", body=value)
    told = typed(value, _Audio)
    url = told.audio_url or told.url
    if not url:
        return FetchedArtifact(kind="audio", body=value)
    return FetchedArtifact(kind="audio", url=url, expires_at=_expiry(record, _AUDIO_LINK_S))


def _video(value: Any, record: Record) -> FetchedArtifact:
    """``size_mb`` stays in the body: nobody says whether a megabyte has 1000 or 1024 kilobytes."""
    if not isinstance(value, dict):
        return FetchedArtifact(kind="video", body=value)
    told = typed(value, _Video)
    url = told.video_url or told.url
    if not url:
        return FetchedArtifact(kind="video", body=value)
    rest = {key: item for key, item in value.items() if key not in ("video_url", "url")}
    return FetchedArtifact(
        kind="video",
        url=url,
        expires_at=_expiry(record, _VIDEO_LINK_S),
        duration_s=told.video_info.duration if told.video_info else None,
        body=rest or None,
    )


def _chat(value: Any, record: Record) -> FetchedArtifact:
    at, told = _list_in(value, ("chatMessages", "messages", "chats"))
    if told is None:
        return FetchedArtifact(kind="chat", body=value)
    messages = []
    for one in _typed_list(told, at, "messages", _Chats).messages:
        text = not_blank(one.text) or not_blank(one.message)
        if text is not None:
            name = real(one.speaker_display_name) or real(one.speaker_name) or one.sender
            time = moment(one.timestamp) or moment(one.client_timestamp)
            messages.append(Message(text=text, sender=person(one.device_id, name), time=time))
    return FetchedArtifact(kind="chat", messages=messages)


def _participants(value: Any, record: Record) -> FetchedArtifact:
    """A bare array (OpenAPI), or below ``participants``; ``parentDeviceId`` marks a person's second device."""
    at, told = _list_in(value, ("participants",))
    if told is None:
        return FetchedArtifact(kind="participants", body=value)
    people = []
    for one in _typed_list(told, at, "participants", _Everybody).participants:
        id_, name = real(one.device_id), real(one.full_name) or real(one.display_name)
        if id_ or name:
            people.append(Participant(id=id_, name=name))
    return FetchedArtifact(kind="participants", participants=people)


_READERS: dict[str, Reader] = {
    "get_transcript": _transcript,
    "summary": _summary,
    "get_audio": _audio,
    "get_video": _video,
    "get_chats": _chat,
    "get_participants": _participants,
    "participant_events": _plain("participants"),
    "get_speaker_timeline": _plain("timeline"),
    "get_screenshots": _plain("screenshots"),
    "get_audio_streams": _plain("streams"),
    "get_recording_streams": _plain("streams"),
}


def _list_in(value: Any, keys: tuple[str, ...]) -> tuple[str, list[Any] | None]:
    """The list that ``value`` is or has below one of ``keys``, and its path."""
    if isinstance(value, list):
        return "$", value
    return next(((f"$.{key}", value[key]) for key in keys if isinstance(value.get(key), list)), ("$", None))


def _typed_list(told: list[Any], at: str, key: str, shape: type[Any]) -> Any:
    """A list as the one field of ``shape``; an error names its place in the body."""
    try:
        return typed({key: told}, shape)
    except Malformed as error:
        reason = str(error).partition(" (at ")[0]
        raise Malformed(reason, at + error.where.removeprefix(f"$.{key}")) from None


def _expiry(record: Record, seconds: int) -> str:
    return format_time(record.received_ns + seconds * 1_000_000_000)


def _bot_of(value: Any) -> str:
    """The bot that an answer names itself; empty where it names none."""
    if not isinstance(value, dict):
        return ""
    metadata = value.get("metadata")
    told = (
        value.get("bot_id"),
        details_of(value).get("BotID"),
        metadata.get("botId") if isinstance(metadata, dict) else None,
    )
    return next((id_ for id_ in told if isinstance(id_, str) and id_), "")


def _without_echo(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    kept = {key: item for key, item in value.items() if key != _ECHO}
    details = kept.get("bot_details")
    if isinstance(details, dict):
        kept["bot_details"] = {key: item for key, item in details.items() if key != _ECHO}
    return kept
