"""What the tests of hostile clients share: connections that misbehave, and what a served process costs meanwhile."""

import asyncio
import contextlib
import resource
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import aiohttp

from tests.support import DEADLINE_S

T = TypeVar("T")
Wire = tuple[asyncio.StreamReader, asyncio.StreamWriter]
OPEN_ENDPOINT = '[endpoints.meetstream.default]\n\n[sinks.file]\ntype = "file"\nfsync = false\n'


async def wire(url: str, data: bytes = b"") -> Wire:
    """A bare connection on which ``data`` was sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rsplit(":", 1)[1]))
    writer.write(data)
    return reader, writer


@asynccontextmanager
async def wires(url: str, count: int, data: bytes = b"") -> AsyncIterator[list[Wire]]:
    """Many of them at once; gone at the end. This process may open as many files as it is allowed to."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # some systems cap it lower than they say
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    opened: list[Wire] = []
    try:
        while len(opened) < count:
            more = min(100, count - len(opened))
            opened += await asyncio.gather(*(wire(url, data) for _ in range(more)))
        yield opened
    finally:
        for _, writer in opened:
            writer.transport.abort()


async def answer(reader: asyncio.StreamReader, within_s: float = DEADLINE_S) -> bytes:
    """Everything until the end of a connection; a reset is an end."""
    got = bytearray()
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(within_s):
            while piece := await reader.read(1 << 16):
                got += piece
    return bytes(got)


def rss_bytes(pid: int) -> int:
    """Resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


async def with_peak(pid: int, work: Awaitable[T]) -> tuple[T, int]:
    """What ``work`` gives, and the highest resident memory of a process meanwhile."""
    peak = rss_bytes(pid)
    task = asyncio.ensure_future(work)
    while not task.done():
        await asyncio.sleep(0.01)
        peak = max(peak, rss_bytes(pid))
    return task.result(), peak


async def latencies_s(url: str, count: int, every_s: float) -> list[float]:
    """Sorted times of ``count`` deliveries to the open endpoint, one each ``every_s``; each of them is accepted."""
    took: list[float] = []

    async def deliver(client: aiohttp.ClientSession) -> None:
        body = b'{"event":"bot.joining","bot_id":"b-%d"}' % time.time_ns()
        start_s = time.perf_counter()
        async with client.post(f"{url}/meetstream/default", data=body) as reply:
            assert reply.status == 200, await reply.text()
            await reply.read()
        took.append(time.perf_counter() - start_s)

    async with aiohttp.ClientSession() as client, asyncio.TaskGroup() as tasks:
        for _ in range(count):
            tasks.create_task(deliver(client))
            await asyncio.sleep(every_s)
    return sorted(took)
