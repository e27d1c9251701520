"""One meeting on the page, in a real browser at a real server: what people see while it goes on."""

import asyncio
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
from playwright.async_api import Route, expect

from receiver.app import Receiver
from receiver.simulator import play
from tests.end_to_end.process import free_port
from tests.ingress.sockets import dialled, ready
from tests.page.browser import BOT, browsing, deliver, in_meeting, joined, said
from tests.support import drained, events_in, running
from tests.vendors.meetstream_wire import frame


async def test_a_simulated_meeting_is_seen_as_it_is_spoken(tmp_path: Path) -> None:
    """From the empty page to a meeting that is played: it is in the list, its words, people and sound are there."""
    async with running(tmp_path) as server, browsing() as screen:
        page = screen.page
        await page.goto(server.url)
        await expect(page.locator("#simulate")).to_have_text(
            f"receiver simulate meetstream --url {server.url}/meetstream/default"
        )
        playing = asyncio.create_task(play(f"{server.url}/meetstream/default", seed=7, video=False))
        try:
            await page.locator("#active a.meeting").first.click()
            await screen.wait("() => document.querySelectorAll('#turns .turn[data-state=open]').length > 0")
            await screen.wait("() => document.querySelectorAll('#turns .turn[data-state=final]').length > 0")
            await expect(page.locator("#turns")).to_contain_text("checkout incident")
            await screen.wait("() => document.querySelectorAll('#people .person').length >= 3")
            await screen.wait("() => Number(document.querySelector('#mix-level').ariaValueNow) > 20")
            await expect(page.locator("#streams")).to_contain_text("Open")
        finally:
            playing.cancel()
            with suppress(asyncio.CancelledError):
                await playing
        assert screen.problems == []


async def test_a_partial_is_grey_and_becomes_firm(tmp_path: Path) -> None:
    """One row for a turn, whose text grows; its colour is another once it is final."""
    async with running(tmp_path) as server, browsing() as screen:
        await deliver(server, in_meeting(), said("Good morning.", 1, turn=1, final=True))
        await screen.open_meeting(server)
        await expect(screen.page.locator("#turns .said")).to_have_text(["Good morning."])
        firm = await screen.colour("#turns .said")
        await deliver(server, said("shall", 3, turn=2, final=False))
        row = screen.page.locator("#turns .turn").nth(1)
        await expect(row).to_have_attribute("data-state", "open")
        grey = await row.locator(".said").evaluate("element => getComputedStyle(element).color")
        await row.evaluate("element => { element.marked = true }")
        await deliver(server, said("shall we", 4, turn=2, final=False), said("Shall we begin?", 5, turn=2, final=True))
        await expect(row).to_have_attribute("data-state", "final")
        assert await screen.lines() == ["Good morning.", "Shall we begin?"]
        assert await row.evaluate("element => element.marked"), "the row was made anew"
        assert await row.locator(".said").evaluate("element => getComputedStyle(element).color") == firm != grey
        await expect(screen.page.locator("#announcer")).to_have_text("Ada: Shall we begin?")
        assert screen.problems == []


async def test_what_is_seen_is_what_the_server_says(tmp_path: Path) -> None:
    """The page folds turns as the server does: the same events, late and twice too, give the same transcript."""
    async with running(tmp_path) as server, browsing() as screen:
        tally = await play(
            f"{server.url}/meetstream/default", seed=11, speed=0, audio=False, video=False, control=False,
            transcript="webhook", faults={"duplicates", "reorder"},
        )  # fmt: skip
        await deliver(server, *_AWKWARD)
        await drained(server)
        await screen.page.goto(server.url)
        for bot in (tally.meetings[0].bot_id, BOT):
            events = [event for event in events_in(tmp_path) if event.get("subject") == bot]
            turns = await _turns(server, bot, len(events))
            spoken = [event for event in events if event["type"].startswith("transcript.")]
            seen: list[list[Any]] = await screen.page.evaluate(_FOLD, spoken)
            known = [[one.get("speaker", {}).get("name", ""), one["text"], one["state"] == "final"] for one in turns]
            assert len(known) > 3 and sorted(seen) == sorted(known)


async def _turns(server: Receiver, bot: str, events: int) -> list[dict[str, Any]]:
    """The server's own transcript, once it knows so many events."""
    async with aiohttp.ClientSession(server.url) as client:
        while True:
            async with client.get(f"/meetings/{bot}") as reply:
                if reply.status == 200 and (await reply.json())["events"] == events:
                    break
            await asyncio.sleep(0.01)
        async with client.get(f"/meetings/{bot}/transcript.json") as reply:
            turns: list[dict[str, Any]] = (await reply.json())["turns"]
            return turns


