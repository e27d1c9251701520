"""MeetStream's service on loopback: its REST API, and the meetings of the bots that are created over it.

As strict as the vendor: scheme ``Token``, required fields, bounds, ``Idempotency-Key`` (507) and ``deduplication_key``
(200, 409), 202 while nothing is there, for ever where nothing will be. State of the documents: autumn 2026.
"""

import asyncio
import base64
import json
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, ClassVar

from aiohttp import web

from receiver.simulator import speech as recording
from receiver.simulator import wire
from receiver.simulator.channels import Channels
from receiver.simulator.cloud import Cloud, CloudTally
from receiver.simulator.meetstream_answers import answer_of
from receiver.simulator.meetstream_bot import POST_CALL, Bot
from receiver.simulator.meetstream_checks import is_reachable, json_object, refusal, refusal_of, refused
from receiver.simulator.meetstream_meeting import attend
from receiver.simulator.script import make_meeting

#: of orders to pause and resume, a bot and minute
_ORDERS_A_MINUTE = 30


class MeetStreamCloud(Cloud):
    """``key`` opens everything, ``write_only_key`` only creates. ``secret`` signs callbacks: a workspace endpoint's.

    ``page_size``: of ``GET /bots``. ``bots``: by id, oldest first.
    """

    VENDOR: ClassVar[str] = "meetstream"
    PREFIX: ClassVar[str] = "/api/v1"

    def __init__(
        self,
        *,
        key: str = "ms-key",
        write_only_key: str = "",
        secret: str = "",
        page_size: int = 20,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.key, self.write_only_key, self.secret, self.page_size = key, write_only_key, secret, page_size
        self.bots: dict[str, Bot] = {}
        self._by_idempotency_key: dict[str, dict[str, Any]] = {}
        self._by_deduplication_key: dict[str, Bot] = {}

    def routes(self) -> Iterable[web.RouteDef]:
        """Every documented call below ``/bots`` and ``/transcript``, and the media that links lead to."""
        bot = f"{self.PREFIX}/bots/{{bot_id}}"
        asked: list[web.RouteDef] = [
            web.get(f"{bot}/{call}", self._authorized(self._ask))
            for call in (
                "status", "detail", "summary", "get_audio", "get_video", "get_audio_streams", "get_recording_streams",
                "get_speaker_timeline", "get_participants", "get_chats", "get_screenshots", "transcriptions",
            )
        ]  # fmt: skip
        return [
            web.post(f"{self.PREFIX}/bots/create_bot", self._create),
            web.post(f"{self.PREFIX}/bots/create_agent", self._create),
            web.get(f"{self.PREFIX}/bots", self._authorized(self._list)),
            *asked,
            web.get(f"{bot}/remove_bot", self._authorized(self._remove)),
            web.delete(f"{bot}/delete", self._authorized(self._delete)),
            web.post(f"{bot}/send_message", self._authorized(self._send_message)),
            web.post(f"{bot}/send_image", self._authorized(self._send_image)),
            web.post(f"{bot}/pause_recording", self._authorized(self._pause)),
            web.post(f"{bot}/resume_recording", self._authorized(self._pause)),
            web.post(f"{bot}/transcribe", self._authorized(self._transcribe)),
            web.get(f"{self.PREFIX}/transcript/{{transcript_id}}/get_transcript", self._authorized(self._transcript)),
            web.get("/media/{bot_id}/{name}", self._media),
        ]

    async def admit(self, body: dict[str, Any]) -> Bot:
        """A bot as a checked ``create_bot`` body asks for it; its meeting begins at once. Loads the sound first."""
        content = await asyncio.to_thread(recording.load)
        meeting = make_meeting(self.seed, len(self.bots), datetime.now(UTC), content)
        bot = Bot(body, meeting, media_url=self.url.removesuffix(self.PREFIX) + "/media")
        self.bots[bot.id] = bot
        self.play(attend(self, bot, content))
        return bot

    async def deliver(self, bot: Bot, url: str, body: bytes, *, signed: bool) -> None:
        """POST one delivery of a bot's; nobody is told where there is no URL."""
        if not url:
            return
        headers = {"Content-Type": "application/json", "User-Agent": "meetstream-simulator"}
        if signed and self.secret:
            headers["X-MeetStream-Signature"] = wire.signature(self.secret, body)
            headers["X-MeetStream-Timestamp"] = datetime.now(UTC).isoformat(timespec="seconds")
        await self.push(url, body, headers)

    # Who may

    def _authorized(self, handler: Callable[[web.Request], Any]) -> Callable[[web.Request], Any]:
        async def checked(request: web.Request) -> web.StreamResponse:
            if answer := self._refused(request, self.key):
                return answer
            told: web.StreamResponse = await handler(request)
            return told

        return checked

    def _refused(self, request: web.Request, *keys: str) -> web.Response | None:
        scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Token" or not shown:
            return refused(401, "Authentication credentials were not provided.", "detail")
        return None if shown in filter(None, keys) else refused(403, "This API key may not do that.", "detail")

    def _bot(self, request: web.Request) -> Bot:
        try:
            return self.bots[request.match_info["bot_id"]]
        except KeyError:
            raise refusal(404, "Bot not found") from None

    # Bots

    async def _create(self, request: web.Request) -> web.StreamResponse:
        if answer := self._refused(request, self.key, self.write_only_key):
            return answer
        key = request.headers.get("Idempotency-Key", "")
        if key in self._by_idempotency_key:
            return web.json_response(self._by_idempotency_key[key], status=507)
        body = await json_object(request)
        if reason := refusal_of(body):
            return refused(400, reason)
        for endpoint in (body.get("recording_config") or {}).get("realtime_endpoints") or []:
            if not await is_reachable(endpoint["url"]):
                return refused(400, "realtime_endpoints: the URL cannot be reached")
        again = self._by_deduplication_key.get(str(body.get("deduplication_key") or ""))
        if again is not None:
            if again.body["meeting_link"] != body["meeting_link"]:
                return refused(409, "deduplication_key was used for another meeting")
            return web.json_response(again.created())
        bot = await self.admit(body)
        if body.get("deduplication_key"):
            self._by_deduplication_key[str(body["deduplication_key"])] = bot
        if key:
            self._by_idempotency_key[key] = bot.created()
        return web.json_response(bot.created(), status=201)

    async def _list(self, request: web.Request) -> web.StreamResponse:
        wanted = request.query.get("status", "")
        bots = [bot for bot in self.bots.values() if not wanted or bot.status == wanted]
        cursor = request.query.get("cursor", "")
        try:
            start = int(base64.urlsafe_b64decode(cursor)) if cursor else 0
        except ValueError:
            return refused(400, "invalid cursor")
        end = start + self.page_size
        more = end < len(bots)
        return web.json_response(
            {
                "bots": [bot.listed() for bot in bots[start:end]],
                "hasNextPage": more,
                "nextCursor": base64.urlsafe_b64encode(str(end).encode()).decode() if more else None,
            }
        )

    async def _remove(self, request: web.Request) -> web.StreamResponse:
        bot = self._bot(request)
        bot.removed.set()
        return web.json_response({"message": f"Stop signal sent for bot {bot.id}."})

    async def _delete(self, request: web.Request) -> web.StreamResponse:
        bot = self._bot(request)
        if not bot.is_over:
            return refused(400, "The bot is still in its meeting")
        count = bot.delete()
        body = wire.data_deletion(bot_id=bot.id, started=bot.meeting.started, at_s=3600.0, objects=count)
        self.play(self.deliver(bot, bot.callback_url, body, signed=True))
        return web.json_response({"message": "Bot data deleted", "bot_id": bot.id, "deleted_objects": count})

    # What is asked of a bot

    async def _ask(self, request: web.Request) -> web.StreamResponse:
        bot, call = self._bot(request), request.path.rpartition("/")[2]
        never = "pending" in self.faults and call.startswith("get_")
        status, body = (202, {"message": "Processing"}) if never else answer_of(bot, call)
        return web.json_response(body, status=status, headers={"Retry-After": "5"} if status == 202 else None)

    async def _transcript(self, request: web.Request) -> web.StreamResponse:
        transcript_id = request.match_info["transcript_id"]
        for bot in self.bots.values():
            run = bot.runs.get(transcript_id)
            if run is None:
                continue
            if run["status"] != "Success" or "pending" in self.faults:
                return web.json_response({"message": "Transcript is not ready"}, status=202)
            raw = request.query.get("raw", "") == "true"
            return web.json_response(bot.raw_transcript(transcript_id) if raw else bot.transcript())
        return refused(404, "Transcript not found")

    async def _media(self, request: web.Request) -> web.StreamResponse:
        """As of a storage service: the link's signature is all that is asked for, and a credential is an error."""
        if "Authorization" in request.headers or not request.query.get("X-Amz-Signature"):
            return web.Response(status=400)
        bot, name = self.bots.get(request.match_info["bot_id"]), request.match_info["name"]
        if bot is None or bot.is_deleted:
            return web.Response(status=404)
        if name == "captions.txt":
            return web.Response(text="\n".join(f"{line['speaker']}: {line['transcript']}" for line in bot.transcript()))
        return web.Response(body=b"media of " + name.encode())

    # Orders

    async def _send_message(self, request: web.Request) -> web.StreamResponse:
        bot, body = self._bot(request), await json_object(request)
        if not isinstance(body.get("message"), str) or not body["message"]:
            return refused(400, "message is required")
        return self._ordered(bot, "sendmsg", body)

    async def _send_image(self, request: web.Request) -> web.StreamResponse:
        bot, body = self._bot(request), await json_object(request)
        if not str(body.get("img_url") or "").startswith("http"):
            return refused(400, "img_url is required")
        return self._ordered(bot, "sendimg_url", body)

    async def _pause(self, request: web.Request) -> web.StreamResponse:
        bot, command = self._bot(request), request.path.rpartition("/")[2]
        if bot.platform != "GMeet":
            return refused(400, "Recording can be paused in Google Meet only")
        now_s = asyncio.get_running_loop().time()
        bot.pauses_s = [at_s for at_s in bot.pauses_s if now_s - at_s < 60.0]
        if len(bot.pauses_s) >= _ORDERS_A_MINUTE:
            return web.json_response({"message": "Rate limit exceeded"}, status=429, headers={"Retry-After": "60"})
        bot.pauses_s.append(now_s)
        return self._ordered(bot, command, {})

    def _ordered(self, bot: Bot, command: str, body: dict[str, Any]) -> web.Response:
        if not bot.is_in_meeting:
            return refused(409, "The bot is not currently in the meeting")
        bot.orders.append({"command": command, **body})
        return web.json_response({"status": "accepted", "bot_id": bot.id, "command": command})

    async def _transcribe(self, request: web.Request) -> web.StreamResponse:
        bot, body = self._bot(request), await json_object(request)
        provider = body.get("provider")
        if not isinstance(provider, dict) or len(provider) != 1 or not set(provider) <= POST_CALL:
            return refused(400, "provider must contain exactly one supported provider")
        if "audio" not in bot.made:
            return refused(409, "No stored audio for this bot")
        transcript_id = str(uuid.UUID(int=self.rng.getrandbits(128), version=4))
        bot.transcript_id = transcript_id
        bot.runs[transcript_id] = run = {"provider": next(iter(provider)), "status": "Processing"}
        self.play(self._transcribed(bot, run, str(body.get("callback_url") or "")))
        told = {"bot_id": bot.id, "transcript_id": transcript_id, "provider": run["provider"], "message": "Started"}
        return web.json_response(told)

    async def _transcribed(self, bot: Bot, run: dict[str, str], url: str) -> None:
        """Exactly one event, without ``custom_attributes``, and no ``bot.done``."""
        await self.pause(1.0)
        run["status"] = "Success"
        at_s = (datetime.now(UTC) - bot.meeting.started).total_seconds()
        told = json.loads(
            wire.callback(
                "transcription.processed", bot_id=bot.id, started=bot.meeting.started, at_s=at_s, attributes={}
            )
        )
        del told["custom_attributes"]
        await self.deliver(bot, url, json.dumps(told).encode(), signed=False)


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
    """Play ``meetings`` bots at one endpoint ``url``, sockets included, without REST. Faults are those of the cloud.

    Raises ``ValueError`` on a bad URL or an unknown fault.
    """
    places = Channels.derive(url)
    cloud = MeetStreamCloud(speed=speed, seed=seed, faults=faults, secret=secret, progress=progress)
    events = ["participant_events.join", "participant_events.leave"]
    body = {
        "meeting_link": "https://meet.google.com/abc-defg-hij",
        "bot_name": "Notetaker",
        "callback_url": places.callback,
        "recording_config": {
            "transcript": {"provider": {"meetstream_streaming": {}}},
            "realtime_endpoints": [{"type": "webhook", "url": places.participant, "events": events}],
        },
        "live_transcription_required": {"webhook_url": places.transcript},
        "live_audio_required": {"websocket_url": places.audio},
        "live_video_required": {"websocket_url": places.video},
        "socket_connection_url": {"websocket_url": places.control},
    }
    async with cloud.serve():
        for number in range(meetings):
            await cloud.admit({**body, "custom_attributes": {"meeting": f"incident-review-{number + 1}"}})
        await cloud.idle()
    return cloud.tally
