"""Memory for what waits for a lane's writer: a ceiling, and a queue of those who want to come in below it."""

import asyncio
import contextlib
from collections import deque

#: the memory that somebody who waited for room is taken to fill, before anything is known of it; how fast larger rows
#: are forgotten; and how long who was let in has to bring something
_SHARE_BYTES, _KEEP = 256 << 10, 0.98
_AGAIN_S = 0.02


class Room:
    """``wait`` before something is submitted, ``put`` it in. ``bytes`` is what is in there now; the owner takes away
    from it and calls ``admit`` then. On the event loop."""

    def __init__(self, most_bytes: int) -> None:
        self.bytes = 0
        self._most_bytes = most_bytes
        #: about the largest of the last rows: what the next one may be
        self._share_bytes = float(_SHARE_BYTES)
        #: how many were let in and have brought nothing yet
        self._awaited = 0
        #: in order of arrival
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._again: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    @property
    def free(self) -> bool:
        """Whether nobody has to wait."""
        return self.bytes <= self._most_bytes and not self._waiting

    def put(self, size_bytes: int) -> None:
        """Something comes in."""
        self.bytes += size_bytes
        self._share_bytes = max(size_bytes, self._share_bytes * _KEEP)
        if self._awaited:
            self._awaited -= 1

    async def wait(self) -> None:
        """Return when less than ``most_bytes`` are in there, in order of asking."""
        if not self.free:
            waiter: asyncio.Future[None] = self._loop.create_future()
            self._waiting.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                with contextlib.suppress(ValueError):  # the oldest mostly: at the front
                    self._waiting.remove(waiter)
                raise

    def admit(self) -> None:
        """There may be more room now. Wake as many as there is room for: all at once would be beyond it by as many
        rows as they are. Those that turn out to have nothing to write hold nobody up for longer than a moment."""
        if not self._waiting:
            return
        left = self._most_bytes - self.bytes - self._awaited * self._share_bytes
        room = int(left / self._share_bytes) if left >= 0 else 0
        if left >= 0 and not self._awaited:
            room = max(1, room)
        while self._waiting and room > 0:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                self._awaited += 1
                room -= 1
        if self._waiting and self._again is None:
            self._again = self._loop.call_later(_AGAIN_S, self._look_again)

    def _look_again(self) -> None:
        self._again = None
        self._awaited = 0
        self.admit()
