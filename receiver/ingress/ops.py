"""What operators and their machines ask: health, readiness, metrics, and orders for a live server."""

import hmac
import shutil
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from receiver.errors import ConfigError, Unauthorized
from receiver.ingress.dial import Dialler, DialOrder
from receiver.ingress.orders import Orders, read_order
from receiver.ingress.websocket import Sockets
from receiver.telemetry.ledger import Ledger, SinkBook
from receiver.telemetry.metrics import Metrics


class Reloaded(msgspec.Struct, frozen=True):
    """What came of a reload: ``in place`` or ``restarted``; the sections that changed; who serves now."""

    how: str
    changed: list[str]
    pid: int


class _Reload(msgspec.Struct, forbid_unknown_fields=True):
    restart: bool = False


class _Command(msgspec.Struct, forbid_unknown_fields=True):
    bot: str
    command: str
    arguments: dict[str, Any] = {}


class _HangUp(msgspec.Struct, forbid_unknown_fields=True):
    dial: str


class Ops:
    """Handlers of ``/healthz``, ``/readyz``, ``/metrics`` and ``/api/…``."""

    def __init__(
        self,
        *,
        data_dir: Path,
        min_free_bytes: int,
        journal_error: Callable[[], str | None],
        shedding: Callable[[], str],
        ledger: Ledger,
        sockets: Sockets,
        dialler: Dialler,
        metrics: Metrics,
        admin_tokens: Iterable[str],
        retry: Callable[[int], Awaitable[str]],
        orders: Callable[[Callable[[web.Request], None]], Orders],
        reload: Callable[[bool], Awaitable[Reloaded]],
    ) -> None:
        """``orders`` is given what raises ``Unauthorized`` for a request without an admin token. ``journal_error``: why
        the last commit failed. ``reload`` is given whether a new process is wanted in any case."""
        self._data_dir = data_dir
        self._min_free_bytes = min_free_bytes
        self._journal_error = journal_error
        self._shedding = shedding
        self._ledger = ledger
        self._sockets = sockets
        self._dialler = dialler
        self._metrics = metrics
        self.use_tokens(admin_tokens)
        self._retry = retry
        self._reload = reload
        self.orders = orders(self._require_admin)
        self.draining = False
        #: another process has the journal now
        self.replaced = False

    def use_tokens(self, admin_tokens: Iterable[str]) -> None:
        """Take these from now on."""
        self._admin_tokens = [token.encode() for token in admin_tokens if token]

    async def healthz(self, request: web.Request) -> web.Response:
        """The process answers."""
        return web.json_response({"status": "ok"})

    async def readyz(self, request: web.Request) -> web.Response:
        """Whether deliveries can be made safe (503 if not). Sinks are reported and never make it red: they catch up."""
        if self.replaced:  # whoever asks on a new connection asks the other one
            return web.json_response({"status": "ready", "checks": {"serving": "another process has taken over"}})
        free = shutil.disk_usage(self._data_dir).free
        checks = {
            "journal": self._journal_error() or "ok",
            "disk": "ok" if free >= self._min_free_bytes else f"only {free} bytes free, wanted {self._min_free_bytes}",
            "shedding": self._shedding(),
            "serving": "draining" if self.draining else "ok",
        }
        ready = all(value == "ok" for value in checks.values())
        sinks = {name: self._sink_text(name, book) for name, book in self._ledger.sinks.items()}
        body = {"status": "ready" if ready else "not ready", "checks": checks, "sinks": sinks}
        return web.json_response(body, status=200 if ready else 503)

    async def metrics(self, request: web.Request) -> web.Response:
        """Prometheus text."""
        text = await self._metrics.text()
        return web.Response(body=text, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async def send(self, request: web.Request) -> web.Response:
        """``POST /api/send`` {bot, command, arguments}: carry out a command at a bot."""
        self._require_admin(request)
        order = await read_order(request, _Command)
        sent = await self._sockets.send(order.bot, order.command, order.arguments)
        return web.json_response({"sent": sent})

    async def dial(self, request: web.Request) -> web.Response:
        """``POST /api/dial``, a :class:`DialOrder`: dial a vendor's socket; see :class:`Dialled`.

        400 where the vendor does not let it in."""
        self._require_admin(request)
        order = await read_order(request, DialOrder)
        return web.json_response(msgspec.to_builtins(await self._dialler.order(order)))

    async def hang_up(self, request: web.Request) -> web.Response:
        """``POST /api/dial/end`` {dial}: close a socket that was dialled, and dial it no more; 404: it is not."""
        self._require_admin(request)
        order = await read_order(request, _HangUp)
        await self._dialler.hang_up(order.dial)
        return web.json_response({"ended": order.dial})

    async def reload(self, request: web.Request) -> web.Response:
        """``POST /api/reload`` {restart}: answered when what the config says now is in force; see :class:`Reloaded`.

        400 where the config is wrong, 503 where a new process did not come up: all is as it was then."""
        self._require_admin(request)
        order = await read_order(request, _Reload)
        try:
            reloaded = await self._reload(order.restart)
        except ConfigError as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response(msgspec.to_builtins(reloaded))

    async def retry(self, request: web.Request) -> web.Response:
        """``POST /api/quarantine/{sequence}/retry``: decode once more; what is understood now goes to the journal."""
        self._require_admin(request)
        return web.json_response({"result": await self._retry(int(request.match_info["sequence"]))})

    def _sink_text(self, name: str, book: SinkBook) -> str:
        parts = [book.error] if book.error else []
        if busy := book.long_busy(time.monotonic()):
            parts.append(busy)
        parts = parts or ["ok" if book.connected else "connecting"]
        if letters := self.orders.dead().counts.get(name):
            parts.append(f"{letters} dead letters")
        return "; ".join(parts)

    def _require_admin(self, request: web.Request) -> None:
        kind, _, given = request.headers.get("Authorization", "").partition(" ")
        shown = given.strip().encode("utf-8", "surrogatepass")
        fits = [hmac.compare_digest(shown, token) for token in self._admin_tokens]
        if kind.lower() != "bearer" or not any(fits):
            raise Unauthorized("missing or wrong admin token: send it as `Authorization: Bearer …` (config: [admin])")
