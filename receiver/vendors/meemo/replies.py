"""Replies of Meemo's REST routes below ``meeting/{id}/``, as typed records (REST reference, meetings, commit 06144e6).

A reply without the key that it is about (an error's ``detail``, say) is malformed and never an empty one. Pure.
"""

from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

import msgspec

from receiver.errors import Malformed
from receiver.vendors.wire import read_object, require_shallow, typed

_PORTS = {"http": 80, "https": 443}


class _Reply(msgspec.Struct, frozen=True, kw_only=True):
    meeting_id: int | str | None = None
    title: str | None = None

    @property
    def meeting(self) -> str:
        """The meeting's id as text, as events have it; empty where the reply does not tell it."""
        return "" if self.meeting_id is None else str(self.meeting_id)


class Segment(msgspec.Struct, frozen=True, kw_only=True, rename={"start_s": "start_time", "end_s": "end_time"}):
    """One thing said. ``speaker`` is a name to show, no id; seconds from the start."""

    speaker: str | None = None
    text: str | None = None
    start_s: float | None = None
    end_s: float | None = None


class TranscriptReply(_Reply, frozen=True, kw_only=True, rename={"segments": "transcripts"}):
    """``transcript/``: the segments as they came."""

    segments: list[Segment]


class Attendee(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody on the list of participants. Nothing links one to a segment but perhaps the name."""

    id: int | str | None = None
    name: str | None = None
    email: str | None = None
    position: str | None = None
    department: str | None = None


class ParticipantsReply(_Reply, frozen=True, kw_only=True):
    """``participants/``."""

    participants: list[Attendee]


class SummaryReply(_Reply, frozen=True, kw_only=True):
    """``summary/``: Markdown; an object where the meeting is old; ``None`` where there is no summary.

    The type of ``notes`` is not documented: any JSON.
    """

    summary: str | dict[str, Any] | None = None
    notes: Any = None
    keywords: list[str] = []


class RecordingReply(_Reply, frozen=True, kw_only=True, rename={"url": "recording_url", "duration_s": "duration"}):
    """``recording/``. ``url`` is a secret and mostly relative: see :func:`recording_address`."""

    url: str
    duration_s: float | None = None
    format: str | None = None


class Address(msgspec.Struct, frozen=True):
    """Where a recording lies. ``own_host``: it is the API's own, the only one that may see the bearer token."""

    url: str
    own_host: bool


def transcript(payload: bytes) -> TranscriptReply:
    """``{meeting_id, title, total_segments, transcripts[{speaker, text, start_time, end_time}]}``.

    Raises ``Malformed``.
    """
    return typed(read_object(payload), TranscriptReply)


def participants(payload: bytes) -> ParticipantsReply:
    """``{meeting_id, title, total_participants, participants[{id, name, email, position, department}]}``.

    Raises ``Malformed``.
    """
    return typed(read_object(payload), ParticipantsReply)


def summary(payload: bytes) -> SummaryReply:
    """``{meeting_id, title, summary, notes, keywords[]}``, with null as "there is none". Raises ``Malformed``."""
    body = read_object(payload)
    if "summary" not in body:
        raise Malformed("missing required field `summary`", "$")
    require_shallow(body)
    return typed(body, SummaryReply)


def recording(payload: bytes) -> RecordingReply:
    """``{meeting_id, title, recording_url, duration, format}``; duration in seconds. Raises ``Malformed``."""
    return typed(read_object(payload), RecordingReply)


def recording_address(reply: RecordingReply, base_url: str) -> Address:
    """The recording's full URL, on the configured ``base_url`` where the reply's is relative.

    Raises ``Malformed`` where that gives no http or https URL.
    """
    try:
        url = urljoin(base_url.rstrip("/") + "/", reply.url.strip())
        target, base = urlsplit(url), urlsplit(base_url)
        if target.scheme not in _PORTS or not target.hostname:
            raise Malformed("expected an http or https URL", "$.recording_url")
        return Address(url, _origin(target) == _origin(base))
    except ValueError:
        raise Malformed("expected a URL", "$.recording_url") from None


def _origin(url: SplitResult) -> tuple[str, str | None, int | None]:
    return url.scheme, url.hostname, url.port or _PORTS.get(url.scheme)
