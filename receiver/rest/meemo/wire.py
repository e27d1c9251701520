"""What Meemo's calls take and answer (REST reference, meetings, usage and webhooks, gdplabs/gl-sdk-gitbook, 06144e6).

Answers: unknown keys are let be, and nothing is demanded but what a call is about. Times are ISO 8601 text with Z,
durations seconds. Secrets are in no ``repr``.
"""

from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import Meta

from receiver.rest.base import Options

T = TypeVar("T")
Id = Annotated[int, Meta(gt=0)]
Text = Annotated[str, Meta(min_length=1)]
Day = Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")]
Link = Annotated[str, Meta(pattern=r"^https?://")]
Moment = Annotated[datetime, Meta(tz=True)]


class CalendarAttendee(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Somebody who was invited. ``response_status``: ``accepted``, ``needsAction``, …"""

    email: str | None = None
    display_name: str | None = None
    response_status: str | None = None


class CalendarEvent(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A snapshot of an event in somebody's calendar."""

    event_id: Text
    summary: str | None = None
    organizer_email: str | None = None
    attendees: list[CalendarAttendee] | None = None
    meeting_link: str | None = None
    start_time: str | None = None
    end_time: str | None = None


class MeetingOptions(Options, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A meeting to create: one that is planned, one that a bot joins, or one that is imported from a file.

    ``title``: the vendor makes one up where none is given. ``user_token``: a person's own token, ``pt_…``, who is then
    taken to have made it. ``bot_join_at``: in the future; without it a bot joins at once. ``speaker_count``: how many
    voices are expected.
    """

    organization_id: Id
    title: Text | None = None
    start_time: Moment | None = None
    user_token: Text | None = None
    topic_id: Id | None = None
    participants: list[Text] | None = None
    bot_meeting_url: Link | None = None
    file_url: Link | None = None
    bot_join_at: Moment | None = None
    speaker_count: Annotated[int, Meta(ge=1)] | None = None
    calendar_event: CalendarEvent | None = None

    def __post_init__(self) -> None:
        if self.bot_meeting_url is not None and self.file_url is not None:
            raise ValueError("bot_meeting_url stands beside file_url: one of the two")
        if self.bot_join_at is not None and self.file_url is not None:
            raise ValueError("bot_join_at stands beside file_url: no bot joins where a file is imported")

    def __repr__(self) -> str:
        return f"MeetingOptions(organization_id={self.organization_id}, …)"


class MeetingFilter(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which meetings to list. ``title``: a part of it, in any case. ``participants``: ids of users, any of them.
    Days as ``YYYY-MM-DD``, both included. ``size``: of a page."""

    organization_id: Id | None = None
    title: str | None = None
    participants: tuple[Id, ...] = ()
    created_after: Day | None = None
    created_before: Day | None = None
    summary_complete: bool | None = None
    from_calendar: bool | None = None
    page: Annotated[int, Meta(ge=1)] | None = None
    size: Annotated[int, Meta(ge=1)] | None = None


class Page(msgspec.Struct, Generic[T], kw_only=True):
    """A part of a list. ``next``: the URL of the part behind it."""

    results: list[T]
    count: int | None = None
    next: str | None = None
    previous: str | None = None


class MeetingSummary(msgspec.Struct, kw_only=True):
    """A meeting in a list. ``status``: ``past``, ``scheduled``, …"""

    id: int
    title: str | None = None
    start_time: str | None = None
    end_time: str | None = None
    created_at: str | None = None
    status: str | None = None
    summary_complete: bool | None = None
    host_name: str | None = None
    calendar_event: dict[str, Any] | None = None


class Host(msgspec.Struct, kw_only=True):
    """Whose meeting it is."""

    id: int | None = None
    name: str | None = None
    email: str | None = None


class Meeting(msgspec.Struct, kw_only=True):
    """A meeting in detail. ``language``: ``id``, ``en``. ``num_cluster``: how many voices diarisation tells apart."""

    id: int
    title: str | None = None
    start_time: str | None = None
    end_time: str | None = None
    created_at: str | None = None
    location: str | None = None
    status: str | None = None
    summary_complete: bool | None = None
    host: Host | None = None
    language: str | None = None
    keywords: list[str] | None = None
    participant_count: int | None = None
    duration_seconds: float | None = None
    num_cluster: int | None = None
    calendar_event: dict[str, Any] | None = None


class Segment(msgspec.Struct, kw_only=True):
    """One thing said; seconds from the start. ``speaker``: a name to show."""

    speaker: str | None = None
    text: str | None = None
    start_time: float | None = None
    end_time: float | None = None


class Transcript(msgspec.Struct, kw_only=True):
    """What was said."""

    transcripts: list[Segment]
    meeting_id: int | None = None
    title: str | None = None
    total_segments: int | None = None


class Summary(msgspec.Struct, kw_only=True):
    """``summary``: Markdown; an object where the meeting is old; ``None`` where there is none, or none yet."""

    summary: str | dict[str, Any] | None
    meeting_id: int | None = None
    title: str | None = None
    notes: Any = None
    keywords: list[str] | None = None


class Attendee(msgspec.Struct, kw_only=True):
    """Somebody who was invited, with what the organisation knows of them."""

    id: int | None = None
    name: str | None = None
    email: str | None = None
    position: str | None = None
    department: str | None = None


class Participants(msgspec.Struct, kw_only=True):
    """Who belongs to a meeting."""

    participants: list[Attendee]
    meeting_id: int | None = None
    title: str | None = None
    total_participants: int | None = None


class Recording(msgspec.Struct, kw_only=True):
    """A meeting's sound. ``recording_url`` is a secret; whole, also where the vendor's was relative."""

    recording_url: str
    meeting_id: int | None = None
    title: str | None = None
    duration: float | None = None
    format: str | None = None

    def __repr__(self) -> str:
        return f"Recording({self.meeting_id}, {self.duration} s, {self.format})"


class Topic(msgspec.Struct, kw_only=True):
    """What meetings are about, and the language that goes with it."""

    id: int
    name: str | None = None
    alias: str | None = None
    language: str | None = None


class Usage(msgspec.Struct, kw_only=True):
    """What one capability has cost: seconds of speech to text, tokens of all else. ``quota`` null or -1: no limit."""

    organization_id: int | None = None
    organization_name: str | None = None
    capability_name: str | None = None
    usage: float | None = None
    quota: float | None = None

    @property
    def limited(self) -> bool:
        """Whether there is an end to it."""
        return self.quota is not None and self.quota != -1


class Organization(msgspec.Struct, kw_only=True):
    """One that the client id is linked to."""

    id: int
    name: str | None = None


class Registration(msgspec.Struct, kw_only=True):
    """A webhook of one organisation, with the secret that is its own."""

    id: int
    target_url: str = ""
    secret_key: str = ""
    events: tuple[str, ...] = ()
    is_active: bool | None = None
    description: str | None = None
    created_at: str | None = None
    organization_id: int | None = None
    failure_count: int | None = None
    last_failure_reason: str | None = None

    def __repr__(self) -> str:
        return f"Registration({self.id} of organisation {self.organization_id})"


class LogEntry(msgspec.Struct, kw_only=True):
    """One delivery in the vendor's log. ``status``: ``SUCCESS``, …"""

    id: int | None = None
    webhook_id: int | None = None
    event_uuid: str | None = None
    event_type: str | None = None
    status: str | None = None
    response_status: int | None = None
    attempt_count: int | None = None
    created_at: str | None = None
