"""The routes of live audio on a real server over a real journal, and bots whose sound goes into it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import numpy as np
from aiohttp import web

from receiver.audio.pcm import Samples
from receiver.bundle import Part, pack
from receiver.delivery.pace import Pace
from receiver.errors import ReceiverError, Unauthorized
from receiver.events import StreamClosed, StreamOpened
from receiver.journal.base import EVENTS, MEDIA, QUARANTINE
from receiver.journal.lane import LaneLimits
from receiver.journal.sqlite import SqliteJournal
from receiver.live.audio.feeds import Feeds
from receiver.live.audio.http import audio_routes
from receiver.record import Kind, Record
from tests.live_audio.chunks import BOT, Frame, decode, noise
from tests.support import until

RATE_HZ = 16_000
#: of 48 kHz: in 16 bits, more than sockets hold between them
LONG_S = 250
_OTHER = msgspec.msgpack.encode(Frame(noise(320, seed=8).tobytes(), first_sample=0))


class Bot:
    """Puts one stream into a journal, as the ingress does."""

    def __init__(self, journal: SqliteJournal, subject: str = BOT) -> None:
        self.journal = journal
        self.subject = subject
        self.said = 0
        self.number = 0
        #: how long ago it seems to be that what it says came in
        self.age_ns = 0

    @property
    def connection(self) -> str:
        return f"{self.subject}-{self.number}"

    async def opens(self, *, resumes: bool = False) -> None:
        before, self.number = self.connection, self.number + 1
        data = StreamOpened(channel="audio", connection=self.connection, resumes=before if resumes else None)
        await self._put("opened", msgspec.json.encode(data), EVENTS)

    async def closes(self) -> None:
        data = StreamClosed(channel="audio", connection=self.connection, code=1000, clean=True)
        await self._put("closed", msgspec.json.encode(data), EVENTS)

    async def says(self, samples: Samples, **keys: Any) -> None:
        """One frame, on the stream's own clock; with its events, as a record has them when it arrives."""
        await self.speaks(samples, len(samples), **keys)

    async def speaks(self, samples: Samples, frame: int = 320, **keys: Any) -> None:
        """Frames of so many samples that arrive all at once, in one record: no busy machine makes pauses in it. Others
        speak before and after them, in the same record."""
        now_ns = time.time_ns() - self.age_ns
        messages = []
        for start in range(0, len(samples), frame):
            part = samples[start : start + frame]
            told = {"first_sample": self.said, "channels": part.shape[1], **keys}
            self.said += len(part)
            messages.append(msgspec.msgpack.encode(Frame(part.tobytes(), **told)))
        parts = [
            Part(name, subject, b"", len(said), [now_ns] * len(said), list(map(len, said)))
            for name, subject, said in (
                ("before-1", "before", [_OTHER]),
                (self.connection, self.subject, messages),
                ("after-1", "after", [_OTHER]),
            )
        ]
        await self._put("bundle", pack(parts, [_OTHER, *messages, _OTHER]), MEDIA)

    async def _put(self, kind: Kind, payload: bytes, lane: str) -> None:
        record = Record(
            vendor="v", endpoint="e", kind=kind, payload=payload, received_ns=time.time_ns() - self.age_ns,
            channel="audio", connection="" if kind == "bundle" else self.connection,
            subject="" if kind == "bundle" else self.subject,
        )  # fmt: skip
        record.events = decode(record).events
        await self.journal.submit(record, lane)


class House:
    """A server with the routes, ``url`` without the path."""

    def __init__(self, journal: SqliteJournal, feeds: Feeds, url: str) -> None:
        self.journal = journal
        self.feeds = feeds
        self.url = url

    def bot(self, subject: str = BOT) -> Bot:
        return Bot(self.journal, subject)

    async def all_heard(self) -> None:
        """Wait until all that is in the journal was read, and a listener has heard it or left it out."""
        await until(lambda: self.feeds.cursor == self.journal.head, "the journal was read")
        await until(lambda: self.feeds._feeds[BOT]._ears, "he keeps up")

    def at(self, name: str = f"{BOT}.wav", **query: Any) -> str:
        text = "&".join(f"{key}={value}" for key, value in query.items())
        return f"{self.url}/live/audio/{name}?{text}"


def allow(request: web.Request, scope: str) -> web.Response | None:
    """Everybody but those who show a wrong token; one is sent elsewhere."""
    assert scope == "audio"
    if request.query.get("token") == "wrong":
        raise Unauthorized("this needs a reader token")
    return web.Response(status=302, headers={"Location": "/login"}) if request.query.get("token") == "page" else None


@web.middleware
async def answer_errors(request: web.Request, handler: Any) -> web.StreamResponse:
    """As the application does."""
    try:
        response: web.StreamResponse = await handler(request)
    except ReceiverError as error:
        return web.json_response({"error": str(error)}, status=error.status)
    return response


@asynccontextmanager
async def house(
    folder: Path, *, resume_s: float = 0.2, max_behind_s: float = 30.0, **limits: int
) -> AsyncIterator[House]:
    journal = SqliteJournal(folder, dict.fromkeys((EVENTS, MEDIA, QUARANTINE), LaneLimits(**limits)))
    pace = Pace(lambda: journal.head)
    feeds = Feeds(journal, decode, resume_s, pace)
    app = web.Application(middlewares=[answer_errors])
    app.add_routes(audio_routes(lambda: feeds, allow, max_behind_s))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=2)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        async with asyncio.TaskGroup() as tasks:
            follower = tasks.create_task(feeds.run())
            try:
                yield House(journal, feeds, f"http://127.0.0.1:{port}")
            finally:
                feeds.close()
                await runner.cleanup()
                follower.cancel()
    finally:
        await journal.close()


@asynccontextmanager
async def held_up(here: House, **query: Any) -> AsyncIterator[aiohttp.StreamReader]:
    """A listener's connection on which only two bytes were read so far, and little more is until somebody reads."""
    async with aiohttp.ClientSession(read_bufsize=1024) as client, client.get(here.at("bot-7.pcm", **query)) as reply:
        assert len(await reply.content.readexactly(2)) == 2
        yield reply.content


def samples_of(pcm: bytes, channels: int = 1) -> Samples:
    """What a listener got."""
    return np.frombuffer(pcm[: len(pcm) // (2 * channels) * 2 * channels], "<i2").reshape(-1, channels)


def spoken(sound: Samples) -> Samples:
    """What there is without silence: a machine that stands still for a moment makes a pause in what is said live."""
    return sound[sound.any(axis=1)]


def place_of(sound: Samples, within: Samples) -> int:
    """The frame at which ``sound`` begins, found by its first 50 samples; -1: nowhere."""
    window = np.lib.stride_tricks.sliding_window_view(within[:, 0], 50)
    found = np.flatnonzero((window == sound[:50, 0]).all(axis=1))
    return int(found[0]) if len(found) else -1
