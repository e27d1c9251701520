"""Meemo's signature in every scheme: one table. The digests here are made by the standard library, not by our code."""

import base64
import contextlib
import hashlib
import hmac

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.errors import BadSignature, ReceiverError, Unauthorized
from receiver.vendors.meemo import Scheme, sign, sign_with, verify, verify_with
from tests.vendors.meemo_wire import PATIENT

RAW_KEY = b"\xfb\xefsecret of organisation 12"
SECRET = "whsec_" + base64.b64encode(RAW_KEY).decode()
#: another organisation's, or the one before a rotation
OTHER = "whsec_" + base64.b64encode(b"secret of organisation 13").decode()
BODY = b'{"event_type":"meeting.created","meeting_id":124}'
SECRETS = [OTHER, SECRET]


def digest(body: bytes = BODY, key: bytes = SECRET.encode()) -> bytes:
    return hmac.new(key, body, hashlib.sha256).digest()


def headers(signature: str) -> dict[str, str]:
    return {"x-prosa-signature": signature}


HEX = digest().hex()
GOOD = {
    "prefix": headers(f"sha256={HEX}"),
    "bare hex": headers(HEX),
    "upper-case hex": headers(f"sha256={HEX.upper()}"),
    "the other secret": headers(f"sha256={digest(key=OTHER.encode()).hex()}"),
    "beside other headers": headers(f"sha256={HEX}") | {"x-prosa-event": "meeting.created"},
}
BAD = {
    "tampered body": headers(f"sha256={digest(BODY + b' ').hex()}"),
    "another secret": headers(f"sha256={digest(key=b'whsec_other').hex()}"),
    "secret without its prefix": headers(f"sha256={digest(key=SECRET.removeprefix('whsec_').encode()).hex()}"),
    "decoded secret": headers(f"sha256={digest(key=RAW_KEY).hex()}"),
    "empty": headers(""),
    "prefix only": headers("sha256="),
    "other prefix": headers(f"sha1={HEX}"),
    "prefix twice": headers(f"sha256=sha256={HEX}"),
    "prefix in capitals": headers(f"SHA256={HEX}"),
    "shortened": headers(f"sha256={HEX[:-2]}"),
    "lengthened": headers(f"sha256={HEX}00"),
    "odd count": headers(f"sha256={HEX[:-1]}"),
    "no hex": headers("sha256=" + "g" * 64),
    "blanks inside": headers("sha256=" + HEX[:31] + "  " + HEX[33:]),
    "blank before": headers(f" sha256={HEX}"),
    "non-ASCII": headers("sha256=" + "é" * 64),
    "non-ASCII digits": headers("sha256=" + "٣" * 64),
    "lone surrogate": headers("sha256=" + "\udcff" * 64),
    "doubled": headers(f"sha256={HEX},sha256={HEX}"),
    "base64": headers("sha256=" + base64.b64encode(digest()).decode()),
}


@pytest.mark.parametrize("case", GOOD)
def test_a_signature_that_fits(case: str) -> None:
    """Any of the secrets of one URL: each organisation has its own."""
    assert verify(GOOD[case], BODY, secrets=SECRETS, now_s=0.0) == "valid"


@pytest.mark.parametrize("case", BAD)
def test_a_signature_that_does_not_fit_is_refused_and_the_text_tells_nothing(case: str) -> None:
    """Whatever is shown and not exactly right is refused; neither digest nor secret is in the text."""
    with pytest.raises(BadSignature) as caught:
        verify(BAD[case], BODY, secrets=SECRETS, now_s=0.0)
    text = str(caught.value)
    assert HEX[:8] not in text and "whsec" not in text and "\n" not in text


def test_a_missing_signature_is_refused() -> None:
    """Every hook has a secret, so every delivery is taken to be signed; a missing signature is not a bad one."""
    with pytest.raises(Unauthorized) as caught:
        verify({"x-signature": HEX}, BODY, secrets=SECRETS, now_s=0.0)
    assert not isinstance(caught.value, BadSignature) and "x-prosa-signature" in str(caught.value)


@pytest.mark.parametrize("secrets", [[], [""]])
@pytest.mark.parametrize("shown", [{}, headers(f"sha256={HEX}"), headers(digest(key=b"").hex())])
def test_without_a_secret_nothing_can_be_checked(secrets: list[str], shown: dict[str, str]) -> None:
    """An empty secret is none: everybody could sign with it. The ingress then wants its token."""
    assert verify(shown, BODY, secrets=secrets, now_s=0.0) == "unsigned"


@pytest.mark.parametrize("now_s", [None, 0.0, 4e9])
def test_no_time_is_signed(now_s: float | None) -> None:
    """No age to check: what is sent again is found by its event id."""
    assert verify(GOOD["prefix"], BODY, secrets=SECRETS, now_s=now_s) == "valid"


# Other schemes

KEYS = {"text": SECRET.encode(), "after_whsec": SECRET.removeprefix("whsec_").encode(), "base64": RAW_KEY}
SCHEMES = [
    Scheme(signature_header="Meemo-Signature", prefix=prefix, encoding=encoding, key=key)
    for prefix in ("", "v1=")
    for encoding in ("hex", "base64")
    for key in ("text", "after_whsec", "base64")
]


