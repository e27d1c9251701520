"""Memory with every sink dead: an hour's worth of load leaves the server within 50 MB, then all of it arrives.

The load: twenty meetings, each with a callback every six seconds, five transcript updates a second (1.5 kB) and fifty
audio frames a second (20 ms at 16 kHz, 640 bytes): 12,000 POSTs, 360,000 messages and 3,600,000 frames in the long
form, a sixtieth of it in the short one, as fast as the server takes them. The sinks: a file sink whose folder is a
file, an http sink and a Kafka sink whose ports nobody has, plug-ins that raise and that block. But for Kafka all of
them come back, and what was taken is judged at each far side.
"""

import asyncio
import contextlib
import itertools
import json
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from aiohttp import web
from websockets.asyncio.client import ClientConnection, connect

from tests.end_to_end.process import Server, free_port, read_events, serving
from tests.faults.base import Options, Report
from tests.faults.guest import install, read_lines
from tests.faults.load import body
from tests.faults.oracle import FarSide, balance, judge, marked_pcm
from tests.vendors.meetstream_wire import frame

MEETINGS = 20
HOUR_S = 3600
CALLBACKS, UPDATES, FRAMES = HOUR_S // 6, HOUR_S * 5, HOUR_S * 50
FRAME_BYTES = 640
SHORT = 60
MOST_GROWTH_MB = 50.0
#: within so long after the load: free memory is handed back every ten seconds, on a machine that is not busy
_SETTLE_S = 40.0
#: longest wait for everything to arrive
_PATIENCE_S = 1800.0
_SINKS = """
[sinks.file]
type = "file"
types = ["bot.*", "transcript.*"]
fsync = false
[sinks.http]
type = "http"
url = "http://127.0.0.1:{http}/"
types = ["bot.*", "transcript.*"]
[sinks.kafka]
type = "kafka"
brokers = "127.0.0.1:{kafka}"
[sinks.raises]
type = "guest"
types = ["bot.*", "transcript.*", "audio.*"]
batch_events = 4000
mood = {raises}
marks = {raises_marks}
[sinks.blocks]
type = "guest"
types = ["bot.*", "transcript.*", "audio.*"]
batch_events = 4000
mood = {blocks}
marks = {blocks_marks}
"""
LIVE = ("file", "http", "raises", "blocks")


async def run(options: Options) -> Report:
    """Measure, revive, judge."""
    report, folder = Report(), options.folder
    share = 1 if options.long else SHORT
    port, moods = free_port(), {name: folder / f"{name}.mood" for name in ("raises", "blocks")}
    environ = install(folder / "site")
    moods["raises"].write_text("raise")
    moods["blocks"].write_text("block")
    paths = {name: json.dumps(str(path)) for name, path in moods.items()}
    marks = {f"{name}_marks": json.dumps(str(folder / f"{name}.jsonl")) for name in moods}
    (folder / "data").mkdir()
    (folder / "data" / "events").touch()  # where the file sink wants a folder
    sections = _SINKS.format(http=port, kafka=free_port(), **paths, **marks)
    async with serving(folder, sections, environ=environ) as server:
        load = _Load(server.url, share)
        grown = await _grown_mb(server, load, options)
        report.at_most("resident memory grew by", round(grown[-1], 1), MOST_GROWTH_MB, " MB")
        report.figure("resident memory grew by, at its highest, with 40 sockets at full speed", f"{max(grown):.1f} MB")
        report.figure("load", load.text())
        (folder / "data" / "events").unlink()
        for path in moods.values():
            path.write_text("ok")
        async with _http_far_side(port) as http:
            metrics, took_s = await _all_arrived(server)
            report.figure("caught up, in multiples of real time", f"{HOUR_S / share / took_s:.0f} ({took_s:.1f} s)")
            balance(report, metrics, *LIVE)
        far = {"file": FarSide(read_events(folder / "data" / "events")), "http": http}
        far |= {name: FarSide(read_lines(folder / f"{name}.jsonl")) for name in moods}
        for name, side in far.items():
            frames = load.frames if name in moods else None
            judge(report, name, side, callbacks=load.texts, frames=frames, once=name != "http")
    return report


async def _grown_mb(server: Server, load: "_Load", options: Options) -> list[float]:
    """Growth of resident memory, in megabytes: while ``load`` runs, then until enough is handed back."""
    await asyncio.sleep(1.0)
    before_mb = _resident_mb(server.pid)
    grown: list[float] = []
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(load.run())
        while not running.done():
            await asyncio.wait((running,), timeout=0.25)
            grown.append(_resident_mb(server.pid) - before_mb)
            if len(grown) % 40 == 0:
                options.say(f"{load.text()} so far, {grown[-1]:.1f} MB more than {before_mb:.0f} MB")
    deadline_s = time.monotonic() + _SETTLE_S
    while True:
        grown.append(_resident_mb(server.pid) - before_mb)
        enough = grown[-1] <= MOST_GROWTH_MB and not options.long  # by hand: the figure of when all is settled
        if enough or time.monotonic() > deadline_s:
            return grown
        await asyncio.sleep(0.25)


