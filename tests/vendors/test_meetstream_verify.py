"""MeetStream's signature: one table. The digests here are made by the standard library, independent of our code."""

import contextlib
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.errors import BadSignature, ReceiverError
from receiver.vendors.meetstream import verify
from tests.vendors.meetstream_wire import PATIENT

SECRET = "whsec_c2VjcmV0"
OLD_SECRET = "whsec_before"
BODY = b'{"event": "bot.joining", "bot_id": "b"}'
NOW_S = 1_788_264_000.0
NOW = "2026-09-01T12:00:00Z"


def digest(body: bytes = BODY, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def headers(signature: str, timestamp: str | None = NOW) -> dict[str, str]:
    shown = {"x-meetstream-signature": signature}
    return shown if timestamp is None else shown | {"x-meetstream-timestamp": timestamp}


GOOD = {
    "prefix": headers(f"sha256={digest()}"),
    "bare hex": headers(digest()),
    "upper-case hex": headers(f"sha256={digest().upper()}"),
    "no timestamp": headers(f"sha256={digest()}", None),
    "rotated": headers(f"sha256={digest(secret=OLD_SECRET)}"),
    "300 s old": headers(f"sha256={digest()}", "2026-09-01T11:55:00Z"),
    "300 s ahead": headers(f"sha256={digest()}", "2026-09-01T14:05:00+02:00"),
    "no zone": headers(f"sha256={digest()}", "2026-09-01T12:00:00.5"),
}
BAD = {
    "tampered body": headers(f"sha256={digest(BODY + b' ')}"),
    "another secret": headers(f"sha256={digest(secret='whsec_other')}"),
    "empty": headers(""),
    "prefix only": headers("sha256="),
    "other prefix": headers(f"sha1={digest()}"),
    "prefix twice": headers(f"sha256=sha256={digest()}"),
    "shortened": headers(f"sha256={digest()[:-2]}"),
    "lengthened": headers(f"sha256={digest()}00"),
    "odd count": headers(f"sha256={digest()[:-1]}"),
    "no hex": headers("sha256=" + "g" * 64),
    "blanks inside": headers("sha256=" + digest()[:31] + "  " + digest()[33:]),
    "blank before": headers(f" sha256={digest()}"),
    "non-ASCII": headers("sha256=" + "é" * 64),
    "non-ASCII digits": headers("sha256=" + "٣" * 64),
    "doubled": headers(f"sha256={digest()}, sha256={digest()}"),
    "base64": headers("sha256=3q2+7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
    "301 s old": headers(f"sha256={digest()}", "2026-09-01T11:54:59Z"),
    "301 s ahead": headers(f"sha256={digest()}", "2026-09-01T12:05:01Z"),
    "no time": headers(f"sha256={digest()}", "today"),
    "empty time": headers(f"sha256={digest()}", ""),
    "time twice": headers(f"sha256={digest()}", f"{NOW}, {NOW}"),
    "time non-ASCII": headers(f"sha256={digest()}", "é"),
}


@pytest.mark.parametrize("case", GOOD)
def test_a_signature_that_fits(case: str) -> None:
    """Prefix or bare hex, any of the secrets, a timestamp within 300 s or none."""
    assert verify(GOOD[case], BODY, secrets=[SECRET, OLD_SECRET], now_s=NOW_S) == "valid"


@pytest.mark.parametrize("case", BAD)
def test_a_signature_that_does_not_fit_is_refused_and_the_text_tells_nothing(case: str) -> None:
    """Whatever is shown and not exactly right is refused; neither digest nor secret is in the text."""
    with pytest.raises(BadSignature) as caught:
        verify(BAD[case], BODY, secrets=[SECRET, OLD_SECRET], now_s=NOW_S)
    text = str(caught.value)
    assert digest()[:8] not in text and "whsec" not in text and "\n" not in text
    assert caught.value.status == 401


def test_age_is_not_checked_without_a_clock() -> None:
    """A captured body is old; an unreadable time is refused all the same."""
    old = headers(f"sha256={digest()}", "2020-01-01T00:00:00Z")
    assert verify(old, BODY, secrets=[SECRET], now_s=None) == "valid"
    with pytest.raises(BadSignature):
        verify(headers(f"sha256={digest()}", "never"), BODY, secrets=[SECRET], now_s=None)


@pytest.mark.parametrize("secrets", [[], [SECRET], [""]])
def test_a_push_without_signature_is_unsigned(secrets: list[str]) -> None:
    """Per-bot callbacks, realtime endpoints and transcripts are never signed: the ingress decides on its token."""
    assert verify({}, BODY, secrets=secrets, now_s=NOW_S) == "unsigned"
    assert verify({"x-meetstream-timestamp": "old"}, BODY, secrets=secrets, now_s=NOW_S) == "unsigned"


@pytest.mark.parametrize("secrets", [[], [""]])
def test_without_a_secret_a_signature_cannot_be_checked(secrets: list[str]) -> None:
    """An empty secret is none: everybody could sign with it."""
    assert verify(headers(digest(secret="")), BODY, secrets=secrets, now_s=NOW_S) == "unsigned"


@PATIENT
@given(st.text(), st.none() | st.text(), st.binary(max_size=20), st.text(min_size=1))
def test_only_our_errors_escape(signature: str, timestamp: str | None, body: bytes, secret: str) -> None:
    """Headers come from strangers."""
    with contextlib.suppress(ReceiverError):
        verify(headers(signature, timestamp), body, secrets=[secret], now_s=NOW_S)
