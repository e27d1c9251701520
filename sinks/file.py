"""The ``file`` sink: events as JSON lines below one folder. Here: the config, the sink, and which line goes where.

Names are made in ``filepath``, one file's position is kept in ``filelog``, closed files are compressed by ``filetidy``.
All writing is done by one thread of the sink, so the event loop never waits for the disk.
"""

import asyncio
import tempfile
import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import structlog
from msgspec import Meta, structs

from receiver.events import Event
from sinks.base import Batch, SinkConfig, SinkNotConnected, SinkRejected
from sinks.filelog import LineFile, make_folder, naming
from sinks.filepath import DAY_NS, PathTemplate, date_text
from sinks.filetidy import Tidier

#: how many files of past days one ``write`` closes at most
_OVERDUE_AT_ONCE = 16


class FileConfig(SinkConfig, kw_only=True):
    """Keys of the ``file`` sink."""

    type: str = "file"
    #: below the data directory; placeholders {subject}, {type}, {date} (UTC day of arrival), {vendor}
    path: str = "events/{date}.jsonl"
    #: close a file before it grows beyond this many bytes; 0 = never
    rotate_bytes: Annotated[int, Meta(ge=0)] = 268_435_456
    #: close a file when an event comes this many seconds after its first one; 0 = never
    rotate_s: Annotated[float, Meta(ge=0)] = 0
    #: what becomes of closed files
    compress: Literal["gzip", "none"] = "gzip"
    #: an event counts as delivered only when it is safe from a power cut
    fsync: bool = True
    #: most files that are open at once; the one unused for longest is closed, and opened again when needed
    max_open_files: Annotated[int, Meta(ge=1)] = 64
    #: files without an event for this many seconds are let go; those of a day that is over are then compressed
    idle_close_s: Annotated[float, Meta(ge=0)] = 900


