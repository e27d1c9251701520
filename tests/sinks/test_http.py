"""The http sink against real servers on the loopback interface."""

import asyncio
import base64
import hashlib
import hmac
import json
import socket
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec
import pytest
from aiohttp import web

from receiver.errors import ConfigError, ReceiverError
from receiver.events import Artifact, AudioChunk, BotStatus, ChatMessage, Event, Person
from sinks.base import Batch, SinkNotConnected, SinkOverloaded, SinkRejected
from sinks.http import HttpSink
from sinks.http_answer import parse_retry_after
from sinks.http_config import HttpConfig

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
Answer = Callable[["Server", bytes], web.Response]


def status_event(number: int, **changes: Any) -> Event:
    event = Event(
        id=f"event/{number}",
        source="/meetstream/default",
        type="bot.status",
        time_ns=1_790_000_000 * 10**9,
        received_ns=1_790_000_001 * 10**9,
        subject="bot-1",
        sequence=number,
        data=BotStatus(status="recording", message=f"number {number}"),
    )
    return msgspec.structs.replace(event, **changes)


def audio_event(pcm: bytes) -> Event:
    speaker = Person(id="7", name="Zoë 50%")
    data = AudioChunk(codec="pcm_s16le", rate_hz=16_000, channels=1, speaker=speaker, first_sample=9)
    return status_event(1, type="audio.chunk", media=pcm, media_type="audio/L16", data=data, subject="Räum 1€")


class Server:
    """A web server that keeps what it is sent, and answers as it is told; 200 by default."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.answer: Answer = lambda server, body: web.Response()
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.requests.append(({name.lower(): value for name, value in request.headers.items()}, body))
        return self.answer(self, body)

    def ids(self) -> list[str]:
        """Ids of all events that came, in order."""
        found: list[str] = []
        for _, body in self.requests:
            value = json.loads(body)
            found += [each["id"] for each in (value if isinstance(value, list) else [value])]
        return found


@pytest.fixture
async def server() -> Any:
    here = Server()
    app = web.Application(client_max_size=64 << 20)
    app.router.add_route("*", "/{rest:.*}", here.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    here.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook/hush?key=hush"
    yield here
    await runner.cleanup()


@pytest.fixture
async def make(tmp_path: Path) -> Any:
    sinks: list[HttpSink] = []

    async def opened(url: str, **keys: Any) -> HttpSink:
        sink = HttpSink("hook", HttpConfig(type="http", url=url, **keys), tmp_path)
        sinks.append(sink)
        await sink.open()
        return sink

    yield opened
    for sink in sinks:
        await sink.close()


Make = Callable[..., Awaitable[HttpSink]]


def verify(headers: dict[str, str], body: bytes) -> bool:
    """Check a signature the way a receiver does, with nothing of ours."""
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    want = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return headers["webhook-signature"] == f"v1,{want}"


async def test_batch_mode(server: Server, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many events a request: a JSON array with its media type, signed, in order."""
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    sink = await make(server.url, secret_env="HOOK_SECRET", headers={"X-Team": "audio"})
    await sink.write(Batch([status_event(n) for n in range(1, 4)]))
    ((headers, body),) = server.requests
    assert headers["content-type"] == "application/cloudevents-batch+json"
    assert headers["x-team"] == "audio"
    assert [event["sequence"][-1] for event in json.loads(body)] == ["1", "2", "3"]
    assert verify(headers, body)
    assert abs(int(headers["webhook-timestamp"]) - datetime.now(UTC).timestamp()) < 60


async def test_structured_mode(server: Server, make: Make, tmp_path: Path) -> None:
    """One event a request, the attributes and data in one JSON object; the secret may lie in a file."""
    (tmp_path / "secret").write_text(SECRET + "\n")
    sink = await make(server.url, mode="structured", secret_file="secret")
    await sink.write(Batch([status_event(1), status_event(2)]))
    assert [headers["content-type"] for headers, _ in server.requests] == ["application/cloudevents+json"] * 2
    assert [json.loads(body)["data"]["message"] for _, body in server.requests] == ["number 1", "number 2"]
    assert all(verify(headers, body) for headers, body in server.requests)
    assert len({headers["webhook-id"] for headers, _ in server.requests}) == 2


