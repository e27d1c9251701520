"""One file of JSON lines that knows its own position: append, recover after a crash, close under a final name.

Blocking file work for the sink's own thread; no asyncio, no threads, no templates here. The position is what the file
itself says: the ``sequence`` of its last complete line, or, where it has none yet, the number in the name of the newest
closed file beside it (``2026-11-21~00000000000000000123.jsonl.gz``). The last line is trusted to be whole when it ends
in a line break: true after the end of a process, and after a power cut where the file system orders size after data.
"""

import errno
import fcntl
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from os import fsync, write
from pathlib import Path
from typing import Annotated

import msgspec

from receiver.events import format_sequence, parse_time

_BLOCK_BYTES = 1 << 16
#: ``flock`` is not offered here: some network file systems
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
#: how each of our lines begins; a rest that begins otherwise is not ours and stays untouched
_HEAD = b'{"specversion":"1.0"'
_CLOSED = re.compile(r"(?P<stem>.+)~(?P<last>\d{20})(-\d+)?(?P<suffix>\.[A-Za-z0-9]+)(\.gz)?\Z")


class _Line(msgspec.Struct):
    sequence: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,20}$")]
    receivedtime: str


#: made once, here: msgspec completes what it knows of a type when that is first used, and a second thread that uses it
#: meanwhile ends the process (seen with 0.22)
_decode = msgspec.json.Decoder(_Line).decode


class LineFile:
    """The open file at ``path``, locked against a second writer.

    ``last`` is the highest sequence number that it, or a closed file before it, holds (-1: none); ``size`` its good
    bytes. Whatever fails, these stay true and the next append cuts the file back to ``size`` first. With ``sync``, all
    that is in it is safe when the constructor and ``append`` return. Raises ``OSError`` with the path.
    """

    def __init__(self, path: Path, root: Path, *, sync: bool) -> None:
        self.path = path
        self._sync = sync
        self._damaged = False
        self._started_ns: int | None = None
        #: the owner's note of when it was needed last, on the owner's clock
        self.used_s = 0.0
        make_folder(path.parent, root, sync=sync)
        self._fd = _open(path)
        try:
            with naming(path):
                self.size, last = _recover(self._fd)
                self.last = newest_closed(path) if last is None else last
                if sync:  # lines of a process that ended before its fsync count from now on
                    fsync(self._fd)
                    sync_folder(path.parent)
        except BaseException:
            os.close(self._fd)
            raise

    @property
    def closed(self) -> bool:
        """Whether ``finish`` or ``close`` have let go of it."""
        return self._fd < 0

    def started_ns(self) -> int | None:
        """When its first line was received, in nanoseconds since the epoch; None while it is empty."""
        if self._started_ns is None and self.size:
            with naming(self.path):
                self._started_ns = parse_time(_parse(_first_line(self._fd, self.size)).receivedtime)
        return self._started_ns

    def append(self, lines: bytes, last: int) -> None:
        """Write whole ``lines``, of which ``last`` is the highest sequence number."""
        with naming(self.path):
            self._repair()
            self._damaged = True
            rest = memoryview(lines)
            while rest:
                rest = rest[write(self._fd, rest) :]
            if self._sync:
                fsync(self._fd)
        self._damaged = False
        self.size += len(lines)
        self.last = last

    def finish(self) -> Path | None:
        """Close the file under a name of its own, which no other file had; an empty one is removed (None)."""
        with naming(self.path):
            self._repair()
            final = _free_name(self.path, self.last) if self.size else None
            if final:
                self.path.rename(final)
            else:
                self.path.unlink()
        self.close()
        if self._sync:
            sync_folder(self.path.parent)
        return final

    def close(self) -> None:
        """Let go; what a failed append left is cut off here, or by the recovery of the next opening."""
        fd, self._fd = self._fd, -1
        if fd < 0:
            return
        try:
            if self._damaged:
                os.ftruncate(fd, self.size)
        finally:
            os.close(fd)

    def _repair(self) -> None:
        if self._damaged:
            os.ftruncate(self._fd, self.size)
            self._damaged = False


def newest_closed(path: Path) -> int:
    """The highest sequence number in the names of the closed files of ``path``; -1 where there is none."""
    newest = -1
    with os.scandir(path.parent) as entries:
        for entry in entries:
            if not entry.name.startswith(path.stem + "~"):
                continue
            found = _CLOSED.match(entry.name)
            if found and found["stem"] == path.stem and found["suffix"] == path.suffix:
                newest = max(newest, int(found["last"]))
    return newest


def make_folder(path: Path, root: Path, *, sync: bool) -> None:
    """Create ``path`` and what is missing above it; each new name is synced into its folder.

    Raises ``PermissionError`` where a symbolic link leads out of ``root``.
    """
    if path != root and not path.resolve().is_relative_to(root.resolve()):
        raise PermissionError(errno.EACCES, "a symbolic link leads out of the folder", str(path))
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for folder in reversed(missing):
        folder.mkdir(mode=0o750, exist_ok=True)
        if sync:
            sync_folder(folder.parent)


def lock(fd: int) -> bool:
    """Whether this descriptor has the file for itself now, until it is closed."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return True


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Give an ``OSError`` of the body the path that it was about."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def _open(path: Path) -> int:
    fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o640)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        if not lock(fd):
            raise OSError(errno.EBUSY, "another sink or process writes this file", str(path))
    except BaseException:
        os.close(fd)
        raise
    return fd


def _recover(fd: int) -> tuple[int, int | None]:
    """Cut a torn last line off. Returns the good size in bytes and the last line's sequence (None: no line)."""
    size = os.fstat(fd).st_size
    end = _line_start(fd, size)
    last = None
    if end:
        start = _line_start(fd, end - 1)
        last = int(_parse(os.pread(fd, end - start, start)).sequence)
    if end < size:
        torn = os.pread(fd, len(_HEAD), end)
        if not (_HEAD.startswith(torn) or torn.startswith(b"\0")):
            raise OSError(errno.EBADMSG, "ends in something that is no event; move the file away")
        os.ftruncate(fd, end)
    return end, last


def _parse(line: bytes) -> _Line:
    try:
        return _decode(line)
    except ValueError:  # msgspec's errors are ValueErrors
        raise OSError(errno.EBADMSG, "its first or last line is no event; move the file away") from None


def _line_start(fd: int, end: int) -> int:
    """The offset behind the last line break before ``end``; 0 where there is none."""
    while end:
        start = max(0, end - _BLOCK_BYTES)
        found = os.pread(fd, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _first_line(fd: int, end: int) -> bytes:
    upto = 0
    while True:
        upto = min(end, upto + _BLOCK_BYTES)
        line, line_break, _ = os.pread(fd, upto, 0).partition(b"\n")
        if line_break or upto == end:
            return line


def _free_name(path: Path, last: int) -> Path:
    base = f"{path.stem}~{format_sequence(last)}"
    name, count = f"{base}{path.suffix}", 1
    while any((path.parent / taken).exists() for taken in (name, f"{name}.gz")):
        count += 1
        name = f"{base}-{count}{path.suffix}"
    return path.with_name(name)
