"""Cursors of the sinks, and which sockets are open: small facts that must survive a restart. Dead letters lie beside
them, see ``receiver.journal.dead``.

One SQLite file beside the lanes. Writes are gathered and done off the event loop; a cursor that is a moment old
after a crash only means that a sink is given some events again, with the same ids.

A file that is damaged is set aside and a new one begun. Its cursors are lost, so every sink gets all that the journal
still holds once more, with the same ids: too much rather than too little. Each cursor stands in the file twice, and
the lower one counts: a bit that flips in one of them repeats events and skips none.
"""

import asyncio
import contextlib
import sqlite3
import time
from pathlib import Path

import structlog

from receiver.journal.dead import DeadLetters
from receiver.journal.segment import is_damage

log = structlog.get_logger()
_SCHEMA = """
CREATE TABLE IF NOT EXISTS cursor(sink TEXT PRIMARY KEY, seq INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS cursor_copy(sink TEXT PRIMARY KEY, seq INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS stream(connection TEXT PRIMARY KEY, record BLOB NOT NULL);
"""


class State:
    """``move`` and the like take effect in memory at once and reach the disk with the next ``flush``."""

    def __init__(self, path: Path) -> None:
        """Raises ``sqlite3.Error``, ``OSError`` where the fault is not in the file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._dirty: dict[str, int] = {}
        self._stream_changes: list[tuple[str, bytes | None]] = []
        self._flushing = asyncio.Lock()
        #: whether there is something to flush
        self.changed = asyncio.Event()
        self._told = ""
        try:
            self._open(path)
        except (sqlite3.Error, UnicodeDecodeError) as problem:  # the latter: of a message that cites damaged text
            if isinstance(problem, sqlite3.Error) and not is_damage(problem) and not _is_misread(problem):
                raise
            self._db.close()
            _set_aside(path, str(problem))
            self._open(path)

    def _open(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(_SCHEMA)
        ((verdict,),) = self._db.execute("PRAGMA quick_check(1)").fetchall()
        if verdict != "ok":
            raise sqlite3.DatabaseError(" ".join(verdict.split()))
        self._cursors: dict[str, int] = self._lower_cursors()
        self._streams: dict[str, bytes] = dict(self._db.execute("SELECT connection, record FROM stream"))
        self.dead = DeadLetters(self._db, self._flushing)

    def _lower_cursors(self) -> dict[str, int]:
        numbers = "WHERE typeof(sink) = 'text' AND typeof(seq) = 'integer'"
        cursors: dict[str, int] = dict(self._db.execute(f"SELECT sink, seq FROM cursor {numbers}"))  # noqa: S608
        copies: dict[str, int] = dict(self._db.execute(f"SELECT sink, seq FROM cursor_copy {numbers}"))  # noqa: S608
        for sink, seq in copies.items():
            if cursors.get(sink, 0) != seq:
                cursors[sink] = min(cursors.get(sink, 0), seq)
                log.error("state.cursor.damaged", sink=sink, repeats_after=cursors[sink])
        return cursors

    @property
    def cursors(self) -> dict[str, int]:
        """Sink name -> last number that its far side has."""
        return self._cursors

    def move(self, sink: str, seq: int) -> None:
        """The far side of ``sink`` has everything up to ``seq``."""
        self._cursors[sink] = self._dirty[sink] = seq
        self.changed.set()

    @property
    def open_streams(self) -> dict[str, bytes]:
        """Connections that were opened and not closed, with what was noted at opening."""
        return self._streams

    def stream_opened(self, connection: str, note: bytes) -> None:
        """Remember an open socket, so that a crash can be told afterwards."""
        self._streams[connection] = note
        self._stream_changes.append((connection, note))
        self.changed.set()

    def stream_closed(self, connection: str) -> None:
        """Its closing is in the journal."""
        if self._streams.pop(connection, None) is not None:
            self._stream_changes.append((connection, None))
            self.changed.set()

    async def flush(self) -> None:
        """Write what changed, in one transaction, off the event loop."""
        async with self._flushing:
            cursors, self._dirty = self._dirty, {}
            streams, self._stream_changes = self._stream_changes, []
            self.changed.clear()
            if not cursors and not streams:
                return
            try:
                await asyncio.to_thread(self._write, cursors, streams)
            except sqlite3.Error as problem:
                self._dirty = cursors | self._dirty
                self._stream_changes = streams + self._stream_changes
                self.changed.set()
                if str(problem) != self._told:  # tried again a few times a second
                    self._told = str(problem)
                    log.error("state.flush.failed", error=self._told)
            else:
                self._told = ""

    async def close(self) -> None:
        """Flush and let go."""
        await self.flush()
        self._db.close()

    def _write(self, cursors: dict[str, int], streams: list[tuple[str, bytes | None]]) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for table in ("cursor", "cursor_copy"):
                self._db.executemany(f"REPLACE INTO {table} VALUES (?, ?)", list(cursors.items()))  # noqa: S608
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


def _is_misread(problem: sqlite3.Error) -> bool:
    """Whether SQLite takes the file for something else than was written: another format, other columns."""
    return getattr(problem, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR


def _set_aside(path: Path, problem: str) -> None:
    aside = path.with_name(f"{path.name}.damaged-{time.time_ns()}")
    lost = "cursors and dead letters: every sink gets all that the journal holds again, with the same ids"
    log.error("state.set_aside", file=path.name, to=aside.name, error=problem, lost=lost)
    for suffix in ("", "-wal"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    path.with_name(path.name + "-shm").unlink(missing_ok=True)
