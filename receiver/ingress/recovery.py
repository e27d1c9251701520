"""At the start: what the journal tells of sockets of earlier runs.

Streams that ended a short while ago, also by an orderly stop, can be continued by whoever redials. Sockets that were
open when the last run was killed are told as closed first.
"""

import asyncio
import time
from itertools import chain
from typing import NamedTuple

import msgspec
import structlog

from receiver.bundle import single
from receiver.errors import JournalUnavailable
from receiver.events import StreamClosed, StreamOpened
from receiver.ingress.note import StreamNote, note_of, opening_of
from receiver.ingress.streams import Ended, StreamBook
from receiver.journal.base import EVENTS, MEDIA
from receiver.journal.clock import steady_ns
from receiver.journal.sqlite import SqliteJournal
from receiver.journal.state import State
from receiver.record import Record, unpack_frames
from receiver.vendors import vendor_named

log = structlog.get_logger()
#: how far back the closings of streams, and the last messages of a lost socket, are looked for
_CLOSINGS_BYTES = 16 << 20
_MESSAGES_BYTES = 64 << 20
_ABNORMAL = 1006


class _Past(NamedTuple):
    """What the newest part of the journal tells, by connection. ``resumes``: which one it continues; ``resumed``: those
    that another one has continued."""

    opened: dict[str, StreamNote]
    closed: dict[str, Record]
    resumes: dict[str, str]
    resumed: set[str]


async def close_lost_streams(state: State, journal: SqliteJournal, streams: StreamBook) -> None:
    """Fill ``streams`` with what can be continued. Journal a ``stream.closed`` (code 1006, not clean) for each socket
    that the last run left open."""
    past = await asyncio.to_thread(_read_past, journal)
    for closing in past.closed.values():
        if closing.connection not in past.resumed:
            ended_s = steady_ns(closing.received_ns) / 1e9
            streams.remember(note_of(closing).key, Ended(closing.connection, closing.state, ended_s))
        state.stream_closed(closing.connection)
    lost = past.opened | _notes(state)
    last = await asyncio.to_thread(_last_messages, journal, set(lost)) if lost else {}
    snapshots = {name: closing.state for name, closing in past.closed.items()}
    for note in sorted(lost.values(), key=lambda note: note.opened_ns):
        message = last.get(note.connection)
        snapshot = _snapshot_after(message) if message is not None else b""
        # one that was killed before its first message has got as far as the one that it continues
        snapshot = snapshot or snapshots.get(past.resumes.get(note.connection, ""), b"")
        snapshots[note.connection] = snapshot = snapshot or _snapshot_after(opening_of(note))
        if note.connection not in past.resumed:  # nobody could redial before now, so its time begins now
            streams.remember(note.key, Ended(note.connection, snapshot, time.monotonic()))
        heard_ns = message.received_ns if message is not None else note.opened_ns
        try:
            await asyncio.shield(journal.submit(_closing(note, heard_ns, snapshot), EVENTS))
        except JournalUnavailable as problem:
            log.error("stream.closing.failed", connection=note.connection, error=str(problem))
        else:
            state.stream_closed(note.connection)


def _notes(state: State) -> dict[str, StreamNote]:
    notes = {}
    for name, packed in list(state.open_streams.items()):
        try:
            notes[name] = msgspec.msgpack.decode(packed, type=StreamNote)
        except (msgspec.MsgspecError, UnicodeDecodeError, TypeError) as error:  # a damaged row: no reason not to start
            log.error("stream.note.damaged", connection=name, error=str(error))
            state.stream_closed(name)
    return notes


def _read_past(journal: SqliteJournal) -> _Past:
    past = _Past({}, {}, {}, set())
    for record in journal.lanes[EVENTS].newest_facts(_CLOSINGS_BYTES):
        name = record.connection
        if record.kind == "opened":
            resumes = msgspec.json.decode(record.payload, type=StreamOpened).resumes
            if resumes is not None:
                past.resumes[name] = resumes
                past.resumed.add(resumes)
            past.opened[name] = note_of(record)
        elif record.kind == "closed":
            past.opened.pop(name, None)
            past.closed[name] = record
    return past


def _last_messages(journal: SqliteJournal, connections: set[str]) -> dict[str, Record]:
    """The newest message or row of frames of each connection, as far back as it pays to look."""
    found: dict[str, Record] = {}
    for lane in (EVENTS, MEDIA):
        for record in chain.from_iterable(map(single, journal.lanes[lane].newest(_MESSAGES_BYTES))):
            if record.connection in connections and record.kind in ("text", "frames"):
                known = found.get(record.connection)
                if known is None or known.seq < record.seq:
                    found[record.connection] = record
    return found


def _closing(note: StreamNote, heard_ns: int, snapshot: bytes) -> Record:
    fact = StreamClosed(
        channel=note.channel,  # type: ignore[arg-type]  # noted when it was bound: one of the contract's
        connection=note.connection,
        code=_ABNORMAL,
        clean=False,
        duration_s=round(max(0, heard_ns - note.opened_ns) / 1e9, 3),
    )
    return Record(
        vendor=note.vendor,
        endpoint=note.endpoint,
        kind="closed",
        channel=note.channel,
        connection=note.connection,
        subject=note.subject,
        payload=msgspec.json.encode(fact),
        received_ns=time.time_ns(),
        state=snapshot,
    )


def _snapshot_after(record: Record) -> bytes:
    """The session's snapshot behind the last message of ``record``, if it has any; empty where that cannot be told."""
    try:
        session = vendor_named(record.vendor).session(record)
        if record.kind == "frames":
            for arrival_ns, message in unpack_frames(record.payload):
                session.receive(message, arrival_ns)
        elif record.payload:
            session.receive(record.payload.decode(), record.received_ns)
        return session.snapshot()
    except Exception:  # an earlier version could decode it: no reason not to start
        log.exception("stream.recovery.failed", connection=record.connection, sequence=record.seq)
        return b""
