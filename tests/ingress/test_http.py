"""Deliveries over real HTTP: what is answered, what is kept, who is refused."""

import asyncio
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from receiver.app import Receiver
from receiver.ingress.quarantine import quarantined
from receiver.record import Record
from tests.support import DEADLINE_S, JOINING, drained, events_in, running

TOKEN = "tok-4711-secret"
SECRET = "whsec_very_secret"
TOKEN_ENDPOINT = {"meetstream": {"default": {"token_env": "T"}}}
SIGNED_ENDPOINT = {"meetstream": {"default": {"secret_env": ["S"]}}}
BOTH_ENDPOINT = {"meetstream": {"default": {"token_env": "T", "secret_env": ["S"]}}}
ENVIRON = {"T": TOKEN, "S": SECRET}
Reply = tuple[int, dict[str, Any]]


async def call(
    server: Receiver,
    path: str = "/meetstream/default",
    body: bytes | None = None,
    method: str = "POST",
    headers: dict[str, str] | None = None,
) -> Reply:
    """One request; status and JSON answer."""
    content = json.dumps(JOINING).encode() if body is None else body
    async with (
        aiohttp.ClientSession() as client,
        client.request(method, server.url + path, data=content, headers=headers) as reply,
    ):
        return reply.status, await reply.json(content_type=None)


def signature(body: bytes, secret: str = SECRET) -> str:
    """The vendor's scheme, section 3 of its fact sheet, written down here a second time on purpose."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def in_quarantine(data_dir: Path) -> list[Record]:
    return list(quarantined(data_dir / "journal"))


async def test_a_delivery_becomes_an_event_in_the_file(tmp_path: Path) -> None:
    """The main job: POST in, 200, event out."""
    async with running(tmp_path) as server:
        assert await call(server) == (200, {"status": "accepted"})
        await drained(server)
    (event,) = events_in(tmp_path)
    assert event["type"] == "bot.status" and event["subject"] == "bot-1" and event["data"]["status"] == "joining"
    assert event["source"] == "/meetstream/default" and event["time"] == "2026-06-10T09:00:00.000000Z"


async def test_repeats_are_answered_and_merged(tmp_path: Path) -> None:
    """Sheet 3: a repeat gets its 2xx and is written once, also when both are in flight."""
    async with running(tmp_path) as server:
        replies = await asyncio.gather(*(call(server) for _ in range(20)))
        assert sorted(status for status, _ in replies) == [200] * 20
        assert sorted(answer["status"] for _, answer in replies) == ["accepted"] + ["duplicate"] * 19
        book = server.ledger.endpoint("meetstream", "default")
        assert (book.received, book.journalled, book.duplicates) == (20, 1, 19) and book.balanced
    assert len(events_in(tmp_path)) == 1


async def test_repeats_are_known_after_a_restart(tmp_path: Path) -> None:
    """The memory of keys is rebuilt from the journal."""
    async with running(tmp_path) as server:
        await call(server)
    async with running(tmp_path) as server:
        assert (await call(server))[1] == {"status": "duplicate"}
    assert len(events_in(tmp_path)) == 1


async def test_untimed_repeats_are_legitimate_after_a_short_window(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sheet 3: up to three `bot.joining` with equal text and no timestamp are honest; ids differ."""
    untimed = json.dumps({key: value for key, value in JOINING.items() if key != "timestamp"}).encode()
    async with running(tmp_path, journal={"dedup_untimed_window_s": 60.0, "min_free_bytes": 0}) as server:
        assert (await call(server, body=untimed))[1] == {"status": "accepted"}
        assert (await call(server, body=untimed))[1] == {"status": "duplicate"}
        steady_ns = time.monotonic_ns
        monkeypatch.setattr(time, "monotonic_ns", lambda: steady_ns() + 61 * 10**9)
        assert (await call(server, body=untimed))[1] == {"status": "accepted"}
    first, second = events_in(tmp_path)
    assert second["id"] == first["id"] + "~2"


