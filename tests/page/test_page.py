"""The page as a whole, in a real browser at a real server: the server's state, who may look, and how it can be used."""

from pathlib import Path
from typing import Any

from aiohttp import web
from playwright.async_api import expect

from tests.page.browser import BOT, PHONE, Screen, browsing, deliver, in_meeting, said
from tests.support import running

TOKEN = "page-token-4711"
READERS = {"viewer": {"token_env": "VIEWER", "scopes": ["events", "audio", "meetings"]}}
RED = "rgb(179, 38, 30)"


async def test_a_sink_that_dies_turns_red(tmp_path: Path) -> None:
    """Its row says so, with the reason and what waits, and is calm again when the far side is back."""

    async def take(request: web.Request) -> web.Response:
        return web.Response(status=answer)

    answer = 200
    app = web.Application()
    app.router.add_post("/", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sinks = {"far": {"type": "http", "url": f"http://127.0.0.1:{runner.addresses[0][1]}/"}}
    try:
        async with running(tmp_path, sinks=sinks) as server, browsing() as screen:
            await deliver(server, in_meeting("a"))
            await screen.page.goto(server.url)
            row = screen.page.locator("#sinks tr[data-sink=far]")
            await expect(row).to_have_attribute("data-state", "ok")
            await expect(row.locator(".pill")).to_have_text("Up")
            answer = 500
            await deliver(server, in_meeting("b"))
            await expect(row).to_have_attribute("data-state", "bad")
            await expect(row.locator(".pill")).to_have_text("Down")
            await expect(row.locator(".why")).to_contain_text("500")
            assert await screen.colour("#sinks tr[data-sink=far] th") == RED
            answer = 200
            await expect(row).to_have_attribute("data-state", "ok")
            await expect(screen.page.locator("#ledger tr")).to_contain_text("Balanced")
            assert screen.problems == []
    finally:
        await runner.cleanup()


async def test_a_reader_logs_in_and_out(tmp_path: Path) -> None:
    """The page asks for a token where one is needed, says when it is wrong, and shows nothing without one."""
    async with running(tmp_path, {"VIEWER": TOKEN}, readers=READERS) as server, browsing() as screen:
        page = screen.page
        await deliver(server, in_meeting())
        await page.goto(server.url)
        await page.get_by_label("Reader token").fill("wrong")
        await page.get_by_role("button", name="Log in").click()
        await expect(page.locator("#login-error")).to_contain_text("wrong reader token")
        await page.get_by_label("Reader token").fill(TOKEN)
        await page.keyboard.press("Enter")
        await expect(page.locator("#active a.meeting .name")).to_have_text([BOT])
        await screen.is_live()
        assert TOKEN not in await page.content() and TOKEN not in page.url
        await page.reload()
        await screen.is_live()
        await page.get_by_role("button", name="Log out").click()
        await expect(page.get_by_role("heading", name="Log in")).to_be_visible()
        await expect(page.locator("#meetings")).to_be_hidden()
        assert [text for text in screen.problems if "401" not in text] == []


async def test_keyboard_phone_and_dark(tmp_path: Path) -> None:
    """Landmarks and the skip link; at phone width nothing is wider than the screen; both themes have their colours."""
    async with running(tmp_path) as server:
        await deliver(server, in_meeting(), said("Good morning.", 1, turn=1, final=True))
        async with browsing(PHONE, dark=True) as screen:
            page = screen.page
            await page.goto(server.url)
            await screen.is_live()
            for landmark in (page.get_by_role("banner"), page.get_by_role("navigation"), page.get_by_role("main")):
                await expect(landmark).to_be_visible()
            await page.keyboard.press("Tab")
            await expect(page.locator(".skip")).to_be_focused()
            await page.keyboard.press("Enter")
            await expect(page.get_by_role("main")).to_be_focused()
            dark = await screen.colour("body", "background-color")
            await page.get_by_role("button", name="Theme: system").click()
            await expect(page.get_by_role("button", name="Theme: light")).to_be_visible()
            assert await screen.colour("body", "background-color") != dark
            await page.reload()
            await expect(page.get_by_role("button", name="Theme: light")).to_be_visible()
            await _fits(screen)
            await page.locator("#active a.meeting").click()
            await expect(page.locator("#turns .said")).to_have_text(["Good morning."])
            await expect(page.get_by_role("navigation")).to_be_hidden()
            await _fits(screen)
            await page.get_by_role("link", name="← All meetings").click()
            await expect(page.get_by_role("navigation")).to_be_visible()
            assert screen.problems == []


async def _fits(screen: Screen) -> None:
    wide: dict[str, Any] = await screen.page.evaluate(
        "() => ({ is: document.documentElement.scrollWidth, allowed: document.documentElement.clientWidth })"
    )
    assert wide["is"] <= wide["allowed"]
