"""How sockets end: the server stops, the peer is rude, the journal cannot write. What came before is kept each time."""

import asyncio
import json
import os
import signal
import sqlite3
import struct
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from receiver.app import Receiver
from receiver.ingress.websocket import GOING_AWAY
from receiver.secretfiles import read_runtime
from tests.ingress.sockets import (
    SAMPLES,
    book_of,
    dialled,
    of_type,
    raw_socket,
    ready,
    received,
    samples_of,
    sound,
    url,
)
from tests.support import DEADLINE_S, drained, running, until
from tests.vendors.meetstream_wire import frame
from tests.websocket_wire import client_frame

AUDIO = "/meetstream/default/bot-1/audio"


def numbered(index: int) -> bytes:
    return frame(pcm=index.to_bytes(4, "little") + bytes(200))


#: the smallest legal audio frame
_EMPTY_FRAME = client_frame(0x82, b"\x01\0\0\0\0")


def numbers_in(data_dir: Path) -> list[int]:
    return [int.from_bytes(samples_of(chunk)[:4], "little") for chunk in of_type(data_dir, "audio.chunk")]


async def send_until_closed(socket: ClientConnection) -> int:
    """Send numbered frames as fast as they go; how many went out before the other side's closing was seen."""
    sent = 0
    try:
        while True:
            await socket.send(numbered(sent))
            sent += 1
            await asyncio.sleep(0)
    except ConnectionClosed:
        return sent


async def test_a_stop_closes_with_1001_and_keeps_all_that_was_sent_before(tmp_path: Path) -> None:
    """Section F: sockets are told 1001 and read until they answer: every frame sent until then is in the file."""
    async with running(tmp_path, server={"drain_s": 60.0}) as server:
        sockets = [await connect(url(server, AUDIO.replace("1", str(number)))) for number in range(3)]
        sending = [asyncio.create_task(send_until_closed(socket)) for socket in sockets]
        await received(server, 500)
    sent = [await task for task in sending]
    assert [socket.close_code for socket in sockets] == [1001] * 3
    assert sorted(numbers_in(tmp_path)) == sorted(index for count in sent for index in range(count))
    assert [event["data"]["clean"] for event in of_type(tmp_path, "stream.closed")] == [True] * 3
    assert book_of(server).balanced


async def test_sigterm_of_a_real_process(tmp_path: Path) -> None:
    """SIGTERM: closed with 1001, everything received before is in the file, exit status 0."""
    config = tmp_path / "receiver.toml"
    config.write_text(f'data_dir = "{tmp_path}"\n[server]\nport = 0\n[sinks.file]\ntype = "file"\n')
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "receiver", "serve", "--config", str(config), stderr=asyncio.subprocess.DEVNULL
    )
    try:
        await until(lambda: read_runtime(tmp_path) is not None or process.returncode is not None, "it serves")
        runtime = read_runtime(tmp_path)
        assert runtime is not None
        async with connect(runtime.url.replace("http", "ws", 1) + AUDIO) as socket:
            sending = asyncio.create_task(send_until_closed(socket))
            await asyncio.sleep(0.1)
            os.kill(process.pid, signal.SIGTERM)
            sent = await sending
        assert socket.close_code == 1001
        assert await asyncio.wait_for(process.wait(), 20) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert numbers_in(tmp_path) == list(range(sent)) and sent > 0


