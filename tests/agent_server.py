"""RealtimeKit's agent socket as the vendor serves it, by the fact sheet (section 4); knows nothing of the receiver.

A connection outlives its socket for a while: what happens meanwhile is queued, and sent to whoever comes back
with the connection's id. Tests tell it what happens, what it refuses, and how it ends.
"""

import asyncio
import itertools
import json
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

SUBPROTOCOL = "realtimekit.v1"
SUBSCRIPTIONS = frozenset({"transcript", "participant", "broadcast"})
PATH = "/agent-ws/v1"
MEETING = "50c8940e-1b97-402a-97d6-2708b7feca41"
SESSION = "05e57591-d89e-45c9-ae44-08dc1eaad0e0"
STARTED_AT = "2026-06-03T10:00:00.000Z"
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJwYXJ0aWNpcGFudCI6ImFnZW50In0.c2lnbmF0dXJl"
_MOST_QUEUED = 10_000


def message(name: str, data: dict[str, Any]) -> str:
    """A message of the vendor's."""
    return json.dumps({"category": "message", "name": name, "data": data})


def session_started(session: str = SESSION) -> str:
    told = {"id": session, "meeting_id": MEETING, "started_at": STARTED_AT, "ended_at": None}
    return message("session.started", {"session": told})


def session_ended(reason: str = "all_participants_left") -> str:
    told = {"id": SESSION, "meeting_id": MEETING, "started_at": STARTED_AT, "ended_at": "2026-06-03T11:00:00.000Z"}
    return message("session.ended", {"session": told, "reason": reason})


def said(text: str, *, final: bool = True, second: int = 1) -> str:
    """What somebody has said; it began at that second of the session."""
    speaker = {"peer_id": "peer-1", "participant_id": "p-1", "custom_participant_id": "u-1", "display_name": "Ann"}
    return message(
        "transcript.received",
        {
            "text": text,
            "is_final": final,
            "started_at": f"2026-06-03T10:{second // 60:02}:{second % 60:02}.000Z",
            "ended_at": f"2026-06-03T10:{second // 60:02}:{second % 60:02}.900Z",
            "confidence": 0.9,
            "speaker": speaker,
        },
    )


def joined(peer: str, name: str) -> str:
    who = {
        "peer_id": peer, "participant_id": f"p-{peer}", "meeting_id": MEETING, "custom_participant_id": f"u-{peer}",
        "display_name": name, "picture_url": None, "preset_id": "x", "preset_name": "host", "waitlisted": False,
    }  # fmt: skip
    return message("participant.join", {"participant": who})


class Refusal:
    """An upgrade that is answered with an HTTP status."""

    def __init__(
        self, status: int, code: str = "", *, retryable: bool = False, headers: dict[str, str] | None = None
    ) -> None:
        self.status = status
        self.body = json.dumps({"success": False, "error": {"code": code, "message": "no", "retryable": retryable}})
        self.headers = headers or {}


class Upgrade:
    """What somebody has asked for when dialling. ``status``: what it was answered."""

    def __init__(self, request: Request) -> None:
        parts = urlsplit(request.path)
        self.path = parts.path
        self.query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.connection_id = self.query.get("connection_id", "")
        self.authorization = request.headers.get("Authorization", "")
        self.subprotocol = request.headers.get("Sec-WebSocket-Protocol", "")
        self.status = 101


class Connection:
    """What the vendor knows of one agent. ``socket`` is ``None`` while it is away."""

    def __init__(self, id_: str) -> None:
        self.id = id_
        self.socket: ServerConnection | None = None
        self.away = asyncio.Event()
        self.lost_s = time.monotonic()
        self.queued: deque[str] = deque(maxlen=_MOST_QUEUED)
        self.sent: list[str] = []
        self.requests: list[dict[str, Any]] = []


