"""What the book of meetings knows of a subject, as fetching needs it. Pure."""

import msgspec

from receiver.meetings.tracker import MeetingTracker
from receiver.vendors.replies import Seen


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What has come of a subject, and what a call may need beside its id. Times in seconds since the epoch."""

    seen: Seen
    session: str = ""
    since_s: float | None = None
    until_s: float | None = None


def known_of(tracker: MeetingTracker | None, source: str, subject: str, upto: int) -> Known | None:
    """``None`` where nothing is known of it, or not yet: not everything up to the number ``upto`` is in the book."""
    if tracker is None or not tracker.caught_up.is_set() or tracker.cursor < upto:
        return None
    meeting = tracker.book.find(subject, source)
    if meeting is None:
        return None
    told = meeting.told
    return Known(
        seen=Seen(
            statuses=frozenset(told.statuses),
            joined=frozenset(told.joined),
            left=frozenset(told.left),
            artifacts=frozenset(told.artifacts),
        ),
        session=meeting.session or "",
        since_s=None if meeting.started_ns is None else meeting.started_ns / 1e9,
        until_s=None if meeting.ended_ns is None else meeting.ended_ns / 1e9,
    )
