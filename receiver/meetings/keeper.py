"""Keeps the book of meetings in a file beside the journal, so that a start need not read the journal again.

The file only saves time: what cannot be used is left aside, said in the log, and the journal is read. It is used where
the journal has the very record with which it ends; it then tells what the book knew, and reading goes on behind it.
What is no more in the journal, or longer ago than the history that is read, goes from the file as well.
"""

import asyncio
import contextlib
import errno
import threading
import time
from collections.abc import Callable
from functools import cache
from hashlib import blake2b
from pathlib import Path

import structlog

from receiver.delivery.pace import Pace
from receiver.journal.base import Journal
from receiver.journal.wholefile import remove_drafts, write_whole
from receiver.meetings.book import MeetingBook
from receiver.meetings.snapshot import (
    MADE_BY_BYTES,
    Anchor,
    Head,
    Make,
    Restored,
    SnapshotUnusable,
    frames_of,
    sealed,
    unsealed,
)
from receiver.meetings.tracker import MeetingTracker
from receiver.record import Record

log = structlog.get_logger()
_EVERY_S = 60.0
#: a file to which nothing is to be added is written again so often, without what is too old by then
_REVIEW_S = 3600.0
_MOST_BYTES = 128 << 20
_PACKAGE = Path(__file__).parent.parent
#: all that decodes records and folds events
_MAKERS = (
    "vendors/**/*", "meetings/*", "delivery/decoding.*", "data.*", "errors.*", "events.*", "record.*", "redaction.*",
)  # fmt: skip


