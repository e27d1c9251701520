"""Restarts with no gap: a new process takes over again and again, under load.

Callbacks on kept-alive and on fresh connections, uploads that a hand-over finds in the middle, connections that were
idle, audio sockets that are told 1012 and dial again. No POST may fail, no frame may be lost.
"""

import asyncio
import itertools
import time
from typing import Any

import aiohttp
import msgspec

from receiver.secretfiles import read_runtime
from tests.end_to_end.process import Server, free_port, read_events
from tests.faults.base import Options, Report
from tests.faults.load import Audio, Callbacks, body, quantile_ms
from tests.faults.oracle import FarSide, balance, judge

SINKS = '[sinks.file]\ntype = "file"\n\n[sinks.other]\ntype = "file"\npath = "other/{date}.jsonl"\n'
_RATE = 400.0
_PATH = "/meetstream/default"


class Interrupted:
    """A POST of which half is sent before a hand-over and half after it, on a connection of its own."""

    def __init__(self, url: str) -> None:
        self.accepted: dict[str, list[int]] = {"half": []}
        self.failures: list[str] = []
        self._host, port = url.removeprefix("http://").split(":")
        self._port = int(port)
        self._serial = itertools.count(1)

    async def begin(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, int]:
        """Send the head and half of the body."""
        reader, writer = await asyncio.open_connection(self._host, self._port)
        serial = next(self._serial)
        data = body("half", serial)
        writer.write(b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (_PATH.encode(), len(data)))
        writer.write(data[: len(data) // 2])
        await writer.drain()
        return reader, writer, serial

    async def end(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, serial: int) -> None:
        """Send the other half; the answer has to be 200, and the last on this connection."""
        data = body("half", serial)
        writer.write(data[len(data) // 2 :])
        try:
            async with asyncio.timeout(30):
                answer = await reader.read()  # to the end: the server closes it
        except (OSError, TimeoutError) as error:
            self.failures.append(type(error).__name__)
        else:
            if answer.startswith(b"HTTP/1.1 200"):
                self.accepted["half"].append(serial)
            else:
                self.failures.append(answer[:60].decode(errors="replace"))
        writer.close()


async def reload(server: Server, *, restart: bool = True) -> dict[str, Any]:
    """What ``receiver reload`` asks for; the answer."""
    runtime = read_runtime(server.data_dir)
    assert runtime is not None
    headers = {"Authorization": f"Bearer {runtime.token}"}
    timeout = aiohttp.ClientTimeout(total=90)
    async with (
        aiohttp.ClientSession(headers=headers, timeout=timeout) as client,
        client.post(f"{server.url}/api/reload", json={"restart": restart}) as reply,
    ):
        text = await reply.read()
        assert reply.status == 200, text
        answer: dict[str, Any] = msgspec.json.decode(text)
        return answer


async def run(options: Options) -> Report:
    """Reload ``rounds`` times under load, then balance."""
    report, rounds = Report(), options.pick(4, 100)
    server = Server(options.folder, SINKS, port=free_port())
    try:
        await server.start()
        first_pid, url = server.pid, server.url + _PATH
        kept, fresh = Callbacks(url, rate=_RATE), Callbacks(url, rate=20.0, bots=2, prefix="fresh", keep_alive=False)
        audio, halves = Audio(url, sockets=8), Interrupted(server.url)
        async with asyncio.TaskGroup() as tasks:
            for load in (kept, fresh, audio):
                tasks.create_task(load.run())
            served, took_s = await _reloads(options, server, rounds, halves)
            for load in (kept, fresh, audio):
                load.stop()
        metrics = await server.caught_up("file", "other")
        status = await server.stop()
    finally:
        await server.kill()
    report.equal("processes that served, one after another", len({first_pid, *served}), rounds + 1)
    report.equal("POSTs that failed, kept-alive connections", dict(kept.failures), {})
    report.equal("POSTs that failed, a connection each", dict(fresh.failures), {})
    report.equal("POSTs that failed, half sent before", halves.failures, [])
    report.equal("close codes of sockets other than 1012 and the last 1000", set(audio.closings) - {1012, 1000}, set())
    report.at_least("sockets told 1012 (service restart)", audio.closings[1012], rounds)
    report.equal("frames on sockets that broke", sum(audio.unsure.values()), 0)
    report.equal("exit status of the process that was started first", status, 0)
    callbacks = kept.accepted | fresh.accepted | halves.accepted
    for name, folder in (("file", "events"), ("other", "other")):
        far = FarSide(read_events(server.data_dir / folder))
        judge(report, name, far, callbacks=callbacks, frames=audio.sent)
        if name == "file":
            report.equal("streams that continue another after a hand-over", *_continued(server, audio))
    balance(report, metrics, "file", "other")
    posts = kept.count + fresh.count + len(halves.accepted["half"])
    report.figure("callbacks accepted, frames read", f"{posts:,}, {audio.count:,}")
    report.figure("reload, from the order to the answer, median", f"{quantile_ms(took_s, 0.5):.0f} ms")
    for share in (0.5, 0.99, 1.0):
        report.figure(f"callback latency, {share:.0%} within", f"{quantile_ms(kept.latencies_s, share):.1f} ms")
    return report


async def _reloads(options: Options, server: Server, rounds: int, halves: Interrupted) -> tuple[list[int], list[float]]:
    """Reload in the middle of an upload, and let the sockets dial again. Who served, and how long each took."""
    served, took_s = [], []
    for number in range(rounds):
        half = await halves.begin()
        start_s = time.perf_counter()
        answer = await reload(server)
        took_s.append(time.perf_counter() - start_s)
        served.append(answer["pid"])
        await halves.end(*half)
        await asyncio.sleep(0.5)
        if number % 10 == 9:
            options.say(f"{number + 1} of {rounds} hand-overs")
    return served, took_s


def _continued(server: Server, audio: Audio) -> tuple[int, int]:
    """How many openings continue an earlier connection, and how many should: all but the first of each bot."""
    opened = [event for event in read_events(server.data_dir / "events") if event["type"] == "stream.opened"]
    return sum("resumes" in event["data"] for event in opened), len(opened) - len(audio.sent)
