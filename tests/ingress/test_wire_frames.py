"""Handshakes and frames of WebSockets that break the rules, byte by byte: a 4xx or a close code, bounded memory."""

import asyncio
import base64
import re
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from receiver.app import Receiver
from tests.end_to_end.process import serving
from tests.ingress.hostile import OPEN_ENDPOINT, answer, rss_bytes, wire, with_peak
from tests.ingress.sockets import book_of, dialled, raw_socket, ready
from tests.support import DEADLINE_S, running, until

MIB = 1 << 20
PATH = "/meetstream/default/audio/b"
KEY = base64.b64encode(bytes(16))
TEXT, BINARY, CLOSE, PING = 1, 2, 8, 9


def handshake(*headers: bytes, method: bytes = b"GET", version: bytes = b"13", key: bytes = KEY) -> bytes:
    """A request for a socket that closes its connection where it is refused."""
    lines = (
        method + b" " + PATH.encode() + b" HTTP/1.1", b"Host: x", b"Upgrade: websocket", b"Connection: Upgrade",
        b"Sec-WebSocket-Version: " + version, b"Sec-WebSocket-Key: " + key, *headers,
    )  # fmt: skip
    return b"\r\n".join(lines) + b"\r\n\r\n"


def frame(kind: int, payload: bytes = b"", *, last: bool = True, reserved: int = 0, mask: bool = True) -> bytes:
    """A client's frame, masked with zeros."""
    first, bit = (last << 7) | (reserved << 4) | kind, mask << 7
    if len(payload) < 126:
        head = struct.pack("!BB", first, bit | len(payload))
    elif len(payload) < 65_536:
        head = struct.pack("!BBH", first, bit | 126, len(payload))
    else:
        head = struct.pack("!BBQ", first, bit | 127, len(payload))
    return head + bytes(4 * mask) + payload


HANDSHAKES: dict[str, tuple[bytes, int]] = {
    "version-0": (handshake(version=b"0"), 400),
    "version-huge": (handshake(version=b"9" * 5000), 400),
    "version-text": (handshake(version=b"x\xff"), 400),
    "key-short": (handshake(key=b"AA=="), 400),
    "key-no-base64": (handshake(key=b"!"), 400),
    "key-not-ascii": (handshake(key=b"\xff" * 24), 400),
    "post": (handshake(method=b"POST"), 405),
    "connect": (handshake(method=b"CONNECT"), 404),
    "two-upgrades": (handshake().replace(b"Upgrade: websocket", b"Upgrade: h2c, websocket"), 405),
    "extensions": (handshake(b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=99, a=\"b"), 101),
    "extensions-many": (handshake(b"Sec-WebSocket-Extensions: " + b"permessage-deflate, " * 300), 101),
    "protocols": (handshake(b"Sec-WebSocket-Protocol: a, \xff, " + b"b, " * 2000), 101),
    "origin": (handshake(b"Origin: http://evil.example"), 101),
}  # fmt: skip


@pytest.mark.parametrize("name", HANDSHAKES)
async def test_handshakes(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    """No extension and no subprotocol is ever agreed on; what is wrong is a 4xx; nothing of it gets into a log."""
    data, wanted = HANDSHAKES[name]
    async with running(tmp_path) as server:
        reader, writer = await wire(server.url, data)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), DEADLINE_S)
        assert head.split()[1] == b"%d" % wanted, head
        assert b"sec-websocket-extensions" not in head.lower() and b"sec-websocket-protocol" not in head.lower()
        writer.close()
        await until(lambda: book_of(server).sockets_open == 0)
        assert book_of(server).balanced
    assert not [record for record in caplog.records if record.name.startswith("aiohttp")]


def _close(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, struct.pack("!H", code) + reason)


