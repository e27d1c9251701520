"""Callbacks: how many a second are taken, and how soon each is answered at a steady rate."""

import asyncio
import itertools
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from tests.benchmarks.contenders import LOAD_CORE, NO_SINK, Contender, Running, running
from tests.benchmarks.rows import Book, Row
from tests.faults.load import body, quantile_ms

OURS = Contender("ours, with the file sink")
FROM_MEMORY = Contender("(a) FastAPI, from memory", "fastapi_memory")
CONTENDERS = (
    OURS,
    Contender("ours, no sink", sinks=NO_SINK),
    Contender("ours, journal off, no sink", sinks=NO_SINK, runner="tests.benchmarks.peers.ours_without_journal"),
    FROM_MEMORY,
    Contender("(b) FastAPI, SQLite FULL", "fastapi_sqlite"),
    Contender("(c) FastAPI, one sync each", "fastapi_append"),
    Contender("(f) aiohttp, does nothing", "bare_aiohttp"),
    Contender("(f) httptools, does nothing", "bare_httptools"),
)
_CONNECTIONS = 64
#: where the numbers of a run begin: none is a repeat of another's
_serials = itertools.count(1)
_SCRIPT = Path(__file__).parent / "wrk.lua"


def callbacks_a_second(rounds: int, seconds: float) -> Row:
    """As many as go over 64 connections, every body another one."""
    book = Book()
    remarks = []
    for _ in range(rounds):
        for one in CONTENDERS:
            with running(one) as server:
                wrk(server.url, 1.0)
                busy_s = server.cpu_s()
                count, took_s, bad = wrk(server.url, seconds)
                busy_s = server.cpu_s() - busy_s
            book.add(one.name, "/s", count / took_s)
            if bad:
                remarks.append(f"{one.name}: {bad} of {count} were no success")
            if busy_s < 0.85 * took_s and one.name not in ("(b) FastAPI, SQLite FULL", "(c) FastAPI, one sync each"):
                remarks.append(f"{one.name}: its core was busy for {busy_s / took_s:.0%} only")
    goal = ">= 2 x (a), which is not durable, then 3 x; >= 8 x (c); >= 0.8 x journal off"
    return Row("durable callbacks a second, one core", book.figures(), book.ratios(OURS.name, "/s"), goal, remarks)


def answer_times(rounds: int, seconds: float, rate: float = 2000.0) -> Row:
    """The time from before a callback is written to its answer, at a steady rate that nothing slows down."""
    book = Book()
    remarks = []
    for _ in range(rounds):
        for one in (OURS, FROM_MEMORY):
            with running(one) as server:
                latencies_s, late, bad = asyncio.run(_steady(server, rate, seconds))
            book.add(f"{one.name}: p50", "ms", quantile_ms(latencies_s, 0.5))
            book.add(f"{one.name}: p99", "ms", quantile_ms(latencies_s, 0.99))
            remarks += [f"{one.name}: {bad} without success"] * bool(bad)
            remarks += [f"{one.name}: the sender was late by more than 1 ms {late:.1%} of the time"] * (late > 0.01)
    return Row(f"callback answer at {rate:.0f}/s", book.figures(), {}, "p50 <= 1 ms, p99 <= 5 ms, then 2 ms", remarks)


def wrk(url: str, seconds: float) -> tuple[int, float, int]:
    """Requests answered, the time that they took, and those without success."""
    command = ["wrk", "-t1", f"-c{_CONNECTIONS}", f"-d{max(1, round(seconds))}s", "-s", str(_SCRIPT)]
    command += [f"{url}/meetstream/default", "--", str(next(_serials) * 10_000_000)]
    told = subprocess.run(
        ["taskset", "-c", str(LOAD_CORE), *command],
        capture_output=True, text=True, timeout=seconds + 60, check=True,
    ).stdout  # fmt: skip
    result = next(line for line in told.splitlines() if line.startswith("RESULT")).split()
    return int(result[1]), int(result[2]) / 1e6, int(result[3])


class _Post(asyncio.Protocol):
    """A kept-alive connection that writes prebuilt requests and sees when each answer begins."""

    def __init__(self, done: list[float]) -> None:
        self.free = True
        self._done = done
        self._from_s = 0.0
        self.bad = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def send(self, request: bytes, due_s: float) -> None:
        self.free, self._from_s = False, due_s
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"HTTP/1.1 "):
            self._done.append(time.perf_counter() - self._from_s)
            self.bad += data[9:10] != b"2"
            self.free = True


async def _steady(server: Running, rate: float, seconds: float) -> tuple[Sequence[float], float, int]:
    """Latencies from the moment when each was due, so that a server that stalls pays for all that wait."""
    loop = asyncio.get_running_loop()
    netloc = f"127.0.0.1:{server.port}"
    done: list[float] = []
    pool = [
        (await loop.create_connection(lambda: _Post(done), "127.0.0.1", server.port))[1] for _ in range(_CONNECTIONS)
    ]
    head = f"POST /meetstream/default HTTP/1.1\r\nHost: {netloc}\r\nContent-Type: application/json\r\n"
    requests = []
    for serial in range(round(rate * seconds)):
        content = body(f"bot-{serial % 64}", os.getpid() * 1_000_000 + serial)
        requests.append(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
    late = turn = 0
    begun_s = time.perf_counter() + 0.1
    for serial, request in enumerate(requests):
        due_s = begun_s + serial / rate
        while (left_s := due_s - time.perf_counter()) > 0:  # noqa: ASYNC110 - time, no event
            await asyncio.sleep(left_s if left_s > 0.002 else 0)
        late += left_s < -0.001
        while not pool[turn % _CONNECTIONS].free:
            turn += 1
            if turn % _CONNECTIONS == 0:
                await asyncio.sleep(0)
        pool[turn % _CONNECTIONS].send(request, due_s)
        turn += 1
    for _ in range(500):
        if len(done) == len(requests):
            break
        await asyncio.sleep(0.01)
    missing = len(requests) - len(done)
    return done, late / len(requests), missing + sum(one.bad for one in pool)
