"""Events for the tests of meetings: seconds of a made-up clock in, events out."""

import itertools
from typing import Any

from receiver.events import (
    Artifact,
    AudioChunk,
    BotStatus,
    Data,
    Event,
    MeetingInfo,
    Participant,
    ParticipantChange,
    Person,
    StreamClosed,
    StreamOpened,
    Transcript,
    parse_time,
)

_numbers = itertools.count(1)
ZERO_NS = parse_time("2026-06-10T09:00:00Z") or 0


def at_ns(seconds: float) -> int:
    """The made-up clock as nanoseconds since the epoch."""
    return ZERO_NS + round(seconds * 1000) * 10**6


def event(
    type_: str,
    data: Data,
    at_s: float,
    *,
    received_s: float | None = None,
    subject: str = "bot-1",
    source: str = "/meetstream/default",
    id_: str = "",
) -> Event:
    """An event that happened at ``at_s`` and arrived then, or at ``received_s``."""
    number = next(_numbers)
    return Event(
        id=id_ or f"event-{number}",
        source=source,
        type=type_,
        time_ns=at_ns(at_s),
        received_ns=at_ns(at_s if received_s is None else received_s),
        data=data,
        subject=subject,
        sequence=number,
    )


def status(name: Any, at_s: float, *, reason: Any = None, message: str | None = None, **keys: Any) -> Event:
    """A ``bot.status``; final where the contract says so."""
    data = BotStatus(status=name, reason=reason, message=message, final=name in ("stopped", "done"))
    return event("bot.status", data, at_s, **keys)


def meeting(verb: str, at_s: float, *, session: str | None = None, title: str | None = None, **keys: Any) -> Event:
    """A ``meeting.*``."""
    return event(f"meeting.{verb}", MeetingInfo(title=title, session=session), at_s, **keys)


def joined(at_s: float, **who: Any) -> Event:
    """Somebody comes."""
    return event("participant.joined", ParticipantChange(participant=Participant(**who)), at_s)


def left(at_s: float, *, duration_s: float | None = None, **who: Any) -> Event:
    """Somebody goes."""
    change = ParticipantChange(participant=Participant(**who), duration_s=duration_s)
    return event("participant.left", change, at_s)


def said(
    text: str | None,
    at_s: float,
    *,
    final: bool = False,
    who: str | None = "Ada",
    formatted: str | None = None,
    id_: str = "",
    received_s: float | None = None,
    subject: str = "bot-1",
    **keys: Any,
) -> Event:
    """A partial, or a final."""
    speaker = None if who is None else Person(name=who)
    data = Transcript(text=text, formatted_text=formatted, speaker=speaker, **keys)
    type_ = "transcript.final" if final else "transcript.partial"
    return event(type_, data, at_s, id_=id_, received_s=received_s, subject=subject)


def opened(channel: Any, connection: str, at_s: float, resumes: str | None = None) -> Event:
    """A socket was opened."""
    return event("stream.opened", StreamOpened(channel=channel, connection=connection, resumes=resumes), at_s)


def closed(channel: Any, connection: str, at_s: float, *, clean: bool = True, **keys: Any) -> Event:
    """A socket was closed."""
    return event("stream.closed", StreamClosed(channel=channel, connection=connection, clean=clean, **keys), at_s)


def artifact(kind: Any, state: str, at_s: float, **keys: Any) -> Event:
    """What became of an artifact."""
    return event(f"artifact.{state}", Artifact(kind=kind, **keys), at_s)


def chunk(at_s: float, gap_ms: float | None = None) -> Event:
    """A piece of audio."""
    data = AudioChunk(codec="pcm_s16le", rate_hz=48000, channels=1, gap_ms=gap_ms)
    return event("audio.chunk", data, at_s)
