"""Events as lines for people: one line each, with the time (UTC), the bot or meeting, who, and what.

Pure. Media and vendor bodies are summarised, never dumped. Whatever a vendor sends, a line stays one line and cannot
steer the terminal: control characters, escape sequences and direction overrides become U+FFFD, line breaks a space.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

from receiver.events import (
    Artifact,
    AudioChunk,
    BotStatus,
    ChatMessage,
    ControlMessage,
    Data,
    DataDeleted,
    Event,
    FetchedArtifact,
    MeetingInfo,
    ParticipantChange,
    Person,
    RecordingStatus,
    StreamClosed,
    StreamOpened,
    Transcript,
    VendorBody,
    VideoChunk,
    format_time,
)

#: longest line in characters; the rest is cut
MOST_CHARACTERS = 4000
_SUBJECT_CHARACTERS = 12
_NAME_CHARACTERS = 80
_BREAKS = re.compile(r"[\t\n\v\f\r\x85\u2028\u2029]+")
#: a control sequence (ESC [ … letter) as a whole; else each control, direction or surrogate character
_UNSAFE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]{0,64}[ -/]{0,8}[@-~]"
    r"|[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufff9-\ufffb]"
)


def text_line(event: Event, *, secrets: bool = False) -> str:
    """One line without its line break, such as ``09:30:05 [bot-7] Ada: Good morning.``"""
    data = event.data if secrets else event.data.without_secrets()
    describe = _DESCRIBE.get(type(data))
    said = describe(data, event) if describe else event.type
    subject = f"[{_short(event.subject, _SUBJECT_CHARACTERS)}] " if event.subject else ""
    return _short(plain(f"{format_time(event.time_ns)[11:19]} {subject}{said}"), MOST_CHARACTERS)


def plain(text: str) -> str:
    """``text`` as one line that a terminal shows and does not obey."""
    return text if text.isprintable() else _UNSAFE.sub("\ufffd", _BREAKS.sub(" ", text))


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _who(person: Person | None) -> str:
    return _short((person.name or person.id or "?") if person else "?", _NAME_CHARACTERS)


def _listed(*parts: str | None) -> str:
    return ", ".join(part for part in parts if part)


def _remark(*parts: str | None) -> str:
    text = _listed(*parts)
    return f" ({text})" if text else ""


def _seconds(value: float | None) -> str | None:
    return None if value is None else f"{value:.1f} s"


def _count(value: int | None, what: str) -> str | None:
    return None if value is None else f"{value} {what}"


def _verb(event: Event) -> str:
    return event.type.rpartition(".")[2]


def _bot(data: BotStatus, _: Event) -> str:
    code = None if data.code is None else f"code {data.code}"
    return f"bot {data.status}{_remark(data.reason, data.message, code)}"


def _recording(data: RecordingStatus, _: Event) -> str:
    return f"recording {data.status}{_remark(data.recording)}"


def _meeting(data: MeetingInfo, event: Event) -> str:
    return f"meeting {_verb(event)}{_remark(data.title, data.reason)}"


def _participant(data: ParticipantChange, event: Event) -> str:
    someone = data.participant
    name = _short(someone.name or someone.id or someone.user_id or "?", _NAME_CHARACTERS)
    roles = ("host" if someone.host else None, "bot" if someone.bot else None)
    stayed = f"after {data.duration_s:.1f} s" if data.duration_s is not None else None
    return f"{name} {_verb(event)}{_remark(*roles, stayed, data.reason)}"


def _transcript(data: Transcript, event: Event) -> str:
    more = " …" if event.type == "transcript.partial" else ""
    return f"{_who(data.speaker)}: {data.formatted_text or data.text or data.new_text or ''}{more}"


def _chat(data: ChatMessage, _: Event) -> str:
    to = f" to {_short(data.to, _NAME_CHARACTERS)}" if data.to else ""
    return f"{_who(data.sender)} (chat{to}): {data.text or ''}"


def _media_bytes(event: Event) -> str:
    return f"{len(event.media) if event.media is not None else 0} bytes"


def _audio(data: AudioChunk, event: Event) -> str:
    length = None if data.samples is None or data.rate_hz <= 0 else f"{data.samples / data.rate_hz:.3f} s"
    gap = None if data.gap_ms is None else f"{data.gap_ms:.0f} ms gap before"
    format_ = f"{data.codec} {data.rate_hz} Hz × {data.channels}"
    return f"audio of {_who(data.speaker or Person(id=data.track))}{_remark(length, format_, _media_bytes(event), gap)}"


def _video(data: VideoChunk, event: Event) -> str:
    size = f"{data.width}×{data.height}" if data.width is not None and data.height is not None else None
    return f"video{_remark(data.codec, data.container, size, _media_bytes(event))}"


def _opened(data: StreamOpened, _: Event) -> str:
    return f"{data.channel} stream opened{_remark(data.connection, data.resumes and f'resumes {data.resumes}')}"


def _closed(data: StreamClosed, _: Event) -> str:
    code = None if data.code is None else f"code {data.code}"
    clean = None if data.clean is None else "clean" if data.clean else "broken off"
    volume = (_count(data.messages, "messages"), _count(data.bytes, "bytes"), _seconds(data.duration_s))
    return f"{data.channel} stream closed{_remark(data.connection, code, clean, *volume)}"


def _fetched(data: FetchedArtifact, event: Event) -> str:
    counts = ((data.segments, "segments"), (data.participants, "participants"), (data.messages, "messages"))
    return f"{data.kind} {_verb(event)}{_remark(*(_count(len(found), what) for found, what in counts if found))}"


def _artifact(data: Artifact, event: Event) -> str:
    size = _count(data.size_bytes, "bytes")
    url = f" {data.url}" if data.url else ""
    return f"{data.kind} {_verb(event)}{_remark(_seconds(data.duration_s), size, data.message)}{url}"


def _deleted(data: DataDeleted, _: Event) -> str:
    failed = "with errors" if data.ok is False else None
    return f"data deleted{_remark(_count(data.objects, 'objects'), failed)}"


def _control(data: ControlMessage, _: Event) -> str:
    by = f" by {_who(data.speaker)}" if data.speaker else ""
    return f"control {data.command}{by}{': ' + data.text if data.text else ''}"


def _vendor(data: VendorBody, event: Event) -> str:
    keys: Iterable[Any] = data.body if isinstance(data.body, dict) else ()
    return f"vendor event {event.vendorevent or '?'}{_remark(_listed(*(str(key) for key in list(keys)[:8])))}"


#: data type -> what is said of it; a type that is missing here is shown by its name
_DESCRIBE: dict[type[Data], Callable[[Any, Event], str]] = {
    BotStatus: _bot,
    RecordingStatus: _recording,
    MeetingInfo: _meeting,
    ParticipantChange: _participant,
    Transcript: _transcript,
    ChatMessage: _chat,
    AudioChunk: _audio,
    VideoChunk: _video,
    StreamOpened: _opened,
    StreamClosed: _closed,
    Artifact: _artifact,
    FetchedArtifact: _fetched,
    DataDeleted: _deleted,
    ControlMessage: _control,
    VendorBody: _vendor,
}
