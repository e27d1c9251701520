"""The REST API of a stand-in: Cloudflare's, and Dyte's, which differ in their paths and in who is let in.

Source: RealtimeKit, REST API reference, rate limits (2026).
"""

import base64
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from aiohttp import web

from receiver.simulator.realtimekit import checks, files
from receiver.simulator.realtimekit.store import Person, Session, Store
from receiver.simulator.realtimekit.wire import Dialect, instant

Handler = Callable[[web.Request, Dialect], Awaitable[web.StreamResponse]]
CLOUDFLARE = "/client/v4/accounts/{account}/realtime/kit/{app}"
DYTE = "/v2"
_PER_PAGE = 20


class Refusal(Exception):
    """An error body of the vendor's."""

    def __init__(self, status: int, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.status, self.code = status, code or status


class RestApi:
    """Answers calls from a ``Store``. ``begin(meeting)`` is called for each meeting that is made; ``end(session,
    reason)`` when everybody is sent out; ``pending()``: nothing that is made of a session is ever ready; ``changed``
    is told of each recording that changes."""

    def __init__(
        self,
        store: Store,
        credentials: Mapping[str, str],
        *,
        origin: Callable[[], str],
        pending: Callable[[], bool],
        begin: Callable[[str, Dialect], None],
        end: Callable[[Session, str], None],
        changed: Callable[[Session, dict[str, Any]], Awaitable[None]],
        presets: Sequence[str] = ("group_call_host", "group_call_participant", "agent"),
        first_page: int = 1,
    ) -> None:
        self._store, self._credentials, self._origin, self._pending = store, credentials, origin, pending
        self._begin, self._end, self._changed = begin, end, changed
        self._presets, self._first_page = presets, first_page

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
                return await handler(request, dialect)
            except Refusal as refusal:
                error = {"code": refusal.code, "message": str(refusal)}
                body = {"success": False, "errors": [error], "messages": [], "result": None}
                return web.json_response(body, status=refusal.status)

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
        meeting = self._store.add_meeting(await _body(request, checks.MEETING))
        self._begin(meeting["id"], dialect)
        return _data(meeting, status=201)

    async def _list_meetings(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        wanted = request.query.get("search", "").lower()
        found = [one for one in self._store.meetings.values() if wanted in f"{one['id']} {one['title'] or ''}".lower()]
        return self._page(request, found)

    async def _get_meeting(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        return _data(self._meeting(request))

    async def _change_meeting(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        meeting = self._meeting(request)
        meeting |= await _body(request, checks.MEETING) | {"updated_at": instant(datetime.now(UTC))}
        return _data(meeting)

    async def _add_participant(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        meeting = self._meeting(request)
        fields = await _body(request, checks.PARTICIPANT, ("custom_participant_id", "preset_name"))
        self._known_preset(fields)
        person = self._store.add_person(meeting["id"], fields)
        return _data({**person.body, "token": person.tokens[-1]}, status=201)

    async def _list_participants(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        people = self._store.people[self._meeting(request)["id"]]
        return self._page(request, [person.body for person in people.values()])

    async def _get_participant(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        return _data(self._person(request).body)

    async def _change_participant(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        person = self._person(request)
        fields = await _body(request, checks.PARTICIPANT)
        self._known_preset(fields)
        person.body |= fields
        return _data({**person.body, "token": person.tokens[-1]})

    async def _remove_participant(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        person = self._person(request)
        del self._store.people[request.match_info["meeting"]][person.body["id"]]
        return _data(person.body)

    async def _refresh_token(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        person = self._person(request)
        person.tokens.append(self._store.secret())
        return _data({"token": person.tokens[-1]})

    async def _active_session(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        return _data(self._live(request).body())

    async def _kick_all(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        session = self._live(request)
        here = sum(visit.left_s is None for visit in session.visits)
        self._end(session, "HOST_ENDED_MEETING")
        return _data({"action": "kick-all", "kicked_participants_count": here})

    # sessions

    async def _list_sessions(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        query = request.query
        found = [session.body() for session in self._store.sessions.values()]
        for name in ("associated_id", "status"):
            found = [one for one in found if query.get(name) in (None, one[name])]
        if query.get("sort_order") == "DESC":
            found.reverse()
        return self._page(request, found, "sessions")

    async def _get_session(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        return _data(self._session(request).body())

    async def _list_attendees(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        session = self._session(request)
        return self._page(request, [session.attendee(visit) for visit in session.visits], "participants")

    async def _get_attendee(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        return self._attendee(request, [self._session(request)])

    async def _peer_report(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        return self._attendee(request, self._store.sessions.values())

    def _attendee(self, request: web.Request, sessions: Iterable[Session]) -> web.StreamResponse:
        for session in sessions:
            for visit in session.visits:
                if visit.guest.peer_id == request.match_info["participant"]:
                    asked = filter(None, request.query.get("filters", "").split(","))
                    stats = {name: {} for name in asked if name != "quality_stats"}
                    return _data({"participant": session.attendee(visit) | ({"peer_stats": stats} if stats else {})})
        raise Refusal(404, "Participant not found")

    async def _livestream(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        told = self._session(request).livestream
        if told is None:
            raise Refusal(404, "Livestream not found")
        return _data(told)

    def _file(self, kind: str) -> Handler:
        async def handle(request: web.Request, dialect: Dialect) -> web.StreamResponse:
            session = self._session(request)
            if kind not in session.made or self._pending():
                raise Refusal(404, f"{kind.capitalize()} not found")
            format_ = request.query.get("format", "CSV") if dialect == "realtimekit" else "CSV"
            if format_ not in files.FORMATS:
                raise Refusal(400, f"format: must be one of {', '.join(files.FORMATS)}")
            names = ("summaryDownloadUrl", "summaryDownloadUrlExpiry")
            if kind != "summary":
                names = (f"{kind}_download_url", f"{kind}_download_url_expiry")
            link = self._origin() + self.link_to(session, kind, format_)
            told = {"sessionId": session.occasion.session_id, names[0]: link, names[1]: instant(self._store.expiry())}
            return _data(told)

        return handle

    def link_to(self, session: Session, kind: str, format_: str = "CSV") -> str:
        """Path and query of a new link to a transcript, a summary or the chat."""
        if kind == "transcript":
            content = files.transcript(session.occasion, session.said, format_, session.dialect)
            return self._store.add_link(content, files.FORMATS[format_])
        if kind == "summary":
            return self._store.add_link(files.summary(session.occasion, session.said), "text/plain")
        return self._store.add_link(files.chat(session.occasion, session.written), "text/csv")

    async def _summarize(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        session = self._session(request)
        if session.length_s is None:
            raise Refusal(400, "The session is not over")
        session.made.add("summary")
        return _data({}, status=202)

    # recordings

    async def _start_recording(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        fields = await _body(request, checks.RECORDING)
        if "url" in fields and "meeting_id" not in fields:
            raise Refusal(400, "meeting_id is required")
        return await self._recorded(fields, tracks=False)

    async def _start_tracks(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        return await self._recorded(await _body(request, checks.TRACKS, ("meeting_id",)), tracks=True)

    async def _recorded(self, fields: Mapping[str, Any], *, tracks: bool) -> web.StreamResponse:
        session = self._store.live_session(str(fields.get("meeting_id")))
        if session is None:
            raise Refusal(404, "No active session found for the meeting")
        if self._running(session) and not fields.get("allow_multiple_recordings"):
            raise Refusal(409, "A recording of the meeting is already running")
        told = self.new_recording(session, tracks=tracks)
        await self._changed(session, told)
        shown = recording_body(told)
        return _data({"recording": shown} if tracks else shown, status=201)

    def new_recording(self, session: Session, *, tracks: bool = False) -> dict[str, Any]:
        """A recording that has been asked for; times are ``datetime``."""
        id_ = self._store.id()
        told: dict[str, Any] = {
            "id": id_, "status": "INVOKED", "download_url": None, "audio_download_url": None,
            "download_url_expiry": None, "file_size": None, "output_file_name": f"{id_}.{'tar' if tracks else 'mp4'}",
            "session_id": session.occasion.session_id, "invoked_time": datetime.now(UTC), "started_time": None,
            "stopped_time": None, "recording_duration": 0, "meeting": {"id": session.occasion.meeting_id},
            "start_reason": {"reason": "API_CALL", "caller": {"type": "ORGANIZATION"}}, "stop_reason": None,
            "tracks": tracks,
        }  # fmt: skip
        self._store.recordings[id_] = told
        return told

    async def _list_recordings(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        query = request.query
        found = list(self._store.recordings.values())
        if "meeting_id" in query:
            found = [one for one in found if one["meeting"]["id"] == query["meeting_id"]]
        if "status" in query:
            found = [one for one in found if one["status"] in query.getall("status")]
        return self._page(request, [recording_body(one) for one in found])

    async def _get_recording(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        return _data(recording_body(self._recording(request)))

    async def _active_recording(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        running = self._running(self._live(request))
        if not running:
            raise Refusal(404, "No active recording found")
        return _data(recording_body(running[0]))

    async def _change_recording(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        told = self._recording(request)
        action = (await _body(request, checks.ORDER, ("action",)))["action"]
        allowed = {"pause": ("RECORDING",), "resume": ("PAUSED",), "stop": ("INVOKED", "RECORDING", "PAUSED")}
        if told["status"] not in allowed[action]:
            raise Refusal(400, f"A recording that is {told['status']} cannot {action}")
        told["status"] = {"pause": "PAUSED", "resume": "RECORDING", "stop": "UPLOADING"}[action]
        if action == "stop":
            told["stopped_time"] = datetime.now(UTC)
            told["stop_reason"] = {"reason": "API_CALL", "caller": {"type": "ORGANIZATION"}}
        await self._changed(self._store.sessions[told["session_id"]], told)
        return _data(recording_body(told))

    # webhooks

    async def _create_webhook(self, request: web.Request, dialect: Dialect) -> web.StreamResponse:
        fields = await _body(request, checks.WEBHOOK, ("name", "url", "events"))
        now = instant(datetime.now(UTC))
        webhook = {"enabled": True, **fields, "id": self._store.id(), "created_at": now, "updated_at": now}
        self._store.webhooks[webhook["id"]] = webhook
        self._store.dialects[webhook["id"]] = dialect
        return _data(webhook, status=201)

    async def _list_webhooks(self, _request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        return _data(list(self._store.webhooks.values()))

    async def _event_types(self, _request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        return _data(list(checks.EVENTS))

    async def _get_webhook(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        return _data(self._webhook(request))

    async def _change_webhook(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        webhook = self._webhook(request)
        required = ("name", "url", "events") if request.method == "PUT" else ()
        webhook |= await _body(request, checks.WEBHOOK, required) | {"updated_at": instant(datetime.now(UTC))}
        return _data(webhook)

    async def _delete_webhook(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        webhook = self._webhook(request)
        return _data(self._store.webhooks.pop(webhook["id"]))

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

    # what calls name

    def _meeting(self, request: web.Request) -> dict[str, Any]:
        return _found(self._store.meetings, request, "meeting")

    def _person(self, request: web.Request) -> Person:
        return _found(self._store.people[self._meeting(request)["id"]], request, "participant")

    def _session(self, request: web.Request) -> Session:
        return _found(self._store.sessions, request, "session")

    def _recording(self, request: web.Request) -> dict[str, Any]:
        return _found(self._store.recordings, request, "recording")

    def _webhook(self, request: web.Request) -> dict[str, Any]:
        return _found(self._store.webhooks, request, "webhook")

    def _live(self, request: web.Request) -> Session:
        session = self._store.live_session(self._meeting(request)["id"])
        if session is None:
            raise Refusal(404, "No active session found for the meeting")
        return session

    def _running(self, session: Session) -> list[dict[str, Any]]:
        mine = (one for one in self._store.recordings.values() if one["session_id"] == session.occasion.session_id)
        return [one for one in mine if one["status"] in ("INVOKED", "RECORDING", "PAUSED")]

    def _known_preset(self, fields: Mapping[str, Any]) -> None:
        if fields.get("preset_name") not in (None, *self._presets):
            raise Refusal(404, "No preset found with the given name")

    def _page(self, request: web.Request, items: Sequence[Any], within: str = "") -> web.StreamResponse:
        try:
            number = int(request.query.get("page_no", self._first_page))
            size = int(request.query.get("per_page", _PER_PAGE))
        except ValueError:
            raise Refusal(400, "page_no and per_page: must be numbers") from None
        if number < 0 or size < 1:
            raise Refusal(400, "page_no and per_page: out of range")
        begin = max(0, number - self._first_page) * size
        shown = items[begin : begin + size]
        paging = {"start_offset": begin + 1, "end_offset": begin + len(shown), "total_count": len(items)}
        data = {within: shown} if within else shown
        return web.json_response({"success": True, "data": data, "paging": paging})


def recording_body(told: Mapping[str, Any]) -> dict[str, Any]:
    """A recording as the REST API tells it."""
    shown = {name: value for name, value in told.items() if name != "tracks"}
    return {name: instant(value) if isinstance(value, datetime) else value for name, value in shown.items()}


def _found(table: Mapping[str, Any], request: web.Request, what: str) -> Any:
    try:
        return table[request.match_info[what]]
    except KeyError:
        raise Refusal(404, f"{what.capitalize()} not found") from None


async def _body(
    request: web.Request, fields: Mapping[str, checks.Check], required: tuple[str, ...] = ()
) -> dict[str, Any]:
    try:
        body = orjson.loads(await request.read())
    except orjson.JSONDecodeError:
        raise Refusal(400, "The body is not JSON") from None
    if problem := checks.problem_of(body, fields, required):
        raise Refusal(422, problem)
    told: dict[str, Any] = body
    return told


def _data(data: Any, *, status: int = 200) -> web.Response:
    return web.json_response({"success": True, "data": data}, status=status)