class AgentServer:
    """``url`` is what to dial. One meeting, one agent: the newest connection is the one that is told what happens."""

    def __init__(self) -> None:
        self.url = ""
        self.upgrades: list[Upgrade] = []
        #: of the upgrades to come, in turn; then they are let in
        self.refusals: deque[Refusal] = deque()
        #: an upgrade is not answered before this is set
        self.open = asyncio.Event()
        self.open.set()
        self.answers_pings = True
        #: a connection that comes back gets another id
        self.renames = False
        #: each new socket is closed with this
        self.closes_with: tuple[int, str] | None = None
        #: not even that the session has begun
        self.says_nothing = False
        #: so many of the last messages are sent again to a connection that comes back
        self.repeats = 0
        #: the vendor's are 5 s: more than a busy machine may take to dial again
        self.resume_s = 60.0
        #: how each socket ended: code and reason that the other side has sent, 1006 where it sent none
        self.endings: list[tuple[int, str]] = []
        self._numbers = itertools.count(1)
        self._connections: dict[str, Connection] = {}
        self._newest: Connection | None = None

    @classmethod
    @asynccontextmanager
    async def serving(cls) -> AsyncIterator["AgentServer"]:
        """On a free port of this machine; stopped at the end, sockets and all."""
        agent = cls()
        async with serve(
            agent._serve, "127.0.0.1", 0, process_request=agent._admit, subprotocols=[Subprotocol(SUBPROTOCOL)],
            compression=None, ping_interval=None, close_timeout=1.0,
        ) as server:  # fmt: skip
            port = next(iter(server.sockets)).getsockname()[1]
            agent.url = f"ws://127.0.0.1:{port}{PATH}"
            yield agent
            agent.open.set()

    @property
    def connection(self) -> Connection:
        """The newest; fails where nobody has ever dialled."""
        assert self._newest is not None
        return self._newest

    @property
    def attached(self) -> bool:
        """Whether somebody is connected, and has asked what the connection is called."""
        newest = self._newest
        return newest is not None and newest.socket is not None and bool(newest.requests)

    def asked(self, name: str) -> int:
        """How many requests of this name the newest connection has had."""
        return sum(request["name"] == name for request in self.connection.requests)

    async def tell(self, *messages: str | bytes) -> None:
        """Something happens in the meeting. Where nobody is connected, it is kept for whoever comes back."""
        connection = self.connection
        for one in messages:
            if connection.socket is None:
                connection.queued.append(str(one))
                continue
            connection.sent.append(str(one))
            await connection.socket.send(one)

    async def tell_in_pieces(self, text: str, go_on: asyncio.Event) -> None:
        """The same in two fragments; the second, which is its last character, only when ``go_on`` is set."""
        socket = self.connection.socket
        assert socket is not None

        async def pieces() -> AsyncIterator[str]:
            yield text[:-1]
            await go_on.wait()
            yield text[-1]

        await socket.send(pieces())

    async def answer_late(self) -> None:
        """Answer the newest connection's last request, which was passed over."""
        connection = self.connection
        assert connection.socket is not None
        await self._send_result(connection, connection.socket, connection.requests[-1])

    async def close(self, code: int, reason: str = "") -> None:
        """Close the newest connection's socket."""
        socket = self.connection.socket
        assert socket is not None
        await socket.close(code, reason)

    def deafen(self) -> None:
        """Read no more from the newest connection's socket, and so never answer its closing."""
        socket = self.connection.socket
        assert socket is not None
        socket.transport.pause_reading()

    async def drop(self) -> None:
        """Cut it without a word; returns when it is known here."""
        socket = self.connection.socket
        assert socket is not None
        socket.transport.abort()
        await self.connection.away.wait()

    # ---- the vendor's part

    async def _admit(self, socket: ServerConnection, request: Request) -> Response | None:
        upgrade = Upgrade(request)
        self.upgrades.append(upgrade)
        await self.open.wait()
        refusal = self._refusal(upgrade)
        if refusal is None:
            return None
        upgrade.status = refusal.status
        headers = Headers(refusal.headers | {"Content-Type": "application/json", "Connection": "close"})
        headers["Content-Length"] = str(len(refusal.body))
        return Response(refusal.status, "No", headers, refusal.body.encode())

    def _refusal(self, upgrade: Upgrade) -> Refusal | None:
        if self.refusals:
            return self.refusals.popleft()
        if not upgrade.authorization.startswith("Bearer ") or not upgrade.authorization[7:]:
            return Refusal(401, "UNAUTHENTICATED")
        if upgrade.path != PATH or SUBPROTOCOL not in upgrade.subprotocol:
            return Refusal(400, "BAD_REQUEST")
        asked = upgrade.query.get("subscriptions", "").split(",")
        if not set(asked) <= SUBSCRIPTIONS or len(set(asked)) != len(asked):
            return Refusal(400, "INVALID_QUERY")
        known = self._connections.get(upgrade.connection_id)
        gone = known is None or (known.socket is None and time.monotonic() - known.lost_s > self.resume_s)
        if upgrade.connection_id and gone:
            return Refusal(404, "CONNECTION_NOT_FOUND")
        return None

    async def _serve(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        connection_id = Upgrade(socket.request).connection_id
        if connection_id:
            connection = self._connections[connection_id]
            if self.renames:
                self._name(connection)
        else:
            connection = Connection("")
            self._name(connection)
        before, self._newest = self._newest, connection
        if before is not None and before is not connection and before.socket is not None:
            await before.socket.close(4409, "replaced")
        connection.socket = socket
        connection.away.clear()
        connection.requests = []
        try:
            if self.closes_with is not None:
                await socket.close(*self.closes_with)
            if not connection_id and not self.says_nothing:
                await self.tell(session_started())
            elif self.repeats:
                await self.tell(*connection.sent[-self.repeats :])
            while connection.queued:
                await self.tell(connection.queued.popleft())
            async for text in socket:
                await self._answer(connection, socket, json.loads(text))
        except ConnectionClosed:
            pass
        finally:
            if connection.socket is socket:
                connection.socket, connection.lost_s = None, time.monotonic()
                connection.away.set()
            await socket.wait_closed()
            told = socket.protocol.close_rcvd
            self.endings.append((told.code, told.reason) if told else (1006, ""))

    def _name(self, connection: Connection) -> None:
        self._connections.pop(connection.id, None)
        connection.id = f"conn_{next(self._numbers)}"
        self._connections[connection.id] = connection

    async def _answer(self, connection: Connection, socket: ServerConnection, request: dict[str, Any]) -> None:
        connection.requests.append(request)
        if request["name"] != "connection.ping" or self.answers_pings:
            await self._send_result(connection, socket, request)

    async def _send_result(self, connection: Connection, socket: ServerConnection, request: dict[str, Any]) -> None:
        about = {"connection": {"id": connection.id, "subscriptions": sorted(SUBSCRIPTIONS)}}
        answer = {
            "category": "result", "request_id": request["request_id"], "name": request["name"],
            "data": about if request["name"] == "connection.get" else {}, "error": None,
        }  # fmt: skip
        await socket.send(json.dumps(answer))
