"""The page behind a proxy that has the server below a path: everything that it asks for is below that path, too."""

from pathlib import Path

import aiohttp
from aiohttp import web
from playwright.async_api import expect

from receiver.app import Receiver
from tests.page.browser import PATIENCE_MS, browsing, deliver, in_meeting, said
from tests.support import running

PREFIX = "/tools/receiver"


def proxy(server: Receiver, client: aiohttp.ClientSession, missed: list[str]) -> web.Application:
    """Passes on what lies below the prefix, without it; ``missed`` gets the paths of everything else."""

    async def pass_on(request: web.Request) -> web.StreamResponse:
        if not request.raw_path.startswith(PREFIX + "/"):
            missed.append(request.raw_path)
            return web.Response(status=404)
        async with client.request(
            request.method, server.url + request.raw_path.removeprefix(PREFIX), data=await request.read()
        ) as answer:
            response = web.StreamResponse(
                status=answer.status, headers={"Content-Type": answer.headers.get("Content-Type", "text/plain")}
            )
            await response.prepare(request)
            try:
                async for part in answer.content.iter_any():
                    await response.write(part)
            except ConnectionError:  # the browser has gone
                return response
            return response

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", pass_on)
    return app


async def test_the_page_works_below_a_prefix(tmp_path: Path) -> None:
    """Its parts, its answers, its live events and its downloads; nothing is asked for at the root of the host."""
    missed: list[str] = []
    async with running(tmp_path) as server, aiohttp.ClientSession() as client, browsing() as screen:
        runner = web.AppRunner(proxy(server, client, missed), access_log=None, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}{PREFIX}/"
        try:
            await deliver(server, in_meeting(), said("the first words", 1, turn=1, final=True))
            await screen.page.goto(url)
            link = screen.page.locator("#active a")
            await expect(link).to_have_count(1, timeout=PATIENCE_MS)
            await link.click()
            await screen.is_live()
            await expect(screen.page.locator("#turns .turn .said")).to_have_text("the first words")
            await deliver(server, said("and more", 2, turn=2, final=True))
            await expect(screen.page.locator("#turns .turn .said").last).to_have_text("and more")
            address = await screen.page.locator("#downloads a").first.evaluate("element => element.href")
            async with client.get(address) as reply:
                assert reply.status == 200 and address.startswith(url)
            assert (missed, screen.problems) == ([], [])
        finally:
            await screen.page.goto("about:blank")
            await runner.cleanup()
