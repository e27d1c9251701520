"""One file of a lane: a SQLite database in WAL mode that is only ever appended to, then deleted as a whole.

Lanes are cut into files because deleting a file gives its disk space back at once and never makes a writer wait, and
because damage stays inside one file. Checkpoints happen when a file is closed, off the commit path.
"""

import contextlib
import errno
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from receiver.journal.ahead import Ahead
from receiver.journal.blank import SCHEMA, create
from receiver.journal.payloads import LEAST_BYTES, PayloadWriter, payloads_of
from receiver.journal.row import Row, encode_row
from receiver.record import Record

#: rows of one statement, and their bytes where it is more than one: SQLite lets go of the interpreter once for each
#: statement, and to get it back takes a switch interval; but each that is kept for the next time keeps what it wrote
_MOST_ROWS, _MOST_BYTES = 32, 64 << 10
#: bytes of a page; files of before, with frames in their rows, may have large ones
PAGE_SIZES = SMALL_PAGES, LARGE_PAGES = 4096, 16384
#: KiB of pages in memory: rows go to the end and are not looked at again
_CACHE = "PRAGMA cache_size = -256"
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_TOOBIG)
#: of the I/O errors only those that are about reading: others come of a full disk, too
_UNREADABLE = (
    sqlite3.SQLITE_IOERR, sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS,
)  # fmt: skip
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_PROBE_BYTES = 64 << 10
SUFFIX = ".db"


class Segment:
    """A file open for writing. One thread at a time, but for ``sync``; errors are ``sqlite3.Error`` or ``OSError``."""

    def __init__(self, path: Path, spare: Path | None = None, *, beside: bool = False) -> None:
        """``spare``: a file of zeros that becomes the log of a new one. ``beside``: large payloads lie beside it."""
        self.path = path
        #: whether its log was laid out as a whole before it began
        self.laid_out = False
        self._synchronous = ""
        self._syncing = threading.Lock()  # guards the two below, and that they are not closed during a sync
        self._log: int | None = None
        self._payloads: PayloadWriter | None = None
        fresh = not path.exists()
        if fresh:
            create(path, SMALL_PAGES)
            if spare is not None:
                with contextlib.suppress(OSError):
                    spare.replace(log_of(path))
                    self.laid_out = True
        self._folded_bytes = path.stat().st_size
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA wal_autocheckpoint = 0")
            self._db.execute(_CACHE)
            self._db.execute(SCHEMA)
            named = fresh
            if beside:
                named |= not payloads_of(path).exists()
                self._payloads = PayloadWriter(payloads_of(path))
            if named:
                sync_directory(path.parent)
            self._log = os.open(log_of(path), os.O_RDWR)
            self.ahead = Ahead(self._db, self._log)
        except (sqlite3.Error, OSError):
            if self._log is not None:
                os.close(self._log)
            if self._payloads is not None:
                self._payloads.close()
            self._db.close()
            if fresh:  # tried again under another number, so that each try would leave a file behind
                remove(path)
            raise
        # a page is logged anew by each commit that touches it: small commits fill the disk long before the rows do
        self.written_bytes = self._bytes(self.ahead.end)

    def append(self, records: Iterable[Record], *, sync: bool) -> None:
        """Write ``records`` in one transaction; with ``sync`` they are on disk when this returns."""
        wanted = "FULL" if sync else "OFF"  # else SQLite would sync the log once, when it begins
        if wanted != self._synchronous:
            self._db.execute(f"PRAGMA synchronous = {wanted}")
            self._synchronous = wanted
        end = self._payloads.end if self._payloads is not None else 0
        try:
            self._write(records, sync=sync)
        except BaseException:
            self._rollback()
            if self._payloads is not None:
                self._payloads.back_to(end)
            raise
        self.written_bytes = self._bytes(self.ahead.follow())
        if sync:
            self.ahead.lay_out()

    def _write(self, records: Iterable[Record], *, sync: bool) -> None:
        rows = [encode_row(record, self._put_beside(record.payload)) for record in records]
        if sync and self._payloads is not None:
            self._payloads.sync()
        inserts = [(_insert(len(piece)), [column for row in piece for column in row]) for piece in _pieces(rows)]
        if len(inserts) == 1:
            self._db.execute(*inserts[0])  # by itself a transaction
        else:
            self._db.execute("BEGIN IMMEDIATE")
            for statement, columns in inserts:
                self._db.execute(statement, columns)
            self._db.execute("COMMIT")

    def _put_beside(self, payload: bytes) -> int | None:
        """Where a payload lies beside the file now; ``None``: it is for its row."""
        if self._payloads is None or len(payload) < LEAST_BYTES:
            return None
        return self._payloads.append(payload)

    def _bytes(self, log_bytes: int) -> int:
        return self._folded_bytes + log_bytes + (self._payloads.end if self._payloads is not None else 0)

    def sync(self) -> None:
        """Return when every commit so far is on disk. In any thread; nothing where it is closed, which syncs as well.

        The descriptor is kept from the begin: one that is opened later may not be told of a write that failed before.
        """
        with self._syncing:
            if self._log is not None:
                if self._payloads is not None:
                    self._payloads.sync()
                os.fdatasync(self._log)

    def probe(self) -> None:
        """Commit and sync a page that means nothing: raises what a record would meet now."""
        self._db.execute("PRAGMA synchronous = FULL")
        self._synchronous = "FULL"
        self._db.execute("PRAGMA user_version = 0")

    def sound(self) -> bool:
        """Whether every page is where it belongs (reads the whole file). One that is not is no longer written to."""
        return is_sound(self._db)

    def close(self) -> None:
        """Fold the WAL into the file and let go. May take a while: not for the commit path.

        Folding takes as much space again until it is done. Where that is short it is left to others: the WAL stays
        beside the file and is read with it.
        """
        try:
            # also where that fails: the log is cut only when the file has all of it on disk, whoever folds it
            self._db.execute("PRAGMA synchronous = FULL")
            self.sync()
            if _room_to_fold(self.path):
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            with self._syncing:
                log, self._log = self._log, None
                payloads, self._payloads = self._payloads, None
            if log is not None:
                os.close(log)
            if payloads is not None:
                payloads.close()
            let_go(self._db, self.path)

    def _rollback(self) -> None:
        try:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        except sqlite3.Error:  # the next BEGIN says what is wrong
            return


