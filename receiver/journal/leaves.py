"""Rows of a damaged file, found leaf by leaf without the tree that leads to them.

One wrong bit in an inner page hides every leaf behind it, and where a search by number leads then depends on where it
begins. The leaves themselves are whole: each is looked at, and the rows' own checksums say which are what was written.
File format: https://www.sqlite.org/fileformat2.html, sections 1.5, 1.6 and 2.1.
"""

import os
import struct
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from receiver.journal.payloads import PayloadReader, payloads_of
from receiver.journal.reader import head_record, whole_record
from receiver.journal.row import Row
from receiver.journal.salvage import BEGIN_BYTES, frames_of, told_page_bytes
from receiver.journal.segment import log_of
from receiver.record import Record

_LEAF, _INNER = 13, 5
_HEAD_BYTES, _INNER_HEAD_BYTES = 8, 12
#: in the header of an inner page: the page that lies to the right of all others
_RIGHT_AT = 8
#: the page where the table begins; files of a few gigabytes have three levels
_ROOT, _MOST_DEEP = 2, 8
_MOST_ROW_BYTES = 64 << 20
#: of columns that are neither text nor bytes, by kind
_SIZES = (0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0)
_SHORT = struct.Struct(">H")
_LONG = struct.Struct(">I")


class Cell(NamedTuple):
    """Where a row stands."""

    seq: int
    page: int
    offset: int


class Descriptor:
    """A file that is open for reading until nobody has this any more. Raises ``OSError``; a file that is not there is
    empty."""

    def __init__(self, path: Path) -> None:
        self.number = os.open(path if path.exists() else os.devnull, os.O_RDONLY)

    def __del__(self) -> None:
        if hasattr(self, "number"):
            os.close(self.number)

    def read(self, size: int, at: int = 0) -> bytes:
        """So many bytes from there, fewer at the end."""
        return os.pread(self.number, size, at)

    def bytes(self) -> int:
        """Its size."""
        return os.fstat(self.number).st_size


class Leaves:
    """The pages of a file and its log. Reads only; any error is ``OSError``. ``close`` lets go of the files."""

    def __init__(self, path: Path, file: Descriptor | None = None) -> None:
        """Open them; ``file``: who has the file open already. Where one is missing (retention took it, or the log was
        folded), its pages are."""
        self._file = file or Descriptor(path)
        self._log = Descriptor(log_of(path))
        self._page_bytes = told_page_bytes(self._file.read(BEGIN_BYTES), self._log.read(BEGIN_BYTES))
        self._count = self._file.bytes() // self._page_bytes
        self._logged = frames_of(self._log.read(self._log.bytes()), self._page_bytes)
        #: another one for each commit: pages, and where the last one that was logged stands
        self.state = self._count, max(self._logged.values(), default=0)

    def close(self) -> None:
        """Let go of the files."""
        del self._file, self._log

    def cells(self) -> list[Cell]:
        """Every row whose small columns are what was written, by its number."""
        found: dict[int, Cell] = {}
        for number in sorted({*range(1, self._count + 1), *self._logged}):
            page = self._page(number)
            for offset in _pointers(page, self._page_bytes):
                row = self._row(page, offset, whole=False)
                if row is not None and head_record(row) is not None:
                    found[row[0]] = Cell(row[0], number, offset)
        return sorted(found.values())

    def last_in_tree(self) -> int:
        """The number of the last row, where the tree leads to it as it was built: down its right edge, as far as beside
        it, to a leaf whose rows all come behind what lies to the left. 0: it does not, or there is no row. No single
        wrong bit makes an earlier row pass for the last one."""
        try:
            number, passed, depths = _ROOT, 0, [0]
            for depth in range(_MOST_DEEP):
                page = self._page(number)
                if page[0] != _INNER:
                    rows = [
                        row
                        for offset in _pointers(page, self._page_bytes)
                        if (row := self._row(page, offset, whole=False))
                    ]
                    seqs = [row[0] for row in rows if head_record(row) is not None]
                    return max(seqs) if seqs and min(seqs) > passed and depth == max(depths) else 0
                left, key = _left_of(page)
                if not depth:
                    depths = list(self._depths(left))
                number, passed = _LONG.unpack_from(page, _RIGHT_AT)[0], max(key, passed)
        except (IndexError, struct.error):
            return 0
        return 0

    def _depths(self, number: int) -> Iterator[int]:
        """Of the pages on the way to a leaf, from a child of the root on."""
        for depth in range(1, _MOST_DEEP):
            yield depth
            page = self._page(number)
            if page[0] != _INNER:
                return
            number, _ = _left_of(page)

    def row(self, cell: Cell) -> Row | None:
        """The row of a cell, with what can be found of its payload."""
        return self._row(self._page(cell.page), cell.offset, whole=True)

    def _page(self, number: int) -> bytes:
        at = self._logged.get(number)
        if at is not None:
            return self._log.read(self._page_bytes, at)
        return self._file.read(self._page_bytes, (number - 1) * self._page_bytes)

    def _row(self, page: bytes, at: int, *, whole: bool) -> Row | None:
        try:
            size, at = _varint(page, at)
            seq, at = _varint(page, at)
            local = _local_bytes(size, self._page_bytes)
            body = page[at : at + local]
            if local < size <= _MOST_ROW_BYTES and at + local + _LONG.size <= len(page):
                (spill,) = _LONG.unpack_from(page, at + local)
                body += self._spilt(spill, (size if whole else self._page_bytes) - local)
            return _columns(seq, body)
        except (IndexError, struct.error):
            return None

    def _spilt(self, number: int, most_bytes: int) -> bytes:
        parts: list[bytes] = []
        while number and most_bytes > 0:
            page = self._page(number)
            if len(page) < self._page_bytes:
                break
            (number,) = _LONG.unpack_from(page)
            parts.append(page[4 : 4 + most_bytes])
            most_bytes -= len(page) - 4
        return b"".join(parts)


