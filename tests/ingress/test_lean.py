"""The short way of a POST: what goes it, and that nobody can tell by the answer, the journal or the books."""

import asyncio
import hashlib
import hmac
import sqlite3
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.app import Receiver
from receiver.record import Record
from receiver.settings import from_dict
from tests.ingress.bare import body, exchange, post, short, statuses
from tests.support import settings_dict

TOKEN, SECRET, DAILY = "tok-4711", "whsec_very_secret", b64encode(b"k" * 32).decode()
ENVIRON = {"T": TOKEN, "S": SECRET, "D": DAILY}
ENDPOINTS: dict[str, Any] = {
    "meetstream": {
        "default": {},
        "token": {"token_env": "T"},
        "signed": {"secret_env": ["S"]},
        "both": {"token_env": "T", "secret_env": ["S"]},
    },
    "daily": {"default": {"token_env": "T"}},
}
LIMITS = {"port": 0, "drain_s": 5.0, "max_bad_tokens_per_minute": 0, "max_body_bytes": 40_000}
#: the two are asked one after the other: no repeat is one for the first and none for the second
JOURNAL = {"min_free_bytes": 0, "dedup_untimed_window_s": 3600.0}
B = body(1)
PLAIN = b"/meetstream/default"
_BEARER, _BASIC = f"Authorization: Bearer {TOKEN}".encode(), b"Authorization: Basic " + b64encode(b"u:tok-4711")


def signed(content: bytes, secret: str = SECRET) -> bytes:
    return b"X-MeetStream-Signature: sha256=" + hmac.new(secret.encode(), content, hashlib.sha256).hexdigest().encode()


class Pair:
    """Two servers that differ in one thing: the second knows no short way."""

    def __init__(self, runner: asyncio.Runner, folder: Path) -> None:
        self._runner = runner
        self.servers: list[Receiver] = []
        for name in ("short", "long"):
            config = settings_dict(folder / name, endpoints=ENDPOINTS, server=LIMITS, sinks={}, journal=JOURNAL)
            self.servers.append(runner.run(_started(Receiver(from_dict(config, ENVIRON)))))
        self.servers[1].doors.lean = None
        self._seen = [0, 0]

    def send(self, *requests: list[bytes]) -> tuple[list[bytes], int]:
        """What both answer to requests in their pieces, and how many deliveries went the short way."""
        before = short(self.servers[0]).taken
        answers, records, books = [], [], []
        for number, server in enumerate(self.servers):
            answers.append(self._runner.run(exchange(server, list(requests))))
            records.append(self._runner.run(self._journalled(number)))
            books.append(server.ledger.intake)
        assert answers[0] == answers[1]
        assert records[0] == records[1]
        assert books[0] == books[1] and all(book.balanced for book in books[0].values())
        assert self.servers[0].budget.held_bytes == 0
        return answers[0], short(self.servers[0]).taken - before

    async def _journalled(self, number: int) -> list[tuple[Any, ...]]:
        journal = self.servers[number].journal
        await journal.settle()
        found: list[Record] = []
        while True:
            records, upto = await journal.read(self._seen[number], media=False, limit_bytes=1 << 30)
            if upto == self._seen[number]:
                break
            found += records
            self._seen[number] = upto
        return [
            (one.vendor, one.endpoint, one.kind, one.channel, one.payload, one.subject, one.headers) for one in found
        ]

    def stop(self) -> None:
        for server in self.servers:
            self._runner.run(server.stop())


async def _started(server: Receiver) -> Receiver:
    await server.start()
    return server


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with asyncio.Runner() as runner:
        both = Pair(runner, tmp_path_factory.mktemp("pair"))
        yield both
        both.stop()


