"""The live part of a server as one thing: its paths, who may use them, and when it serves. Wiring only."""

import asyncio
from collections.abc import Iterable

from aiohttp import web

from receiver.delivery.pace import Pace
from receiver.journal.base import Journal
from receiver.live.access import Access
from receiver.live.cors import PREFIXES, Cors
from receiver.live.events import LiveEvents, Parting
from receiver.live.login import Login
from receiver.live.reading import Source
from receiver.settings import Settings
from receiver.telemetry.metrics import Gauge
from receiver.vendors import decode_record


class Live:
    """``add_to`` the application once; ``start`` and ``stop`` as often as the server gets and gives up its journal."""

    def __init__(self, settings: Settings, runtime_token: str) -> None:
        """``runtime_token``: of the runtime file, for commands on this machine."""
        self.access = Access(settings, runtime_token)
        self._events = LiveEvents(self.access, settings.live.max_clients)
        self._login = Login(self.access)
        self._cors = Cors(self.access)

    def add_to(self, app: web.Application) -> None:
        """Its paths."""
        router = app.router
        router.add_get("/live/events", self._events.handle, allow_head=False)
        router.add_post("/login", self._login.login)
        router.add_post("/logout", self._login.logout)
        for prefix in PREFIXES:
            router.add_route("OPTIONS", prefix + "{path:.*}", self._cors.preflight)
        app.on_response_prepare.append(self._cors.mark)

    def use(self, settings: Settings) -> None:
        """Take tokens, origins and limits from ``settings`` from now on; readers whose token is gone have to go."""
        self.access.use(settings)
        self._events.max_clients = settings.live.max_clients
        self._events.recheck()

    def start(self, journal: Journal, pace: Pace, tasks: asyncio.TaskGroup) -> None:
        """Read from ``journal`` from now on."""
        self._events.start(Source(journal, pace, decode_record), tasks)

    async def stop(self, parting: Parting, wait_s: float) -> None:
        """Take leave of every reader, with this close code and reason; the journal is not read after it."""
        await self._events.stop(parting, wait_s)

    def gauges(self) -> Iterable[Gauge]:
        """What ``/metrics`` shows."""
        return self._events.gauges()
