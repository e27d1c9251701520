"""Opening a lane's files for the process that writes them: damaged ones are mended or set aside, and it is decided in
which file writing goes on.

A start waits for what decides about numbers and about writing, which is little however much there is: the newest file
and those that have a log. All other files are looked at by ``review``, while the lane is in use.
"""

import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import structlog

from receiver.journal.base import MEDIA
from receiver.journal.leaves import Leaves
from receiver.journal.payloads import SUFFIX as PAYLOADS
from receiver.journal.payloads import payloads_of
from receiver.journal.reader import SegmentReader
from receiver.journal.salvage import mend, restore_first_page
from receiver.journal.segment import Segment, file_bytes, is_damage, log_of, sync_directory
from receiver.journal.shelf import Shelf

log = structlog.get_logger()
#: how far numbering jumps where damage hides the last number that was given out
_DOUBT = 1 << 20
#: a file that is larger is not written on: to read all of it first would hold up the start
_MOST_BYTES = 4 << 20
_UNSOUND = "not every page is where it belongs; what can be read is read, and nothing more is written there"


class OpenedShelf(Shelf):
    """``_open_folder`` first. One ``review`` at a time, in any thread; ``end_review`` before anybody else may write."""

    def __init__(self, name: str, folder: Path, *, chained: bool = True) -> None:
        super().__init__(name, folder, chained=chained)
        #: what opening passed over, oldest first, and whether it is to be read through
        self._unseen: list[tuple[Path, bool]] = []
        self._reviewing = threading.Lock()
        self._ending = False

    def review(self) -> None:
        """Mend files that opening passed over, read those through that were not. What is damaged is told; what cannot
        be mended stays where it is. Raises ``sqlite3.Error``, ``OSError`` where the fault is not in the files."""
        with self._reviewing:
            while self._unseen and not self._ending:
                path, wholly = self._unseen.pop(0)
                try:
                    self._look_at(path, wholly=wholly)
                except (sqlite3.Error, OSError):
                    if path.exists():  # or retention has taken it
                        raise

    def end_review(self) -> None:
        """Return when none is under way, and none will be."""
        self._ending = True
        with self._reviewing:
            return

    def _open_folder(self) -> tuple[int, Segment | None]:
        """Find the files, mend or set aside damaged ones, go on in the newest if it is sound and small. The last number
        on disk, or one behind all that damage may hide, and the file to go on in.

        Raises ``sqlite3.Error``, ``OSError`` where the fault is not in the files.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        sync_directory(self._folder.parent)
        self._paths = self._found()
        head, doubtful = 0, True
        for path in list(self._paths):
            newest = path == self._paths[-1]
            if not newest and not log_of(path).exists():
                self._unseen.append((path, False))
                continue
            doubtful = self._mend(path, mend)
            reader = self._open_or_mend(path)
            if isinstance(reader, str):
                self._set_aside(path, reader)
                head, doubtful = int(path.stem) + _DOUBT, True
                continue
            if newest:
                last, trusted = reader.last()
                head = max(head, last.last_seq if last is not None else int(path.stem) - 1)
                doubtful |= not trusted
            reader.close()
        if self._chained:
            self._newest = self._last_link()
        segment = None
        if self._paths and not doubtful:
            segment, doubtful = self._to_go_on_in(self._paths[-1])
        if self._paths and segment is None:
            self._unseen.append((self._paths[-1], True))
        self.damaged |= doubtful and head > 0
        return head + _DOUBT if doubtful and head else head, segment

    def _to_go_on_in(self, path: Path) -> tuple[Segment | None, bool]:
        """The newest file, if it is sound and small; and whether its last number is in doubt."""
        if self._chained and file_bytes(path) > _MOST_BYTES:
            with closing(Leaves(path)) as leaves:
                return None, leaves.last_in_tree() != self._newest.seq
        segment = self._written_at(path)
        if segment.sound():
            return segment, False
        segment.close()
        self._tell(path, _UNSOUND)
        return None, True

    def _written_at(self, path: Path, spare: Path | None = None) -> Segment:
        """A file to write to. Sound and pictures are large: theirs lie beside it."""
        return Segment(path, spare, beside=self.name == MEDIA)

    def _look_at(self, path: Path, *, wholly: bool) -> None:
        reader = self._open_or_mend(path)
        if isinstance(reader, str):
            self._tell(path, reader)
            return
        try:
            if wholly and not reader.sound():
                self._tell(path, _UNSOUND)
        finally:
            reader.close()

    def _open_or_mend(self, path: Path) -> SegmentReader | str:
        """A reader, or what is wrong with a file that cannot even be mended."""
        try:
            return SegmentReader(path)
        except sqlite3.Error as problem:
            if not is_damage(problem) or not path.exists():
                raise
            if not self._mend(path, restore_first_page):
                return str(problem)
        try:
            return SegmentReader(path)
        except sqlite3.Error as problem:
            if not is_damage(problem):
                raise
            return str(problem)

    def _mend(self, path: Path, how: Callable[[Path, Path], bool]) -> bool:
        aside = path.with_name(f"{path.name}.damaged-{time.time_ns()}")
        if not how(path, aside):
            return False
        self.damaged = True
        log.error("journal.segment.mended", lane=self.name, file=path.name, kept=aside.name)
        return True

    def _set_aside(self, path: Path, problem: str) -> None:
        aside = path.with_name(path.name + f".damaged-{time.time_ns()}")
        self.damaged = True
        log.error("journal.segment.set_aside", lane=self.name, file=path.name, to=aside.name, error=problem)
        for part, suffix in ((path, ""), (log_of(path), "-wal"), (payloads_of(path), PAYLOADS)):
            if part.exists():
                part.rename(aside.with_name(aside.name + suffix))
        path.with_name(path.name + "-shm").unlink(missing_ok=True)
        self._paths.remove(path)