#: name -> request, its status, and whether it goes the short way
CASES: dict[str, tuple[bytes, int, bool]] = {
    "plain": (post(B), 200, True),
    "keep-alive": (post(B, b"Connection: keep-alive"), 200, True),
    "header of latin-1": (post(B, b"X-A: n\xfc\xff"), 200, True),
    "header twice": (post(B, b"X-A: 1", b"x-a: 2"), 200, True),
    "spaces around a value": (post(B, b"X-A: \t 1 \t"), 200, True),
    "empty value": (post(B, b"X-A:"), 200, True),
    "credentials": (post(B, b"Cookie: a=b", b"X-Api-Key: k", _BEARER), 200, True),
    "leading zeros": (post(B).replace(b"Length: ", b"Length: 00"), 200, True),
    "id": (post(B, target=PLAIN + b"/bot-9/transcript"), 200, True),
    "id with a slash": (post(B, target=PLAIN + b"/a%2Fb"), 200, True),
    "id that is no utf-8": (post(B, target=PLAIN + b"/%ff%00"), 200, True),
    "query": (post(B, target=PLAIN + b"?a=b&c=%ff#d"), 200, True),
    "token in the path": (post(B, target=b"/meetstream/token/tok-4711"), 200, True),
    "token in the query": (post(B, target=b"/meetstream/token?token=tok-4711"), 200, True),
    "token, percent-encoded": (post(B, target=b"/meetstream/token/%74ok%2D4711"), 200, True),
    "bearer": (post(B, _BEARER, target=b"/meetstream/token"), 200, True),
    "basic": (post(B, _BASIC, target=b"/meetstream/token"), 200, True),
    "signature": (post(B, signed(B), target=b"/meetstream/signed"), 200, True),
    "token and signature": (post(B, signed(B), target=b"/meetstream/both/tok-4711"), 200, True),
    "signature in place of a token": (post(B, signed(B), target=b"/meetstream/both"), 200, True),
    "longest": (post(body(2, pad=39_000)), 200, True),
    "daily": (
        post(b'{"type":"meeting.started","id":"%s"}' % (b"i" * 64), target=b"/daily/default/tok-4711"),
        200, True,
    ),
    "daily's trial": (post(b'{"test":"test"}', target=b"/daily/default/tok-4711"), 200, False),
    "too large": (post(body(2, pad=40_000), b"Connection: close"), 413, False),
    "wrong token": (post(B, target=b"/meetstream/token/tok-4712"), 401, False),
    "no token": (post(B, target=b"/meetstream/token"), 401, False),
    "bearer that is no utf-8": (post(B, b"Authorization: Bearer \xff", target=b"/meetstream/token"), 401, False),
    "wrong signature": (post(B, signed(B, "other"), target=b"/meetstream/signed"), 401, False),
    "signature of no ascii": (post(B, b"X-MeetStream-Signature: \xff", target=b"/meetstream/signed"), 401, False),
    "signature twice": (post(B, signed(B), signed(B), target=b"/meetstream/signed"), 401, False),
    "no signature": (post(B, target=b"/meetstream/signed"), 401, False),
    "nobody": (post(B, target=b"/nobody/default"), 404, False),
    "no json": (post(b"no json"), 400, False),
    "encoded": (post(B, b"Content-Encoding: identity"), 200, False),
    "expects": (post(B, b"Expect: x"), 200, False),
    "upgrades": (post(B, b"Upgrade: h2c"), 200, False),
    "close": (post(B, b"Connection: close"), 200, True),
    "close, and longer than said": (post(B, b"Connection: close") + b"x", 400, False),
    "close and keep": (post(B, b"Connection: close", b"Connection: keep-alive"), 200, True),
    "closes in another case": (post(B, b"Connection: CLOSE"), 200, False),
    "close, among others": (post(B, b"Connection: close, te"), 200, False),
    "chunked": (
        b"POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (PLAIN, len(B), B),
        200, False,
    ),
    "length and chunked": (post(B, b"Transfer-Encoding: chunked"), 400, False),
    "1.0": (post(B).replace(b"HTTP/1.1", b"HTTP/1.0"), 200, False),
    "put": (post(B).replace(b"POST", b"PUT", 1), 200, False),
    "get": (post(B).replace(b"POST", b"GET", 1), 405, False),
    "two hosts": (post(B, b"Host: y"), 400, False),
    "two lengths": (post(B, b"Content-Length: %d" % len(B)), 400, False),
    "length with a sign": (post(B).replace(b"Length: ", b"Length: +"), 400, False),
    "line feeds only": (post(B).replace(b"\r\n", b"\n"), 400, False),
    "continued line": (post(B, b"X-A: 1\r\n 2"), 400, False),
    "nul": (post(B, b"X-A: \0"), 400, False),
    "space before the colon": (post(B, b"X-A : 1"), 400, False),
    "absolute": (post(B, target=b"http://evil.example/meetstream/default"), 200, False),
    "two slashes": (post(B, target=b"//meetstream/default"), 200, False),
    "a slash at the end": (post(B, target=PLAIN + b"/"), 200, False),
    "dots": (post(B, target=b"/x/../meetstream/default"), 404, False),
    "header of 8200": (post(B, b"X-A: " + b"a" * 8200), 400, False),
    "query of 8200": (post(B, target=PLAIN + b"?" + b"a" * 8200), 400, False),
    "200 headers": (post(B, *(b"X-%d: a" % number for number in range(200))), 400, False),
    "lines in front": (b"\r\n" + post(B), 200, False),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_each_form_has_its_way_and_one_answer(pair: Pair, name: str) -> None:
    """The plain ones go short; the answer, what is journalled and the books are those of the long way."""
    data, status, goes_short = CASES[name]
    (got,), taken = pair.send([data])
    assert statuses(got) == [status], got
    assert taken == goes_short


_TARGETS = st.sampled_from([
    PLAIN, PLAIN + b"/bot/audio", PLAIN + b"/%2F%41?x", b"/meetstream/token/tok-4711", b"/meetstream/token",
    b"/meetstream/both?key=tok-4711", b"/meetstream/signed", b"/meetstream", b"/", b"*", b"/meetstream//default",
    b"/meetstream/default/./a", b"/meetstream/%64efault", b"/healthz", b"/api/send", PLAIN + b"?a?b/c#d",
    PLAIN + b"/{}",
])  # fmt: skip
_HEADERS = st.lists(
    st.sampled_from([
        b"Content-Type: application/json", b"Content-Type: text/plain", b"content-type:application/json",
        b"User-Agent: a", b"User-Agent: b", b"Accept: */*", b"X-Real-IP: 10.0.0.1", b"X-A: \xe4\xff", b"X-A:\t",
        b"X-A: \x7f", b"X-A: \x01", b" folded: 1", b"no colon", b": no name", b"X(A): 1", b"Host: y", b"Host:",
        b"Connection: Keep-Alive", b"Connection: upgrade", b"Connection: close", b"TE: trailers", b"Trailer: X-A",
        b"Content-Encoding: gzip", b"Transfer-Encoding: identity", b"Expect: 100-continue", b"Content-Length: 3",
        _BEARER, _BASIC, b"Authorization: \xff", b"X-MeetStream-Signature: sha256=00", b"Date: x", b"ETag: a",
        b"Cookie: a=b", b"Content-Range: 1", b"Range: bytes=0-1", b"Max-Forwards: 1", b"Server: x",
    ]),
    max_size=4,
)  # fmt: skip
_BODIES = st.one_of(
    st.integers(0, 40).map(body), st.sampled_from([b"", b"{}", b"[", b'{"event":"x"}', b"\r\n\r\nPOST "])
)


def in_pieces(request: bytes, cuts: list[int]) -> list[bytes]:
    """Cut in these places, as far as there are any."""
    ends = [*sorted({cut for cut in cuts if cut < len(request)}), len(request)]
    return [request[start:end] for start, end in zip([0, *ends], ends, strict=False)]


@st.composite
def _requests(draw: st.DrawFn) -> bytes:
    content, headers = draw(_BODIES), draw(_HEADERS)
    if draw(st.booleans()):
        headers.append(signed(content))
    request = post(content, *headers, target=draw(_TARGETS))
    method = draw(st.sampled_from([b"POST", b"POST", b"POST", b"PUT", b"GET", b"post"]))
    return method + request.removeprefix(b"POST")


@given(st.lists(st.tuples(_requests(), st.lists(st.integers(1, 300), max_size=2)), min_size=1, max_size=4))
@settings(max_examples=120, deadline=None)
def test_nobody_can_tell_which_way_a_request_went(pair: Pair, requests: list[tuple[bytes, list[int]]]) -> None:
    """Any requests on one connection, in any pieces: the same answers, records and books."""
    pair.send(*(in_pieces(*one) for one in requests))


def test_a_repeat_is_told_so_on_the_short_way(pair: Pair) -> None:
    """Both requests of one connection went short, and one is journalled."""
    request = post(body(777_001))
    (first, second), taken = pair.send([request], [request])
    assert taken == 2 and b'"accepted"' in first and b'"duplicate"' in second


def test_a_body_in_pieces_goes_the_short_way_and_a_head_does_not(pair: Pair) -> None:
    """Half a head says nothing; the connection is aiohttp's from then on."""
    request = post(body(777_003))
    assert pair.send([request[:-100], request[-100:-1], request[-1:]])[1] == 1
    (first, second), taken = pair.send([request[:20], request[20:]], [request])
    assert taken == 0 and statuses(first + second) == [200, 200]


@pytest.mark.parametrize(
    ("between", "status"),
    [
        ([b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"], 200),
        ([post(b"no json")], 400),
        ([post(b"no json")[:-4], post(b"no json")[-4:]], 400),
        ([post(body(777_008, pad=30_000), b"Content-Encoding: identity")], 200),
        (in_pieces(post(body(777_010, pad=39_980)), [30_000, 39_000]), 413),
    ],
)
def test_behind_something_else_deliveries_go_the_short_way_again(pair: Pair, between: list[bytes], status: int) -> None:
    """As soon as aiohttp has answered it; as often as that happens."""
    one, two, three = post(body(777_004)), post(body(777_005)), post(body(777_006))
    answers, taken = pair.send([one], between, [two[:-9], two[-9:]], between, between, [three])
    assert [statuses(one)[-1:] for one in answers] == [[200], [status], [200], [status], [status], [200]]
    assert taken == 3


@pytest.mark.parametrize("odd", ["chunked", "expects", "upgrades", "lines in front"])
def test_behind_a_request_that_is_not_plain_a_connection_stays_with_aiohttp(pair: Pair, odd: str) -> None:
    """How many bytes of it there were is known to aiohttp only."""
    answers, taken = pair.send([CASES[odd][0]], [post(body(777_007))])
    assert statuses(answers[-1]) == [200] and taken == 0


def test_a_failing_journal_is_the_same_503(pair: Pair) -> None:
    """With Retry-After, the sentence and the books of the long way; afterwards all is as before."""

    def fail(*_: Any, **__: Any) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    kept = []
    for server in pair.servers:
        lane = server.journal.lanes["events"]
        kept.append((lane, lane._commit))
        lane._commit = fail  # type: ignore[method-assign]
    try:
        (got,), taken = pair.send([post(body(777_002))])
    finally:
        for lane, commit in kept:
            lane._commit = commit  # type: ignore[method-assign]
    assert taken == 1 and statuses(got) == [503] and b"Retry-After: 5\r\n" in got
    (got,), taken = pair.send([post(body(777_002))])
    assert taken == 1 and b'"accepted"' in got