async def test_the_path_may_carry_bot_and_channel(tmp_path: Path) -> None:
    """Section B: hints in the path tell whose a body is that names nobody; a body's own id outweighs them."""
    anonymous = json.dumps({"event": "something.new"}).encode()
    async with running(tmp_path) as server:
        await call(server, "/meetstream/default/bot%2F9/transcript", anonymous)
        await call(server, "/meetstream/default/other")
        await drained(server)
    assert [event["subject"] for event in events_in(tmp_path)] == ["bot/9", "bot-1"]


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/meetstream/default", {}, 401),
        ("/meetstream/default/wrong", {}, 401),
        ("/meetstream/default?token=wrong", {}, 401),
        ("/meetstream/default", {"Authorization": "Bearer wrong"}, 401),
        (f"/meetstream/default/{TOKEN}", {}, 200),
        (f"/meetstream/default/bot-1/audio/{TOKEN}", {}, 200),
        (f"/meetstream/default?token={TOKEN}", {}, 200),
        ("/meetstream/default", {"Authorization": f"Bearer {TOKEN}"}, 200),
        ("/meetstream/other", {}, 404),
        ("/nobody/default", {}, 404),
        ("/", {}, 404),
        ("/meetstream/default/%ff%fe/%00", {}, 401),
    ],
)
async def test_tokens_in_path_query_or_header(tmp_path: Path, path: str, headers: dict[str, str], status: int) -> None:
    """Per-endpoint URL tokens; whoever shows none or a wrong one is told 401, and nothing is kept."""
    async with running(tmp_path, ENVIRON, endpoints=TOKEN_ENDPOINT) as server:
        reply, answer = await call(server, path, headers=headers)
        assert reply == status, answer
        if status != 200:
            assert answer["error"] and TOKEN not in answer["error"]
    assert len(events_in(tmp_path)) == (status == 200)


async def test_a_refused_client_costs_no_memory(tmp_path: Path) -> None:
    """Section E: refused before the body is read: the answer comes while the body is still owed."""
    async with running(tmp_path, ENVIRON, endpoints=TOKEN_ENDPOINT) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rsplit(":", 1)[1]))
        writer.write(b"POST /meetstream/default HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n")
        line = await asyncio.wait_for(reader.readline(), DEADLINE_S)
        assert b"401" in line
        writer.close()


async def test_expect_continue_asks_for_no_body_that_is_refused(tmp_path: Path) -> None:
    """`Expect: 100-continue` with a wrong token is answered 401 at once; with the token, the body is asked for."""
    head = b"POST /meetstream/default%s HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    async with running(tmp_path, ENVIRON, endpoints=TOKEN_ENDPOINT) as server:
        for token, wanted in ((b"", b"401"), (f"/{TOKEN}".encode(), b"100")):
            reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rsplit(":", 1)[1]))
            writer.write(head % token)
            assert wanted in await asyncio.wait_for(reader.readline(), DEADLINE_S)
            writer.close()


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'"x"', b'{"bot_id": 5, "event": "bot.joining"}', b"\xff\xfe", b"[" * 10_000]
)
async def test_malformed_bodies_of_token_holders_are_kept_and_get_their_2xx(tmp_path: Path, body: bytes) -> None:
    """Section E: whoever shows the token is never refused for content; the bytes lie in quarantine."""
    async with running(tmp_path, ENVIRON, endpoints=TOKEN_ENDPOINT) as server:
        status, answer = await call(server, f"/meetstream/default/{TOKEN}", body)
        assert status == 200 and answer["status"] == "quarantined" and answer["error"]
        assert server.ledger.endpoint("meetstream", "default").quarantined == 1
    (kept,) = in_quarantine(tmp_path)
    assert kept.payload == body and kept.reason == answer["error"]


async def test_malformed_bodies_at_an_open_endpoint_are_kept_and_answered_400(tmp_path: Path) -> None:
    """Section E: without any credential, malformed bytes are quarantined and answered 400."""
    async with running(tmp_path) as server:
        status, answer = await call(server, body=b'{"event": 5}')
        assert status == 400 and "$.event" in answer["error"]
    assert len(in_quarantine(tmp_path)) == 1


