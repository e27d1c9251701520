"""One meeting, or one bot in it: status, streams, artifacts, losses, with its roster and transcript. A fold, pure.

State moves only forward: a late ``joining`` after ``recording`` changes nothing. What ends it is a final status or the
meeting's end; where neither comes, a timer does (``close_if_quiet``), and a meeting that was only quiet goes on when
something more arrives.
"""

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from receiver.events import (
    Artifact,
    ArtifactKind,
    AudioChunk,
    BotStatus,
    BotStatusName,
    DataDeleted,
    Event,
    FetchedArtifact,
    MeetingInfo,
    ParticipantChange,
    RecordingStatus,
    StreamClosed,
    StreamOpened,
    Transcript,
)
from receiver.meetings.bounds import (
    MOST_ARTIFACTS,
    MOST_ATTRIBUTES_BYTES,
    MOST_REMARK_CHARACTERS,
    clipped,
)
from receiver.meetings.fetched import FetchedFold
from receiver.meetings.roster import Roster
from receiver.meetings.streams import Streams
from receiver.meetings.told import TOLD_TYPES, Told
from receiver.meetings.transcript import TranscriptFold

Phase = Literal["scheduled", "active", "ended"]
EndedBy = Literal["bot.status", "meeting.ended", "meeting.deleted", "quiet"]
ArtifactState = Literal["ready", "failed", "skipped"]

#: the order of a bot's life; ``error`` stands outside it, since a bot goes on after one
_RANKS: dict[str, int] = {
    "scheduled": 1,
    "joining": 2,
    "waiting_room": 3,
    "in_meeting": 4,
    "recording_permission_allowed": 5,
    "recording_permission_denied": 5,
    "recording": 6,
    "paused": 6,
    "leaving": 7,
    "stopped": 8,
    "uploading": 9,
    "done": 10,
}
_JOINING, _IN_MEETING, _LEAVING = _RANKS["joining"], _RANKS["in_meeting"], _RANKS["leaving"]
#: they come only from a meeting that goes on
_LIVE_TYPES = frozenset({
    "meeting.started", "participant.joined", "participant.left", "participant.updated", "transcript.partial",
    "transcript.final", "chat.message", "stream.opened", "audio.chunk", "video.chunk", "control.message",
})  # fmt: skip


class Made(msgspec.Struct, eq=False, array_like=True):
    """What became of an artifact, as it was told last."""

    state: ArtifactState
    time_ns: int
    data: Artifact


class Problem(msgspec.Struct, eq=False, array_like=True):
    """The last error that a bot told of and went on."""

    time_ns: int
    message: str | None
    code: int | None


