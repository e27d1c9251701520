"""A vendor's client and a house around a fetcher: a real journal, an intake, and a book of meetings."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from receiver.delivery.pace import Pace
from receiver.delivery.retry import Backoff
from receiver.errors import JournalUnavailable
from receiver.events import Event
from receiver.fetching.base import Fate, Pacing
from receiver.fetching.fetcher import Fetcher
from receiver.fetching.jobs import Times
from receiver.fetching.known import known_of
from receiver.ingress.intake import Intake
from receiver.ingress.shedding import Marks, Shedding
from receiver.journal.base import EVENTS, MEDIA, QUARANTINE
from receiver.journal.dedup import Dedup
from receiver.journal.lane import LaneLimits
from receiver.journal.sqlite import SqliteJournal
from receiver.journal.state import State
from receiver.meetings.book import MeetingBook
from receiver.meetings.tracker import MeetingTracker
from receiver.record import Record
from receiver.rest.base import Account, Created, Fetched, Hints, Options, VendorApi, Webhook, Wiring
from receiver.telemetry.ledger import Intake as IntakeBook
from receiver.vendors import decode_record

KEY = "key-4711-secret"
#: as fast as it goes, and all the same in the right order
QUICK = Pacing(
    backoff=Backoff(first_s=0.001, most_s=0.002), calls_per_s=1e6, gather_s=0.0, move_s=0.0,
    trouble=Backoff(first_s=0.001, most_s=0.002),
)  # fmt: skip
AT_ONCE = Times(after_end_s=0.0, again_s=0.0, log_s=0.001)


def account(**keys: Any) -> Account:
    return Account(**{"vendor": "meetstream", "name": "default", "key": KEY, "give_up_s": 30.0, **keys})


class FakeOptions(Options, kw_only=True):
    """A create call with one field of each sort."""

    meeting_link: str
    bot_name: str = "Notetaker"
    video_required: bool = False
    timeout_s: msgspec.UnsetType | int = msgspec.UNSET
    join_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    custom_attributes: dict[str, Any] = msgspec.field(default_factory=dict)


class FakeApi(VendorApi):
    """Answers as it is told to: ``answers[kind]`` is a list of what each call gives in turn, the last one for ever. An
    error is raised; a function is given the subject."""

    VENDOR = "meetstream"
    BASE_URL = "https://api.example.org"
    CREATES: ClassVar[Literal["bot", "meeting", ""]] = "bot"
    OPTIONS: ClassVar[type[Options]] = FakeOptions
    OPENING = "meeting_link"
    KINDS = ("transcript", "summary", "participants")
    HINTS: ClassVar[Mapping[str, tuple[str, ...]]] = {"bot.special": ("summary",)}
    RECONCILES = True

    def __init__(self, one: Account, client: Any = None) -> None:
        super().__init__(one, client)
        self.answers: dict[str, list[Any]] = {}
        self.calls: list[tuple[str, str]] = []
        self.hints: list[Hints] = []
        self.at_once = self.most_at_once = 0
        #: while it is not set, no call is answered
        self.open = asyncio.Event()
        self.open.set()

    async def _give(self, kind: str, subject: str) -> Any:
        self.calls.append((kind, subject))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.open.wait()
        finally:
            self.at_once -= 1
        answers = self.answers.get(kind, [[]])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if callable(answer):
            answer = answer(subject)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def fetch(self, kind: str, subject: str, hints: Hints) -> list[Fetched]:
        self.hints.append(hints)
        found: list[Fetched] = await self._give(kind, subject)
        return found

    async def own_record(self, subject: str, hints: Hints) -> list[Fetched]:
        self.hints.append(hints)
        found: list[Fetched] = await self._give("own record" if subject else "delivery log", subject)
        return found

    async def create(self, wiring: Wiring, options: Options) -> Created:
        self.wiring, self.options = wiring, options
        created: Created = await self._give("create", "")
        return created

    async def remove(self, subject: str) -> str:
        return str(await self._give("remove", subject))

    async def status(self, subject: str) -> dict[str, Any]:
        told: dict[str, Any] = await self._give("status", subject)
        return told

    async def register(self, wiring: Wiring, events: tuple[str, ...], extra: Any) -> list[Webhook]:
        self.wiring, self.registered = wiring, (events, dict(extra))
        made: list[Webhook] = await self._give("register", "")
        return made

    async def webhooks(self) -> list[Webhook]:
        there: list[Webhook] = await self._give("webhooks", "")
        return there

    async def unregister(self, id_: str) -> None:
        await self._give("unregister", id_)


def answer(call: str, body: str = '{"text":"so"}', subject: str = "bot-1") -> Fetched:
    return Fetched(call=call, body=body.encode(), subject=subject)


class House:
    """What lies around a fetcher; ``deliver`` is what a vendor's push does."""

    def __init__(self, folder: Path) -> None:
        self.state = State(folder / "state.db")
        limits = dict.fromkeys((EVENTS, MEDIA, QUARANTINE), LaneLimits())
        self.journal = SqliteJournal(folder, limits, max(self.state.cursors.values(), default=0))
        dedup = Dedup(1000, 3600.0, 10.0)
        self.journal.recall(1000, dedup)
        self.intake = Intake(self.journal, dedup, decode_record, Shedding(Marks(0, 0), {}))
        self.ledger = IntakeBook()
        self.pace = Pace(lambda: self.journal.head)
        self.tracker = MeetingTracker(MeetingBook(), self.journal, decode_record, pace=self.pace)
        #: errors that the journal's next takings end with
        self.trouble: list[Exception] = []

    async def take(self, record: Record) -> Fate:
        self.ledger.received += 1
        if self.trouble:
            self.ledger.failed += 1
            raise self.trouble.pop()
        return (await self.intake.accept(record, self.ledger)).fate

    async def deliver(self, *bodies: dict[str, Any]) -> None:
        for body in bodies:
            record = Record(
                vendor="meetstream", endpoint="default", kind="body", payload=msgspec.json.encode(body),
                received_ns=time.time_ns(),
            )  # fmt: skip
            assert await self.take(record) == "accepted"

    def fetcher(self, api: FakeApi, times: Times = AT_ONCE, pacing: Pacing = QUICK) -> Fetcher:
        return Fetcher(
            api, journal=self.journal, state=self.state, decode=decode_record, pace=self.pace, take=self.take,
            known=lambda source, subject, upto: known_of(self.tracker, source, subject, upto),
            times=times, pacing=pacing,
        )  # fmt: skip

    async def answers(self) -> list[tuple[Record, list[Event]]]:
        """Everything of the channel ``rest`` that the journal holds, with its events."""
        await self.journal.settle()
        found: list[tuple[Record, list[Event]]] = []
        after, upto = -1, 0
        while after < upto:
            after = upto
            records, upto = await self.journal.read(after, media=False, limit_bytes=1 << 30)
            found += [(one, decode_record(one).events) for one in records if one.channel == "rest"]
        return found


@asynccontextmanager
async def house_in(folder: Path) -> AsyncIterator[House]:
    """With the book of meetings at work."""
    house = House(folder)
    try:
        async with asyncio.TaskGroup() as tasks:
            tracking = tasks.create_task(house.tracker.run())
            try:
                yield house
            finally:
                tracking.cancel()
    finally:
        await house.state.close()
        await house.journal.close()


@asynccontextmanager
async def working(fetcher: Fetcher) -> AsyncIterator[Fetcher]:
    """A fetcher at work, until the block ends."""
    fetcher.begin()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(fetcher.run())
        try:
            yield fetcher
        finally:
            task.cancel()


def journal_trouble() -> JournalUnavailable:
    return JournalUnavailable("disk on strike")
