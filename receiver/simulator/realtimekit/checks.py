"""What RealtimeKit refuses in a body or a query. Pure. Source: RealtimeKit, REST API reference (2026)."""

import re
from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[Any], str]

EVENTS = (
    "meeting.started", "meeting.ended", "meeting.participantJoined", "meeting.participantLeft", "meeting.chatSynced",
    "recording.statusUpdate", "livestreaming.statusUpdate", "meeting.transcript", "meeting.summary",
)  # fmt: skip
_LANGUAGES = ("en-US", "en-IN", "de", "hi", "sv", "ru", "pl", "el", "fr", "nl")
_SUMMARIES = (
    "general", "team_meeting", "sales_call", "client_check_in", "interview", "daily_standup", "one_on_one_meeting",
    "lecture", "code_review",
)  # fmt: skip
_URL = re.compile(r"https?://\S+")


def text(value: Any) -> str:
    """A text with something in it."""
    return "" if isinstance(value, str) and value else "must be a string that is not empty"


def flag(value: Any) -> str:
    """True or false."""
    return "" if isinstance(value, bool) else "must be a boolean"


def url(value: Any) -> str:
    """http or https."""
    return "" if isinstance(value, str) and _URL.fullmatch(value) else "must be a valid uri"


def between(least: int, most: int) -> Check:
    """A whole number."""

    def check(value: Any) -> str:
        fits = isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
        return "" if fits else f"must be an integer from {least} to {most}"

    return check


def one_of(*values: str) -> Check:
    """One of a list."""
    return lambda value: "" if value in values else f"must be one of {', '.join(values)}"


def list_of(check: Check) -> Check:
    """A list of such, not empty."""

    def checked(value: Any) -> str:
        if not isinstance(value, list) or not value:
            return "must be a list that is not empty"
        return next((problem for problem in map(check, value) if problem), "")

    return checked


def within(fields: Mapping[str, Check]) -> Check:
    """An object with such fields."""
    return lambda value: problem_of(value, fields)


def optional(check: Check) -> Check:
    """Null is allowed too."""
    return lambda value: "" if value is None else check(value)


def anything(_value: Any) -> str:
    """Not looked at."""
    return ""


def problem_of(body: Any, fields: Mapping[str, Check], required: tuple[str, ...] = ()) -> str:
    """What is wrong first, with the field's name; empty: nothing. Unknown fields are let be."""
    if not isinstance(body, dict):
        return "must be an object"
    for name in required:
        if name not in body:
            return f"{name} is required"
    for name, value in body.items():
        if problem := fields.get(name, anything)(value):
            return f"{name}: {problem}"
    return ""


_TRANSCRIPTION = {"language": one_of(*_LANGUAGES), "keywords": list_of(text), "profanity_filter": flag}
_SUMMARIZATION = {
    "word_limit": between(150, 1000),
    "text_format": one_of("plain_text", "markdown"),
    "summary_type": one_of(*_SUMMARIES),
}
_AUDIO = {"codec": one_of("MP3", "AAC"), "channel": one_of("mono", "stereo"), "export_file": flag}
_VIDEO = {"codec": one_of("H264", "VP8"), "export_file": flag, "width": between(1, 8192), "height": between(1, 8192)}
_RECORDING = {
    "max_seconds": between(60, 86_400),
    "file_name_prefix": text,
    "audio_config": within(_AUDIO),
    "video_config": within(_VIDEO),
    "realtimekit_bucket_config": lambda value: problem_of(value, {"enabled": flag}, ("enabled",)),
    "storage_config": optional(lambda value: problem_of(value, {}, ("type",))),
}
MEETING: Mapping[str, Check] = {
    "title": optional(text),
    "record_on_start": flag,
    "live_stream_on_start": flag,
    "persist_chat": flag,
    "transcribe_on_end": flag,
    "summarize_on_end": flag,
    "status": one_of("ACTIVE", "INACTIVE"),
    "session_keep_alive_time_in_secs": between(60, 600),
    "ai_config": within({"transcription": within(_TRANSCRIPTION), "summarization": within(_SUMMARIZATION)}),
    "recording_config": within(_RECORDING),
}
PARTICIPANT: Mapping[str, Check] = {
    "custom_participant_id": text,
    "preset_name": text,
    "name": optional(text),
    "picture": optional(url),
}
WEBHOOK: Mapping[str, Check] = {"name": text, "url": url, "events": list_of(one_of(*EVENTS)), "enabled": flag}
RECORDING: Mapping[str, Check] = {**_RECORDING, "meeting_id": text, "url": url, "allow_multiple_recordings": flag}
TRACKS: Mapping[str, Check] = {"meeting_id": text}
ORDER: Mapping[str, Check] = {"action": one_of("stop", "pause", "resume")}
