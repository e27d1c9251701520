"""The stand-in itself: meetings that run, deliveries with their tries, and ``play_meetings``."""

import base64
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Any, ClassVar

from aiohttp import web

from receiver.simulator import speech as recording
from receiver.simulator.cloud import Cloud, CloudTally
from receiver.simulator.meemo.api import Api
from receiver.simulator.meemo.store import EVENTS, Entry, Hook, Meeting, Scheme, Store, callback, instant

#: seconds between a try that failed and the next one (sister product's schedule)
RETRIES_S = (60.0, 300.0, 1800.0, 7200.0)
_BOT_EARLY_S = 120.0
#: failures in a row after which a webhook is switched off, where that is asked for
_BREAKER = 3
_SOUNDS = ("mp3", "m4a", "wav", "ogg", "mp4", "webm", "mov", "flac")


class MeemoCloud(Cloud):
    """``client_id`` and ``client_secret`` open it; a token lasts ``token_s`` seconds. ``organizations``: id and name.

    Every delivery is signed with its webhook's own secret by ``scheme``; it is tried again after ``retries_s`` each
    where it was not answered 2xx. An import fails whose URL names neither sound nor film.
    """

    VENDOR: ClassVar[str] = "meemo"

    def __init__(
        self,
        *,
        client_id: str = "simulated-client",
        client_secret: str = "simulated-client-secret",  # noqa: S107 - opens nothing but this
        organizations: Iterable[tuple[int, str]] = ((1, "Operations"), (2, "Research")),
        scheme: Scheme = Scheme(),  # noqa: B008 - frozen
        token_s: float = 10_800.0,
        retries_s: Sequence[float] = RETRIES_S,
        speed: float = 1.0,
        seed: int = 0,
        faults: Iterable[str] = (),
        progress: Callable[[str, str], None] = lambda subject, what: None,
    ) -> None:
        super().__init__(speed=speed, seed=seed, faults=faults, progress=progress)
        self.organizations = dict(organizations)
        self.scheme, self.store = scheme, Store()
        self.client_id, self.client_secret = client_id, client_secret
        self._retries_s = tuple(retries_s)
        self._numbers, self._hook_numbers = count(123), count(101)
        self.api = Api(self, client_id, client_secret, token_s)
        self.speech = recording.load()

    def routes(self) -> Iterable[web.RouteDef]:
        """The external API, tokens and recordings."""
        return self.api.routes()

    def add_hook(
        self, url: str, organization_id: int, events: Iterable[str] = EVENTS, *, secret: str | None = None,
        description: str = "",
    ) -> Hook:  # fmt: skip
        """Register a webhook; ``secret`` None: one of its own, empty: what it is told is not signed."""
        made = "whsec_" + base64.b64encode(self.rng.randbytes(24)).decode() if secret is None else secret
        hook = Hook(
            id=next(self._hook_numbers),
            organization_id=organization_id,
            target_url=url,
            secret_key=made,
            events=list(events),
            description=description,
            created_at=instant(),
        )
        self.store.hooks[hook.id] = hook
        return hook

    def add_meeting(self, asked: dict[str, Any]) -> Meeting:
        """A meeting as it was asked for; what becomes of it is played."""
        names = {role: self.rng.choice(names) for role, names in self.speech.names.items()}
        meeting = Meeting(id=next(self._numbers), asked=asked, created=datetime.now(UTC), names=names)
        self.store.meetings[meeting.id] = meeting
        self.play(self._run(meeting))
        return meeting

    async def delete(self, meeting: Meeting) -> None:
        """What somebody does in the vendor's own application: the API has no call for it."""
        self.store.meetings.pop(meeting.id, None)
        await self._tell(meeting, "meeting.deleted")

    async def _run(self, meeting: Meeting) -> None:
        await self._tell(meeting, "meeting.created")
        imported = meeting.asked.get("file_url")
        if not imported:
            await self.pause(max(0.0, _seconds_until(meeting.asked.get("bot_join_at")) - _BOT_EARLY_S) + 1.0)
            meeting.status = "ongoing"
            self.progress(str(meeting.id), "ongoing")
            await self.pause(self.speech.duration_s)
        meeting.status, meeting.end = "past", datetime.now(UTC)
        self.progress(str(meeting.id), "past")
        await self.pause(3.0)
        if imported and not _is_sound(imported):
            await self._tell(meeting, "meeting.transcription_failed")
            return
        meeting.transcribed = "pending" not in self.faults
        await self._tell(meeting, "meeting.transcription_completed")
        await self.pause(4.0)
        meeting.summarized = meeting.transcribed
        await self._tell(meeting, "meeting.summarization_completed")

    async def _tell(self, meeting: Meeting, event: str) -> None:
        """Deliver to every webhook that wants it. The next event waits for the first tries only."""
        self.progress(str(meeting.id), event)
        for hook in self.store.listening(meeting.organization_id, event):
            uuid = f"evt_{self.rng.getrandbits(64):016x}"
            entry = self.store.enter(hook, uuid, event)
            body = callback(event, uuid, meeting)
            if not await self._try(hook, entry, body):
                self.play(self._again(hook, entry, body))

    async def _again(self, hook: Hook, entry: Entry, body: bytes) -> None:
        for wait_s in self._retries_s:
            await self.pause(wait_s)
            if not hook.is_active or hook.id not in self.store.hooks:
                break
            if await self._try(hook, entry, body):
                return
        entry.status = "FAILED"

    async def _try(self, hook: Hook, entry: Entry, body: bytes) -> bool:
        """One attempt; whether there is nothing more to do for this delivery."""
        headers = self.scheme.headers(body, hook.secret_key, entry.event_type, entry.event_uuid)
        entry.attempt_count += 1
        status = await self.push(hook.target_url, body, headers)
        if self.is_late(body):
            return True
        entry.response_status = status or None
        if 200 <= status < 300:
            entry.status, hook.failure_count = "SUCCESS", 0
            return True
        hook.failure_count += 1
        hook.last_failure_reason = f"answered {status}" if status else "no answer"
        if "breaker" in self.faults:
            hook.is_active = hook.failure_count < _BREAKER
        return False

    def is_late(self, body: bytes) -> bool:
        """Whether this very delivery is held back, to come after the one that follows it."""
        return self._late is not None and self._late[1] is body


