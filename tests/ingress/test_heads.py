"""Heads of requests that mean harm or nonsense: size, methods, forms of the URL, ``Expect``, forwarded addresses."""

import asyncio
import re
from pathlib import Path

import pytest

from tests.end_to_end.process import serving
from tests.ingress.hostile import OPEN_ENDPOINT, answer, latencies_s, rss_bytes, wire, with_peak
from tests.ingress.test_http import ENVIRON, TOKEN, TOKEN_ENDPOINT, call
from tests.support import running

MIB = 1 << 20
POST = b"POST /meetstream/default HTTP/1.1"
_BODY = b'{"event":"x"}'


def request(line: bytes, *headers: bytes, body: bytes = _BODY) -> bytes:
    """A request that closes its connection."""
    head = (line, b"Host: x", b"Connection: close", b"Content-Length: %d" % len(body), *headers)
    return b"\r\n".join(head) + b"\r\n\r\n" + body


_REPLAY = b'{"sink":"file","from_ns":-9223372036854775809,"to_ns":9223372036854775808}'
_ADMIN = b"Authorization: Bearer adm"
#: name -> request, and the statuses that it may get
HEADS: dict[str, tuple[bytes, str]] = {
    "http-1.0": (b"POST /meetstream/default HTTP/1.0\r\nContent-Length: 13\r\n\r\n" + _BODY, "200"),
    "http-0.9": (b"GET /meetstream/default\r\n\r\n", ""),
    "head": (request(b"HEAD /meetstream/default HTTP/1.1", body=b""), "405"),
    "options": (request(b"OPTIONS /meetstream/default HTTP/1.1", body=b""), "405"),
    "options-all": (request(b"OPTIONS * HTTP/1.1", body=b""), "404"),
    "connect": (request(b"CONNECT example.org:443 HTTP/1.1", body=b""), "404"),
    "trace": (request(b"TRACE /meetstream/default HTTP/1.1", b"X-A: b", body=b""), "405"),
    "method-of-a-stranger": (request(b"BREW /meetstream/default HTTP/1.1"), "40[05]"),
    "absolute": (request(b"POST http://evil.example/meetstream/default HTTP/1.1"), "200"),
    "absolute-without-path": (request(b"POST http://evil.example HTTP/1.1"), "404"),
    "absolute-broken": (request(b"POST http://[::1 HTTP/1.1"), "400"),
    "absolute-port": (request(b"POST http://a:99999999/meetstream/default HTTP/1.1"), "400"),
    "path-without-slash": (request(b"POST meetstream/default HTTP/1.1"), "400"),
    "path-of-8191": (request(b"POST /meetstream/default/" + b"a" * 8191 + b" HTTP/1.1"), "400"),
    "path-of-7000": (request(b"POST /meetstream/default/" + b"a" * 7000 + b" HTTP/1.1"), "404"),
    "path-percent": (request(b"POST /meetstream/default/%zz/%/%00%ff HTTP/1.1"), "200"),
    "path-many-segments": (request(b"POST /meetstream/default" + b"/a" * 3000 + b" HTTP/1.1"), "404"),
    "query": (request(b"POST /meetstream/default?%ff=%00&token=%ed%a0%80&token HTTP/1.1"), "200"),
    "query-many": (request(b"POST /meetstream/default?" + b"a&" * 4000 + b" HTTP/1.1"), "200"),
    "h2c": (request(POST, b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"), "200"),
    "header-of-100k": (request(POST, b"X-A: " + b"a" * 100_000), "400"),
    "name-of-100k": (request(POST, b"X" * 100_000 + b": a"), "400"),
    "headers-100": (request(POST, *(b"X-%d: a" % number for number in range(100))), "200"),
    "headers-200": (request(POST, *(b"X-%d: a" % number for number in range(200))), "400"),
    "cookies": (request(POST, b"Cookie: " + b"a=b;" * 2000), "200"),
    "multipart": (request(POST, b"Content-Type: multipart/form-data; boundary=" + b"-" * 3000), "200"),
    "charset": (request(POST, b"Content-Type: application/json; charset=n\xff"), "200"),
    "ranges": (request(b"GET /metrics HTTP/1.1", b"Range: bytes=0-,0-", b"If-Modified-Since: x", body=b""), "200"),
    "expect-nonsense": (request(b"GET /healthz HTTP/1.1", b"Expect: \xff", body=b""), "200"),
    "expect-nothing-of-http-1.0": (b"POST /meetstream/default HTTP/1.0\r\nExpect: 100-continue\r\n\r\n", "400"),
    "expect-twice": (request(POST, b"Expect: x", b"Expect: 100-continue"), "200"),
    "expect-too-large": (request(POST, b"Expect: 100-continue", body=b"").replace(b"h: 0", b"h: 99999999"), "4.."),
    "token-not-utf8": (request(b"POST /meetstream/token HTTP/1.1", b"Authorization: Bearer \xff"), "401"),
    "admin-not-utf8": (request(b"POST /api/send HTTP/1.1", b"Authorization: Bearer \xff"), "401"),
    "admin-number": (request(b"POST /api/quarantine/" + b"9" * 5000 + b"/retry HTTP/1.1", _ADMIN), "40."),
    "admin-other-digits": (request(b"POST /api/quarantine/%D9%A3/retry HTTP/1.1", _ADMIN), "404"),
    "admin-drop": (request(b"POST /api/dead/drop HTTP/1.1", _ADMIN, body=b'{"numbers":[9223372036854775808]}'), "400"),
    "admin-retry": (request(b"POST /api/dead/retry HTTP/1.1", _ADMIN, body=b'{"numbers":[-1]}'), "400"),
    "admin-deep": (request(b"POST /api/dead/retry HTTP/1.1", _ADMIN, body=b"[" * 100_000), "400"),
    "admin-replay": (request(b"POST /api/replay HTTP/1.1", _ADMIN, body=_REPLAY), "200"),
}  # fmt: skip


async def test_heads_get_one_answer_of_the_right_kind(tmp_path: Path) -> None:
    """Never a 5xx, nothing after it on the connection, and books that balance."""
    endpoints = {"meetstream": {"default": {}, "token": {"token_env": "T"}}}
    environ = {"T": "tok-4711", "A": "adm"}
    async with running(tmp_path, environ, endpoints=endpoints, admin={"token_env": "A"}) as server:
        for name, (data, statuses) in HEADS.items():
            reader, writer = await wire(server.url, data)
            got = await answer(reader)
            writer.close()
            found = [status.decode() for status in re.findall(rb"HTTP/1\.[01] (\d\d\d) ", got)]
            assert [status for status in found if re.fullmatch(statuses, status)] == found, (name, got[:300])
            assert len(found) == bool(statuses), (name, got[:300])
        assert all(book.balanced for book in server.ledger.intake.values())


async def test_heads_cost_little_memory_before_anything_is_known_of_their_sender(tmp_path: Path) -> None:
    """400 connections with heads of 900 kB: each is told 431 at 64 KiB, the first request as well as a later one."""
    fields = b"".join(b"X-%d: " % number + b"a" * 8000 + b"\r\n" for number in range(110))
    async with serving(tmp_path, OPEN_ENDPOINT) as server:
        before = rss_bytes(server.pid)

        async def flood(start: bytes, answers: int) -> None:
            reader, writer = await wire(server.url, start)
            for _ in range(answers):
                await reader.readuntil(b'{"status": "ok"}')
            writer.write(POST + b"\r\nHost: x\r\n" + fields)
            got = await answer(reader, 60)
            assert got.startswith(b"HTTP/1.1 431 ") or not got, got[:100]  # a reset may overtake the answer
            writer.close()

        kept = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
        work = asyncio.gather(*(flood(*case) for case in [(b"", 0), (kept, 1)] * 200))
        _, peak = await with_peak(server.pid, work)
        assert peak - before < 100 * MIB, f"{(peak - before) // MIB} MiB more"
        assert len(await latencies_s(server.url, 5, 0.01)) == 5


async def test_a_large_head_that_ends_is_served(tmp_path: Path) -> None:
    """Below 64 KiB nothing changes, however the bytes arrive, and a body behind the head is no head."""
    body = b'{"event":"x","n":"' + b"y" * 300_000 + b'"}'
    head = request(POST, *(b"X-%d: " % number + b"a" * 7000 for number in range(8)), body=body)
    async with running(tmp_path) as server:
        reader, writer = await wire(server.url)
        for start in range(0, len(head), 5000):
            writer.write(head[start : start + 5000])
            await writer.drain()
            await asyncio.sleep(0)
        assert (await answer(reader)).startswith(b"HTTP/1.1 200 ")
        writer.close()


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "CF-Connecting-IP"])
async def test_nobody_chooses_his_own_address(tmp_path: Path, header: str) -> None:
    """The limit of guesses goes by the connection's peer. Behind a proxy all share the proxy's, and the right token
    passes all the same."""
    limits = {"max_bad_tokens_per_minute": 3}
    async with running(tmp_path, ENVIRON, endpoints=TOKEN_ENDPOINT, server=limits) as server:
        shown = [
            {header: f"for=10.0.0.{number}" if header == "Forwarded" else f"10.0.0.{number}"} for number in range(6)
        ]
        codes = [(await call(server, "/meetstream/default/guess", headers=one))[0] for one in shown]
        assert codes == [401] * 3 + [429] * 3
        assert (await call(server, f"/meetstream/default/{TOKEN}", headers=shown[0]))[0] == 200


@pytest.mark.parametrize("path", ["/meetstream/default", "/meetstream/default/%ff%ed%a0%80"])
@pytest.mark.parametrize("body", [_BODY, b"no json"], ids=["accepted", "quarantined"])
async def test_a_header_that_is_no_utf8_stops_nobody(tmp_path: Path, path: str, body: bytes) -> None:
    """The delivery is kept, with the header as far as it is text; what comes after it is served."""
    async with running(tmp_path) as server:
        line = b"POST %s HTTP/1.1" % path.encode()
        for _ in range(2):
            reader, writer = await wire(server.url, request(line, b"X-A: b\xffc\xed\xa0\x80", body=body))
            assert (await answer(reader))[9:12] == (b"200" if body == _BODY else b"400")
            writer.close()
        assert (await call(server))[1] == {"status": "accepted"}
        assert server.ledger.endpoint("meetstream", "default").balanced
