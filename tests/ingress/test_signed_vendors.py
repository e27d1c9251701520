"""What vendors that sign everything are answered: trials of the URL, published keys, tokens in place of signatures."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from receiver.app import Receiver
from receiver.ingress import keys
from receiver.vendors import daily
from receiver.vendors.realtimekit.verify import sign
from tests.ingress.test_http import call
from tests.support import drained, events_in, running

DAILY_SECRET = base64.b64encode(b"a secret of thirty-two bytes ...").decode()
TOKEN = "tok-4711-secret"
ENVIRON = {"S": DAILY_SECRET, "T": TOKEN}
STARTED = json.dumps(
    {"version": "1.0.0", "type": "meeting.started", "id": "met-sta-1", "event_ts": time.time(),
     "payload": {"start_ts": time.time(), "meeting_id": "m-1", "room": "blue"}}
).encode()  # fmt: skip
KIT_STARTED = (
    b'{"event":"meeting.started","meeting":{"id":"m-1","sessionId":"s-1","startedAt":"2026-06-03T10:00:00.000Z"}}'
)
PAIRS = [generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2)]
PRIVATE = [pair.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode() for pair in PAIRS]
PUBLIC = [
    pair.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode() for pair in PAIRS
]  # fmt: skip


def received(server: Receiver, vendor: str) -> int:
    book = server.ledger.endpoint(vendor, "default")
    assert book.balanced
    return book.received


# Daily


@pytest.mark.parametrize("body", [b'{"test":"test"}', b'{ "Test" : "test" }'])
async def test_a_trial_of_the_url_is_answered_and_not_kept(tmp_path: Path, body: bytes) -> None:
    """Daily sheet 1: it comes before anybody can know the secret, and anything but 200 makes the set-up fail."""
    endpoints = {"daily": {"default": {"secret_env": ["S"]}}}
    async with running(tmp_path, ENVIRON, endpoints=endpoints) as server:
        assert await call(server, "/daily/default", body) == (200, {"status": "ok"})
        wrong = {"X-Webhook-Signature": "AAAA", "X-Webhook-Timestamp": "1"}
        assert await call(server, "/daily/default", body, headers=wrong) == (200, {"status": "ok"})
        assert received(server, "daily") == 0
        await drained(server)
    assert events_in(tmp_path) == []


@pytest.mark.parametrize("body", [b"{}", b'{"test":"tost"}', b'{"test":"test","id":"x"}', b"", STARTED])
async def test_nothing_else_passes_unsigned(tmp_path: Path, body: bytes) -> None:
    """Short or long."""
    async with running(tmp_path, ENVIRON, endpoints={"daily": {"default": {"secret_env": ["S"]}}}) as server:
        status, answer = await call(server, "/daily/default", body)
        assert status == 401 and "signature" in answer["error"]
        book = server.ledger.endpoint("daily", "default")
        assert (book.received, book.refused, book.journalled) == (1, 1, 0)


async def test_a_signed_event_is_taken(tmp_path: Path) -> None:
    """And its repeat is merged by its id."""
    async with running(tmp_path, ENVIRON, endpoints={"daily": {"default": {"secret_env": ["S"]}}}) as server:
        headers = daily.sign(STARTED, [DAILY_SECRET], time.time())
        assert await call(server, "/daily/default", STARTED, headers=headers) == (200, {"status": "accepted"})
        assert await call(server, "/daily/default", STARTED, headers=headers) == (200, {"status": "duplicate"})
        assert (await call(server, "/daily/default", STARTED + b" ", headers=headers))[0] == 401
        await drained(server)
    (event,) = events_in(tmp_path)
    assert (event["type"], event["subject"], event["id"]) == ("meeting.started", "blue", "met-sta-1")


@pytest.mark.parametrize(
    "credentials", ["Bearer " + TOKEN, "Basic " + base64.b64encode(f"x:{TOKEN}".encode()).decode()]
)
async def test_a_token_is_enough(tmp_path: Path, credentials: str) -> None:
    """Whoever shows one is never refused for a signature that is not there: a bridge of somebody's, for instance."""
    endpoints = {"daily": {"default": {"secret_env": ["S"], "token_env": "T"}}}
    async with running(tmp_path, ENVIRON, endpoints=endpoints) as server:
        answer = await call(server, "/daily/default", STARTED, headers={"Authorization": credentials})
        assert answer == (200, {"status": "accepted"})
        assert (await call(server, "/daily/default", STARTED))[0] == 401


