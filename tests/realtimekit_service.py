"""The stand-in of RealtimeKit for tests, as fast as it goes, with a client of it; and an endpoint that takes pushes."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import aiohttp
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from receiver.rest.http import Tries
from receiver.rest.realtimekit import RealtimeKitApi
from receiver.settings import Account
from receiver.simulator.realtimekit import RealtimeKitCloud

QUICK = Tries(count=3, first_s=0.0, most_s=0.0)


def private_key(number: int = 0) -> str:
    """A key to sign with, PEM; the same ``number`` gives the same one."""
    return _made(number)


@cache
def _made(_number: int) -> str:
    key = generate_private_key(65_537, 2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def account_of(cloud: RealtimeKitCloud, *, dyte: bool = False, **changes: Any) -> Account:
    """What the stand-in lets in, of either generation."""
    known = cloud.credentials
    facts = (
        {"id": known["organization"], "key": known["key"], "base_url": cloud.dyte_url}
        if dyte
        else {"id": f"{known['account']}/{known['app']}", "key": known["token"], "base_url": cloud.url}
    )
    return Account(vendor="realtimekit", name="default", **{**facts, **changes})


@asynccontextmanager
async def service(*, dyte: bool = False, **behaviour: Any) -> AsyncIterator[tuple[RealtimeKitCloud, RealtimeKitApi]]:
    """The stand-in, whose meetings are held when they are told to, and a client of it."""
    cloud = RealtimeKitCloud(**{"speed": 0, "autoplay": False, "private_key": private_key(), **behaviour})
    async with cloud.serve(), aiohttp.ClientSession() as client:
        yield cloud, RealtimeKitApi(account_of(cloud, dyte=dyte), client, tries=QUICK)


class Endpoint:
    """Takes POSTs and sockets. ``answers``: statuses of the first POSTs; after them 200. ``on_post`` is awaited with
    each body before it is answered."""

    def __init__(self, *answers: int, on_post: Callable[[bytes], Awaitable[None]] | None = None) -> None:
        self.answers = list(answers)
        self._on_post = on_post
        self.url = ""
        #: headers by lower-case names, and the body
        self.posts: list[tuple[dict[str, str], bytes]] = []
        #: path of each connection, and what came over it
        self.sockets: list[tuple[str, list[bytes]]] = []

    @asynccontextmanager
    async def serve(self) -> AsyncIterator["Endpoint"]:
        """Listen on loopback until the block ends."""
        app = web.Application()
        app.add_routes([web.post("/hook", self._post), web.get("/hook/{subject}/{channel}", self._socket)])
        runner = web.AppRunner(app, shutdown_timeout=1.0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _post(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = await request.read()
        self.posts.append((headers, body))
        if self._on_post is not None:
            await self._on_post(body)
        return web.Response(status=self.answers.pop(0) if self.answers else 200)

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        messages: list[bytes] = []
        self.sockets.append((request.path, messages))
        async for message in socket:
            messages.append(message.data)
        return socket
