"""Dead letters: what a sink's far side refused for good, kept until somebody retries or drops it, or retention does.

One table in the state's database. A letter holds its event twice: as JSON, for people, and packed, so that a retry
writes the same event long after the journal has let go of it. An event has at most one letter for each sink: refused
again, the letter gets the new reason and one more try. Here is storage only; retrying is ``receiver.delivery.dead``.
"""

import asyncio
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import structlog

from receiver.events import DATA_TYPES, Event

log = structlog.get_logger()
_SCHEMA = """
CREATE TABLE IF NOT EXISTS dead(
  number INTEGER PRIMARY KEY AUTOINCREMENT, sink TEXT NOT NULL, seq INTEGER NOT NULL, id TEXT NOT NULL,
  reason TEXT NOT NULL, at_ns INTEGER NOT NULL, event BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS dead_event ON dead(sink, id);
"""
#: columns that tables of an earlier version do not have
_LATER = {"packed": "BLOB", "tries": "INTEGER NOT NULL DEFAULT 1"}
_SIZE = "length(event) + ifnull(length(packed), 0)"
_UPDATE = "UPDATE dead SET seq = ?, reason = ?, at_ns = ?, event = ?, packed = ?, tries = tries + 1 WHERE number = ?"
_INSERT = "INSERT INTO dead(sink, seq, id, reason, at_ns, event, packed) VALUES (?, ?, ?, ?, ?, ?, ?)"
_KINDS = {kind.__name__: kind for kind in DATA_TYPES.values()}
_TRIM_AT_ONCE = 500


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """An event that a sink's far side refused for good, at ``at_ns`` for the last time, ``tries`` times in all.

    ``event`` is its JSON form as the sink is given it; ``packed`` rebuilds it (``None``: written by an earlier version,
    or an event that has no such form).
    """

    sink: str
    seq: int
    id: str
    reason: str
    at_ns: int
    event: bytes
    packed: bytes | None = None
    tries: int = 1
    number: int = 0

    @property
    def size_bytes(self) -> int:
        """What it counts for retention."""
        return len(self.event) + len(self.packed or b"")


class _Packed(msgspec.Struct, array_like=True):
    """An event, complete. New fields go to the end, with a default."""

    id: str
    source: str
    type: str
    time_ns: int
    received_ns: int
    subject: str
    sequence: int
    vendorevent: str
    kind: str
    data: bytes
    media: bytes | None
    media_type: str
    raw: bytes


_decode = msgspec.msgpack.Decoder(_Packed).decode


def pack_event(event: Event) -> bytes | None:
    """The bytes that :func:`unpack_event` takes; ``None`` for an event that cannot be encoded."""
    try:
        data = msgspec.json.encode(event.data)
        media = None if event.media is None else bytes(event.media)
        return msgspec.msgpack.encode(
            _Packed(event.id, event.source, event.type, event.time_ns, event.received_ns, event.subject, event.sequence,
                    event.vendorevent, type(event.data).__name__, data, media, event.media_type, event.raw)
        )  # fmt: skip
    except Exception as error:  # whatever is wrong with it is why it is a dead letter: it must not block its burial
        log.warning("dead.not_packed", sequence=event.sequence, error=type(error).__name__)
        return None


def unpack_event(packed: bytes) -> Event:
    """The event as it was. Raises ``msgspec.MsgspecError`` on bytes that are damaged."""
    one = _decode(packed)
    kind = _KINDS.get(one.kind)
    if kind is None:
        raise msgspec.DecodeError(f"data of an unknown kind {one.kind!r}")
    return Event(
        id=one.id, source=one.source, type=one.type, time_ns=one.time_ns, received_ns=one.received_ns,
        data=msgspec.json.decode(one.data, type=kind), subject=one.subject, sequence=one.sequence,
        vendorevent=one.vendorevent, media=one.media, media_type=one.media_type, raw=one.raw,
    )  # fmt: skip


