"""Reading a file of a lane, also while another process writes it. What is damaged in it is passed over and noted."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec

from receiver.journal.blank import SCHEMA
from receiver.journal.payloads import PayloadReader, payloads_of
from receiver.journal.row import Row, damaged_row, decode_row, key_facts, payload_bytes
from receiver.journal.segment import is_damage, is_sound, let_go
from receiver.record import Record

_SELECT = "SELECT seq, key, meta, payload FROM record WHERE seq > ? ORDER BY seq"
_SELECT_SMALL = "SELECT seq, key, meta, x'' FROM record WHERE seq > ? ORDER BY seq"
#: the kind stands in the small columns as it is
_SELECT_FACTS = _SELECT.replace(
    "seq > ?", "seq > ? AND (instr(meta, CAST('opened' AS BLOB)) OR instr(meta, CAST('closed' AS BLOB)))"
)
_LAST = "SELECT seq, key, meta, x'' FROM record ORDER BY seq DESC LIMIT 1"
#: of numbers up to ``end``: the bytes of their payloads, and the last row before them. Block after block goes back, but
#: each is read forwards: a disk reads ahead, not behind
_BLOCK = (
    "SELECT ifnull(sum(length(payload)), 0), ifnull((SELECT max(seq) FROM record WHERE seq <= :low), 0)"
    " FROM record WHERE seq > :low AND seq <= :end"
)
_BLOCKS = 64
#: of a file whose payloads lie beside it: these are few rows
_SIZES = "SELECT seq, length(payload), meta, x'' FROM record WHERE seq <= ? ORDER BY seq DESC"
_TABLE = ("table", "record", 2, SCHEMA.replace("IF NOT EXISTS ", ""))
ALL = (1 << 63) - 1


class SegmentReader:
    """A file open for reading."""

    def __init__(self, path: Path, mode: str = "mode=rw") -> None:
        """Raises ``sqlite3.DatabaseError`` where the file is no database at all."""
        self.path = path
        #: what was found unreadable so far, one sentence each
        self.damage: list[str] = []
        self._payloads = PayloadReader(payloads_of(path))  # first: retention deletes it last
        self._db = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, check_same_thread=False, timeout=10)
        try:
            self._db.execute("PRAGMA query_only = ON")
            if self._db.execute("SELECT type, name, rootpage, sql FROM sqlite_master").fetchall() != [_TABLE]:
                raise sqlite3.DatabaseError("it holds no table of records, or not as it was made")
        except UnicodeDecodeError as problem:  # of SQLite's message, which cites the damaged text
            self._db.close()
            raise sqlite3.DatabaseError("its schema is damaged") from problem
        except sqlite3.Error as problem:
            self._db.close()
            if getattr(problem, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR:
                raise sqlite3.DatabaseError("its schema is damaged") from problem
            raise

    def read(self, after: int, upto: int = ALL, *, whole: bool = True) -> Iterator[Record]:
        """Records with ``after < seq <= upto`` in order; kind ``damaged`` stands for one whose payload is not what was
        written. Rows whose number is in doubt and pages that cannot be read are left out and noted in ``damage``.
        Not ``whole``: without their payloads, all of kind ``damaged``, for those who count.
        Raises ``sqlite3.Error`` for what is no damage."""
        rows = self._rows(_SELECT if whole else _SELECT_SMALL, after)
        for record in self._in_order(rows, after, self._whole_record if whole else head_record):
            if record.seq > upto:
                return
            yield record

    def facts(self, after: int) -> Iterator[Record]:
        """Records behind ``after`` in order that tell of the opening or closing of a stream, as far as possible.
        The others are passed over without a look at them. Raises ``sqlite3.Error`` for what is no damage."""
        for record in self._in_order(self._rows(_SELECT_FACTS, after), after, self._whole_record):
            if record.kind in ("opened", "closed"):
                yield record

    def before(self, number: int) -> Record | None:
        """The last record up to ``number`` whose small columns can be read, without its payload. Looks at all of them:
        who asks has met damage, and a search by number may be led astray by it."""
        found = None
        for row in self._rows(_SELECT_SMALL, 0):
            record = head_record(row)
            if record is not None and record.seq <= number and (found is None or record.seq > found.seq):
                found = record
        return found

    def keys(self, newest: int, after: int = 0) -> list[tuple[bytes, int, int, int]]:
        """``(key, seq, received_ns, repeat)`` of the ``newest`` records behind ``after`` that have a key, oldest first,
        as far as they can be read. Raises ``sqlite3.Error`` for what is no damage."""
        found: list[tuple[bytes, int, int, int]] = []
        query = "SELECT seq, key, meta FROM record WHERE seq > ? AND length(key) > 0 ORDER BY seq DESC LIMIT ?"
        try:
            for seq, key, meta in self._db.execute(query, (after, newest)):
                if not isinstance(key, bytes):  # a type of SQLite's that flipped
                    continue
                try:
                    found.append((key, seq, *key_facts(seq, meta)))
                except msgspec.MsgspecError:  # its repeat will not be known as one, no more than that
                    continue
        except sqlite3.Error as problem:  # the older ones, likewise
            if not is_damage(problem):
                raise
        found.reverse()
        return found

    def begin_of_newest(self, limit_bytes: int) -> tuple[int, int]:
        """A number behind which the newest records lie, about ``limit_bytes`` of payload, and how much that is; 0 where
        all of the file is less, or where it cannot be told. Raises ``sqlite3.Error`` for what is no damage."""
        size, step = 0, 1
        try:
            ((end,),) = self._db.execute("SELECT ifnull(max(seq), 0) FROM record")
            if self._payloads.is_there:
                return self._begin_of_newest_beside(limit_bytes, end)
            while size < limit_bytes and end > 0:
                low = max(0, end - step)
                found, below = self._db.execute(_BLOCK, {"low": low, "end": end}).fetchone()
                size, end = size + found, min(below, low)
                step = step * 2 if found < limit_bytes // _BLOCKS else max(1, step // 2)
        except sqlite3.Error as problem:
            if not is_damage(problem):
                raise
            return 0, size
        return max(0, end), size

    def _begin_of_newest_beside(self, limit_bytes: int, end: int) -> tuple[int, int]:
        size = 0
        for seq, inside, meta, _ in self._db.execute(_SIZES, (end,)):
            size += inside or payload_bytes((seq, b"", meta, b""))
            if size >= limit_bytes:
                return max(0, seq - 1), size
        return 0, size

    def last(self) -> tuple[Record | None, bool]:
        """The last record in the file, and whether nothing behind it is in doubt."""
        try:
            row = self._db.execute(_LAST).fetchone()
        except sqlite3.Error as problem:
            if not is_damage(problem):
                raise
        else:
            newest = None if row is None else head_record(row)
            if row is None or newest is not None:
                return newest, True
        return self.before(ALL), False

    def sound(self) -> bool:
        """Whether every page is where it belongs (reads the whole file)."""
        return is_sound(self._db)

    def close(self) -> None:
        """Let go of the file."""
        self._payloads.close()
        let_go(self._db, self.path)

    def _whole_record(self, row: Row) -> Record | None:
        return whole_record(row, self._payloads)

    def _in_order(self, rows: Iterable[Row], last: int, decode: Callable[[Row], Record | None]) -> Iterator[Record]:
        """Records of ``rows`` numbered upwards behind ``last``. One whose number is in doubt decides nothing."""
        for row in rows:
            record = decode(row)
            if record is None:
                self.damage.append(f"one record behind {last} cannot be read: its columns do not fit their checksum")
            elif record.seq > last:
                last = record.seq
                yield record

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


def whole_record(row: Row, payloads: PayloadReader) -> Record | None:
    """The record of a row, or what stands for it; ``None`` where its own number may be wrong."""
    try:
        return decode_row(row, payloads)
    except msgspec.MsgspecError as problem:
        return damaged_row(row, str(problem))


def head_record(row: Row) -> Record | None:
    """The same without the payload, always of kind ``damaged``."""
    return damaged_row(row, "")
