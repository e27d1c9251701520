"""Gathers the media frames of all sockets and hands them to the journal in rows, a few times a hundredth of a second.

One timer for all sockets; when the media lane is behind, rows simply grow until it is not.
"""

import asyncio
from typing import Protocol


class HoldsFrames(Protocol):
    """A stream with frames that are not in the journal yet."""

    def seal(self) -> None:
        """Hand the frames to the journal as one record."""


class MediaGather:
    """``note`` a stream when it gets its first frame; it is sealed within ``gather_s``."""

    def __init__(self, gather_s: float) -> None:
        self._gather_s = gather_s
        self._dirty: set[HoldsFrames] = set()
        self._timer: asyncio.TimerHandle | None = None

    def note(self, stream: HoldsFrames) -> None:
        """``stream`` holds frames."""
        self._dirty.add(stream)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._gather_s, self.flush)

    def forget(self, stream: HoldsFrames) -> None:
        """``stream`` was sealed by itself."""
        self._dirty.discard(stream)

    def flush(self) -> None:
        """Seal every stream that holds frames."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        dirty, self._dirty = self._dirty, set()
        for stream in dirty:
            stream.seal()
