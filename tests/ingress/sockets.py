"""What the tests of sockets share: the vendor's end of one, frames as the fact sheet has them, and what came of it."""

import asyncio
import base64
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from receiver.app import Receiver
from receiver.telemetry.ledger import Intake
from tests.support import DEADLINE_S, events_in, until
from tests.vendors.meetstream_wire import frame

#: 20 ms of sound, the frame length of the vendor's comparison tool
SAMPLES = 960
ACK = {"type": "ack", "message": "ready received"}


def ready(bot: str) -> str:
    """The first message of a bot on its audio and control sockets (sheet 6, 8)."""
    return json.dumps({"type": "ready", "bot_id": bot, "message": "ready"})


def sound(samples: int = SAMPLES) -> bytes:
    """An audio frame whose samples are noise, so that a mix-up cannot pass unseen."""
    return frame(pcm=os.urandom(samples * 2))


def url(server: Receiver, path: str) -> str:
    return server.url.replace("http", "ws", 1) + path


def book_of(server: Receiver) -> Intake:
    return server.ledger.endpoint("meetstream", "default")


@asynccontextmanager
async def dialled(
    server: Receiver, path: str = "/meetstream/default", **options: Any
) -> AsyncIterator[ClientConnection]:
    """A socket to the server; closed with 1000 at the end."""
    async with connect(url(server, path), **options) as socket:
        yield socket


async def drop(server: Receiver, socket: ClientConnection) -> None:
    """Cut the connection without a word, and wait until the server knows."""
    left = book_of(server).sockets_open - 1
    socket.transport.abort()
    await until(lambda: book_of(server).sockets_open == left, "the server noticed")
    await asyncio.sleep(0)


async def received(server: Receiver, messages: int) -> None:
    """Wait until that many messages have come in."""
    await until(lambda: book_of(server).received >= messages, f"{messages} messages received")


async def raw_socket(server: Receiver, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A completed handshake on a bare connection, for a peer that breaks the rules afterwards."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rsplit(":", 1)[1]))
    key = base64.b64encode(bytes(16)).decode()
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
    )
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), DEADLINE_S)
    assert head.startswith(b"HTTP/1.1 101"), head
    return reader, writer


def of_type(data_dir: Path, *types: str) -> list[dict[str, Any]]:
    """Events of these types in the file, in order."""
    return [event for event in events_in(data_dir) if event["type"] in types]


def seconds(event: dict[str, Any]) -> float:
    """When it arrived."""
    return datetime.fromisoformat(event["receivedtime"]).timestamp()


def samples_of(event: dict[str, Any]) -> bytes:
    """The bytes of an audio or video chunk."""
    return base64.b64decode(event["data_base64"], validate=True)
