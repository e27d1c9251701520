"""What goes over a listener's connection: framing, and no more than he takes."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import HttpVersion10, HttpVersion11

from receiver.live.audio.lines import PlainLine, SocketLine
from receiver.live.audio.query import Request, Wish
from tests.live_audio.chunks import noise
from tests.live_audio.house import RATE_HZ, house, place_of, samples_of
from tests.support import until


class Wire:
    """A transport whose far side takes nothing."""

    def __init__(self) -> None:
        self.held = bytearray()
        self.closing = False

    def write(self, data: bytes) -> None:
        self.held += data

    def get_write_buffer_size(self) -> int:
        return len(self.held)

    def is_closing(self) -> bool:
        return self.closing


class Asked:
    """As much of a request, and of its WebSocket, as lines look at."""

    def __init__(self, wire: Wire | None, version: Any = HttpVersion11) -> None:
        self.transport = wire
        self.version = version
        self.writer = self
        self.closed = False

    async def drain(self) -> None:
        raise AssertionError("nobody waits here")


def socket_line(asked: Asked, frames: int, channels: int = 1) -> SocketLine:
    wanted = Request("bot-7", "pcm", Wish(rate_hz=RATE_HZ, channels=channels), frames * 1000 // RATE_HZ, 0)
    return SocketLine(asked, wanted, asked, 2 * channels)  # type: ignore[arg-type]


def test_a_chunk_is_one_piece_with_its_length() -> None:
    """HTTP/1.1 (RFC 9112, 7.1); before that there were none."""
    sound = noise(320)
    for version, framing in ((HttpVersion11, (b"280\r\n", b"\r\n")), (HttpVersion10, (b"", b""))):
        for samples in (sound, sound.tobytes(), memoryview(sound.tobytes())):
            wire = Wire()
            assert PlainLine(Asked(wire, version), "pcm_s16le").send(samples)  # type: ignore[arg-type]
            assert bytes(wire.held) == sound.tobytes().join(framing)


@pytest.mark.parametrize(
    ("frames", "head"), [(32, b"\x82\x40"), (320, b"\x82\x7e\x02\x80"), (48_000, b"\x82\x7f" + b"\0\0\0\0\0\1\x77\0")]
)
def test_a_message_is_one_frame_of_its_length(frames: int, head: bytes) -> None:
    """Binary, whole, not masked (RFC 6455, 5.2). What fills none waits."""
    wire, sound = Wire(), noise(frames * 2 + 5)
    line = socket_line(Asked(wire), frames)
    line.send(sound[:7])
    assert not wire.held and line.held_bytes == 14
    line.send(sound[7:].tobytes())
    first, second = sound[:frames].tobytes(), sound[frames : frames * 2].tobytes()
    assert bytes(wire.held) == head + first + head + second and line.held_bytes == 10


def test_more_than_a_listener_takes_is_not_for_his_connection() -> None:
    """Beyond 64 KiB a line says that it is full; then it is not written to before it has drained."""
    wire = Wire()
    lines: list[PlainLine | SocketLine] = [PlainLine(Asked(wire), "pcm_s16le"), socket_line(Asked(wire), 320)]  # type: ignore[arg-type]
    for line in lines:
        wire.held.clear()
        count = 0
        while line.send(noise(320)):
            count += 1
        assert 64 << 10 < len(wire.held) < (64 << 10) + 700 and count > 90


def test_nobody_there_is_an_error() -> None:
    """A connection that is lost, or closed by this side, also one whose WebSocket has said so."""
    gone, closing, closed = Asked(None), Asked(Wire()), Asked(Wire())
    assert closing.transport is not None
    closing.transport.closing = closed.closed = True
    for asked in (gone, closing):
        with pytest.raises(ConnectionError):
            PlainLine(asked, "pcm_s16le").send(noise(320))  # type: ignore[arg-type]
    for asked in (gone, closing, closed):
        with pytest.raises(ConnectionError):
            socket_line(asked, 320).send(noise(320))


async def test_an_old_client_gets_bytes_until_the_connection_ends(tmp_path: Path) -> None:
    """HTTP/1.0, as some recorders still speak it."""
    sound = noise(RATE_HZ // 4)
    async with house(tmp_path) as here:
        bot = here.bot()
        await bot.opens()
        await until(lambda: here.feeds.is_known("bot-7"))
        reader, writer = await asyncio.open_connection("127.0.0.1", int(here.url.rpartition(":")[2]))
        writer.write(b"GET /live/audio/bot-7.pcm HTTP/1.0\r\nHost: x\r\n\r\n")
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        await bot.speaks(sound)
        await bot.closes()
        got = samples_of(await asyncio.wait_for(reader.read(), 20))
        writer.close()
    at = place_of(sound, got)
    assert b"chunked" not in head and at >= 0 and np.array_equal(got[at : at + len(sound)], sound)
