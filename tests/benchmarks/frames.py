"""Audio frames: how many a second are taken on one core, from sockets that send as fast as they are read.

The sender masks its frames once, joins them into large pieces, and writes whatever a socket takes. "only recv()" is a
peer that reads into a buffer and does nothing: what the same sender can do. Beside each figure stands for how much of
the time the sender was busy.
"""

import asyncio
import os
import select
import socket
import struct
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.contenders import FILE_SINK, Contender, Running, running
from tests.benchmarks.goals import at_least
from tests.benchmarks.rows import Book, Row
from tests.vendors.meetstream_wire import frame

OURS = Contender("ours, journalled and decoded", sinks='[sinks.file]\ntype = "file"\ntypes = ["bot.*"]\n')
FASTAPI = Contender("(e) FastAPI, appends to a file", "fastapi_audio")
AIOHTTP = Contender("(f) aiohttp, does nothing", "bare_aiohttp")
SENDER = Contender("only recv(): what the sender can do", "bare_recv")
CONTENDERS = (
    OURS,
    Contender("ours, and written by the file sink", sinks=FILE_SINK),
    Contender("(d) websockets, appends to a file", "websockets_audio"),
    FASTAPI,
    AIOHTTP,
    Contender("(f) picows, does nothing", "bare_picows"),
    SENDER,
)
_SOCKETS = 100
PCM_BYTES = 1920
_A_PIECE = 64
_WARM_S = 1.0
_DRAIN_S = 20.0


def frames_a_second(rounds: int, seconds: float) -> Row:
    """By bytes that the server has read between warm-up and end; ours is shown beside its own count."""
    book = Book()
    remarks = []
    for _ in range(rounds):
        for one in CONTENDERS:
            print(f"  {one.name}", file=sys.stderr, flush=True)
            with running(one) as server:
                blaster = Blaster(server.port)
                try:
                    blaster.send(_WARM_S)
                    before, busy_s, kept = blaster.frames, server.cpu_s(), 0.0 if one.module else _kept(server)
                    from_s, sender_s = time.perf_counter(), time.process_time()
                    took_s = blaster.send(seconds)
                    busy_s, sender_s = server.cpu_s() - busy_s, time.process_time() - sender_s
                    book.add(one.name, "/s", (blaster.frames - before) / took_s, sender_s / took_s)
                    if not one.module:
                        kept = _kept(server) - kept
                        book.add(f"{one.name}: in its journal", "/s", kept / (time.perf_counter() - from_s))
                        blaster.finish_frames()
                        remarks += asyncio.run(_all_kept(one.name, server, blaster.whole_frames))
                finally:
                    blaster.close()
            if busy_s < 0.85 * took_s and one is not SENDER:
                remarks.append(f"{one.name}: its core was busy for {100 * (busy_s / took_s):.0f} % only")
    verdicts = [
        *at_least("journalled and decoded", book.median(f"{OURS.name}: in its journal", "/s"), 100_000, unit="/s"),
        *at_least("ours / (e)", book.ratio(OURS.name, FASTAPI.name, "/s"), 2),
        *at_least("ours / aiohttp that does nothing", book.ratio(OURS.name, AIOHTTP.name, "/s"), then=0.5),
    ]
    figures = book.figures()
    remarks += [remark for figure in figures if figure.name != SENDER.name for remark in figure.remarks()]
    name = f"audio frames of {PCM_BYTES:,} bytes a second, one core, {_SOCKETS} sockets"
    return Row(name, figures, book.ratios(OURS.name, "/s"), verdicts, remarks)


def _kept(server: Running) -> float:
    return asyncio.run(server.metric(JOURNALLED))


async def _all_kept(name: str, server: Running, sent: int) -> list[str]:
    """Every frame that was sent whole must be in the journal before long."""
    kept, deadline_s = 0.0, time.monotonic() + _DRAIN_S
    while time.monotonic() < deadline_s:
        kept = await server.metric(JOURNALLED)
        if kept >= sent:
            return []
        await asyncio.sleep(0.1)
    return [f"{name}: {sent - kept:.0f} of {sent} frames are not in the journal"]


#: deliveries that are on disk
JOURNALLED = "receiver_journalled_total"


def unread_bytes(port: int) -> int:
    """What the kernel still holds of what was sent to ``port``, on both sides (proc(5), ``/proc/net/tcp``)."""
    total, of = 0, f"{port:04X}"
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, queues, *_ = line.split()
        to_write, _, to_read = queues.partition(":")
        if local.endswith(f":{of}"):
            total += int(to_read, 16)
        elif remote.endswith(f":{of}"):
            total += int(to_write, 16)
    return total


def masked(message: bytes) -> bytes:
    """A binary frame of a client, masked."""
    key = os.urandom(4)
    mask = (key * (len(message) // 4 + 1))[: len(message)]
    payload = (int.from_bytes(message, "big") ^ int.from_bytes(mask, "big")).to_bytes(len(message), "big")
    return struct.pack(">BBH", 0x82, 0x80 | 126, len(message)) + key + payload


@dataclass
class _Wire:
    socket: socket.socket
    sent_bytes: int = 0


@dataclass
class Blaster:
    """Sockets that send the same frames over and over. ``frames``: by bytes that the server's process has read."""

    port: int
    _wires: dict[int, _Wire] = field(default_factory=dict)

    def __post_init__(self) -> None:
        one = masked(frame(pcm=os.urandom(PCM_BYTES)))
        self._frame_bytes = len(one)
        self._piece = memoryview(one * _A_PIECE)
        self._poll = select.epoll()
        for number in range(_SOCKETS):
            wire = connect(self.port, f"/meetstream/default/bot-{number}/audio")
            self._wires[wire.fileno()] = _Wire(wire)
            self._poll.register(wire, select.EPOLLOUT)

    @property
    def frames(self) -> float:
        sent = sum(wire.sent_bytes for wire in self._wires.values())
        return (sent - unread_bytes(self.port)) / self._frame_bytes

    @property
    def whole_frames(self) -> int:
        return sum(wire.sent_bytes // self._frame_bytes for wire in self._wires.values())

    def send(self, seconds: float) -> float:
        """Returns how long it took."""
        begun_s = time.perf_counter()
        while (now_s := time.perf_counter()) < begun_s + seconds:
            for number, _ in self._poll.poll(0.1):
                wire = self._wires[number]
                begin = wire.sent_bytes % self._frame_bytes
                try:
                    wire.sent_bytes += wire.socket.send(self._piece[begin:])
                except BlockingIOError:
                    continue
        return now_s - begun_s

    def finish_frames(self) -> None:
        """Send the rest of those that are begun."""
        for wire in self._wires.values():
            if begin := wire.sent_bytes % self._frame_bytes:
                wire.socket.settimeout(_DRAIN_S)
                wire.socket.sendall(self._piece[begin : self._frame_bytes])
                wire.sent_bytes += self._frame_bytes - begin

    def close(self) -> None:
        self._poll.close()
        for wire in self._wires.values():
            wire.socket.close()


def connect(port: int, path: str) -> socket.socket:
    wire = socket.create_connection(("127.0.0.1", port), 10.0)
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
    wire.sendall(
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
    )
    head = b""
    while b"\r\n\r\n" not in head:
        part = wire.recv(4096)
        if not part:
            raise RuntimeError(f"the socket was closed before its upgrade: {head[:200]!r}")
        head += part
    if not head.startswith(b"HTTP/1.1 101"):
        raise RuntimeError(f"the upgrade was refused: {head[:200]!r}")
    wire.setblocking(False)
    return wire
