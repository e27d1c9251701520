"""Deliveries as a fetcher finds them in the journal: records whose events are there, and answers of vendors."""

import itertools
from typing import Any

from receiver.events import Artifact, BotStatus, Data, Event, MeetingInfo, Participant, ParticipantChange
from receiver.record import Record
from receiver.vendors.replies import reply_record

VENDOR, ENDPOINT = "meetstream", "default"
ZERO_NS = 1_780_000_000 * 10**9
_numbers = itertools.count(1)


def record(
    type_: str,
    data: Data,
    at_s: float = 0.0,
    *,
    subject: str = "bot-1",
    seq: int = 0,
    vendorevent: str = "",
    **keys: Any,
) -> Record:
    """A record with one event, which happened at ``at_s``."""
    at_ns = ZERO_NS + int(at_s * 1e9)
    event = Event(
        id=f"event-{next(_numbers)}", source=f"/{VENDOR}/{ENDPOINT}", type=type_, time_ns=at_ns, received_ns=at_ns,
        data=data, subject=subject, vendorevent=vendorevent,
    )  # fmt: skip
    return Record(
        vendor=VENDOR, endpoint=ENDPOINT, kind="body", payload=b"{}", received_ns=at_ns, seq=seq, events=[event], **keys
    )  # fmt: skip


def status(name: Any, at_s: float = 0.0, **keys: Any) -> Record:
    """A ``bot.status``; final where the contract says so."""
    return record("bot.status", BotStatus(status=name, final=name in ("stopped", "done")), at_s, **keys)


def artifact(kind: Any, state: str = "ready", at_s: float = 0.0, *, id_: str | None = None, **keys: Any) -> Record:
    """What became of an artifact."""
    return record(f"artifact.{state}", Artifact(kind=kind, id=id_), at_s, **keys)


def meeting(verb: str, at_s: float = 0.0, *, session: str | None = None, **keys: Any) -> Record:
    """A ``meeting.*``."""
    return record(f"meeting.{verb}", MeetingInfo(session=session), at_s, **keys)


def joined(name: str, at_s: float = 0.0, **keys: Any) -> Record:
    """Somebody comes."""
    return record("participant.joined", ParticipantChange(participant=Participant(name=name)), at_s, **keys)


def answered(label: str, *, subject: str = "bot-1", seq: int = 0) -> Record:
    """The last answer to what ``label`` says, in the journal."""
    done = f"{label};{subject}"
    one = reply_record(
        VENDOR, ENDPOINT, "call", b"{}", subject="", content_type="application/json", now_ns=ZERO_NS, done=done
    )  # fmt: skip
    one.seq, one.events = seq, []
    return one
