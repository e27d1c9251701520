"""The public answers of ``/meetings`` and below. Types only; ``show`` fills them.

JSON keys are snake_case as in the events' ``data``; what is not known is absent, never null. Times are RFC 3339 UTC.
"""

from typing import Any, Literal

import msgspec

from receiver.events import ArtifactKind, BotStatusName, FetchedKind, Participant, Person, StreamChannel
from receiver.meetings.state import ArtifactState, EndedBy, Phase
from receiver.meetings.turn import TurnState

#: who made a transcript: the recogniser while the meeting went on, or the vendor afterwards
Made = Literal["live", "fetched"]


class LossesView(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What is known to be missing.

    ``unclean_streams``: streams that broke off; ``away_s``: seconds between streams and those that continue them.
    ``audio_gaps``, ``audio_gap_ms``: what audio chunks told; absent where audio is not followed. ``damaged_records``:
    spoilt by the journal's disk; ``undecodable_records``: no decoder takes them now. ``dropped_turns``: no longer in
    memory, still in the journal.
    """

    unclean_streams: int
    away_s: float
    damaged_records: int
    undecodable_records: int
    dropped_turns: int
    audio_gaps: int | None = None
    audio_gap_ms: float | None = None


class MeetingSummary(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A line of ``/meetings``.

    ``phase``: ``scheduled``, ``active``, ``ended``; ``status``: the bot's, where there is a bot; ``reason``: why it
    ended. ``started``, ``ended``: by the vendor's clock; ``ended_by``: what told it, ``quiet`` where nothing did.
    ``first_seen``, ``last_seen``: arrival of the first and the last event. ``present``, ``people``: how many are there
    now, and have been. ``open_streams``: connections; ``turns``: of the transcript in memory.
    """

    source: str
    subject: str
    phase: Phase
    first_seen: str
    last_seen: str
    events: int
    present: int
    people: int
    open_streams: int
    turns: int
    losses: LossesView
    status: BotStatusName | None = None
    reason: str | None = None
    title: str | None = None
    session: str | None = None
    platform: str | None = None
    started: str | None = None
    ended: str | None = None
    ended_by: EndedBy | None = None


class MeetingsView(msgspec.Struct, kw_only=True, omit_defaults=True):
    """``/meetings``: those that go on or are announced, and those that have ended; each with the newest first.

    ``rebuilding``: the server has just started and has not read again all that was there; absent where it has.
    """

    active: list[MeetingSummary]
    recent: list[MeetingSummary]
    rebuilding: bool = False


class IntervalView(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A stay. ``joined`` absent: not known; ``left`` absent: still there, or until the meeting ended."""

    joined: str | None = None
    left: str | None = None


class PersonView(Participant, kw_only=True, omit_defaults=True):
    """Somebody in the meeting. ``connections``: open ones, of devices or tabs; ``intervals``: over time."""

    present: bool
    connections: int
    intervals: list[IntervalView]


class StreamView(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One connection. ``open``: it is there now; the rest as in ``stream.opened`` and ``stream.closed``.

    ``away_s``: seconds without a connection before it, where it continues another.
    """

    channel: StreamChannel
    connection: str
    open: bool
    opened: str | None = None
    closed: str | None = None
    resumes: str | None = None
    code: int | None = None
    clean: bool | None = None
    messages: int | None = None
    bytes: int | None = None
    duration_s: float | None = None
    away_s: float | None = None


class ArtifactView(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What became of an artifact; ``fetched``: the vendor's REST API gave it. ``url`` is a secret: absent unless
    secrets are asked for."""

    kind: ArtifactKind | FetchedKind
    state: ArtifactState | Literal["fetched"]
    time: str
    id: str | None = None
    url: str | None = None
    expires_at: str | None = None
    message: str | None = None
    duration_s: float | None = None
    size_bytes: int | None = None


class StatusView(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Something that was told at a time: a bot's status, its last error, a platform's recording."""

    time: str
    status: str | None = None
    message: str | None = None
    code: int | None = None


class DeletionView(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The vendor deleted its data of the meeting."""

    objects: int | None = None
    ok: bool | None = None


class SummaryView(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The vendor's summary, as it was fetched last."""

    time: str
    title: str | None = None
    text: str | None = None
    notes: str | None = None
    keywords: list[str] | None = None
    language: str | None = None


class MeetingView(MeetingSummary, kw_only=True, omit_defaults=True):
    """``/meetings/{subject}``: the line of ``/meetings``, and everything behind it.

    ``bot``: its last status; ``error``: the last error that it told of and went on; ``recording``: the platform's own.
    ``roster``: everybody; ``unnamed_changes``, ``dropped_people``: joins and leaves of nobody, and beyond the bound.
    ``participants``: who was there by the vendor's list, ``summary``: both as they were fetched last.
    """

    roster: list[PersonView]
    streams: list[StreamView]
    artifacts: list[ArtifactView]
    unnamed_changes: int
    dropped_people: int
    bot: StatusView | None = None
    error: StatusView | None = None
    recording: StatusView | None = None
    data_deleted: DeletionView | None = None
    participants: list[Participant] | None = None
    summary: SummaryView | None = None
    attributes: dict[str, Any] | None = None


class TurnView(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One turn. ``state``: ``open`` (its text may change), ``final``, ``cut`` (its stream stopped before the end).

    ``at_s``, ``until_s``: its place in the transcript, seconds on the clock of the first recogniser that told one, else
    since the first turn; ``start_s``, ``end_s``: on its own recogniser's clock. ``time``: when it was first told of.
    """

    text: str
    state: TurnState
    time: str
    at_s: float
    until_s: float
    speaker: Person | None = None
    turn: int | str | None = None
    session: str | None = None
    start_s: float | None = None
    end_s: float | None = None
    language: str | None = None
    confidence: float | None = None


class TranscriptView(msgspec.Struct, kw_only=True, omit_defaults=True):
    """``/meetings/{subject}/transcript.json``: turns in the order in which they were begun.

    ``dropped_turns``: so many are no longer in memory; the journal has them. ``made``: ``live``, from what was said
    while it went on; ``fetched``, the vendor's own, where it was asked for or nothing else is there.
    """

    source: str
    subject: str
    phase: Phase
    dropped_turns: int
    turns: list[TurnView]
    made: Made = "live"
    title: str | None = None
    session: str | None = None
