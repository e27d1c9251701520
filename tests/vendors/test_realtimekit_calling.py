"""How RealtimeKit's agent socket is dialled, and what its endings mean: sheet 4 as a table. Pure."""

import json
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.vendors.realtimekit.calling import URL, Next, address, after_close, after_refusal, headers


def refusal(code: str, *, retryable: bool = False) -> bytes:
    return json.dumps({"success": False, "error": {"code": code, "message": "m", "retryable": retryable}}).encode()


def test_the_address_of_a_new_connection() -> None:
    """As the vendor writes it, commas and all."""
    assert address(URL, "") == (
        "wss://api.realtime.cloudflare.com/agent-ws/v1?subscriptions=transcript,participant,broadcast"
    )


@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_an_id_is_told_whatever_is_in_it(connection_id: str) -> None:
    """It came from the far end, and leaves as it came; a query that is there already stays."""
    for url in (URL, "ws://127.0.0.1:9/x?a=b"):
        query = parse_qs(urlsplit(address(url, connection_id)).query, strict_parsing=True)
        assert query["connection_id"] == [connection_id]
        assert query["subscriptions"] == ["transcript,participant,broadcast"]
        assert ("a" in query) == ("a=b" in url)


def test_the_token_stands_in_one_header() -> None:
    """Bearer."""
    assert headers("tok") == {"Authorization": "Bearer tok"}


@pytest.mark.parametrize(
    ("code", "reason", "act", "pace"),
    [
        (1000, "session_ended", "done", "now"),
        (1013, "queue_overflow", "fresh", "soon"),
        (1013, "upstream_lost", "resume", "soon"),
        (1013, "upstream_unavailable", "resume", "later"),
        (4403, "upstream_rejected", "stop", "now"),
        (4409, "replaced", "stop", "now"),
        (4403, "", "stop", "now"),
        (4409, "<b>", "stop", "now"),
        (1006, "", "resume", "soon"),
        (1013, "", "resume", "later"),
        (1000, "", "resume", "later"),
        (1001, "session_ended", "resume", "later"),
        (1011, "queue_overflow", "resume", "later"),
        (4400, "x", "resume", "later"),
    ],
)
def test_closings(code: int, reason: str, act: str, pace: str) -> None:
    """The table of close codes; what is not in it is asked again with pauses. A session that has ended is over,
    whatever its socket says afterwards."""
    following = after_close(code, reason, over=False)
    assert (following.act, following.pace) == (act, pace)
    assert after_close(code, reason, over=True) == Next("done", "now", "the session has ended")


@pytest.mark.parametrize(
    ("status", "body", "resumed", "act", "pace"),
    [
        (400, refusal("INVALID_QUERY"), False, "stop", "now"),
        (400, refusal("BAD_REQUEST", retryable=True), True, "stop", "now"),
        (401, refusal("UNAUTHENTICATED"), False, "stop", "now"),
        (401, refusal("UNAUTHENTICATED", retryable=True), True, "stop", "now"),
        (403, b"", False, "stop", "now"),
        (404, refusal("CONNECTION_NOT_FOUND"), True, "fresh", "now"),
        (404, b"", True, "fresh", "now"),
        (404, refusal("CONNECTION_NOT_FOUND"), False, "stop", "now"),
        (302, b"", False, "stop", "now"),
        (200, b"<html>", False, "stop", "now"),
        (408, b"", False, "resume", "later"),
        (425, b"", False, "resume", "later"),
        (429, b"", True, "resume", "later"),
        (409, refusal("NOT_YET", retryable=True), False, "resume", "later"),
        (500, b"\xff\x00", True, "resume", "later"),
        (503, refusal("UNAVAILABLE"), False, "resume", "later"),
    ],
)
def test_refusals(status: int, body: bytes, resumed: bool, act: str, pace: str) -> None:
    """The table of failed upgrades. Only what was asked for by id can be told that it is not there."""
    following = after_refusal(status, body, resumed=resumed)
    assert (following.act, following.pace) == (act, pace) and str(status) in following.reason


@given(st.integers(0, 5000), st.text(), st.booleans())
def test_no_text_of_the_far_end_but_a_plain_word_is_told(code: int, reason: str, over: bool) -> None:
    """Reasons and codes go into logs: what looks otherwise stays out, a token that is echoed for instance."""
    told = after_close(code, f"{reason} eyJhbGciOi.x-y", over=over).reason
    assert "eyJ" not in told and told.isprintable()


@given(st.integers(100, 599), st.binary() | st.text().map(refusal) | st.text().map(lambda text: text.encode()))
def test_any_body_of_a_refusal_is_read(status: int, body: bytes) -> None:
    """It may come from a proxy on the way."""
    assert after_refusal(status, body, resumed=False).reason.isprintable()
