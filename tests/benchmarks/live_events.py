"""``python -m tests.benchmarks.live_events``: how soon an event is at a subscriber, what subscribers cost ingestion.

The server, the sender and the subscribers are processes of their own, on 127.0.0.1, with the journal on. What is
measured: from before a POST is written to its line at one SSE subscriber, at a steady rate; and POSTs a second as fast
as they go, without subscribers and with many on the same stream, in turn.
"""

import argparse
import asyncio
import contextlib
import os
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import orjson

from tests.commands.process import ROOT, serving
from tests.faults.load import body, quantile_ms

_MARK = b'"message":"'
_CONNECTIONS = 16
_WARM_S = 1.0
_CONFIG = '[server]\nport = 0\n[sinks.file]\ntype = "file"\n'


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    parser.add_argument("--rate", type=float, default=500.0, help="POSTs a second, of the latency")
    parser.add_argument("--subscribers", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3, help="of ingestion without and with subscribers")
    parser.add_argument("--subscribe", nargs=2, metavar=("URL", "COUNT"), help="be the subscribers, until killed")
    args = parser.parse_args()
    if args.subscribe:
        _subscribe(args.subscribe[0], int(args.subscribe[1]))
        return
    with tempfile.TemporaryDirectory(prefix="live-") as name:
        folder = Path(name)
        (folder / "c.toml").write_text(_CONFIG)
        with serving(folder, "--config", "c.toml", "--data", "data") as server:
            url = server.url
            latencies = asyncio.run(_latency(url, args.rate, args.seconds))
            p50, p99 = quantile_ms(latencies, 0.5), quantile_ms(latencies, 0.99)
            print(
                f"POST to subscriber, {args.rate:g} a second: {len(latencies)} events, p50 {p50:.2f}, p99 {p99:.2f} ms"
            )
            shares = []
            for _ in range(args.rounds):
                alone = asyncio.run(_ingestion(url, args.seconds))
                with _subscribers(url, args.subscribers):
                    beside = asyncio.run(_ingestion(url, args.seconds))
                shares.append(beside / alone)
                print(f"POSTs a second: {alone:.0f} alone, {beside:.0f} beside {args.subscribers} subscribers")
            print(f"left beside subscribers: {100 * statistics.median(shares):.0f} %")


async def _latency(url: str, rate: float, seconds: float) -> list[float]:
    """Seconds from a POST to its line, of those after the first second."""
    sent_s: dict[bytes, float] = {}
    found: list[float] = []
    total = int(rate * (seconds + _WARM_S))
    begun = asyncio.Event()

    async def read() -> None:
        async with aiohttp.ClientSession() as client, client.get(f"{url}/live/events", timeout=None) as reply:
            begun.set()
            async for line in reply.content:
                if line.startswith(b"data: ") and _MARK in line:
                    now_s, serial = time.perf_counter(), line.partition(_MARK)[2].partition(b'"')[0]
                    found.append(now_s - sent_s[serial])
                    if len(found) == total:
                        return

    async def send(client: aiohttp.ClientSession, serial: int) -> None:
        sent_s[str(serial).encode()] = time.perf_counter()
        async with client.post(f"{url}/meetstream/default", data=_body(serial)) as reply:
            assert reply.status == 200

    async with asyncio.TaskGroup() as tasks, aiohttp.ClientSession() as client:
        reader = tasks.create_task(read())
        await begun.wait()
        begin_s = time.perf_counter()
        async with asyncio.TaskGroup() as posts:
            for serial in range(total):
                await asyncio.sleep(begin_s + serial / rate - time.perf_counter())
                posts.create_task(send(client, serial))
        async with asyncio.timeout(10):
            await reader
    return found[int(rate * _WARM_S) :]


async def _ingestion(url: str, seconds: float) -> float:
    """POSTs a second, as fast as some connections go."""
    count = 0
    first = time.time_ns()

    async def send(client: aiohttp.ClientSession, until_s: float) -> None:
        nonlocal count
        while time.perf_counter() < until_s:
            count += 1
            async with client.post(f"{url}/meetstream/default", data=_body(first + count)) as reply:
                assert reply.status == 200

    async with aiohttp.ClientSession() as client, asyncio.TaskGroup() as tasks:
        until_s = time.perf_counter() + seconds
        for _ in range(_CONNECTIONS):
            tasks.create_task(send(client, until_s))
    return count / seconds


def _body(serial: int) -> bytes:
    return orjson.dumps(orjson.loads(body("bot-1", serial)) | {"message": str(serial)})


@contextlib.contextmanager
def _subscribers(url: str, count: int) -> Iterator[None]:
    command = [sys.executable, "-m", "tests.benchmarks.live_events", "--subscribe", url, str(count)]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None and process.stdout.readline() == b"all\n"
        yield
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _subscribe(url: str, count: int) -> None:
    """Be ``count`` subscribers that read and forget; says when all are connected.

    They stand for other machines, so they take as little of this one as can be: the kernel throws away what has come
    (``MSG_TRUNC``)."""
    host, _, port = url.removeprefix("http://").partition(":")
    poll, wires = select.epoll(), {}
    for _ in range(count):
        wire = socket.create_connection((host, int(port)))
        wire.sendall(f"GET /live/events HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += wire.recv(1 << 16)
        wire.setblocking(False)
        wires[wire.fileno()] = wire
        poll.register(wire, select.EPOLLIN)
    print("all", flush=True)
    buffer = bytearray(1 << 20)
    while wires:
        for number, _ in poll.poll():
            if not wires[number].recv_into(buffer, 0, socket.MSG_TRUNC):
                poll.unregister(number)
                wires.pop(number).close()


if __name__ == "__main__":
    main()
