"""All meetings that are known, by source and subject, folded from events in journal order. Does no I/O but to log.

Memory is bounded: at most ``most_meetings``, of which those go first that ended longest ago; and ``most_characters`` of
transcripts together, of which those of ended meetings go first. The journal still has what went.
"""

from collections.abc import Iterable

import structlog

from receiver.events import Event
from receiver.meetings.bounds import MOST_ID_CHARACTERS
from receiver.meetings.show import meeting_view, summary, transcript_view
from receiver.meetings.snapshot import Counters
from receiver.meetings.state import Meeting
from receiver.meetings.views import Made, MeetingsView, MeetingView, TranscriptView

log = structlog.get_logger()
MOST_MEETINGS = 1_000
MOST_CHARACTERS = 64_000_000
#: turns of which nothing has arrived for so long are cut
_IDLE_S = 60.0
_WORTH = {"ended": 0, "scheduled": 1, "active": 2}


class MeetingBook:
    """Meetings by source (``/vendor/endpoint``) and subject. Nothing that an event holds stops it."""

    def __init__(
        self, *, most_meetings: int = MOST_MEETINGS, most_characters: int = MOST_CHARACTERS, quiet_s: float = 900.0
    ) -> None:
        """``quiet_s``: a meeting without open streams of which nothing has arrived for so long has ended."""
        self._most_meetings = most_meetings
        self._most_characters = most_characters
        self._quiet_s = quiet_s
        self._meetings: dict[tuple[str, str], Meeting] = {}
        #: of all transcripts, also those that were fetched
        self._characters = 0
        self._logged: set[tuple[str, str]] = set()
        #: events folded, events without a subject, and events that could not be folded
        self.events = self.unassigned = self.faults = 0
        #: records that the journal's disk has spoilt, and records that no decoder takes now, of any meeting
        self.damaged = self.undecodable = 0
        #: meetings, and transcripts, that had to make room
        self.evicted = self.texts_dropped = 0

    @property
    def known(self) -> int:
        """How many meetings are in memory."""
        return len(self._meetings)

    @property
    def bounds(self) -> tuple[int, int, float]:
        """``most_meetings``, ``most_characters``, ``quiet_s``."""
        return self._most_meetings, self._most_characters, self._quiet_s

    def everything(self) -> tuple[list[Meeting], Counters]:
        """What makes up the book: its meetings, in the order in which they were first told of, and its counters."""
        counts = {name: getattr(self, name) for name in Counters.__struct_fields__}
        return list(self._meetings.values()), Counters(**counts)

    def restore(self, meetings: Iterable[Meeting], counters: Counters) -> None:
        """Be the book that ``everything`` told of."""
        self._meetings = {(meeting.source, meeting.subject): meeting for meeting in meetings}
        self._characters = sum(meeting.characters for meeting in self._meetings.values())
        for name in Counters.__struct_fields__:
            setattr(self, name, getattr(counters, name))

    def fold(self, events: Iterable[Event]) -> None:
        """Take events in journal order. One that cannot be folded is counted, logged, and passed over."""
        for event in events:
            self.events += 1
            if not event.subject:
                self.unassigned += 1
                continue
            try:
                self._fold(event)
            except Exception as error:
                self._fault(event, error)

    def lost(self, source: str, subject: str, *, damaged: bool) -> None:
        """A record can be read no more (``damaged``), or is decoded by nobody now; counted for its meeting, if that is
        known."""
        self.damaged += damaged
        self.undecodable += not damaged
        meeting = self._meetings.get((source, subject))
        if meeting is not None:
            meeting.streams.losses.damaged += damaged
            meeting.streams.losses.undecodable += not damaged

    def tick(self, now_ns: int) -> None:
        """End meetings that are quiet, cut turns that are idle. ``now_ns``: by the clock that stamps arrivals."""
        idle_ns = now_ns - int(_IDLE_S * 1e9)
        for meeting in self._meetings.values():
            if meeting.ended_ns is None:
                meeting.transcript.cut_idle(idle_ns)
                meeting.close_if_quiet(now_ns, self._quiet_s)

    def find(self, subject: str, source: str | None = None) -> Meeting | None:
        """The meeting of this subject; of several sources, that of ``source``, else the one heard of last."""
        if source is not None:
            return self._meetings.get((source, subject))
        found = [meeting for (_, name), meeting in self._meetings.items() if name == subject]
        return max(found, key=_last_ns, default=None)

    def meetings(self, *, most_recent: int | None = None, secrets: bool = False) -> MeetingsView:
        """The answer of ``/meetings``; of those that have ended at most ``most_recent``."""
        newest = sorted(self._meetings.values(), key=_last_ns, reverse=True)
        ended = [meeting for meeting in newest if meeting.phase == "ended"][:most_recent]
        return MeetingsView(
            active=[summary(meeting, secrets=secrets) for meeting in newest if meeting.phase != "ended"],
            recent=[summary(meeting, secrets=secrets) for meeting in ended],
        )

    def meeting(self, subject: str, source: str | None = None, *, secrets: bool = False) -> MeetingView | None:
        """The answer of ``/meetings/{subject}``; ``None`` where no such meeting is known."""
        meeting = self.find(subject, source)
        return None if meeting is None else meeting_view(meeting, secrets=secrets)

    def transcript(
        self, subject: str, source: str | None = None, made: Made | None = None, *, secrets: bool = False
    ) -> TranscriptView | None:
        """What ``formats`` make files of; ``None`` where no such meeting is known."""
        meeting = self.find(subject, source)
        return None if meeting is None else transcript_view(meeting, made, secrets=secrets)

    def _fold(self, event: Event) -> None:
        key = event.source, event.subject
        meeting = self._meetings.get(key)
        if meeting is None:
            if len(event.subject) > MOST_ID_CHARACTERS:
                self.unassigned += 1
                return
            if len(self._meetings) > self._most_meetings * 1.1:
                self._evict()
            meeting = self._meetings[key] = Meeting(*key)
        before = meeting.characters
        try:
            meeting.fold(event)
        finally:
            self._characters += meeting.characters - before
        if self._characters > self._most_characters:
            self._drop_texts(meeting)

    def _evict(self) -> None:
        """Many at once, so that it is seldom done."""
        for meeting in self._by_use()[: len(self._meetings) - self._most_meetings]:
            self._characters -= meeting.characters
            del self._meetings[meeting.source, meeting.subject]
            self.evicted += 1

    def _drop_texts(self, current: Meeting) -> None:
        """Down to nine tenths, so that it is seldom done; the one that is written now goes last."""
        for meeting in self._by_use(current):
            if self._characters <= self._most_characters * 0.9:
                return
            if meeting.characters:
                self._characters -= meeting.characters
                meeting.drop_texts()
                self.texts_dropped += 1

    def _by_use(self, current: Meeting | None = None) -> list[Meeting]:
        """Ended ones first, then those that have not begun; of each those that were heard of least lately."""
        return sorted(self._meetings.values(), key=lambda one: (one is current, _WORTH[one.phase], one.last_ns))

    def _fault(self, event: Event, error: Exception) -> None:
        """Log the first of each kind; neither its text nor its arguments, which may hold what was said."""
        self.faults += 1
        kind = event.type, type(error).__name__
        if kind in self._logged:
            return
        self._logged.add(kind)
        place = error.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        at = f"{place.tb_frame.f_code.co_filename.rpartition('/')[2]}:{place.tb_lineno}" if place else "?"
        log.error("meetings.fold.failed", sequence=event.sequence, type=event.type, error=kind[1], at=at)


def _last_ns(meeting: Meeting) -> int:
    return meeting.last_ns