async def play_meetings(
    url: str,
    *,
    meetings: int = 1,
    speed: float = 1.0,
    seed: int = 0,
    faults: Iterable[str] = (),
    secret: str = "",
    progress: Callable[[str, str], None] = lambda subject, what: None,
    scheme: Scheme = Scheme(),  # noqa: B008 - frozen
) -> CloudTally:
    """Play meetings whose events go to one endpoint's ``url``, signed with ``secret`` if there is one.

    Of four, one a bot joins, one is imported, one is deleted in the end, and one cannot be transcribed.
    """
    cloud = MeemoCloud(scheme=scheme, speed=speed, seed=seed, faults=faults, progress=progress)
    async with cloud.serve():
        cloud.add_hook(url, 1, secret=secret)
        made = []
        for index in range(meetings):
            asked: dict[str, Any] = {"organization_id": 1, "title": f"Incident review {index + 1}"}
            if index % 2:
                asked["file_url"] = f"https://files.example.com/{index}.{'mp3' if index % 4 == 1 else 'txt'}"
            else:
                asked["bot_meeting_url"] = "https://meet.example.com/incident-review"
            made.append(cloud.add_meeting(asked))
        await cloud.idle()
        for meeting in made[2::4]:
            await cloud.delete(meeting)
        await cloud.idle()
    return cloud.tally


def _is_sound(url: str) -> bool:
    return url.partition("?")[0].rpartition(".")[2].lower() in _SOUNDS


def _seconds_until(moment: str | None) -> float:
    return (datetime.fromisoformat(moment) - datetime.now(UTC)).total_seconds() if moment else 0.0