# RealtimeKit


class Publisher:
    """The vendor's page with its public key; ``down``: it answers 500."""

    def __init__(self) -> None:
        self.key = 0
        self.down = False
        self.asked = 0

    async def answer(self, _request: web.Request) -> web.Response:
        self.asked += 1
        if self.down:
            return web.Response(status=500)
        return web.json_response({"success": True, "data": {"publicKey": PUBLIC[self.key]}, "message": ""})

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_get("/.well-known/webhooks.json", self.answer)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/.well-known/webhooks.json"
        finally:
            await runner.cleanup()


def published_at(url: str) -> dict[str, dict[str, dict[str, str]]]:
    """Endpoints whose key is there."""
    return {"realtimekit": {"default": {"key_url": url}}}


async def kit(server: Receiver, key: int, uuid: str, **headers: str) -> int:
    """Status of a delivery that is signed with a key of the vendor, of a session of its own."""
    body = KIT_STARTED.replace(b"s-1", uuid.encode())
    signed = {**sign(body, [PRIVATE[key]], 0.0), "rtk-uuid": uuid, **headers}
    return (await call(server, "/realtimekit/default", body, headers=signed))[0]


async def test_the_published_key_is_fetched_kept_and_rotated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """RealtimeKit sheet 1.3: one request for many deliveries; a new key is found when a signature does not fit."""
    monkeypatch.setattr(keys, "_PAUSE_S", 0.0)
    vendor = Publisher()
    async with vendor.serving() as url, running(tmp_path, endpoints=published_at(url)) as server:
        assert await asyncio.gather(*(kit(server, 0, f"u{number}") for number in range(5))) == [200] * 5
        assert vendor.asked == 1
        assert (await call(server, "/realtimekit/default", KIT_STARTED))[0] == 401
        assert await kit(server, 1, "u5") == 401 and vendor.asked == 2
        vendor.key = 1
        assert await kit(server, 1, "u6") == 200 and vendor.asked == 3
        assert await kit(server, 1, "u7") == 200 and vendor.asked == 3
        assert received(server, "realtimekit") == 9
        await drained(server)
    events = events_in(tmp_path)
    assert [event["id"] for event in events][-2:] == ["u6", "u7"] and len(events) == 7
    assert {(event["type"], event["subject"]) for event in events} == {("meeting.started", "m-1")}


async def test_without_the_key_the_vendor_comes_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only 5xx is repeated, so 401 would lose the event. A token needs no key."""
    monkeypatch.setattr(keys, "_PAUSE_S", 0.0)
    vendor = Publisher()
    vendor.down = True
    async with vendor.serving() as url:
        endpoints = {"realtimekit": {"default": {"key_url": url, "token_env": "T"}}}
        async with running(tmp_path, ENVIRON, endpoints=endpoints) as server:
            assert await kit(server, 0, "u1") == 503
            assert await kit(server, 0, "u1", Authorization=f"Bearer {TOKEN}") == 200
            vendor.down = False
            assert await kit(server, 0, "u2") == 200
            book = server.ledger.endpoint("realtimekit", "default")
            assert (book.received, book.failed, book.journalled) == (3, 1, 2) and book.balanced


async def test_a_pinned_key_needs_nobody(tmp_path: Path) -> None:
    """``secret_env`` or ``secret_file`` in place of the URL."""
    endpoints = {"realtimekit": {"default": {"secret_env": ["K"]}}}
    async with running(tmp_path, {"K": PUBLIC[0]}, endpoints=endpoints) as server:
        assert await kit(server, 0, "u1") == 200
        assert await kit(server, 1, "u2") == 401
