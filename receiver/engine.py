"""Everything behind the port, as one thing that is opened and closed: journal, intake, streams, sinks' workers.

Wiring only. One process has a data folder at a time; ``halt`` lets go of it so that another process can go on there.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
import structlog

from receiver.chores import Chores
from receiver.delivery.away import Away
from receiver.delivery.dead import Retry, Tell
from receiver.delivery.errands import Hello
from receiver.delivery.helper import Helper
from receiver.delivery.pace import Pace
from receiver.delivery.replay import Replay, ReplayOrder
from receiver.delivery.worker import SinkWorker
from receiver.errors import NotFound
from receiver.fetching.base import Fate, Pacing
from receiver.fetching.desk import Desk
from receiver.fetching.jobs import Times
from receiver.fetching.known import known_of
from receiver.ingress.diskwatch import watch_disk
from receiver.ingress.intake import Intake
from receiver.ingress.media import MediaGather
from receiver.ingress.quarantine import retry_record
from receiver.ingress.recovery import close_lost_streams
from receiver.ingress.shedding import Marks, Shedding
from receiver.ingress.stream import Rim
from receiver.ingress.streams import StreamBook
from receiver.journal.base import MEDIA, QUARANTINE
from receiver.journal.dedup import Dedup
from receiver.journal.keyfile import KeyFile
from receiver.journal.sqlite import SqliteJournal, recall_ahead
from receiver.journal.state import State
from receiver.meetings.tracker import MeetingTracker
from receiver.plugins import Made, is_portable
from receiver.record import Record
from receiver.resources import give_back_memory, lane_limits, lock
from receiver.settings import Settings
from receiver.telemetry.ledger import Ledger
from receiver.telemetry.metrics import Gauge
from receiver.vendors import decode_record

log = structlog.get_logger()
#: frames wait for half of it on average; 3 ms save a millisecond more, and cost 4 % of a core where 100 streams come in
_GATHER_S = 0.005
#: of the time for draining, for sinks that will not be done
_LAST_WRITE_S = 1.0


class Engine:
    """``open`` then ``start``, and one of ``stop`` and ``halt``; each at most once.

    ``times``, ``pacing``: of fetching."""

    def __init__(
        self,
        settings: Settings,
        sinks: Mapping[str, Made],
        ledger: Ledger,
        times: Times = Times(),  # noqa: B008 - frozen
        pacing: Pacing = Pacing(),  # noqa: B008 - frozen
    ) -> None:
        self.settings = settings
        self._fetch_times, self._fetch_pacing = times, pacing
        self.ledger = ledger
        self.workers: dict[str, SinkWorker] = {}
        #: what keeps the book of meetings; whoever has one sets it
        self.tracker: Callable[[], MeetingTracker | None] = lambda: None
        self._sinks = dict(sinks)
        journal = settings.journal
        self._dedup = Dedup(journal.dedup_entries, journal.dedup_window_s, journal.dedup_untimed_window_s)
        self._recalled = 0
        self._keys = KeyFile(settings.data_dir / "journal" / "keys.snapshot", spare_bytes=journal.min_free_bytes)
        self._stack = AsyncExitStack()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._background: list[asyncio.Task[None]] = []

    def look_ahead(self) -> None:
        """Read what takes long while another process still has the journal. For a thread, before ``open``."""
        folder = self.settings.data_dir / "journal"
        self._recalled = recall_ahead(folder, self.settings.journal.dedup_entries, self._dedup, self._keys)

    async def open(self) -> None:
        """Take the data folder and open the journal. Raises ``ReceiverError``, ``OSError``, ``sqlite3.Error``."""
        settings, journal = self.settings, self.settings.journal
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        held = lock(settings.data_dir)
        self._stack.callback(os.close, held)
        folder = settings.data_dir / "journal"
        self.state = State(folder / "state.db")
        self._stack.push_async_callback(self.state.close)
        self.journal = SqliteJournal(folder, lane_limits(settings), max(self.state.cursors.values(), default=0))
        self._stack.push_async_callback(self.journal.close)
        self.journal.recall(journal.dedup_entries, self._dedup, self._recalled, self._keys)
        marks = Marks(journal.min_free_media_bytes, journal.min_free_transcript_bytes)
        self.shedding = Shedding(marks, self.ledger.shed)
        self.intake = Intake(self.journal, self._dedup, decode_record, self.shedding)
        self.pace = Pace(lambda: self.journal.head)
        self.helper = Helper(self._hello, held, self.journal.mark, self._is_held_up)
        self.desk = Desk(
            settings.accounts,
            journal=self.journal,
            state=self.state,
            decode=decode_record,
            pace=self.pace,
            take=self._take_fetched,
            known=lambda source, subject, upto: known_of(self.tracker(), source, subject, upto),
            times=self._fetch_times,
            pacing=self._fetch_pacing,
        )
        self._stack.push_async_callback(self.desk.stop)
        self._chores = Chores(journal, self.journal, self.state, self.ledger, self.workers, self._dedup, self._keys)
        for name in self._sinks:
            self._make_worker(name)

    async def start(self) -> None:
        """Tell of streams that the last run left open, start the sinks."""
        self._tasks = await self._stack.enter_async_context(asyncio.TaskGroup())
        self._stack.push_async_callback(self.desk.stop)
        for name in self.workers:
            await self._start_worker(name)
        watch = watch_disk(self.settings.data_dir, self.journal, self.shedding)
        parts = (
            *self._chores.for_ever(),
            self.helper.run(),
            watch,
            give_back_memory(self.journal.let_go),
        )
        self._background = [self._tasks.create_task(part) for part in parts]
        streams = StreamBook(self.settings.server.resume_s)
        await close_lost_streams(self.state, self.journal, streams)
        lane = self.journal.lanes[MEDIA]
        gather = MediaGather(_GATHER_S, lambda: lane.pending_bytes > 0, self.journal, self.shedding)
        self.rim = Rim(self.intake, streams, gather, self.state)
        self.desk.start(self._tasks)

    def begin_review(self) -> None:
        """Look at what of the journal was left for later, so that it did not hold up the start."""
        self._background.append(self._tasks.create_task(self._chores.review()))

    async def stop(self, drain_s: float) -> None:
        """Commit what was taken, give the sinks ``drain_s`` for what is in the journal, close. The last second of that
        is for the writes under way, so that none of them is torn."""
        await self._settle()
        for worker in self.workers.values():
            worker.drain()
        last_s = min(_LAST_WRITE_S, drain_s / 2)
        if late := await self._late(drain_s - last_s):
            log.warning("server.drain.incomplete", sinks=late)
            for name in late:
                self.workers[name].halt()
            await self._end_workers(last_s, "server.halt.incomplete", late)
        await self._chores.keep_keys_at_stop()
        await self.close()

    async def halt(self, limit_s: float) -> None:
        """Commit what was taken and let go of the data folder, with the sinks where they are. A write under way has
        ``limit_s``; one that takes longer is left behind, and the next process repeats it."""
        await self._settle()
        for worker in self.workers.values():
            worker.halt()
        await self._end_workers(limit_s, "server.halt.incomplete")
        await self.close()

    async def close(self) -> None:
        """End all tasks, flush cursors, close the journal."""
        for task in (*self._running.values(), *self._background):
            task.cancel()
        await self._stack.aclose()

    async def use_sinks(
        self, settings: Settings, sinks: Mapping[str, Made], changed: Iterable[str], limit_s: float
    ) -> None:
        """Have ``sinks`` from now on; ``changed`` names those that are gone, new or different. The others go on
        untouched. A different one goes on where it was; a new one begins with the oldest event in the journal."""
        names = set(changed)
        self.settings = settings
        for name in names:
            if name in self.workers:
                self.workers[name].halt()
        await self._end_workers(limit_s, "sink.halt.incomplete", names)
        self._sinks = dict(sinks)
        for name in sorted(names):
            self._running.pop(name, None)
            self.workers.pop(name, None)
            self.ledger.sinks.pop(name, None)
            if name in sinks:
                self._make_worker(name)
                await self._start_worker(name)

    def pending(self, sink: str) -> int:
        """Sequence numbers that wait for a sink."""
        book = self.ledger.sink(sink)
        return book.backlog + self.journal.positions(media=self.workers[sink].media) - book.done

    @asynccontextmanager
    async def at_rest(self) -> AsyncIterator[None]:
        """Open without port and deliveries, for commands while no server runs. Sinks do only what is ordered."""
        async with self._stack:
            await self.open()
            problem: BaseException | None = None
            async with asyncio.TaskGroup() as tasks:
                running = [tasks.create_task(worker.run(live=False)) for worker in self.workers.values()]
                try:
                    yield
                    for worker in self.workers.values():
                        worker.drain()
                except BaseException as error:  # as it is: the group would wrap it
                    problem = error
                    for task in running:
                        task.cancel()
            if problem is not None:
                raise problem

    async def retry_dead(self, numbers: Iterable[int], tell: Tell) -> None:
        """Try dead letters again; ``tell`` is called with the outcome of each."""
        await Retry(self.workers, self.state.dead, self.journal, decode_record).run(numbers, tell)

    def replay(self, order: ReplayOrder) -> Replay:
        """A replay, to be run. Raises ``NotFound`` for an unknown sink, ``Malformed``."""
        worker = self.workers.get(order.sink)
        if worker is None:
            raise NotFound(f"no sink is called {order.sink!r}; there are: {', '.join(self.workers) or 'none'}")
        return Replay(order, worker, self.journal, decode_record)

    async def retry_quarantined(self, sequence: int) -> str:
        """Decode a quarantined record once more; what became of it, in a sentence."""
        return await retry_record(self.journal.folder, self.journal.lanes[QUARANTINE], self.intake, sequence)

    def gauges(self) -> Iterable[Gauge]:
        """What ``/metrics`` shows of sinks and journal, read at that moment."""
        for name in self.workers:
            sink, book = {"sink": name}, self.ledger.sink(name)
            yield "receiver_sink_pending", "Sequence numbers that wait for the sink.", sink, self.pending(name)
            yield "receiver_sink_up", "1 while the last attempt went well.", sink, float(book.connected)
            away = float(self.workers[name].is_away)
            yield "receiver_sink_away", "1 while the helper process delivers what the sink has missed.", sink, away
            lying = self.state.dead.counts.get(name, 0)
            yield "receiver_dead_letters", "Dead letters that lie there: `receiver dead list`.", sink, lying
        for name, lane in self.journal.lanes.items():
            which = {"lane": name}
            yield "receiver_journal_positions", "Sequence numbers journalled since start.", which, lane.positions
            yield "receiver_journal_pending_bytes", "Bytes that wait for the writer.", which, lane.pending_bytes
            yield "receiver_journal_disk_bytes", "Bytes on disk.", which, lane.disk_bytes()
            yield "receiver_journal_failing", "1 while commits fail.", which, float(lane.error is not None)
        yield from self.desk.gauges()
        yield "receiver_journal_head", "The last sequence number given out.", {}, self.journal.head

    def _is_held_up(self) -> bool:
        return any(worker.is_held_up for worker in self.workers.values())

    def _hello(self) -> Hello:
        return Hello(str(self.settings.data_dir), msgspec.to_builtins(self.settings.log))

    def _make_worker(self, name: str) -> None:
        sink, config = self._sinks[name]
        keys, far_s = self.settings.sinks.get(name), self.settings.server.helper_after_s
        self.workers[name] = SinkWorker(
            name,
            sink,
            config,
            journal=self.journal,
            state=self.state,
            book=self.ledger.sink(name),
            decode=decode_record,
            pace=self.pace,
            away=Away(self.helper, keys, far_s) if keys and far_s and is_portable(sink) else None,
        )

    async def _start_worker(self, name: str) -> None:
        worker = self.workers[name]
        self.ledger.sink(name).backlog = await self.journal.backlog(worker.cursor, media=worker.media)
        self._running[name] = self._tasks.create_task(worker.run(), name=name)

    async def _take_fetched(self, record: Record) -> Fate:
        """An answer of a vendor is a delivery like any other. Raises ``JournalUnavailable``."""
        book = self.ledger.endpoint(record.vendor, record.endpoint)
        await self.intake.room()
        book.received += 1
        book.bytes += len(record.payload)
        return (await self.intake.accept(record, book)).fate

    async def _settle(self) -> None:
        await self.desk.stop()
        self.rim.media.flush()
        await self.journal.settle()

    async def _end_workers(self, limit_s: float, late_event: str, names: Collection[str] | None = None) -> None:
        """Wait for workers (all, or ``names``) that were told to end; cancel those that are late."""
        if late := await self._late(limit_s, names):
            log.warning(late_event, sinks=late)
        for name in late:
            self._running[name].cancel()

    async def _late(self, limit_s: float, names: Collection[str] | None = None) -> list[str]:
        """Those of ``names`` (or of all) that have not ended when the time is over."""
        ending = [task for name, task in self._running.items() if names is None or name in names]
        if not ending:
            return []
        _, late = await asyncio.wait(ending, timeout=limit_s)
        return [task.get_name() for task in late]
