"""One vendor's REST API over HTTP: when a call is tried again, how long it waits, and what an error says."""

import asyncio
import email.utils
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from receiver.errors import VendorError, VendorNotFound, VendorUnreachable
from receiver.rest.http import Reply, Rest, Tries, origin, retry_after_s, words_of

SECRET = "key-0123456789"
QUICK = Tries(count=3, first_s=0.0, most_s=0.0, most_wait_s=5.0)
Answer = Callable[[web.Request], web.StreamResponse]


class Asked(list[web.Request]):
    """The requests that came, oldest first, with their bodies."""

    def __init__(self) -> None:
        super().__init__()
        self.bodies: list[bytes] = []


@asynccontextmanager
async def vendor(*answers: Answer, tries: Tries = QUICK, **kept: Any) -> AsyncIterator[tuple[Rest, Asked]]:
    """A client of a service that gives these answers, one after the other."""
    waiting, asked = list(answers), Asked()

    async def handle(request: web.Request) -> web.StreamResponse:
        asked.append(request)
        asked.bodies.append(await request.read())
        return waiting.pop(0)(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/api"
        async with aiohttp.ClientSession() as client:
            yield Rest(client, "acme", url, shown, tries=tries, **kept), asked
    finally:
        await runner.cleanup()


async def shown() -> dict[str, str]:
    return {"Authorization": f"Bearer {SECRET}"}


def says(status: int, told: Any = None, **headers: str) -> Answer:
    """An answer in JSON; header names with ``_`` for ``-``."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda request: web.json_response(told, status=status, headers=named)


def breaks(request: web.Request) -> web.StreamResponse:
    """The line is cut before an answer."""
    assert request.transport is not None
    request.transport.close()
    return web.Response()


# What is sent


async def test_a_call_as_it_arrives() -> None:
    """Below the base URL, with the credential of each try, the query, and JSON."""
    async with vendor(says(200, {"a": 1})) as (rest, asked):
        reply = await rest.call("POST", "/things", query={"n": 1, "yes": True, "gone": None, "l": ["a", "b"]}, json={})
    assert asked[0].path == "/api/things" and asked[0].query_string == "n=1&yes=true&l=a&l=b"
    assert asked[0].headers["Authorization"] == f"Bearer {SECRET}" and asked.bodies == [b"{}"]
    assert asked[0].headers["Content-Type"] == "application/json"
    assert (reply.status, reply.body, reply.headers["content-type"][:16]) == (200, b'{"a": 1}', "application/json")


async def test_a_form_is_sent_again_whole() -> None:
    """The second try has the same body as the first."""
    async with vendor(says(429, {}), says(200, {})) as (rest, asked):
        await rest.call("POST", "token", form={"grant": "client credentials"})
    assert asked.bodies == [b"grant=client+credentials"] * 2


async def test_each_try_asks_for_the_credential_anew() -> None:
    """It may have been renewed meanwhile."""
    keys = iter(["first", "second"])

    async def renewed() -> dict[str, str]:
        return {"X-Key": next(keys)}

    async with vendor(says(500, {}), says(200, {})) as (rest, asked):
        rest._headers = renewed
        await rest.call("GET", "a")
    assert [request.headers["X-Key"] for request in asked] == ["first", "second"]


async def test_a_next_link_stays_on_the_vendors_host() -> None:
    """A whole URL is followed on the same host; elsewhere the token would be given away."""
    async with vendor(says(200, {})) as (rest, asked):
        await rest.call("GET", rest.base_url.replace("/api", "/next?page=2"))
        for other in ("http://evil.example/x", rest.base_url.replace("127.0.0.1", "localhost"), "https://127.0.0.1/"):
            with pytest.raises(VendorError, match="another host"):
                await rest.call("GET", other)
    assert [request.path_qs for request in asked] == ["/next?page=2"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(status: int) -> None:
    """Nobody but the vendor's own host sees a token."""
    async with vendor(says(status, {}, Location="/api/other")) as (rest, asked):
        with pytest.raises(VendorError, match=f"answered {status}"):
            await rest.call("GET", "a")
    assert len(asked) == 1


# Tries


@pytest.mark.parametrize(
    ("method", "status", "headers", "tries"),
    [
        ("GET", 500, {}, 3), ("GET", 502, {}, 3), ("PUT", 503, {}, 3), ("DELETE", 504, {}, 3), ("GET", 507, {}, 3),
        ("POST", 500, {}, 1), ("PATCH", 502, {}, 1), ("POST", 503, {}, 1),
        ("POST", 503, {"Retry_After": "0"}, 3), ("POST", 429, {}, 3), ("PATCH", 429, {"Retry_After": "0"}, 3),
        ("GET", 400, {}, 1), ("GET", 401, {}, 1), ("GET", 403, {}, 1), ("GET", 404, {}, 1), ("GET", 409, {}, 1),
        ("GET", 422, {"Retry_After": "0"}, 1),
    ],
)  # fmt: skip
async def test_what_is_tried_again(method: str, status: int, headers: dict[str, str], tries: int) -> None:
    """A 5xx where twice does no harm; what the vendor says that it has not done; never what is wrong in itself."""
    async with vendor(*[says(status, {"message": "no"}, **headers)] * 3) as (rest, asked):
        with pytest.raises(VendorError) as caught:
            await rest.call(method, "a")
    assert len(asked) == tries
    assert (caught.value.vendor_status, caught.value.words) == (status, "no")
    assert isinstance(caught.value, VendorUnreachable) == (status == 429 or status >= 500)
    assert isinstance(caught.value, VendorNotFound) == (status == 404)


async def test_the_caller_may_know_better_what_is_harmless() -> None:
    """A POST with an idempotency key may be sent twice; a GET that acts may not."""
    async with vendor(says(500), says(200)) as (rest, asked):
        await rest.call("POST", "a", harmless=True)
        assert len(asked) == 2
    async with vendor(says(500)) as (rest, asked):
        with pytest.raises(VendorUnreachable):
            await rest.call("GET", "a", harmless=False)
        assert len(asked) == 1


@pytest.mark.parametrize(("method", "tries"), [("GET", 3), ("POST", 1)])
async def test_a_cut_line(method: str, tries: int) -> None:
    """No answer: the vendor may have done it, so only what is harmless is sent again. The text names no URL."""
    async with vendor(*[breaks] * 6) as (rest, asked):
        with pytest.raises(VendorUnreachable, match="no answer") as caught:
            await rest.call(method, "a", query={"token": SECRET})
    # aiohttp itself may send a GET again where the line was cut before the first byte of an answer
    assert tries <= len(asked) <= (1 if method == "POST" else 2 * tries)
    assert SECRET not in str(caught.value) and caught.value.vendor_status == 0


async def test_a_vendor_that_does_not_answer_in_time() -> None:
    """The deadline of one try; nobody waits for ever."""
    never = asyncio.Event()

    async def handle(request: web.Request) -> web.StreamResponse:
        await never.wait()
        return web.Response()

    app = web.Application()
    app.router.add_get("/a", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with aiohttp.ClientSession() as client:
            url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            rest = Rest(client, "acme", url, shown, tries=Tries(count=2, first_s=0.0, most_s=0.0, timeout_s=0.1))
            with pytest.raises(VendorUnreachable, match="no answer"):
                await rest.call("GET", "a")
    finally:
        never.set()
        await runner.cleanup()


async def test_nobody_listens() -> None:
    """A refused connection is no answer."""
    async with aiohttp.ClientSession() as client:
        rest = Rest(client, "acme", "http://127.0.0.1:9", shown, tries=QUICK)
        with pytest.raises(VendorUnreachable, match="GET a: no answer"):
            await rest.call("GET", "a")


async def test_a_retry_after_outweighs_the_own_pause() -> None:
    """0 s of the vendor against an hour of our own; the log says how long, and of which call."""
    patient = Tries(count=2, first_s=3600.0, most_s=3600.0, most_wait_s=5.0)
    async with vendor(says(429, {}, Retry_After="0"), says(200, {}), tries=patient) as (rest, _):
        with capture_logs() as logs:
            await asyncio.wait_for(rest.call("GET", "a", query={"token": SECRET}), 20)
    assert [(entry["event"], entry["call"], entry["wait_s"]) for entry in logs] == [
        ("rest.retry", "acme: GET a", 0.0),
    ]


@pytest.mark.parametrize("wait", ["6", "1e300", "Wed, 21 Oct 2099 07:28:00 GMT"])
async def test_a_retry_after_beyond_patience_ends_the_tries(wait: str) -> None:
    """Told at once, with the time that it asks for."""
    async with vendor(says(429, {"message": "slow down"}, Retry_After=wait)) as (rest, asked):
        with pytest.raises(VendorUnreachable, match=r"told to wait \d+ s: answered 429: slow down"):
            await rest.call("GET", "a")
    assert len(asked) == 1


async def test_accepted_statuses_are_success() -> None:
    """What this vendor means well by."""
    async with vendor(says(507, {"a": 1}), accepted=frozenset({507})) as (rest, _):
        assert (await rest.call("POST", "a")).status == 507


RETRY_AFTER: list[tuple[str, float | None]] = [
    ("", None), ("7", 7.0), (" 7 ", 7.0), ("0.5", 0.5), ("-3", 0.0), ("nan", None), ("inf", None), ("-inf", 0.0),
    ("soon", None), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0), ("Wed, 99 Oct 2015 07:28:00 GMT", None),
    ("9" * 400, None),
]  # fmt: skip


@pytest.mark.parametrize(("text", "seconds"), RETRY_AFTER)
def test_retry_after_in_every_form(text: str, seconds: float | None) -> None:
    """A number of seconds or a date (RFC 9110, 10.2.3); what is neither asks for nothing."""
    assert retry_after_s({"retry-after": text}) == seconds


def test_retry_after_by_date() -> None:
    """Seconds from now."""
    date = email.utils.formatdate(time.time() + 100, usegmt=True)
    assert 95 <= (retry_after_s({"retry-after": date}) or 0) <= 101


# Answers


async def test_an_answer_that_is_too_long_is_cut_off() -> None:
    """Not read to its end, whatever its head says."""
    short = Tries(count=3, first_s=0.0, most_s=0.0, most_bytes=1000)
    async with vendor(says(200, "x" * 990), says(200, "x" * 5000), tries=short) as (rest, asked):
        assert len((await rest.call("GET", "a")).body) == 992
        with pytest.raises(VendorError, match="longer than 1000 bytes"):
            await rest.call("GET", "a")
        assert len(asked) == 2


class _Thing(msgspec.Struct):
    id: str
    sizes: list[int] = []


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"id": 5}', r"\$\.id"), (b'{"id": "a", "sizes": [1, "x"]}', r"\$\.sizes\[1\]"),
        (b"{}", "`id`"), (b"[]", "object"),
        (b"", "malformed|truncated"), (b'{"id": "a"', "malformed|truncated"), (b"<html>", "malformed"),
        (b'{"id": "\xff"}', "not as documented"), (b'{"id":"a","new":' + b"[" * 100_000, "deep|malformed|truncated"),
    ],
)  # fmt: skip
def test_an_answer_in_another_form_names_the_field(body: bytes, told: str) -> None:
    """And never the value: it may be anything."""
    with pytest.raises(VendorError, match=told) as caught:
        Reply(what="acme: GET a", status=200, headers={}, body=body).json(_Thing)
    assert str(caught.value).startswith("acme: GET a: ")


