"""Daily's signature: one table. The digests here are made by the standard library, independent of our code."""

import base64
import contextlib
import hashlib
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.errors import BadSignature, Malformed, ReceiverError, StaleSignature, Unauthorized
from receiver.vendors.daily import is_ping, sign, verify
from tests.vendors.daily_wire import NOW_S, PATIENT, SECRET, signature

OTHER_SECRET = base64.b64encode(b"before the rotation").decode()
BODY = b'{"version":"1.0.0","type":"meeting.started","id":"met-sta-1","payload":{"room":"daily-standup"}}'
PING = b'{"test":"test"}'
NOW = "1788264000"
SHOWN = signature(BODY, NOW)


def headers(shown: str, timestamp: str | None = NOW, *, prefix: str = "x-webhook") -> dict[str, str]:
    one = {f"{prefix}-signature": shown}
    return one if timestamp is None else one | {f"{prefix}-timestamp": timestamp}


def signed(timestamp: str, *, body: bytes = BODY, secret: str = SECRET, prefix: str = "x-webhook") -> dict[str, str]:
    return headers(signature(body, timestamp, secret), timestamp, prefix=prefix)


GOOD = {
    "seconds": signed(NOW),
    "milliseconds": signed("1788264000123"),
    "fraction of a second": signed("1788264000.5"),
    "pinless": signed(NOW, prefix="x-pinless"),
    "pinless milliseconds": signed("1788264000123", prefix="x-pinless"),
    "rotated": signed(NOW, secret=OTHER_SECRET),
    "last of five tries": signed("1788259500"),
    "last of five tries, milliseconds": signed("1788259500000"),
    "300 s ahead": signed("1788264300"),
    "basic auth beside it": signed(NOW) | {"authorization": "Basic dXNlcjpwYXNz"},
    "a pinless one that does not fit beside it": signed(NOW) | headers("AAAA", prefix="x-pinless"),
}
BAD = {
    "tampered body": signed(NOW, body=BODY + b" "),
    "another secret": signed(NOW, secret=base64.b64encode(b"of somebody else").decode()),
    "key is the text": headers(
        base64.b64encode(hmac.new(SECRET.encode(), f"{NOW}.".encode() + BODY, hashlib.sha256).digest()).decode()
    ),
    "body alone": headers(base64.b64encode(hmac.new(base64.b64decode(SECRET), BODY, hashlib.sha256).digest()).decode()),
    "another time": headers(SHOWN, "1788264001"),
    "the same time, written otherwise": headers(SHOWN, "1788264000.0"),
    "hex": headers(base64.b64decode(SHOWN).hex()),
    "empty": headers(""),
    "no padding": headers(SHOWN.rstrip("=")),
    "padding twice": headers(SHOWN + "="),
    "shortened": headers(base64.b64encode(base64.b64decode(SHOWN)[:-1]).decode()),
    "lengthened": headers(base64.b64encode(base64.b64decode(SHOWN) + b"\0").decode()),
    "blank before": headers(" " + SHOWN),
    "line break inside": headers(SHOWN[:20] + "\n" + SHOWN[20:]),
    "no base64": headers("!" * 44),
    "URL-safe base64": headers("_" * 43 + "="),
    "bits beyond the last byte": headers(SHOWN[:-2] + chr(ord(SHOWN[-2]) + 1) + "="),
    "non-ASCII": headers("é" * 44),
    "signature twice": headers(f"{SHOWN},{SHOWN}"),
    "no time": headers(SHOWN, None),
    "empty time": signed(""),
    "word for a time": signed("now"),
    "negative time": signed("-1788264000"),
    "zero": signed("0"),
    "time in another notation": signed("1.788264e9"),
    "blank in the time": signed(" 1788264000"),
    "ISO time": signed("2026-09-01T12:00:00Z"),
    "time twice": signed(f"{NOW},{NOW}"),
    "time without end": signed("9" * 400),
    "non-ASCII digits": signed("١٧٨٨٢٦٤٠٠٠"),
    "time of the other pair": headers(SHOWN, None) | {"x-pinless-timestamp": NOW},
    "pinless, tampered": signed(NOW, body=b"{}", prefix="x-pinless"),
    "a pinless one that fits beside a bad one": headers(signature(b"{}", NOW)) | signed(NOW, prefix="x-pinless"),
}
STALE = {
    "1 s beyond the last of five tries": signed("1788259499"),
    "the same in milliseconds": signed("1788259499000"),
    "301 s ahead": signed("1788264301"),
    "years ago": signed("1708972279"),
    "seconds far ahead": signed("99999999999"),
    "pinless": signed("1788259499", prefix="x-pinless"),
}


