"""The live part of a server as one thing: its paths, who may use them, and when it serves. Wiring only."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable

from aiohttp import web

from receiver.delivery.pace import Pace
from receiver.journal.base import Journal
from receiver.live.access import Access
from receiver.live.audio.feeds import Feeds
from receiver.live.audio.http import audio_routes
from receiver.live.cors import PREFIXES, Cors
from receiver.live.events import LiveEvents, Parting
from receiver.live.login import Login
from receiver.live.masking import Mask
from receiver.live.meetings import Meetings
from receiver.live.page import Page
from receiver.live.reading import Source
from receiver.live.status import Server, StatusBoard
from receiver.meetings.book import MeetingBook
from receiver.meetings.keeper import Keeper
from receiver.meetings.tracker import MeetingTracker
from receiver.settings import Settings
from receiver.telemetry.metrics import Gauge
from receiver.vendors import decode_record


class Live:
    """``add_to`` the application once; ``start`` and ``stop`` as often as the server gets and gives up its journal."""

    def __init__(self, settings: Settings, runtime_token: str, server: Callable[[], Server]) -> None:
        """``runtime_token``: of the runtime file, for commands on this machine. ``server``: whose status is shown."""
        self.access = Access(settings, runtime_token)
        self._settings = settings
        self._events = LiveEvents(self.access, settings.live.max_clients)
        self._meetings = Meetings(self.access)
        self._login = Login(self.access)
        self._status = StatusBoard(self.access, server)
        self._page = Page()
        self._cors = Cors(self.access)
        self._running: list[asyncio.Task[None]] = []
        self._keeper: Keeper | None = None

    def add_to(self, app: web.Application) -> None:
        """Its paths."""
        router = app.router
        router.add_get("/live/events", self._events.handle, allow_head=False)
        router.add_routes(audio_routes(lambda: self._feeds, self._may, mask_of=self._mask))
        self._meetings.add_to(router)
        router.add_get("/live/status", self._status.handle, allow_head=False)
        self._page.add_to(router)
        router.add_post("/login", self._login.login)
        router.add_post("/logout", self._login.logout)
        for prefix in PREFIXES:
            router.add_route("OPTIONS", prefix + "{path:.*}", self._cors.preflight)
        app.on_response_prepare.append(self._cors.mark)

    @property
    def tracker(self) -> MeetingTracker | None:
        """What keeps the book of meetings; ``None`` before the first ``start``."""
        return self._meetings.tracker

    @property
    def rebuilt(self) -> bool:
        """Whether everything that was in the journal at the start is in ``/meetings``."""
        return self._meetings.tracker is not None and self._meetings.tracker.caught_up.is_set()

    def use(self, settings: Settings) -> None:
        """Take tokens, origins and limits from ``settings`` from now on; readers whose token is gone have to go."""
        self.access.use(settings)
        self._events.max_clients = settings.live.max_clients
        self._events.recheck()

    def start(self, journal: Journal, pace: Pace, tasks: asyncio.TaskGroup) -> None:
        """Read from ``journal`` from now on."""
        meetings = self._settings.meetings
        self.access.ended.load()
        self._events.start(Source(journal, pace, decode_record), tasks)
        self._feeds = Feeds(journal, decode_record, self._settings.server.resume_s, pace)
        book = MeetingBook(
            most_meetings=meetings.most_meetings,
            most_characters=meetings.most_characters,
            quiet_s=meetings.quiet_s,
        )
        history_s, spare_bytes = meetings.history_s, self._settings.journal.min_free_bytes
        path = self._settings.data_dir / "meetings.snapshot"
        self._keeper = keeper = Keeper(path, journal, pace=pace, history_s=history_s, spare_bytes=spare_bytes)
        tracker = MeetingTracker(book, journal, decode_record, pace=pace, history_s=history_s, restore=keeper.load)
        self._meetings.tracker = tracker
        parts = (self._feeds.run(), tracker.run(), keeper.run(tracker))
        self._running = [tasks.create_task(part) for part in parts]
        self._status.serving = True

    async def stop(self, parting: Parting, wait_s: float) -> None:
        """Take leave of every reader, with this close code and reason; the journal is not read after it. Meetings are
        written down, if that takes no more than ``wait_s`` as well."""
        self._status.serving = False
        if self._running:
            self._feeds.close()
        await self._events.stop(parting, wait_s)
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        self._running = []
        keeper, self._keeper = self._keeper, None
        if keeper is not None and self.tracker is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await keeper.save(self.tracker)

    def _may(self, request: web.Request, scope: str) -> None:
        self.access.require(request, scope)

    def _mask(self, request: web.Request) -> Mask | None:
        return self.access.mask(self.access.require(request, "audio"))

    def gauges(self) -> Iterable[Gauge]:
        """What ``/metrics`` shows."""
        yield from self._events.gauges()
        if (tracker := self._meetings.tracker) is not None:
            book = tracker.book
            yield "receiver_meetings_known", "Meetings in memory.", {}, book.known
            yield "receiver_meetings_faults", "Events that could not be folded, since start.", {}, book.faults
