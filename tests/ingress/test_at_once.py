"""Frames that are taken as they are read, without a task that is woken for each: the same as all others, in order."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from receiver.app import Receiver
from receiver.ingress.stream import Stream
from receiver.journal.base import MEDIA
from tests.ingress.hostile import wire
from tests.ingress.sockets import ACK, book_of, dialled, of_type, raw_socket, ready, samples_of, sound
from tests.ingress.test_wire_frames import BINARY, CLOSE, PING, TEXT, handshake
from tests.ingress.test_wire_frames import frame as wired
from tests.support import DEADLINE_S, drained, running, until
from tests.vendors.meetstream_wire import frame

AUDIO = "/meetstream/default/bot-1/audio"
#: no kind of frame that is defined
BROKEN = b"\x07what"


async def opened(server: Receiver, socket: Any) -> Stream:
    """The stream of a socket, open in the journal, with one frame there."""
    await socket.send(sound())
    await until(lambda: book_of(server).journalled == 1)
    (stream,) = server.sockets._peers
    await socket.send(sound())
    await until(lambda: book_of(server).journalled == 2)
    return stream


async def test_a_stream_that_is_open_takes_a_frame_at_once(tmp_path: Path) -> None:
    """No turn of the loop later it is counted and held for the next row."""
    async with running(tmp_path) as server, dialled(server, AUDIO) as socket:
        stream, book = await opened(server, socket), book_of(server)
        one = sound()
        assert stream.is_ready() and stream.take_at_once([one, one]) == 2
        assert (book.received, stream.messages) == (4, 4)
        assert stream._frames == [one, one]
        await until(lambda: book.journalled == 4)
        assert book.balanced
    assert len(of_type(tmp_path, "audio.chunk")) == 4


async def test_a_stream_that_is_not_open_takes_nothing_at_once(tmp_path: Path) -> None:
    """No frame is on disk without the opening that it belongs to, and none belongs to nobody."""
    async with running(tmp_path) as server, dialled(server, AUDIO):
        await until(lambda: server.sockets._peers)
        (stream,) = server.sockets._peers
        assert not stream.is_ready()
        await stream.take(ready("bot-1"))
        assert stream._opening is not None and not stream.is_ready()
        assert not stream.wait_for_room(lambda: True, lambda: 0), "more is wanting than room"
        assert stream.messages == book_of(server).received == 1


@pytest.mark.parametrize("reason", ["room", "space", "broken"])
async def test_what_speaks_against_it_leaves_no_trace(tmp_path: Path, reason: str) -> None:
    """No room in the journal, no space on the disk, a frame that means nothing: ``take`` has the answers."""
    async with running(tmp_path) as server, dialled(server, AUDIO) as socket:
        stream, book = await opened(server, socket), book_of(server)
        memory, shedding = server.journal.lanes[MEDIA]._memory, server.shedding
        if reason == "room":
            memory.bytes += 1 << 30
        elif reason == "space":
            shedding.observe(0, (), 1.0)
        assert stream.is_ready() == (reason == "broken")
        if reason == "broken":
            assert not stream.take_at_once([BROKEN, sound()])
        assert (book.received, stream.messages, stream._frames) == (2, 2, [])
        if reason == "room":
            memory.bytes -= 1 << 30
        elif reason == "space":
            shedding.observe(1 << 40, (), 1000.0)
        assert stream.is_ready() and stream.take_at_once([sound(), BROKEN, sound()]) == 1
        await until(lambda: book.journalled == 3)


async def test_all_kinds_of_messages_in_one_write_keep_their_order(tmp_path: Path) -> None:
    """Frames, texts, pings, one that means nothing, and the end: read at once, told in the order of sending."""
    pcm = [bytes([number]) * 1920 for number in range(40)]
    parts = [wired(TEXT, ready("bot-1").encode())]
    for number, samples in enumerate(pcm):
        parts.append(wired(BINARY, frame(pcm=samples)))
        if number % 10 == 3:
            parts.append(wired(TEXT, b'{"command": "usermsg", "message": "%d"}' % number))
        if number % 10 == 6:
            parts.append(wired(PING, b"%d" % number))
        if number % 10 == 8:
            parts.append(wired(BINARY, BROKEN))
    async with running(tmp_path) as server:
        reader, writer = await raw_socket(server, AUDIO)
        writer.write(parts[0] + parts[1])
        await until(lambda: book_of(server).journalled == 2)
        writer.write(b"".join(parts[2:]) + wired(CLOSE, b"\x03\xe8"))
        answers = await asyncio.wait_for(reader.read(), DEADLINE_S)
        writer.close()
        await until(lambda: book_of(server).sockets_open == 0)
        await drained(server)
        assert book_of(server).quarantined == 4 and book_of(server).balanced
    assert [answers.count(b"\x8a\x02%d" % number) for number in (16, 26, 36)] == [1, 1, 1]
    told = [
        samples_of(one)[:1] if one["type"] == "audio.chunk" else one["data"]["text"]
        for one in of_type(tmp_path, "audio.chunk", "control.message")
    ]
    wanted: list[Any] = []
    for number, samples in enumerate(pcm):
        wanted += [samples[:1], *([str(number)] if number % 10 == 3 else [])]
    assert told == wanted


@pytest.mark.parametrize("cut", [1, 5, 100, -1, 10_000])
async def test_what_comes_with_the_handshake_is_not_lost(tmp_path: Path, cut: int) -> None:
    """A client that does not wait for the answer: what comes before that is looked at behind it, with its rest."""
    sent = [sound() for _ in range(3)]
    data = wired(TEXT, ready("bot-1").encode()) + b"".join(wired(BINARY, one) for one in sent)
    async with running(tmp_path) as server:
        reader, writer = await wire(server.url, handshake() + data[:cut])
        await reader.readuntil(b"\r\n\r\n")
        writer.write(data[cut:] + wired(CLOSE, b"\x03\xe8"))
        await asyncio.wait_for(reader.read(), DEADLINE_S)
        writer.close()
        await until(lambda: book_of(server).sockets_open == 0)
        await drained(server)
        assert book_of(server).received == 4 and book_of(server).balanced
    assert [samples_of(one) for one in of_type(tmp_path, "audio.chunk")] == [one[-1920:] for one in sent]


async def test_who_is_gone_before_everything_is_loaded_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The first socket waits for that, the connection may not."""
    monkeypatch.setattr("receiver.ingress.websocket.unmask", lambda: time.sleep(0.3))
    async with running(tmp_path) as server:
        _, writer = await wire(server.url, handshake())
        await asyncio.sleep(0.1)
        writer.transport.abort()
        await until(lambda: server.sockets._is_ready)
        await asyncio.sleep(0.05)
        assert book_of(server).sockets_total == 0
        async with dialled(server, AUDIO) as socket:
            await socket.send(sound())
            await until(lambda: book_of(server).journalled == 1)
    assert not [record for record in caplog.records if record.name.startswith("aiohttp")]


