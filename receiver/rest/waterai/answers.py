"""What Water AI answers, without its envelopes, as typed records (docs.waterr.ai, API reference, 2026). Ids are whole
numbers; nothing but a meeting's is counted on."""

from typing import Any

import msgspec

Id = int | str


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"


class Meeting(_Answer, frozen=True, kw_only=True):
    """A meeting. ``room_token`` opens its room: a secret. The last part of ``room_url`` is the room's name at Daily."""

    id: Id
    room_url: str | None = None
    room_token: str | None = None
    person_name: str | None = None
    scenario_id: Id | None = None
    status: str | None = None
    meeting_type: str | None = None
    allow_transcription: bool | None = None
    created_at: str | None = None
    updated_at: str | None = None
    scenario: dict[str, Any] | None = None
    end_user: dict[str, Any] | None = None

    @property
    def room(self) -> str:
        """The room's name at Daily; empty where it is not told."""
        return (self.room_url or "").partition("?")[0].rstrip("/").rpartition("/")[2]


class Minutes(_Answer, frozen=True, kw_only=True):
    """What a meeting may cost, and what is left."""

    estimatedMinutes: float | None = None  # noqa: N815 - the vendor's spelling
    remainingMinutes: float | None = None  # noqa: N815 - the vendor's spelling


class Made(_Answer, frozen=True, kw_only=True):
    """A meeting that was made. Both URLs name the end user's membership, which opens them: secrets."""

    meeting: Meeting
    session_minutes_info: Minutes | None = None
    meeting_url: str | None = None
    scenario_url: str | None = None


class Sentence(_Answer, frozen=True, kw_only=True):
    """One thing said. ``start_duration``: ``mm:ss`` or ``hh:mm:ss``."""

    id: Id | None = None
    speaker: str | None = None
    message: str | None = None
    start_duration: str | float | None = None
    sequence_number: float | None = None


class Sentences(_Answer, frozen=True, kw_only=True):
    """A transcript in sentences."""

    sentences: list[Sentence] = []
    transcript_id: Id | None = None
    meeting_info: dict[str, Any] | None = None
    scenario_info: dict[str, Any] | None = None


class ScenarioMeeting(_Answer, frozen=True, kw_only=True):
    """A meeting of a scenario with its transcripts."""

    meeting_id: Id | None = None
    person_name: str | None = None
    created_at: str | None = None
    transcripts: list[Sentences] = []


class Scenario(_Answer, frozen=True, kw_only=True):
    """All transcripts of a scenario."""

    meetings: list[ScenarioMeeting] = []
    scenario_info: dict[str, Any] | None = None


class Transcript(_Answer, frozen=True, kw_only=True):
    """A transcript as one text."""

    id: Id | None = None
    meeting_id: Id | None = None
    content: str | None = None
    status: str | None = None
    language: str | None = None
    created_at: str | None = None


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What the last answer said of the rate: calls that are allowed and left. The unit of ``reset`` is not told."""

    limit: int | None = None
    remaining: int | None = None
    reset: str = ""
