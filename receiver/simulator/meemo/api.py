"""The external API, as strict as the vendor's documents are: tokens, required fields, 400, 401, 403, 404."""

import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from importlib import resources
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from aiohttp import web

from receiver.simulator.meemo.asking import Refusal, day_of, named_in, read_object, whole_number
from receiver.simulator.meemo.store import EVENTS, Meeting

if TYPE_CHECKING:
    from receiver.simulator.meemo.cloud import MeemoCloud

_PREFIX = "/api/v1/external"
_PAGE = 10
_SCOPE = "read write"
_TOPICS = (
    {"id": 1, "name": "General", "alias": "General Meeting", "language": "id"},
    {"id": 2, "name": "Engineering", "alias": "Tech Sync", "language": "en"},
)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Api:
    """Answers for ``cloud``. ``issued``: tokens and when they end, on the machine's steady clock."""

    def __init__(self, cloud: "MeemoCloud", client_id: str, client_secret: str, token_s: float) -> None:
        self._cloud = cloud
        self._client = client_id, client_secret
        self._token_s = token_s
        self.issued: dict[str, float] = {}
        self._sound = resources.files("receiver.simulator") / "assets" / "meeting.wav"

    def routes(self) -> Iterable[web.RouteDef]:
        """Every documented call."""
        yield web.post("/api/auth/token/", self._guarded(self._grant, public=True))
        yield web.post("/api/auth/revoke-token/", self._guarded(self._revoke, public=True))
        for method, path, handler in (
            ("GET", "/meeting/", self._meetings),
            ("POST", "/meeting/", self._create),
            ("GET", "/meeting/{id}/", self._detail),
            ("GET", "/meeting/{id}/{what:transcript|summary|participants|recording}/", self._part),
            ("GET", "/topics/", self._topics),
            ("GET", "/usage/", self._usage),
            ("GET", "/webhooks/available-organizations/", self._organizations),
            ("GET", "/webhooks/", self._hooks),
            ("POST", "/webhooks/", self._register),
            ("GET", "/webhooks/{id}/", self._hook),
            ("DELETE", "/webhooks/{id}/", self._unregister),
            ("GET", "/webhook-events/", self._log),
            ("GET", "/webhook-events/{id}/", self._entry),
        ):
            yield web.route(method, _PREFIX + path, self._guarded(handler))
        yield web.get("/media/meeting_records/{id}/recording.wav", self._guarded(self._media))

    def expire(self) -> None:
        """Every token that was given out is over."""
        self.issued.clear()

    def _guarded(self, handler: Handler, *, public: bool = False) -> Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            try:
                if not public:
                    self._require_token(request)
                return await handler(request)
            except Refusal as refusal:
                return web.json_response(refusal.body, status=refusal.status)

        return answer

    def _require_token(self, request: web.Request) -> None:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind != "Bearer" or not token:
            raise Refusal(401, {"detail": "No credentials were given."})
        if self.issued.get(token, 0.0) <= time.monotonic():
            raise Refusal(401, {"detail": "The access token is not valid or has ended."})

    # Tokens

    async def _grant(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        if form.get("grant_type") != "client_credentials":
            raise Refusal(400, {"error": "unsupported_grant_type"})
        self._require_client(form)
        token = f"{self._cloud.rng.getrandbits(160):040x}"
        self.issued[token] = time.monotonic() + self._token_s
        return web.json_response(
            {"access_token": token, "token_type": "Bearer", "expires_in": int(self._token_s), "scope": _SCOPE}
        )

    async def _revoke(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        self._require_client(form)
        self.issued.pop(str(form.get("token", "")), None)
        return web.Response()

    def _require_client(self, form: Any) -> None:
        if (form.get("client_id"), form.get("client_secret")) != self._client:
            raise Refusal(401, {"error": "invalid_client"})

    # Meetings

    async def _meetings(self, request: web.Request) -> web.StreamResponse:
        query = request.query
        found = sorted(self._cloud.store.meetings.values(), key=lambda one: (one.item()["start_time"], one.id))
        if text := query.get("organization_id"):
            organization = self._organization(text)
            found = [one for one in found if one.organization_id == organization]
        if text := query.get("title"):
            found = [one for one in found if text.lower() in one.title.lower()]
        if text := query.get("participants"):
            wanted = {whole_number(part, "participants") for part in text.split(",")}
            found = [one for one in found if wanted & {person["id"] for person in one.participants()["participants"]}]
        for key, keeps in (("created_after", 1), ("created_before", -1)):
            if text := query.get(key):
                day = day_of(text, key)
                found = [
                    one for one in found if (one.created.date() >= day if keeps > 0 else one.created.date() <= day)
                ]
        if text := query.get("summary_complete"):
            found = [one for one in found if one.summarized == (text == "true")]
        if text := query.get("from_calendar"):
            found = [one for one in found if bool(one.asked.get("calendar_event")) == (text == "true")]
        return self._page(request, [one.item() for one in reversed(found)])

    async def _create(self, request: web.Request) -> web.StreamResponse:
        asked = await read_object(request)
        wrong: dict[str, list[str]] = {}
        organization = asked.get("organization_id")
        if not isinstance(organization, int):
            wrong["organization_id"] = ["This field is required."]
        if asked.get("bot_meeting_url") and asked.get("file_url"):
            wrong["file_url"] = ["A meeting has a bot or a file, not both."]
        if moment := asked.get("bot_join_at"):
            try:
                if datetime.fromisoformat(moment) <= datetime.now(UTC):
                    wrong["bot_join_at"] = ["This has to be in the future."]
            except (ValueError, TypeError):
                wrong["bot_join_at"] = ["This is no time."]
        count = asked.get("speaker_count")
        if count is not None and not (isinstance(count, int) and count >= 1):
            wrong["speaker_count"] = ["At least 1."]
        event = asked.get("calendar_event")
        if event is not None and not (isinstance(event, dict) and event.get("event_id")):
            wrong["calendar_event"] = ["event_id is required."]
        if wrong:
            raise Refusal(400, wrong)
        self._require_member(organization)
        meeting = self._cloud.add_meeting(asked)
        return web.json_response(meeting.detail(self._cloud.speech), status=201)

    async def _detail(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(self._meeting(request).detail(self._cloud.speech))

    async def _part(self, request: web.Request) -> web.StreamResponse:
        meeting, what = self._meeting(request), request.match_info["what"]
        if what == "summary":
            return web.json_response(meeting.summary())
        if what == "participants":
            return web.json_response(meeting.participants())
        if not meeting.transcribed:
            raise Refusal(404, {"detail": "Not found."})
        return web.json_response(getattr(meeting, what)(self._cloud.speech))

    async def _media(self, request: web.Request) -> web.StreamResponse:
        self._meeting(request)
        return web.Response(body=self._sound.read_bytes(), content_type="audio/wav")

    def _meeting(self, request: web.Request) -> Meeting:
        meeting: Meeting = named_in(self._cloud.store.meetings, request)
        return meeting

    # Organisations

    async def _topics(self, request: web.Request) -> web.StreamResponse:
        if text := request.query.get("organization_id"):
            self._organization(text)
        return web.json_response(_TOPICS)

    async def _usage(self, request: web.Request) -> web.StreamResponse:
        for key in ("start_date", "end_date"):
            if text := request.query.get(key):
                day_of(text, key)
        text = request.query.get("organization_id")
        seconds = sum(self._cloud.speech.duration_s for one in self._cloud.store.meetings.values() if one.transcribed)
        return web.json_response(
            [
                {"organization_id": number, "organization_name": name, "capability_name": capability,
                 "usage": used, "quota": quota}
                for number, name in self._cloud.organizations.items()
                if not text or number == self._organization(text)
                for capability, used, quota in (("speech-to-text", seconds, 36_000), ("summarization", 1200, None),
                                                ("translation", 0, -1))
            ]
        )  # fmt: skip

    async def _organizations(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response([{"id": number, "name": name} for number, name in self._cloud.organizations.items()])

    def _organization(self, text: str) -> int:
        number = whole_number(text, "organization_id")
        self._require_member(number)
        return number

    def _require_member(self, number: Any) -> None:
        if number not in self._cloud.organizations:
            raise Refusal(403, {"detail": "The organization is not one of yours."})

    # Webhooks

    async def _register(self, request: web.Request) -> web.StreamResponse:
        asked = await read_object(request)
        url, events, organizations = (asked.get(key) for key in ("target_url", "events", "organization_ids"))
        wrong: dict[str, list[str]] = {}
        parts = urlsplit(url if isinstance(url, str) else "")
        if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "localhost"):
            wrong["target_url"] = ["Enter an HTTPS URL."]
        if not isinstance(events, list) or not events:
            wrong["events"] = ["This field is required."]
        elif unknown := [one for one in events if one not in EVENTS]:
            wrong["events"] = [f"{unknown[0]} is no event."]
        if not isinstance(organizations, list) or not organizations:
            wrong["organization_ids"] = ["This field is required."]
        if wrong or not isinstance(url, str) or not isinstance(events, list) or not isinstance(organizations, list):
            raise Refusal(400, wrong)
        for number in organizations:
            self._require_member(number)
        description = asked.get("description") or ""
        made = [self._cloud.add_hook(url, number, events, description=description) for number in organizations]
        return web.json_response([hook.body() for hook in made], status=201)

    async def _hooks(self, request: web.Request) -> web.StreamResponse:
        return self._page(request, [hook.body() for hook in self._cloud.store.hooks.values()])

    async def _hook(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(named_in(self._cloud.store.hooks, request).body(detail=True))

    async def _unregister(self, request: web.Request) -> web.StreamResponse:
        del self._cloud.store.hooks[named_in(self._cloud.store.hooks, request).id]
        return web.Response(status=204)

    async def _log(self, request: web.Request) -> web.StreamResponse:
        entries = list(reversed(self._cloud.store.log.values()))
        if text := request.query.get("webhook_id"):
            number = whole_number(text, "webhook_id")
            entries = [one for one in entries if one.webhook_id == number]
        return self._page(request, [one.body() for one in entries])

    async def _entry(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(named_in(self._cloud.store.log, request).body())

    def _page(self, request: web.Request, items: list[Any]) -> web.StreamResponse:
        number = whole_number(request.query.get("page", "1"), "page")
        size = whole_number(request.query.get("size", str(_PAGE)), "size")
        begin = (number - 1) * size
        if number < 1 or size < 1 or (begin >= len(items) and number > 1):
            raise Refusal(404, {"detail": "Invalid page."})

        def link(page: int) -> str:
            return f"{self._cloud.url}{request.rel_url.update_query(page=page)}"

        following = link(number + 1) if begin + size < len(items) else None
        before = link(number - 1) if number > 1 else None
        return web.json_response(
            {"count": len(items), "next": following, "previous": before, "results": items[begin : begin + size]}
        )
