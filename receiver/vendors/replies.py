"""Answers of vendors' REST APIs as deliveries: what was asked, what was known before, and the event of what came.

Such a record is of kind ``body`` and channel ``rest``; a header of our own names the call; ``state`` holds what was
known of the subject where the answer is only to tell what was missed. That something was asked for in vain is a record
of the same form, of a call that no vendor has.
"""

import hashlib
from collections.abc import Callable
from typing import get_args

import msgspec

from receiver.errors import Malformed
from receiver.events import Artifact, ArtifactKind, Data, Event, FetchedArtifact, VendorBody
from receiver.record import Decoded, Record
from receiver.vendors.wire import read_json

REST = "rest"
CALL_HEADER = "receiver-call"
#: on the last answer of what was asked for: whoever reads the journal again need not ask once more
DONE_HEADER = "receiver-done"
#: the call of a record that says what was given up
GAVE_UP = "gave-up"


class GivenUp(msgspec.Struct, frozen=True):
    """The body of a ``gave-up`` record: the kind that was asked for, and why there is none, in a sentence."""

    kind: str
    message: str


class Seen(msgspec.Struct, frozen=True):
    """What had come of a subject when its vendor's own record was asked for.

    ``statuses``: of ``bot.status``, beside the vendor's event names of these, of ``meeting.*`` and of
    ``recording.status``, and these two types themselves (``meeting.started``). ``joined`` and ``left``: ids, user ids
    and names of participants. ``artifacts``: ``kind/outcome``, such as ``audio/ready``.
    """

    statuses: frozenset[str] = frozenset()
    joined: frozenset[str] = frozenset()
    left: frozenset[str] = frozenset()
    artifacts: frozenset[str] = frozenset()


def reply_record(
    vendor: str, endpoint: str, call: str, body: bytes, *, subject: str, content_type: str, now_ns: int,
    seen: Seen | None = None, done: str = "",
) -> Record:  # fmt: skip
    """A record of what ``call`` answered. ``done``: what was asked for, on the last answer to it."""
    ending = ((DONE_HEADER, done),) if done else ()
    return Record(
        vendor=vendor,
        endpoint=endpoint,
        kind="body",
        channel=REST,
        payload=body,
        received_ns=now_ns,
        subject=subject,
        headers=((CALL_HEADER, call), ("content-type", content_type), *ending),
        state=b"" if seen is None else msgspec.json.encode(_sorted(seen)),
    )


def gave_up_record(
    vendor: str, endpoint: str, kind: str, message: str, *, subject: str, now_ns: int, done: str
) -> Record:  # fmt: skip
    """A record that says that ``kind`` was asked for in vain, and why."""
    body = msgspec.json.encode(GivenUp(kind, message))
    return reply_record(
        vendor, endpoint, GAVE_UP, body, subject=subject, content_type="application/json", now_ns=now_ns, done=done
    )


def decode(record: Record, decode_reply: Callable[[Record], Decoded]) -> Decoded:
    """Events of an answer: ``decode_reply`` is its vendor's, what was given up is alike for all."""
    return _given_up(record) if call_of(record) == GAVE_UP else decode_reply(record)


def call_of(record: Record) -> str:
    """The call that ``record`` is the answer to. Raises ``Malformed`` where it is none."""
    for name, value in record.headers:
        if name == CALL_HEADER:
            return value
    raise Malformed("a record of a REST answer names no call", f"header {CALL_HEADER}")


def done_of(record: Record) -> str:
    """What this is the last answer to; empty for any other record."""
    return next((value for name, value in record.headers if name == DONE_HEADER), "")


def seen_of(record: Record) -> Seen | None:
    """What was known before; ``None``: the answer is passed on as it is."""
    return msgspec.json.decode(record.state, type=Seen) if record.state else None


def reply_key(record: Record) -> bytes:
    """The idempotency key of an answer: the same answer to the same call, about the same subject, is a repeat."""
    digest = hashlib.blake2b(digest_size=16)
    for part in (b"rest", call_of(record).encode(), record.subject.encode(), record.state, record.payload):
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.digest()


def reply_event(record: Record, data: Data, *, type_: str = "artifact.fetched", time_ns: int = 0, suffix: str = "",
                vendorevent: str = "", subject: str = "") -> Event:  # fmt: skip
    """One event of an answer. ``suffix`` tells the events of one answer apart; ``time_ns`` 0: when it arrived."""
    identity = reply_key(record).hex()
    return Event(
        id=f"{identity}/{suffix}" if suffix else identity,
        source=f"/{record.vendor}/{record.endpoint}",
        type=type_,
        subject=subject or record.subject,
        time_ns=time_ns or record.received_ns,
        received_ns=record.received_ns,
        vendorevent=vendorevent,
        data=data,
        raw=record.payload,
    )


def reply(record: Record, events: list[Event]) -> Decoded:
    """The events of an answer with its key. Where it tells the same thing twice, their ids differ all the same."""
    seen: dict[str, int] = {}
    for event in events:
        seen[event.id] = count = seen.get(event.id, 0) + 1
        if count > 1:
            event.id = f"{event.id}~{count}"
    return Decoded(events, reply_key(record))


def passed_on(record: Record) -> Decoded:
    """An answer as it is, in one event with its body."""
    return reply(record, [reply_event(record, FetchedArtifact(kind="detail", body=read_json(record.payload)))])


def _given_up(record: Record) -> Decoded:
    try:
        told = msgspec.json.decode(record.payload, type=GivenUp)
    except (msgspec.DecodeError, ValueError) as error:
        raise Malformed(f"gave-up record: {error}") from None
    if told.kind not in get_args(ArtifactKind):  # nobody announces participants or a timeline
        body = {"receiver": GAVE_UP, "kind": told.kind, "message": told.message}
        return reply(record, [reply_event(record, VendorBody(body=body), type_="vendor.event")])
    data = msgspec.convert({"kind": told.kind, "message": told.message}, Artifact)
    return reply(record, [reply_event(record, data, type_="artifact.failed")])


def _sorted(seen: Seen) -> dict[str, list[str]]:
    """The same sets give the same bytes."""
    return {name: sorted(getattr(seen, name)) for name in seen.__struct_fields__}