async def test_binary_mode_carries_audio_as_bytes(server: Server, make: Make) -> None:
    """Attributes as ce-* headers, percent-encoded; the body is the audio, byte for byte, its type the Content-Type."""
    pcm = bytes(range(256)) * 5000
    sink = await make(server.url, mode="binary")
    await sink.write(Batch([audio_event(pcm), status_event(2)]))
    (headers, body), (second, data) = server.requests
    assert body == pcm
    assert headers["content-type"] == "audio/L16"
    assert headers["ce-subject"] == "R%C3%A4um%201%E2%82%AC"
    assert unquote(headers["ce-speakername"], errors="strict") == "Zoë 50%"
    assert headers["ce-specversion"] == "1.0"
    assert "webhook-signature" not in headers
    assert second["content-type"] == "application/json"
    assert second["ce-type"] == "bot.status"
    assert json.loads(data) == {"status": "recording", "message": "number 2"}


async def test_repeated_batch_has_the_same_id(server: Server, make: Make) -> None:
    """webhook-id is the same on every attempt, and another one for other events."""
    sink = await make(server.url)
    for numbers in ((1, 2), (1, 2), (2, 3)):
        await sink.write(Batch([status_event(n) for n in numbers]))
    first, again, other = [headers["webhook-id"] for headers, _ in server.requests]
    assert first == again != other


async def test_batches_are_cut_by_size(server: Server, make: Make) -> None:
    """No body of several events is larger than batch_bytes; a larger event goes alone; the order stays."""
    events = [status_event(n, data=ChatMessage(text="x" * (5000 if n == 4 else 500))) for n in range(1, 9)]
    sink = await make(server.url, batch_bytes=2000)
    await sink.write(Batch(events))
    assert server.ids() == [event.id for event in events]
    sizes = [(len(body), len(json.loads(body))) for _, body in server.requests]
    assert all(size <= 2000 or count == 1 for size, count in sizes)
    assert max(count for _, count in sizes) == 2


async def test_wishes_for_secrets_and_raw_are_kept(server: Server, make: Make) -> None:
    """Signed URLs and the vendor's body go out only where the config asks for them."""
    event = status_event(1, type="artifact.ready", data=Artifact(kind="audio", url="https://x/?sig=1"), raw=b'{"a":1}')
    for mode in ("batch", "structured"):
        sink = await make(server.url, mode=mode)
        await sink.write(Batch([event]))
        await sink.write(Batch([event], raw=True, secrets=True))
    sink = await make(server.url, mode="binary")
    await sink.write(Batch([event]))
    assert [b"sig=1" in body for _, body in server.requests] == [False, True, False, True, False]
    assert [b'"raw":' in body for _, body in server.requests] == [False, True, False, True, False]


@pytest.mark.parametrize("status", [400, 409, 413, 415, 422])
async def test_only_the_poisoned_events_are_rejected(server: Server, make: Make, status: int) -> None:
    """A batch that is refused for its content is halved until only what the far side does not want remains."""
    bad = {"event/3", "event/7"}

    def answer(_: Server, body: bytes) -> web.Response:
        return web.Response(status=status if any(each["id"] in bad for each in json.loads(body)) else 202)

    server.answer = answer
    sink = await make(server.url)
    with pytest.raises(SinkRejected, match=f"refused it with {status}") as caught:
        await sink.write(Batch([status_event(n) for n in range(1, 10)]))
    assert {event.id for event in caught.value.events} == bad
    accepted = [each["id"] for _, body in server.requests for each in json.loads(body) if not _holds(body, bad)]
    assert accepted == [f"event/{n}" for n in range(1, 10) if f"event/{n}" not in bad]


def _holds(body: bytes, ids: set[str]) -> bool:
    return any(each["id"] in ids for each in json.loads(body))


async def test_single_event_is_rejected(server: Server, make: Make) -> None:
    """One event a request: a 400 rejects that event, its neighbours are delivered."""
    server.answer = lambda _, body: web.Response(status=400 if b"event/2" in body else 200)
    sink = await make(server.url, mode="structured")
    with pytest.raises(SinkRejected) as caught:
        await sink.write(Batch([status_event(n) for n in range(1, 4)]))
    assert [event.id for event in caught.value.events] == ["event/2"]
    assert server.ids() == ["event/1", "event/2", "event/3"]


@pytest.mark.parametrize("status", [301, 302, 307, 308, 401, 403, 404, 405, 407, 408, 410, 425, 429, 500, 502, 503])
async def test_what_an_operator_or_time_can_mend_is_tried_again(server: Server, make: Make, status: int) -> None:
    """Endpoint, credential or moment: retryable, never a dead letter; a redirect is not followed."""
    server.answer = lambda here, _: web.Response(status=status, headers={"Location": here.url})
    sink = await make(server.url)
    with pytest.raises(ReceiverError, match=f"^127.0.0.1:[0-9]+ answered {status}") as caught:
        await sink.write(Batch([status_event(1), status_event(2)]))
    assert caught.value.retryable
    assert not isinstance(caught.value, SinkRejected | SinkOverloaded)
    assert len(server.requests) == 1
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_passed_on(server: Server, make: Make, status: int) -> None:
    """An endpoint that asks for a pause gets it."""
    server.answer = lambda *_: web.Response(status=status, headers={"Retry-After": "17"})
    sink = await make(server.url)
    with pytest.raises(SinkOverloaded) as caught:
        await sink.write(Batch([status_event(1)]))
    assert caught.value.retry_after_s == 17


