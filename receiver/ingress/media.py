"""Gathers the media frames of all sockets and hands them to the journal in rows, twice in a hundredth of a second.

One timer for all sockets. Where the journal is still busy with what it got before, they wait once more: what it cannot
take yet may as well become larger rows. The more sockets hold frames, the smaller the rows, so that all together have a
ceiling.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

#: a row is handed over when it has so many bytes; those of all sockets together are about so many at most
_ROW_BYTES, _LEAST_ROW_BYTES = 256 << 10, 16 << 10
_ALL_BYTES = 16 << 20


class HoldsFrames(Protocol):
    """A stream with frames that are not in the journal yet."""

    def hand_over(self) -> None:
        """Hand the frames to the journal as one record."""


class MediaGather:
    """``note`` a stream when it gets its first frame; it is sealed in ``gather_s``, or in twice that where the journal
    is ``busy`` then."""

    def __init__(self, gather_s: float, busy: Callable[[], bool]) -> None:
        self._gather_s = gather_s
        self._busy = busy
        #: a row of so many bytes is to be sealed at once
        self.row_bytes = _ROW_BYTES
        self._dirty: set[HoldsFrames] = set()
        self._timer: asyncio.TimerHandle | None = None

    def note(self, stream: HoldsFrames) -> None:
        """``stream`` holds frames."""
        self._dirty.add(stream)
        self.row_bytes = max(_LEAST_ROW_BYTES, min(_ROW_BYTES, _ALL_BYTES // len(self._dirty)))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._gather_s, self._due)

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
            stream.hand_over()

    def _due(self) -> None:
        if self._busy():
            self._timer = asyncio.get_running_loop().call_later(self._gather_s, self.flush)
        else:
            self.flush()
