"""What answers of a stand-in's REST API share: the envelope, pages, refusals, and the things that a call names.

Source: RealtimeKit, REST API reference (2026).
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import orjson
from aiohttp import web

from receiver.simulator.realtimekit import checks
from receiver.simulator.realtimekit.store import Person, Session, Store
from receiver.simulator.realtimekit.wire import Dialect

Handler = Callable[[web.Request, Dialect], Awaitable[web.StreamResponse]]
T = TypeVar("T")
WINDOW_S = 10.0
_PER_PAGE = 20


class Refusal(Exception):
    """An error body of the vendor's."""

    def __init__(self, status: int, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.status, self.code = status, code or status


class Answers:
    """Answers from a ``Store``. ``begin(meeting)`` is called for each meeting that is made; ``end(session,
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
        #: calls within ``WINDOW_S``, as the vendor allows them
        self.most_calls = 250
        self._called_s: deque[float] = deque()

    def _within_limit(self) -> None:
        """Raises ``Refusal`` for a call that is one too many."""
        now_s = asyncio.get_running_loop().time()
        while self._called_s and now_s - self._called_s[0] >= WINDOW_S:
            self._called_s.popleft()
        if len(self._called_s) >= self.most_calls:
            raise Refusal(429, "Please wait and consider throttling your request speed", 10_429)
        self._called_s.append(now_s)

    def _meeting(self, request: web.Request) -> dict[str, Any]:
        return found(self._store.meetings, request, "meeting")

    def _person(self, request: web.Request) -> Person:
        return found(self._store.people[self._meeting(request)["id"]], request, "participant")

    def _session(self, request: web.Request) -> Session:
        return found(self._store.sessions, request, "session")

    def _recording(self, request: web.Request) -> dict[str, Any]:
        return found(self._store.recordings, request, "recording")

    def _webhook(self, request: web.Request) -> dict[str, Any]:
        return found(self._store.webhooks, request, "webhook")

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
        told = {within: shown} if within else shown
        return web.json_response({"success": True, "data": told, "paging": paging})


def found(table: Mapping[str, T], request: web.Request, what: str) -> T:
    """What the path names as ``what``. Raises ``Refusal`` where it is not there."""
    try:
        return table[request.match_info[what]]
    except KeyError:
        raise Refusal(404, f"{what.capitalize()} not found") from None


async def body_of(
    request: web.Request, fields: Mapping[str, checks.Check], required: tuple[str, ...] = ()
) -> dict[str, Any]:
    """The body of a call. Raises ``Refusal`` with the first field that is missing or not allowed."""
    try:
        body = orjson.loads(await request.read())
    except orjson.JSONDecodeError:
        raise Refusal(400, "The body is not JSON") from None
    if problem := checks.problem_of(body, fields, required):
        raise Refusal(422, problem)
    told: dict[str, Any] = body
    return told


def data(told: Any, *, status: int = 200) -> web.Response:
    """The envelope around what is told."""
    return web.json_response({"success": True, "data": told}, status=status)
