"""The server of agents' sockets, ``/agent-ws/v1``: who dials with a participant's token hears what goes on.

A connection outlives its socket by five seconds, and what happens meanwhile is queued. Source: RealtimeKit, agent
WebSocket, get started and events (beta, 2026).
"""

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import WSMsgType, web

PATH = "/agent-ws/v1"
PROTOCOL = "realtimekit.v1"
GRACE_S = 5.0
MOST_QUEUED = 10_000
CATEGORIES = {
    "participant.join": "participant", "participant.leave": "participant", "transcript.received": "transcript",
    "broadcast.received": "broadcast",
}  # fmt: skip
_PARAMETERS = frozenset({"subscriptions", "connection_id"})
_SUBSCRIPTIONS = frozenset({"transcript", "participant", "broadcast"})
_MOST_ID = 128
#: after these there is nothing to resume
_FOR_GOOD = frozenset({"session_ended", "queue_overflow", "upstream_rejected"})


class Connection:
    """One agent in one meeting. ``over``: the code and reason with which it ended for good."""

    def __init__(self, id_: str, meeting_id: str, participant_id: str, subscriptions: tuple[str, ...]) -> None:
        self.id, self.meeting_id, self.participant_id, self.subscriptions = (
            id_,
            meeting_id,
            participant_id,
            subscriptions,
        )
        self.queue: deque[str] = deque()
        self.more = asyncio.Event()
        self.idle = asyncio.Event()
        self.socket: web.WebSocketResponse | None = None
        self.transport: asyncio.Transport | None = None
        #: set while there is no socket
        self.away = asyncio.Event()
        self.joined = False
        #: whether it is this side that is closing the socket
        self.closing = False
        self.left_at_s = 0.0
        self.over: tuple[int, str] | None = None
        #: requests that came, by name
        self.requests: list[str] = []

    def put(self, name: str, data: Mapping[str, Any]) -> None:
        """Queue a message, unless it is of a kind that was not asked for."""
        category = CATEGORIES.get(name)
        if self.over or (category and category not in self.subscriptions):
            return
        self.queue.append(json.dumps({"category": "message", "name": name, "data": data}, ensure_ascii=False))
        self.idle.clear()
        self.more.set()


