"""The wall clock of a real process, set while it runs (libfaketime, Debian package ``faketime``)."""

import asyncio
import json
from pathlib import Path

import aiohttp
import pytest
from websockets.asyncio.client import connect

from tests.end_to_end.process import free_port, read_events, serving
from tests.vendors.meetstream_wire import frame

LIBRARY = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), None)
#: as libfaketime reads them: years, days
JUMPS = ("+0", "+3650d", "-400d", "+0", "-1d", "+9d")
_CLOSED_PORT = free_port()
SECTIONS = f"""
[journal.events]
segment_bytes = 1000

[endpoints.meetstream.default]

[sinks.file]
type = "file"
fsync = false
path = "events/all.jsonl"

[sinks.wav]
type = "wav"

[sinks.gone]
type = "http"
url = "http://127.0.0.1:{_CLOSED_PORT}/"
"""


@pytest.mark.skipif(LIBRARY is None, reason="libfaketime is not installed (apt-get install faketime)")
async def test_a_clock_that_is_set_loses_repeats_and_stops_nothing(tmp_path: Path) -> None:
    """Ten years on, a year back, home again, a day back, nine days on: each delivery once and in order; a sink that is
    down loses nothing to retention by age; a stream lasts as long as it lasted, and SIGTERM ends it in time."""
    clock = tmp_path / "clock"
    clock.write_text(JUMPS[0])
    environ = {
        "LD_PRELOAD": str(LIBRARY), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }  # fmt: skip
    async with serving(tmp_path, SECTIONS, environ=environ, drain_s=2.0) as server, aiohttp.ClientSession() as client:
        url = f"{server.url}/meetstream/default"
        async with connect(url.replace("http", "ws", 1) + "/audio/b", compression=None) as socket:
            for number, jump in enumerate(JUMPS):
                fresh = clock.with_name("fresh")
                fresh.write_text(jump)
                fresh.replace(clock)  # it is read at any moment
                body = json.dumps({"event": f"step.{number}", "bot_id": "b", "text": "x" * 600})
                for fate in ("accepted", "duplicate"):
                    await asyncio.sleep(0.1)  # while one thread asks libfaketime, others may be told another time
                    async with client.post(url, data=body) as reply:
                        assert (await reply.json())["status"] == fate, (jump, reply)
                await socket.send(frame(pcm=bytes(1920)))
                await asyncio.sleep(2.2 if number in (1, 5) else 0.2)  # retention looks every two seconds
        metrics = await server.caught_up("file", "wav")
        assert metrics.get("receiver_sink_expired_total{sink=gone}", 0) == 0
        assert metrics["receiver_sink_pending{sink=gone}"] >= len(JUMPS)
        assert await server.stop() == 0
    events = read_events(server.data_dir / "events")
    assert [one["vendorevent"] for one in events if one["type"] == "vendor.event"] == [
        f"step.{number}" for number in range(len(JUMPS))
    ]
    years = {one["receivedtime"][:4] for one in events}
    assert len(years) >= 3, "the clock was really set"
    assert [one["sequence"] for one in events] == sorted(one["sequence"] for one in events)
    (closed,) = [one for one in events if one["type"] == "stream.closed"]
    assert 0 < closed["data"]["duration_s"] < 3600
    (wav,) = server.data_dir.rglob("*.wav")
    assert wav.stat().st_size < 100_000
