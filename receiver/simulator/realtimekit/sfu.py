"""The SFU's REST API: adapters are started and closed in batches. Source: Realtime SFU, WebSocket adapter (2026)."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from typing import Any, Protocol
from urllib.parse import urlsplit

import orjson
from aiohttp import web

from receiver.simulator.realtimekit import media
from receiver.simulator.realtimekit.adapters import Accidents, Adapter, AdapterRefused, Codec
from receiver.simulator.realtimekit.store import Store
from receiver.simulator.speech import Speech

_BASE = "/v1/apps/{app}/adapters/websocket"
_MOST_TRACKS = 4


class Host(Protocol):
    """What adapters need of their stand-in."""

    store: Store
    speech: Speech
    speed: float
    credentials: dict[str, str]

    def play(self, meeting: Coroutine[Any, Any, None]) -> None:
        """Run something beside all else."""

    def count(self, name: str) -> None:
        """Add one to a count of the tally."""


class Sfu:
    """Adapters by id. Only tracks that are sent out are played; the other direction is refused."""

    def __init__(self, host: Host, accidents: Accidents) -> None:
        self._host, self._accidents = host, accidents
        self.adapters: dict[str, Adapter] = {}

    def routes(self) -> Iterable[web.RouteDef]:
        """``new`` and ``close``."""
        yield web.post(f"{_BASE}/new", self._new)
        yield web.post(f"{_BASE}/close", self._close)

    async def start(self, endpoint: str, track: str, codec: Codec) -> Adapter:
        """Dial ``endpoint`` and send it the meeting's sound or pictures. Raises ``AdapterRefused``."""
        if urlsplit(endpoint).hostname == "localhost":
            raise AdapterRefused("websocket_localhost_not_allowed")
        adapter = Adapter(
            id=self._host.store.id(), track=track, endpoint=endpoint, codec=codec, pause_until=self._clock(),
            count=self._host.count, accidents=self._accidents,
        )  # fmt: skip
        await adapter.open()
        self.adapters[adapter.id] = adapter
        self._host.play(adapter.stream(self._packets(codec)))
        return adapter

    def _packets(self, codec: Codec) -> Iterator[tuple[float, bytes]]:
        speech = self._host.speech
        return media.audio_packets(speech.pcm) if codec == "pcm" else media.video_packets(speech.duration_s)

    def _clock(self) -> Callable[[float], Awaitable[None]]:
        """Waits until a second of the stream; without a speed it only lets others run."""
        loop, speed = asyncio.get_running_loop(), self._host.speed
        begin_s = loop.time()

        async def wait(at_s: float) -> None:
            await asyncio.sleep(max(0.0, begin_s + at_s / speed - loop.time()) if speed else 0.0)

        return wait

    async def _new(self, request: web.Request) -> web.StreamResponse:
        return await self._batch(request, self._started)

    async def _close(self, request: web.Request) -> web.StreamResponse:
        return await self._batch(request, self._stopped)

    async def _batch(
        self, request: web.Request, each: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
    ) -> web.StreamResponse:
        """200 where one of the tracks worked, 503 where none did; each with its own error."""
        known = self._host.credentials
        right = request.headers.get("Authorization") == f"Bearer {known['sfu_secret']}"
        if not right or request.match_info["app"] != known["sfu_app"]:
            return _error(401, "unauthorized", "The app or its secret is wrong.")
        try:
            tracks = orjson.loads(await request.read())["tracks"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return _error(400, "invalid_request", "tracks is required.")
        if not isinstance(tracks, list) or not 1 <= len(tracks) <= _MOST_TRACKS:
            return _error(400, "invalid_request", f"tracks: 1 to {_MOST_TRACKS} are allowed.")
        answers = [await each(track if isinstance(track, dict) else {}) for track in tracks]
        failed = all("errorCode" in answer for answer in answers)
        return web.json_response({"tracks": answers}, status=503 if failed else 200)

    async def _started(self, track: dict[str, Any]) -> dict[str, Any]:
        told = {"trackName": track.get("trackName"), "endpoint": track.get("endpoint")}
        wanted = ("sessionId", "trackName", "endpoint")
        codec = track.get("outputCodec")
        if track.get("location") != "remote" or codec not in ("pcm", "jpeg") or not all(map(track.get, wanted)):
            return told | {"errorCode": "invalid_track", "errorDescription": "location, codec or a name is missing"}
        try:
            adapter = await self.start(str(track["endpoint"]), str(track["trackName"]), codec)
        except AdapterRefused as refusal:
            return told | {"errorCode": str(refusal), "errorDescription": "the endpoint was not reached"}
        return told | {"adapterId": adapter.id, "sessionId": track["sessionId"]}

    async def _stopped(self, track: dict[str, Any]) -> dict[str, Any]:
        id_ = track.get("adapterId")
        adapter = self.adapters.pop(str(id_), None)
        if adapter is None:
            return {"adapterId": id_, "errorCode": "adapter_not_found", "errorDescription": "no such adapter"}
        await adapter.close()
        return {"adapterId": id_, "bytesProcessed": adapter.bytes_processed}


def _error(status: int, code: str, description: str) -> web.Response:
    return web.json_response({"errorCode": code, "errorDescription": description}, status=status)
