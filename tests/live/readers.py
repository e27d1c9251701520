"""Readers of live events that share no code with the server: an SSE library, websockets, a bare connection."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import httpx
from httpx_sse import aconnect_sse

from receiver.app import Receiver
from tests.support import JOINING

READ_S = 60.0


async def post(server: Receiver, *bots: str, token: str = "") -> None:
    """A delivery for each bot, one after the other."""
    path = f"{server.url}/meetstream/default" + (f"/{token}" if token else "")
    async with aiohttp.ClientSession() as client:
        for bot in bots:
            async with client.post(path, json=JOINING | {"bot_id": bot}) as reply:
                assert reply.status == 200, await reply.text()


async def post_many(server: Receiver, begin: int, end: int, *, at_once: int = 8, filler: int = 0) -> None:
    """Deliveries ``bot-<number>``, several at a time, each with so many bytes more."""
    numbers = iter(range(begin, end))

    async def send(client: aiohttp.ClientSession) -> None:
        for number in numbers:
            body = JOINING | {"bot_id": f"bot-{number}", "message": "x" * filler}
            async with client.post(f"{server.url}/meetstream/default", json=body) as reply:
                assert reply.status == 200

    async with aiohttp.ClientSession() as client:
        await asyncio.gather(*(send(client) for _ in range(at_once)))


@asynccontextmanager
async def reading(
    server: Receiver, query: str = "", *, headers: dict[str, str] | None = None, positions: bool = False
) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    """What the SSE library makes of the stream, as ``{"id", "event", "data"}``; ready when the answer has begun.
    ``positions``: with the events that only tell the reader where he is."""
    async with (
        httpx.AsyncClient(timeout=READ_S) as client,
        aconnect_sse(client, "GET", f"{server.url}/live/events{query}", headers=dict(headers or {})) as source,
    ):
        assert source.response.status_code == 200, await source.response.aread()

        async def events() -> AsyncIterator[dict[str, Any]]:
            async for one in source.aiter_sse():
                data = json.loads(one.data) if one.data.startswith("{") else one.data
                if positions or one.event != "receiver.position":
                    yield {"id": one.id, "event": one.event, "data": data}

        yield events()


async def take(events: AsyncIterator[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """The next so many."""
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(READ_S):
        while len(found) < count:
            found.append(await anext(events))
    return found


def subjects(found: list[dict[str, Any]]) -> list[str]:
    return [one["data"]["subject"] for one in found]


def slow_reader(server: Receiver, query: str = "") -> socket.socket:
    """A connection that has asked and does not read."""
    host, _, port = server.url.removeprefix("http://").partition(":")
    wire = socket.socket()
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
    wire.connect((host, int(port)))
    wire.sendall(f"GET /live/events{query} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    return wire


def read_for(wire: socket.socket, until: bytes, seconds: float = READ_S) -> bytes:
    """What comes until ``until`` is in it."""
    got: list[bytes] = []
    end = b""
    deadline_s = time.monotonic() + seconds
    wire.settimeout(seconds)
    while until not in end:
        assert time.monotonic() < deadline_s, end[-500:]
        piece = wire.recv(1 << 20)
        assert piece, end[-500:]
        got.append(piece)
        end = end[-len(until) :] + piece
    return b"".join(got)