async def test_levels_move_with_the_sound_of_each(tmp_path: Path) -> None:
    """The meeting's level and the speaker's rise, also where nobody has told of him; that of who is silent does not."""
    async with running(tmp_path) as server, browsing() as screen:
        await deliver(server, in_meeting(), said("Hello.", 1, turn=1, final=True), joined("Grace"))
        async with dialled(server, f"/meetstream/default/{BOT}/audio") as socket:
            await socket.send(ready(BOT))
            noise = frame(name=b"Ada", pcm=os.urandom(1920))

            async def speak() -> None:
                while True:
                    await socket.send(noise)
                    await asyncio.sleep(0.02)

            speaking = asyncio.create_task(speak())
            try:
                await screen.open_meeting(server)
                level = "() => Number(document.querySelector('[role=meter]{}')?.ariaValueNow) > 50"
                await screen.wait(level.format("#mix-level"))
                await screen.wait(level.format('[aria-label="Level of Ada"]'))
                other = screen.page.locator('[role=meter][aria-label="Level of Grace"]')
                await expect(other).to_be_visible()
                await expect(other).to_have_attribute("aria-valuenow", "0")
                await screen.page.get_by_role("button", name="Listen").click()
                await expect(screen.page.locator("#audio-state")).to_have_text("Playing")
                await screen.page.get_by_role("button", name="Stop").click()
                await expect(screen.page.locator("#audio-state")).to_have_text("Live")
            finally:
                speaking.cancel()
        await expect(screen.page.get_by_role("button", name="Listen")).to_be_disabled()
        assert screen.problems == []


async def test_after_a_restart_nothing_is_missing_and_nothing_twice(tmp_path: Path) -> None:
    """The page says that it reconnects, comes back by itself, and goes on behind what it has shown."""
    port = {"port": free_port()}
    async with browsing() as screen:
        async with running(tmp_path, server=port) as server:
            await deliver(server, in_meeting(), *(said(f"Line {n}.", n * 3, turn=n, final=True) for n in (1, 2, 3)))
            await screen.open_meeting(server)
            await expect(screen.page.locator("#turns .turn")).to_have_count(3)
            await deliver(server, said("Line 4.", 12, turn=4, final=True), said("line", 15, turn=5, final=False))
            await expect(screen.page.locator("#turns .turn")).to_have_count(5)
        await expect(screen.page.locator("#connection")).to_have_text("Reconnecting…")
        async with running(tmp_path, server=port) as server:
            await deliver(server, said("Line 5.", 16, turn=5, final=True), said("Line 6.", 18, turn=6, final=True))
            await screen.is_live()
            await expect(screen.page.locator("#turns .turn")).to_have_count(6)
            await asyncio.sleep(4)  # until the server's own transcript was laid over it
            assert await screen.lines() == [f"Line {n}." for n in range(1, 7)]
            assert await screen.page.locator("#turns .note").count() == 0
        unexpected = [text for text in screen.problems if "net::ERR" not in text and "503" not in text]
        assert unexpected == []


async def test_text_of_others_is_text(tmp_path: Path) -> None:
    """Markup in a name, a line, an id or a title is shown as it was written, and does nothing."""
    bot, hostile = "<b>bot</b>&amp;'\"", "<img src=x onerror=alert(1)><script>alert(2)</script>"
    async with running(tmp_path) as server, browsing() as screen:
        dialogs: list[str] = []
        screen.page.on("dialog", lambda dialog: dialogs.append(dialog.message))
        spoken = said(hostile, 1, turn=1, final=True, name=hostile, bot=bot)
        await deliver(server, in_meeting(bot), joined(hostile, bot=bot), spoken)
        await screen.page.goto(server.url)
        await screen.page.locator("#active a.meeting").click()
        await expect(screen.page.locator("#turns .said")).to_have_text(hostile)
        await expect(screen.page.locator("#turns .who")).to_have_text(hostile)
        await expect(screen.page.locator("#people .name")).to_have_text(hostile)
        await expect(screen.page.locator("#title")).to_have_text(bot)
        assert await screen.page.locator("main img, main script, main b, nav b").count() == 0
        assert dialogs == [] and screen.problems == []


async def test_search_finds_and_marks(tmp_path: Path) -> None:
    """Only turns with the words are shown, also new ones; without words all of them are."""
    async with running(tmp_path) as server, browsing() as screen:
        lines = [
            said(text, n * 3, turn=n, final=True) for n, text in enumerate(("One apple.", "Two pears.", "No fruit."))
        ]
        await deliver(server, in_meeting(), *lines)
        await screen.open_meeting(server)
        await screen.page.get_by_label("Search in the transcript").fill("PEAR")
        await expect(screen.page.locator("#hits")).to_have_text("1 of 3")
        await expect(screen.page.locator("#turns mark")).to_have_text(["pear"])
        await deliver(server, said("Another pear.", 20, turn=7, final=True), said("A plum.", 30, turn=8, final=True))
        await expect(screen.page.locator("#turns .turn:visible")).to_have_count(2)
        await screen.page.get_by_label("Search in the transcript").fill("")
        await expect(screen.page.locator("#turns .turn:visible")).to_have_count(5)
        assert await screen.page.locator("#turns mark").count() == 0
        assert screen.problems == []