def test_forms_of_retry_after() -> None:
    """Seconds or an HTTP date, in bounds; anything else tells nothing."""
    now = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
    now_s = now.timestamp()
    assert parse_retry_after(format_datetime(now + timedelta(seconds=90), usegmt=True), now_s) == 90
    assert parse_retry_after(format_datetime(now - timedelta(days=9), usegmt=True), now_s) == 0
    assert parse_retry_after("Sat, 21 Nov 2099 12:00:00 GMT", now_s) == 3600
    assert parse_retry_after("0", now_s) == 0
    assert parse_retry_after("9" * 400, now_s) == 3600
    for nonsense in ("", "-5", "soon", "1.5", "٣", "Sat, 99 Nov 2026 12:00:00 GMT"):
        assert parse_retry_after(nonsense, now_s) is None
    assert parse_retry_after(None, now_s) is None


async def test_what_was_accepted_is_not_sent_again(server: Server, make: Make) -> None:
    """When a later request of the batch fails, the repetition leaves out what the far side has or has refused."""
    events = [status_event(n) for n in range(1, 5)]
    state = {"broken": True}

    def answer(_: Server, body: bytes) -> web.Response:
        if b"event/2" in body:
            return web.Response(status=422)
        return web.Response(status=500 if b"event/3" in body and state["broken"] else 200)

    server.answer = answer
    sink = await make(server.url, mode="structured")
    with pytest.raises(ReceiverError, match="answered 500"):
        await sink.write(Batch(events))
    state["broken"] = False
    await sink.close()
    await sink.open()
    with pytest.raises(SinkRejected) as caught:
        await sink.write(Batch(events))
    assert caught.value.events == (events[1],)
    assert server.ids() == ["event/1", "event/2", "event/3", "event/3", "event/4"]
    await sink.write(Batch(events[:1]))
    assert server.ids()[-1] == "event/1"


async def serve_raw(handler: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> asyncio.Server:
    """A server of bare sockets, for what a web server does not do."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        finally:
            writer.close()

    return await asyncio.start_server(handle, "127.0.0.1", 0)


async def was_asked(reader: asyncio.StreamReader) -> bool:
    """Read a request to its end: what closes with some of it unread, breaks off its own answer. False where none came:
    opening only looks whether anybody is there."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return False
    await reader.readexactly(int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]))
    return True


def url_of(server: asyncio.Server) -> str:
    return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hush"


async def test_hanging_server_is_given_up(make: Make) -> None:
    """No answer within timeout_s: not connected, the batch is repeated."""
    gone = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read(-1)
        gone.set()

    async with await serve_raw(hang) as server:
        sink = await make(url_of(server), timeout_s=1)
        with pytest.raises(SinkNotConnected, match="did not answer within 1 s"):
            await sink.write(Batch([status_event(1)]))
        await asyncio.wait_for(gone.wait(), 30)