class LeafIndex:
    """Records of any file by their leaves. Where they stand is remembered for the file that was last asked for.

    Whoever closes a descriptor of a file takes away the locks that SQLite has on it in the same process (fcntl(2)).
    Another process that closes the file then believes itself to be the last, and deletes the log that is still written.
    So a file that is written is opened once, and closed when it is not written any more.
    """

    def __init__(self, is_written: Callable[[Path], bool]) -> None:
        """``is_written``: whether SQLite writes a file in this process."""
        self._cells: dict[Path, tuple[tuple[int, int], list[Cell]]] = {}
        self._is_written = is_written
        self._kept: dict[Path, Descriptor] = {}
        self._keeping = threading.Lock()

    def close(self) -> None:
        """Let go of all files; none is written any more."""
        self._kept.clear()

    def records(self, path: Path, after: int, upto: int, *, whole: bool) -> Iterator[Record]:
        """Records with ``after < seq <= upto`` in order, like ``SegmentReader.read``."""
        payloads = PayloadReader(payloads_of(path))
        with closing(payloads), closing(Leaves(path, self._descriptor(path))) as leaves:
            cells = self._of(path, leaves)
            for cell in cells[bisect_right(cells, after, key=_number) : bisect_right(cells, upto, key=_number)]:
                row = leaves.row(cell)
                record = None if row is None else whole_record(row, payloads) if whole else head_record(row)
                if record is not None:
                    yield record

    def last(self, path: Path, upto: int) -> Record | None:
        """The last record up to a number, without its payload."""
        with closing(Leaves(path, self._descriptor(path))) as leaves:
            cells = self._of(path, leaves)
            index = bisect_right(cells, upto, key=_number)
            row = leaves.row(cells[index - 1]) if index else None
        return None if row is None else head_record(row)

    def _descriptor(self, path: Path) -> Descriptor | None:
        """The one of a file that is written; ``None`` for any other."""
        with self._keeping:
            self._kept = {known: one for known, one in self._kept.items() if self._is_written(known)}
            if self._is_written(path) and path not in self._kept:
                self._kept[path] = Descriptor(path)
            return self._kept.get(path)

    def _of(self, path: Path, leaves: Leaves) -> list[Cell]:
        state, cells = self._cells.get(path, (None, []))
        if state != leaves.state:
            cells = leaves.cells()
            self._cells = {path: (leaves.state, cells)}
        return cells


def _number(cell: Cell) -> int:
    return cell.seq


def _left_of(page: bytes) -> tuple[int, int]:
    """Of an inner page: what lies left of its right edge, and the greatest number there. Raises ``struct.error``."""
    last = _INNER_HEAD_BYTES + 2 * (_SHORT.unpack_from(page, 3)[0] - 1)
    (at,) = _SHORT.unpack_from(page, last)
    return _LONG.unpack_from(page, at)[0], _varint(page, at + _LONG.size)[0]


def _pointers(page: bytes, page_bytes: int) -> Iterator[int]:
    """Offsets where cells of a leaf may stand, also where the page's own count is wrong."""
    if len(page) < page_bytes or page[0] != _LEAF:
        return
    end = max(_HEAD_BYTES + 2 * _SHORT.unpack_from(page, 3)[0], _SHORT.unpack_from(page, 5)[0])
    for at in range(_HEAD_BYTES, min(end, page_bytes) - 1, 2):
        offset = _SHORT.unpack_from(page, at)[0] % page_bytes  # as SQLite takes it
        if offset > at:
            yield offset


def _local_bytes(size: int, page_bytes: int) -> int:
    """How much of a row stays in its leaf; of one that spills over, the rest goes into further pages."""
    most, least = page_bytes - 35, (page_bytes - 12) * 32 // 255 - 23
    if size <= most:
        return size
    local = least + (size - least) % (page_bytes - 4)
    return local if local <= most else least


def _columns(seq: int, body: bytes) -> Row | None:
    """A row of our table: its number stands beside it, and three columns of bytes follow one that holds nothing."""
    end, at = _varint(body, 0)
    sizes: list[int] = []
    while at < end and len(sizes) < 4:
        kind, at = _varint(body, at)
        sizes.append(_SIZES[kind] if kind < len(_SIZES) else (kind - 12) // 2)
    if len(sizes) != 4:
        return None
    key_at = end + sizes[0]
    meta_at = key_at + sizes[1]
    payload_at = meta_at + sizes[2]
    return seq, body[key_at:meta_at], body[meta_at:payload_at], body[payload_at : payload_at + sizes[3]]


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    """A number of one to nine bytes, and where it ends. Raises ``IndexError``."""
    value = 0
    for _ in range(8):
        byte = raw[at]
        at += 1
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at
    return value << 8 | raw[at], at + 1