#: name -> what is sent, and the code that the socket is closed with
BROKEN: dict[str, tuple[bytes, int]] = {
    **{f"reserved-bit-{bit}": (frame(TEXT, b"{}", reserved=bit), 1002) for bit in (1, 2, 4)},
    **{f"opcode-{kind}": (frame(kind, b"x"), 1002) for kind in (3, 7, 11, 15)},
    "continuation-of-nothing": (frame(0, b"x"), 1002),
    "text-within-text": (frame(TEXT, b"a", last=False) + frame(TEXT, b"b"), 1002),
    "large-ping": (frame(PING, b"x" * 126), 1002),
    "large-close": (_close(1000, b"x" * 200), 1002),
    "ping-in-pieces": (frame(PING, b"x", last=False), 1002),
    "close-in-pieces": (frame(CLOSE, b"\x03\xe8", last=False), 1002),
    "close-of-one-byte": (frame(CLOSE, b"\x03"), 1002),
    **{f"close-{code}": (_close(code), 1002) for code in (0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65_535)},
    "close-reason-no-utf8": (_close(1000, b"\xff"), 1007),
    "text-no-utf8": (frame(TEXT, b"\xc3\x28"), 1007),
    "text-surrogate": (frame(TEXT, b"\xed\xa0\x80"), 1007),
    "length-2^63": (b"\x82\xff\x80" + bytes(11), 1009),
    "length-2^64-1": (b"\x82\xff" + b"\xff" * 8 + bytes(4), 1009),
    "length-a-terabyte": (b"\x82\xff" + (1 << 40).to_bytes(8, "big") + bytes(4), 1009),
    "compressed-unasked": (frame(TEXT, b"\xaa\x56\x4a\x2c\x00", reserved=4), 1002),
    "another-request": (b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 1002),
    "every-byte": (bytes(range(256)) * 20, 1002),
    "close-1000": (_close(1000), 1000),
    "close-3000": (_close(3000), 3000),
    "close-4999-and-more": (_close(4999) + frame(TEXT, b"x"), 4999),
    "close-without-code": (frame(CLOSE), 1000),
}


def _codes(got: bytes) -> Iterator[int]:
    """Of the close frames among what a server sent."""
    at = 0
    while at + 2 <= len(got):
        size = got[at + 1] & 0x7F
        if got[at] & 0xF == CLOSE:
            yield int.from_bytes(got[at + 2 : at + 4], "big")
        at += 2 + size


@pytest.mark.parametrize("name", BROKEN)
async def test_frames_that_break_the_rules_end_the_socket_with_a_code(tmp_path: Path, name: str) -> None:
    """One close frame with a code that may be sent, then the end; the next socket is served."""
    data, wanted = BROKEN[name]
    async with running(tmp_path) as server:
        reader, writer = await raw_socket(server, PATH)
        writer.write(data)
        assert list(_codes(await answer(reader))) == [wanted]
        writer.close()
        await _serves(server)
        await until(lambda: book_of(server).balanced)


async def test_what_only_bends_the_rules_is_taken(tmp_path: Path) -> None:
    """Unmasked frames, lengths written longer than need be, pings within a message: no reason to lose audio."""
    message = b'{"type":"ready","bot_id":"b"}'
    long_form = b"\x81\xff" + len(message).to_bytes(8, "big") + bytes(4) + message
    pieces = frame(TEXT, message[:5], last=False) + frame(PING, b"p") + frame(0, message[5:])
    async with running(tmp_path) as server:
        for data in (frame(TEXT, message, mask=False), long_form, pieces):
            reader, writer = await raw_socket(server, PATH)
            writer.write(data + _close(1000))
            got = await answer(reader)
            assert b"ready received" in got and list(_codes(got))[-1:] == [1000], got
            writer.close()
        assert book_of(server).quarantined == 0


async def test_endless_messages_cost_no_memory(tmp_path: Path) -> None:
    """200 sockets that send pieces of one byte, or of none, and never an end: bounded, and others are served."""
    keys = "max_message_bytes = 262_144"
    async with serving(tmp_path, OPEN_ENDPOINT, keys=keys) as server:
        before = rss_bytes(server.pid)

        async def drip(piece: bytes, count: int) -> None:
            reader, writer = await wire(server.url, handshake())
            await reader.readuntil(b"\r\n\r\n")
            writer.write(frame(BINARY, b"x", last=False))
            with suppress(ConnectionError):
                for _ in range(20):
                    writer.write(piece * (count // 20))
                    await writer.drain()
            writer.transport.abort()

        one, none = frame(0, b"x", last=False), frame(0, b"", last=False)
        work = asyncio.gather(*(drip(piece, 20_000) for piece in (one, none) for _ in range(100)))
        _, peak = await with_peak(server.pid, work)
        assert peak - before < 120 * MIB, f"{(peak - before) // MIB} MiB more"
        reader, writer = await wire(server.url, handshake())
        await reader.readuntil(b"\r\n\r\n")
        writer.write(frame(TEXT, ready("b").encode()) + _close(1000))
        assert re.search(b"ready received", await answer(reader))
        writer.close()


async def _serves(server: Receiver) -> None:
    async with dialled(server, PATH) as socket:
        await socket.send(ready("b"))
        assert "ack" in str(await socket.recv())
