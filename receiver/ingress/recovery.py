"""After a crash: sockets that were open are told as closed, and their streams can be continued by whoever redials."""

import asyncio
import time

import msgspec

from receiver.events import StreamClosed
from receiver.ingress.stream import StreamNote, opening_of
from receiver.ingress.streams import Ended, StreamBook
from receiver.journal.base import EVENTS, MEDIA
from receiver.journal.sqlite import SqliteJournal
from receiver.journal.state import State
from receiver.record import Record, unpack_frames
from receiver.vendors import vendor_named

#: how far back in the media lane the last frames of a lost socket are looked for
_LOOK_BACK_BYTES = 64 << 20
_ABNORMAL = 1006


async def close_lost_streams(state: State, journal: SqliteJournal, streams: StreamBook) -> None:
    """Journal a ``stream.closed`` (code 1006, not clean) for each socket that the last run left open."""
    notes = [msgspec.msgpack.decode(packed, type=StreamNote) for packed in state.open_streams.values()]
    if not notes:
        return
    last = await asyncio.to_thread(_last_records, journal, {note.connection for note in notes})
    for note in notes:
        record = last.get(note.connection)
        snapshot = _snapshot_after(record) if record is not None else _fresh_snapshot(note)
        streams.remember(
            (note.vendor, note.endpoint, note.subject, note.channel), Ended(note.connection, snapshot, time.monotonic())
        )
        ended_ns = record.received_ns if record is not None else note.opened_ns
        fact = StreamClosed(
            channel=note.channel,  # type: ignore[arg-type]  # noted when it was bound: one of the contract's
            connection=note.connection,
            code=_ABNORMAL,
            clean=False,
            duration_s=round(max(0, ended_ns - note.opened_ns) / 1e9, 3),
        )
        closing = Record(
            vendor=note.vendor,
            endpoint=note.endpoint,
            kind="closed",
            channel=note.channel,
            connection=note.connection,
            subject=note.subject,
            payload=msgspec.json.encode(fact),
            received_ns=time.time_ns(),
        )
        await asyncio.shield(journal.submit(closing, EVENTS))
        state.stream_closed(note.connection)


def _last_records(journal: SqliteJournal, connections: set[str]) -> dict[str, Record]:
    """The newest record of each connection, as far back as it pays to look."""
    found: dict[str, Record] = {}
    for name in (EVENTS, MEDIA):
        for record in journal.lanes[name].newest(_LOOK_BACK_BYTES):
            known = found.get(record.connection)
            if (
                record.connection in connections
                and record.kind in ("text", "frames")
                and (known is None or known.seq < record.seq)
            ):
                found[record.connection] = record
    return found


def _snapshot_after(record: Record) -> bytes:
    """The session's snapshot behind the last message of ``record``."""
    session = vendor_named(record.vendor).session(record)
    if record.kind == "frames":
        for arrival_ns, message in unpack_frames(record.payload):
            session.receive(message, arrival_ns)
    else:
        session.receive(record.payload.decode(), record.received_ns)
    return session.snapshot()


def _fresh_snapshot(note: StreamNote) -> bytes:
    return vendor_named(note.vendor).session(opening_of(note)).snapshot()
