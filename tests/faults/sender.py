"""Genuine load from a process of its own, fast and with little memory: ``python -m tests.faults.sender URL …``.

Each bot has a connection and sends callbacks one after the other, numbered from 1; each audio socket frames likewise.
So what was taken is told by a number for each: the last one of an unbroken row. Prints a line of JSON every other
second, and a last one with ``"taken"`` once its standard input is closed.
"""

import argparse
import asyncio
import contextlib
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from websockets.asyncio.client import connect

from tests.faults.load import body, quantile_ms
from tests.faults.oracle import marked_pcm
from tests.vendors.meetstream_wire import frame

_TELL_S = 2.0
_FRAMES_S = 50.0
#: one in so many callbacks is followed by one that nobody understands
_MALFORMED_EVERY = 20
_MALFORMED = b'{"event":' + b"x" * 2000


@dataclass
class Load:
    """What the bots of one process share."""

    path: str
    host: str
    port: int
    taken: dict[str, int] = field(default_factory=dict)
    failures: Counter[str] = field(default_factory=Counter)
    latencies_s: list[float] = field(default_factory=list)
    #: see ``--each``
    each: list[tuple[float, float]] | None = None
    quarantined: int = 0
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def bot(self, name: str, every_s: float, first_s: float) -> None:
        """Callbacks at a pace; the connection is kept."""
        loop = asyncio.get_running_loop()
        reader, writer = await asyncio.open_connection(self.host, self.port)
        due_s, serial = loop.time() + first_s, 0
        while not await self._stopped(due_s):
            serial += 1
            due_s = max(due_s + every_s, loop.time() - 1.0)
            begun_s = loop.time()
            if await self._post(reader, writer, body(name, serial), b"200"):
                self.latencies_s.append(took_s := loop.time() - begun_s)
                if self.each is not None:
                    self.each.append((time.time(), took_s * 1000))
                self.taken[name] = serial
            else:
                return
            if serial % _MALFORMED_EVERY == 0:
                text = _MALFORMED + f"{name}-{serial}".encode()
                self.quarantined += await self._post(reader, writer, text, b"400")
        writer.close()

    async def sound(self, name: str) -> None:
        """Frames of 20 ms until the end."""
        loop, serial = asyncio.get_running_loop(), 0
        url = f"ws://{self.host}:{self.port}{self.path}/audio/{name}"
        async with connect(url, compression=None, ping_interval=None, open_timeout=60, close_timeout=120) as socket:
            due_s = loop.time()
            while not await self._stopped(due_s):
                serial += 1
                await socket.send(frame(pcm=marked_pcm(serial)))
                due_s = max(due_s + 1 / _FRAMES_S, loop.time() - 1.0)
        if socket.close_code == 1000:
            self.taken[name] = serial
        else:
            self.failures[f"close {socket.close_code}"] += 1

    async def tell(self) -> None:
        """A line every other second."""
        while not self.stop.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TELL_S):
                    await self.stop.wait()
            told, self.latencies_s = self.latencies_s, []
            line: dict[str, object] = {"posts": len(told)}
            line |= {f"p{share * 100:.0f}": quantile_ms(told, share) for share in (0.5, 0.99)}
            if self.each is not None:
                line["each"], self.each = self.each, []
            print(json.dumps(line), flush=True)

    async def _stopped(self, due_s: float) -> bool:
        """Wait for the next turn; whether there will be none."""
        try:
            async with asyncio.timeout_at(due_s):
                await self.stop.wait()
        except TimeoutError:
            return False
        return True

    async def _post(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes, wanted: bytes
    ) -> bool:
        head = f"POST {self.path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n"
        writer.write(head.encode() + data)
        try:
            answer = await reader.readuntil(b"\r\n\r\n")
            size = answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(size))
        except (OSError, EOFError, ValueError) as error:
            self.failures[type(error).__name__] += 1
            return False
        if answer[9:12] != wanted:
            self.failures[answer[9:12].decode()] += 1
        return answer[9:12] == wanted


async def send(url: str, prefix: str, bots: int, rate: float, sockets: int, *, each: bool) -> None:
    """Until standard input is closed."""
    parts = urlsplit(url)
    load = Load(parts.path, parts.hostname or "", parts.port or 0, each=[] if each else None)
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), load.stop.set)
    async with asyncio.TaskGroup() as tasks:
        for number in range(bots):
            tasks.create_task(load.bot(f"{prefix}-{number}", bots / rate, number / rate))
        for number in range(sockets):
            tasks.create_task(load.sound(f"{prefix}-sound-{number}"))
        tasks.create_task(load.tell())
    print(json.dumps({"taken": load.taken, "failures": load.failures, "quarantined": load.quarantined}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser("python -m tests.faults.sender", description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--prefix", default="soak")
    parser.add_argument("--bots", type=int, default=20)
    parser.add_argument("--rate", type=float, default=100.0, help="callbacks a second, of all bots together")
    parser.add_argument("--sockets", type=int, default=2)
    parser.add_argument("--each", action="store_true", help="tell of every callback")
    args = parser.parse_args()
    asyncio.run(send(args.url, args.prefix, args.bots, args.rate, args.sockets, each=args.each))


if __name__ == "__main__":
    main()
