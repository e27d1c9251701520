"""A socket that drops and comes back continues its stream: over real sockets, and the book of streams by itself."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from receiver.ingress.streams import Ended, StreamBook
from tests.ingress.sockets import SAMPLES, book_of, dialled, drop, of_type, ready, received, seconds, sound
from tests.support import drained, events_in, running, until
from tests.vendors.realtimekit_wire import packet, pcm

AUDIO = "/meetstream/default/bot-1/audio"
RATE_HZ = 48_000
KIT: dict[str, Any] = {"realtimekit": {"default": {}}}
#: longer than a frame, so that there is a gap to tell
_PAUSE_S = 0.05


def assert_gap_is_told(before: dict[str, Any], after: dict[str, Any]) -> None:
    """The first chunk of a continuation: the pause between arrivals, less its own sound, lies on the sample clock."""
    gap_s = seconds(after) - seconds(before) - after["samples"] / RATE_HZ
    assert after["gapms"] == pytest.approx(gap_s * 1000, abs=0.01)
    expected = before["firstsample"] + before["samples"] + gap_s * RATE_HZ
    assert after["firstsample"] == pytest.approx(expected, abs=2)  # times are told in microseconds


async def test_a_dropped_socket_that_comes_back_continues_its_stream(tmp_path: Path) -> None:
    """Section B: closed (1006, not clean), opened with `resumes`, the gap told, the sample clock run on."""
    async with running(tmp_path) as server:
        for _ in range(3):
            async with dialled(server, AUDIO) as socket:
                await socket.send(ready("bot-1"))
                for _ in range(2):
                    await socket.send(sound())
                await socket.recv()
                await received(server, 3)
                await drop(server, socket)
            await asyncio.sleep(_PAUSE_S)
    opened = of_type(tmp_path, "stream.opened")
    closed = of_type(tmp_path, "stream.closed")
    chunks = of_type(tmp_path, "audio.chunk")
    names = [event["data"]["connection"] for event in opened]
    assert [event["data"].get("resumes") for event in opened] == [None, *names[:-1]]
    assert [(event["data"]["code"], event["data"]["clean"]) for event in closed] == [(1006, False)] * 3
    assert len(chunks) == 6 and ["gapms" in chunk for chunk in chunks] == [False, False, True, False, True, False]
    for first in (2, 4):
        assert chunks[first]["gapms"] > 20
        assert_gap_is_told(chunks[first - 1], chunks[first])
        assert chunks[first + 1]["firstsample"] == chunks[first]["firstsample"] + SAMPLES


async def test_a_socket_that_comes_back_before_the_old_one_is_known_to_be_dead(tmp_path: Path) -> None:
    """A bot redials while its lost connection still looks alive here: the newest takes the stream over."""
    async with running(tmp_path) as server, dialled(server, AUDIO) as old:
        await old.send(ready("bot-1"))
        await old.send(sound())
        await until(lambda: book_of(server).journalled == 2)  # a frame waits for its opening
        async with dialled(server) as new:
            await asyncio.sleep(_PAUSE_S)
            await new.send(ready("bot-1"))
            await new.send(sound())
            await received(server, 4)
            await drop(server, old)
            await new.send(sound())
            await received(server, 5)
            await drop(server, new)
        await asyncio.sleep(_PAUSE_S)
        async with dialled(server, AUDIO) as third:
            await third.send(sound())
    names = {event["data"]["connection"]: event["data"].get("resumes") for event in of_type(tmp_path, "stream.opened")}
    first, second, last = names
    assert names == {first: None, second: first, last: second}
    chunks = of_type(tmp_path, "audio.chunk")
    assert ["gapms" in chunk for chunk in chunks] == [False, True, False, True]
    assert_gap_is_told(chunks[0], chunks[1])
    assert_gap_is_told(chunks[2], chunks[3])


async def test_what_the_old_socket_still_held_goes_before_its_continuation(tmp_path: Path) -> None:
    """Frames gathered for the old connection are journalled before the opening of the new one."""
    async with running(tmp_path) as server:
        server.engine.rim.media._gather_s = 60.0
        async with dialled(server, AUDIO) as old, dialled(server, AUDIO) as new:
            await old.send(sound())
            await until(lambda: any(one._frames for one in server.sockets._peers))
            await new.send(sound())
            await received(server, 2)
    types = [event["type"] for event in of_type(tmp_path, "stream.opened", "audio.chunk")]
    assert types == ["stream.opened", "audio.chunk"] * 2


async def test_a_bot_that_names_itself_late_is_recognised_when_it_comes_back(tmp_path: Path) -> None:
    """Sheet 6: binary before ready on a bare path is nobody's yet; from `ready` on the stream has a name."""
    async with running(tmp_path) as server:
        async with dialled(server) as socket:
            await socket.send(sound())
            await socket.send(ready("bot-1"))
            await socket.send(sound())
            await received(server, 3)
            await drop(server, socket)
        await asyncio.sleep(_PAUSE_S)
        async with dialled(server, AUDIO) as socket:
            await socket.send(sound())
    first, second = of_type(tmp_path, "stream.opened")
    assert "subject" not in first and second["data"]["resumes"] == first["data"]["connection"]
    assert_gap_is_told(*of_type(tmp_path, "audio.chunk")[1:])


