"""Everything that goes wrong in practice, at once, against a served endpoint with a token: the books agree outside.

What the simulator counts as sent is compared with what ``GET /metrics`` says became of it.
"""

from pathlib import Path

import pytest

from receiver.simulator import FAULTS, Tally, play
from tests.end_to_end.process import Server, read_events, serving

TOKEN = "open-sesame-5f3a"
SECTIONS = """
[endpoints.meetstream.default]
token_env = "MEETSTREAM_TOKEN"

[sinks.file]
type = "file"
fsync = false
"""
FATES = ("journalled", "duplicates", "refused", "quarantined", "failed")


def messages_sent(tally: Tally) -> int:
    """All POSTs, frames and messages that left the simulator."""
    own = tally.posts_sent + tally.frames_sent + tally.text_messages_sent + tally.video_pieces_sent
    return own + tally.garbage_sent


async def books(server: Server) -> dict[str, int]:
    """The ledger of the endpoint and of the sink, once everything has arrived there."""
    metrics = await server.caught_up("file")
    endpoint, sink = "{endpoint=default,vendor=meetstream}", "{sink=file}"
    counts = {name: int(metrics[f"receiver_{name}_total{endpoint}"]) for name in ("received", "events", *FATES)}
    for name in ("delivered", "filtered", "dead", "expired"):
        counts[name] = int(metrics[f"receiver_sink_{name}_total{sink}"])
    return counts


@pytest.mark.parametrize(("seed", "meetings", "speed"), [(1, 1, 0.0), (2, 3, 0.0), (3, 2, 16.0)])
async def test_with_all_faults_the_books_balance(tmp_path: Path, seed: int, meetings: int, speed: float) -> None:
    """Each own POST gets a 2xx, garbage too where a token is shown; repeats, quarantine and journal are as sent."""
    async with serving(tmp_path, SECTIONS, environ={"MEETSTREAM_TOKEN": TOKEN}) as server:
        url = f"{server.url}/meetstream/default?token={TOKEN}"
        tally = await play(url, meetings=meetings, speed=speed, seed=seed, faults=FAULTS)
        found = await books(server)
        assert await server.stop() == 0
    assert tally.posts_accepted == tally.posts_sent > 30 * meetings
    assert (tally.garbage_refused, tally.garbage_failed, tally.sockets_refused, tally.sockets_lost) == (0, 0, 0, 0)
    assert tally.sockets_cut >= meetings and tally.duplicates_sent and tally.reordered and tally.malformed_sent
    assert found["received"] == messages_sent(tally) == sum(found[fate] for fate in FATES)
    assert found["duplicates"] == tally.duplicates_sent
    assert found["quarantined"] == tally.malformed_sent
    assert found["refused"] == found["failed"] == found["dead"] == found["expired"] == 0
    events = read_events(server.data_dir / "events")
    assert len(events) == len({event["id"] for event in events}) == found["delivered"]
    told = [event for event in events if event["type"] in ("stream.opened", "stream.closed")]
    assert len(events) - len(told) == found["events"]
    assert TOKEN not in server.log.read_text()
