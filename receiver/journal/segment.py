"""One file of a lane: a SQLite database in WAL mode that is only ever appended to, then deleted as a whole.

Lanes are cut into files because deleting a file gives its disk space back at once and never makes a writer wait, and
because damage stays inside one file. Checkpoints happen when a file is closed, off the commit path.
"""

import errno
import os
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from receiver.journal.row import Row, count_of, damaged_row, decode_row, encode_row, key_facts
from receiver.record import Record

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS record"
    "(seq INTEGER PRIMARY KEY, key BLOB NOT NULL, meta BLOB NOT NULL, payload BLOB NOT NULL)"
)
_INSERT = "INSERT INTO record VALUES (?, ?, ?, ?)"
_SELECT = "SELECT seq, key, meta, payload FROM record WHERE seq > ? ORDER BY seq"
_SELECT_SMALL = "SELECT seq, key, meta, x'' FROM record WHERE seq > ? ORDER BY seq"
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_TOOBIG)
#: of the I/O errors only those that are about reading: others come of a full disk, too
_UNREADABLE = (
    sqlite3.SQLITE_IOERR, sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS,
)  # fmt: skip
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_PROBE_BYTES = 64 << 10
_NO_ROW: Row = 0, b"", b"", b""
ALL = (1 << 63) - 1
SUFFIX = ".db"


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
            self._db.execute(SCHEMA)
            if fresh:
                sync_directory(path.parent)
        except (sqlite3.Error, OSError):
            self._db.close()
            if fresh:  # tried again under another number, so that each try would leave a file behind
                remove(path)
            raise

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

    def probe(self) -> None:
        """Commit and sync a page that means nothing: raises what a record would meet now."""
        self._db.execute("PRAGMA synchronous = FULL")
        self._synchronous = "FULL"
        self._db.execute("PRAGMA user_version = 0")

    def sound(self) -> bool:
        """Whether every page is where it belongs (reads the whole file). One that is not is no longer written to."""
        return _is_sound(self._db)

    def close(self) -> None:
        """Fold the WAL into the file and let go. May take a while: not for the commit path.

        Folding takes as much space again until it is done. Where that is short it is left to others: the WAL stays
        beside the file and is read with it.
        """
        try:
            if _room_to_fold(self.path):
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            _let_go(self._db, self.path)

    def _rollback(self) -> None:
        try:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        except sqlite3.Error:  # the next BEGIN says what is wrong
            return


