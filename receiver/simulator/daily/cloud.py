"""Daily as a service on loopback: meetings in its rooms, and what its webhooks are told of them.

Each room that is made holds one meeting: three people come, talk, and go; it is recorded, transcribed and summarised.
"""

import asyncio
import base64
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import aiohttp

from receiver.simulator import speech as recording
from receiver.simulator.cloud import CloudTally, iso
from receiver.simulator.daily.bodies import EVENTS, body
from receiver.simulator.daily.call import Call, Guest, Room, make_call, make_id
from receiver.simulator.daily.hooks import PING, TRIES, Hook, is_secret, wait_s
from receiver.simulator.daily.made import TALK_S
from receiver.simulator.daily.rest import DailyRest

#: when what happens, in seconds from the beginning of the session
_COMES_S = (0.5, 2.6, 3.4)
_KNOCKS_S = 2.0
_RECORDS_S = 4.0
_GOES_S = (1.0, 1.8, 2.5)
_ENDS_S, _RECORDING_READY_S, _TRANSCRIPT_READY_S, _SUMMARY_READY_S = 3.0, 5.0, 6.0, 8.0


class DailyCloud(DailyRest):
    """One domain. ``key``: its API key. ``plays``: whether a meeting is held in each room as it is made."""

    VENDOR = "daily"
    PREFIX = "/v1"

    def __init__(
        self,
        *,
        speed: float = 1.0,
        seed: int = 0,
        faults: Iterable[str] = (),
        progress: Callable[[str, str], None] = lambda subject, what: None,
        key: str = "daily-standin-key",
        plays: bool = True,
    ) -> None:
        super().__init__(speed=speed, seed=seed, faults=faults, progress=progress)
        self.key, self.plays = key, plays
        self.domain, self.domain_id = "standin", make_id(self.rng)
        self.rooms: dict[str, Room] = {}
        self.calls: dict[str, Call] = {}
        self.hooks: dict[str, Hook] = {}

    # Webhooks

    async def register(self, told: Mapping[str, Any], uuid: str = "") -> Hook | None:
        """Make a webhook, or change the one that is ``uuid`` and make it ``ACTIVE``; ``None``: the ping was not
        answered 200, and nothing is changed."""
        now = iso(time.time())
        before = self.hooks.get(uuid)
        facts: dict[str, Any] = {"hmac": base64.b64encode(self.rng.randbytes(32)).decode(), "createdAt": now}
        if before is not None:
            facts = {**before.shown(), "own_secret": before.own_secret}
        facts |= told
        facts |= {
            "uuid": uuid or make_id(self.rng), "domainId": self.domain_id, "updatedAt": now, "state": "ACTIVE",
            "failedCount": 0, "own_secret": "hmac" in told or facts.get("own_secret", False),
        }  # fmt: skip
        hook = Hook(**facts)
        if await self._ping(hook) != 200:
            return None
        self.hooks[hook.uuid] = hook
        return hook

    async def announce(self, name: str, call: Call, at_s: float | None = None, guest: Guest | None = None) -> None:
        """Push one of ``EVENTS`` to those who want it. ``at_s``: when it happened, Unix seconds; default: now."""
        content = body(name, call, time.time() if at_s is None else at_s, guest)
        for uuid in call.hooks:
            hook = self.hooks.get(uuid)
            if hook is not None and name in hook.eventTypes:
                await self.push(hook.url, content, hook.headers(content, time.time()))

    async def announce_all(self, call: Call) -> None:
        """Push each of the 28 events once."""
        for name in EVENTS:
            await self.announce(name, call)

    async def _ping(self, hook: Hook) -> int:
        """Try a URL. No delivery, so it is not counted."""
        headers = hook.headers(PING, time.time(), signed=hook.own_secret)
        try:
            async with self.client.post(hook.url, data=PING, headers=headers, allow_redirects=False) as answer:
                return answer.status
        except (aiohttp.ClientError, TimeoutError):
            return 0

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        hook = next((one for one in self.hooks.values() if one.url == url), None)
        if hook is None or hook.state != "ACTIVE":
            self.tally.held_back += 1
            return 0
        status = await self._try(hook, body, headers)
        if status != 200 and hook.retryType == "exponential":
            self.play(self._again(hook, body, headers))
        return status

    async def _try(self, hook: Hook, body: bytes, headers: Mapping[str, str]) -> int:
        status = await super()._post(hook.url, body, headers)
        hook.answered(status)
        hook.lastMomentPushed = iso(time.time())
        if hook.state == "FAILED":
            self.progress(hook.uuid, "webhook FAILED")
        return status

    async def _again(self, hook: Hook, body: bytes, headers: Mapping[str, str]) -> None:
        """The further tries of one message, with the stamp and signature of the first."""
        for tried in range(1, TRIES):
            await self.pause(wait_s(tried))
            self.tally.repeated += 1
            if await self._try(hook, body, headers) == 200:
                return

    # Meetings

    async def open_call(self, room: Room, *, started_s: float | None = None) -> Call:
        """A session that begins, with nobody in it yet and nothing pushed."""
        content = await asyncio.to_thread(recording.load)
        began_s = round(time.time() if started_s is None else started_s, 3)
        call = make_call(room, self.rng, content, domain_id=self.domain_id, started_s=began_s)
        call.hooks = list(self.hooks)
        self.calls[call.id] = call
        return call

    async def hold(self, room: Room) -> None:
        """A whole meeting. The faster it is played, the longer ago it began: none of it lies in the future."""
        content = await asyncio.to_thread(recording.load)
        talked_s = TALK_S + content.duration_s
        spared = 1 - 1 / max(1.0, self.speed) if self.speed else 1.0
        began_s = time.time() - spared * (talked_s + _SUMMARY_READY_S)
        call = await self.open_call(room, started_s=began_s)
        clock = _Clock(self, call)
        self.progress(room.name, "meeting.started")
        await clock.announce(0.0, "meeting.started")
        await self._come(clock)
        await clock.announce(_RECORDS_S, "recording.started", call.guests[0])
        call.recording = "in-progress"
        call.transcribing, call.transcript = True, "t_in_progress"
        await clock.announce(_RECORDS_S, "transcript.started")
        for guest, goes_s in zip(reversed(call.guests), _GOES_S, strict=True):
            await clock.until(talked_s + goes_s)
            guest.left_s = clock.now_s
            await clock.announce(talked_s + goes_s, "participant.left", guest)
        await clock.until(talked_s + _ENDS_S)
        call.ended_s, call.transcribing = clock.now_s, False
        await clock.announce(talked_s + _ENDS_S, "meeting.ended")
        self.progress(room.name, "meeting.ended")
        if "pending" not in self.faults:
            await self._finish(clock, talked_s)

    async def _come(self, clock: "_Clock") -> None:
        """Two come in, and the third knocks and is let in."""
        first, second, third = clock.call.guests
        for guest, comes_s in zip((first, second), _COMES_S, strict=False):
            if guest is second:
                await clock.announce(_KNOCKS_S, "waiting-participant.joined", third)
            await clock.until(comes_s)
            guest.joined_s = clock.now_s
            await clock.announce(comes_s, "participant.joined", guest)
        await clock.announce(_COMES_S[2], "waiting-participant.left", third)
        third.joined_s = clock.now_s
        await clock.announce(_COMES_S[2], "participant.joined", third)

    async def _finish(self, clock: "_Clock", talked_s: float) -> None:
        call = clock.call
        call.job = "processing"
        await clock.until(talked_s + _RECORDING_READY_S)
        call.recording = "finished"
        await clock.announce(talked_s + _RECORDING_READY_S, "recording.ready-to-download")
        await clock.until(talked_s + _TRANSCRIPT_READY_S)
        call.transcript = "t_finished"
        await clock.announce(talked_s + _TRANSCRIPT_READY_S, "transcript.ready-to-download")
        await clock.until(talked_s + _SUMMARY_READY_S)
        call.job = "finished"
        await clock.announce(talked_s + _SUMMARY_READY_S, "batch-processor.job-finished")
        self.progress(call.room.name, "all is ready")