async def test_unknown_events_are_passed_on(tmp_path: Path) -> None:
    """Well-formed but unknown is `vendor.event`, with the vendor's own JSON as data."""
    body = {"event": "bot.teleported", "bot_id": "b", "odd": [1, {"x": None}]}
    async with running(tmp_path) as server:
        assert (await call(server, body=json.dumps(body).encode()))[0] == 200
    (event,) = events_in(tmp_path)
    assert event["type"] == "vendor.event" and event["data"] == body and event["vendorevent"] == "bot.teleported"


async def test_oversized_bodies_are_refused_unread(tmp_path: Path) -> None:
    """413 names the limit, both for a declared length and for a body that turns out too long."""
    async with running(tmp_path, server={"max_body_bytes": 1000}) as server:
        status, answer = await call(server, body=bytes(2000))
        assert status == 413 and "1000" in answer["error"]

        async def endless() -> Any:
            for _ in range(100):
                yield bytes(100)

        async with (
            aiohttp.ClientSession() as client,
            client.post(server.url + "/meetstream/default", data=endless()) as r,
        ):
            assert r.status == 413
        assert server.ledger.endpoint("meetstream", "default").refused == 2
    assert not events_in(tmp_path)


@pytest.mark.parametrize("method", ["GET", "DELETE", "PATCH", "HEAD", "OPTIONS"])
async def test_other_methods_are_405(tmp_path: Path, method: str) -> None:
    """Wrong method: 405 that says which are allowed. Tunnels and health checks probe (sheet 9): they get an answer."""
    async with (
        running(tmp_path) as server,
        aiohttp.ClientSession() as client,
        client.request(method, server.url + "/meetstream/default") as reply,
    ):
        assert reply.status == 405 and "POST" in reply.headers["Allow"]


@pytest.mark.parametrize(
    ("endpoints", "path", "header", "status"),
    [
        (SIGNED_ENDPOINT, "", "good", 200),
        (SIGNED_ENDPOINT, "", "bad", 401),
        (SIGNED_ENDPOINT, "", None, 401),
        (BOTH_ENDPOINT, f"/{TOKEN}", None, 200),
        (BOTH_ENDPOINT, f"/{TOKEN}", "good", 200),
        (BOTH_ENDPOINT, "/wrong", "good", 200),
        (BOTH_ENDPOINT, "/wrong", "bad", 401),
        (BOTH_ENDPOINT, f"/{TOKEN}", "bad", 401),
    ],
)
async def test_token_or_signature(
    tmp_path: Path, endpoints: dict[str, Any], path: str, header: str | None, status: int
) -> None:
    """Sheet 3: most pushes are unsigned, so a token suffices; a signature that is there must fit."""
    body = json.dumps(JOINING).encode()
    headers = (
        {} if header is None else {"X-MeetStream-Signature": signature(body, SECRET if header == "good" else "no")}
    )
    async with running(tmp_path, ENVIRON, endpoints=endpoints) as server:
        reply, answer = await call(server, f"/meetstream/default{path}", body, headers=headers)
        assert reply == status, answer
        assert server.ledger.endpoint("meetstream", "default").balanced
    assert len(events_in(tmp_path)) == (status == 200)
    # a wrong signature from the holder of the token may be a rotated secret: refused, but not lost
    assert len(in_quarantine(tmp_path)) == (path == f"/{TOKEN}" and header == "bad")


async def test_credentials_never_reach_disk_or_events(tmp_path: Path) -> None:
    """Secrets: neither the journal nor a sink holds a token or an authorization header."""
    async with running(tmp_path, ENVIRON, endpoints=TOKEN_ENDPOINT) as server:
        headers = {"Authorization": f"Bearer {TOKEN}", "X-Api-Key": "sesame", "Cookie": "a=sesame"}
        await call(server, f"/meetstream/default/{TOKEN}?token={TOKEN}", headers=headers)
        await drained(server)
    for path in tmp_path.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert TOKEN.encode() not in content and b"sesame" not in content, path


