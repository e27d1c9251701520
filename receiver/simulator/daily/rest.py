"""The routes of the stand-in for Daily, as strict as the vendor is: who asks, what a body may hold, and the vendor's
own error bodies (``{error, info}``; docs.daily.co, REST reference, 2026)."""

import time
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from receiver.simulator.daily import hooks as registrations
from receiver.simulator.daily.asked import (
    MOST,
    Refusal,
    error_answer,
    json_of,
    limit_of,
    page,
    place_of,
    room_fields,
    whole,
)
from receiver.simulator.daily.call import Call, Room, make_id
from receiver.simulator.daily.hooks import Hook
from receiver.simulator.daily.made import DailyMade, Handler, Route


class DailyRest(DailyMade):
    """The routes over ``rooms``, ``calls`` and ``hooks``. ``key``: the domain's API key. ``plays``: whether each room
    holds a meeting as it is made."""

    key: str
    plays: bool
    domain: str
    rooms: dict[str, Room]
    hooks: dict[str, Hook]

    @abstractmethod
    async def hold(self, room: Room) -> None:
        """Hold a meeting."""

    @abstractmethod
    async def register(self, told: Mapping[str, Any], uuid: str = "") -> Hook | None:
        """Make or change a webhook; ``None``: its URL did not answer 200."""

    def routes(self) -> Iterable[web.RouteDef]:
        """All of them; files lie beside the API, not in it."""
        table: list[Route] = [
            ("POST", "/rooms", self._create_room),
            ("GET", "/rooms", self._list_rooms),
            ("GET", "/rooms/{name}", self._get_room),
            ("POST", "/rooms/{name}", self._update_room),
            ("DELETE", "/rooms/{name}", self._delete_room),
            ("GET", "/rooms/{name}/presence", self._presence),
            ("POST", "/rooms/{name}/transcription/start", self._start_transcription),
            ("POST", "/rooms/{name}/transcription/stop", self._stop_transcription),
            ("GET", "/meetings", self._list_meetings),
            ("GET", "/meetings/{id}", self._get_meeting),
            ("GET", "/meetings/{id}/participants", self._participants),
            *self.made_routes(),
            ("POST", "/webhooks", self._create_webhook),
            ("GET", "/webhooks", self._list_webhooks),
            ("GET", "/webhooks/{uuid}", self._get_webhook),
            ("POST", "/webhooks/{uuid}", self._update_webhook),
            ("DELETE", "/webhooks/{uuid}", self._delete_webhook),
        ]
        routes = [web.route(method, self.PREFIX + path, self._guarded(handler)) for method, path, handler in table]
        return [*routes, web.get("/files/{id}/{name}", self.serve_file)]

    def make_room(self, name: str = "", privacy: str = "public", config: dict[str, Any] | None = None) -> Room:
        """A room that is there from now on."""
        made = Room(
            id=make_id(self.rng),
            name=name or f"room{self.rng.getrandbits(64):016x}",
            privacy=privacy,
            created_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            config=config or {},
        )
        self.rooms[made.name] = made
        return made

    def _guarded(self, handler: Handler) -> Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            shown = request.headers.get("Authorization", "")
            if not shown.startswith("Bearer "):
                return error_answer(
                    400, "the Authorization header is missing or not Bearer", "authorization-header-error"
                )
            if shown != f"Bearer {self.key}":
                return error_answer(401, "no such API key", "authentication-error")
            try:
                return await handler(request)
            except Refusal as refusal:
                return error_answer(refusal.status, str(refusal), refusal.word)

        return guarded

    # Rooms

    async def _create_room(self, request: web.Request) -> web.Response:
        body = await json_of(request)
        name, privacy, properties = room_fields(body)
        if name in self.rooms:
            raise Refusal(400, f"a room named {name} already exists")
        room = self.make_room(name, privacy or "public", properties)
        if self.plays:
            self.play(self.hold(room))
        return web.json_response(self._room(room))

    async def _list_rooms(self, request: web.Request) -> web.Response:
        return page(request, [self._room(room) for room in reversed(self.rooms.values())], "id")

    async def _get_room(self, request: web.Request) -> web.Response:
        return web.json_response(self._room(self._room_of(request)))

    async def _update_room(self, request: web.Request) -> web.Response:
        room = self._room_of(request)
        name, privacy, properties = room_fields(await json_of(request))
        if name:
            raise Refusal(400, "a room's name cannot be changed")
        room.privacy = privacy or room.privacy
        room.config |= properties
        return web.json_response(self._room(room))

    async def _delete_room(self, request: web.Request) -> web.Response:
        room = self._room_of(request)
        del self.rooms[room.name]
        return web.json_response({"deleted": True, "name": room.name})

    async def _presence(self, request: web.Request) -> web.Response:
        room = self._room_of(request)
        here = [
            one for call in self.calls.values() if call.room.name == room.name for one in call.presence(time.time())
        ]
        for key in ("userId", "userName"):
            if key in request.query:
                here = [one for one in here if one[key] == request.query[key]]
        shown = here[: limit_of(request, len(here) or 1)]
        return web.json_response({"total_count": len(here), "data": shown})

    async def _start_transcription(self, request: web.Request) -> web.Response:
        call = self._live_call(request)
        await json_of(request)
        if call.transcribing:
            raise Refusal(400, "has an active stream")
        call.transcribing, call.transcript = True, "t_in_progress"
        return web.json_response({})

    async def _stop_transcription(self, request: web.Request) -> web.Response:
        call = self._live_call(request)
        await json_of(request)
        if not call.transcribing:
            raise Refusal(400, "no active stream")
        call.transcribing, call.transcript = False, "t_finished"
        return web.json_response({})

    # Meetings

    async def _list_meetings(self, request: web.Request) -> web.Response:
        query, now_s = request.query, time.time()
        start, end = whole(query, "timeframe_start"), whole(query, "timeframe_end")
        with_people = query.get("no_participants") != "true"
        shown = []
        for call in reversed(self.calls.values()):
            told = call.meeting(now_s, participants=with_people)
            if "room" in query and query["room"] != told["room"]:
                continue
            if "ongoing" in query and (query["ongoing"] == "true") != told["ongoing"]:
                continue
            if (start is None or told["start_time"] >= start) and (end is None or told["start_time"] < end):
                shown.append(told)
        return page(request, shown, "id")

    async def _get_meeting(self, request: web.Request) -> web.Response:
        return web.json_response(self.call_of(request, "id").meeting(time.time()))

    async def _participants(self, request: web.Request) -> web.Response:
        people = self.call_of(request, "id").participants(time.time())
        ids = [one["participant_id"] for one in people]
        if (after := request.query.get("joined_after")) is not None:
            people = people[place_of(ids, after, "joined_after") + 1 :]
        elif (before := request.query.get("joined_before")) is not None:
            people = people[: place_of(ids, before, "joined_before")]
        if not people:
            raise Refusal(404, "no more participants")
        return web.json_response({"data": people[: limit_of(request, MOST)]})

    # Webhooks

    async def _create_webhook(self, request: web.Request) -> web.Response:
        body = await json_of(request)
        if wrong := registrations.problem(body, new=True):
            raise Refusal(400, wrong)
        return await self._registered(body)

    async def _list_webhooks(self, request: web.Request) -> web.Response:
        return web.json_response([hook.shown() for hook in self.hooks.values()])

    async def _get_webhook(self, request: web.Request) -> web.Response:
        return web.json_response(self._hook_of(request).shown())

    async def _update_webhook(self, request: web.Request) -> web.Response:
        hook, body = self._hook_of(request), await json_of(request)
        if wrong := registrations.problem(body, new=False):
            raise Refusal(400, wrong)
        return await self._registered(body, hook.uuid)

    async def _delete_webhook(self, request: web.Request) -> web.Response:
        del self.hooks[self._hook_of(request).uuid]
        return web.Response(status=200)

    async def _registered(self, body: Mapping[str, Any], uuid: str = "") -> web.Response:
        hook = await self.register(body, uuid)
        if hook is None:
            raise Refusal(400, "the webhook URL did not answer 200")
        return web.json_response(hook.shown())

    # Lookups

    def _room(self, room: Room) -> dict[str, Any]:
        return {
            "id": room.id,
            "name": room.name,
            "api_created": True,
            "privacy": room.privacy,
            "url": f"https://{self.domain}.daily.co/{room.name}",
            "created_at": room.created_at,
            "config": room.config,
        }

    def _room_of(self, request: web.Request) -> Room:
        try:
            return self.rooms[request.match_info["name"]]
        except KeyError:
            raise Refusal(404, f"room {request.match_info['name']} not found") from None

    def _live_call(self, request: web.Request) -> Call:
        room = self._room_of(request)
        for call in self.calls.values():
            if call.room.name == room.name and call.ended_s is None:
                return call
        raise Refusal(404, f"room {room.name} does not seem to be hosting a call currently")

    def _hook_of(self, request: web.Request) -> Hook:
        try:
            return self.hooks[request.match_info["uuid"]]
        except KeyError:
            raise Refusal(404, "no such webhook") from None
