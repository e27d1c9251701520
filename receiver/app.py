"""Wiring only: builds the parts, starts and drains them in order. No logic of its own.

The front answers on the one port; the engine behind it has the journal. A reload changes parts of a running server, a
hand-over gives the port and the journal to another process.
"""

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import cast

from aiohttp import web

from receiver.delivery.dead import Tell
from receiver.delivery.replay import Replay, ReplayOrder
from receiver.delivery.worker import SinkWorker
from receiver.engine import Engine
from receiver.errors import ReceiverError
from receiver.fetching.base import Pacing
from receiver.fetching.jobs import Times
from receiver.fetching.orders import Came, FetchOrder
from receiver.ingress.dial import Dialler
from receiver.ingress.doors import Doors
from receiver.ingress.guard import Guard
from receiver.ingress.http import Deliveries
from receiver.ingress.intake import Intake, Outcome, Takes, hand_to
from receiver.ingress.lean import Lean
from receiver.ingress.limits import Attempts, Budget
from receiver.ingress.ops import Ops, Reloaded
from receiver.ingress.orders import Orders
from receiver.ingress.routes import Front, build_app
from receiver.ingress.shedding import Shedding
from receiver.ingress.websocket import GOING_AWAY, SERVICE_RESTART, Sockets
from receiver.journal.sqlite import SqliteJournal
from receiver.journal.state import State
from receiver.live.routes import Live
from receiver.plugins import check_vendors, make_sinks
from receiver.record import Record
from receiver.resources import tls_context
from receiver.secretfiles import Runtime, remove_runtime, with_auto_tokens, write_runtime
from receiver.settings import Settings
from receiver.telemetry.ledger import Ledger
from receiver.telemetry.metrics import Gauge, Metrics

_LEAST_DRAIN_S = 0.5
#: a hand-over waits so long for peers to agree to a closing, and for writes under way at sinks: deliveries wait as well
_HALT_S = 1.5
#: how long the unread rest of a refused body is read and thrown away, so that its sender sees the answer
_LINGER_S = 1.0
#: read ahead of a body that nobody takes yet, at most about four times as much
_READ_BYTES = 64 << 10