async def test_health_and_readiness(tmp_path: Path) -> None:
    """Section F: /healthz answers, /readyz names journal, disk and sinks; it is red when a commit failed."""
    async with running(tmp_path) as server:
        assert (await call(server, "/healthz", method="GET"))[0] == 200
        status, answer = await call(server, "/readyz", method="GET")
        assert status == 200 and set(answer["checks"].items()) == {
            (what, "ok") for what in ("journal", "disk", "shedding", "serving")
        }
        assert set(answer["sinks"]) == {"file"}
        server.journal.lanes["events"].error = "disk is full"
        status, answer = await call(server, "/readyz", method="GET")
        assert status == 503 and answer["checks"]["journal"] == "disk is full"
        server.journal.lanes["events"].error = None


async def test_a_full_disk_is_503_and_recovers(tmp_path: Path) -> None:
    """Architecture 2: a journal that cannot write answers 503 with Retry-After; the next try is no duplicate."""
    async with running(tmp_path) as server:
        await call(server, body=b'{"event":"first.one"}')
        lane = server.journal.lanes["events"]
        assert lane._segment is not None
        lane._segment._db.execute("PRAGMA max_page_count = 1")
        big = json.dumps({**JOINING, "message": "x" * 100_000}).encode()
        async with (
            aiohttp.ClientSession() as client,
            client.post(server.url + "/meetstream/default", data=big) as reply,
        ):
            assert reply.status == 503 and reply.headers["Retry-After"]
        lane._segment._db.execute("PRAGMA max_page_count = 1000000")
        assert (await call(server, body=big))[1] == {"status": "accepted"}
        await drained(server)
    assert [event["type"] for event in events_in(tmp_path)] == ["vendor.event", "bot.status"]


async def test_metrics_balance(tmp_path: Path) -> None:
    """The ledger in /metrics: received = journalled + duplicates + refused + quarantined + failed."""
    async with running(tmp_path, ENVIRON, endpoints=TOKEN_ENDPOINT) as server:
        good = f"/meetstream/default/{TOKEN}"
        for path, body in ((good, None), (good, None), (good, b"{"), ("/meetstream/default", None)):
            await call(server, path, body)
        await drained(server)
        async with aiohttp.ClientSession() as client, client.get(server.url + "/metrics") as reply:
            text = await reply.text()
    values = {
        line.split("{")[0].removeprefix("receiver_").removesuffix("_total"): float(line.rsplit(" ", 1)[1])
        for line in text.splitlines()
        if line.startswith("receiver_") and "{" in line and "lane=" not in line
    }
    assert [values[key] for key in ("received", "journalled", "duplicates", "refused", "quarantined", "failed")] == [
        4, 1, 1, 1, 1, 0,
    ]  # fmt: skip
    assert values["sink_delivered"] == 1 and values["sink_pending"] == 0


async def test_a_fault_in_a_decoder_is_never_a_500(tmp_path: Path) -> None:
    """Never a 500: what a decoder chokes on lies in quarantine and can be tried again later."""
    async with running(tmp_path) as server:

        def broken(record: Record) -> Any:
            raise ZeroDivisionError

        decode, server.intake._decode = server.intake._decode, broken
        status, answer = await call(server)
        assert status == 400 and answer["error"] == "decoder fault: ZeroDivisionError"
        server.intake._decode = decode
        (kept,) = in_quarantine(tmp_path)
        assert (await server.retry_quarantined(kept.seq)).startswith("accepted: 1 events")
        assert not in_quarantine(tmp_path)
        await drained(server)
    assert len(events_in(tmp_path)) == 1


@pytest.mark.parametrize(
    "raw",
    [
        b"GARBAGE\r\n\r\n",
        b"POST /meetstream/default HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /meetstream/default HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
    ],
    ids=["no-http", "negative-length", "smuggling", "long-path", "long-header"],
)
async def test_broken_http_is_a_4xx(tmp_path: Path, raw: bytes) -> None:
    """What is no proper HTTP gets a 4xx, and the server goes on."""
    async with running(tmp_path) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rsplit(":", 1)[1]))
        writer.write(raw)
        line = await asyncio.wait_for(reader.readline(), DEADLINE_S)
        assert line.startswith(b"HTTP/1.") and line.split()[1].startswith(b"4"), line
        writer.close()
        assert (await call(server))[0] == 200
