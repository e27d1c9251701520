"""The large payloads of a segment, one behind the other in a file beside it; a row says where its own lies.

SQLite would copy each into pages, write those to its log with what else they hold, and once more into the file when the
log is folded. Sound is most of what a journal takes, and here it is written once. A payload is in its place before its
row is committed, and synced before that is. Where a power failure had the row on disk sooner, before either was synced,
the row's checksum tells: such a record is damaged, and is said to be.
"""

import os
from pathlib import Path

import msgspec

SUFFIX = ".payloads"
#: smaller ones lie in their rows
LEAST_BYTES = 1 << 10


def payloads_of(path: Path) -> Path:
    """Where the payloads of a segment are, if it has such a file."""
    return path.with_suffix(SUFFIX)


class PayloadWriter:
    """Open for writing; errors are ``OSError``. One thread at a time, but for ``sync``."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        #: where the next one goes
        self.end = os.fstat(self._file).st_size

    def append(self, payload: bytes) -> int:
        """Write one; where it begins."""
        begin, rest = self.end, memoryview(payload)
        while rest:
            written = os.pwrite(self._file, rest, self.end)
            self.end += written
            rest = rest[written:]
        return begin

    def back_to(self, end: int) -> None:
        """What was written behind ``end`` is nobody's: its rows were not committed."""
        self.end = end

    def sync(self) -> None:
        """Return when all so far is on disk."""
        os.fdatasync(self._file)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)


class PayloadReader:
    """Open for reading, also before there is such a file, and after it was deleted. ``close`` it, or let go of it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        self._open()

    @property
    def is_there(self) -> bool:
        """Whether any payload may be in it."""
        return self._file is not None

    def read(self, begin: int, size: int) -> bytes:
        """A payload. Raises ``msgspec.DecodeError`` where it is not there, or not all of it."""
        if self._file is None:  # it may have come behind this
            self._open()
        there = os.fstat(self._file).st_size if self._file is not None else 0
        if self._file is None or begin < 0 or size < 0 or begin + size > there:
            raise msgspec.DecodeError(f"the file of its payload, {there} bytes, ends before it")
        try:
            return os.pread(self._file, size, begin)
        except OSError as problem:
            raise msgspec.DecodeError(f"its payload cannot be read: {problem}") from problem

    def close(self) -> None:
        """Let go of the file."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def __del__(self) -> None:
        self.close()

    def _open(self) -> None:
        try:
            self._file = os.open(self._path, os.O_RDONLY)
        except FileNotFoundError:
            self._file = None
