"""Which files of a lane have had their time. The oldest go first, and only those that are not written to any more."""

import contextlib
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path

from receiver.journal.clock import steady_ns
from receiver.journal.opening import OpenedShelf
from receiver.journal.segment import file_bytes, log_of, remove


class TrimmedShelf(OpenedShelf):
    """A shelf with a ceiling: ``trim`` may run in any thread."""

    def __init__(self, name: str, folder: Path, *, chained: bool, max_bytes: int, max_age_s: float) -> None:
        super().__init__(name, folder, chained=chained)
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        #: when files that are not written to any more were written last, on the monotonic clock
        self._written_ns: dict[Path, int] = {}

    def trim(self, cursors: Mapping[str, int]) -> tuple[int, dict[str, int]]:
        """Delete the oldest closed files that are beyond size or age. How many, and what each cursor lost by it.

        Age is what the monotonic clock says: a wall clock that is set forward makes nothing old.
        """
        now_ns = time.monotonic_ns()
        paths = self._paths_from(0)
        sizes = [file_bytes(path) for path in paths]
        total, removed = sum(sizes), 0
        lost: dict[str, int] = dict.fromkeys(cursors, 0)
        for path, size, follower in zip(paths, sizes, paths[1:], strict=False):
            if total <= self._max_bytes and self._age_s(path, now_ns) <= self._max_age_s:
                break
            for name, cursor in cursors.items():
                with contextlib.suppress(sqlite3.Error):  # retention goes on whether it can be counted or not
                    lost[name] += self.positions_behind(cursor, int(follower.stem) - 1)
            with self._lock:
                self._paths.remove(path)
            remove(path)
            self._written_ns.pop(path, None)
            total -= size
            removed += 1
        return removed, lost

    def _note_written(self) -> None:
        """What is there now was written before, when the file system says."""
        self._written_ns = {path: steady_ns(_written_ns(path)) for path in self._paths}

    def _age_s(self, path: Path, now_ns: int) -> float:
        return (now_ns - self._written_ns.get(path, now_ns)) / 1e9


def _written_ns(path: Path) -> int:
    """When a file or its WAL was last written, in nanoseconds since the epoch."""
    times = []
    for part in (path, log_of(path)):
        with contextlib.suppress(FileNotFoundError):
            times.append(part.stat().st_mtime_ns)
    return max(times, default=0)