class Agents:
    """All connections. ``holder(token)``: the meeting and participant that a token is for; ``session(meeting)``: the
    session that goes on as ``{id, meeting_id, started_at, ended_at}``."""

    def __init__(
        self,
        holder: Callable[[str], tuple[str, str] | None],
        session: Callable[[str], dict[str, Any] | None],
        new_id: Callable[[], str],
        count: Callable[[str], None],
    ) -> None:
        self._holder, self._session, self._new_id, self._count = holder, session, new_id, count
        self.connections: dict[str, Connection] = {}
        self.arrived = asyncio.Event()
        #: whether ``connection.ping`` is answered
        self.answers_pings = True

    def of(self, meeting_id: str) -> list[Connection]:
        """Those that are in a meeting, or were a moment ago."""
        return [one for one in self.connections.values() if one.meeting_id == meeting_id and not one.over]

    async def tell(self, meeting_id: str, name: str, data: Mapping[str, Any]) -> None:
        """Have every agent of a meeting hear of something."""
        for one in self.of(meeting_id):
            if one.socket is None and one.left_at_s and _now() - one.left_at_s > GRACE_S:
                one.joined = False
            elif one.joined:
                one.put(name, data)
            if len(one.queue) > MOST_QUEUED:
                await self.end(one, 1013, "queue_overflow")

    def begin(self, meeting_id: str) -> None:
        """A session has begun: agents that wait join it."""
        for one in self.of(meeting_id):
            self._join(one)

    async def end(self, one: Connection, code: int, reason: str) -> None:
        """Close a connection as the vendor does: ``session_ended``, ``upstream_lost``, …; what is queued goes first."""
        if reason in _FOR_GOOD:
            one.over = code, reason
        one.joined = False
        socket = one.socket
        if reason == "session_ended" and socket is not None and not socket.closed:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GRACE_S):
                    await one.idle.wait()
        if socket is not None:
            one.closing = True
            await socket.close(code=code, message=reason.encode())

    def cut(self, one: Connection) -> None:
        """Lose the socket without a word; the connection goes on for ``GRACE_S``."""
        if one.socket is not None and one.transport is not None:
            one.transport.abort()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One dialling: refused with the vendor's body, or held until it ends."""
        refusal, connection = self._admit(request)
        if refusal is not None or connection is None:
            return refusal or _refused(500, "INTERNAL_ERROR", "No connection.")
        socket = web.WebSocketResponse(protocols=(PROTOCOL,), autoping=True)
        await socket.prepare(request)
        self._count("sockets")
        if connection.over:
            await socket.close(code=connection.over[0], message=connection.over[1].encode())
            return socket
        before, connection.socket, connection.transport = connection.socket, socket, request.transport
        if before is not None and not before.closed:
            await before.close(code=4409, message=b"replaced")
        if connection.joined and connection.left_at_s and _now() - connection.left_at_s > GRACE_S:
            connection.joined = False
        connection.left_at_s, connection.closing = 0.0, False
        connection.away.clear()
        self._join(connection)
        self.arrived.set()
        try:
            async with asyncio.TaskGroup() as tasks:
                writer = tasks.create_task(self._write(connection, socket))
                await self._read(connection, socket)
                writer.cancel()
        finally:
            if connection.socket is socket:
                connection.socket, connection.left_at_s = None, _now()
                connection.away.set()
                if socket.close_code == 1000 and not connection.closing:
                    connection.over = connection.over or (1000, "session_ended")
        return socket

    def _admit(self, request: web.Request) -> tuple[web.Response | None, Connection | None]:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        holder = self._holder(token) if kind.lower() == "bearer" else None
        if holder is None:
            return _refused(401, "UNAUTHENTICATED", "Invalid participant token."), None
        offered = [name.strip() for name in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
        if PROTOCOL not in offered:
            return _refused(400, "BAD_REQUEST", f"Subprotocol {PROTOCOL} is required."), None
        wanted = tuple(filter(None, request.query.get("subscriptions", "").split(",")))
        if set(request.query) - _PARAMETERS or set(wanted) - _SUBSCRIPTIONS or request.query.get("connection_id") == "":
            return _refused(400, "INVALID_QUERY", "Unknown parameter or subscription."), None
        id_ = request.query.get("connection_id")
        if id_ is None:
            connection = Connection(f"conn_{self._new_id()[:8]}", *holder, wanted)
            self.connections[connection.id] = connection
            return None, connection
        known = self.connections.get(id_)
        if known is None or known.participant_id != holder[1]:
            return _refused(404, "CONNECTION_NOT_FOUND", "No such connection."), None
        known.subscriptions = wanted or known.subscriptions
        return None, known

    def _join(self, one: Connection) -> None:
        session = self._session(one.meeting_id)
        if session is not None and not one.joined:
            one.joined = True
            one.put("session.started", {"session": session})

    async def _write(self, one: Connection, socket: web.WebSocketResponse) -> None:
        """What is queued, oldest first; a message is taken off once it is sent."""
        with contextlib.suppress(ConnectionError):
            while True:
                one.more.clear()
                while one.queue and one.socket is socket:
                    await socket.send_str(one.queue[0])
                    one.queue.popleft()
                    self._count("messages")
                one.idle.set()
                await one.more.wait()

    async def _read(self, one: Connection, socket: web.WebSocketResponse) -> None:
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                answer = self._answer(one, message.data)
                if answer is not None:
                    await socket.send_str(json.dumps(answer))
                    self._count("messages")

    def _answer(self, one: Connection, text: str) -> dict[str, Any] | None:
        try:
            asked = json.loads(text)
        except ValueError:
            asked = None
        asked = asked if isinstance(asked, dict) else {}
        id_, name = asked.get("request_id"), asked.get("name")
        answer: dict[str, Any] = {"category": "result", "request_id": id_, "name": name, "data": None, "error": None}
        one.requests.append(str(name))
        if asked.get("category") != "request" or not isinstance(id_, str) or not 1 <= len(id_) <= _MOST_ID:
            return answer | {"error": {"code": "INVALID_REQUEST", "message": "Not a request."}}
        if name == "connection.get":
            return answer | {"data": {"connection": {"id": one.id, "subscriptions": list(one.subscriptions)}}}
        if name == "connection.ping":
            return answer | {"data": {}} if self.answers_pings else None
        return answer | {"error": {"code": "UNSUPPORTED_REQUEST", "message": "Unknown request."}}


def _refused(status: int, code: str, message: str) -> web.Response:
    body = {"success": False, "error": {"code": code, "message": message, "retryable": status >= 500}}
    return web.json_response(body, status=status)


def _now() -> float:
    return asyncio.get_running_loop().time()
