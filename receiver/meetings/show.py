"""Meetings as the public answers show them. Pure.

Without ``secrets``, texts are as a sink without them gets them, and artifacts have no URL.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from receiver.events import format_time
from receiver.meetings.roster import Interval
from receiver.meetings.roster import Person as Attendee
from receiver.meetings.show_fetched import (
    Clean,
    fetched_artifact,
    fetched_participants,
    fetched_summary,
    fetched_turns,
    seconds,
    spoken_s,
)
from receiver.meetings.state import Made as Became
from receiver.meetings.state import Meeting
from receiver.meetings.streams import Losses, Stream
from receiver.meetings.turn import Turn
from receiver.meetings.views import (
    ArtifactView,
    DeletionView,
    IntervalView,
    LossesView,
    Made,
    MeetingSummary,
    MeetingView,
    PersonView,
    StatusView,
    StreamView,
    TranscriptView,
    TurnView,
)
from receiver.redaction import redact, redact_text


def summary(meeting: Meeting, *, secrets: bool = False) -> MeetingSummary:
    """The line of ``/meetings``."""
    return MeetingSummary(**_summary(meeting, _cleaner(secrets)))


def meeting_view(meeting: Meeting, *, secrets: bool = False) -> MeetingView:
    """The answer of ``/meetings/{subject}``."""
    clean = _cleaner(secrets)
    ended = meeting.phase == "ended"
    attributes, deleted = meeting.attributes, meeting.deleted
    return MeetingView(
        **_summary(meeting, clean),
        roster=[_person(person, ended) for person in meeting.roster.people()],
        streams=[_stream(stream) for stream in meeting.streams.known.values()],
        artifacts=[
            *(_artifact(made, clean, secrets) for made in meeting.artifacts.values()),
            *(fetched_artifact(one, secrets) for one in list(meeting.fetched.answers.values())),
        ],
        participants=fetched_participants(meeting.fetched),
        summary=fetched_summary(meeting.fetched, clean),
        bot=_bot(meeting, clean),
        error=_problem(meeting, clean),
        recording=_recording(meeting),
        data_deleted=None if deleted is None else DeletionView(objects=deleted.objects, ok=deleted.ok),
        attributes=attributes if attributes is None or secrets else redact(attributes),
        unnamed_changes=meeting.roster.nobody,
        dropped_people=meeting.roster.dropped,
    )


def transcript_view(meeting: Meeting, made: Made | None = None, *, secrets: bool = False) -> TranscriptView:
    """The answer of ``/meetings/{subject}/transcript.json``. ``made`` = None: what was said live, if anything was."""
    clean = _cleaner(secrets)
    turns = list(meeting.transcript.turns)  # may be made in a thread, while the meeting goes on
    answer = meeting.fetched.newest("transcript")
    if made is None:
        made = "live" if turns or answer is None else "fetched"
    if made == "live":
        zero_ns = _zero_ns(turns)
        shown = [_turn(turn, zero_ns, clean) for turn in turns]
    else:
        shown = [] if answer is None else fetched_turns(answer, clean)
    return TranscriptView(
        source=meeting.source,
        subject=meeting.subject,
        phase=meeting.phase,
        turns=shown,
        made=made,
        title=clean(meeting.title),
        session=meeting.session,
        dropped_turns=meeting.transcript.dropped if made == "live" else meeting.fetched.dropped,
    )


def _cleaner(secrets: bool) -> Clean:
    return (lambda text: text) if secrets else (lambda text: text if text is None else redact_text(text))


def _time(time_ns: int | None) -> str | None:
    return None if time_ns is None else format_time(time_ns)


def _summary(meeting: Meeting, clean: Clean) -> dict[str, Any]:
    present, people = meeting.roster.counts()
    return {
        "source": meeting.source,
        "subject": meeting.subject,
        "phase": meeting.phase,
        "first_seen": format_time(meeting.first_ns),
        "last_seen": format_time(meeting.last_ns),
        "events": meeting.events,
        "status": meeting.status,
        "reason": clean(meeting.reason),
        "title": clean(meeting.title),
        "session": meeting.session,
        "platform": meeting.platform,
        "started": _time(meeting.started_ns),
        "ended": _time(meeting.ended_ns),
        "ended_by": meeting.ended_by,
        "present": 0 if meeting.ended_ns is not None else present,
        "people": people,
        "open_streams": meeting.streams.open_count,
        "turns": len(meeting.transcript.turns),
        "losses": _losses(meeting.streams.losses, meeting.transcript.dropped),
    }


def _losses(losses: Losses, dropped: int) -> LossesView:
    return LossesView(
        unclean_streams=losses.unclean,
        away_s=seconds(losses.away_ns),
        audio_gaps=losses.gaps,
        audio_gap_ms=None if losses.gap_ms is None else round(losses.gap_ms, 3),
        damaged_records=losses.damaged,
        undecodable_records=losses.undecodable,
        dropped_turns=dropped,
    )


def _person(person: Attendee, ended: bool) -> PersonView:
    open_count = 0 if ended else person.connections
    return PersonView(
        present=open_count > 0,
        connections=open_count,
        intervals=[_interval(interval) for interval in person.intervals],
        **msgspec.structs.asdict(person.who),
    )


def _interval(interval: Interval) -> IntervalView:
    return IntervalView(joined=_time(interval.begin_ns), left=_time(interval.end_ns))


def _stream(stream: Stream) -> StreamView:
    view = StreamView(
        channel=stream.channel,
        connection=stream.connection,
        open=stream.closed_ns is None,
        opened=_time(stream.opened_ns),
        closed=_time(stream.closed_ns),
        resumes=stream.resumes,
        away_s=seconds(stream.away_ns) if stream.resumes is not None else None,
    )
    if (closing := stream.closing) is not None:
        view.code, view.clean, view.duration_s = closing.code, closing.clean, closing.duration_s
        view.messages, view.bytes = closing.messages, closing.bytes
    return view


def _artifact(made: Became, clean: Clean, secrets: bool) -> ArtifactView:
    data = made.data
    return ArtifactView(
        kind=data.kind,
        state=made.state,
        time=format_time(made.time_ns),
        id=data.id,
        url=data.url if secrets else None,
        expires_at=data.expires_at,
        message=clean(data.message),
        duration_s=data.duration_s,
        size_bytes=data.size_bytes,
    )


def _bot(meeting: Meeting, clean: Clean) -> StatusView | None:
    if meeting.status is None:
        return None
    time = format_time(meeting.status_ns)
    return StatusView(time=time, status=meeting.status, message=clean(meeting.message), code=meeting.code)


def _problem(meeting: Meeting, clean: Clean) -> StatusView | None:
    problem = meeting.problem
    if problem is None:
        return None
    return StatusView(time=format_time(problem.time_ns), message=clean(problem.message), code=problem.code)


def _recording(meeting: Meeting) -> StatusView | None:
    if meeting.recording is None:
        return None
    return StatusView(time=format_time(meeting.recording_ns), status=meeting.recording)


def _turn(turn: Turn, zero_ns: int, clean: Clean) -> TurnView:
    session, number, _ = turn.key
    text = clean(turn.shown) or ""
    at_s = max(0.0, seconds(turn.position_ns - zero_ns))
    return TurnView(
        text=text,
        state=turn.state,
        time=format_time(turn.first_ns),
        at_s=at_s,
        until_s=round(at_s + _length_s(turn, text), 3),
        speaker=turn.speaker,
        turn=number,
        session=session,
        start_s=turn.start_s,
        end_s=turn.end_s,
        language=turn.language,
        confidence=turn.confidence,
    )


def _zero_ns(turns: Sequence[Turn]) -> int:
    """Where a transcript's own time begins: with the clock of the first turn that has one, else with the first turn."""
    clocks = (turn.zero_ns for turn in turns if turn.zero_ns is not None)
    return next(clocks, turns[0].position_ns if turns else 0)


def _length_s(turn: Turn, text: str) -> float:
    """Seconds that a turn takes: told by its recogniser's clock, else from its updates, else from its words."""
    if turn.start_s is not None and turn.end_s is not None and turn.end_s > turn.start_s:
        return turn.end_s - turn.start_s
    updates_s = (turn.time_ns - turn.first_ns) / 1e9
    return updates_s if updates_s > 0 else spoken_s(text)
