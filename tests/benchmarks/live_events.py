"""``python -m tests.benchmarks.live_events``: how soon an event is at a subscriber, what subscribers cost ingestion.

The server, with the journal and a file sink, has a core; senders and subscribers have the other. What is measured: from
when a POST was due to its line at one SSE subscriber, at a steady rate; and POSTs a second as fast as ``wrk`` sends
them, without subscribers and with many on the same stream, in turn.
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
import time
from collections.abc import Iterator
from typing import cast

import orjson

from tests.benchmarks.contenders import Contender, pin_load, running
from tests.benchmarks.steady import request, send_steadily
from tests.benchmarks.voices import room_for
from tests.benchmarks.wrk import CONNECTIONS, run_wrk
from tests.commands.process import ROOT
from tests.faults.load import body, quantile_ms

_OURS = Contender("ours")
_MARK = b'"message":"'
_WARM_S = 1.0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.live_events", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    parser.add_argument("--rate", type=float, default=500.0, help="POSTs a second, of the latency")
    parser.add_argument("--subscribers", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3, help="of each measurement")
    parser.add_argument("--subscribe", nargs=2, metavar=("URL", "COUNT"), help="be the subscribers, until killed")
    args = parser.parse_args()
    if args.subscribe:
        _subscribe(args.subscribe[0], int(args.subscribe[1]))
        return
    pin_load()
    with running(_OURS) as server:
        for _ in range(args.rounds):
            latencies = asyncio.run(_latency(server.port, args.rate, args.seconds))
            p50, p99 = quantile_ms(latencies, 0.5), quantile_ms(latencies, 0.99)
            print(f"POST to subscriber, {args.rate:g}/s: {len(latencies)} events, p50 {p50:.2f}, p99 {p99:.2f} ms")
        shares = []
        for _ in range(args.rounds if args.subscribers else 0):
            alone, _ = run_wrk(f"{server.url}/meetstream/default", args.seconds)
            with _subscribers(server.url, args.subscribers):
                beside, sender = run_wrk(f"{server.url}/meetstream/default", args.seconds)
            shares.append(beside.rate / alone.rate)
            print(
                f"POSTs a second over {CONNECTIONS} connections: {alone.rate:.0f} alone, {beside.rate:.0f} beside "
                f"{args.subscribers} subscribers (the sender had {sender:.0%} of its core)"
            )
        if shares:
            print(f"left beside subscribers: {100 * statistics.median(shares):.0f} %")


async def _latency(port: int, rate: float, seconds: float) -> list[float]:
    """Seconds from when a POST was due to its line, of those after the first second."""
    total, first = int(rate * (seconds + _WARM_S)), time.time_ns()
    reader = _Reader()
    await asyncio.get_running_loop().create_connection(lambda: reader, "127.0.0.1", port)
    await reader.begun.wait()
    answers = await send_steadily(port, rate, [request(port, _body(first + number)) for number in range(total)])
    assert answers.failed == 0, f"{answers.failed} of {answers.sent} POSTs failed"
    async with asyncio.timeout(10):
        while not reader.seen_s.keys() >= {first, first + total - 1}:  # noqa: ASYNC110 - one wait, at the end
            await asyncio.sleep(0.01)
    reader.close()
    if answers.late > total // 100:
        print(f"{answers.late} of {total} POSTs left more than 1 ms late: the sender is part of what is measured")
    return [reader.seen_s[first + n] - answers.begun_s - n / rate for n in range(int(rate * _WARM_S), total)]


class _Reader(asyncio.Protocol):
    """A subscriber. ``seen_s``: when the line of each POST was there, by the POST's number."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.seen_s: dict[int, float] = {}
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        # 1.0: lines follow the head without lengths of chunks between them
        self._transport.write(b"GET /live/events HTTP/1.0\r\n\r\n")

    def data_received(self, data: bytes) -> None:
        now_s = time.perf_counter()
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if line.startswith(b"data: ") and _MARK in line:
                self.seen_s[int(line.partition(_MARK)[2].partition(b'"')[0])] = now_s
        self.begun.set()

    def close(self) -> None:
        self._transport.close()


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
    room_for(count)
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
