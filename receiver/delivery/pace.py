"""Shares the machine between sinks that catch up and everything that is live. Decoding what came from disk takes the
event loop, so it is done in slices, by one sink at a time; what a sink then does in its threads takes the interpreter,
so it rests after each piece. Both only while deliveries come in."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

#: a delivery that comes in during a slice waits this long
_SLICE_S = 0.001
#: how long after the last thing that came in the next one is expected
_LIVE_S = 0.2
#: a sink that waits for its far side needs no longer rest
_MOST_REST_S = 0.05


class Pace:
    """One for all sinks of a server. ``head``: the number of the last thing that came in."""

    def __init__(self, head: Callable[[], int]) -> None:
        self._head = head
        self._seen = head()
        self._live_until_s = 0.0
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def slice(self) -> AsyncIterator[float]:
        """A turn on the loop, until the time that it gives (``time.perf_counter``). Sinks take turns in order.

        While things come in, all of them together get half of the loop at most; otherwise what nobody else needs.
        """
        async with self._turn:
            begin_s = time.perf_counter()
            yield begin_s + _SLICE_S
            await asyncio.sleep(time.perf_counter() - begin_s if self._is_live() else 0)

    async def rest(self, spent_s: float) -> None:
        """A sink has written a piece that came from disk, which took ``spent_s``."""
        if self._is_live():
            await asyncio.sleep(min(spent_s, _MOST_REST_S))

    def _is_live(self) -> bool:
        now_s, head = time.perf_counter(), self._head()
        if head != self._seen:
            self._seen, self._live_until_s = head, now_s + _LIVE_S
        return now_s < self._live_until_s
