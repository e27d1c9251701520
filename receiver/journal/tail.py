"""The newest records of a lane, kept in memory so that readers who keep up never touch the disk. Bounded by bytes."""

from bisect import bisect_right

from receiver.record import Record

#: what a record costs beside its payload, roughly
_OVERHEAD_BYTES = 1024


class Tail:
    """Records behind ``floor``, oldest first. Reads that start below ``floor`` belong to the disk."""

    def __init__(self, max_bytes: int, floor: int) -> None:
        self.floor = floor
        self._max_bytes = max_bytes
        self._bytes = 0
        self._records: list[Record] = []
        self._sizes: list[int] = []
        self._start = 0

    def append(self, record: Record) -> None:
        """Add the next record; the oldest go when the limit is passed."""
        size = len(record.payload) + _OVERHEAD_BYTES
        if record.kind == "frames" and record.events is not None:
            record.payload = b""  # the events hold the messages: once in memory is enough
        self._records.append(record)
        self._sizes.append(size)
        self._bytes += size
        while self._bytes > self._max_bytes and self._start < len(self._records):
            self._bytes -= self._sizes[self._start]
            self.floor = self._records[self._start].last_seq
            self._start += 1
        if self._start > 64 and self._start * 4 > len(self._records):
            del self._records[: self._start]
            del self._sizes[: self._start]
            self._start = 0

    def read(self, after: int, upto: int, limit_bytes: int) -> tuple[list[Record], int]:
        """Records with ``after < seq <= upto``, about ``limit_bytes`` of them, and up to where that is complete."""
        records = self._records
        index = bisect_right(records, after, lo=self._start, key=_seq)
        found: list[Record] = []
        size = 0
        while index < len(records):
            record = records[index]
            if record.seq > upto:
                break
            if size >= limit_bytes:
                return found, found[-1].last_seq
            found.append(record)
            size += self._sizes[index]
            index += 1
        return found, upto


def _seq(record: Record) -> int:
    return record.seq