@pytest.fixture
def long_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the drain limit bounds how long a closing is waited for."""
    monkeypatch.setattr("receiver.ingress.websocket._CLOSE_WAIT_S", 60.0)


@pytest.mark.usefixtures("long_wait")
async def test_a_peer_that_never_answers_a_closing_does_not_hang_the_stop(tmp_path: Path) -> None:
    """The stop is bounded: who says nothing is cut off after a third of the drain limit."""
    async with running(tmp_path, server={"drain_s": 0.9}) as server:
        reader, writer = await raw_socket(server, AUDIO)
        writer.write(_EMPTY_FRAME)
        await received(server, 1)
        start_s = time.monotonic()
    assert time.monotonic() - start_s < 30
    assert b"\x88" in await reader.read()
    writer.close()
    (closed,) = of_type(tmp_path, "stream.closed")
    assert (closed["data"]["code"], closed["data"]["clean"]) == (1001, False)


@pytest.mark.usefixtures("long_wait")
async def test_a_peer_that_reads_nothing_does_not_hang_the_stop(tmp_path: Path) -> None:
    """Answers that nobody fetches fill the connection until nothing is read any more; the stop is bounded still."""
    async with running(tmp_path, server={"drain_s": 0.9}) as server:
        _, writer = await raw_socket(server, AUDIO)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10):
                while True:
                    writer.write(client_frame(0x89, bytes(125)) * 10_000)
                    await asyncio.wait_for(writer.drain(), 0.5)
        start_s = time.monotonic()
    assert time.monotonic() - start_s < 30
    writer.transport.abort()


async def test_no_socket_is_opened_while_the_server_stops(tmp_path: Path) -> None:
    """A connection from before may still ask for a socket: 503, come again."""
    async with running(tmp_path) as server:
        await server.sockets.close_all(GOING_AWAY)
        with pytest.raises(InvalidStatus) as refusal:
            async with dialled(server):
                pass
        assert refusal.value.response.status_code == 503 and refusal.value.response.headers["Retry-After"]


@pytest.mark.parametrize("ending", ["close", "reset", "half"])
async def test_what_was_sent_before_a_hasty_end_is_kept(tmp_path: Path, ending: str) -> None:
    """A peer that does not wait for answers (the ack, pongs) cannot be given them; what it sent is read to the end."""
    async with running(tmp_path) as server:
        reader, writer = await raw_socket(server, AUDIO)
        data = client_frame(0x81, ready("bot-1").encode())
        for index in range(300):
            data += client_frame(0x82, numbered(index)) + (client_frame(0x89, b"") if ending == "half" else b"")
        if ending == "close":
            data += client_frame(0x88, struct.pack("!H", 1000))
        writer.write(data)
        await writer.drain()
        if ending == "half":
            writer.write_eof()
            await reader.read()
        writer.close()
        await until(lambda: book_of(server).sockets_total == 1 and book_of(server).sockets_open == 0, "it ended")
    assert numbers_in(tmp_path) == list(range(300))
    (closed,) = of_type(tmp_path, "stream.closed")
    assert closed["data"]["messages"] == 301 and closed["data"]["code"] == (1000 if ending == "close" else 1006)


@pytest.mark.parametrize(("code", "told"), [(1000, 1000), (1001, 1001), (4321, 4321), (None, 1005)])
async def test_the_code_of_the_peer_is_told(tmp_path: Path, code: int | None, told: int) -> None:
    """`stream.closed`: the close code that the bot gave; 1005 is the protocol's word for none."""
    async with running(tmp_path) as server:
        reader, writer = await raw_socket(server, AUDIO)
        writer.write(_EMPTY_FRAME)
        writer.write(client_frame(0x88, b"" if code is None else struct.pack("!H", code)))
        assert await asyncio.wait_for(reader.read(), DEADLINE_S) == b"\x88\x02" + struct.pack("!H", code or 1000)
        writer.close()
    (closed,) = of_type(tmp_path, "stream.closed")
    assert (closed["data"]["code"], closed["data"]["clean"]) == (told, True)


@pytest.mark.parametrize(
    "data",
    [
        b"\x02\x05hello",  # not masked
        b"\x83\x80\0\0\0\0",  # reserved opcode
        b"\xc2\x81\0\0\0\0x",  # compressed, not agreed on
        b"\x89\xfe\0\x80" + bytes(4) + bytes(128),  # control frame that is too long
        b"\x80\x81\0\0\0\0x",  # continuation of nothing
        b"\x88\x81\0\0\0\0x",  # half a close code
        b"\x88\x82\0\0\0\0\0\x05",  # a close code that does not exist
        b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0",  # longer than anything
    ],
    ids=["unmasked", "opcode", "compressed", "long-ping", "continuation", "half-code", "no-code", "endless"],
)
async def test_a_peer_that_breaks_the_protocol_is_closed_and_nothing_else_happens(tmp_path: Path, data: bytes) -> None:
    """WebSocket protocol errors end that socket; what came before is kept and the server goes on."""
    async with running(tmp_path) as server:
        reader, writer = await raw_socket(server, AUDIO)
        writer.write(_EMPTY_FRAME + data)
        writer.write_eof()
        await asyncio.wait_for(reader.read(), DEADLINE_S)
        writer.close()
        async with dialled(server, AUDIO) as socket:
            await socket.send(sound())
    assert len(of_type(tmp_path, "audio.chunk")) == 2
    assert sorted(event["data"]["clean"] for event in of_type(tmp_path, "stream.closed")) == [False, True]