class DeadLetters:
    """The table, on a connection and under the lock of its owner. ``counts`` and ``bytes`` are kept in memory."""

    def __init__(self, db: sqlite3.Connection, lock: asyncio.Lock) -> None:
        self._db = db
        self._lock = lock
        db.executescript(_SCHEMA)
        there = {row[1] for row in db.execute("PRAGMA table_info(dead)")}
        for name, kind in _LATER.items():
            if name not in there:
                db.execute(f"ALTER TABLE dead ADD COLUMN {name} {kind}")
        #: sink name -> letters that lie there
        self.counts: dict[str, int] = {}
        self.bytes = 0
        for sink, count, size in db.execute(f"SELECT sink, count(*), sum({_SIZE}) FROM dead GROUP BY sink"):  # noqa: S608
            self.counts[sink] = count
            self.bytes += size

    async def bury(self, letters: list[DeadLetter]) -> None:
        """Store letters, all or none; returns when they are written."""
        async with self._lock:
            for sink, count, size in await asyncio.to_thread(self._bury, letters):
                self._count(sink, count, size)

    async def read(self, numbers: Iterable[int]) -> list[DeadLetter]:
        """The letters of these numbers that are there, complete."""
        wanted = list(numbers)
        async with self._lock:
            return await asyncio.to_thread(self._read, wanted)

    async def places(self) -> list[tuple[str, int, int]]:
        """``(sink, sequence, number)`` of every letter."""
        async with self._lock:
            rows = await asyncio.to_thread(self._db.execute, "SELECT sink, seq, number FROM dead ORDER BY number")
            return rows.fetchall()

    async def drop(self, numbers: Iterable[int]) -> list[int]:
        """Remove letters; the numbers of those that were there."""
        wanted = list(numbers)
        async with self._lock:
            gone = await asyncio.to_thread(self._drop, wanted)
            for _, sink, size in gone:
                self._count(sink, -1, -size)
        return [number for number, _, _ in gone]

    async def trim(self, now_ns: int, max_bytes: int, max_age_s: float) -> int:
        """Remove what is beyond size or age, the oldest first; how many that were."""
        removed = 0
        while True:
            border_ns = now_ns - int(max_age_s * 1e9)
            query = f"SELECT number, at_ns, {_SIZE} FROM dead ORDER BY number LIMIT {_TRIM_AT_ONCE}"  # noqa: S608
            async with self._lock:
                oldest = (await asyncio.to_thread(self._db.execute, query)).fetchall() if self.counts else []
            surplus = self.bytes - max_bytes
            numbers = []
            for number, at_ns, size in oldest:
                if surplus <= 0 and at_ns >= border_ns:
                    break
                numbers.append(number)
                surplus -= size
            if not numbers:
                return removed
            removed += len(await self.drop(numbers))

    def _count(self, sink: str, count: int, size: int) -> None:
        self.bytes += size
        self.counts[sink] = self.counts.get(sink, 0) + count

    def _bury(self, letters: list[DeadLetter]) -> list[tuple[str, int, int]]:
        changes = []
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for one in letters:
                query = f"SELECT number, {_SIZE} FROM dead WHERE sink = ? AND id = ?"  # noqa: S608
                found = self._db.execute(query, (one.sink, one.id)).fetchone()
                if found is None:
                    self._db.execute(_INSERT, (one.sink, one.seq, one.id, one.reason, one.at_ns, one.event, one.packed))
                else:
                    self._db.execute(_UPDATE, (one.seq, one.reason, one.at_ns, one.event, one.packed, found[0]))
                changes.append((one.sink, int(found is None), one.size_bytes - (found[1] if found else 0)))
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        return changes

    def _read(self, numbers: list[int]) -> list[DeadLetter]:
        found = []
        for number in numbers:
            cursor = self._db.execute("SELECT * FROM dead WHERE number = ?", (number,))
            found += [_letter(cursor, row) for row in cursor]
        return found

    def _drop(self, numbers: list[int]) -> list[tuple[int, str, int]]:
        gone = []
        for number in numbers:
            query = f"DELETE FROM dead WHERE number = ? RETURNING number, sink, {_SIZE}"  # noqa: S608
            gone += self._db.execute(query, (number,)).fetchall()
        return gone


def letters_in(journal_folder: Path, sink: str | None = None) -> Iterator[DeadLetter]:
    """Every letter in the files, oldest first. Works beside a live server and without one, changes nothing."""
    path = journal_folder / "state.db"
    if not path.exists():
        return
    with closing(sqlite3.connect(path.absolute().as_uri() + "?mode=rw", uri=True, timeout=10)) as db:
        db.execute("PRAGMA query_only = ON")
        cursor = db.execute("SELECT * FROM dead WHERE ?1 IS NULL OR sink = ?1 ORDER BY number", (sink,))
        for row in cursor:
            yield _letter(cursor, row)


def _letter(cursor: sqlite3.Cursor, row: tuple[Any, ...]) -> DeadLetter:
    return DeadLetter(**dict(zip((column[0] for column in cursor.description), row, strict=True)))