async def test_a_socket_that_comes_back_too_late_starts_anew(tmp_path: Path) -> None:
    """`server.resume_s`: after that time it is another stream."""
    async with running(tmp_path, server={"resume_s": 0.05}) as server:
        for _ in range(2):
            async with dialled(server, AUDIO) as socket:
                await socket.send(sound())
            await until(lambda: book_of(server).sockets_open == 0)
            await asyncio.sleep(0.06)
    assert [event["data"].get("resumes") for event in of_type(tmp_path, "stream.opened")] == [None, None]
    assert [chunk["firstsample"] for chunk in of_type(tmp_path, "audio.chunk")] == [0, 0]


async def test_streams_of_other_bots_channels_and_endpoints_are_others(tmp_path: Path) -> None:
    """Only the same endpoint, bot and channel is the same stream."""
    endpoints: dict[str, Any] = {"meetstream": {"default": {}, "other": {}}}
    async with running(tmp_path, endpoints=endpoints) as server:
        for path in ("default/bot-1/audio", "default/bot-2/audio", "other/bot-1/audio", "default/bot-1/control"):
            async with dialled(server, f"/meetstream/{path}") as socket:
                message: Any = json.dumps({"command": "interrupt"}) if path.endswith("control") else sound()
                await socket.send(message)
    assert [event["data"].get("resumes") for event in of_type(tmp_path, "stream.opened")] == [None] * 4


def track(name: str) -> str:
    return f"/realtimekit/default/m-1:{name}/audio"


async def test_tracks_of_one_meeting_are_streams_of_their_own(tmp_path: Path) -> None:
    """RealtimeKit sheet 5.2: one socket is one track. Opened and closed are about the meeting, as the chunks are; each
    track continues its own stream and no other."""
    async with running(tmp_path, endpoints=KIT) as server:
        for number in range(2):
            async with dialled(server, track("mic")) as mic, dialled(server, track("screen")) as screen:
                await mic.send(packet(pcm(960), 1 + number))
                await screen.send(packet(pcm(480), 7 + number))
            await until(lambda: server.ledger.endpoint("realtimekit", "default").sockets_open == 0)
    assert {event["subject"] for event in events_in(tmp_path)} == {"m-1"}
    assert resumed_per_track(tmp_path) == {"mic": [0, 960], "screen": [0, 480]}


async def test_tracks_are_kept_apart_across_a_stop_and_across_a_kill(tmp_path: Path) -> None:
    """A closing record and the note of an open stream tell the track: whoever redials later goes on where it was."""
    live, dead = tmp_path / "live", tmp_path / "dead"
    async with running(live, endpoints=KIT) as server:
        for name in ("mic", "screen"):
            async with dialled(server, track(name)) as socket:
                await socket.send(packet(pcm(960), 1))
    async with (
        running(live, endpoints=KIT) as server,
        dialled(server, track("mic")) as mic,
        dialled(server, track("screen")) as screen,
    ):
        await mic.send(packet(pcm(480), 2))
        await screen.send(packet(pcm(240), 2))
        await until(lambda: server.ledger.endpoint("realtimekit", "default").journalled == 2)
        await drained(server)
        await server.state.flush()
        await asyncio.to_thread(shutil.copytree, live, dead)
    async with running(dead, endpoints=KIT) as server:
        for name in ("screen", "mic"):
            async with dialled(server, track(name)) as socket:
                await socket.send(packet(pcm(960), 3))
    assert resumed_per_track(dead) == {"mic": [0, 960, 1440], "screen": [0, 960, 1200]}


def resumed_per_track(data_dir: Path) -> dict[str, list[int]]:
    """First samples by track, without the gap before them; each opening but the first resumes one of its own track."""
    tracks: dict[str, list[int]] = {}
    known: dict[str, list[str]] = {}
    resumes = {one["data"]["connection"]: one["data"].get("resumes") for one in of_type(data_dir, "stream.opened")}
    for event in of_type(data_dir, "audio.chunk"):
        connection = event["id"].partition("/")[0]
        before = known.setdefault(event["track"], [])
        assert resumes[connection] == (before[-1] if before else None), (event["track"], resumes)
        before.append(connection)
        gap = round(event.get("gapms", 0) * RATE_HZ / 1000)
        begun = sum(tracks.get("gaps " + event["track"], []))
        tracks.setdefault(event["track"], []).append(event["firstsample"] - gap - begun)
        tracks.setdefault("gaps " + event["track"], []).append(gap)
    return {name: firsts for name, firsts in tracks.items() if not name.startswith("gaps ")}


async def test_memory_of_ended_streams_is_bounded() -> None:
    """A stream of bots that never come back costs no more than the newest ten thousand of them."""
    book = StreamBook(600.0)
    for number in range(10_050):
        book.remember(("v", "e", str(number), "audio", ""), Ended(str(number), b"", 0.0))
    assert len(book._ended) == 10_000 and ("v", "e", "49", "audio", "") not in book._ended