async def test_what_is_missing_is_told(tmp_path: Path) -> None:
    """A gap of the stream stands in the transcript, at its place."""
    gap = {"type": "receiver.gap", "missed": 12, "from": "1", "to": "12", "reason": "expired"}

    async def answer(route: Route) -> None:
        body = f"retry: 100000\n\nid: 12\nevent: gap\ndata: {json.dumps(gap)}\n\n"
        await route.fulfill(content_type="text/event-stream", body=body)

    async with running(tmp_path) as server, browsing() as screen:
        await deliver(server, in_meeting(), said("Good morning.", 1, turn=1, final=True))
        await screen.page.route("**/live/events?*", answer)
        await screen.page.goto(f"{server.url}/#/meeting?subject={BOT}&source=%2Fmeetstream%2Fdefault")
        await expect(screen.page.locator("#turns .note")).to_contain_text("12 events are missing here (expired)")
        await expect(screen.page.locator("#turns .said")).to_have_text(["Good morning."])


async def test_a_long_transcript_costs_an_update_one_row(tmp_path: Path) -> None:
    """5,000 turns and 100 meetings: a partial touches its own row, and is there soon."""
    turn = {"state": "final", "speaker": {"name": "Ada"}, "time": "2026-06-10T08:00:00.000000Z"}
    turns = [turn | {"text": f"Line {n}", "turn": n, "at_s": n, "until_s": n + 1} for n in range(5000)]
    view = {"source": "/meetstream/default", "subject": BOT, "phase": "active", "dropped_turns": 0, "turns": turns}

    asked, again = asyncio.Event(), asyncio.Event()

    async def answer(route: Route) -> None:
        if asked.is_set():
            await again.wait()
        asked.set()
        await route.fulfill(json=view)

    async with running(tmp_path) as server, browsing() as screen:
        await deliver(server, in_meeting(), *(in_meeting(f"other-{n}") for n in range(99)))
        await screen.page.route("**/transcript.json?*", answer)
        await screen.open_meeting(server)
        await expect(screen.page.locator("#turns .turn")).to_have_count(5000)
        await expect(screen.page.locator("#turns .turn").last).to_contain_text("Line 4999")
        await expect(screen.page.locator("#active a.meeting")).to_have_count(100)
        await screen.page.evaluate(_WATCH_ROWS)
        again.set()
        await screen.wait("() => window.touched.size === 5000")  # the server's transcript was laid over it once more
        await screen.page.evaluate("() => { window.touched.clear() }")
        await deliver(server, *(said("word " * n, 9000 + n, turn=9000, final=False) for n in range(1, 21)))
        await expect(screen.page.locator("#turns .turn").last).to_contain_text("word " * 20)
        assert await screen.page.evaluate("() => window.touched.size") == 1
        await screen.wait(_AT_THE_END)


def _unnumbered(text: str, second: float, *, final: bool) -> dict[str, Any]:
    return {key: value for key, value in said(text, second, turn=0, final=final).items() if key != "turn_order"}


#: partials that trail behind, a number that comes back, a name that comes late, turns without numbers
_AWKWARD = (
    said("one", 1, turn=1, final=False), said("one two", 2, turn=1, final=True),
    said("one", 1.5, turn=1, final=False), said("one t", 3, turn=1, final=False),
    said("another", 30, turn=1, final=False), said("another one", 31, turn=1, final=True),
    said("who", 40, turn=2, final=False, name="NoSpeaker"), said("who is", 41, turn=2, final=True, name="Grace"),
    _unnumbered("a", 50, final=False), _unnumbered("a b", 51, final=True), _unnumbered("a", 50.5, final=False),
    _unnumbered("c", 54, final=False), _unnumbered("c d", 55, final=True),
)  # fmt: skip
_FOLD = """async (events) => {
  const { Fold, shown } = await import("/page/fold.js");
  const fold = new Fold();
  const turns = new Set(events.flatMap((event) => fold.take(event)));
  return [...turns].map((turn) => [turn.name, shown(turn), turn.state === "final"]);
}"""
_AT_THE_END = """() => {
  const { scrollHeight, scrollTop, clientHeight } = document.querySelector("#turns");
  return scrollHeight - scrollTop - clientHeight < 80;
}"""
_WATCH_ROWS = """() => {
  window.touched = new Set();
  const note = (node) => {
    const row = (node.nodeType === 1 ? node : node.parentElement)?.closest(".turn");
    if (row) window.touched.add(row);
  };
  const all = { subtree: true, childList: true, characterData: true, attributes: true };
  new MutationObserver((changes) => {
    for (const change of changes) {
      note(change.target);
      change.addedNodes.forEach(note);
    }
  }).observe(document.querySelector("#turns"), all);
}"""