def test_an_answer_in_its_form() -> None:
    """Unknown keys are let be; the repr shows no content."""
    reply = Reply(what="acme: GET a", status=200, headers={}, body=b'{"id": "secret", "new": null}')
    assert reply.json(_Thing) == _Thing(id="secret")
    assert repr(reply) == "Reply(acme: GET a: 200, 29 bytes)"


WORDS: list[tuple[bytes, str]] = [
    (b'{"message": "no such bot"}', "no such bot"),
    (b'{"detail": "Not found."}', "Not found."),
    (b'{"error": {"message": "bad", "code": 7}}', "bad"),
    (b'{"error": "bad_request", "info": "name is too long"}', "bad_request: name is too long"),
    (b'{"success": false, "errors": [{"code": 1, "message": "a"}, {"message": "b"}]}', "a; b"),
    (b'{"detail": [{"loc": ["body", "name"], "msg": "field required"}]}', "field required"),
    (b'{"errors": {"name": ["may not be blank"], "age": "too low"}}', "name: may not be blank: age: too low"),
    (b'["a", "b"]', "a; b"),
    (b'"just text"', "just text"),
    (b"plain\n  text", "plain text"),
    (b'{"message": ""}', ""), (b'{"message": null, "x": "y"}', ""), (b"{}", ""), (b"null", ""), (b"", ""),
    (b"<html>gateway</html>", ""), (b"{broken", ""), (b"7", "7"),
    (b'{"message": "see https://h.example/a?token=abc"}', "see [redacted]"),
    (b"[" * 500 + b"]" * 500, ""),
    (b"x" * 100_000, "x" * 300),
    (b'{"message": "' + b"y" * 9000 + b'"}', "y" * 300),
    (b"\xff\xfe", "\ufffd\ufffd"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "words"), WORDS)
