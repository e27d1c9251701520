"""What clients together may cost: bytes of bodies held in memory, and tries at guessing a credential.

Counters only: nothing here reads a request. Both are for one event loop and have a ceiling of their own.
"""

import asyncio
import ipaddress
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from receiver.errors import Overloaded

#: a request that waits for room has at most about so much in the buffers of its connection
_WAITING_BYTES = 512 << 10
#: a body up to this size is never kept waiting by larger ones alone
_SMALL_BYTES = 64 << 10
_TURNS = 2
_MOST_ADDRESSES = 10_000


class Hold:
    """The share of one request. ``bytes`` is counted until the request ends; ``short`` while it waits in vain."""

    def __init__(self, budget: "Budget") -> None:
        self.bytes = 0
        self.short = False
        #: for work that takes long and waits for nobody: so many at a time
        self.turn = budget.turns
        self._budget = budget

    async def grow(self, to_bytes: int) -> None:
        """Hold ``to_bytes`` in all, waiting for room if need be. Raises ``Overloaded`` when there was none in time."""
        if to_bytes > self.bytes:
            await self._budget.take(self, to_bytes - self.bytes)

    def grow_at_once(self, to_bytes: int) -> None:
        """The same for those that would only wait for each other. Raises ``Overloaded`` when there is no room."""
        if not self._budget.take_at_once(self, max(0, to_bytes - self.bytes)):
            raise Overloaded("the bodies of other requests fill the memory for them, come back later")


class Budget:
    """At most ``most_bytes`` are held at any moment; a quarter of them is for bodies of up to 64 KiB.

    Bytes are counted as they arrive and not as they are announced: to keep others out, one has to send as much.
    """

    def __init__(self, most_bytes: int, wait_s: float) -> None:
        self.held_bytes = 0
        self.turns = asyncio.Semaphore(_TURNS)
        self._most_bytes = most_bytes
        self._wait_s = wait_s
        self._most_waiting = max(64, most_bytes // _WAITING_BYTES)
        self._waiting: dict[asyncio.Future[None], tuple[Hold, int]] = {}

    @contextmanager
    def hold(self) -> Iterator[Hold]:
        """A share that begins empty and is given back at the end."""
        hold = Hold(self)
        try:
            yield hold
        finally:
            size, hold.bytes = hold.bytes, 0
            self.returned(size)

    def lend(self, size: int) -> bool:
        """A share for a body that is there as a whole, if there is room; ``returned`` is its end."""
        fits = self._fits(size, size)
        if fits:
            self.held_bytes += size
        return fits

    def returned(self, size: int) -> None:
        """So many bytes are held no more; those who wait for room are looked at."""
        self.held_bytes -= size
        if self._waiting:
            for waiter, (other, more_bytes) in list(self._waiting.items()):
                if not waiter.done() and self._fits(other.bytes + more_bytes, more_bytes):
                    self._give(other, more_bytes)
                    waiter.set_result(None)

    async def take(self, hold: Hold, more_bytes: int) -> None:
        """Add to a share, now or within ``wait_s``."""
        if self.take_at_once(hold, more_bytes):
            return
        hold.short = True
        if len(self._waiting) >= self._most_waiting:
            raise Overloaded("too many requests wait for memory, come back later")
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[waiter] = hold, more_bytes
        try:
            async with asyncio.timeout(self._wait_s):
                await waiter
        except TimeoutError:
            raise Overloaded("the bodies of other requests fill the memory for them, come back later") from None
        finally:
            del self._waiting[waiter]
        hold.short = False

    def take_at_once(self, hold: Hold, more_bytes: int) -> bool:
        """Add to a share, if there is room."""
        fits = self._fits(hold.bytes + more_bytes, more_bytes)
        if fits:
            self._give(hold, more_bytes)
        return fits

    def _fits(self, share_bytes: int, more_bytes: int) -> bool:
        """Whether there is room for what a share of ``share_bytes`` grows by."""
        most_bytes = self._most_bytes if share_bytes <= _SMALL_BYTES else self._most_bytes * 3 // 4
        return self.held_bytes + more_bytes <= most_bytes

    def _give(self, hold: Hold, more_bytes: int) -> None:
        hold.bytes += more_bytes
        self.held_bytes += more_bytes


class Attempts:
    """Failed credentials by address (IPv6: by /64), as buckets that refill evenly. The longest unseen are forgotten."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        """``per_minute`` 0: nobody is ever told to wait."""
        self._per_minute = per_minute
        self._clock = clock
        self._left: dict[str, tuple[float, float]] = {}

    def __len__(self) -> int:
        return len(self._left)

    def failed(self, address: str | None) -> bool:
        """Note a failure; whether this address has had more of them than it may."""
        if not self._per_minute:
            return False
        now_s = self._clock()
        who = _who(address or "")
        left, since_s = self._left.pop(who, (float(self._per_minute), now_s))
        left = min(float(self._per_minute), left + (now_s - since_s) * self._per_minute / 60)
        if len(self._left) >= _MOST_ADDRESSES:
            del self._left[next(iter(self._left))]
        self._left[who] = max(0.0, left - 1), now_s
        return left < 1


def _who(address: str) -> str:
    if ":" not in address:
        return address
    try:
        number = ipaddress.IPv6Address(address)
    except ValueError:
        return address
    return str(number.ipv4_mapped or number.packed[:8].hex())