@pytest.mark.parametrize("case", GOOD)
def test_a_signature_that_fits(case: str) -> None:
    """Base64 of HMAC-SHA256 over time, point, raw body; the key is the decoded secret; any of the secrets."""
    assert verify(GOOD[case], BODY, secrets=[SECRET, OTHER_SECRET], now_s=NOW_S) == "valid"


@pytest.mark.parametrize("case", BAD)
def test_a_signature_that_does_not_fit_is_refused_and_the_text_tells_nothing(case: str) -> None:
    """Whatever is shown and not exactly right is refused; neither digest nor secret nor body is in the text."""
    with pytest.raises(BadSignature) as caught:
        verify(BAD[case], BODY, secrets=[SECRET, OTHER_SECRET], now_s=NOW_S)
    text = str(caught.value)
    assert not isinstance(caught.value, StaleSignature) and caught.value.status == 401
    assert SHOWN[:8] not in text and SECRET[:8] not in text and "standup" not in text and "\n" not in text


@pytest.mark.parametrize("case", STALE)
def test_a_signature_of_another_time_is_stale(case: str) -> None:
    """It fits, but it is older than all retries together take, or ahead by more than clocks differ."""
    with pytest.raises(StaleSignature):
        verify(STALE[case], BODY, secrets=[SECRET, OTHER_SECRET], now_s=NOW_S)


def test_a_signature_that_does_not_fit_is_not_called_stale() -> None:
    """Only who holds the secret is told that it is a matter of time."""
    with pytest.raises(BadSignature) as caught:
        verify(headers(SHOWN, "1708972279"), BODY, secrets=[SECRET], now_s=NOW_S)
    assert not isinstance(caught.value, StaleSignature)


def test_age_is_not_checked_without_a_clock() -> None:
    """A captured body is old; an unreadable time is refused all the same."""
    assert verify(STALE["years ago"], BODY, secrets=[SECRET], now_s=None) == "valid"
    with pytest.raises(BadSignature):
        verify(BAD["word for a time"], BODY, secrets=[SECRET], now_s=None)


@pytest.mark.parametrize("shown", [{}, {"x-webhook-timestamp": NOW}, {"authorization": "Basic dXNlcjpwYXNz"}])
def test_a_missing_signature_is_refused(shown: dict[str, str]) -> None:
    """Daily always signs: without a signature it is somebody else. "None was shown" is not "it is wrong"."""
    with pytest.raises(Unauthorized) as caught:
        verify(shown, BODY, secrets=[SECRET], now_s=NOW_S)
    assert not isinstance(caught.value, BadSignature)


@pytest.mark.parametrize("secrets", [[], [""]])
@pytest.mark.parametrize("shown", [{}, headers("nonsense"), signed(NOW)])
def test_without_a_secret_nothing_can_be_checked(shown: dict[str, str], secrets: list[str]) -> None:
    """An empty secret is none: everybody could sign with it."""
    assert verify(shown, BODY, secrets=secrets, now_s=NOW_S) == "unsigned"


