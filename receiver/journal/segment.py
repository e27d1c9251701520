"""One file of a lane: a SQLite database in WAL mode that is only ever appended to, then deleted as a whole.

Lanes are cut into files because deleting a file gives its disk space back at once and never makes a writer wait, and
because damage stays inside one file. Checkpoints happen when a file is closed, off the commit path.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from receiver.record import Kind, Record

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS record"
    "(seq INTEGER PRIMARY KEY, key BLOB NOT NULL, meta BLOB NOT NULL, payload BLOB NOT NULL)"
)
_INSERT = "INSERT INTO record VALUES (?, ?, ?, ?)"
_SELECT = "SELECT seq, key, meta, payload FROM record WHERE seq > ? AND seq <= ? ORDER BY seq"
SUFFIX = ".db"


class _Meta(msgspec.Struct, array_like=True):
    """The small columns of a record in one. New fields go to the end, with a default: old files stay readable."""

    vendor: str
    endpoint: str
    kind: Kind
    received_ns: int
    count: int
    channel: str
    connection: str
    subject: str
    headers: tuple[tuple[str, str], ...]
    repeat: int
    state: bytes
    reason: str


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Meta).decode


def encode_row(record: Record) -> tuple[int, bytes, bytes, bytes]:
    """A record as a row of the table."""
    meta = _Meta(
        record.vendor, record.endpoint, record.kind, record.received_ns, record.count, record.channel,
        record.connection, record.subject, record.headers, record.repeat, record.state, record.reason,
    )  # fmt: skip
    return record.seq, record.key, _encode(meta), record.payload


def decode_row(row: tuple[int, bytes, bytes, bytes]) -> Record:
    """The record of a row. Raises ``msgspec.MsgspecError`` on damaged bytes."""
    seq, key, packed, payload = row
    meta = _decode(packed)
    return Record(
        vendor=meta.vendor, endpoint=meta.endpoint, kind=meta.kind, payload=payload, received_ns=meta.received_ns,
        channel=meta.channel, connection=meta.connection, subject=meta.subject, headers=meta.headers, key=key,
        repeat=meta.repeat, state=meta.state, reason=meta.reason, seq=seq, count=meta.count,
    )  # fmt: skip


class Segment:
    """A file open for writing. One thread at a time; every error is ``sqlite3.Error`` or ``OSError``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._wal = path.with_name(path.name + "-wal")
        self.written_bytes = self._folded_bytes = file_bytes(path)
        self._synchronous = ""
        fresh = not path.exists()
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA wal_autocheckpoint = 0")
            self._db.execute(_SCHEMA)
        except sqlite3.Error:
            self._db.close()
            raise
        if fresh:
            sync_directory(path.parent)

    def append(self, records: Iterable[Record], *, sync: bool) -> None:
        """Write ``records`` in one transaction; with ``sync`` they are on disk when this returns."""
        wanted = "FULL" if sync else "NORMAL"
        if wanted != self._synchronous:
            self._db.execute(f"PRAGMA synchronous = {wanted}")
            self._synchronous = wanted
        rows = [encode_row(record) for record in records]
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.executemany(_INSERT, rows)
            self._db.execute("COMMIT")
        except BaseException:
            self._rollback()
            raise
        # a WAL page is written anew by each commit that touches it: small commits fill the disk long before the rows do
        self.written_bytes = self._folded_bytes + self._wal.stat().st_size

    def last_record(self) -> Record | None:
        """The newest record, or ``None`` in an empty file."""
        row = self._db.execute("SELECT seq, key, meta, payload FROM record ORDER BY seq DESC LIMIT 1").fetchone()
        return None if row is None else decode_row(row)

    def close(self) -> None:
        """Fold the WAL into the file and let go. May take a while: not for the commit path."""
        try:
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            self._db.close()

    def _rollback(self) -> None:
        try:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        except sqlite3.Error:  # the next BEGIN says what is wrong
            return


class SegmentReader:
    """A file open for reading, also while another process writes it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._db = sqlite3.connect(path.absolute().as_uri() + "?mode=rw", uri=True, check_same_thread=False, timeout=10)
        self._db.execute("PRAGMA query_only = ON")

    def read(self, after: int, upto: int) -> Iterator[Record]:
        """Records with ``after < seq <= upto`` in order. Raises ``sqlite3.DatabaseError`` where the file is damaged."""
        for row in self._db.execute(_SELECT, (after, upto)):
            try:
                yield decode_row(row)
            except msgspec.MsgspecError as error:
                raise sqlite3.DatabaseError(f"record {row[0]}: {error}") from error

    def keys(self, newest: int) -> list[tuple[bytes, int, bytes]]:
        """``(key, seq, packed meta)`` of the ``newest`` records that have a key, oldest first."""
        rows = self._db.execute(
            "SELECT key, seq, meta FROM record WHERE length(key) > 0 ORDER BY seq DESC LIMIT ?", (newest,)
        ).fetchall()
        rows.reverse()
        return rows

    def positions(self, after: int) -> int:
        """How many sequence numbers the records behind ``after`` take."""
        rows = self._db.execute("SELECT meta FROM record WHERE seq > ?", (after,))
        return sum(_decode(meta).count for (meta,) in rows)

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()


def meta_of(packed: bytes) -> tuple[int, int]:
    """``(received_ns, repeat)`` out of a packed meta column."""
    meta = _decode(packed)
    return meta.received_ns, meta.repeat


def file_bytes(path: Path) -> int:
    """Disk bytes of a segment with its WAL."""
    total = 0
    for part in (path, path.with_name(path.name + "-wal")):
        try:
            total += part.stat().st_size
        except FileNotFoundError:
            continue
    return total


def delete_record(path: Path, seq: int) -> bool:
    """Remove one record from a file that may be open elsewhere; whether it was there."""
    db = sqlite3.connect(path, isolation_level=None, timeout=10)
    try:
        return db.execute("DELETE FROM record WHERE seq = ?", (seq,)).rowcount > 0
    finally:
        db.close()


def remove(path: Path) -> None:
    """Delete a closed segment and what SQLite keeps beside it."""
    for name in (path.name, path.name + "-wal", path.name + "-shm"):
        path.with_name(name).unlink(missing_ok=True)


def sync_directory(path: Path) -> None:
    """Make new names in a folder survive a power failure."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