def test_a_vendors_words(body: bytes, words: str) -> None:
    """Wherever they stand: short, on one line, without secrets; nothing where it says nothing."""
    assert words_of(body) == words


def test_what_a_call_showed_is_not_repeated() -> None:
    """Some vendors quote the key that they refuse."""
    assert words_of(b'{"detail": "Invalid key key-0123456789!"}', [SECRET]) == "Invalid key [redacted]!"


async def test_no_secret_in_texts() -> None:
    """Neither of the credential, nor of the query, nor of a base URL with user info."""
    async with vendor(says(401, {"message": f"bad token {SECRET}"})) as (rest, _):
        with pytest.raises(VendorError) as caught:
            await rest.call("GET", "a?token=abc", query={"api_key": SECRET})
        assert str(caught.value) == "acme: GET a: answered 401: bad token [redacted]"
        assert SECRET not in repr(rest)
    async with aiohttp.ClientSession() as client:
        assert "pass" not in repr(Rest(client, "acme", "https://user:pass@h.example", shown))


# Downloads


async def test_a_download_shows_no_credential_and_follows_the_storage() -> None:
    """A signed link is permission enough, and may lead on."""
    async with vendor(says(302, {}, Location="/there"), says(200, "bytes")) as (rest, asked):
        assert await rest.download(rest.base_url + "/a?X-Amz-Signature=s") == b'"bytes"'
    assert [request.path for request in asked] == ["/api/a", "/there"]
    assert not any("Authorization" in request.headers for request in asked)