class FileSink:
    """Append each event as one JSON line. Keeps order within a file; neither repeats nor tears a line after a crash.

    A file takes only events whose ``sequence`` is above the last one that it, or its closed predecessors, hold: what
    the engine repeats after a crash or an error is skipped. No value in an event makes a path outside the folder.
    Disk errors come out as ``OSError`` with the path; the batch may then be repeated.
    """

    Config: ClassVar[type[SinkConfig]] = FileConfig
    portable: ClassVar[bool] = True

    def __init__(self, name: str, config: FileConfig, data_dir: Path) -> None:
        self._name = name
        self._config = config
        self._template = PathTemplate(config.path, data_dir)
        self._thread: ThreadPoolExecutor | None = None
        self._files: _Files | None = None

    async def open(self) -> None:
        """Create the folder and prove that it can be written to; opens no event file yet."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"sink-{self._name}")
            self._files = _Files(self._name, self._config, self._template)
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._prove_writable)
        except BaseException:
            await self.close()
            raise

    async def write(self, batch: Batch) -> None:
        """Append ``batch``; on return each of its lines is in its file, and safe with ``fsync``."""
        if self._thread is None or self._files is None:
            raise SinkNotConnected("the file sink is not open")
        if batch.events:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._files.write, batch)

    async def close(self) -> None:
        """Close all files and let a compression under way finish."""
        thread, files = self._thread, self._files
        self._thread = self._files = None
        if thread is None or files is None:
            return
        try:
            await asyncio.get_running_loop().run_in_executor(thread, files.close)
        finally:
            thread.shutdown(wait=False)

    def _prove_writable(self) -> None:
        root = self._template.root
        make_folder(root, root, sync=self._config.fsync)
        with naming(root), tempfile.TemporaryFile(dir=root) as probe:
            probe.write(b"\n")
            probe.flush()


class _Files:
    """The open files and what is due to happen to them. Blocking; lives in the sink's thread."""

    def __init__(self, name: str, config: FileConfig, template: PathTemplate) -> None:
        self._config = config
        self._template = template
        self._tidier = Tidier(name, template, compress=config.compress == "gzip")
        self._log = structlog.get_logger().bind(sink=name)
        #: the one unused for longest first
        self._open: OrderedDict[Path, LineFile] = OrderedDict()
        self._day: int | None = None
        self._search_at_s: float | None = None
        self._repeats = 0
        self._report_repeats_at = 1

    def write(self, batch: Batch) -> None:
        """Append the batch file by file; a file that has a line already does not get it again."""
        now_s = time.monotonic()
        refused: list[Event] = []
        for path, events in self._by_path(batch.events):
            refused += self._append(path, structs.replace(batch, events=events), now_s)
        try:
            self._look_after(max(event.received_ns for event in batch.events) // DAY_NS, now_s)
        except OSError as error:  # the batch is safe; this is tried again with the next one
            self._log.warning("sink.file.close_failed", error=str(error))
        if refused:
            raise SinkRejected("its file goes on behind it already, and lines are never put between others", refused)

    def close(self) -> None:
        """Close every file, then wait for the compression under way."""
        try:
            while self._open:
                self._open.popitem()[1].close()
        finally:
            self._tidier.stop()

    def _by_path(self, events: Sequence[Event]) -> Iterable[tuple[Path, Sequence[Event]]]:
        groups: dict[Path, list[Event]] = {}
        for event in events:
            groups.setdefault(self._template.path(event), []).append(event)
        return groups.items()

    def _append(self, path: Path, batch: Batch, now_s: float) -> list[Event]:
        """Append what belongs behind the file's last line; of a late batch, the others are refused and returned."""
        file = self._file(path, now_s)
        events, refused = batch.events, list[Event]()
        if events[0].sequence <= file.last:
            events = [event for event in events if event.sequence > file.last]
            if batch.late:
                refused = [event for event in batch.events if event.sequence <= file.last]
            else:
                self._count_repeats(len(batch.events) - len(events))
        lines = [batch.json(event) + b"\n" for event in events]
        begin = 0
        for cut in [*self._cuts(file, lines, events), len(lines)]:
            if cut > begin:
                file.append(b"".join(lines[begin:cut]), events[cut - 1].sequence)
            if cut < len(lines):
                self._finish(file)
                file = self._file(path, now_s)
            begin = cut
        return refused

    def _cuts(self, file: LineFile, lines: Sequence[bytes], events: Sequence[Event]) -> list[int]:
        """The indices of the lines that begin a new file: a matter of the lines alone, however they are batched."""
        most_bytes, most_ns = self._config.rotate_bytes, int(self._config.rotate_s * 1e9)
        size = file.size
        if not most_ns and (not most_bytes or size + sum(map(len, lines)) <= most_bytes):
            return []
        started_ns = (file.started_ns() if most_ns else None) or 0
        cuts = []
        for index, (line, event) in enumerate(zip(lines, events, strict=True)):
            too_large = most_bytes and size + len(line) > most_bytes
            too_old = most_ns and abs(event.received_ns - started_ns) >= most_ns  # either way: a clock may be set
            if size and (too_large or too_old):
                cuts.append(index)
                size = 0
            if not size:
                started_ns = event.received_ns // 1000 * 1000  # as the line tells it, in microseconds
            size += len(line)
        return cuts

    def _file(self, path: Path, now_s: float) -> LineFile:
        file = self._open.get(path)
        if file is None:
            while len(self._open) >= self._config.max_open_files:
                self._open.popitem(last=False)[1].close()
            file = self._open[path] = LineFile(path, self._template.root, sync=self._config.fsync)
        self._open.move_to_end(path)
        file.used_s = now_s
        return file

    def _finish(self, file: LineFile) -> None:
        try:
            final = file.finish()
        finally:
            if file.closed:
                self._open.pop(file.path, None)
        if final is not None:
            self._tidier.settle(final)

    def _look_after(self, day: int, now_s: float) -> None:
        """Close what is idle, and what belongs to a day that is over."""
        if self._day is None:
            self._day, self._search_at_s = day, now_s
        elif day > self._day:
            self._day, self._search_at_s = day, now_s + self._config.idle_close_s
        today = date_text(self._day)
        if self._search_at_s is not None and now_s >= self._search_at_s:
            self._search_at_s = None
            self._tidier.search(today)
        for path, file in list(self._open.items()):
            if now_s - file.used_s < self._config.idle_close_s:
                break
            date = self._template.date_of(path.relative_to(self._template.root).as_posix())
            if date and date < today:
                self._finish(file)
            else:
                del self._open[path]
                file.close()
        for _ in range(min(_OVERDUE_AT_ONCE, len(self._tidier.overdue))):
            path = self._tidier.overdue.popleft()
            if path not in self._open:
                file = LineFile(path, self._template.root, sync=self._config.fsync)
                try:
                    self._finish(file)
                finally:
                    file.close()

    def _count_repeats(self, count: int) -> None:
        """Tell of skipped repeats, each time that there are ten times as many: a few are normal after a crash, many
        mean that the journal was begun anew while the files stayed."""
        self._repeats += count
        if self._repeats >= self._report_repeats_at:
            self._log.info("sink.file.repeats_skipped", count=self._repeats)
            while self._report_repeats_at <= self._repeats:
                self._report_repeats_at *= 10
