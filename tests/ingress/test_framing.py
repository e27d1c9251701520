"""How much of a request is still to come: RFC 9112, section 6, as far as there are no two ways to read it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.ingress.framing import owed
from tests.ingress.bare import post

GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    ("data", "left"),
    [
        (GET, 0),
        (b"GET / HTTP/1.1\r\n\r\n", 0),
        (post(b"abc"), 0),
        (post(b"abc")[:-1], 1),
        (post(b"abc")[:-3], 3),
        (post(b"abc").replace(b"Content-Length: ", b"content-LENGTH:\t"), 0),
        (GET.replace(b"Host", b"X-Content-Length: 9\r\nHost"), 0),
    ],
)
def test_a_plain_request(data: bytes, left: int) -> None:
    """Its one length, or none."""
    assert owed(data) == left


@pytest.mark.parametrize(
    "data",
    [
        b"",
        GET[:-1],
        GET + b"G",
        GET + GET,
        post(b"abc") + b"P",
        b"\r\n" + GET,
        GET.replace(b"1.1", b"1.0"),
        GET.replace(b"GET", b"CONNECT"),
        GET.replace(b"\r\n", b"\n"),
        GET.replace(b"Host", b"Upgrade: websocket\r\nHost"),
        GET.replace(b"Host", b"Expect: 100-continue\r\nHost"),
        GET.replace(b"Host", b"transfer-encoding: chunked\r\nHost"),
        GET.replace(b"x\r\n", b"x\r\n folded\r\n"),
        post(b"abc", b"Content-Length: 3"),
        post(b"abc", b"Transfer-Encoding: chunked"),
        post(b"abc").replace(b": 3", b": +3"),
        post(b"abc").replace(b": 3", b":"),
        post(b"abc").replace(b": 3", b": 3, 3"),
        post(b"abc").replace(b"Length:", b"Length :"),
    ],
)
def test_what_is_not_plain(data: bytes) -> None:
    """Nothing is said of it."""
    assert owed(data) is None


@given(st.binary(max_size=60), st.data())
def test_any_body_is_owed_as_far_as_it_has_not_come(content: bytes, data: st.DataObject) -> None:
    """Whatever is in it."""
    request = post(content)
    cut = data.draw(st.integers(0, len(content)))
    assert owed(request[: len(request) - cut]) == cut