class Meeting(msgspec.Struct, eq=False, array_like=True):
    """Everything that events of one source and subject tell. Times are nanoseconds since the epoch."""

    source: str
    subject: str
    first_ns: int = 0
    last_ns: int = 0
    events: int = 0
    #: of the last event
    sequence: int = 0
    title: str | None = None
    session: str | None = None
    platform: str | None = None
    attributes: dict[str, Any] | None = None
    status: BotStatusName | None = None
    status_ns: int = 0
    message: str | None = None
    code: int | None = None
    reason: str | None = None
    problem: Problem | None = None
    recording: str | None = None
    recording_ns: int = 0
    deleted: DataDeleted | None = None
    announced: bool = False
    begun: bool = False
    started_ns: int | None = None
    ended_ns: int | None = None
    ended_by: EndedBy | None = None
    streams: Streams = msgspec.field(default_factory=Streams)
    artifacts: dict[tuple[ArtifactKind, str], Made] = {}
    roster: Roster = msgspec.field(default_factory=Roster)
    transcript: TranscriptFold = msgspec.field(default_factory=TranscriptFold)
    fetched: FetchedFold = msgspec.field(default_factory=FetchedFold)
    told: Told = msgspec.field(default_factory=Told)

    @property
    def characters(self) -> int:
        """Of all texts that are kept of it."""
        return self.transcript.characters + self.fetched.characters

    @property
    def phase(self) -> Phase:
        """``scheduled``: told of, not begun. It is not quiet: its time has not come."""
        if self.ended_ns is not None:
            return "ended"
        return "scheduled" if self.announced and not self.begun else "active"

    def fold(self, event: Event) -> None:
        """Take an event of this source and subject, in journal order."""
        received_ns, data, type_ = event.received_ns, event.data, event.type
        if not self.events:
            self.first_ns = self.last_ns = received_ns
        elif received_ns > self.last_ns:
            self.last_ns = received_ns
        elif received_ns < self.first_ns:
            self.first_ns = received_ns
        self.events += 1
        self.sequence = event.sequence
        if self.ended_ns is not None and self._goes_on(event):
            self._reopen(event)
        if data.attributes is not None and data.attributes != self.attributes:
            self._set_attributes(data.attributes)
        if data.session is not None and self.session is None:
            self.session = clipped(data.session)
        if type_ in _LIVE_TYPES:
            self.begun = True
        if type_ in TOLD_TYPES:
            self.told.fold(event)
        fold = _FOLDS.get(type_)
        if fold is not None:
            fold(self, event, data)

    def close_if_quiet(self, now_ns: int, quiet_s: float) -> bool:
        """End an active meeting of which nothing has arrived for ``quiet_s``; whether that was done.

        Not while a stream is open: media arrive there, which are not folded.
        """
        if self.phase != "active" or self.streams.open_count or now_ns - self.last_ns < quiet_s * 1e9:
            return False
        self._end(self.last_ns, "quiet")
        return True

    def bare(self) -> "Meeting":
        """The same without turns and answers: what is written of it beside them."""
        return msgspec.structs.replace(self, transcript=self.transcript.bare(), fetched=self.fetched.bare())

    def drop_texts(self) -> None:
        """Let the transcript go; the journal still has it."""
        dropped = self.transcript.dropped + len(self.transcript.turns)
        self.transcript = TranscriptFold()
        self.transcript.dropped = dropped
        self.fetched = FetchedFold()

    def _goes_on(self, event: Event) -> bool:
        """Whether ``event`` shows that the meeting has not ended, or has begun again."""
        if self._is_another(event):
            return True
        data = event.data
        if self.ended_by != "quiet" or (data.reconciled and event.time_ns <= (self.ended_ns or 0)):
            return False
        return event.type in _LIVE_TYPES or (isinstance(data, BotStatus) and _is_under_way(data))

    def _is_another(self, event: Event) -> bool:
        """Whether ``event`` is of an occurrence after the one that has ended."""
        if event.type not in _LIVE_TYPES or event.time_ns <= (self.ended_ns or 0):
            return False
        session = event.data.session
        return event.type == "meeting.started" or (
            session is not None and self.session is not None and clipped(session) != self.session
        )

    def _reopen(self, event: Event) -> None:
        if self.ended_ns is not None and self._is_another(event):
            self.roster.end(self.ended_ns)
            self.started_ns = None
            self.session = clipped(event.data.session)
        self.ended_ns = self.ended_by = self.reason = None

    def _end(self, time_ns: int, by: EndedBy) -> None:
        if self.ended_ns is None or self.ended_by == "quiet":
            self.ended_ns, self.ended_by = time_ns, by
        elif time_ns < self.ended_ns:
            self.ended_ns = time_ns
        self.transcript.cut()

    def _start(self, time_ns: int) -> None:
        if self.started_ns is None or time_ns < self.started_ns:
            self.started_ns = time_ns

    def _set_attributes(self, told: dict[str, Any]) -> None:
        if len(msgspec.json.encode(told)) <= MOST_ATTRIBUTES_BYTES:
            self.attributes = told

    def _bot_status(self, event: Event, data: BotStatus) -> None:
        if data.status == "error":
            if self.problem is None or event.time_ns >= self.problem.time_ns:
                self.problem = Problem(event.time_ns, clipped(data.message, MOST_REMARK_CHARACTERS), data.code)
            return
        rank = _RANKS[data.status]
        before = _RANKS[self.status] if self.status is not None else 0
        if rank > before or (rank == before and event.time_ns >= self.status_ns):
            self.status, self.status_ns = data.status, event.time_ns
            self.message, self.code = clipped(data.message, MOST_REMARK_CHARACTERS), data.code
        if rank >= _JOINING:
            self.begun = True
        else:
            self.announced = True
        if _IN_MEETING <= rank < _LEAVING:
            self._start(event.time_ns)
        if data.reason is not None and self.reason in (None, "left"):
            self.reason = data.reason
        if data.final:
            self._end(event.time_ns, "bot.status")

    def _recording_status(self, event: Event, data: RecordingStatus) -> None:
        if self.recording is None or event.time_ns >= self.recording_ns:
            self.recording, self.recording_ns = data.status, event.time_ns

    def _meeting(self, event: Event, data: MeetingInfo) -> None:
        if data.title:
            self.title = clipped(data.title, MOST_REMARK_CHARACTERS)
        if event.type == "meeting.created":
            self.announced = True
        elif event.type == "meeting.started":
            if self.ended_ns is None and data.session is not None:
                self.session = clipped(data.session)
            self._start(event.time_ns)
        elif self.started_ns is None or event.time_ns >= self.started_ns:  # else of an occurrence before
            self.reason = clipped(data.reason, MOST_REMARK_CHARACTERS) or self.reason
            self._end(event.time_ns, "meeting.ended" if event.type == "meeting.ended" else "meeting.deleted")

    def _participant(self, event: Event, data: ParticipantChange) -> None:
        if data.participant.platform:
            self.platform = clipped(data.participant.platform)
        self.roster.fold(event, data)

    def _transcript(self, event: Event, data: Transcript) -> None:
        self.transcript.fold(event, data)
        if self.ended_ns is not None:
            self.transcript.cut()

    def _audio(self, event: Event, data: AudioChunk) -> None:
        self.streams.heard(data)

    def _stream_opened(self, event: Event, data: StreamOpened) -> None:
        self.streams.opened(event, data)

    def _stream_closed(self, event: Event, data: StreamClosed) -> None:
        self.streams.closed(event, data)
        if data.channel == "transcript" and not self.streams.has_open("transcript"):
            self.transcript.cut()

    def _artifact(self, event: Event, data: Artifact) -> None:
        state: ArtifactState = event.type.rpartition(".")[2]  # type: ignore[assignment]
        key = data.kind, (data.url or "").partition("?")[0]
        known = self.artifacts.get(key)
        if known is None and len(self.artifacts) >= MOST_ARTIFACTS:
            return
        if known is None or event.time_ns >= known.time_ns:
            message = clipped(data.message, MOST_REMARK_CHARACTERS)
            self.artifacts[key] = Made(
                state, event.time_ns, msgspec.structs.replace(data, message=message, attributes=None)
            )

    def _fetched(self, event: Event, data: FetchedArtifact) -> None:
        if data.title and self.title is None:
            self.title = clipped(data.title, MOST_REMARK_CHARACTERS)
        self.fetched.fold(event, data)

    def _data_deleted(self, event: Event, data: DataDeleted) -> None:
        self.deleted = DataDeleted(objects=data.objects, ok=data.ok)


def _is_under_way(data: BotStatus) -> bool:
    return not data.final and _JOINING <= _RANKS.get(data.status, 0) < _LEAVING


_FOLDS: dict[str, Callable[[Meeting, Event, Any], None]] = {
    "bot.status": Meeting._bot_status,
    "recording.status": Meeting._recording_status,
    "meeting.created": Meeting._meeting,
    "meeting.deleted": Meeting._meeting,
    "meeting.started": Meeting._meeting,
    "meeting.ended": Meeting._meeting,
    "participant.joined": Meeting._participant,
    "participant.left": Meeting._participant,
    "participant.updated": Meeting._participant,
    "transcript.partial": Meeting._transcript,
    "transcript.final": Meeting._transcript,
    "audio.chunk": Meeting._audio,
    "stream.opened": Meeting._stream_opened,
    "stream.closed": Meeting._stream_closed,
    "artifact.ready": Meeting._artifact,
    "artifact.failed": Meeting._artifact,
    "artifact.skipped": Meeting._artifact,
    "artifact.fetched": Meeting._fetched,
    "data.deleted": Meeting._data_deleted,
}
