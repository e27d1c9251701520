"""The REST API of a stand-in: Cloudflare's, and Dyte's, which differ in their paths and in who is let in.

Source: RealtimeKit, REST API reference, rate limits (2026).
"""

import base64
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime

from aiohttp import web

from receiver.simulator.realtimekit import checks
from receiver.simulator.realtimekit.answers import WINDOW_S, Handler, Refusal, body_of, data
from receiver.simulator.realtimekit.rest_recordings import RecordingAnswers
from receiver.simulator.realtimekit.rest_sessions import SessionAnswers
from receiver.simulator.realtimekit.wire import Dialect, instant

CLOUDFLARE = "/client/v4/accounts/{account}/realtime/kit/{app}"
DYTE = "/v2"


class RestApi(SessionAnswers, RecordingAnswers):
    """Meetings, webhooks and links; and who is let in."""

    def routes(self) -> Iterable[web.RouteDef]:
        """Every call, below both bases; and the links, below none."""
        meeting, person = "/meetings/{meeting}", "/meetings/{meeting}/participants/{participant}"
        session, recording, webhook = "/sessions/{session}", "/recordings/{recording}", "/webhooks/{webhook}"
        table: tuple[tuple[str, str, Handler], ...] = (
            ("POST", "/meetings", self._create_meeting),
            ("GET", "/meetings", self._list_meetings),
            ("GET", meeting, self._get_meeting),
            ("PATCH", meeting, self._change_meeting),
            ("PUT", meeting, self._change_meeting),
            ("POST", f"{meeting}/participants", self._add_participant),
            ("GET", f"{meeting}/participants", self._list_participants),
            ("GET", person, self._get_participant),
            ("PATCH", person, self._change_participant),
            ("DELETE", person, self._remove_participant),
            ("POST", f"{person}/token", self._refresh_token),
            ("GET", f"{meeting}/active-session", self._active_session),
            ("POST", f"{meeting}/active-session/kick-all", self._kick_all),
            ("GET", "/sessions", self._list_sessions),
            ("GET", "/sessions/peer-report/{participant}", self._peer_report),
            ("GET", session, self._get_session),
            ("GET", f"{session}/participants", self._list_attendees),
            ("GET", f"{session}/participants/{{participant}}", self._get_attendee),
            ("GET", f"{session}/livestream-sessions", self._livestream),
            ("GET", f"{session}/transcript", self._file("transcript")),
            ("GET", f"{session}/summary", self._file("summary")),
            ("POST", f"{session}/summary", self._summarize),
            ("GET", f"{session}/chat", self._file("chat")),
            ("POST", "/recordings", self._start_recording),
            ("POST", "/recordings/track", self._start_tracks),
            ("GET", "/recordings", self._list_recordings),
            ("GET", "/recordings/active-recording/{meeting}", self._active_recording),
            ("GET", recording, self._get_recording),
            ("PUT", recording, self._change_recording),
            ("POST", "/webhooks", self._create_webhook),
            ("GET", "/webhooks", self._list_webhooks),
            ("GET", "/webhooks/all", self._event_types),
            ("GET", webhook, self._get_webhook),
            ("PATCH", webhook, self._change_webhook),
            ("PUT", webhook, self._change_webhook),
            ("DELETE", webhook, self._delete_webhook),
        )
        yield web.get("/files/{name}", self._download)
        for base, dialect in ((CLOUDFLARE, "realtimekit"), (DYTE, "dyte")):
            for method, path, handler in table:
                yield web.route(method, base + path, self._guarded(handler, dialect))  # type: ignore[arg-type]

    def _guarded(self, handler: Handler, dialect: Dialect) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                self._admit(request, dialect)
                self._within_limit()
                return await handler(request, dialect)
            except Refusal as refusal:
                error = {"code": refusal.code, "message": str(refusal)}
                body = {"success": False, "errors": [error], "messages": [], "result": None}
                headers = {"Retry-After": f"{WINDOW_S:.0f}"} if refusal.status == 429 else {}
                return web.json_response(body, status=refusal.status, headers=headers)

        return handle

    def _admit(self, request: web.Request, dialect: Dialect) -> None:
        known, shown = self._credentials, request.headers.get("Authorization", "")
        if dialect == "dyte":
            right = "Basic " + base64.b64encode(f"{known['organization']}:{known['key']}".encode()).decode()
        else:
            right = f"Bearer {known['token']}"
            here = request.match_info["account"], request.match_info["app"]
            if shown == right and here != (known["account"], known["app"]):
                raise Refusal(403, "Authentication error", 10_000)
        if shown != right:
            raise Refusal(401, "Authentication error", 10_000)

    # meetings

    async def _create_meeting(self, request: web.Request, dialect: Dialect) -> web.StreamResponse:
        meeting = self._store.add_meeting(await body_of(request, checks.MEETING))
        self._begin(meeting["id"], dialect)
        return data(meeting, status=201)

    async def _list_meetings(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        wanted = request.query.get("search", "").lower()
        found = [one for one in self._store.meetings.values() if wanted in f"{one['id']} {one['title'] or ''}".lower()]
        return self._page(request, found)

    async def _get_meeting(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        return data(self._meeting(request))

    async def _change_meeting(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        meeting = self._meeting(request)
        meeting |= await body_of(request, checks.MEETING) | {"updated_at": instant(datetime.now(UTC))}
        return data(meeting)

    async def _add_participant(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        meeting = self._meeting(request)
        fields = await body_of(request, checks.PARTICIPANT, ("custom_participant_id", "preset_name"))
        self._known_preset(fields)
        person = self._store.add_person(meeting["id"], fields)
        return data({**person.body, "token": person.tokens[-1]}, status=201)

    async def _list_participants(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        people = self._store.people[self._meeting(request)["id"]]
        return self._page(request, [person.body for person in people.values()])

    async def _get_participant(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        return data(self._person(request).body)

    async def _change_participant(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        person = self._person(request)
        fields = await body_of(request, checks.PARTICIPANT)
        self._known_preset(fields)
        person.body |= fields
        return data({**person.body, "token": person.tokens[-1]})

    async def _remove_participant(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        person = self._person(request)
        del self._store.people[request.match_info["meeting"]][person.body["id"]]
        return data(person.body)

    async def _refresh_token(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        person = self._person(request)
        person.tokens.append(self._store.secret())
        return data({"token": person.tokens[-1]})

    async def _active_session(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        return data(self._live(request).body())

    async def _kick_all(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        session = self._live(request)
        here = sum(visit.left_s is None for visit in session.visits)
        self._end(session, "HOST_ENDED_MEETING")
        return data({"action": "kick-all", "kicked_participants_count": here})

    # webhooks

    async def _create_webhook(self, request: web.Request, dialect: Dialect) -> web.StreamResponse:
        fields = await body_of(request, checks.WEBHOOK, ("name", "url", "events"))
        now = instant(datetime.now(UTC))
        webhook = {"enabled": True, **fields, "id": self._store.id(), "created_at": now, "updated_at": now}
        self._store.webhooks[webhook["id"]] = webhook
        self._store.dialects[webhook["id"]] = dialect
        return data(webhook, status=201)

    async def _list_webhooks(self, _request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        return data(list(self._store.webhooks.values()))

    async def _event_types(self, _request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        return data(list(checks.EVENTS))

    async def _get_webhook(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        return data(self._webhook(request))

    async def _change_webhook(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        webhook = self._webhook(request)
        required = ("name", "url", "events") if request.method == "PUT" else ()
        webhook |= await body_of(request, checks.WEBHOOK, required) | {"updated_at": instant(datetime.now(UTC))}
        return data(webhook)

    async def _delete_webhook(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        webhook = self._webhook(request)
        return data(self._store.webhooks.pop(webhook["id"]))

    # links

    async def _download(self, request: web.Request) -> web.StreamResponse:
        """What the object store does: it knows the link, and takes no second credential."""
        if "Authorization" in request.headers:
            raise web.HTTPBadRequest(text="Only one auth mechanism allowed")
        found = self._store.links.get(request.match_info["name"])
        if found is None or "X-Amz-Signature" not in request.query:
            raise web.HTTPForbidden(text="Request has expired")
        content, media_type = found
        return web.Response(body=content, content_type=media_type)
