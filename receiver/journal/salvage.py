"""Mending a segment whose write-ahead log or first page is damaged.

SQLite reads a log up to the first frame whose checksum does not fit and forgets everything behind it: one flipped bit
would cost every delivery that came later into the same file. Here the pages behind it are put into place as well; the
rows' own checksums tell which of them hold what was written. The first page is the same in every segment but for the
number of pages, so it can be made anew. The damaged files stay beside the mended one.
"""

import os
import sqlite3
import struct
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from receiver.journal.ahead import LOG_HEAD_BYTES
from receiver.journal.blank import blank
from receiver.journal.segment import PAGE_SIZES, is_damage, log_of

#: of a file, so that its largest first page and what follows on it are in there
BEGIN_BYTES = PAGE_SIZES[-1] + 1
_MAGIC = b"SQLite format 3\x00"
_FRAME = struct.Struct(">IIII8x")  # page, size of the database in pages at a commit (else 0), two salts, checksum
#: where it stands in the header of a database and in that of a log
_PAGE_BYTES_IN_FILE, _PAGE_BYTES_IN_LOG = struct.Struct(">16xH"), struct.Struct(">8xI")
#: what the root of a table begins with; ours is the second page
_TREE = (5, 13)
#: in the wal-index header, which both of its copies begin with: frames that recovery found valid, native byte order
_MX_FRAME_OFFSET = 16
#: in the header of a database
_PAGE_COUNT_OFFSET = 28


class _Frame(NamedTuple):
    page: int
    pages_after_commit: int
    offset: int


def mend(path: Path, aside: Path) -> bool:
    """Fold a damaged log into its segment as far as it goes; whether that was necessary.

    What was there is kept as ``aside`` (and ``aside`` with ``-wal``). Raises ``OSError``, and ``sqlite3.Error`` for
    what is no damage.
    Nobody else may have the file open. A crash in the middle is made good by doing it again.
    """
    wal = log_of(path)
    raw, lost = _lost_frames(path, wal)
    if not lost:
        return False
    os.link(wal, log_of(aside))
    _replace(path, aside, _folded(path.read_bytes(), raw, lost, page_bytes_of(path)))
    wal.unlink()
    path.with_name(path.name + "-shm").unlink(missing_ok=True)
    return True


def needs_mending(path: Path) -> bool:
    """Whether :func:`mend` would have something to do. Raises what it raises."""
    return bool(_lost_frames(path, log_of(path))[1])


def restore_first_page(path: Path, aside: Path) -> bool:
    """Give a segment that does not open a new first page; whether it has others, so that this makes sense.

    What was there is kept as ``aside``. Raises ``OSError``. Nobody else may have the file open.
    """
    raw = path.read_bytes()
    wal = log_of(path)
    size = page_bytes_of(path)
    if len(raw) < 2 * size or (wal.exists() and wal.stat().st_size):
        return False
    first = bytearray(blank(size)[:size])
    struct.pack_into(">I", first, _PAGE_COUNT_OFFSET, len(raw) // size)
    _replace(path, aside, bytes(first) + raw[size:])
    return True


def page_bytes_of(path: Path) -> int:
    """How large the pages of a segment and its log are, see ``told_page_bytes``. Raises ``OSError``."""
    return told_page_bytes(_begin(path), _begin(log_of(path)))


def told_page_bytes(file: bytes, log: bytes) -> int:
    """How large pages are by the first ``BEGIN_BYTES`` of a segment and of its log, also where one of their headers is
    damaged. What is shorter than a header, or not there, tells nothing."""
    forms = (_PAGE_BYTES_IN_FILE, file), (_PAGE_BYTES_IN_LOG, log)
    told = [form.unpack_from(part)[0] for form, part in forms if len(part) >= LOG_HEAD_BYTES]
    rooted = [size for size in PAGE_SIZES if file[size : size + 1] and file[size] in _TREE]
    return next((size for size in (*told, *rooted) if size in PAGE_SIZES), PAGE_SIZES[0])


def _begin(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(BEGIN_BYTES)
    except FileNotFoundError:
        return b""


def _replace(path: Path, aside: Path, content: bytes) -> None:
    draft = path.with_name(path.name + ".mending")
    with open(draft, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.link(path, aside)
    draft.replace(path)


def _lost_frames(path: Path, wal: Path) -> tuple[bytes, list[_Frame]]:
    """The log and all its frames up to the last commit; no frames where SQLite sees as far as that by itself."""
    if not wal.exists() or wal.stat().st_size <= LOG_HEAD_BYTES:
        return b"", []
    raw = wal.read_bytes()
    numbered = _frames(raw, page_bytes_of(path))
    last = max((index for index, frame in numbered if frame.pages_after_commit), default=0)
    if last == 0 or last <= _valid_frames(path):
        return raw, []
    return raw, [frame for index, frame in numbered if index <= last]


def frames_of(log: bytes, page_bytes: int) -> dict[int, int]:
    """Where in a log the newest content of each page stands, up to the last commit, whatever the checksums say."""
    numbered = _frames(log, page_bytes)
    last = max((index for index, frame in numbered if frame.pages_after_commit), default=0)
    return {frame.page: frame.offset for index, frame in numbered if index <= last}


def _frames(raw: bytes, page_bytes: int) -> list[tuple[int, _Frame]]:
    """``(number from 1, frame)`` of every whole frame of the log's present generation, whatever its checksum."""
    found: list[tuple[int, tuple[int, int], _Frame]] = []
    step = _FRAME.size + page_bytes
    for index, offset in enumerate(range(LOG_HEAD_BYTES, len(raw) - step + 1, step), 1):
        page, pages, *salts = _FRAME.unpack_from(raw, offset)
        if page == 0:  # laid out and not written yet, or spoilt
            continue
        found.append((index, (salts[0], salts[1]), _Frame(page, pages, offset + _FRAME.size)))
    if not found:
        return []
    generation, _ = Counter(salts for _, salts, _ in found).most_common(1)[0]
    most = found[-1][0] + 1
    return [
        (index, frame)
        for index, salts, frame in found
        if salts == generation and frame.pages_after_commit < most + (1 << 20)
    ]


def _valid_frames(path: Path) -> int:
    """Up to which frame SQLite takes the log; 0 where it does not take the file at all."""
    with open(path, "rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            return 0  # opening a file of no bytes would delete its log
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10)
    try:
        db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        index = path.with_name(path.name + "-shm").read_bytes()
    except (FileNotFoundError, UnicodeDecodeError):
        return 0
    except sqlite3.Error as problem:
        if not is_damage(problem):
            raise
        return 0
    finally:
        db.close()
    return int.from_bytes(index[_MX_FRAME_OFFSET : _MX_FRAME_OFFSET + 4], sys.byteorder)


def _folded(database: bytes, log: bytes, frames: list[_Frame], page_bytes: int) -> bytes:
    """The database with the pages of the log in place."""
    most = len(database) // page_bytes + len(frames) + 1
    folded = bytearray(database)
    for frame in frames:
        if frame.page > most:  # a flipped bit in the number itself
            continue
        start = (frame.page - 1) * page_bytes
        folded.extend(bytes(max(0, start + page_bytes - len(folded))))
        folded[start : start + page_bytes] = log[frame.offset : frame.offset + page_bytes]
    return bytes(folded)