def break_lane(server: Receiver, name: str) -> Any:
    """Make the lane's file refuse more; returns what mends it."""
    segment = server.journal.lanes[name]._segment
    assert segment is not None
    segment._db.execute("PRAGMA query_only = ON")
    return lambda: segment._db.execute("PRAGMA query_only = OFF")


@pytest.mark.parametrize("lane", ["media", "events"])
async def test_a_journal_that_cannot_write_closes_sockets_with_1013(tmp_path: Path, lane: str) -> None:
    """Architecture 2: what cannot be made safe is not taken in silence: 1013, also on a socket that then goes quiet."""
    async with running(tmp_path) as server:
        book = book_of(server)
        async with dialled(server, AUDIO) as socket:
            await socket.send(sound())
            await until(lambda: book.journalled == 1)
            mend = break_lane(server, lane)
            message: Any = sound() if lane == "media" else json.dumps({"command": "interrupt"})
            await socket.send(message)
            with pytest.raises(ConnectionClosed):
                await asyncio.wait_for(socket.recv(), DEADLINE_S)
            assert socket.close_code == 1013
            await until(lambda: book.sockets_open == 0)
        mend()
        assert book.failed == 1 and book.balanced
        async with dialled(server, AUDIO) as socket:
            await socket.send(sound())
        await drained(server)
    chunks = of_type(tmp_path, "audio.chunk")
    assert [chunk["samples"] for chunk in chunks] == [SAMPLES] * 2
    assert of_type(tmp_path, "stream.opened")[1]["data"]["resumes"]


async def test_a_quarantine_that_cannot_write_closes_with_1013(tmp_path: Path) -> None:
    """The same for what cannot be understood."""
    async with running(tmp_path) as server:
        async with dialled(server, AUDIO) as socket:
            await socket.send("no JSON")
            await until(lambda: book_of(server).quarantined == 1)
            mend = break_lane(server, "quarantine")
            await socket.send("no JSON either")
            with pytest.raises(ConnectionClosed):
                await asyncio.wait_for(socket.recv(), DEADLINE_S)
            assert socket.close_code == 1013
        mend()
        assert book_of(server).failed == 1 and book_of(server).balanced


async def test_a_fault_of_ours_closes_one_socket_with_1011(tmp_path: Path) -> None:
    """Never a crash: whatever goes wrong inside ends that socket only."""
    async with running(tmp_path) as server:
        async with dialled(server, AUDIO) as socket:
            await socket.send(sound())
            await received(server, 1)
            (stream,) = server.sockets._peers
            stream.session._replies = None  # type: ignore[attr-defined]
            await socket.send(ready("bot-1"))
            with pytest.raises(ConnectionClosed):
                await asyncio.wait_for(socket.recv(), DEADLINE_S)
            assert socket.close_code == 1011
        async with dialled(server, AUDIO) as socket:
            await socket.send(ready("bot-1"))
            assert await asyncio.wait_for(socket.recv(), DEADLINE_S)
    assert [event["data"]["code"] for event in of_type(tmp_path, "stream.closed")] == [1011, 1000]


async def test_a_socket_is_read_no_faster_than_the_journal_writes(tmp_path: Path) -> None:
    """Architecture 7: while the disk is stuck, the peer is held back at a fixed amount; later nothing is missing."""
    size, count, ceiling = 50_000, 400, 1 << 20
    async with running(tmp_path) as server, dialled(server, AUDIO) as socket:
        await socket.send(numbered(0))
        await until(lambda: book_of(server).journalled == 1)
        lane = server.journal.lanes["media"]
        lane._memory._most_bytes = ceiling
        assert lane._segment is not None
        stuck = sqlite3.connect(lane._segment.path, isolation_level=None)
        stuck.execute("BEGIN IMMEDIATE")
        sending = asyncio.create_task(_send_numbered(socket, count, size))
        try:
            await until(lambda: lane._memory.bytes > ceiling, "the journal is behind")
            await asyncio.sleep(0.3)
            # how much of the rest the system's buffers have taken depends on the system
            assert lane.pending_bytes < ceiling + 600_000 and book_of(server).received < count // 2
        finally:
            stuck.execute("ROLLBACK")
            stuck.close()
        await sending
    assert numbers_in(tmp_path) == list(range(count + 1))


async def _send_numbered(socket: ClientConnection, count: int, size: int) -> None:
    for index in range(1, count + 1):
        await socket.send(numbered(index) + bytes(size))
