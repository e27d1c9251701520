"""Work on what comes from disk, cut into slices of the event loop, so that what is live goes on between them.

A thread would not do: the loop and the journal's writer let go of the interpreter many times for each delivery, and
would have to wait for it each time. So the work is done by the loop itself, one reader at a time; while deliveries come
in it rests after each slice, and the interpreter is free.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")
#: a delivery that comes in during a slice waits this long, if one piece of work does not take longer by itself
_SLICE_S = 0.0005
_REST_S = 0.001
#: how long after the last thing that came in the next one is expected
_LIVE_S = 0.2


class Pace:
    """One for all who read the journal of a server. ``head``: the number of the last thing that came in."""

    def __init__(self, head: Callable[[], int]) -> None:
        self._head = head
        self._seen = head()
        self._live_until_s = 0.0
        self._turn = asyncio.Lock()

    async def each(self, items: Sequence[T], work: Callable[[T], R]) -> list[R]:
        """``work`` of each item, in order. Readers take turns: one's items are done before the next one's."""
        found: list[R] = []
        if not items:
            return found
        async with self._turn:
            begin_s = time.perf_counter()
            for item in items:
                found.append(work(item))
                if time.perf_counter() - begin_s >= _SLICE_S:
                    await asyncio.sleep(_REST_S if self.is_live() else 0)
                    begin_s = time.perf_counter()
        return found

    def is_live(self) -> bool:
        """Whether things come in at this time."""
        now_s, head = time.perf_counter(), self._head()
        if head != self._seen:
            self._seen, self._live_until_s = head, now_s + _LIVE_S
        return now_s < self._live_until_s
