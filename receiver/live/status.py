"""``GET /live/status``: how the server does, for whoever looks at it: its sinks, and what became of what came in.

The numbers are those of ``/metrics``, the texts those of ``/readyz``: as JSON, for readers with the scope ``events``.
"""

import time
from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec
from aiohttp import web

from receiver import __version__
from receiver.delivery.worker import SinkWorker
from receiver.errors import Overloaded
from receiver.events import format_time
from receiver.journal.base import Journal
from receiver.journal.state import State
from receiver.live.access import Access, Grant
from receiver.telemetry.ledger import Intake, Ledger

_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_encode = msgspec.json.Encoder().encode


class _Shedding(Protocol):
    def status(self) -> str: ...


class _Journal(Journal, Protocol):
    @property
    def error(self) -> str | None: ...


class Server(Protocol):
    """What is shown of a server while it has the journal."""

    @property
    def ledger(self) -> Ledger: ...
    @property
    def workers(self) -> Mapping[str, SinkWorker]: ...
    @property
    def journal(self) -> _Journal: ...
    @property
    def state(self) -> State: ...
    @property
    def shedding(self) -> _Shedding: ...
    def pending(self, sink: str) -> int: ...


class SinkStatus(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One sink. ``up``: the last attempt went well; ``failures``: attempts that failed since; ``error``: why.

    ``pending``: sequence numbers that wait; ``lag_s``: how long ago the first of them arrived; absent where none waits.
    ``dead_letters``: those that lie there. ``busy``: a call that takes long.
    """

    name: str
    type: str
    up: bool
    pending: int
    delivered: int
    dead_letters: int
    failures: int
    lag_s: float | None = None
    error: str | None = None
    busy: str | None = None


class EndpointStatus(msgspec.Struct, kw_only=True):
    """The book of one endpoint since start. ``balanced``: each thing received is accounted for."""

    vendor: str
    name: str
    received: int
    journalled: int
    duplicates: int
    refused: int
    quarantined: int
    failed: int
    events: int
    bytes: int
    sockets_open: int
    balanced: bool


class StatusView(msgspec.Struct, kw_only=True):
    """The answer. ``by``, ``reader``, ``scopes``: with what right it was given. ``journal``, ``shedding``: ``ok``, or
    what is wrong."""

    version: str
    time: str
    by: str
    reader: str
    scopes: list[str]
    journal: str
    shedding: str
    sockets_open: int
    sinks: list[SinkStatus]
    endpoints: list[EndpointStatus]


class StatusBoard:
    """``serving``: whether the server has its journal now."""

    def __init__(self, access: Access, server: Callable[[], Server]) -> None:
        self.serving = False
        self._access = access
        self._server = server
        #: of each sink that waits: behind which number, and when the first that waits there arrived
        self._firsts: dict[str, tuple[int, int]] = {}

    async def handle(self, request: web.Request) -> web.Response:
        """Raises ``Unauthorized``, ``Forbidden``, ``Overloaded`` (the journal is not there now)."""
        grant = self._access.require(request, "events")
        if not self.serving:
            raise Overloaded("the server is starting or stopping: ask again")
        body = _encode(await self._view(grant))
        return web.Response(body=body, content_type="application/json", charset="utf-8", headers=_HEADERS)

    async def _view(self, grant: Grant) -> StatusView:
        server = self._server()
        intake = server.ledger.intake
        return StatusView(
            version=__version__,
            time=format_time(time.time_ns()),
            by=grant.by,
            reader=grant.credential.reader.lstrip("-"),
            scopes=sorted(grant.credential.scopes),
            journal=server.journal.error or "ok",
            shedding=server.shedding.status(),
            sockets_open=sum(book.sockets_open for book in intake.values()),
            sinks=[await self._sink(server, worker) for worker in list(server.workers.values())],
            endpoints=[_endpoint(name, book) for name, book in intake.items()],
        )

    async def _sink(self, server: Server, worker: SinkWorker) -> SinkStatus:
        name, book = worker.name, server.ledger.sink(worker.name)
        pending = max(0, server.pending(name))
        first_ns = await self._first_ns(server.journal, worker) if pending else 0
        return SinkStatus(
            name=name,
            type=worker.config.type,
            up=book.connected,
            pending=pending,
            delivered=book.delivered,
            dead_letters=server.state.dead.counts.get(name, 0),
            failures=book.failures,
            lag_s=round(max(0, time.time_ns() - first_ns) / 1e9, 3) if first_ns else None,
            error=book.error or None,
            busy=book.long_busy(time.monotonic()) or None,
        )

    async def _first_ns(self, journal: Journal, worker: SinkWorker) -> int:
        """When the first record that waits for a sink arrived; 0 where it can be read no more. A sink that stands still
        is looked up once, and past what readers share: this is no reader."""
        after = worker.cursor
        known = self._firsts.get(worker.name)
        if known is not None and known[0] == after:
            return known[1]
        records, _ = await journal.reread(after, journal.head, media=worker.media, limit_bytes=1)
        first_ns = records[0].received_ns if records else 0
        if first_ns:
            self._firsts[worker.name] = after, first_ns
        return first_ns


def _endpoint(name: str, book: Intake) -> EndpointStatus:
    vendor, _, endpoint = name.partition("/")
    return EndpointStatus(
        vendor=vendor,
        name=endpoint,
        received=book.received,
        journalled=book.journalled,
        duplicates=book.duplicates,
        refused=book.refused,
        quarantined=book.quarantined,
        failed=book.failed,
        events=book.events,
        bytes=book.bytes,
        sockets_open=book.sockets_open,
        balanced=book.balanced,
    )
