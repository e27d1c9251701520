"""Back-pressure: sockets that send as fast as they can into a slow disk, and callbacks beside them.

Sockets are slowed and not dropped, callbacks are answered meanwhile, memory has a ceiling, and every frame of a socket
that was closed in order is at the sink. The disk writes 16 MB/s for each lane and takes 5 ms for a commit.
"""

import asyncio
import base64
import itertools
import socket
import struct
from collections import Counter, defaultdict

from tests.end_to_end.process import Server, read_events
from tests.faults.base import Options, Report
from tests.faults.load import Callbacks, quantile_ms
from tests.faults.oracle import FarSide, balance, judge, marked_pcm
from tests.ingress.hostile import rss_bytes
from tests.vendors.meetstream_wire import frame
from tests.websocket_wire import client_frame

_MIB = 1 << 20
_DISK_BYTES_PER_S = 16_000_000
_RATE = 50.0
_SINKS = '[sinks.file]\ntype = "file"\nfsync = false\nrotate_bytes = 0\n'
#: of the server itself, and of what a socket may hold; the journal's queue, its tail and large messages are the rest
_BASE_MIB, _SOCKET_KIB = 250, 256
#: frames that are written at once, and the longest that a closing may take
_CHUNK, _PATIENCE_S = 32, 120.0
_SEND_BYTES = 128 << 10


class Flood:
    """Sockets that write ``frames`` each, as fast as the kernel takes them, then close in order.

    ``sent`` are the frames of those whose closing was answered with 1000: the server has read them all. The others are
    in ``broken``.
    """

    def __init__(self, url: str, sockets: int, frames: int) -> None:
        self.sent: dict[str, list[int]] = defaultdict(list)
        self.broken: Counter[str] = Counter()
        self._host, port = url.removeprefix("http://").split(":")
        self._port = int(port)
        self._sockets = sockets
        self._frames = frames
        self._serial = itertools.count(1)

    @property
    def count(self) -> int:
        """Frames that the server has read for sure."""
        return sum(map(len, self.sent.values()))

    async def run(self) -> None:
        """Write and close; ends when the server has agreed to every closing."""
        async with asyncio.TaskGroup() as tasks:
            for number in range(self._sockets):
                tasks.create_task(self._socket(f"flood-{number}"))

    async def _socket(self, name: str) -> None:
        own: list[int] = []
        try:
            reader, writer = await asyncio.open_connection(self._host, self._port)
            own_socket = writer.get_extra_info("socket")  # small buffers: the system's memory for TCP is not on trial
            own_socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BYTES)
            try:
                writer.write(_handshake(f"/meetstream/default/audio/{name}"))
                await reader.readuntil(b"\r\n\r\n")
                while len(own) < self._frames:
                    serials = list(itertools.islice(self._serial, _CHUNK))
                    writer.write(b"".join([client_frame(0x82, frame(pcm=marked_pcm(one))) for one in serials]))
                    own += serials
                    await writer.drain()
                writer.write(client_frame(0x88, struct.pack("!H", 1000)))
                async with asyncio.timeout(_PATIENCE_S):
                    answer = await reader.read()
            finally:
                writer.close()
        except (OSError, EOFError, TimeoutError) as error:
            self.broken[type(error).__name__] += 1
            return
        if answer.endswith(b"\x88\x02" + struct.pack("!H", 1000)):
            self.sent[name] = own
        else:
            self.broken[answer[:80].hex()] += 1


def _handshake(path: str) -> bytes:
    return (
        f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {base64.b64encode(bytes(16)).decode()}\r\n\r\n"
    ).encode()


async def run(options: Options) -> Report:
    """Blast for a while, close in order, wait for the sink, judge."""
    report = Report()
    sockets = options.pick(100, 500)
    frames = 640 if options.long else 320
    server = Server(
        options.folder,
        _SINKS,
        environ={"RECEIVER_DISK_BYTES_PER_S": str(_DISK_BYTES_PER_S)},
        module="tests.faults.slow_disk",
    )
    await server.start()
    try:
        idle = rss_bytes(server.pid)
        flood, callbacks, peak = await _blast(server, Flood(server.url, sockets, frames), options)
        options.say(f"closed; {flood.count:,} frames; waiting for the sink")
        metrics = await server.caught_up("file")
        far = FarSide(read_events(server.data_dir / "events"))
        judge(report, "file", far, callbacks=callbacks.accepted, frames=flood.sent)
        balance(report, metrics, "file")
        report.equal("sockets dropped or refused", dict(flood.broken), {})
        report.equal("callbacks that failed", dict(callbacks.failures), {})
        ceiling = _BASE_MIB + sockets * _SOCKET_KIB / 1024
        report.at_most("peak of resident memory", round(peak / _MIB), round(ceiling), " MiB")
        report.at_least("sockets that got frames through", sum(1 for own in flood.sent.values() if own), sockets)
        report.equal("exit status", await server.stop(), 0)
        _figures(report, flood, callbacks, idle)
    finally:
        await server.kill()
    return report


async def _blast(server: Server, flood: Flood, options: Options) -> tuple[Flood, Callbacks, int]:
    """Both loads until all sockets are closed; the peak of the server's memory meanwhile."""
    callbacks = Callbacks(f"{server.url}/meetstream/default", rate=_RATE)
    peak = 0
    async with asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(flood.run())
        tasks.create_task(callbacks.run())
        while not sending.done():
            await asyncio.sleep(0.05)
            peak = max(peak, rss_bytes(server.pid))
        callbacks.stop()
        options.say(f"peak {peak // _MIB} MiB")
    return flood, callbacks, peak


def _figures(report: Report, flood: Flood, callbacks: Callbacks, idle: int) -> None:
    took = callbacks.latencies_s
    report.figure("frames taken", flood.count)
    counts = sorted(len(own) for own in flood.sent.values())
    report.figure("frames of the slowest and the fastest socket", f"{counts[0]:,} and {counts[-1]:,}")
    report.figure("resident memory before", f"{idle // _MIB} MiB")
    report.figure(
        f"{callbacks.count:,} callbacks: p50, p99, longest",
        f"{quantile_ms(took, 0.5):.0f}, {quantile_ms(took, 0.99):.0f}, {quantile_ms(took, 1):.0f} ms",
    )