def _resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024 / 1e6


async def _all_arrived(server: Server) -> tuple[dict[str, float], float]:
    """Wait until nothing is pending; the metrics then, and how long it took."""
    start_s = time.monotonic()
    while True:
        metrics = await server.metrics()
        if not any(metrics[f"receiver_sink_pending{{sink={name}}}"] for name in LIVE):
            return metrics, time.monotonic() - start_s
        assert time.monotonic() - start_s < _PATIENCE_S, "the sinks do not catch up"
        await asyncio.sleep(0.25)


class _Load:
    """Everything that an hour brings, as fast as it goes. ``texts`` and ``frames`` are obligations."""

    def __init__(self, url: str, share: int) -> None:
        self._url = f"{url}/meetstream/default"
        self._share = share
        self._serial = itertools.count(1)
        self.texts: dict[str, list[int]] = defaultdict(list)
        self.frames: dict[str, list[int]] = defaultdict(list)

    def text(self) -> str:
        """What was taken."""
        posts, updates = (
            sum(len(ones) for name, ones in self.texts.items() if name.startswith(kind)) for kind in ("post", "talk")
        )
        return f"{posts:,} callbacks, {updates:,} transcript updates, {sum(map(len, self.frames.values())):,} frames"

    async def run(self) -> None:
        """Send all of it."""
        async with aiohttp.ClientSession() as client, asyncio.TaskGroup() as tasks:
            for number in range(MEETINGS):
                tasks.create_task(self._posts(client, f"post-{number}", CALLBACKS // self._share))
                tasks.create_task(self._socket("transcript", f"talk-{number}", UPDATES // self._share, self._say))
                tasks.create_task(self._socket("audio", f"sound-{number}", FRAMES // self._share, self._sound))

    async def _posts(self, client: aiohttp.ClientSession, name: str, count: int) -> None:
        for _ in range(count):
            serial = next(self._serial)
            async with client.post(self._url, data=body(name, serial)) as reply:
                assert reply.status == 200, f"a callback was answered {reply.status}"
            self.texts[name].append(serial)

    async def _socket(
        self, channel: str, name: str, count: int, send: Callable[[ClientConnection, str], Awaitable[None]]
    ) -> None:
        url = f"{self._url.replace('http', 'ws', 1)}/{channel}/{name}"
        async with connect(url, compression=None, ping_interval=None, open_timeout=60, close_timeout=600) as socket:
            for _ in range(count):
                await send(socket, name)
        assert socket.close_code == 1000, f"a socket was closed with {socket.close_code}"

    async def _say(self, socket: ClientConnection, name: str) -> None:
        serial = next(self._serial)
        await socket.send(update(name, serial).decode())
        self.texts[name].append(serial)

    async def _sound(self, socket: ClientConnection, name: str) -> None:
        serial = next(self._serial)
        await socket.send(frame(pcm=marked_pcm(serial, FRAME_BYTES)))
        self.frames[name].append(serial)


def update(bot: str, serial: int) -> bytes:
    """A transcript update of twelve words that no other is a repeat of."""
    return orjson.dumps(
        {
            "bot_id": bot, "speakerName": "Ada Lovelace", "timestamp": _stamp(serial), "new_text": "word",
            "transcript": " ".join(word["word"] for word in _WORDS), "utterance": "", "words": _WORDS,
            "end_of_turn": False, "turn_is_formatted": False, "word_is_final": True,
            "custom_attributes": {"serial": str(serial)},
        }
    )  # fmt: skip


_WORDS: list[dict[str, Any]] = [
    {"word": f"word{number}", "start": number * 0.3, "end": number * 0.3 + 0.2, "confidence": 0.98, "speaker": "Ada",
     "word_is_final": True}
    for number in range(12)
]  # fmt: skip


def _stamp(serial: int) -> str:
    at_ms = 1_780_000_000_000 + serial
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at_ms // 1000)) + f".{at_ms % 1000:03d}Z"


@asynccontextmanager
async def _http_far_side(port: int) -> AsyncIterator[FarSide]:
    """What an http sink's target was given; it may see a batch twice, where an answer was lost."""
    far = FarSide()

    async def take(request: web.Request) -> web.Response:
        for event in orjson.loads(await request.read()):
            far.take(event)
        return web.Response()

    app = web.Application(client_max_size=64 << 20)
    app.router.add_post("/", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield far
    finally:
        with contextlib.suppress(Exception):
            await runner.cleanup()
