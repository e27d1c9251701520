"""What was last read from a lane's files, for the other readers who come along there.

Sinks that were down together come back together. Each would read and decode the same records, and make the same JSON:
here the first one does it for all that are near.
"""

import asyncio
import time
from bisect import bisect_right
from collections.abc import Callable
from typing import NamedTuple

from receiver.journal.tail import memory_bytes
from receiver.record import Record

Read = Callable[[int, int, int], "asyncio.Future[tuple[list[Record], int]]"]
#: as many readings are kept, so far as they are small enough
_MOST = 8


class _Reading(NamedTuple):
    """Everything with ``after < seq`` and ``last_seq <= upto``. ``bytes``: of memory, once it is decoded. ``used_s``:
    when somebody last read it, on the monotonic clock."""

    after: int
    upto: int
    records: list[Record]
    bytes: int
    used_s: float


class Recent:
    """Reads through it are shared; their records are the same objects, with the events that a reader gave them."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        #: the one that was used last at the end
        self._readings: list[_Reading] = []
        self._turn = asyncio.Lock()

    async def read(self, after: int, upto: int, limit_bytes: int, read: Read) -> tuple[list[Record], int]:
        """Like ``read``, which is asked only for what is not here. One reader at a time: the next may want the same."""
        async with self._turn:
            reading = self._holding(after, upto)
            if reading is None:
                records, complete = await read(after, upto, limit_bytes)
                reading = _Reading(after, complete, records, sum(map(memory_bytes, records)), 0.0)
            else:
                self._readings.remove(reading)
            self._keep(reading._replace(used_s=time.monotonic()))
        begin = bisect_right(reading.records, after, key=_last_seq)
        return reading.records[begin:], reading.upto

    def forget(self) -> None:
        """Files are gone, and what they held with them."""
        self._readings.clear()

    def let_go(self, idle_s: float) -> None:
        """Of what nobody has read for so long: the readers are elsewhere, or their far sides do not take it."""
        until_s = time.monotonic() - idle_s
        self._readings = [reading for reading in self._readings if reading.used_s > until_s]

    def _holding(self, after: int, upto: int) -> _Reading | None:
        for reading in reversed(self._readings):
            if reading.after <= after < reading.upto <= upto:
                return reading
        return None

    def _keep(self, reading: _Reading) -> None:
        self._readings.append(reading)
        while len(self._readings) > 1 and (
            len(self._readings) > _MOST or sum(kept.bytes for kept in self._readings) > self._max_bytes
        ):
            del self._readings[0]


def _last_seq(record: Record) -> int:
    return record.last_seq
