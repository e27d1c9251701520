"""The page in a real browser: Debian's Chromium, driven by Playwright. What the tests of this folder share."""

import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from playwright.async_api import ConsoleMessage, Page, ViewportSize, async_playwright, expect

from receiver.app import Receiver

BOT = "bot-1"
#: a busy machine is no failure
PATIENCE_MS = 30_000
DESKTOP = ViewportSize(width=1280, height=860)
PHONE = ViewportSize(width=390, height=844)
expect.set_options(timeout=PATIENCE_MS)
_BEGIN = datetime(2026, 6, 10, 9, 0, tzinfo=UTC)
#: what the policy has kept from happening is told to the console, and to this
_NOTE_VIOLATIONS = "document.addEventListener('securitypolicyviolation', e => console.error('CSP: ' + e.blockedURI))"


class Screen:
    """One page. ``problems``: errors of its console, and its own that nobody caught."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.problems: list[str] = []
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", self._heed)
        page.on("pageerror", lambda error: self.problems.append(str(error)))

    async def colour(self, selector: str, name: str = "color") -> str:
        """A computed colour of the first that fits."""
        script = "(element, name) => getComputedStyle(element).getPropertyValue(name)"
        found: str = await self.page.locator(selector).first.evaluate(script, name)
        return found

    async def lines(self) -> list[str]:
        """What is said, row by row."""
        return await self.page.locator("#turns .turn .said").all_text_contents()

    async def wait(self, script: str, argument: Any = None) -> None:
        """Until an expression of the page is true."""
        await self.page.wait_for_function(script, arg=argument)

    async def open_meeting(self, server: Receiver, bot: str = BOT) -> None:
        """The meeting of a bot, once it is shown and followed."""
        source = "%2Fmeetstream%2Fdefault"
        await self.page.goto(f"{server.url}/#/meeting?subject={bot}&source={source}")
        await self.wait("() => document.querySelector('#facts').textContent !== ''")
        await self.is_live()

    async def is_live(self) -> None:
        await self.page.locator("#connection[data-state=live]").wait_for()

    def _heed(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.problems.append(message.text)


@asynccontextmanager
async def browsing(viewport: ViewportSize = DESKTOP, *, dark: bool = False) -> AsyncIterator[Screen]:
    """A browser of its own with one empty page. Skips the test where there is no Chromium."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("no browser: install Debian's package chromium, or name one in CHROMIUM")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--autoplay-policy=user-gesture-required"]
        )
        try:
            context = await browser.new_context(viewport=viewport, color_scheme="dark" if dark else "light")
            page = await context.new_page()
            await page.add_init_script(_NOTE_VIOLATIONS)
            yield Screen(page)
        finally:
            await browser.close()


def in_meeting(bot: str = BOT) -> dict[str, Any]:
    return {"event": "bot.inmeeting", "bot_id": bot, "bot_status": "InMeeting", "timestamp": stamp(0)}


def said(text: str, second: float, *, turn: int, final: bool, name: str = "Ada", bot: str = BOT) -> dict[str, Any]:
    """An update of a turn."""
    return {
        "event": "transcript", "bot_id": bot, "speakerName": name, "transcript": text, "is_final": final,
        "end_of_turn": final, "turn_order": turn, "timestamp": stamp(second),
    }  # fmt: skip


def joined(name: str, second: float = 0, bot: str = BOT) -> dict[str, Any]:
    who = {"id": f"device-{name}", "name": name, "platform": "gmeet"}
    change = {"action": "join", "participant": who, "timestamp": {"absolute": stamp(second)}}
    return {
        "event": "participant_events.join", "timestamp": stamp(second), "data": {"data": change, "bot": {"id": bot}},
    }  # fmt: skip


def stamp(second: float) -> str:
    return (_BEGIN + timedelta(seconds=second)).isoformat(timespec="milliseconds")


async def deliver(server: Receiver, *bodies: dict[str, Any]) -> None:
    """POST them, one after the other."""
    async with aiohttp.ClientSession() as client:
        for body in bodies:
            async with client.post(f"{server.url}/meetstream/default", data=json.dumps(body)) as reply:
                assert reply.status == 200, await reply.text()
