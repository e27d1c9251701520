"""What happens to closed files, in a thread of its own so that no batch waits for it: compression, and the search for
what an earlier process left behind.

A closed file is compressed beside itself: ``X.jsonl`` -> ``X.jsonl.gz.tmp`` -> ``X.jsonl.gz``, synced at each step, and
only then removed. So after a crash the plain file, if it is there, is whole and the work simply starts again. Who
compresses holds a lock on the plain file: sinks with overlapping folders do not disturb each other.
"""

import gzip
import os
import shutil
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import structlog

from sinks.filelog import lock, naming, sync_folder
from sinks.filepath import PathTemplate

_COPY_BYTES = 1 << 20
_LEVEL = 6


class Tidier:
    """One background thread. Nothing in here raises to its caller: a failure is logged, the plain file stays, and the
    next search finds it. ``overdue`` collects files whose day is over, for the thread that may close them."""

    def __init__(self, name: str, template: PathTemplate, *, compress: bool) -> None:
        self.overdue: deque[Path] = deque()
        self._log = structlog.get_logger().bind(sink=name)
        self._template = template
        self._compress = compress
        self._stopped = threading.Event()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=f"sink-{name}-tidy")

    def settle(self, path: Path) -> None:
        """Compress the closed file ``path`` soon."""
        if self._compress:
            self._pool.submit(self._settle, path)

    def search(self, today: str) -> None:
        """Look soon through the folder: finish what was interrupted, note files of days before ``today``."""
        self._pool.submit(self._search, today)

    def stop(self) -> None:
        """Let the compression under way finish; what has not begun is found by the next process."""
        self._stopped.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _search(self, today: str) -> None:
        root = self._template.root
        for folder, _, names in os.walk(root):
            for name in names:
                if self._stopped.is_set():
                    return
                path = Path(folder, name)
                relative = path.relative_to(root).as_posix()
                date = self._template.date_of(relative)
                if date and date < today:
                    self.overdue.append(path)
                elif self._template.is_closed(relative):
                    self._settle(path)

    def _settle(self, path: Path) -> None:
        try:
            if path.name.endswith(".gz.tmp"):
                _drop_leftover(path)
            elif self._compress:
                compress(path)
        except OSError as error:
            self._log.warning("sink.file.compress_failed", path=str(path), error=str(error))


def compress(path: Path) -> None:
    """Replace ``path`` by ``path.gz``. Does nothing where it is gone or another thread is at it. Raises ``OSError``."""
    try:
        with open(path, "rb", opener=_open_plain) as plain, naming(path):
            if lock(plain.fileno()) and path.exists():
                _pack(plain, path)
    except FileNotFoundError:
        return


def _pack(plain: BinaryIO, path: Path) -> None:
    temporary = path.with_name(path.name + ".gz.tmp")
    try:
        with open(temporary, "wb", opener=_create) as packed:
            modified_s = os.fstat(plain.fileno()).st_mtime
            with gzip.GzipFile("", "wb", _LEVEL, packed, mtime=modified_s) as out:
                shutil.copyfileobj(plain, out, _COPY_BYTES)
            packed.flush()
            os.fsync(packed.fileno())
        temporary.rename(path.with_name(path.name + ".gz"))
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
    path.unlink()
    sync_folder(path.parent)


def _drop_leftover(temporary: Path) -> None:
    """Remove what an interrupted compression left; one that is under way holds the lock of the plain file."""
    try:
        with open(temporary.with_name(temporary.name.removesuffix(".gz.tmp")), "rb", opener=_open_plain) as plain:
            if lock(plain.fileno()):
                temporary.unlink(missing_ok=True)
    except FileNotFoundError:
        temporary.unlink(missing_ok=True)


def _open_plain(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW)


def _create(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o640)