async def test_a_fault_in_taking_at_once_closes_the_socket_with_1011(tmp_path: Path) -> None:
    """As any fault of ours: that socket ends, the next one is served."""
    async with running(tmp_path) as server:
        async with dialled(server, AUDIO) as socket:
            stream = await opened(server, socket)
            stream.book = None  # type: ignore[assignment]
            await socket.send(sound())
            with pytest.raises(ConnectionClosed):
                await asyncio.wait_for(socket.recv(), DEADLINE_S)
            assert socket.close_code == 1011
        async with dialled(server, AUDIO) as socket:
            await socket.send(ready("bot-1"))
            assert ACK["message"] in str(await asyncio.wait_for(socket.recv(), DEADLINE_S))


async def test_what_lay_there_while_there_was_no_room_is_taken_when_there_is(tmp_path: Path) -> None:
    """A socket that was held up goes on with all that was sent meanwhile, and nothing is missing or twice."""
    pcm = [bytes([number]) * 1920 for number in range(200)]
    async with running(tmp_path) as server, dialled(server, AUDIO) as socket:
        await opened(server, socket)
        memory = server.journal.lanes[MEDIA]._memory
        memory.bytes += 1 << 30
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(_send_all(socket, pcm))
            (peer,) = server.sockets._peers.values()
            await until(lambda: peer._reading._outside)
            await asyncio.wait((sending,), timeout=0.1)
            assert book_of(server).received == book_of(server).journalled == 2
            memory.bytes -= 1 << 30
            memory.admit()
        await until(lambda: book_of(server).journalled == 202)
    assert [samples_of(one)[:1] for one in of_type(tmp_path, "audio.chunk")[2:]] == [one[:1] for one in pcm]


async def test_who_waited_for_room_takes_all_that_lay_there(tmp_path: Path) -> None:
    """In one turn, also where that fills the room again: else each wait would be for a frame."""
    async with running(tmp_path) as server, dialled(server, AUDIO) as socket:
        stream, one = await opened(server, socket), sound()
        memory, flush = server.journal.lanes[MEDIA]._memory, server.engine.rim.media.flush
        memory.bytes += 1 << 30
        lies = 0
        taking = asyncio.create_task(stream.take(one, lambda: lies))
        await asyncio.sleep(0)
        lies = 2 * len(one)
        memory.bytes -= 1 << 30
        memory.admit()
        await taking
        memory.bytes += 1 << 30
        for takes in (True, True, False):
            flush()
            assert stream.is_ready() == takes
            if takes:
                assert stream.take_at_once([one]) == 1
        memory.bytes -= 1 << 30
        await until(lambda: book_of(server).journalled == 5)


async def test_a_peer_tells_what_lies_there(tmp_path: Path) -> None:
    """Of frames that came while nobody waited for them."""
    async with running(tmp_path) as server, dialled(server, AUDIO) as socket:
        await opened(server, socket)
        (peer,) = server.sockets._peers.values()
        memory = server.journal.lanes[MEDIA]._memory
        memory.bytes += 1 << 30
        for _ in range(4):
            await socket.send(sound())
        await until(lambda: peer.lying_bytes() >= 4 * len(sound()))
        assert peer.lying_bytes() == 4 * len(wired(BINARY, sound()))
        memory.bytes -= 1 << 30
        memory.admit()
        await until(lambda: book_of(server).journalled == 6)
        assert peer.lying_bytes() == 0


async def test_what_the_system_holds_counts_while_nothing_is_read(tmp_path: Path) -> None:
    """A socket that waits for room is read no more once there is something to take, and still tells all that lies
    there: it is let in for that."""
    async with running(tmp_path) as server, dialled(server, AUDIO) as socket:
        await opened(server, socket)
        (peer,) = server.sockets._peers.values()
        memory = server.journal.lanes[MEDIA]._memory
        memory.bytes += 1 << 30
        one = sound()
        for number in range(20):
            await socket.send(one)
            await until(lambda number=number: peer.lying_bytes() >= number * len(one))  # type: ignore[misc]
        assert peer._flow.paused
        assert peer._reading._behind_bytes + len(peer._reading._held) < 4 * len(one)
        memory.bytes -= 1 << 30
        memory.admit()
        await until(lambda: book_of(server).journalled == 22)
        assert peer.lying_bytes() == 0 and not peer._flow.paused


async def _send_all(socket: Any, pcm: list[bytes]) -> None:
    for samples in pcm:
        await socket.send(frame(pcm=samples))
