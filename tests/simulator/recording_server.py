"""A receiver that keeps everything and understands nothing, written by hand for the simulator's tests."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web


@dataclass
class Post:
    """One POST as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """The body, which must be an object."""
        value = json.loads(self.body)
        assert isinstance(value, dict)
        return value


@dataclass
class Connection:
    """One WebSocket connection: messages in order of arrival, and how it ended (1006 = without a close frame)."""

    path: str
    channel: str
    messages: list[str | bytes] = field(default_factory=list)
    close_code: int | None = None

    @property
    def texts(self) -> list[dict[str, Any]]:
        """The text messages, which must be JSON objects."""
        return [json.loads(message) for message in self.messages if isinstance(message, str)]

    @property
    def binary(self) -> list[bytes]:
        """The binary messages."""
        return [message for message in self.messages if isinstance(message, bytes)]


@dataclass
class Recorder:
    """What arrived, and how to answer. ``on_message`` may use the socket, e.g. to close it."""

    url: str = ""
    posts: list[Post] = field(default_factory=list)
    connections: list[Connection] = field(default_factory=list)
    on_post: Callable[[Post], int] = lambda post: 200
    on_dial: Callable[[str], int] = lambda channel: 101
    greeting: Callable[[str], list[str]] = lambda channel: []
    on_message: Callable[[Connection, web.WebSocketResponse], bool] = lambda connection, socket: True
    hold: Callable[["Recorder", Post], bool] = lambda recorder, post: False
    before_answer: Callable[[Post], Awaitable[None]] | None = None
    held: asyncio.Condition = field(default_factory=asyncio.Condition)

    def of(self, channel: str) -> list[Connection]:
        """The connections of one channel, oldest first."""
        return [connection for connection in self.connections if connection.channel == channel]

    async def take_post(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        post = Post(request.path_qs, headers, await request.read())
        self.posts.append(post)
        async with self.held:
            self.held.notify_all()
            await asyncio.wait_for(self.held.wait_for(lambda: not self.hold(self, post)), timeout=30)
        if self.before_answer is not None:
            await self.before_answer(post)
        return web.Response(status=self.on_post(post))

    async def take_socket(self, request: web.Request) -> web.StreamResponse:
        channel = request.match_info["channel"]
        if (status := self.on_dial(channel)) != 101:
            return web.Response(status=status)
        connection = Connection(request.path_qs, channel)
        self.connections.append(connection)
        socket = web.WebSocketResponse(max_msg_size=0)
        await socket.prepare(request)
        for text in self.greeting(channel):
            await socket.send_str(text)
        async for message in socket:
            assert message.type in (WSMsgType.TEXT, WSMsgType.BINARY)
            connection.messages.append(message.data)
            if isinstance(message.data, str) and '"video_latency_ping"' in message.data:
                await socket.send_json(pong(json.loads(message.data)))
            if not self.on_message(connection, socket):
                await socket.close(code=1001)
        connection.close_code = socket.close_code
        return socket


def pong(ping: dict[str, Any]) -> dict[str, Any]:
    """The answer to a latency ping."""
    return {
        "type": "video_latency_pong",
        "seq": ping["seq"],
        "sent_at_ms": ping["sent_at_ms"],
        "server_received_at_ms": time.time_ns() // 1_000_000,
        "bot_id": ping["bot_id"],
    }


@asynccontextmanager
async def recording_server(**behaviour: Any) -> AsyncIterator[Recorder]:
    """A recorder behind a free port of 127.0.0.1; ``url`` is its endpoint."""
    recorder = Recorder(**behaviour)
    app = web.Application(client_max_size=0)
    app.router.add_post("/hooks/main", recorder.take_post)
    app.router.add_get("/hooks/main/{bot_id}/{channel}", recorder.take_socket)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        recorder.url = f"http://{host}:{port}/hooks/main"
        yield recorder
    finally:
        await runner.cleanup()
