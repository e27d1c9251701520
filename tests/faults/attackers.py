"""Clients that mean harm, in a process of their own: ``python -m tests.faults.attackers NAME URL COUNT``.

Says ``up`` when they are at work, goes on until its standard input is closed, then prints what they were answered, as
JSON. Each worker has a connection at a time and an address of its own below 127.0.0.0/8. The endpoint is one that
anybody may send to (``/meetstream/open``), but for guesses.
"""

import asyncio
import base64
import contextlib
import gzip
import itertools
import json
import os
import random
import re
import resource
import struct
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

Wire = tuple[asyncio.StreamReader, asyncio.StreamWriter]
_STATUS = re.compile(rb"HTTP/1\.[01] (\d\d\d) ")
_HEAD = b"POST /meetstream/open HTTP/1.1\r\nHost: x\r\n"
_HANDSHAKE = (
    b"GET /meetstream/open/audio/x HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + base64.b64encode(bytes(16)) + b"\r\n\r\n"
)
_PATIENCE_S = 60.0
_QUIET_S = 0.2
_UP_S = 20.0
#: new connections a second while the attackers come up
_RAMP = 2000


@dataclass
class Force:
    """What the workers of one attack share."""

    host: str
    port: int
    answers: Counter[str] = field(default_factory=Counter)
    workers: int = 0
    begun: int = 0
    all_begun: asyncio.Event = field(default_factory=asyncio.Event)
    dice: random.Random = field(default_factory=lambda: random.Random(4711))

    def begin(self) -> None:
        """A connection more; once there are as many as workers, all are at work."""
        self.begun += 1
        if self.begun >= self.workers:
            self.all_begun.set()

    def note(self, data: bytes) -> None:
        """Count the statuses in what the server sent."""
        self.answers.update(status.decode() for status in _STATUS.findall(data))


@contextlib.asynccontextmanager
async def connected(force: Force, index: int, first: bytes = b"") -> AsyncIterator[Wire]:
    """A connection from the worker's own address, on which ``first`` was sent."""
    address = f"127.{1 + index // 62_500}.{index // 250 % 250}.{1 + index % 250}"
    reader, writer = await asyncio.open_connection(force.host, force.port, local_addr=(address, 0))
    force.begin()
    try:
        writer.write(first)
        yield reader, writer
    finally:
        writer.transport.abort()


async def drip(force: Force, index: int, first: bytes, piece: bytes) -> None:
    """Send ``piece`` each second until the server has had enough."""
    async with connected(force, index, first) as (reader, writer):
        while True:
            try:
                async with asyncio.timeout(1.0):
                    data = await reader.read(4096)
            except TimeoutError:
                writer.write(piece)
                continue
            force.note(data)
            if not data:
                return


async def ask(force: Force, index: int, data: bytes, patience_s: float = _PATIENCE_S) -> bytes:
    """Send and read until the end, or until nothing more comes."""
    got = bytearray()
    async with connected(force, index, data) as (reader, _):
        with contextlib.suppress(TimeoutError, ConnectionError):
            while True:
                async with asyncio.timeout(patience_s):
                    piece = await reader.read(65_536)
                if not piece:
                    break
                got += piece
    force.note(bytes(got))
    return bytes(got)


async def silent(force: Force, index: int) -> None:
    """A connection that says nothing."""
    await drip(force, index, b"", b"")


async def heads(force: Force, index: int) -> None:
    """A head that never ends."""
    await drip(force, index, _HEAD, b"X-A: b\r\n")


async def bodies(force: Force, index: int) -> None:
    """A body of a megabyte, a byte a second."""
    await drip(force, index, _HEAD + b"Content-Length: 1000000\r\n\r\n", b"x")


async def bombs(force: Force, index: int) -> None:
    """A quarter of a megabyte that inflates to 256."""
    head = b"Content-Encoding: gzip\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(_bomb())
    await ask(force, index, _HEAD + head + _bomb())


async def guesses(force: Force, index: int) -> None:
    """A token that does not fit, in the path or in the header."""
    guess = b"%032x" % force.dice.getrandbits(128)
    if index % 2:
        await ask(force, index, b"POST /meetstream/default/%s HTTP/1.1\r\nHost: x\r\n\r\n" % guess)
    else:
        line = b"POST /meetstream/default HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
        await ask(force, index, line + guess + b"\r\n\r\n")


