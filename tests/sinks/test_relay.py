"""The relay sink against a recogniser's WebSocket: one that answers, is slow, drops connections, or is not there."""

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from websockets.asyncio.server import ServerConnection, serve

from receiver.audio.encode import encode
from receiver.audio.pcm import Samples
from receiver.delivery.pace import Pace
from receiver.delivery.retry import Backoff
from receiver.delivery.worker import SinkWorker
from receiver.errors import ConfigError
from receiver.events import Event, StreamClosed, StreamOpened, parse_time
from receiver.journal.base import EVENTS, MEDIA, QUARANTINE
from receiver.journal.lane import LaneLimits
from receiver.journal.sqlite import SqliteJournal
from receiver.journal.state import State
from receiver.plugins import make_sink
from receiver.telemetry.ledger import SinkBook
from sinks.base import Batch, SinkNotConnected, SinkRejected
from sinks.relay import RelaySink
from sinks.relay_config import RelayConfig, load_secrets
from tests.live_audio.chunks import BOT, ZERO_NS, chunk, decode, noise
from tests.live_audio.house import Bot, place_of, samples_of
from tests.support import events_in, running, until

Behaviour = Callable[["Recogniser", "Heard"], Awaitable[None]]


class Heard:
    """What came on one connection."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        self.path = socket.request.path if socket.request is not None else ""
        self.headers = socket.request.headers if socket.request is not None else {}
        self.told: list[dict[str, Any]] = []
        self.frames: list[bytes] = []
        self.code: int | None = None

    @property
    def sound(self) -> bytes:
        return b"".join(self.frames)


class Recogniser:
    """Keeps what it hears. ``behave`` is awaited before each message is read."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.url = ""
        self.behave: Behaviour | None = None
        self.answer: Callable[[Heard], list[Any]] = lambda heard: []

    async def serve(self, socket: ServerConnection) -> None:
        heard = Heard(socket)
        self.heard.append(heard)
        while True:
            if self.behave is not None:
                await self.behave(self, heard)
            try:
                message = await socket.recv()
            except Exception:
                heard.code = socket.close_code
                return
            if isinstance(message, bytes):
                heard.frames.append(message)
            else:
                heard.told.append(json.loads(message))
            for answer in self.answer(heard):
                await socket.send(answer if isinstance(answer, str | bytes) else json.dumps(answer))


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Where nobody listens until the test does; nobody else gets it meanwhile."""
    with socket.socket() as wire:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        wire.bind(("127.0.0.1", 0))
        yield wire.getsockname()[1]


@asynccontextmanager
async def recogniser(port: int = 0) -> AsyncIterator[Recogniser]:
    one = Recogniser()
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # what it does not read is not read for it: else the system may take megabytes
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
    listening.bind(("127.0.0.1", port))
    async with serve(one.serve, sock=listening, max_queue=1):
        one.url = f"ws://127.0.0.1:{listening.getsockname()[1]}"
        yield one


@asynccontextmanager
async def relay(url: str, data_dir: Path = Path(), **keys: Any) -> AsyncIterator[RelaySink]:
    sink = RelaySink("asr", RelayConfig(type="relay", url=url, **{"linger_s": 0.2, **keys}), data_dir)
    await sink.open()
    try:
        yield sink
    finally:
        await sink.close()


def said(samples: Samples, first: int = 0, subject: str = BOT, frame: int = 320, number: int = 1) -> list[Event]:
    """Chunks of 20 ms, as they arrive; numbered from ``number``."""
    events = []
    for index, at in enumerate(range(0, len(samples), frame)):
        end_ms = (first + at + frame) / 16
        event = chunk(samples[at : at + frame], end_ms, first_sample=first + at, sequence=number + index, track="mixed")
        event.subject = subject
        events.append(event)
    return events


def told(number: int, data: StreamOpened | StreamClosed, subject: str = BOT) -> Event:
    kind = "stream.opened" if isinstance(data, StreamOpened) else "stream.closed"
    at_ns = ZERO_NS + 3600 * 10**9
    return Event(
        id=f"s{number}", source="/v/e", type=kind, subject=subject, time_ns=at_ns, received_ns=at_ns, data=data,
        sequence=number,
    )  # fmt: skip


def closed(number: int, subject: str = BOT) -> Event:
    return told(number, StreamClosed(channel="audio", connection="c1", code=1000), subject)


async def test_start_then_frames_then_stop(tmp_path: Path) -> None:
    """One connection a stream, on a URL of its own; every sample, frames of one length; closed when the stream is."""
    sound = noise(3300)
    async with recogniser() as asr, relay(asr.url + "/v1/{vendor}/{subject}?track={track}") as sink:
        await sink.write(Batch(said(sound)))
        await sink.write(Batch([closed(99)]))
        await until(lambda: asr.heard and asr.heard[0].code, "the connection is closed")
        (heard,) = asr.heard
    start, stop = heard.told
    assert heard.path == "/v1/v/bot-7?track=mixed" and heard.code == 1000
    assert parse_time(start.pop("time")) == ZERO_NS
    assert start == {
        "type": "start", "subject": BOT, "track": "mixed", "codec": "pcm_s16le", "rate_hz": 16_000, "channels": 1,
        "frame_ms": 20, "first_sample": 0,
    }  # fmt: skip
    assert stop == {"type": "stop"} and {len(frame) for frame in heard.frames} == {640}
    got = samples_of(heard.sound)
    assert np.array_equal(got[:3300], sound) and not got[3300:].any()


async def test_rate_channels_codec_and_frame(tmp_path: Path) -> None:
    """As the recogniser wants them."""
    keys: dict[str, Any] = {"rate_hz": 8000, "channels": 2, "codec": "pcm_mulaw", "frame_ms": 100}
    async with recogniser() as asr, relay(asr.url, **keys) as sink:
        await sink.write(Batch([*said(noise(16_000)), closed(99)]))
        await until(lambda: asr.heard and asr.heard[0].code, "closed")
    assert len(asr.heard[0].frames) == 10 and {len(frame) for frame in asr.heard[0].frames} == {1600}


async def test_json_framing_and_templates(tmp_path: Path) -> None:
    """Text from a vendor cannot break out of a template; an empty one is no message."""
    nasty = 'bot"}{\\ü'
    keys: dict[str, Any] = {
        "framing": "json",
        "audio": '{"op":"push","pcm":"{audio}"}',
        "start": '{"id":"{subject}"}',
        "stop": "",
    }
    async with recogniser() as asr, relay(asr.url + "/{subject}", **keys) as sink:
        sound = noise(640)
        await sink.write(Batch([*said(sound, subject=nasty), closed(99, nasty)]))
        await until(lambda: asr.heard and asr.heard[0].code, "closed")
    start, *rest = asr.heard[0].told
    assert start == {"id": nasty} and not asr.heard[0].frames
    assert asr.heard[0].path == "/bot%22%7D%7B%5C%C3%BC"
    assert {message["op"] for message in rest} == {"push"}
    assert b"".join(base64.b64decode(message["pcm"]) for message in rest) == encode("pcm_s16le", sound)


async def test_a_pause_is_silence_of_its_length(tmp_path: Path) -> None:
    """So what the recogniser says of time is true."""
    first, second = noise(1600, seed=1), noise(1600, seed=2)
    async with recogniser() as asr, relay(asr.url) as sink:
        await sink.write(Batch([*said(first), *said(second, first=8000, number=50), closed(99)]))
        await until(lambda: asr.heard and asr.heard[0].code, "closed")
    got = samples_of(asr.heard[0].sound)
    assert place_of(first, got) == 0 and place_of(second, got) == 8000 and not got[1600:8000].any()


async def test_each_stream_has_its_own_connection(tmp_path: Path) -> None:
    """A stream that comes back after its end gets a new one."""
    a, b = noise(640, seed=1), noise(640, seed=2)
    async with recogniser() as asr, relay(asr.url + "/{subject}") as sink:
        again = said(b, subject="b", number=20)
        await sink.write(Batch([*said(a, subject="a"), *said(b, subject="b", number=10), closed(15, "b"), *again]))
        await until(lambda: len(asr.heard) == 3 and all(one.frames for one in asr.heard), "three connections")
    assert sorted(one.path for one in asr.heard) == ["/a", "/b", "/b"]


async def test_a_bot_that_redials_before_its_old_socket_is_closed_stays_on_the_line(tmp_path: Path) -> None:
    """The closing of the connection whose place was taken ends nothing."""
    sound = noise(1280)
    async with recogniser() as asr, relay(asr.url) as sink:
        takes_over = told(10, StreamOpened(channel="audio", connection="c2", resumes="c1"))
        await sink.write(Batch([*said(sound[:640]), takes_over, closed(11), *said(sound[640:], first=640, number=12)]))
        await sink.write(Batch([told(20, StreamClosed(channel="audio", connection="c2"))]))
        await until(lambda: asr.heard and asr.heard[0].code, "closed")
    assert len(asr.heard) == 1 and np.array_equal(samples_of(asr.heard[0].sound), sound)


async def test_a_dropped_connection_is_dialled_again_and_goes_on(tmp_path: Path) -> None:
    """The write fails, its repetition goes on where the first got to; the next start tells at which sample."""
    sound = noise(16_000)
    async with recogniser() as asr, relay(asr.url) as sink:

        async def drop(_: Recogniser, heard: Heard) -> None:
            if len(asr.heard) == 1 and len(heard.frames) == 5:
                heard.socket.transport.abort()

        asr.behave = drop
        await sink.write(Batch(said(sound[:1600])))
        await until(lambda: asr.heard and len(asr.heard[0].frames) == 5 and asr.heard[0].code, "dropped")
        rest = Batch(said(sound[1600:], first=1600, number=6))
        with pytest.raises(ConnectionError, match=r"^127.0.0.1:\d+ closed the connection with 1006$"):
            await sink.write(rest)
        await sink.write(rest)
        await sink.write(Batch([closed(99)]))
        await until(lambda: len(asr.heard) == 2 and asr.heard[1].code, "closed")
    first = asr.heard[1].told[0]["first_sample"]
    assert 1600 <= first < 16_000 and first % 320 == 0
    assert (parse_time(asr.heard[1].told[0]["time"]) or 0) == ZERO_NS + first * 10**9 // 16_000
    assert np.array_equal(samples_of(asr.heard[1].sound), sound[first:])


async def test_one_that_fails_holds_no_other_up_and_repeats_nothing_to_it(tmp_path: Path) -> None:
    """In one batch two streams: one recogniser refuses, the other has everything once, on one connection."""
    a, b = noise(640, seed=1), noise(640, seed=2)
    async with recogniser() as asr, relay(asr.url + "/{subject}") as sink:

        async def refuse_b(_: Recogniser, heard: Heard) -> None:
            if heard.path == "/b" and len(asr.heard) < 6:
                await heard.socket.close(1008)

        asr.behave = refuse_b
        batch = Batch([*said(a, subject="a"), *said(b, subject="b", number=10), closed(20, "a")])
        failures = 0
        for _ in range(20):
            try:
                await sink.write(batch)
                await until(lambda: len(asr.heard) >= 6 or asr.heard[-1].code, "refused, or taken")
                await sink.write(Batch(said(b, first=640, subject="b", number=30)))
                break
            except ConnectionError:
                failures += 1
        await until(lambda: next(one for one in asr.heard if one.path == "/a").code == 1000, "closed")
    (heard,) = [one for one in asr.heard if one.path == "/a"]
    assert failures and np.array_equal(samples_of(heard.sound), a)


async def test_a_slow_recogniser_is_an_error_after_the_limit_and_loses_nothing_not_handed_on(tmp_path: Path) -> None:
    """It takes nothing: the write ends, and what its connection took is all that is gone."""
    sound, released = noise(16_000 * 2), asyncio.Event()
    async with recogniser() as asr, relay(asr.url, rate_hz=48_000, timeout_s=1) as sink:

        async def hang(_: Recogniser, heard: Heard) -> None:
            if heard is asr.heard[0] and heard.frames:
                await released.wait()

        asr.behave = hang
        long = [
            event for part in range(40) for event in said(sound, first=part * 32_000, frame=16_000, number=1 + part * 9)
        ]
        with pytest.raises(ConnectionError, match="does not take it within"):
            await sink.write(Batch(long))
        released.set()
        sink._config.timeout_s = 30
        await sink.write(Batch(long))
        await sink.write(Batch([closed(9999)]))
        await until(lambda: len(asr.heard) == 2 and asr.heard[1].code, "closed")
        start = asr.heard[1].told[0]["first_sample"]
        assert 0 < start < 40 * 96_000
        assert start + len(asr.heard[1].sound) // 2 == pytest.approx(40 * 96_000, abs=960)


async def test_nobody_there_is_not_connected(tmp_path: Path, silent_port: int) -> None:
    """`receiver check` and the engine see it at once; a refused handshake is told without its URL."""
    with pytest.raises(SinkNotConnected, match="cannot connect to"):
        async with relay(f"ws://127.0.0.1:{silent_port}"):
            pass

    async def refuse(request: web.Request) -> web.Response:
        return web.Response(status=401, text="secret-4711")

    app = web.Application()
    app.router.add_get("/{path:.*}", refuse)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with relay(f"ws://127.0.0.1:{runner.addresses[0][1]}/secret-path") as sink:
        with pytest.raises(ConnectionError, match="it answered 401") as error:
            await sink.write(Batch(said(noise(640))))
    assert "secret" not in str(error.value)
    await runner.cleanup()


async def test_what_is_no_pcm_is_rejected_and_the_rest_delivered(tmp_path: Path) -> None:
    """Also when the batch is repeated; a late chunk that its stream has gone past is refused, not lost in silence."""
    sound = noise(640)
    events = said(sound)
    bad = chunk(noise(320), 20, codec="opus", sequence=7)
    async with recogniser() as asr, relay(asr.url) as sink:
        for _ in range(2):
            with pytest.raises(SinkRejected, match="opus") as refusal:
                await sink.write(Batch([bad, *events]))
            assert refusal.value.events == (bad,)
        with pytest.raises(SinkRejected, match="gone past it"):
            await sink.write(Batch(events[:1], late=True))
        await sink.write(Batch([closed(99)]))
        await until(lambda: asr.heard and asr.heard[0].code, "closed")
    assert len(asr.heard) == 1 and np.array_equal(samples_of(asr.heard[0].sound), sound)


async def test_headers_and_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By name from the environment; nothing prints them."""
    monkeypatch.setenv("ASR_KEY", "Token 4711")
    keys: dict[str, Any] = {"headers": {"X-Model": "fast"}, "headers_env": {"Authorization": "ASR_KEY"}}
    async with recogniser() as asr, relay(asr.url, **keys) as sink:
        await sink.write(Batch(said(noise(640))))
        await until(lambda: asr.heard, "a connection")
        assert asr.heard[0].headers["Authorization"] == "Token 4711" and asr.heard[0].headers["X-Model"] == "fast"
    assert "4711" not in repr(load_secrets("asr", RelayConfig(type="relay", url="ws://x", **keys), tmp_path))


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ({"url": "http://x"}, "sinks.asr.url: found no URL with scheme and host, allowed ws://… or wss://…"),
        ({"url": "ws://{subject}.x/"}, "sinks.asr.url: found no URL with scheme and host"),
        ({"url": "ws://u:p@x/"}, "sinks.asr.url: found a user name or password"),
        ({"url": "ws://x/{bot}"}, "sinks.asr.url: found {bot}, allowed {subject}, {track}, {vendor}"),
        ({"rate_hz": 96_000}, "sinks.asr.rate_hz: found 96000, allowed 8000 to 48000"),
        ({"channels": 3}, "sinks.asr.channels: found 3"),
        ({"frame_ms": 5}, "sinks.asr.frame_ms: found 5"),
        ({"rate_hz": 11_025}, "sinks.asr.frame_ms: found 20, no whole number of samples at 11025 Hz"),
        ({"start": '{"a":"{bot}"}'}, "sinks.asr.start: found {bot}, allowed {channels}"),
        ({"headers": {"Authorization": "x"}}, "sinks.asr.headers.Authorization: found a credential"),
        ({"headers": {"Upgrade": "x"}}, "sinks.asr.headers.Upgrade: found a name"),
        ({"headers_env": {"X-Key": "UNSET"}}, "sinks.asr.headers_env.X-Key: found no environment variable UNSET"),
        ({"answers_url": "ws://x"}, "sinks.asr.answers_url: found no URL"),
        ({"answers_token_env": "UNSET"}, "sinks.asr.answers_token_env: found no token"),
        ({"timeout_s": 0}, "sinks.asr.timeout_s: found 0.0, allowed more than 0"),
        ({"types": ["audio.*"]}, "sinks.asr.types: found nothing that stream.closed fits"),
    ],
)
def test_a_wrong_key_is_told_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: dict[str, Any], line: str
) -> None:
    """With what is allowed."""
    monkeypatch.delenv("UNSET", raising=False)
    with pytest.raises(ConfigError) as error:
        make_sink("asr", {"type": "relay", "url": "ws://x/", **keys}, tmp_path)
    assert any(problem.startswith(line) for problem in error.value.problems), error.value.problems