async def test_connection_lost_in_mid_request(make: Make) -> None:
    """A server that goes away while it reads has accepted nothing: not connected, nothing of the URL in the text."""

    async def go_away(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read(100)

    async with await serve_raw(go_away) as server:
        sink = await make(url_of(server))
        with pytest.raises(SinkNotConnected, match="no answer from") as caught:
            await sink.write(Batch([status_event(n) for n in range(1, 500)]))
        assert "hush" not in str(caught.value)


@pytest.mark.parametrize("tail", [b"Content-Length: 100\r\n\r\ncut", b"Transfer-Encoding: chunked\r\n\r\n5\r\nab"])
async def test_the_status_is_the_answer(make: Make, tail: bytes) -> None:
    """An answer whose body breaks off is still the answer: the far side has said yes."""

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await was_asked(reader):
            writer.write(b"HTTP/1.1 200 OK\r\n" + tail)
            await writer.drain()

    async with await serve_raw(cut) as server:
        sink = await make(url_of(server))
        await sink.write(Batch([status_event(1)]))


async def test_endless_answer_is_not_read(make: Make) -> None:
    """The body of an answer is read up to a bound, then the connection is closed."""
    stopped = asyncio.Event()

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not await was_asked(reader):
            return
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")
        try:
            while True:
                writer.write(bytes(65_536))
                await writer.drain()
        except ConnectionError:
            stopped.set()

    async with await serve_raw(endless) as server:
        sink = await make(url_of(server))
        await sink.write(Batch([status_event(1)]))
        await asyncio.wait_for(stopped.wait(), 30)


async def test_nobody_listens(tmp_path: Path) -> None:
    """Opening tells at once, in one sentence, that the far side cannot be reached; so does ``receiver check``."""
    with socket.socket() as silent:  # has the port, so that nobody else gets it, and does not listen there
        silent.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/hush"
        sink = HttpSink("hook", HttpConfig(type="http", url=url), tmp_path)
        with pytest.raises(SinkNotConnected, match=r"cannot connect to 127\.0\.0\.1:") as caught:
            await sink.open()
    assert "hush" not in str(caught.value)
    with pytest.raises(SinkNotConnected, match="not open"):
        await sink.write(Batch([status_event(1)]))
    await sink.close()


async def test_plain_server_behind_https(server: Server, tmp_path: Path) -> None:
    """A TLS handshake that fails is found when the sink is opened."""
    sink = HttpSink("hook", HttpConfig(type="http", url=server.url.replace("http:", "https:")), tmp_path)
    with pytest.raises(SinkNotConnected, match="cannot connect to"):
        await sink.open()


async def test_opening_sends_nothing(server: Server, make: Make) -> None:
    """To see whether the far side is there needs no request; open and close may be called again."""
    sink = await make(server.url)
    await sink.open()
    await sink.close()
    await sink.close()
    assert server.requests == []


async def test_credentials_come_from_the_environment(
    server: Server, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """headers_env names variables; no value of a secret shows in the sink's or the config's printed form."""
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    monkeypatch.setenv("HOOK_TOKEN", "Bearer hush-hush")
    sink = await make(server.url, secret_env="HOOK_SECRET", headers_env={"Authorization": "HOOK_TOKEN"})
    await sink.write(Batch([status_event(1)]))
    assert server.requests[0][0]["authorization"] == "Bearer hush-hush"
    shown = f"{sink!r} {sink._config!r} {sink._credentials!r} {sink._credentials}"
    assert "hush-hush" not in shown
    assert SECRET not in shown


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"secret_env": "HOOK_NOT_SET"}, r"sinks\.hook\.secret_env: found no environment variable HOOK_NOT_SET"),
        ({"secret_env": "HOOK_BAD"}, r"sinks\.hook\.secret_env: found text that is no base64"),
        ({"secret_file": "absent"}, r"sinks\.hook\.secret_file: found the file absent, which cannot be read"),
        ({"secret_env": "A", "secret_file": "b"}, r"sinks\.hook\.secret_env: found beside secret_file"),
        ({"headers_env": {"X-Key": "HOOK_NOT_SET"}}, r"sinks\.hook\.headers_env\.X-Key: found no environment variable"),
        ({"headers_env": {"X-Key": "HOOK_LINES"}}, r"sinks\.hook\.headers_env\.X-Key: found a value with line breaks"),
        ({"headers": {"webhook-id": "1"}}, r"sinks\.hook\.headers\.webhook-id: found a name"),
        ({"headers": {"a b": "1"}}, r"sinks\.hook\.headers\.a b: found a name"),
        ({"headers": {"Authorization": "hush!"}}, r"sinks\.hook\.headers\.Authorization: found a credential"),
        ({"url": "ftp://hush!/"}, r"sinks\.hook\.url: found no URL"),
        ({"url": "http://"}, r"sinks\.hook\.url: found no URL"),
        ({"url": "http://h:99999999/hush!"}, r"sinks\.hook\.url: found no URL"),
        ({"url": "https://me:hush!@h/"}, r"sinks\.hook\.url: found a user name or password"),
        ({"timeout_s": 0}, r"sinks\.hook\.timeout_s: found 0"),
        ({"mode": "binary", "raw": True}, r"sinks\.hook\.raw: found true"),
    ],
)
def test_configuration_is_checked_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: dict[str, Any], text: str
) -> None:
    """A wrong key refuses to start, names itself, and quotes nothing that may be secret."""
    monkeypatch.setenv("HOOK_BAD", "whsec_hush!")
    monkeypatch.setenv("HOOK_LINES", "hush!\r\nX: y")
    with pytest.raises(ConfigError, match=text) as caught:
        HttpSink("hook", HttpConfig(**{"type": "http", "url": "http://127.0.0.1:1/", **keys}), tmp_path)
    assert "hush!" not in str(caught.value)
