"""Water AI as a service on loopback: meetings that take place, the REST API, and callbacks.

No public document shows a callback's body, so each comes in one of several plausible forms, in turn. There is no known
signature either: an address is all that a receiver can go by.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from aiohttp import web

from receiver.simulator import speech as recording
from receiver.simulator.cloud import Cloud, CloudTally, iso
from receiver.simulator.waterai.asked import DYNAMIC, PARAMETERS, Refusal, error_answer, fields_of, whole
from receiver.simulator.waterai.held import FORMS, Held, sentences_of

EVENTS = ("meeting.ended", "analysis.completed")
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_TRANSCRIPT_S, _ANALYSIS_S = 2.0, 5.0
_RATE, _RATE_WINDOW_S = 100, 60
_FIRST_MEETING, _FIRST_TRANSCRIPT, _FIRST_USER = 789, 301, 123


class WaterAiCloud(Cloud):
    """One account. ``key``: its API secret. ``callback``: where all meetings are told of; empty: nowhere.

    ``plays``: whether each meeting takes place as it is made.
    """

    VENDOR = "waterai"

    def __init__(
        self,
        *,
        speed: float = 1.0,
        seed: int = 0,
        faults: Iterable[str] = (),
        progress: Callable[[str, str], None] = lambda subject, what: None,
        key: str = "wai_standin_key_1",
        callback: str = "",
        plays: bool = True,
    ) -> None:
        super().__init__(speed=speed, seed=seed, faults=faults, progress=progress)
        self.key, self.callback, self.plays = key, callback, plays
        self.meetings: dict[int, Held] = {}
        self.users: dict[str, int] = {}
        self._answered = 0
        self._told = 0

    def routes(self) -> Iterable[web.RouteDef]:
        return [
            web.post("/meetings", self._guarded(self._create)),
            web.post("/meetings/create-dynamic-meeting", self._guarded(self._create_dynamic)),
            web.get("/meetings/{id}", self._guarded(self._get)),
            web.get("/sentenced-transcripts/scenario/{id}", self._guarded(self._of_scenario)),
            web.get("/sentenced-transcripts/{transcript}/{id}/{scenario}", self._guarded(self._sentenced)),
            web.get("/transcripts/meeting/{id}", self._guarded(self._of_meeting)),
        ]

    # Meetings

    async def make_meeting(self, told: dict[str, Any]) -> Held:
        """A meeting that is there from now on, with the vendor's defaults for what is not told."""
        content = await asyncio.to_thread(recording.load)
        number = len(self.meetings)
        now = iso(time.time())
        id_ = _FIRST_MEETING + number
        defaults = {name: default for name, (_, default) in PARAMETERS.items()}
        facts = {
            "id": id_, **defaults, **told, "status": "created", "created_at": now, "updated_at": now,
            "room_url": f"https://waterrai.daily.co/standin-{self.seed}-{id_}",
            "room_token": f"eyJzdGFuZGlu.{self.rng.getrandbits(96):024x}.c3RhbmRpbg",
        }  # fmt: skip
        held = Held(
            id=id_,
            scenario_id=told["scenario_id"],
            transcript_id=_FIRST_TRANSCRIPT + number,
            facts=facts,
            sentences=sentences_of(content),
        )
        self.meetings[id_] = held
        return held

    async def hold(self, held: Held) -> None:
        """The meeting, what it leaves behind, and the callbacks about it."""
        content = await asyncio.to_thread(recording.load)
        self._change(held, "in_progress")
        await self.pause(content.duration_s)
        self._change(held, "ended")
        await self.announce("meeting.ended", held)
        if "pending" in self.faults:
            return
        await self.pause(_TRANSCRIPT_S)
        held.transcribed = bool(held.facts["allow_transcription"])
        await self.pause(_ANALYSIS_S - _TRANSCRIPT_S)
        await self.announce("analysis.completed", held)
        self.progress(str(held.id), "all is ready")

    async def announce(self, name: str, held: Held, form: int | None = None) -> None:
        """Tell of one of ``EVENTS``. ``form``: which of the forms, else the next in turn."""
        if not self.callback:
            return
        chosen = FORMS[(self._told if form is None else form) % len(FORMS)]
        self._told += 1
        headers, body = chosen(name, held, held.facts["updated_at"])
        content = json.dumps(body, separators=(",", ":")).encode()
        await self.push(self.callback, content, {"Content-Type": "application/json", **headers})

    def _change(self, held: Held, status: str) -> None:
        held.facts |= {"status": status, "updated_at": iso(time.time())}
        self.progress(str(held.id), status)

    # REST

    def _guarded(self, handler: _Handler) -> _Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            if request.headers.get("Authorization") != f"Bearer {self.key}":
                answer: web.StreamResponse = error_answer(401, "Unauthorized", "the token is missing or not known")
            else:
                try:
                    answer = await handler(request)
                except Refusal as refusal:
                    answer = error_answer(refusal.status, str(refusal), refusal.details)
            self._answered += 1
            answer.headers["X-RateLimit-Limit"] = str(_RATE)
            answer.headers["X-RateLimit-Remaining"] = str(max(0, _RATE - self._answered))
            answer.headers["X-RateLimit-Reset"] = str(int(time.time()) + _RATE_WINDOW_S)
            return answer

        return guarded

    async def _create(self, request: web.Request) -> web.Response:
        body = await fields_of(request, {name: type_ for name, (type_, _) in PARAMETERS.items()})
        for required in ("person_name", "scenario_id"):
            if not body.get(required):
                raise Refusal(400, "Validation failed", f"{required} is required")
        held = await self.make_meeting(body)
        shown = ("id", "room_url", "room_token", "person_name", "scenario_id", "status", "meeting_type", "created_at")
        return self._made(held, {name: held.facts[name] for name in shown}, {})

    async def _create_dynamic(self, request: web.Request) -> web.Response:
        body = await fields_of(request, DYNAMIC)
        if not body.get("scenario_id"):
            raise Refusal(400, "Validation failed", "scenario_id is required")
        email = body.pop("email", None)
        user = self.users.setdefault(email or f"anonymous {len(self.users)}", _FIRST_USER + len(self.users))
        name = " ".join(filter(None, (body.pop("first_name", ""), body.pop("last_name", "")))) or "Guest"
        body.pop("user_metadata", None)
        told = {"person_name": name, **body, "end_user_id": user, "meeting_type": "end-user"}
        held = await self.make_meeting(told)
        query = f"end_user_id={user}&membership_id=456"
        scenario_link = f"https://app.waterrai.com/scenarios/{held.scenario_id}"
        shown = {
            **{name: held.facts[name] for name in ("id", "room_url", "room_token", "person_name", "scenario_id")},
            "status": "created",
            "scenario": {
                "id": held.scenario_id, "name": "Incident review", "type": "conversation", "description": "",
                "scenario_link": scenario_link,
            },
            "end_user": {"id": user, "first_name": name, "last_name": "", "email": email, "membership_id": 456},
        }  # fmt: skip
        links = {
            "meeting_url": f"https://app.waterrai.com/meetings/{held.id}?{query}",
            "scenario_url": f"{scenario_link}?{query}",
        }
        return self._made(held, shown, links)

    def _made(self, held: Held, shown: dict[str, Any], beside: dict[str, Any]) -> web.Response:
        if self.plays:
            self.play(self.hold(held))
        minutes = {"estimatedMinutes": held.facts["meeting_duration_minutes"] + 5, "remainingMinutes": 265}
        body = {"success": True, "data": shown, "session_minutes_info": minutes, **beside}
        return web.json_response(body, status=201)

    async def _get(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "success", "data": self._held(request).facts})

    async def _of_scenario(self, request: web.Request) -> web.Response:
        scenario = whole(request.match_info["id"])
        meetings = [
            {
                "meeting_id": held.id,
                "person_name": held.facts["person_name"],
                "created_at": held.facts["created_at"],
                "transcripts": [{"transcript_id": held.transcript_id, "sentences": held.sentences}],
            }
            for held in self.meetings.values()
            if held.scenario_id == scenario and held.transcribed
        ]
        data = {"scenario_info": {"id": scenario, "name": "Incident review"}, "meetings": meetings}
        return web.json_response({"status": "success", "data": data})

    async def _sentenced(self, request: web.Request) -> web.Response:
        held = self._held(request)
        asked = (whole(request.match_info["transcript"]), whole(request.match_info["scenario"]))
        if not held.transcribed or asked != (held.transcript_id, held.scenario_id):
            raise Refusal(404, "Transcript not found", "no such transcript of this meeting")
        data = {
            "sentences": held.sentences,
            "meeting_info": {"id": held.id},
            "scenario_info": {"id": held.scenario_id, "name": "Incident review"},
        }
        return web.json_response({"status": "success", "data": data})

    async def _of_meeting(self, request: web.Request) -> web.Response:
        held = self._held(request)
        if not held.transcribed:
            return web.json_response([])
        text = "\n".join(f"{one['speaker']}: {one['message']}" for one in held.sentences)
        transcript = {
            "id": held.transcript_id,
            "meeting_id": held.id,
            "content": text,
            "status": "completed",
            "language": "en",
            "created_at": held.facts["updated_at"],
        }
        return web.json_response([transcript])

    def _held(self, request: web.Request) -> Held:
        held = self.meetings.get(whole(request.match_info["id"]))
        if held is None:
            raise Refusal(404, "Meeting not found", f"no meeting {request.match_info['id']}")
        return held


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
    """Hold ``meetings`` meetings at once and send their callbacks to ``url``; what was sent and how it was answered.

    ``secret`` has to be empty, else ``ValueError``: no signature of this vendor is known.
    """
    if secret:
        raise ValueError("no signature of Water AI is known: leave the secret out, the URL's token is what lets it in")
    cloud = WaterAiCloud(speed=speed, seed=seed, faults=faults, progress=progress, callback=url)
    async with cloud.serve():
        for number in range(meetings):
            told = {"person_name": f"Person {number + 1}", "scenario_id": 456, "allow_transcription": True}
            cloud.play(cloud.hold(await cloud.make_meeting(told)))
        await cloud.idle()
    return cloud.tally
