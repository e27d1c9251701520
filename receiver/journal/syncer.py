"""Syncs what a lane's writer has committed, in a thread of its own: a slow disk holds up nobody who writes."""

import threading
from collections.abc import Callable
from typing import Protocol


class Syncs(Protocol):
    """A file with commits that are not synced."""

    def sync(self) -> None:
        """Return when they are on disk; at once where it is closed. Raises ``OSError``."""


class Syncer:
    """What was told to ``wrote`` is synced ``every_s`` after that. ``require`` raises what a sync has met."""

    def __init__(self, name: str, every_s: float, failed: Callable[[], None]) -> None:
        """``failed`` is called in the thread that syncs, once ``require`` would raise."""
        self._every_s = every_s
        self._failed = failed
        self._problem: OSError | None = None
        self._turn = threading.Condition()  # guards the two below, never held over a sync
        self._unsynced: dict[Syncs, None] = {}
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=f"journal-{name}-sync", daemon=True)
        self._thread.start()

    def wrote(self, file: Syncs) -> None:
        """``file`` has a commit that is not synced."""
        with self._turn:
            if not self._unsynced:
                self._turn.notify()
            self._unsynced[file] = None

    def require(self) -> None:
        """Raise what a sync has met since this was last asked, an ``OSError``."""
        problem, self._problem = self._problem, None
        if problem is not None:
            raise problem

    def close(self) -> None:
        """Sync what is left, end the thread."""
        with self._turn:
            self._closed = True
            self._turn.notify()
        self._thread.join()

    def _run(self) -> None:
        last = False
        while not last:
            with self._turn:
                self._turn.wait_for(lambda: self._unsynced or self._closed)
                self._turn.wait_for(lambda: self._closed, self._every_s)
                files, self._unsynced = list(self._unsynced), {}
                last = self._closed
            for file in files:
                try:
                    file.sync()
                except OSError as problem:
                    self._problem = problem
                    self._failed()
