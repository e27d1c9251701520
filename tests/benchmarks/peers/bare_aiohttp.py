"""A ceiling: aiohttp on uvloop with handlers that read and do nothing, for POSTs and for WebSockets."""

import asyncio
import sys

import uvloop
from aiohttp import WSMsgType, web


async def take(request: web.Request) -> web.Response:
    """One delivery."""
    await request.read()
    return web.Response(body=b"{}", content_type="application/json")


async def read(request: web.Request) -> web.WebSocketResponse:
    """One stream."""
    socket = web.WebSocketResponse(compress=False, max_msg_size=1 << 24)
    await socket.prepare(request)
    async for message in socket:
        if message.type is not WSMsgType.BINARY:
            break
    return socket


async def main() -> None:
    """Serve until killed."""
    app = web.Application()
    app.router.add_post("/meetstream/default", take)
    app.router.add_get("/meetstream/default/{bot}/audio", read)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(sys.argv[1])).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
