"""Meemo's REST API (fact sheet, sections 1, 2 and 4).

``token`` has the bearer token, ``wire`` what calls take and answer, ``calls`` the calls, ``api`` what all clients have.
"""

from receiver.rest.meemo.api import MeemoApi
from receiver.rest.meemo.wire import (
    Attendee,
    CalendarAttendee,
    CalendarEvent,
    Host,
    LogEntry,
    Meeting,
    MeetingFilter,
    MeetingOptions,
    MeetingSummary,
    Organization,
    Participants,
    Recording,
    Registration,
    Segment,
    Summary,
    Topic,
    Transcript,
    Usage,
)

__all__ = [
    "Attendee",
    "CalendarAttendee",
    "CalendarEvent",
    "Host",
    "LogEntry",
    "MeemoApi",
    "Meeting",
    "MeetingFilter",
    "MeetingOptions",
    "MeetingSummary",
    "Organization",
    "Participants",
    "Recording",
    "Registration",
    "Segment",
    "Summary",
    "Topic",
    "Transcript",
    "Usage",
]
