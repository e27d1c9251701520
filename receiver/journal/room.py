"""Memory for what waits for a lane's writer: a ceiling, and a queue of those who want to come in below it."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from functools import partial

#: the memory that somebody who waited for room is taken to fill where he does not say it, before anything is known; how
#: fast larger rows are forgotten
_SHARE_BYTES, _KEEP = 256 << 10, 0.98


class Room:
    """``wait`` before something is submitted, or ``ask`` to be called then; ``put`` it in. ``bytes`` is what is in
    there now; the owner takes away from it and calls ``admit`` then. On the event loop."""

    def __init__(self, most_bytes: int, turn_bytes: int) -> None:
        """``turn_bytes``: that much comes in during one turn of the loop."""
        self.bytes = 0
        self._most_bytes = most_bytes
        self._most_turn_bytes = turn_bytes
        #: about the largest of the last rows: what the next one may be
        self._share_bytes = float(_SHARE_BYTES)
        #: what those who were let in may bring, until they have had their turn
        self._promised_bytes = 0.0
        #: in order of arrival: how to let each of them in, and how to know what he will bring
        self._waiting: deque[tuple[Callable[[], bool], Callable[[], int] | None]] = deque()
        #: what came in during this turn of the loop, and a little from before; whether it is looked at again behind it
        self._turn_bytes = 0
        self._looks_again = False
        self._loop = asyncio.get_running_loop()

    @property
    def free(self) -> bool:
        """Whether there is any that is not promised to somebody."""
        promised = self._promised_bytes
        return self.bytes + promised <= self._most_bytes and self._turn_bytes + promised <= self._most_turn_bytes

    def put(self, size_bytes: int) -> None:
        """Something comes in."""
        self.bytes += size_bytes
        self._turn_bytes += size_bytes
        # not for each that brings little: it keeps the loop from its rest
        if self._turn_bytes > self._most_turn_bytes // 2:
            self._look_again_soon()
        self._share_bytes = max(size_bytes, self._share_bytes * _KEEP)

    async def wait(self, wanted_bytes: Callable[[], int] | None = None) -> None:
        """Return when less than ``most_bytes`` are in there, in order of asking. ``wanted_bytes``: what would come now,
        where that is known; it has to come in the turn of the loop in which this returns."""
        if self._waiting or not self.free:
            waiter: asyncio.Future[None] = self._loop.create_future()
            let_in = partial(_wake, waiter)
            self.ask(let_in, wanted_bytes)
            try:
                await waiter
            except asyncio.CancelledError:
                with contextlib.suppress(ValueError):  # the oldest mostly: at the front
                    self._waiting.remove((let_in, wanted_bytes))
                raise

    def ask(self, let_in: Callable[[], bool], wanted_bytes: Callable[[], int] | None = None) -> None:
        """Have ``let_in`` called where ``wait`` would return, later than this does; it gives false where whoever asked
        is gone."""
        self._waiting.append((let_in, wanted_bytes))
        if self.free:
            self._look_again_soon()

    def admit(self) -> None:
        """There may be more room now. Wake as many as fill it: all at once would be beyond it by as much as they bring.
        What they have not brought when they have had their turn is for those behind them."""
        while self._waiting and self.free:
            let_in, wanted_bytes = self._waiting.popleft()
            brought_bytes = self._share_bytes if wanted_bytes is None else wanted_bytes()
            if let_in():
                self._promised_bytes += brought_bytes
        if self._promised_bytes:
            self._look_again_soon()

    def _look_again_soon(self) -> None:
        """When those who have just been let in have had their turn."""
        if not self._looks_again:
            self._looks_again = True
            self._loop.call_soon(self._loop.call_soon, self._look_again)

    def _look_again(self) -> None:
        self._looks_again = False
        self._promised_bytes = 0.0
        self._turn_bytes = 0
        self.admit()


def _wake(waiter: "asyncio.Future[None]") -> bool:
    """Let in somebody who awaits; false where he was cancelled."""
    if waiter.done():
        return False
    waiter.set_result(None)
    return True
