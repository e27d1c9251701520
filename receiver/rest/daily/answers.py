"""What Daily answers, as typed records (docs.daily.co, REST reference, 2026). Nothing but ids is counted on.

Times are Unix seconds, durations seconds, unless they are texts: those are ISO 8601.
"""

from typing import Any

import msgspec

#: all webhook events
EVENTS = (
    "meeting.started", "meeting.ended", "participant.joined", "participant.left", "waiting-participant.joined",
    "waiting-participant.left", "recording.started", "recording.ready-to-download", "recording.error",
    "transcript.started", "transcript.ready-to-download", "transcript.error", "streaming.started", "streaming.updated",
    "streaming.ended", "streaming.error", "batch-processor.job-finished", "batch-processor.error", "dialin.ready",
    "dialin.connected", "dialin.stopped", "dialin.warning", "dialin.error", "dialout.connected", "dialout.answered",
    "dialout.stopped", "dialout.warning", "dialout.error",
)  # fmt: skip


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"


class Room(_Answer, frozen=True, kw_only=True):
    """A room. ``config``: what differs from the defaults."""

    name: str
    id: str = ""
    url: str = ""
    privacy: str = ""
    api_created: bool = False
    created_at: str = ""
    config: dict[str, Any] = {}


class Deleted(_Answer, frozen=True, kw_only=True):
    """What ``DELETE`` answers; empty where it answers nothing."""

    deleted: bool = True
    name: str = ""
    id: str = ""


class Presence(_Answer, frozen=True, kw_only=True):
    """Somebody who is in a room now. ``id``: of the connection."""

    id: str = ""
    room: str = ""
    userId: str | None = None  # noqa: N815 - the vendor's spelling
    userName: str | None = None  # noqa: N815 - the vendor's spelling
    joinTime: str | float | None = None  # noqa: N815 - the vendor's spelling
    duration: float | None = None


class PresenceList(_Answer, frozen=True, kw_only=True):
    """Who is in a room now."""

    total_count: int = 0
    data: list[Presence] = []


class MeetingParticipant(_Answer, frozen=True, kw_only=True):
    """Somebody's connection to a meeting; coarse to some fifteen seconds."""

    participant_id: str | None = None
    user_id: str | None = None
    user_name: str | None = None
    join_time: float | None = None
    duration: float | None = None


class Meeting(_Answer, frozen=True, kw_only=True):
    """One session of a room."""

    id: str
    room: str = ""
    start_time: float | None = None
    duration: float | None = None
    ongoing: bool = False
    max_participants: int | None = None
    participants: list[MeetingParticipant] | None = None


class Recording(_Answer, frozen=True, kw_only=True):
    """A recording. ``share_token`` opens it: a secret."""

    id: str
    room_name: str = ""
    start_ts: float | None = None
    status: str = ""
    max_participants: int | None = None
    duration: float | None = None
    share_token: str | None = None
    s3key: str | None = None
    mtgSessionId: str | None = None  # noqa: N815 - the vendor's spelling
    tracks: list[dict[str, Any]] | None = None


class RecordingLink(_Answer, frozen=True, kw_only=True):
    """Where a recording can be had until ``expires``: a secret."""

    download_link: str
    expires: float | None = None


class Transcript(_Answer, frozen=True, kw_only=True):
    """A stored transcript; ``status`` is in one of several spellings."""

    transcriptId: str  # noqa: N815 - the vendor's spelling
    domainId: str | None = None  # noqa: N815 - the vendor's spelling
    roomId: str | None = None  # noqa: N815 - the vendor's spelling
    mtgSessionId: str | None = None  # noqa: N815 - the vendor's spelling
    status: str = ""
    isVttAvailable: bool | None = None  # noqa: N815 - the vendor's spelling
    duration: float | None = None
    participantMinutes: float | None = None  # noqa: N815 - the vendor's spelling
    outParams: dict[str, Any] | None = None  # noqa: N815 - the vendor's spelling
    error: Any = None

    @property
    def state(self) -> str:
        """``running``, ``failed``, ``gone`` or ``ready``."""
        word = self.status.lower().removeprefix("t_")
        if word in ("error", "failed"):
            return "failed"
        if word == "deleted":
            return "gone"
        return "ready" if word in ("finished", "completed") and self.isVttAvailable is not False else "running"


class TranscriptLink(_Answer, frozen=True, kw_only=True):
    """Where a transcript can be had for an hour: a secret."""

    link: str


class Job(_Answer, frozen=True, kw_only=True):
    """A job of the batch processor. ``status``: ``submitted``, ``processing``, ``finished``, ``error``."""

    id: str
    preset: str = ""
    status: str = ""
    input: dict[str, Any] = {}
    output: dict[str, Any] | None = None
    error: Any = None


class JobFile(_Answer, frozen=True, kw_only=True):
    """A file that a job made. ``format``: such as ``vtt``, ``srt``, ``txt``, ``json``; ``link`` is a secret."""

    link: str = ""
    format: str = ""


class JobLinks(_Answer, frozen=True, kw_only=True):
    """The files of a finished job."""

    id: str = ""
    preset: str = ""
    status: str = ""
    transcription: list[JobFile] | None = None
    summary: JobFile | None = None


class Registration(_Answer, frozen=True, kw_only=True):
    """A webhook. ``hmac`` and ``basicAuth`` are secrets. ``state``: ``ACTIVE``, ``FAILED``, ``INACTIVE``."""

    uuid: str
    url: str = ""
    hmac: str | None = None
    basicAuth: str | None = None  # noqa: N815 - the vendor's spelling
    retryType: str = ""  # noqa: N815 - the vendor's spelling
    eventTypes: list[str] = []  # noqa: N815 - the vendor's spelling
    state: str = ""
    failedCount: int = 0  # noqa: N815 - the vendor's spelling
    lastMomentPushed: str | None = None  # noqa: N815 - the vendor's spelling
    domainId: str | None = None  # noqa: N815 - the vendor's spelling
    createdAt: str | None = None  # noqa: N815 - the vendor's spelling
    updatedAt: str | None = None  # noqa: N815 - the vendor's spelling