class _Clock:
    """The clock of one call: seconds from its beginning."""

    def __init__(self, cloud: DailyCloud, call: Call) -> None:
        self._cloud, self.call, self._at_s = cloud, call, 0.0

    @property
    def now_s(self) -> float:
        """Unix seconds."""
        return round(self.call.started_s + self._at_s, 3)

    async def until(self, at_s: float) -> None:
        """Let the time pass that is left until ``at_s``."""
        if at_s > self._at_s:
            await self._cloud.pause(at_s - self._at_s)
            self._at_s = at_s

    async def announce(self, at_s: float, name: str, guest: Guest | None = None) -> None:
        """Push an event when its time has come."""
        await self.until(at_s)
        await self._cloud.announce(name, self.call, self.now_s, guest)


async def play_meetings(
    url: str,
    *,
    meetings: int = 1,
    speed: float = 1.0,
    seed: int = 0,
    faults: Iterable[str] = (),
    secret: str = "",
    progress: Callable[[str, str], None] = lambda subject, what: None,
) -> CloudTally:
    """Hold ``meetings`` meetings at once and push their webhooks to ``url``; what was pushed and how it was answered.

    ``secret``: base64, as the vendor shows it; empty: one that nobody knows. The vendor's breaker is at work: after
    three answers in a row that are not 200 nothing more comes. Raises ``ValueError`` on a secret that is not base64.
    """
    if secret and not is_secret(secret):
        raise ValueError("a secret of Daily is base64, as the vendor shows it; this one is not")
    cloud = DailyCloud(speed=speed, seed=seed, faults=faults, progress=progress)
    async with cloud.serve():
        told = {"url": url, "eventTypes": list(EVENTS)} | ({"hmac": secret} if secret else {})
        hook = await cloud.register(told)
        if hook is None:
            progress(url, "the ping was not answered 200: the vendor would register nothing")
            return cloud.tally
        for number in range(meetings):
            room = cloud.make_room(f"standin-{seed}-{number + 1}")
            cloud.play(cloud.hold(room))
        await cloud.idle()
    return cloud.tally
