"""Live sound as WebSocket messages, as a recogniser's client library reads them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from receiver.audio.timeline import NS_PER_S
from tests.live_audio.chunks import noise
from tests.live_audio.house import LONG_S, House, house, place_of, samples_of
from tests.support import until


@asynccontextmanager
async def listening(here: House, name: str = "bot-7.pcm", **query: Any) -> AsyncIterator[ClientConnection]:
    async with connect(here.at(name, **query).replace("http", "ws", 1)) as socket:
        yield socket


async def messages(socket: ClientConnection) -> tuple[list[dict[str, Any]], list[bytes]]:
    """Everything to the end, JSON and sound."""
    told, sound = [], []
    try:
        while True:
            message = await asyncio.wait_for(socket.recv(), 30)
            if isinstance(message, str):
                told.append(json.loads(message))
            else:
                sound.append(message)
    except ConnectionClosed:
        return told, sound


@pytest.mark.parametrize(("rate_hz", "frame_ms", "channels"), [(16_000, 20, 1), (8000, 10, 2), (16_000, 1000, 1)])
async def test_start_then_frames_of_one_length_then_stop(
    tmp_path: Path, rate_hz: int, frame_ms: int, channels: int
) -> None:
    """The header tells what follows; the last frame is filled up with silence; then 1000."""
    sound = noise(4840)
    async with house(tmp_path) as here:
        bot = here.bot()
        await bot.opens()
        await until(lambda: here.feeds.is_known("bot-7"))
        async with listening(here, rate=rate_hz, frame_ms=frame_ms, channels=channels) as socket:
            await bot.speaks(sound)
            await bot.closes()
            told, frames = await messages(socket)
            assert socket.close_code == 1000
    start, stop = told
    age_s = (datetime.now(UTC) - datetime.fromisoformat(start.pop("time"))).total_seconds()
    assert 0 <= age_s < 30
    assert start == {
        "type": "start", "subject": "bot-7", "codec": "pcm_s16le", "rate_hz": rate_hz, "channels": channels,
        "frame_ms": frame_ms, "first_sample": 0,
    }  # fmt: skip
    assert stop == {"type": "stop"}
    assert {len(frame) for frame in frames} == {rate_hz * frame_ms // 1000 * channels * 2}
    if rate_hz == 16_000:
        got = samples_of(b"".join(frames))
        at = place_of(sound, got)
        assert at >= 0 and np.array_equal(got[at : at + len(sound)], sound)


async def test_mulaw_is_one_byte_a_sample(tmp_path: Path) -> None:
    """The form in the path is the codec of the messages."""
    async with house(tmp_path) as here:
        await here.bot().opens()
        await until(lambda: here.feeds.is_known("bot-7"))
        async with listening(here, "bot-7.mulaw", rate=8000) as socket:
            assert json.loads(await socket.recv())["codec"] == "pcm_mulaw"
            assert await asyncio.wait_for(socket.recv(), 30) == b"\xff" * 160


async def test_a_gap_is_told_and_not_sent(tmp_path: Path) -> None:
    """To a listener who was too far behind; the frames go on where it says."""
    said = noise(9600, seed=3)
    async with house(tmp_path, max_behind_s=60, tail_bytes=100_000) as here:
        bot = here.bot()
        await bot.opens()
        await until(lambda: here.feeds.is_known("bot-7"))
        url = here.at("bot-7.pcm", rate=48_000).replace("http", "ws", 1)
        async with connect(url, max_queue=1) as socket:
            await asyncio.sleep(0.5)  # silence is sent, and has begun a message that it does not fill
            second = noise(48_000)
            for number in range(LONG_S):
                bot.age_ns = 120 * NS_PER_S if number > LONG_S // 2 else 0
                await bot.says(second, rate_hz=48_000)
            frames, gaps, after = 0, [], bytearray()

            async def speak() -> None:
                await here.all_heard()
                bot.age_ns = 0
                await bot.says(said, rate_hz=48_000)
                await bot.closes()

            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(speak())
                async for message in socket:
                    if isinstance(message, bytes):
                        assert len(message) == 1920
                        after += message
                        frames += 960
                    elif (told := json.loads(message))["type"] == "gap":
                        assert told["first_sample"] == frames
                        assert told["ms"] == pytest.approx(told["samples"] / 48, abs=0.01)
                        gaps.append(told)
                        after.clear()
                        frames += told["samples"]
    assert gaps and place_of(said, samples_of(bytes(after))) >= 0 and frames < 48_000 * LONG_S


@pytest.mark.parametrize(
    ("name", "query", "status"),
    [("bot-8.pcm", {}, 404), ("bot-7.pcm", {"rate": 1}, 400), ("bot-7.pcm", {"token": "wrong"}, 401)],
)
async def test_refused_before_the_handshake(tmp_path: Path, name: str, query: dict[str, Any], status: int) -> None:
    """With the status that plain HTTP gets."""
    async with house(tmp_path) as here:
        await here.bot().opens()
        await until(lambda: here.feeds.is_known("bot-7"))
        with pytest.raises(InvalidStatus) as refusal:
            async with listening(here, name, **query):
                pass
        assert refusal.value.response.status_code == status


async def test_the_end_of_the_server_is_1001_and_no_stop(tmp_path: Path) -> None:
    """The stream has not ended; whoever listens may come back."""
    async with house(tmp_path) as here:
        await here.bot().opens()
        await until(lambda: here.feeds.is_known("bot-7"))
        async with listening(here) as socket:
            await socket.recv()
            here.feeds.close()
            told, _ = await messages(socket)
            assert socket.close_code == 1001 and not told


async def test_a_listener_may_go_and_may_talk(tmp_path: Path) -> None:
    """What he says is ignored, up to a length; when he goes, nothing of him is left."""
    async with house(tmp_path) as here:
        await here.bot().opens()
        await until(lambda: here.feeds.is_known("bot-7"))
        async with listening(here) as socket:
            await socket.send("hello")
            await socket.send(b"\0\1")
            for _ in range(30):
                await asyncio.wait_for(socket.recv(), 30)
        await until(lambda: not here.feeds._feeds, "gone")
        async with listening(here) as socket:
            await socket.send("x" * 10_000)
            await messages(socket)
            assert socket.close_code == 1009
        async with listening(here) as socket:
            socket.transport.abort()
        await until(lambda: not here.feeds._feeds, "gone")