def written(scheme: Scheme, body: bytes = BODY) -> str:
    raw = digest(body, KEYS[scheme.key])
    return scheme.prefix + (raw.hex() if scheme.encoding == "hex" else base64.b64encode(raw).decode())


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_each_scheme_takes_its_own_and_no_other(scheme: Scheme) -> None:
    """Header, prefix, encoding and form of the key are the operator's; header names in any case."""
    shown = {"meemo-signature": written(scheme)}
    for other in SCHEMES:
        same = (other.encoding, other.key) == (scheme.encoding, scheme.key)
        if same and scheme.prefix in ("", other.prefix):  # the sender may leave the prefix out
            assert verify_with(other, shown, BODY, SECRETS, 0.0) == "valid"
        else:
            with pytest.raises(BadSignature):
                verify_with(other, shown, BODY, SECRETS, 0.0)
    with pytest.raises(BadSignature):
        verify_with(scheme, {"meemo-signature": written(scheme, BODY + b" ")}, BODY, SECRETS, 0.0)
    with pytest.raises(Unauthorized):
        verify_with(scheme, {"x-prosa-signature": written(scheme)}, BODY, SECRETS, 0.0)


BASE64 = base64.b64encode(digest()).decode()
BAD_BASE64 = {
    "unpadded": BASE64.rstrip("="),
    "padded twice": BASE64 + "=",
    "URL alphabet": BASE64.replace("+", "-").replace("/", "_"),
    "line break": BASE64[:20] + "\n" + BASE64[20:],
    "other bits at the end": BASE64[:-2] + chr(ord(BASE64[-2]) + 1) + "=",
    "too short": base64.b64encode(digest()[:31]).decode(),
    "too long": base64.b64encode(digest() + b"\0").decode(),
    "hex": HEX,
    "non-ASCII": "é" * 44,
    "doubled": f"{BASE64},{BASE64}",
    "empty": "",
}


@pytest.mark.parametrize("case", BAD_BASE64)
def test_base64_is_strict(case: str) -> None:
    """One spelling for each digest."""
    scheme = Scheme(encoding="base64")
    assert BAD_BASE64[case] != BASE64
    assert verify_with(scheme, headers(f"sha256={BASE64}"), BODY, SECRETS, 0.0) == "valid"
    with pytest.raises(BadSignature):
        verify_with(scheme, headers(f"sha256={BAD_BASE64[case]}"), BODY, SECRETS, 0.0)


@pytest.mark.parametrize(
    "secret",
    [SECRET, SECRET.removeprefix("whsec_"), SECRET.rstrip("="), SECRET.replace("+", "-").replace("/", "_")],
)
def test_a_secret_in_base64_in_any_spelling(secret: str) -> None:
    """With and without ``whsec_`` and padding, in both alphabets: secrets are copied by people."""
    shown = headers("sha256=" + digest(key=RAW_KEY).hex())
    assert verify_with(Scheme(key="base64"), shown, BODY, [secret], 0.0) == "valid"


@pytest.mark.parametrize("secret", ["whsec_", "whsec_é", "whsec_a", "whsec_!!!!"])
def test_a_secret_of_another_form_fits_nothing(secret: str) -> None:
    """The text says that it is the secret; beside a good one it is left out. It never is an empty key."""
    scheme = Scheme(key="base64")
    with pytest.raises(BadSignature, match="no secret has the form"):
        verify_with(scheme, headers(digest(key=b"").hex()), BODY, [secret], 0.0)
    with pytest.raises(BadSignature):
        sign_with(scheme, BODY, [secret], 0.0)
    shown = headers(digest(key=RAW_KEY).hex())
    assert verify_with(scheme, shown, BODY, [secret, SECRET], 0.0) == "valid"


@pytest.mark.parametrize("scheme", [Scheme(), *SCHEMES], ids=str)
def test_a_trial_delivery_is_signed_as_it_is_checked(scheme: Scheme) -> None:
    """Header names are lower-case; the first secret signs."""
    shown = sign_with(scheme, BODY, [SECRET, OTHER], 0.0)
    assert shown == {scheme.signature_header.lower(): written(scheme)}
    assert verify_with(scheme, shown, BODY, SECRETS, 0.0) == "valid"


def test_the_default_is_the_sister_products() -> None:
    """Fact sheet, section 3: a guess, which an account may replace."""
    assert sign(BODY, SECRETS[::-1], 0.0) == headers(f"sha256={HEX}")
    assert msgspec.convert({}, Scheme) == Scheme()


@pytest.mark.parametrize("wrong", [{"encoding": "rot13"}, {"key": "whsec"}, {"header": "x"}, {"prefix": 5}])
def test_a_scheme_refuses_what_it_does_not_know(wrong: dict[str, object]) -> None:
    """A config with a slip of the pen does not quietly mean the default."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, Scheme)


@PATIENT
@given(st.text(), st.binary(max_size=20), st.text(), st.sampled_from([Scheme(), *SCHEMES]))
def test_only_our_errors_escape(signature: str, body: bytes, secret: str, scheme: Scheme) -> None:
    """Headers come from strangers, and secrets are whatever somebody typed."""
    with contextlib.suppress(ReceiverError):
        verify_with(scheme, {scheme.signature_header.lower(): signature}, body, [secret], 0.0)
    with contextlib.suppress(ReceiverError):
        shown = sign_with(scheme, body, [secret], 0.0)
        assert verify_with(scheme, shown, body, [secret], 0.0) == ("valid" if secret else "unsigned")