def _pieces(rows: list[Row]) -> Iterator[list[Row]]:
    """What goes into one statement each."""
    piece: list[Row] = []
    size = 0
    for row in rows:
        more = len(row[2]) + len(row[3])
        if piece and (len(piece) == _MOST_ROWS or size + more > _MOST_BYTES):
            yield piece
            piece, size = [], 0
        piece.append(row)
        size += more
    if piece:
        yield piece


@cache
def _insert(rows: int) -> str:
    return "INSERT INTO record VALUES " + ", ".join(["(?, ?, ?, ?)"] * rows)  # noqa: S608


def _room_to_fold(path: Path) -> bool:
    """Whether folding a file's WAL leaves others enough to write."""
    try:
        size = log_of(path).stat().st_size
    except FileNotFoundError:
        return True
    disk = os.statvfs(path.parent)
    return disk.f_bavail * disk.f_frsize >= 2 * size


def let_go(db: sqlite3.Connection, path: Path) -> None:
    """Close. SQLite folds the WAL with the last connection; one that may only read does not, and so it closes last."""
    if _room_to_fold(path):
        db.close()
        return
    last = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False, timeout=10)
    try:
        last.execute("SELECT 1 FROM sqlite_master LIMIT 0").fetchone()
    except sqlite3.Error:  # damaged, or not even space for that: then it tries to fold and may fail, no more
        pass
    finally:
        db.close()
        last.close()


def is_sound(db: sqlite3.Connection) -> bool:
    """Whether every page is where it belongs (reads the whole file)."""
    try:
        return bool(db.execute("PRAGMA quick_check(1)").fetchall() == [("ok",)])
    except sqlite3.Error as problem:
        if not is_damage(problem):
            raise
        return False


def is_damage(problem: sqlite3.Error) -> bool:
    """Whether an error says that bytes on disk are not what was written, and not that the machine is busy or full."""
    code = getattr(problem, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    return code & 0xFF in _DAMAGE or code in _UNREADABLE


def is_full(problem: Exception, folder: Path) -> bool:
    """Whether a failed write to ``folder`` failed for want of space. Where SQLite cannot tell (a quota, a file that it
    could not create), a small file is tried."""
    if isinstance(problem, OSError):
        return problem.errno in _NO_SPACE
    code = getattr(problem, "sqlite_errorcode", 0)
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE):
        return True
    if code & 0xFF not in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN):
        return False
    probe = folder / "space.probe"
    try:
        probe.write_bytes(bytes(_PROBE_BYTES))
    except OSError as error:
        return error.errno in _NO_SPACE
    finally:
        probe.unlink(missing_ok=True)
    return False


def log_of(path: Path) -> Path:
    """Where the log of a file is, if it has one."""
    return path.with_name(path.name + "-wal")


def file_bytes(path: Path) -> int:
    """Disk bytes of a segment with its WAL and its payloads."""
    total = 0
    for part in (path, log_of(path), payloads_of(path)):
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
    payloads_of(path).unlink(missing_ok=True)  # last: whoever has the segment open has opened this before


def sync_directory(path: Path) -> None:
    """Make new names in a folder survive a power failure."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