@pytest.mark.parametrize("secret", ["whsec_plain", "AAECAw", " ", "é", "===="])
def test_a_secret_that_is_no_base64_fits_nothing(secret: str) -> None:
    """It is not used as it stands, and does not get in the way of one that is right."""
    plain = base64.b64encode(hmac.new(secret.encode(), f"{NOW}.".encode() + BODY, hashlib.sha256).digest()).decode()
    for shown in (headers(plain), signed(NOW)):
        with pytest.raises(BadSignature):
            verify(shown, BODY, secrets=[secret], now_s=NOW_S)
    assert verify(signed(NOW), BODY, secrets=[secret, SECRET], now_s=NOW_S) == "valid"


PINGS = [PING, b'{"Test":"test"}', b' { "test" : "test" } \r\n']


@pytest.mark.parametrize("body", PINGS)
@pytest.mark.parametrize(
    "shown", [{}, headers("nonsense"), headers(SHOWN), headers(SHOWN, None), {"x-webhook-timestamp": "x"}]
)
def test_a_ping_needs_no_signature(body: bytes, shown: dict[str, str]) -> None:
    """It comes before the secret can be known: unsigned, or signed with one that nobody here has."""
    assert is_ping(body)
    assert verify(shown, body, secrets=[SECRET], now_s=NOW_S) == "unsigned"


def test_a_ping_may_be_signed() -> None:
    """Where the customer gave the secret, the vendor knows it already."""
    assert verify(signed(NOW, body=PING), PING, secrets=[SECRET], now_s=NOW_S) == "valid"


NO_PINGS = [
    b"", b"{}", b"[]", b"null", b'"test"', b'{"test":"Test"}', b'{"Test":"Test"}', b'{"TEST":"test"}', b'{"test":null}',
    b'{"test":"test","Test":"test"}', b'{"test":"test","type":"meeting.started"}', b'{"test":"test"}{}', b'{"test":"te',
    b'[{"test":"test"}]', b'{"test":"test"}' + b" " * 100, b"\xff", b'{"test":"\xff"}', b"[" * 64,
]  # fmt: skip


@pytest.mark.parametrize("body", NO_PINGS)
def test_what_is_no_ping_needs_a_signature(body: bytes) -> None:
    """Exactly one key with exactly one value: nothing else gets in without a signature."""
    assert not is_ping(body)
    with pytest.raises(Unauthorized):
        verify({}, body, secrets=[SECRET], now_s=NOW_S)


def test_our_own_deliveries_are_signed_as_the_vendor_signs() -> None:
    """``sign`` serves trial deliveries: the standard library finds the same digest, made with the first secret."""
    made = sign(BODY, [SECRET, OTHER_SECRET], NOW_S + 0.9)
    assert made == {"x-webhook-signature": SHOWN, "x-webhook-timestamp": NOW}
    assert verify(made, BODY, secrets=[SECRET], now_s=NOW_S) == "valid"
    with pytest.raises(Malformed) as caught:
        sign(BODY, ["no base64"], NOW_S)
    assert "no base64" not in str(caught.value)


@PATIENT
@given(
    st.text(),
    st.none() | st.text(),
    st.binary(max_size=20),
    st.text(min_size=1),
    st.sampled_from(["webhook", "pinless"]),
)
def test_only_our_errors_escape(shown: str, timestamp: str | None, body: bytes, secret: str, kind: str) -> None:
    """Headers come from strangers."""
    for one in (headers(shown, timestamp, prefix=f"x-{kind}"), headers(SHOWN, timestamp, prefix=f"x-{kind}")):
        for secrets in ([secret], [SECRET]):
            with contextlib.suppress(ReceiverError):
                assert verify(one, body, secrets=secrets, now_s=NOW_S) == "unsigned", "nobody guesses a digest"


@PATIENT
@given(st.binary(max_size=80) | st.sampled_from(PINGS))
def test_any_bytes_are_a_ping_or_not(body: bytes) -> None:
    """``is_ping`` never raises, and agrees with another reader of JSON."""
    try:
        told = json.loads(body.decode())
    except ValueError:
        told = None
    assert is_ping(body) == (told in ({"test": "test"}, {"Test": "test"}))
