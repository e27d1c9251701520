"""Wiring only: builds the parts, starts and drains them in order. No logic of its own."""

import asyncio
import os
import secrets
import sqlite3
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import cast

import structlog
from aiohttp import web

from receiver.delivery.dead import Retry, Tell
from receiver.delivery.replay import Replay, ReplayOrder
from receiver.delivery.worker import SinkWorker
from receiver.errors import NotFound
from receiver.ingress.doors import Doors
from receiver.ingress.guard import Guard
from receiver.ingress.http import Deliveries
from receiver.ingress.intake import Intake
from receiver.ingress.limits import Attempts
from receiver.ingress.media import MediaGather
from receiver.ingress.ops import Ops
from receiver.ingress.orders import Orders
from receiver.ingress.quarantine import retry_record
from receiver.ingress.recovery import close_lost_streams
from receiver.ingress.routes import build_app
from receiver.ingress.stream import Rim
from receiver.ingress.streams import StreamBook
from receiver.ingress.websocket import Sockets
from receiver.journal.base import QUARANTINE
from receiver.journal.dedup import Dedup
from receiver.journal.sqlite import SqliteJournal
from receiver.journal.state import State
from receiver.plugins import check_vendors, make_sinks
from receiver.resources import lane_limits, lock, tls_context
from receiver.secretfiles import Runtime, remove_runtime, with_auto_tokens, write_runtime
from receiver.settings import Settings
from receiver.telemetry.ledger import Ledger
from receiver.telemetry.metrics import LedgerCollector, registry
from receiver.vendors import decode_record

log = structlog.get_logger()
_GATHER_S = 0.01
_FLUSH_S = 0.2
_TRIM_S = 2.0
_LEAST_DRAIN_S = 0.5
#: how long the unread rest of a refused body is read and thrown away, so that its sender sees the answer
_LINGER_S = 1.0
#: read ahead of a body that nobody takes yet, at most about four times as much
_READ_BYTES = 64 << 10


