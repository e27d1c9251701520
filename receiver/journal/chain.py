"""The chain that links a lane's records: what a reader passes that is not there any more. Pure.

SQLite trusts the pages that it reads: a flipped bit in a pointer or a count makes it pass rows over without a word. So
each record names the one before it in its lane (``prev``), and how many numbers the lane took until then (``place``).
A reader that meets a record whose ``prev`` it has not passed knows that something is missing, and how much.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from receiver.record import Record


class Link(NamedTuple):
    """A record as the one behind it knows it: its first and its last number, its place. Zeros: there is none."""

    seq: int = 0
    last_seq: int = 0
    place: int = 0


class Chain:
    """Follows a lane from a cursor on. Records of a file that knows no chain (``prev`` 0) are taken as they come."""

    def __init__(self, after: int, begin: int, place_at: Callable[[int], int] = lambda _: 0) -> None:
        """``begin``: see :meth:`cut`. ``place_at`` tells the place of the last readable record up to a number, 0 where
        there is none."""
        #: the last number that was passed
        self.last = after
        self._place = 0
        self._place_at = place_at
        self.cut(begin)

    def cut(self, number: int) -> None:
        """What lies up to ``number`` was taken away on purpose: it is not missing."""
        self._begin = number
        if number > self.last:
            self.last, self._place = number, 0

    def step(self, record: Record) -> Record | None:
        """Pass ``record``; what stands for those that are missing before it: kind ``damaged``, with their count.

        It ends at the last missing record's number, so a cursor is either before all of it or behind all of it.
        """
        gap = None
        if record.prev > self.last:
            gap = self._stand_in(record.prev, record.seq, record.place - record.count)
            gap.vendor, gap.endpoint, gap.received_ns = record.vendor, record.endpoint, record.received_ns
        self.last, self._place = max(self.last, record.last_seq), record.place
        return gap

    def end(self, newest: Link) -> Record | None:
        """The same at the end of the lane, whose newest record is known to be ``newest``."""
        if newest.seq <= self.last:
            return None
        return self._stand_in(newest.seq, newest.last_seq + 1, newest.place)

    def _stand_in(self, prev: int, behind: int, place: int) -> Record:
        known = self._place or self._place_at(self.last)
        count = max(1, place - known)
        if not known:
            count = min(count, behind - 1 - self._begin)
        return Record(
            vendor="", endpoint="", kind="damaged", payload=b"", received_ns=0, seq=prev - count + 1, count=count,
            reason=f"{count} sequence number{'s' * (count > 1)} before {behind} {'are' if count > 1 else 'is'} missing",
        )  # fmt: skip


def linked(records: Sequence[Record], newest: Link) -> Link:
    """Give each of some new records its place behind the newest one on disk; the last of them as a link."""
    prev, _, place = newest
    for record in records:
        place += record.count
        record.prev, record.place = prev, place
        prev = record.seq
    return Link(prev, records[-1].last_seq, place)
