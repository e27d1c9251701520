"""The senders of the benchmarks: what they count as sent is what arrives, and what does not arrive is told."""

import asyncio
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from tests.benchmarks.frames import PCM_BYTES
from tests.benchmarks.meter import STAMP_BYTES
from tests.benchmarks.steady import requests, send_steadily
from tests.benchmarks.voices import Voices

_AGREED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
#: opcode and length, mask
_HEAD = struct.Struct(">BBHI")


class Ear:
    """Takes one socket, and reads it to its end once it may. ``frames`` are payloads."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self.may_read = threading.Event()
        self.frames: list[bytes] = []
        self.rest = b""

    def run(self) -> None:
        wire, _ = self._server.accept()
        with self._server, wire:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += wire.recv(4096)
            wire.sendall(_AGREED)
            self.may_read.wait(20)
            data = bytearray()
            while part := wire.recv(1 << 16):
                data += part
        while len(data) >= _HEAD.size and len(data) >= (end := _HEAD.size + _HEAD.unpack_from(data)[2]):
            assert _HEAD.unpack_from(data)[::3] == (0x82, 0), "a binary frame, masked with zeros"
            self.frames.append(bytes(data[_HEAD.size : end]))
            del data[:end]
        self.rest = bytes(data)


@contextmanager
def listening() -> Iterator[Ear]:
    """An :class:`Ear` in a thread of its own, ended by the end of its socket."""
    ear = Ear()
    thread = threading.Thread(target=ear.run)
    thread.start()
    try:
        yield ear
    finally:
        ear.may_read.set()
        thread.join(20)
        assert not thread.is_alive()


def test_every_frame_that_is_due_arrives_with_the_moment_of_its_sending() -> None:
    """One each 20 ms since the begin, at once where that lies back."""
    with listening() as ear, Voices(ear.port, 1) as voices:
        ear.may_read.set()
        voices.begin(ago_s=0.5)
        voices.tick()
        voices.finish()
    assert len(ear.frames) == voices.sent == voices.due >= 25
    assert (ear.rest, voices.dropped) == (b"", 0)
    stamps = [int.from_bytes(frame[-PCM_BYTES:][:STAMP_BYTES], "little") for frame in ear.frames]
    assert stamps == sorted(set(stamps))


def test_what_is_not_read_is_held_back_for_a_while_and_then_dropped() -> None:
    """By whole frames: what is counted as sent arrives once it is read, the rest never does."""
    with listening() as ear, Voices(ear.port, 1) as voices:
        voices.begin(ago_s=600.0)
        voices.tick()
        assert voices.dropped > 0
        assert voices.waited > voices.dropped
        ear.may_read.set()
        voices.finish()
    assert len(ear.frames) == voices.sent
    assert voices.sent + voices.dropped == voices.due >= 30_000
    assert ear.rest == b""


def test_lateness_is_told_of_what_was_sent_late() -> None:
    """From the moment when a frame was due."""
    with listening() as ear, Voices(ear.port, 1) as voices:
        ear.may_read.set()
        assert voices.late_ms(0.99) == 0
        voices.begin(ago_s=0.5)
        voices.tick()
        voices.finish()
        assert voices.late_ms(1.0) >= 500


class Answering:
    """A server that answers every fourth request with 503, and remembers the bodies."""

    def __init__(self) -> None:
        self.bodies: Counter[bytes] = Counter()
        self._open = 0
        self.all_closed = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].split()[0])
                self.bodies[await reader.readexactly(length)] += 1
                status = b"503 No" if self.bodies.total() % 4 == 0 else b"200 OK"
                writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n\r\n{}")
        except asyncio.IncompleteReadError:
            writer.close()
            await writer.wait_closed()
        self._open -= 1
        if not self._open:
            self.all_closed.set()


async def test_steady_callbacks_are_all_different_and_each_answer_is_counted() -> None:
    """Those without success, too: their times stand beside the others'."""
    answering = Answering()
    server = await asyncio.start_server(answering.serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        left = iter(range(100))
        answers = await send_steadily(port, 4000.0, requests(port, lambda: next(left, None) is not None))
        await answering.all_closed.wait()
    assert answers.sent == len(answers.took) == len(answering.bodies) == answering.bodies.total() == 100
    assert answers.failed == 25
    due_s = sorted(due for due, _ in answers.took)
    assert answers.took_s() == [took for _, took in answers.took]
    assert len(answers.took_s(due_s[10], due_s[60])) == 50
    assert all(took_s > 0 for took_s in answers.took_s())