class Keeper:
    """``load`` before the tracker reads, ``run`` beside it, ``save`` once it has ended."""

    def __init__(
        self,
        path: Path,
        journal: Journal,
        *,
        pace: Pace,
        history_s: float,
        spare_bytes: int = 0,
        most_bytes: int = _MOST_BYTES,
        every_s: float = _EVERY_S,
        review_s: float = _REVIEW_S,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """``history_s``: as the tracker's. ``spare_bytes``: so much of the disk is left free. ``most_bytes``: a larger
        book is not written. ``every_s``: how often it is written, if there is more; ``review_s``: how often in any
        case. ``now_ns``: the clock that stamps arrivals."""
        self._path = path
        self._journal = journal
        self._pace = pace
        self._history_s = history_s
        self._spare_bytes = spare_bytes
        self._most_bytes = most_bytes
        self._every_s = every_s
        self._review_s = review_s
        self._now_ns = now_ns
        self._anchor: Anchor | None = None
        self._reviewed_s = time.monotonic()
        self._told = ""
        self._writing = threading.Lock()

    async def load(self, book: MeetingBook, since: int) -> int | None:
        """Fill ``book`` from the file. The number up to which it is complete then; ``None`` where the journal has to be
        read from ``since`` on. Raises what the journal raises."""
        try:
            frames = await asyncio.to_thread(self._read)
            if frames is None:
                return None
            restored = Restored(frames[0])
            await self._check(restored.head, book, since)
            await self._pace.each(frames[1:], restored.take)
            meetings = restored.all()
        except SnapshotUnusable as problem:
            self._ignore(str(problem))
            return None
        floor = await self._floor(since)
        book.restore([one for one in meetings if one.sequence > floor], restored.head.counters)
        self._anchor = restored.head.anchor
        log.info("meetings.snapshot.read", meetings=book.known, sequence=self._anchor.last_seq)
        return self._anchor.last_seq

    async def run(self, tracker: MeetingTracker) -> None:
        """Write the book once the past is in it, and then now and then, for ever."""
        await tracker.caught_up.wait()
        while True:
            await self.save(tracker)
            await asyncio.sleep(self._every_s)

    async def save(self, tracker: MeetingTracker) -> bool:
        """Write the book of ``tracker``, if there is more in it than in the file; whether that was done. A failure is
        told, once, and leaves the file as it was."""
        try:
            if self._due(tracker.last) is None:
                return False
            floor = await self._floor(await self._journal.since(self._since_ns(), media=False))
            async with tracker.still:
                if (anchor := self._due(tracker.last)) is None:
                    return False
                frames = await self._frames(tracker.book, anchor, floor)
            await asyncio.to_thread(self._write, frames)
        except Exception as problem:  # it only makes the next start slower
            text = f"{type(problem).__name__}: {problem}" if isinstance(problem, OSError) else type(problem).__name__
            if text != self._told:
                log.error("meetings.snapshot.failed", file=self._path.name, error=text)
                self._told = text
            return False
        self._anchor, self._told, self._reviewed_s = anchor, "", time.monotonic()
        return True

    # ---- what may be used

    async def _check(self, head: Head, book: MeetingBook, since: int) -> None:
        """Raises ``SnapshotUnusable``."""
        if head.settings != (self._history_s, *book.bounds):
            raise SnapshotUnusable("made under other settings of [meetings]")
        anchor = head.anchor
        if anchor.last_seq <= since:
            raise SnapshotUnusable("older than all that is read at the start")
        found, _ = await self._journal.reread(anchor.seq - 1, anchor.last_seq, media=False, limit_bytes=1)
        if not found or Anchor.of(found[0]) != anchor:
            raise SnapshotUnusable(f"the journal has no such record with number {anchor.seq} as this file ends with")

    async def _floor(self, since: int) -> int:
        """A meeting of which nothing came behind this number is not known to the journal, or not read again."""
        upto = self._journal.visible(media=False)
        first, _ = await self._journal.reread(0, upto, media=False, limit_bytes=1)
        return max(since, first[0].seq - 1) if first else since

    def _ignore(self, reason: str) -> None:
        """Nobody needs it any more, and it may hold what is to be forgotten."""
        log.warning("meetings.snapshot.ignored", file=self._path.name, reason=reason)
        try:
            self._path.unlink()
        except OSError as problem:
            log.error("meetings.snapshot.failed", file=self._path.name, error=f"{type(problem).__name__}: {problem}")

    def _due(self, last: Record | None) -> Anchor | None:
        """With what a file would end that is to be written now. Never with what is written nowhere."""
        if last is not None and last.kind == "damaged":
            return None
        anchor = self._anchor if last is None else Anchor.of(last)
        return anchor if anchor != self._anchor or time.monotonic() - self._reviewed_s >= self._review_s else None

    def _since_ns(self) -> int:
        return self._now_ns() - int(self._history_s * 1e9)

    async def _frames(self, book: MeetingBook, anchor: Anchor, floor: int) -> list[bytes]:
        """In slices, at the pace of all who catch up. Raises ``OSError`` where they are too large."""
        meetings, counters = book.everything()
        meetings = [one for one in meetings if one.sequence > floor]
        head = Head((self._history_s, *book.bounds), anchor, counters, len(meetings))
        size = 0

        def made(make: Make) -> bytes:
            nonlocal size
            frame = make()
            size += len(frame)
            if size > self._most_bytes:
                raise OSError(errno.EFBIG, f"more than {self._most_bytes} bytes")
            return frame

        return await self._pace.each(list(frames_of(head, meetings)), made)

    # ---- in a thread

    def _read(self) -> list[memoryview] | None:
        """The file's frames, ``None`` where there is no file. What another process left half written goes. Raises
        ``SnapshotUnusable``."""
        with contextlib.suppress(OSError):
            remove_drafts(self._path)
        try:
            with self._path.open("rb") as file:
                content = file.read(self._most_bytes + (1 << 20))
        except FileNotFoundError:
            return None
        except OSError as problem:
            raise SnapshotUnusable(f"{type(problem).__name__}: {problem.strerror}") from None
        if len(content) > self._most_bytes:
            raise SnapshotUnusable(f"found more than the {self._most_bytes} bytes that are allowed")
        return unsealed(content, made_by())

    def _write(self, frames: list[bytes]) -> None:
        """In one step, for its owner only. Raises ``OSError``."""
        with self._writing:
            write_whole(self._path, sealed(frames, made_by()), spare_bytes=self._spare_bytes)


@cache
def made_by(package: Path = _PACKAGE) -> bytes:
    """A digest of the program text that decodes and folds: where that is another, so may be what comes of it."""
    digest = blake2b(digest_size=MADE_BY_BYTES)
    paths = {path for pattern in _MAKERS for path in package.glob(pattern) if path.suffix in (".py", ".pyc")}
    for path in sorted(path for path in paths if path.parent.name != "__pycache__"):
        digest.update(f"{path.relative_to(package)} {path.stat().st_size}\n".encode())
        digest.update(path.read_bytes())
    return digest.digest()
