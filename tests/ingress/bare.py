"""What the tests of the short way share: requests as bytes, and answers without their date."""

import asyncio
import json
import re

from receiver.app import Receiver
from receiver.ingress.lean import Lean
from tests.ingress.hostile import wire
from tests.support import DEADLINE_S, JOINING


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


async def one_answer(reader: asyncio.StreamReader) -> bytes:
    """The next answer, with those that only say "go on" in front of it; empty at the end of a connection."""
    got = b""
    try:
        async with asyncio.timeout(DEADLINE_S):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                got += head
                length = re.search(rb"(?i)content-length: (\d+)", head)
                if not head.startswith(b"HTTP/1.1 100 "):
                    return got + await reader.readexactly(int(length[1]) if length else 0)
    except (asyncio.IncompleteReadError, ConnectionError):
        return got


async def exchange(server: Receiver, requests: list[list[bytes]]) -> list[bytes]:
    """What is answered to requests on one connection, each sent in its pieces behind the answer to the one before."""
    answers: list[bytes] = []
    reader, writer = await wire(server.url)
    try:
        for pieces in requests:
            for piece in pieces:
                writer.write(piece)
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            answers.append(undated(await one_answer(reader)))
        return answers
    finally:
        writer.transport.abort()