@pytest.mark.parametrize(("status", "kind"), [(403, VendorError), (404, VendorNotFound), (503, VendorUnreachable)])
async def test_a_download_that_fails(status: int, kind: type[VendorError]) -> None:
    """An expired link, a missing object, a storage that is down: the link is not in the text."""
    async with vendor(says(status, {"message": "x"})) as (rest, _):
        with pytest.raises(kind, match=f"answered {status}") as caught:
            await rest.download(rest.base_url + "/a?X-Amz-Signature=s3cret")
    assert "s3cret" not in str(caught.value) and "http" not in str(caught.value)


@pytest.mark.parametrize("link", ["http://127.0.0.1:9/s3cret", "nonsense-s3cret", "http://[s3cret", ""])
async def test_a_download_from_nowhere(link: str) -> None:
    """A link that leads nowhere is no answer."""
    async with aiohttp.ClientSession() as client:
        with pytest.raises(VendorUnreachable, match="no answer") as caught:
            await Rest(client, "acme", "http://127.0.0.1:9", shown).download(link)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "same"),
    [("https://a.example", True), ("HTTPS://A.example/x", True), ("https://a.example?x", True),
     ("http://a.example", False), ("https://a.example:444", False), ("https://b.example", False)],
)  # fmt: skip
def test_an_origin_is_scheme_and_authority(url: str, same: bool) -> None:
    """In any letters."""
    assert (origin(url) == origin("https://a.example/api")) == same