class Receiver:
    """One server. ``await start()``, then ``await stop()``; each at most once."""

    def __init__(self, settings: Settings) -> None:
        check_vendors(settings)
        self._sinks = make_sinks(settings)
        self.settings = settings = with_auto_tokens(settings)
        self.ledger = Ledger()
        self.workers: dict[str, SinkWorker] = {}
        self._stack = AsyncExitStack()
        self._worker_tasks: list[asyncio.Task[None]] = []
        self._background: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Open the journal, start the sinks, listen. Raises ``ReceiverError`` or ``OSError``; then nothing runs."""
        try:
            await self._open_journal()
            await self._start_tasks()
            await self._listen(self._build_ingress(await self._recover_streams()))
        except BaseException:
            for task in (*self._worker_tasks, *self._background):
                task.cancel()
            await self._stack.aclose()
            raise

    async def stop(self) -> None:
        """Stop accepting, finish requests, close sockets (1001), flush sinks, all within ``server.drain_s``."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + self.settings.server.drain_s
        self._ops.draining = True
        self._ops.orders.stop()
        self._listener.close()
        await self.sockets.close_all()
        await self._runner.cleanup()
        self._media.flush()
        await self.journal.settle()
        for worker in self.workers.values():
            worker.drain()
        if self._worker_tasks:
            left_s = max(_LEAST_DRAIN_S, deadline_s - loop.time())
            _, late = await asyncio.wait(self._worker_tasks, timeout=left_s)
            if late:
                log.warning("server.drain.incomplete", sinks=[task.get_name() for task in late])
        for task in (*self._worker_tasks, *self._background):
            task.cancel()
        await self._stack.aclose()

    def pending(self, sink: str) -> int:
        """Sequence numbers that wait for a sink."""
        book = self.ledger.sink(sink)
        return book.backlog + self.journal.positions(media=self.workers[sink].media) - book.done

    async def _open_journal(self) -> None:
        settings = self.settings
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        self._stack.callback(os.close, lock(settings.data_dir))
        folder = settings.data_dir / "journal"
        self.state = State(folder / "state.db")
        self._stack.push_async_callback(self.state.close)
        self.journal = SqliteJournal(folder, lane_limits(settings), max(self.state.cursors.values(), default=0))
        self._stack.push_async_callback(self.journal.close)

    async def _recover_streams(self) -> StreamBook:
        streams = StreamBook(self.settings.server.resume_s)
        await close_lost_streams(self.state, self.journal, streams)
        return streams

    async def _start_tasks(self) -> None:
        tasks = await self._stack.enter_async_context(asyncio.TaskGroup())
        self._make_workers()
        for name, worker in self.workers.items():
            backlog = await self.journal.positions_behind(worker.cursor, media=worker.media)
            self.ledger.sink(name).backlog = backlog
        for name, worker in self.workers.items():
            self._worker_tasks.append(tasks.create_task(worker.run(), name=name))
        self._background = [tasks.create_task(self._flush()), tasks.create_task(self._trim())]

    def _make_workers(self) -> None:
        for name, (sink, config) in self._sinks.items():
            book = self.ledger.sink(name)
            self.workers[name] = SinkWorker(
                name, sink, config, journal=self.journal, state=self.state, book=book, decode=decode_record
            )

    def _build_ingress(self, streams: StreamBook) -> web.Application:
        settings, server = self.settings, self.settings.server
        self._open_intake()
        self._media = MediaGather(_GATHER_S)
        guard = Guard(settings.endpoints)
        for one in settings.endpoints:
            self.ledger.endpoint(one.vendor, one.name)
        self.sockets = Sockets(guard, Rim(self.intake, streams, self._media, self.state), self.ledger, server)
        deliveries = Deliveries(guard, self.intake, self.ledger, server)
        self._admin_token = secrets.token_urlsafe(24)
        self._ops = Ops(
            data_dir=settings.data_dir,
            min_free_bytes=settings.journal.min_free_bytes,
            journal=self.journal,
            ledger=self.ledger,
            sockets=self.sockets,
            own=registry(LedgerCollector(self.ledger, self._gauges)),
            admin_tokens=(self._admin_token, settings.admin_token),
            retry=self.retry_quarantined,
            orders=lambda require_admin: Orders(
                dead=self.state.dead, retry=self.retry_dead, replay=self.replay, require_admin=require_admin
            ),
        )
        self.budget = deliveries.budget
        self.doors = Doors(server.max_connections, server.head_timeout_s)
        attempts = Attempts(server.max_bad_tokens_per_minute)
        return build_app(deliveries, self.sockets, self._ops, self.doors, attempts, server.max_body_bytes)

    def _open_intake(self) -> None:
        journal = self.settings.journal
        dedup = Dedup(journal.dedup_entries, journal.dedup_window_s, journal.dedup_untimed_window_s)
        self.journal.recall(journal.dedup_entries, dedup)
        self.intake = Intake(self.journal, dedup, decode_record)

    async def _listen(self, app: web.Application) -> None:
        settings, server = self.settings, self.settings.server
        self._runner = web.AppRunner(
            app,
            access_log=None,
            handle_signals=False,
            shutdown_timeout=server.drain_s,
            lingering_time=_LINGER_S,
            keepalive_timeout=server.idle_timeout_s,
            read_bufsize=_READ_BYTES,
            auto_decompress=False,
        )
        await self._runner.setup()
        self._stack.push_async_callback(self._runner.cleanup)
        tls = tls_context(settings)
        serve = cast(web.Server, self._runner.server)
        self._listener = await self.doors.listen(serve, server.host, server.port, tls)
        self._stack.callback(self._listener.close)
        port = self._listener.sockets[0].getsockname()[1]
        host = server.host if server.host not in ("0.0.0.0", "::", "") else "127.0.0.1"  # noqa: S104 - only shown
        self.url = f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
        write_runtime(settings.data_dir, Runtime(os.getpid(), self.url, self._admin_token))
        self._stack.callback(remove_runtime, settings.data_dir)

    async def _flush(self) -> None:
        while True:
            await asyncio.sleep(_FLUSH_S)
            await self.state.flush()

    async def _trim(self) -> None:
        while True:
            await asyncio.sleep(_TRIM_S)
            cursors = {name: worker.taken for name, worker in self.workers.items()}
            media = {name: worker.taken for name, worker in self.workers.items() if worker.media}
            try:
                lost = await self.journal.trim(cursors, media)
            except (OSError, sqlite3.Error) as error:
                log.error("journal.trim.failed", error=str(error))
                continue
            await self._trim_dead()
            for name, count in lost.items():
                if count:
                    self.ledger.sink(name).expired += count
                    log.error("sink.expired", sink=name, events=count)

    async def _trim_dead(self) -> None:
        """Dead letters stay for as long as what lies in quarantine does."""
        limits = self.settings.journal.quarantine
        try:
            removed = await self.state.dead.trim(time.time_ns(), limits.max_bytes, limits.max_age_s)
        except sqlite3.Error as error:
            log.error("dead.trim.failed", error=str(error))
        else:
            if removed:
                log.error("dead.expired", letters=removed)

    @asynccontextmanager
    async def at_rest(self) -> AsyncIterator[None]:
        """The journal without port and deliveries, for commands while no server runs. Sinks do only what is ordered."""
        async with self._stack:
            await self._open_journal()
            self._open_intake()
            self._make_workers()
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

    def _gauges(self) -> Iterable[tuple[str, str, dict[str, str], float]]:
        for name, book in self.ledger.sinks.items():
            sink = {"sink": name}
            yield "receiver_sink_pending", "Sequence numbers that wait for the sink.", sink, self.pending(name)
            yield "receiver_sink_up", "1 while the last attempt went well.", sink, float(book.connected)
            lying = self.state.dead.counts.get(name, 0)
            yield "receiver_dead_letters", "Dead letters that lie there: `receiver dead list`.", sink, lying
        for name, intake in self.ledger.intake.items():
            labels = dict(zip(("vendor", "endpoint"), name.split("/", 1), strict=True))
            yield "receiver_sockets_open", "Open WebSockets.", labels, intake.sockets_open
        for name, lane in self.journal.lanes.items():
            which = {"lane": name}
            yield "receiver_journal_positions", "Sequence numbers journalled since start.", which, lane.positions
            yield "receiver_journal_pending_bytes", "Bytes that wait for the writer.", which, lane.pending_bytes
            yield "receiver_journal_disk_bytes", "Bytes on disk.", which, lane.disk_bytes()
            yield "receiver_journal_failing", "1 while commits fail.", which, float(lane.error is not None)
        yield "receiver_connections_open", "Open connections, sockets included.", {}, self.doors.open
        yield "receiver_connections_turned_away", "Those that found no place, since start.", {}, self.doors.turned_away
        yield "receiver_body_bytes", "Bytes of bodies under way.", {}, self.budget.held_bytes
        yield "receiver_journal_head", "The last sequence number given out.", {}, self.journal.head
