"""The newest records of a lane, kept in memory so that readers who keep up never touch the disk. Bounded by bytes."""

from bisect import bisect_right

from receiver.record import Record

#: What a record with its events and their JSON takes, measured: of text six times its payload, since each word is an
#: object; of frames no more than they are, since their JSON is not kept; and what each event adds to that.
_TEXT_FACTOR, _FRAMES_FACTOR, _EVENT_BYTES = 6.0, 1.1, 1500
#: A reader's limit is in bytes of payload, and frames take about twice as much here. And what is here costs no reading:
#: it is given sixteen times as much of it, since one that got behind on a busy loop has to gain on what comes.
_MEMORY_FACTOR = 32
#: what frames take at most of which only the bytes are known: those of a fiftieth of a second at 16 kHz
FRAMES_FACTOR = 4
_NEVER = 1 << 63
_GONE = Record(vendor="", endpoint="", kind="body", payload=b"", received_ns=0)


def memory_bytes(record: Record) -> int:
    """What ``record`` takes with its events, once a sink has made their JSON."""
    factor = _FRAMES_FACTOR if record.kind in ("bundle", "frames", "binary") else _TEXT_FACTOR
    return int(len(record.payload) * factor) + _EVENT_BYTES * record.count


class Tail:
    """Records behind ``floor``, oldest first. Reads that start below ``floor`` belong to the disk.

    What a named reader still has to read is kept, up to ``max_bytes``. Of what none of them needs an eighth of
    ``max_bytes`` is enough, for those who come back from the disk.
    """

    def __init__(self, max_bytes: int, floor: int) -> None:
        self.floor = floor
        self._max_bytes = max_bytes
        #: up to where each has read
        self._readers: dict[str, int] = {}
        self._bytes = 0
        #: beyond it some are let go, if they can be
        self._enough_bytes = max_bytes // 8
        self._records: list[Record] = []
        self._sizes: list[int] = []
        self._start = 0

    def append(self, record: Record, size: int) -> None:
        """Add the next record of ``size`` (``memory_bytes``); the oldest go when the limit is passed, or when nobody
        needs them."""
        record.lighten()
        self._records.append(record)
        self._sizes.append(size)
        self._bytes += size
        if self._bytes > self._enough_bytes:
            self._let_go()
            # looked at again when there is something to it
            self._enough_bytes = min(max(self._bytes + self._max_bytes // 64, self._max_bytes // 8), self._max_bytes)

    def read(self, after: int, upto: int, limit_bytes: int, reader: str = "") -> tuple[list[Record], int]:
        """Records with ``after < seq <= upto``, about ``limit_bytes`` of payload, and up to where that is complete.
        What comes then is kept for ``reader``, if it has a name."""
        records = self._records
        index = bisect_right(records, after, lo=self._start, key=_seq)
        found: list[Record] = []
        size = 0
        while index < len(records):
            record = records[index]
            if record.seq > upto:
                break
            if size >= limit_bytes * _MEMORY_FACTOR:
                upto = found[-1].last_seq
                break
            found.append(record)
            size += self._sizes[index]
            index += 1
        if reader:
            self._readers[reader] = upto
        return found, upto

    def _let_go(self) -> None:
        needed = min(self._readers.values(), default=_NEVER)
        while self._start < len(self._records) and (
            self._bytes > self._max_bytes
            or (self._bytes > self._max_bytes // 8 and self._records[self._start].last_seq <= needed)
        ):
            self._bytes -= self._sizes[self._start]
            self.floor = self._records[self._start].last_seq
            self._records[self._start] = _GONE  # its place is cut off with many others
            self._start += 1
        if needed < self.floor:  # who is not here any more needs nothing here
            self._readers = {name: upto for name, upto in self._readers.items() if upto >= self.floor}
        if self._start > 64 and self._start * 4 > len(self._records):
            del self._records[: self._start]
            del self._sizes[: self._start]
            self._start = 0


def _seq(record: Record) -> int:
    return record.seq
