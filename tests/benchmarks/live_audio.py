"""``python -m tests.benchmarks.live_audio``: how long a frame of live audio takes from a bot to a listener.

A real server is one process; the bots (WebSocket) and one listener for each (HTTP) are another. Frames of 20 ms come in
real time. Told is the time from sending a frame until its first sample, and until its last one, has
arrived; at another rate than the bots' 48,000 Hz the filter's delay is part of it, and the last samples of a frame
come with the next one.
"""

import argparse
import asyncio
import os
import struct
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import uvloop

from tests.commands.process import serving

_CONFIG = '[server]\nport = 0\n[sinks.file]\ntype = "file"\ntypes = ["bot.*"]\n'
FRAME_S = 0.02
BOT_RATE_HZ = 48_000
#: frames before these are not counted: everybody connects meanwhile
_WARM_FRAMES = 50


class Listener:
    """Notes when each frame's first and last sample have arrived. Frame 0 begins where it is not silent any more."""

    def __init__(self, rate_hz: int) -> None:
        self.frames = round(rate_hz * FRAME_S)
        self.began = -1
        self.heard = 0
        self.first_s: list[float] = []
        self.last_s: list[float] = []

    async def listen(self, client: aiohttp.ClientSession, url: str) -> None:
        async with client.get(url) as reply:
            reply.raise_for_status()
            odd = b""
            async for part in reply.content.iter_any():
                now_s = time.monotonic()
                part, odd = odd + part, b""
                if len(part) % 2:
                    part, odd = part[:-1], part[-1:]
                self._note(np.frombuffer(part, "<i2"), now_s)

    def _note(self, samples: "np.ndarray[Any, np.dtype[np.int16]]", now_s: float) -> None:
        if self.began < 0:
            loud = np.flatnonzero(np.abs(samples) > 1000)
            if len(loud):
                self.began = self.heard + int(loud[0])
        self.heard += len(samples)
        if self.began >= 0:
            known = self.heard - self.began
            while len(self.first_s) * self.frames < known:
                self.first_s.append(now_s)
            while (len(self.last_s) + 1) * self.frames <= known:
                self.last_s.append(now_s)


async def speak(client: aiohttp.ClientSession, url: str, frames: int, begin_s: float, sent_s: list[float]) -> None:
    """One bot, in real time; each has its own moment within the 20 ms."""
    tone = np.rint(9000 * np.sin(2 * np.pi * 500 * np.arange(960) / BOT_RATE_HZ) + 12_000).astype("<i2").tobytes()
    frame = struct.pack("<BH", 1, 3) + b"ada" + struct.pack("<H", 3) + b"Ada" + tone
    async with client.ws_connect(url) as socket:
        for number in range(frames):
            await asyncio.sleep(begin_s + number * FRAME_S - time.monotonic())
            sent_s.append(time.monotonic())
            await socket.send_bytes(frame)


async def drive(url: str, streams: int, seconds: float, rate_hz: int) -> dict[str, float]:
    """The bots and their listeners; latencies in milliseconds."""
    frames = round(seconds / FRAME_S)
    listeners = [Listener(rate_hz) for _ in range(streams)]
    sent: list[list[float]] = [[] for _ in range(streams)]
    begin_s = time.monotonic() + 1.5
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client, asyncio.TaskGroup() as tasks:
        ears = [
            tasks.create_task(one.listen(client, f"{url}/live/audio/bot-{number}.pcm?rate={rate_hz}&wait=60"))
            for number, one in enumerate(listeners)
        ]
        await asyncio.sleep(0.5)
        mouths = [
            tasks.create_task(
                speak(
                    client,
                    f"{url}/meetstream/default/bot-{n}/audio",
                    frames,
                    begin_s + n * FRAME_S / streams,
                    sent[n],
                )
            )
            for n in range(streams)
        ]
        await asyncio.wait(mouths)
        await asyncio.sleep(0.1)
        for ear in ears:
            ear.cancel()
    told: dict[str, float] = {"frames": sum(map(len, sent))}
    late = [
        (at_s - begin_s - n * FRAME_S / streams - number * FRAME_S) * 1000
        for n, times in enumerate(sent)
        for number, at_s in enumerate(times)
    ]
    told["late_p99_ms"] = float(np.percentile(late, 99))
    for name in ("first", "last"):
        took = [
            (heard_s - sent_s) * 1000
            for one, times in zip(listeners, sent, strict=True)
            for sent_s, heard_s in list(zip(times, getattr(one, f"{name}_s"), strict=False))[_WARM_FRAMES:]
        ]
        told |= {f"{name}_p{p}_ms": round(float(np.percentile(took, p)), 2) for p in (50, 99)}
        told[f"{name}_count"] = len(took)
    return told


def measure(streams: int, seconds: float, rate_hz: int) -> None:
    """Start a server, be its bots and listeners, tell what came of it."""
    with tempfile.TemporaryDirectory(prefix="live-audio-") as name:
        folder = Path(name)
        (folder / "c.toml").write_text(_CONFIG)
        with serving(folder, "--config", "c.toml", "--data", "data") as server:
            url = server.url
            begin_s, cpu_s, own_s = time.monotonic(), _cpu_s(server.process.pid), time.process_time()
            told = uvloop.run(drive(url, streams, seconds, rate_hz))
            lasted_s = time.monotonic() - begin_s
            share = (_cpu_s(server.process.pid) - cpu_s) / lasted_s
            own = (time.process_time() - own_s) / lasted_s
    print(f"{streams} streams at {rate_hz} Hz, {told['frames']:.0f} frames in {seconds:g} s")
    print(f"  server {share:.0%} of a core, bots and listeners {own:.0%}; bots late p99 {told['late_p99_ms']:.1f} ms")
    for name in ("first", "last"):
        p50, p99, count = (told[f"{name}_{key}"] for key in ("p50_ms", "p99_ms", "count"))
        print(f"  until its {name} sample is out: p50 {p50:5.1f} ms, p99 {p99:5.1f} ms   ({count:.0f} frames)")


def _cpu_s(pid: int) -> float:
    """Processor time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.live_audio", description=__doc__)
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--rate", type=int, default=BOT_RATE_HZ, help="hertz, for the listeners")
    options = parser.parse_args()
    measure(options.streams, options.seconds, options.rate)


if __name__ == "__main__":
    main()
