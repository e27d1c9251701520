"""A far side that refuses: an HTTP endpoint on a free port that answers 400 for as long as it is told to."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web


class FarSide:
    """What came, and what is answered."""

    def __init__(self) -> None:
        self.status = 200
        self.events: list[dict[str, Any]] = []
        self.url = ""

    @property
    def ids(self) -> list[str]:
        return [event["id"] for event in self.events]

    @property
    def sink(self) -> dict[str, Any]:
        """The config of a sink that sends here."""
        return {"type": "http", "url": self.url, "mode": "structured", "timeout_s": 5.0}

    async def answer(self, request: web.Request) -> web.Response:
        body = json.loads(await request.read())
        if self.status == 200:
            self.events.append(body)
        return web.Response(status=self.status, text="no such schema")


@asynccontextmanager
async def far_side() -> AsyncIterator[FarSide]:
    far = FarSide()
    app = web.Application()
    app.router.add_post("/", far.answer)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    far.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    try:
        yield far
    finally:
        await runner.cleanup()