async def garbage(force: Force, index: int) -> None:
    """A broken request."""
    data = next(_broken(index)).replace(b"/meetstream/default", b"/meetstream/open")
    await ask(force, index, data, _QUIET_S)


async def sockets(force: Force, index: int) -> None:
    """A WebSocket on which a few sound frames come before one that breaks the rules."""
    dice = force.dice
    async with connected(force, index, _HANDSHAKE) as (reader, writer):
        async with asyncio.timeout(_PATIENCE_S):
            force.note(await reader.readuntil(b"\r\n\r\n"))
        writer.write(_frame(2, dice.randbytes(40)) * dice.randrange(3) + dice.choice(_BROKEN_FRAMES))
        got = bytearray()
        with contextlib.suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(_PATIENCE_S):
                while piece := await reader.read(4096):
                    got += piece
    close = got.rfind(b"\x88")
    force.answers[f"close {int.from_bytes(got[close + 2 : close + 4], 'big')}" if close >= 0 else "close 1006"] += 1


def _frame(kind: int, payload: bytes) -> bytes:
    size = bytes((0x80 | len(payload),)) if len(payload) < 126 else b"\xfe" + struct.pack("!H", len(payload))
    return bytes((0x80 | kind,)) + size + bytes(4) + payload


_BROKEN_FRAMES = (
    _frame(1, b"\xff\xfe"), _frame(3, b"x"), _frame(0, b"x"), _frame(9, b"x" * 200), b"\xff" * 64,
    b"\x82\xff" + b"\xff" * 12,
    _frame(8, b"\x03"), _frame(8, b"\xff\xff"), _frame(8, b"\x03\xe8\xff"), b"GET / HTTP/1.1\r\n\r\n", bytes(64),
)  # fmt: skip
_made_bomb: list[bytes] = []


def _bomb() -> bytes:
    if not _made_bomb:
        _made_bomb.append(gzip.compress(bytes(256 << 20), 9))
    return _made_bomb[0]


_streams: dict[int, Iterator[bytes]] = {}


def _broken(index: int) -> Iterator[bytes]:
    if index not in _streams:
        from tests.fuzz.mutate import mutants
        from tests.fuzz.targets import seeds

        _streams[index] = mutants(seeds("http"), 1 << 40, seed=index)
    return _streams[index]


#: name -> one worker's try, and how many tries a worker makes a second (0: the next when the last has ended)
ATTACKS: dict[str, tuple[Callable[[Force, int], Awaitable[None]], float]] = {
    "silent": (silent, 0), "heads": (heads, 0), "bodies": (bodies, 0), "bombs": (bombs, 1), "guesses": (guesses, 10),
    "garbage": (garbage, 5), "sockets": (sockets, 5),
}  # fmt: skip


async def attack(name: str, url: str, count: int) -> Counter[str]:
    """Run ``count`` workers until standard input is closed; what they were answered."""
    parts = urlsplit(url)
    force = Force(parts.hostname or "", parts.port or 0, workers=count)
    once, rate = ATTACKS[name]
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), stop.set)

    async def work(index: int) -> None:
        await asyncio.sleep(index / count if rate else index / _RAMP)
        for _ in itertools.count():
            begun_s = loop.time()
            try:
                await once(force, index)
            except (OSError, EOFError, TimeoutError) as error:
                force.answers[type(error).__name__] += 1
                await asyncio.sleep(0.1)
            if rate:
                await asyncio.sleep(max(0.0, begun_s + 1 / rate - loop.time()))

    async with asyncio.TaskGroup() as tasks:
        workers = [tasks.create_task(work(index)) for index in range(count)]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_UP_S):
                await force.all_begun.wait()
        print("up", min(count, force.begun), flush=True)
        await stop.wait()
        for worker in workers:
            worker.cancel()
    return force.answers


def main() -> None:
    name, url, count = sys.argv[1:]
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    os.nice(10)  # a real attacker's machine is another one: what he computes is not taken from the server
    if name == "bombs":
        _bomb()
    print(json.dumps(asyncio.run(attack(name, url, int(count)))), flush=True)


if __name__ == "__main__":
    main()
