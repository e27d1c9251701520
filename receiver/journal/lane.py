"""A lane: one writer thread that commits in groups, its segments, its memory tail.

``events`` and ``media`` are two objects of this class and differ in how often a commit is synced. ``quarantine`` is a
third. A slow lane never delays another.
"""

import asyncio
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog

from receiver.errors import DiskFull, JournalUnavailable
from receiver.journal.aside import aside
from receiver.journal.base import EVENTS, Ended
from receiver.journal.chain import Link, linked
from receiver.journal.recent import Recent
from receiver.journal.retention import TrimmedShelf
from receiver.journal.room import Room
from receiver.journal.segment import SUFFIX, Segment, is_damage, is_full
from receiver.journal.spare import Spare
from receiver.journal.syncer import Syncer
from receiver.journal.tail import FRAMES_FACTOR, Tail, memory_bytes
from receiver.record import Record

log = structlog.get_logger()
_CLOSE = None
_PROBE = "probe"
#: a record, the memory that it takes, whom to tell
_Item = tuple[Record, int, Ended]
_GROUP_RECORDS = 4096
_GROUP_BYTES = 4 << 20
#: of a log, laid out before it is written: an answer waits for each of its syncs
_AHEAD_BYTES = 1 << 20
#: with less, files are so small that they begin without a spare log
_LEAST_AHEAD_BYTES = 64 << 10
#: of what was read from disk, at most
_RECENT_BYTES = 8 << 20
#: the same failure is told once in so many seconds
_TELL_S = 10.0


class LaneLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of a lane. ``sync_every_ms`` = 0: every commit is on disk before it counts; else it is so much later."""

    sync_every_ms: int = 0
    segment_bytes: int = 64 << 20
    max_bytes: int = 8 << 30
    max_age_s: float = 7 * 86400
    tail_bytes: int = 8 << 20
    #: memory for what waits for the writer: beyond it there is no room
    pending_bytes: int = 8 << 20
    #: of that, what one turn of the loop brings: sinks and answers get theirs in turns as well
    turn_bytes: int = 8 << 20


class Lane(TrimmedShelf):
    """Built and used on the event loop; ``read_disk``, ``trim`` and ``newest_keys`` may run in any thread."""

    def __init__(
        self, name: str, folder: Path, limits: LaneLimits, changed: Callable[[], None], *, chained: bool = True
    ) -> None:
        self.error: str | None = None
        #: whether that is for want of space
        self.full = False
        super().__init__(name, folder, chained=chained, max_bytes=limits.max_bytes, max_age_s=limits.max_age_s)
        self._limits = limits
        self._changed = changed
        self._queue: queue.SimpleQueue[list[_Item] | str | None] = queue.SimpleQueue()
        #: what this turn of the loop has brought, handed over as one: a wake-up costs more than a record
        self._fresh: list[_Item] = []
        self._closed = False
        self._pending: deque[int] = deque()
        self._pending_bytes = 0
        self._memory = Room(limits.pending_bytes, limits.turn_bytes)
        self._idle = asyncio.Event()
        self._idle.set()
        #: sequence numbers committed since start
        self.positions = 0
        #: records that failed since the log said so, and when it did
        self._untold, self._told_s = 0, 0.0
        self._closers: list[threading.Thread] = []
        self._ahead_bytes = min(_AHEAD_BYTES, limits.segment_bytes // 16) if name == EVENTS else 0
        self._spare = (
            Spare(folder, limits.segment_bytes + self._ahead_bytes) if self._ahead_bytes >= _LEAST_AHEAD_BYTES else None
        )
        self.head, self._segment = self._open_folder()
        if self._segment is not None:
            self._written.add(self._segment.path)
            self._segment.ahead.step_bytes = self._ahead_bytes
        self._note_written()
        self.tail = Tail(limits.tail_bytes, self.head)
        self.recent = Recent(min(limits.tail_bytes // 2, _RECENT_BYTES))
        self._loop = asyncio.get_running_loop()
        self._syncer = Syncer(name, limits.sync_every_ms / 1000, self._have_failed) if limits.sync_every_ms else None
        self._thread = threading.Thread(target=self._run, name=f"journal-{name}", daemon=True)
        self._thread.start()

    # ---- on the event loop

    def put(self, record: Record, ended: Ended) -> None:
        """Hand a numbered record to the writer."""
        size = memory_bytes(record)
        self._pending.append(record.seq)
        self._idle.clear()
        self._pending_bytes += len(record.payload)
        self._memory.put(size)
        if not self._fresh:
            self._loop.call_soon(self._hand_over)
        self._fresh.append((record, size, ended))

    @property
    def has_room(self) -> bool:
        """Whether there is room that nobody who awaits ``room`` was promised."""
        return self._memory.free

    async def room(self, frames_bytes: Callable[[], int] | None = None) -> None:
        """Return when what waits for the writer takes less memory than ``pending_bytes``, in order of asking."""
        await self._memory.wait(None if frames_bytes is None else lambda: frames_bytes() * FRAMES_FACTOR)

    def ask_room(self, let_in: Callable[[], bool], frames_bytes: Callable[[], int]) -> None:
        """Have ``let_in`` called where ``room`` would return."""
        self._memory.ask(let_in, lambda: frames_bytes() * FRAMES_FACTOR)

    def probe(self) -> None:
        """Have a lane that fails try the disk by itself: who is told to come back later need not come."""
        if self.error is not None and not self._pending:
            self._queue.put(_PROBE)

    async def settle(self) -> None:
        """Return when nothing waits for the writer."""
        await self._idle.wait()

    @property
    def pending_bytes(self) -> int:
        """Bytes that wait for the writer."""
        return self._pending_bytes

    @property
    def visible(self) -> int | None:
        """Everything up to this number is committed; ``None`` where nothing waits."""
        return self._pending[0] - 1 if self._pending else None

    @property
    def last_link(self) -> Link:
        """The newest record on disk; it is there already, and everything before it."""
        return self._newest

    async def close(self) -> None:
        """Commit what waits, fold the WAL, end the threads."""
        self._hand_over()
        self._queue.put(_CLOSE)
        await asyncio.to_thread(self._thread.join)
        for closer in self._closers:
            await asyncio.to_thread(closer.join)
        self._leaves.close()
        self._closed = True
        self._refuse_rest()

    def _hand_over(self) -> None:
        if self._fresh:
            self._queue.put(self._fresh)
            self._fresh = []
        if self._closed:
            self._refuse_rest()

    def _refuse_rest(self) -> None:
        """Tell those who came behind the end that nobody writes any more."""
        while not self._queue.empty():
            group = self._queue.get_nowait()
            if isinstance(group, list):
                self._loop.call_soon(self._committed, group, "closed", False)  # behind what the writer has told

    def _committed(self, group: list[_Item], error: str | None, full: bool) -> None:
        self.error, self.full = error, full
        for record, size, _ in group:
            self._pending.popleft()
            self._pending_bytes -= len(record.payload)
            self._memory.bytes -= size
            if error is None:
                self.head = record.last_seq
                self.positions += record.count
                self.tail.append(record, size)
        kind = DiskFull if full else JournalUnavailable
        for record, _, ended in group:
            try:
                ended(None if error is None else kind(f"journal lane {self.name}: {error}"))
            except Exception:  # one of ours; those behind it must still be told
                log.exception("journal.commit.untold", lane=self.name, sequence=record.seq)
        self._memory.admit()
        if not self._pending:
            self._idle.set()
        self._changed()

    # ---- in the writer thread

    def _run(self) -> None:
        while (group := self._next_group()) is not None:
            error: str | None = None
            full = False
            try:
                self._commit_somewhere([record for record, _, _ in group])
            except (sqlite3.Error, OSError) as problem:
                full = is_full(problem, self._folder)
                self._tell_failure(problem, len(group))
                error = str(problem)
                if not full:  # a transaction without space is undone and leaves the file sound
                    self._drop_broken_segment()
            except Exception as fault:  # one of ours; who comes next must still find a writer
                log.exception("journal.commit.fault", lane=self.name, records=len(group))
                error = f"{type(fault).__name__}, see the log"
            self._loop.call_soon_threadsafe(self._committed, group, error, full)
        if self._spare is not None:
            self._spare.close()
        if self._syncer is not None:
            self._syncer.close()
        if self._segment is not None:
            self._close_segment(self._segment)

    def _next_group(self) -> list[_Item] | None:
        """Everything that waits, in order, nothing for a probe; ``None`` once the lane is closed and empty."""
        first = self._queue.get()
        if first is _CLOSE:
            return None
        if isinstance(first, str):
            return []
        group = first
        size = sum(len(record.payload) for record, _, _ in group)
        while len(group) < _GROUP_RECORDS and size < _GROUP_BYTES:
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                break
            if item is _CLOSE:
                self._queue.put(_CLOSE)
                break
            if isinstance(item, str):
                continue
            group += item
            size += sum(len(record.payload) for record, _, _ in item)
        return group

    def _commit_somewhere(self, records: list[Record]) -> None:
        """Commit; where the file turns out to be damaged, once more into a new one: the vendor will not come again."""
        try:
            self._commit(records)
        except sqlite3.DatabaseError as problem:
            broken = is_damage(problem) or getattr(problem, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_IOERR
            if self._segment is None or not broken or is_full(problem, self._folder):
                raise
            name = self._segment.path.name
            log.error("journal.segment.damaged", lane=self.name, file=name, error=str(problem), found="at a commit")
            self._leave_segment()
            self._commit(records)

    def _commit(self, records: list[Record]) -> None:
        if self._syncer is not None:
            self._require_synced(self._syncer)
        segment = self._segment
        if segment is None or self._is_full(segment):
            segment = self._roll(records[0].seq if records else self.head + 1)
        if not records:
            segment.probe()
            return
        newest = linked(records, self._newest) if self._chained else self._newest
        segment.append(records, sync=self._syncer is None)
        if self._spare is not None:
            enough_bytes = self._limits.segment_bytes // 4 if segment.laid_out else self._ahead_bytes
            if segment.written_bytes > enough_bytes:
                self._spare.want()
        self._newest = newest
        if self._syncer is not None:
            self._syncer.wrote(segment)

    def _is_full(self, segment: Segment) -> bool:
        """Whether the next commit goes to a new file. The first one since the start does not last long, if much comes:
        its log has to be laid out bit by bit."""
        if segment.written_bytes >= self._limits.segment_bytes:
            return True
        return self._spare is not None and self._spare.ready and not segment.laid_out

    def _require_synced(self, syncer: Syncer) -> None:
        """A sync that failed is the failure of the next commit. How much of the file is on disk nobody can say then."""
        try:
            syncer.require()
        except OSError:
            self._leave_segment()
            raise

    def _have_failed(self) -> None:
        """In the thread that syncs: have the writer meet the failure also where no record comes."""
        self._queue.put(_PROBE)

    def _roll(self, first_seq: int) -> Segment:
        path = self._folder / f"{first_seq:020d}{SUFFIX}"
        self._written.add(path)
        spare = self._spare.take() if self._spare is not None else None
        segment = self._written_at(path, spare)
        segment.ahead.step_bytes = self._ahead_bytes
        with self._lock:
            old, self._segment = self._segment, segment
            self._paths.append(path)
        if old is not None:
            self._written_ns[old.path] = time.monotonic_ns()
            self._closers = [closer for closer in self._closers if closer.is_alive()]
            closer = threading.Thread(target=aside, args=(self._close_segment, old), name=f"journal-{self.name}-fold")
            self._closers.append(closer)
            closer.start()
        return segment

    def _tell_failure(self, problem: Exception, records: int) -> None:
        """Tell a reason when it is new and then now and then: on a full disk each try fails for the same one."""
        now_s = time.monotonic()
        self._untold += records
        if str(problem) == self.error and now_s - self._told_s < _TELL_S:
            return
        log.error("journal.commit.failed", lane=self.name, records=self._untold, error=str(problem))
        self._untold, self._told_s = 0, now_s

    def _drop_broken_segment(self) -> None:
        """After an error go on in a new file, unless nothing was written to this one yet."""
        if self._segment is not None and self._segment.written_bytes > 0:
            self._leave_segment()

    def _leave_segment(self) -> None:
        """Have the next commit go to a new file."""
        if self._segment is not None:
            self._segment.written_bytes = self._limits.segment_bytes

    def _close_segment(self, segment: Segment) -> None:
        try:
            segment.close()
        except (sqlite3.Error, OSError) as problem:  # the WAL stays beside the file and is read with it
            log.warning("journal.fold.failed", lane=self.name, file=segment.path.name, error=str(problem))
        self._written.discard(segment.path)
