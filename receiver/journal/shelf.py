"""The files of a lane: finding and reading them. Mending is ``receiver.journal.opening``'s, writing them
``receiver.journal.lane``'s.

A damaged file never stops a reader and never goes away: what can be read in it is read, each finding is told once.
"""

import sqlite3
import threading
from bisect import bisect_right
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import structlog

from receiver.journal.chain import Chain, Link
from receiver.journal.leaves import LeafIndex
from receiver.journal.reader import ALL, SegmentReader
from receiver.journal.segment import SUFFIX, delete_record, file_bytes, is_damage
from receiver.record import Record

log = structlog.get_logger()


class Shelf:
    """Any thread may read; the lane's writer adds files, its retention takes the oldest away."""

    #: whether damage was met when it was opened
    damaged = False

    def __init__(self, name: str, folder: Path, *, chained: bool = True) -> None:
        """``chained``: each record names the one before it, so that a missing one is noticed. Not with ``delete``."""
        self.name = name
        self._chained = chained
        self._folder = folder
        self._lock = threading.Lock()  # guards _paths, never held over I/O of a commit
        self._paths: list[Path] = []
        self._findings: set[str] = set()
        #: the newest record on disk
        self._newest = Link()
        #: files that somebody may have open for writing
        self._written: set[Path] = set()
        self._leaves = LeafIndex(self._written.__contains__)

    def read_disk(self, after: int, upto: int, limit_bytes: int) -> tuple[list[Record], int]:
        """Like ``Tail.read``, from the files. A damaged file is passed over, said in the log."""
        found: list[Record] = []
        size = 0
        with closing(self._walk(after, whole=True)) as records:
            for record in records:
                if record.last_seq > upto:
                    break
                found.append(record)
                size += len(record.payload) + 256
                if size >= limit_bytes:
                    return found, record.last_seq
        return found, upto

    def since(self, received_ns: int) -> int:
        """A number before everything received since then: files whose successor begins earlier are passed over."""
        after = 0
        for path in self._paths_from(0)[1:]:
            records = self._records(path, 0, ALL)
            first = next(records, None)
            records.close()
            if first is None or first.received_ns >= received_ns:
                break
            after = first.seq - 1
        return after

    def look(self, newest: Link | None = None) -> bool:
        """Find the files and leave them as they are: another process writes them. Whether any of before is gone.

        ``newest``: what that process knows to be the newest record, so that one that is missing at the end is noticed.
        """
        before, self._paths = self._paths, self._found()
        self._written |= set(self._paths)
        self._newest = newest or Link()
        return not set(before).issubset(self._paths)

    def newest_keys(self, newest: int, after: int = 0) -> list[tuple[bytes, int, int, int]]:
        """``(key, seq, received_ns, repeat)`` of the newest records behind ``after`` with a key, oldest first."""
        found: list[tuple[bytes, int, int, int]] = []
        for path in reversed(self._paths_from(after)):
            if len(found) >= newest:
                break
            with self._reading(path) as reader:
                found = (reader.keys(newest - len(found), after) if reader is not None else []) + found
        return found

    def positions_behind(self, after: int, upto: int) -> int:
        """How many sequence numbers from behind ``after`` to ``upto``, the last one of a record, are taken.

        Two looks into the files where the chain proves them, and otherwise a walk over all that lies between."""
        before, through = self._taken_with(after), self._taken_with(upto)
        if before is not None and through is not None:
            return max(0, through - before)
        total = 0
        with closing(self._walk(after, whole=False)) as records:
            for record in records:
                if record.last_seq > upto:
                    break
                total += record.count
        return total

    def _taken_with(self, number: int) -> int | None:
        """How many numbers the lane had taken with ``number``; ``None`` where the chain does not prove it: a record
        that is damaged or missing may lie before the first one behind ``number`` that is found."""
        newest = self._newest  # before the files are looked at: more may come meanwhile
        begin = min((int(path.stem) for path in self._paths_from(0)), default=1) - 1
        for path in self._paths_from(number):
            with closing(self._records(path, number, ALL, whole=False)) as records:
                record = next(records, None)
            if record is not None:
                proven = record.place and record.prev <= max(number, begin)
                return record.place - record.count if proven else None
        return newest.place if newest.seq <= number and (newest.place or not newest.seq) else None

    def delete(self, seq: int) -> bool:
        """Remove one record from its file; whether it was there."""
        return any(delete_record(path, seq) for path in self._paths_from(seq - 1)[:1])

    def disk_bytes(self) -> int:
        """What the lane takes on disk."""
        return sum(file_bytes(path) for path in self._paths_from(0))

    def newest_facts(self, limit_bytes: int) -> Iterator[Record]:
        """What the end of the lane, about ``limit_bytes`` of payload, tells of openings and closings; oldest first."""
        return self._newest_of(limit_bytes, SegmentReader.facts)

    def newest(self, limit_bytes: int) -> Iterator[Record]:
        """About ``limit_bytes`` of payload at the end of the lane, oldest first."""
        return self._newest_of(limit_bytes, SegmentReader.read)

    def _newest_of(self, limit_bytes: int, read: Callable[[SegmentReader, int], Iterator[Record]]) -> Iterator[Record]:
        paths, size, after = self._paths_from(0), 0, 0
        first = len(paths)
        while first > 0 and size < limit_bytes:
            first -= 1
            with self._reading(paths[first]) as reader:
                if reader is not None:
                    after, found = reader.begin_of_newest(limit_bytes - size)
                    size += found
        for path in paths[first:]:
            with self._reading(path) as reader:
                if reader is not None:
                    yield from read(reader, after)

    def _walk(self, after: int, *, whole: bool) -> Generator[Record]:
        """Everything behind ``after`` in order. What is missing in between is looked for leaf by leaf; what is not
        found is told and has its stand-in, see ``Chain``. ``whole``: with payloads.

        Retention takes files away from the beginning: what they held is not missing.
        """
        newest = self._newest  # before the files are looked at: more may come meanwhile
        chain = Chain(after, min((int(path.stem) for path in self._paths_from(0)), default=1) - 1, self._place_at)
        gone = False
        for path in self._paths_from(after):
            if gone:
                chain.cut(int(path.stem) - 1)
            with self._reading(path) as reader:
                gone = reader is None and not path.exists()
                for record in reader.read(after, whole=whole) if reader is not None else ():
                    if record.prev > chain.last:
                        yield from self._linked_up(chain, record.prev, whole=whole)
                    if record.seq > chain.last:
                        if (gap := chain.step(record)) is not None:
                            yield self._told(gap)
                        yield record
        if not gone:
            yield from self._linked_up(chain, newest.seq, whole=whole)
            if (gap := chain.end(newest)) is not None:
                yield self._told(gap)

    def _linked_up(self, chain: Chain, prev: int, *, whole: bool) -> Iterator[Record]:
        """What the leaves hold behind the last record of ``chain`` up to ``prev``."""
        if prev <= chain.last:
            return
        paths = [path for path in self._paths_from(chain.last) if int(path.stem) <= prev]
        for path in paths:
            for record in self._leaves.records(path, chain.last, prev, whole=whole):
                if (gap := chain.step(record)) is not None:
                    yield self._told(gap)
                yield record

    def _told(self, gap: Record) -> Record:
        self._tell(self._paths_from(gap.last_seq - 1)[0], gap.reason)
        return gap

    def _place_at(self, number: int) -> int:
        """How many numbers the lane had taken with the last record up to ``number`` that can be read; 0: unknown."""
        for path in reversed(self._paths_from(0)):
            if int(path.stem) > number:
                continue
            if (record := self._leaves.last(path, number)) is not None:
                return record.place
        return 0

    def _records(self, path: Path, after: int, upto: int, *, whole: bool = True) -> Generator[Record]:
        with self._reading(path) as reader:
            if reader is not None:
                yield from reader.read(after, upto, whole=whole)

    @contextmanager
    def _reading(self, path: Path) -> Iterator[SegmentReader | None]:
        """A reader, ``None`` where the file is gone or damaged as a whole. What it finds damaged is told, once."""
        try:
            reader = SegmentReader(path)
        except sqlite3.Error as problem:
            if path.exists():
                if not is_damage(problem):
                    raise
                self._tell(path, str(problem))
            yield None
            return
        try:
            yield reader
        finally:
            reader.close()
            for finding in reader.damage:
                self._tell(path, finding)

    def _tell(self, path: Path, finding: str) -> None:
        text = f"{path.name}: {finding}"
        if text not in self._findings:
            self._findings.add(text)
            log.error("journal.segment.damaged", lane=self.name, file=path.name, error=finding)

    def _paths_from(self, after: int) -> list[Path]:
        """Files that may hold numbers behind ``after``, oldest first."""
        with self._lock:
            paths = self._paths
            index = bisect_right(paths, after + 1, key=lambda path: int(path.stem))
            return paths[max(0, index - 1) :]

    def _found(self) -> list[Path]:
        return sorted(path for path in self._folder.glob("*" + SUFFIX) if path.stem.isdecimal())

    def _last_link(self) -> Link:
        for path in reversed(self._paths):
            with self._reading(path) as reader:
                last = reader.last()[0] if reader is not None else None
            if last is not None:
                return Link(last.seq, last.last_seq, last.place)
        return Link()