class SegmentReader:
    """A file open for reading, also while another process writes it. What is damaged in it is passed over."""

    def __init__(self, path: Path, mode: str = "mode=rw") -> None:
        """Raises ``sqlite3.DatabaseError`` where the file is no database at all."""
        self.path = path
        #: what was found unreadable so far, one sentence each
        self.damage: list[str] = []
        self._db = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, check_same_thread=False, timeout=10)
        try:
            self._db.execute("PRAGMA query_only = ON")
            self._db.execute("SELECT 1 FROM record LIMIT 0").fetchone()
        except UnicodeDecodeError as problem:  # of SQLite's message, which cites the damaged text
            self._db.close()
            raise sqlite3.DatabaseError("its schema is damaged") from problem
        except sqlite3.Error as problem:
            self._db.close()
            if problem.sqlite_errorcode == sqlite3.SQLITE_ERROR:
                raise sqlite3.DatabaseError("it holds no table of records") from problem
            raise

    def read(self, after: int, upto: int) -> Iterator[Record]:
        """Records with ``after < seq <= upto`` in order; kind ``damaged`` stands for one whose payload is not what was
        written. Rows whose number is in doubt and pages that cannot be read are left out and noted in ``damage``.
        Raises ``sqlite3.Error`` for what is no damage."""
        last = after
        for row in self._rows(_SELECT, after):
            try:
                record = decode_row(row)
            except msgspec.MsgspecError as problem:
                stand_in = damaged_row(row, str(problem))
                if stand_in is None:  # its number may be wrong, too: it decides nothing
                    self.damage.append(f"one record behind {last} cannot be read: {problem}")
                    continue
                record = stand_in
            if record.seq > upto:
                return
            if record.seq > last:
                last = record.seq
                yield record

    def keys(self, newest: int) -> list[tuple[bytes, int, int, int]]:
        """``(key, seq, received_ns, repeat)`` of the ``newest`` records that have a key, oldest first, as far as they
        can be read. Raises ``sqlite3.Error`` for what is no damage."""
        found: list[tuple[bytes, int, int, int]] = []
        query = "SELECT seq, key, meta FROM record WHERE length(key) > 0 ORDER BY seq DESC LIMIT ?"
        try:
            for seq, key, meta in self._db.execute(query, (newest,)):
                try:
                    found.append((bytes(key), seq, *key_facts(seq, meta)))
                except msgspec.MsgspecError:  # its repeat will not be known as one, no more than that
                    continue
        except sqlite3.Error as problem:  # the older ones, likewise
            if not is_damage(problem):
                raise
        found.reverse()
        return found

    def positions(self, after: int, upto: int = ALL) -> int:
        """How many sequence numbers the records from behind ``after`` to ``upto`` take, as far as they can be read."""
        return sum(count_of(row) for row in self._rows(_SELECT_SMALL, after) if row[0] <= upto)

    def last_number(self) -> tuple[int, bool]:
        """The last sequence number in the file, 0 where there is none, and whether nothing behind it is in doubt."""
        try:
            row = self._db.execute("SELECT seq, key, meta, x'' FROM record ORDER BY seq DESC LIMIT 1").fetchone()
        except sqlite3.Error as problem:
            if not is_damage(problem):
                raise
            row = _NO_ROW
        if row is None:
            return 0, True
        newest = damaged_row(row, "")
        if newest is not None:
            return newest.last_seq, True
        return max((record.last_seq for record in self.read(0, ALL)), default=0), False

    def sound(self) -> bool:
        """Whether every page is where it belongs (reads the whole file)."""
        return _is_sound(self._db)

    def close(self) -> None:
        """Let go of the file."""
        _let_go(self._db, self.path)

    def _rows(self, query: str, after: int) -> Iterator[Row]:
        """Rows behind ``after`` in the order of the tree; where a page cannot be read, go on behind it."""
        while True:
            try:
                for row in self._db.execute(query, (after,)):
                    yield row
                    after = max(after, row[0])
            except sqlite3.Error as problem:
                if not is_damage(problem):
                    raise
                further = self._readable_behind(query, after)
                if further != after:
                    end = further or "the end"
                    self.damage.append(f"nothing can be read between record {after} and {end}: {problem}")
                # the module steps ahead by one row: the last good one before the damage was not handed out yet
                last = None if further is None else self._db.execute(f"{query} LIMIT 1", (further,)).fetchone()
                if further is None or last is None:
                    return
                yield last
                after = max(further + 1, last[0])
            else:
                return

    def _readable_behind(self, query: str, after: int) -> int | None:
        """The least number, by doubling and halving, behind which a row can be read; ``None``: there is none."""
        step, bad = 1, after - 1
        while after <= ALL and not self._can_read(query, after):
            bad, after, step = after, after + step, step * 2
        if after > ALL:
            return None
        while after - bad > 1:
            middle = (bad + after) // 2
            bad, after = (bad, middle) if self._can_read(query, middle) else (middle, after)
        return after

    def _can_read(self, query: str, after: int) -> bool:
        try:
            self._db.execute(f"{query} LIMIT 1", (after,)).fetchone()
        except sqlite3.Error as problem:
            if not is_damage(problem):
                raise
            return False
        return True


def _room_to_fold(path: Path) -> bool:
    """Whether folding a file's WAL leaves others enough to write."""
    try:
        size = path.with_name(path.name + "-wal").stat().st_size
    except FileNotFoundError:
        return True
    disk = os.statvfs(path.parent)
    return disk.f_bavail * disk.f_frsize >= 2 * size


def _let_go(db: sqlite3.Connection, path: Path) -> None:
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


def _is_sound(db: sqlite3.Connection) -> bool:
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