async def test_answers_come_in_like_any_delivery(tmp_path: Path) -> None:
    """Journalled as transcripts of that bot, partial and final, in order; also the last one, after the stop."""
    async with recogniser() as asr, running(tmp_path) as server:

        def answer(heard: Heard) -> list[Any]:
            if heard.told and heard.told[-1]["type"] == "stop":
                return [{"result": {"hypotheses": [{"words": "good morning"}]}, "done": True}]
            if len(heard.frames) == 2:
                partial = {"result": {"hypotheses": [{"words": 'good "mor'}]}, "done": False}
                return ["no JSON", b"\xff", {"result": None}, {"type": "keepalive"}, partial]
            return []

        asr.answer = answer
        keys: dict[str, Any] = {
            "answers_url": server.url + "/meetstream/default/{subject}",
            "answer_text": "result.hypotheses.0.words",
            "answer_final": "done",
            "linger_s": 20,
        }
        async with relay(asr.url, **keys) as sink:
            await sink.write(Batch(said(noise(1600))))
            await until(lambda: asr.heard and len(asr.heard[0].frames) == 5, "heard")
            await sink.write(Batch([closed(99)]))
            await until(lambda: len(events_in(tmp_path)) == 2, "answers in the journal")
        got = [(one["type"], one["subject"], one["data"]["text"]) for one in events_in(tmp_path)]
    assert got == [("transcript.partial", BOT, 'good "mor'), ("transcript.final", BOT, "good morning")]


