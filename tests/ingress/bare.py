"""What the tests of the short way share: requests as bytes, and answers without their date."""

import asyncio
import json
import re

from receiver.app import Receiver
from receiver.ingress.lean import Lean
from tests.ingress.hostile import answer, wire
from tests.support import JOINING

LAST = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def body(number: int = 0, *, pad: int = 0) -> bytes:
    """A delivery that repeats no other number's."""
    return json.dumps({**JOINING, "bot_id": f"bot-{number}", "pad": "x" * pad}).encode()


def post(content: bytes, *headers: bytes, target: bytes = b"/meetstream/default") -> bytes:
    """A request in the plainest form."""
    head = (b"POST %s HTTP/1.1" % target, b"Host: x", b"Content-Length: %d" % len(content), *headers)
    return b"\r\n".join(head) + b"\r\n\r\n" + content


def short(server: Receiver) -> Lean:
    """The short way of a server."""
    assert server.doors.lean is not None
    return server.doors.lean


def statuses(data: bytes) -> list[int]:
    """Of all answers in there."""
    return [int(one) for one in re.findall(rb"HTTP/1\.[01] (\d\d\d) ", data)]


def undated(data: bytes) -> bytes:
    """Without what depends on the second."""
    return re.sub(rb"Date: [^\r]+\r\n", b"", data)


async def exchange(server: Receiver, *pieces: bytes) -> bytes:
    """All that is answered to ``pieces``, each of them sent by itself; the last one ends the connection."""
    reader, writer = await wire(server.url)
    try:
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        return await answer(reader)
    finally:
        writer.transport.abort()