class Receiver:
    """One server. ``await start()``, then ``await stop()``; each at most once.

    ``listening``: sockets to serve on in place of ``server.host`` and ``server.port``.
    """

    def __init__(
        self,
        settings: Settings,
        listening: Sequence[socket.socket] = (),
        *,
        fetch_times: Times = Times(),  # noqa: B008 - frozen
        fetch_pacing: Pacing = Pacing(),  # noqa: B008 - frozen
    ) -> None:
        check_vendors(settings)
        sinks = make_sinks(settings)
        self.settings = settings = with_auto_tokens(settings)
        self.ledger = Ledger()
        self._fetching = fetch_times, fetch_pacing
        self.engine = Engine(settings, sinks, self.ledger, *self._fetching)
        server = settings.server
        self.doors = Doors(server.max_connections, server.head_timeout_s, server.idle_timeout_s)
        #: what ``POST /api/reload`` does; whoever runs the server sets it
        self.on_reload: Callable[[bool], Awaitable[Reloaded]] = _cannot_reload
        self._tls = tls_context(settings)
        self._given = listening
        self._stack = AsyncExitStack()

    @property
    def journal(self) -> SqliteJournal:
        return self.engine.journal

    @property
    def state(self) -> State:
        return self.engine.state

    @property
    def intake(self) -> Intake:
        return self.engine.intake

    @property
    def shedding(self) -> Shedding:
        return self.engine.shedding

    @property
    def workers(self) -> dict[str, SinkWorker]:
        return self.engine.workers

    @property
    def sockets(self) -> Sockets:
        return self._front.sockets

    @property
    def budget(self) -> Budget:
        return self._front.deliveries.budget

    async def start(self) -> None:
        """Open the journal, start the sinks, listen. Raises ``ReceiverError`` or ``OSError``; then nothing runs."""
        try:
            await self.engine.open()
            await self.engine.start()
            await self._listen(self._build_front())
            self.engine.begin_review()
        except BaseException:
            await self.engine.close()
            await self._stack.aclose()
            raise

    async def stop(self) -> None:
        """Stop accepting, finish requests, close sockets (1001), flush sinks, all within ``server.drain_s``."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + self.settings.server.drain_s
        self._front.leaving = self._front.ops.draining = True
        self._front.ops.orders.stop()
        self.doors.close()
        await self.live.stop(GOING_AWAY, _HALT_S)
        await asyncio.gather(self.sockets.close_all(GOING_AWAY), self.dialler.stop(GOING_AWAY))
        await self.doors.finish(max(_LEAST_DRAIN_S, deadline_s - loop.time()))
        await self._runner.cleanup()
        await self.engine.stop(max(_LEAST_DRAIN_S, deadline_s - loop.time()))
        await self._stack.aclose()

    # ---- a reload, or another process that goes on

    async def use(self, settings: Settings, changed_sinks: Iterable[str], changed_dials: Iterable[str] = ()) -> None:
        """Take tokens, signing secrets, sinks and dials from ``settings`` from now on, and interrupt nothing else.

        Raises ``ConfigError`` before anything is changed."""
        check_vendors(settings)
        sinks = make_sinks(settings)
        self.settings = settings = with_auto_tokens(settings)
        self._guard.use(settings.endpoints)
        self._front.ops.use_tokens(self._admin_tokens())
        self.live.use(settings)
        for one in settings.endpoints:
            self.ledger.endpoint(one.vendor, one.name)
        await self.engine.use_sinks(settings, sinks, changed_sinks, _HALT_S)
        await self.engine.desk.use(settings.accounts)
        await self.dialler.use(settings.dials, changed_dials)

    def listening(self) -> list[socket.socket]:
        """The sockets that are listened on, once more: for a process that goes on there."""
        return self.doors.duplicates()

    async def let_go(self, successor: Takes) -> None:
        """Give up port, sockets (1012, those that we dialled 1001) and journal; deliveries under way go to
        ``successor``, which may not have begun yet. The connections that are there are served on."""
        front = self._front
        with contextlib.suppress(OSError):  # commands that come now wait for the successor; nobody else needs it
            write_runtime(self.settings.data_dir, Runtime(os.getpid(), "", ""))
        self._kept = self.doors.duplicates()
        self.doors.close()
        front.leaving = True
        front.ops.orders.stop()
        await self.live.stop(SERVICE_RESTART, _HALT_S)
        await asyncio.gather(front.sockets.close_all(SERVICE_RESTART, _HALT_S), self.dialler.stop(GOING_AWAY, _HALT_S))
        front.ops.replaced = True
        front.deliveries.intake = successor
        await self.engine.halt(_HALT_S)

    async def take_back(self) -> None:
        """After ``let_go``, where the successor did not come up: go on as if nothing had been."""
        front = self._front
        self.ledger.sinks.clear()  # their books begin with what waits in the journal
        self.engine = Engine(self.settings, make_sinks(self.settings), self.ledger, *self._fetching)
        self.engine.tracker = lambda: self.live.tracker
        await self.engine.open()
        await self.engine.start()
        front.deliveries.intake = self.engine.intake
        front.sockets.resume(self.engine.rim)
        self.dialler.start(self.engine.rim, self._tasks)
        self.live.start(self.journal, self.engine.pace, self._tasks)
        front.ops.orders.resume()
        front.leaving = front.ops.replaced = False
        self._given, self._kept = self._kept, []
        await self._open_doors()
        self.engine.begin_review()

    async def linger(self) -> None:
        """After ``let_go``: serve the connections that are left until they end, at most for ``server.drain_s``."""
        for one in self._kept:
            one.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.settings.server.drain_s):
                await self.doors.empty.wait()
        await self._stack.aclose()

    async def take_relayed(self, record: Record, reason: str) -> Outcome:
        """A delivery that came on a connection of the process before this one; ``reason``: it belongs into quarantine.

        Raises ``JournalUnavailable``."""
        book = self.ledger.endpoint(record.vendor, record.endpoint)
        book.received += 1
        book.bytes += len(record.payload)
        return await hand_to(self._front.deliveries.intake, record, reason, book)

    # ---- for commands, and for what answers them

    def pending(self, sink: str) -> int:
        """Sequence numbers that wait for a sink."""
        return self.engine.pending(sink)

    @asynccontextmanager
    async def at_rest(self) -> AsyncIterator[None]:
        """The journal without port and deliveries, for commands while no server runs. Sinks do only what is ordered."""
        async with self.engine.at_rest():
            yield

    async def retry_dead(self, numbers: Iterable[int], tell: Tell) -> None:
        """Try dead letters again; ``tell`` is called with the outcome of each."""
        await self.engine.retry_dead(numbers, tell)

    def replay(self, order: ReplayOrder) -> Replay:
        """A replay, to be run. Raises ``NotFound`` for an unknown sink, ``Malformed``."""
        return self.engine.replay(order)

    async def fetch(self, order: FetchOrder, tell: Callable[[Came], None]) -> None:
        """Ask a vendor now and journal what it answers; ``tell`` is called with what became of it."""
        await self.engine.desk.carry_out(order, tell)

    async def retry_quarantined(self, sequence: int) -> str:
        """Decode a quarantined record once more; what became of it, in a sentence."""
        return await self.engine.retry_quarantined(sequence)

    # ---- parts

    def _build_front(self) -> web.Application:
        settings, server = self.settings, self.settings.server
        self._guard = Guard(settings.endpoints)
        for one in settings.endpoints:
            self.ledger.endpoint(one.vendor, one.name)
        self._admin_token = secrets.token_urlsafe(24)
        self.live = Live(settings, self._admin_token, lambda: self.engine)
        self.engine.tracker = lambda: self.live.tracker
        sockets = Sockets(self._guard, self.engine.rim, self.ledger, server)
        self.dialler = Dialler(self.ledger, sockets.inflow, server, lambda: self.settings.endpoints)
        self.dialler.have(settings.dials)
        deliveries = Deliveries(self._guard, self.engine.intake, self.ledger, server)
        ops = Ops(
            data_dir=settings.data_dir,
            min_free_bytes=settings.journal.min_free_bytes,
            journal_error=lambda: self.journal.error,
            shedding=lambda: self.shedding.status(),
            ledger=self.ledger,
            sockets=sockets,
            dialler=self.dialler,
            metrics=Metrics(self.ledger, self._gauges),
            admin_tokens=self._admin_tokens(),
            retry=self.retry_quarantined,
            orders=lambda require_admin: Orders(
                dead=lambda: self.state.dead,
                retry=self.retry_dead,
                replay=self.replay,
                fetch=self.fetch,
                require_admin=require_admin,
            ),
            reload=lambda restart: self.on_reload(restart),
        )
        self._front = front = Front(deliveries, sockets, ops)
        self.doors.lean = Lean(deliveries, lambda: front.leaving)
        attempts = Attempts(server.max_bad_tokens_per_minute)
        return build_app(self._front, self.doors, attempts, server.max_body_bytes, self.live.add_to)

    async def _listen(self, app: web.Application) -> None:
        server = self.settings.server
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
        self._tasks = await self._stack.enter_async_context(asyncio.TaskGroup())
        self._stack.push_async_callback(self.live.stop, GOING_AWAY, _HALT_S)
        self._stack.push_async_callback(self.dialler.stop, GOING_AWAY, _HALT_S)
        self.dialler.start(self.engine.rim, self._tasks)
        self.live.start(self.journal, self.engine.pace, self._tasks)
        await self._open_doors()
        self._stack.callback(self.doors.close)
        self._stack.callback(remove_runtime, self.settings.data_dir)

    async def _open_doors(self) -> None:
        server = self.settings.server
        serve = cast(web.Server, self._runner.server)
        host, port = await self.doors.listen(serve, self._given or (server.host, server.port), self._tls)
        host = host if host not in ("0.0.0.0", "::", "") else "127.0.0.1"  # noqa: S104 - only shown
        self.url = f"{'https' if self._tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
        write_runtime(self.settings.data_dir, Runtime(os.getpid(), self.url, self._admin_token))

    def _admin_tokens(self) -> list[str]:
        """Who may give orders: commands on this machine, the config's admin, readers with that scope."""
        readers = [token for one in self.settings.readers if "admin" in one.scopes for token in one.tokens]
        return [self._admin_token, self.settings.admin_token, *readers]

    def _gauges(self) -> Iterable[Gauge]:
        yield from self.engine.gauges()
        yield from self.live.gauges()
        yield from self.dialler.gauges()
        for name, intake in self.ledger.intake.items():
            labels = dict(zip(("vendor", "endpoint"), name.split("/", 1), strict=True))
            yield "receiver_sockets_open", "Open WebSockets.", labels, intake.sockets_open
        yield "receiver_connections_open", "Open connections, sockets included.", {}, self.doors.open
        if self.doors.lean is not None:
            yield "receiver_posts_short", "Deliveries taken without aiohttp, since start.", {}, self.doors.lean.taken
        yield "receiver_connections_turned_away", "Those that found no place, since start.", {}, self.doors.turned_away
        yield "receiver_message_bytes", "Bytes of large messages under way.", {}, self.sockets.inflow.held_bytes
        yield "receiver_body_bytes", "Bytes of bodies under way.", {}, self.budget.held_bytes


async def _cannot_reload(restart: bool) -> Reloaded:
    raise ReceiverError("this server was not started by `receiver serve`: there is nothing to reload it from")
