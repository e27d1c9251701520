"""Shares the event loop between sinks that catch up and everything that is live. Decoding what came from disk takes the
loop, so it is done in slices, by one sink at a time, and rests between them while deliveries come in."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

#: a delivery that comes in during a slice waits this long
_SLICE_S = 0.001


class Pace:
    """One for all sinks of a server. ``head``: the number of the last thing that came in."""

    def __init__(self, head: Callable[[], int]) -> None:
        self._head = head
        self._seen = head()
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def slice(self) -> AsyncIterator[float]:
        """A turn on the loop, until the time that it gives (``time.perf_counter``). Sinks take turns in order.

        While things come in, all of them together get half of the loop at most; otherwise what nobody else needs.
        """
        async with self._turn:
            begin_s = time.perf_counter()
            yield begin_s + _SLICE_S
            before, self._seen = self._seen, self._head()
            await asyncio.sleep(time.perf_counter() - begin_s if self._seen != before else 0)
