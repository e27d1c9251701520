"""Cursors and dead letters of the sinks, and which sockets are open: small facts that must survive a restart.

One SQLite file beside the lanes. Writes are gathered and done off the event loop; a cursor that is a moment old
after a crash only means that a sink is given some events again, with the same ids.
"""

import asyncio
import sqlite3
from pathlib import Path

import msgspec
import structlog

log = structlog.get_logger()
_SCHEMA = """
CREATE TABLE IF NOT EXISTS cursor(sink TEXT PRIMARY KEY, seq INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS dead(
  number INTEGER PRIMARY KEY AUTOINCREMENT, sink TEXT NOT NULL, seq INTEGER NOT NULL, id TEXT NOT NULL,
  reason TEXT NOT NULL, at_ns INTEGER NOT NULL, event BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS stream(connection TEXT PRIMARY KEY, record BLOB NOT NULL);
"""


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """An event that a sink's far side refused for good; ``event`` is its JSON form."""

    sink: str
    seq: int
    id: str
    reason: str
    at_ns: int
    event: bytes
    number: int = 0


class State:
    """``move`` and the like take effect in memory at once and reach the disk with the next ``flush``."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(_SCHEMA)
        self._cursors: dict[str, int] = dict(self._db.execute("SELECT sink, seq FROM cursor"))
        self._streams: dict[str, bytes] = dict(self._db.execute("SELECT connection, record FROM stream"))
        self._dirty: dict[str, int] = {}
        self._stream_changes: list[tuple[str, bytes | None]] = []
        self._flushing = asyncio.Lock()

    @property
    def cursors(self) -> dict[str, int]:
        """Sink name -> last number that its far side has."""
        return self._cursors

    def move(self, sink: str, seq: int) -> None:
        """The far side of ``sink`` has everything up to ``seq``."""
        self._cursors[sink] = self._dirty[sink] = seq

    @property
    def open_streams(self) -> dict[str, bytes]:
        """Connections that were opened and not closed, with what was noted at opening."""
        return self._streams

    def stream_opened(self, connection: str, note: bytes) -> None:
        """Remember an open socket, so that a crash can be told afterwards."""
        self._streams[connection] = note
        self._stream_changes.append((connection, note))

    def stream_closed(self, connection: str) -> None:
        """Its closing is in the journal."""
        if self._streams.pop(connection, None) is not None:
            self._stream_changes.append((connection, None))

    async def bury(self, letters: list[DeadLetter]) -> None:
        """Store dead letters; returns when they are written."""
        rows = [(one.sink, one.seq, one.id, one.reason, one.at_ns, one.event) for one in letters]
        async with self._flushing:
            await asyncio.to_thread(
                self._db.executemany,
                "INSERT INTO dead(sink, seq, id, reason, at_ns, event) VALUES (?, ?, ?, ?, ?, ?)",
                rows,
            )

    def dead_counts(self) -> dict[str, int]:
        """Sink name -> dead letters that lie there."""
        return dict(self._db.execute("SELECT sink, count(*) FROM dead GROUP BY sink"))

    async def flush(self) -> None:
        """Write what changed, in one transaction, off the event loop."""
        async with self._flushing:
            cursors, self._dirty = self._dirty, {}
            streams, self._stream_changes = self._stream_changes, []
            if not cursors and not streams:
                return
            try:
                await asyncio.to_thread(self._write, cursors, streams)
            except sqlite3.Error as problem:
                self._dirty = cursors | self._dirty
                self._stream_changes = streams + self._stream_changes
                log.error("state.flush.failed", error=str(problem))

    async def close(self) -> None:
        """Flush and let go."""
        await self.flush()
        self._db.close()

    def _write(self, cursors: dict[str, int], streams: list[tuple[str, bytes | None]]) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.executemany("REPLACE INTO cursor VALUES (?, ?)", list(cursors.items()))
            for connection, note in streams:
                if note is None:
                    self._db.execute("DELETE FROM stream WHERE connection = ?", (connection,))
                else:
                    self._db.execute("REPLACE INTO stream VALUES (?, ?)", (connection, note))
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
