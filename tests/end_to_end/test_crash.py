"""``kill -9`` of ``receiver serve`` in the middle of meetings: what got a 2xx is in every sink, once in the file.

``RECEIVER_CRASH_ROUNDS`` (default 4) and ``RECEIVER_CRASH_SEED`` make a longer or another run.
"""

import asyncio
import base64
import hashlib
import os
import random
import wave
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from receiver.events import DATA_TYPES, MEDIA_TYPES
from receiver.simulator import Tally, play
from tests.end_to_end.process import Server, free_port, read_events

ROUNDS = int(os.environ.get("RECEIVER_CRASH_ROUNDS", "4"))
SEED = int(os.environ.get("RECEIVER_CRASH_SEED", "1"))
NO_MEDIA = sorted(set(DATA_TYPES) - MEDIA_TYPES)
#: meetings, their speed, and the longest time in seconds until the next kill; at full speed it meets a queue of frames
PLAYS = ((2, 8.0, 2.5), (3, 0.0, 0.8))
KILLS_A_PLAY = 2
FAULTS = ("duplicates", "reorder", "garbage")
SINKS = """
[sinks.file]
type = "file"
raw = true
secrets = true
rotate_bytes = 8000000

[sinks.wav]
type = "wav"

[sinks.http]
type = "http"
url = "{url}"
types = {types}
"""

pytestmark = pytest.mark.timeout(120 + 20 * ROUNDS)


class Target:
    """An HTTP endpoint that remembers how often it was sent which id."""

    def __init__(self) -> None:
        self.url = ""
        self.ids: Counter[str] = Counter()

    async def take(self, request: web.Request) -> web.Response:
        self.ids.update(event["id"] for event in msgspec.json.decode(await request.read()))
        return web.Response(status=204)


@asynccontextmanager
async def listening() -> AsyncIterator[Target]:
    target = Target()
    app = web.Application(client_max_size=0)
    app.router.add_post("/events", target.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        target.url = f"http://127.0.0.1:{runner.addresses[0][1]}/events"
        yield target
    finally:
        await runner.cleanup()


async def ordeal(server: Server, rng: random.Random, tally: Tally) -> int:
    """Play meetings and kill the server ``ROUNDS`` times meanwhile, sometimes before it serves. How many plays."""
    kills = plays = 0
    while kills < ROUNDS:
        meetings, speed, longest_s = PLAYS[plays % len(PLAYS)]
        endpoint, seed = f"{server.url}/meetstream/default", 1000 * SEED + plays
        playing = asyncio.create_task(
            play(endpoint, meetings=meetings, speed=speed, seed=seed, faults=FAULTS, tally=tally)
        )
        plays += 1
        for _ in range(min(KILLS_A_PLAY, ROUNDS - kills)):
            await asyncio.wait({playing}, timeout=rng.uniform(0.05, longest_s))
            await server.kill()
            kills += 1
            await server.spawn()
            if rng.random() < 0.8:
                await server.ready()
        await server.ready()
        await playing
    return plays


def digest(event: dict[str, Any]) -> str:
    """SHA-256 of the vendor's bytes that an event was made from, in hex; empty where it was made from none."""
    raw = base64.b64decode(event["rawbase64"]) if "rawbase64" in event else event.get("raw", "").encode()
    return hashlib.sha256(raw).hexdigest() if raw else ""


def sound_of(chunks: list[dict[str, Any]]) -> bytes:
    """The samples of ``audio.chunk`` events on the stream's clock; gaps are silence."""
    sound = bytearray(2 * max(chunk["firstsample"] + chunk["samples"] for chunk in chunks))
    for chunk in chunks:
        begin = 2 * chunk["firstsample"]
        sound[begin : begin + 2 * chunk["samples"]] = base64.b64decode(chunk["data_base64"])
    return bytes(sound)


def check_sound(events: list[dict[str, Any]], folder: Path) -> None:
    """One playable file a stream, and its samples are those of the events, each at its place."""
    chunks = defaultdict(list)
    for event in events:
        if event["type"] == "audio.chunk":
            chunks[event["subject"]].append(event)
    assert {path.stem for path in folder.glob("*.wav")} == set(chunks)
    for subject, own in chunks.items():
        with wave.open(str(folder / f"{subject}.wav")) as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (48_000, 1, 2)
            sound = file.readframes(file.getnframes())
        expected = sound_of(own)
        assert len(sound) == len(expected)
        assert sound == expected


def check_events(events: list[dict[str, Any]], target: Target) -> None:
    """Each event once, in order, the same at the other far side; each stream that was opened is closed once."""
    ids = [event["id"] for event in events]
    assert [one for one, count in Counter(ids).items() if count > 1] == []
    sequences = [event["sequence"] for event in events]
    assert sequences == sorted(set(sequences))
    assert {event["id"] for event in events if event["type"] not in MEDIA_TYPES} == set(target.ids)
    opened = Counter(event["data"]["connection"] for event in events if event["type"] == "stream.opened")
    closed = Counter(event["data"]["connection"] for event in events if event["type"] == "stream.closed")
    assert opened == closed and set(opened.values()) == {1}
    media = {event["id"].partition("/")[0] for event in events if event["type"] in MEDIA_TYPES}
    assert media <= set(opened), "sound or picture of a stream that nobody was told of"


async def test_kill_9_loses_nothing_that_was_answered_2xx(tmp_path: Path) -> None:
    """Each delivery that got a 2xx is in the file once and at the HTTP target; sound and stream facts are whole."""
    tally = Tally()
    async with listening() as target:
        sections = SINKS.format(url=target.url, types=msgspec.json.encode(NO_MEDIA).decode())
        server = Server(tmp_path, sections, port=free_port())
        try:
            await server.start()
            plays = await ordeal(server, random.Random(SEED), tally)
            assert await server.stop() == 0
        finally:
            await server.kill()
    events = read_events(server.data_dir / "events")
    sound = sum(event["type"] == "audio.chunk" for event in events)
    repeats = sum(target.ids.values()) - len(target.ids)
    print(
        f"\n{ROUNDS} kills in {plays} plays: {tally.posts_sent} POSTs, {tally.posts_accepted} answered 2xx, "
        f"{tally.posts_failed} unanswered; {tally.sockets_lost} sockets lost, {tally.frames_sent} frames sent; "
        f"{len(events)} events, {sound} of sound; {repeats} repeats at the HTTP target"
    )
    answered = tally.expected((None, "unknown"))
    assert len(answered) > 20 * ROUNDS and tally.sockets_lost, "the ordeal has to meet something"
    found = {digest(event) for event in events}
    assert {delivery for delivery in answered if delivery.digest not in found} == set()
    check_events(events, target)
    check_sound(events, server.data_dir / "audio")
