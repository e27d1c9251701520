"""The page with a long meeting: how long it takes until it is there, in a real browser."""

import json
import time
from pathlib import Path

from playwright.async_api import expect

from receiver.app import Receiver
from receiver.record import Record
from receiver.vendors import decode_record
from tests.page.browser import browsing, deliver, in_meeting, said
from tests.support import running

TURNS = 5_000
#: of processor time of the page's own thread; a fast machine takes a tenth
MOST_BUSY_S = 10.0


async def fill(server: Receiver, turns: int) -> None:
    """A meeting of so many turns, straight into the journal: as the ingress puts it there."""
    for turn in range(turns):
        body = said(f"turn {turn} is about what is planned for the next week", turn, turn=turn, final=True)
        payload = json.dumps(body).encode()
        record = Record(
            vendor="meetstream", endpoint="default", kind="body", payload=payload, received_ns=time.time_ns(),
            channel="http",
        )  # fmt: skip
        record.events = decode_record(record).events
        last = server.journal.submit(record)
    await last


async def test_a_meeting_of_5000_turns_is_shown_in_bounded_time(tmp_path: Path) -> None:
    """All of it can be scrolled through and searched, and what is said next still appears at the end."""
    async with running(tmp_path, sinks={}) as server, browsing() as screen:
        await deliver(server, in_meeting())
        await fill(server, TURNS)
        client = await screen.page.context.new_cdp_session(screen.page)
        await client.send("Performance.enable")
        await screen.open_meeting(server)
        await screen.wait("count => document.querySelectorAll('#turns .turn').length === count", TURNS)
        metrics = {one["name"]: one["value"] for one in (await client.send("Performance.getMetrics"))["metrics"]}
        assert metrics["TaskDuration"] < MOST_BUSY_S
        await deliver(server, said("the very last words", TURNS, turn=TURNS, final=True))
        await expect(screen.page.locator("#turns .turn .said").last).to_have_text("the very last words")
        assert screen.problems == []
