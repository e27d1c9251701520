"""Decodes what comes from disk, in one thread for all sinks that catch up, so that what is live goes on beside it.

The interpreter runs one thread at a time, and the event loop has to wait for it whenever it comes back from the system.
So there is one such thread, and while deliveries come in it works in short slices and lies still as long after each.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")
#: a delivery that comes in during a slice waits this long at most
_SLICE_S = 0.001
#: how long after the last thing that came in the next one is expected
_LIVE_S = 0.2


class Pace:
    """One for all sinks of a server. ``head``: the number of the last thing that came in."""

    def __init__(self, head: Callable[[], int]) -> None:
        self._head = head
        self._seen = head()
        self._live_until_s = 0.0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="catch-up")

    async def each(self, items: Sequence[T], work: Callable[[T], R]) -> list[R]:
        """``work`` of each item, in order. Readers take turns: one's items are done before the next one's."""
        if not items:
            return []
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._work, items, work)

    def close(self) -> None:
        """Let the thread end after what it is at."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _work(self, items: Sequence[T], work: Callable[[T], R]) -> list[R]:
        found: list[R] = []
        begin_s = time.thread_time()  # of this thread alone: what it waits for the interpreter does not count
        for item in items:
            found.append(work(item))
            spent_s = time.thread_time() - begin_s
            if spent_s >= _SLICE_S:
                time.sleep(spent_s if self.is_live() else 0)
                begin_s = time.thread_time()
        return found

    def is_live(self) -> bool:
        """Whether things come in at this time."""
        now_s, head = time.perf_counter(), self._head()
        if head != self._seen:
            self._seen, self._live_until_s = head, now_s + _LIVE_S
        return now_s < self._live_until_s