async def test_an_answer_that_is_not_taken_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the token of the endpoint; one that is refused for good is given up, and the next is heard."""
    monkeypatch.setenv("ENDPOINT_TOKEN", "t-1")
    posts: list[tuple[str, dict[str, Any]]] = []
    statuses = [503, 200, 400, 200]

    async def take(request: web.Request) -> web.Response:
        posts.append((request.headers["Authorization"], await request.json()))
        return web.Response(status=statuses.pop(0))

    app = web.Application()
    app.router.add_post("/in/{subject}", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with recogniser() as asr:
        asr.answer = lambda heard: [{"text": str(len(heard.frames)), "final": 1}] if heard.frames else []
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/in/{{subject}}"
        async with relay(asr.url, answers_url=url, answers_token_env="ENDPOINT_TOKEN") as sink:
            await sink.write(Batch(said(noise(960))))
            await until(lambda: len(posts) == 4, "four posts")
    await runner.cleanup()
    assert [body["transcript"] for _, body in posts] == ["1", "1", "2", "3"]
    assert {token for token, _ in posts} == {"Bearer t-1"} and posts[0][1] == posts[1][1]


async def test_through_the_engine_a_recogniser_that_comes_up_late_hears_it_all(
    tmp_path: Path, silent_port: int
) -> None:
    """Nothing is lost while it is gone: the cursor waits, and the engine repeats."""
    limits = dict.fromkeys((EVENTS, MEDIA, QUARANTINE), LaneLimits())
    journal, state = SqliteJournal(tmp_path, limits), State(tmp_path / "state.db")
    sink, config = make_sink("asr", {"type": "relay", "url": f"ws://127.0.0.1:{silent_port}/{{subject}}"}, tmp_path)
    pace = Pace(lambda: journal.head)
    worker = SinkWorker(
        "asr", sink, config, journal=journal, state=state, book=SinkBook(), decode=decode, pace=pace,
        backoff=Backoff(first_s=0.01, most_s=0.05),
    )  # fmt: skip
    sound, bot = noise(16_000), Bot(journal)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(worker.run())
        await bot.opens()
        await bot.speaks(sound)
        await bot.closes()
        await asyncio.sleep(0.1)
        async with recogniser(silent_port) as asr:
            worker.drain()
            await asyncio.wait_for(asyncio.shield(task), 30)
            own = [one for one in asr.heard if one.path == f"/{BOT}"]
            await until(lambda: own[-1].told[-1:] == [{"type": "stop"}], "stop")
            got = samples_of(b"".join(one.sound for one in own))
        assert worker.cursor == journal.head
    await journal.close()
    await state.close()
    assert np.array_equal(got[: len(sound)], sound) and len(got) - len(sound) < 320
