"""RealtimeKit's signature: one table. The keys are made here; signatures by the library itself, not by our code."""

import base64
import contextlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from receiver.errors import BadSignature, ConfigError, ReceiverError, Unauthorized
from receiver.ingress.http import _kept_headers
from receiver.vendors.realtimekit import verify
from receiver.vendors.realtimekit.verify import sign
from tests.vendors.realtimekit_wire import PATIENT, UUID, WEBHOOK

BODY = b'{"event":"meeting.started","meeting":{"id":"m","id":"m2","n":1.0}}'
KEY, OTHER_KEY = (generate_private_key(65537, 2048) for _ in range(2))
EC_KEY = ec.generate_private_key(ec.SECP256R1())


def public_pem(key: RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def private_pem(key: RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def signature(body: bytes = BODY, key: RSAPrivateKey = KEY, digest: HashAlgorithm | None = None) -> str:
    return base64.b64encode(key.sign(body, PKCS1v15(), digest or SHA256())).decode()


PEM, OTHER_PEM = public_pem(KEY), public_pem(OTHER_KEY)
EC_PUBLIC, EC_PRIVATE = public_pem(EC_KEY), private_pem(EC_KEY)
GOOD_TEXT = signature()
PSS_TEXT = base64.b64encode(KEY.sign(BODY, PSS(MGF1(SHA256()), 32), SHA256())).decode()

GOOD: dict[str, tuple[dict[str, str], list[str]]] = {
    "rtk": ({"rtk-signature": GOOD_TEXT}, [PEM]),
    "dyte": ({"dyte-signature": GOOD_TEXT}, [PEM]),
    "rtk outweighs dyte": ({"dyte-signature": "none", "rtk-signature": GOOD_TEXT}, [PEM]),
    "literal line ends": ({"rtk-signature": GOOD_TEXT}, [PEM.replace("\n", "\\n")]),
    "literal carriage returns": ({"rtk-signature": GOOD_TEXT}, [PEM.replace("\n", "\\r\\n")]),
    "carriage returns": ({"rtk-signature": GOOD_TEXT}, [PEM.replace("\n", "\r\n")]),
    "no last line end": ({"rtk-signature": GOOD_TEXT}, [PEM.strip()]),
    "rotated, new key": ({"rtk-signature": GOOD_TEXT}, [PEM, OTHER_PEM]),
    "rotated, old key": ({"rtk-signature": GOOD_TEXT}, [OTHER_PEM, PEM]),
    "an unreadable key beside it": ({"rtk-signature": GOOD_TEXT}, ["whsec_c2VjcmV0", "", PEM]),
}
BAD = {
    "tampered body": {"rtk-signature": signature(BODY + b" ")},
    "another key": {"rtk-signature": signature(key=OTHER_KEY)},
    "SHA-1": {"rtk-signature": signature(digest=SHA1())},
    "another padding": {"rtk-signature": PSS_TEXT},
    "empty": {"rtk-signature": ""},
    "rtk is wrong, dyte would fit": {"rtk-signature": "", "dyte-signature": GOOD_TEXT},
    "doubled": {"rtk-signature": f"{GOOD_TEXT},{GOOD_TEXT}"},
    "doubled, as clients join": {"rtk-signature": f"{GOOD_TEXT}, {GOOD_TEXT}"},
    "shortened": {"rtk-signature": GOOD_TEXT[:-4]},
    "unpadded": {"rtk-signature": GOOD_TEXT.rstrip("=")},
    "lengthened": {"rtk-signature": GOOD_TEXT + "AAAA"},
    "blank before": {"rtk-signature": " " + GOOD_TEXT},
    "line end behind": {"rtk-signature": GOOD_TEXT + "\n"},
    "URL alphabet": {"rtk-signature": "-_" + GOOD_TEXT[2:]},
    "no base64": {"rtk-signature": "!" + GOOD_TEXT[1:]},
    "hex": {"rtk-signature": base64.b64decode(GOOD_TEXT).hex()},
    "non-ASCII": {"rtk-signature": "é" * 344},
    "undecodable bytes": {"rtk-signature": "\udcff" * 344},
    "dyte, tampered body": {"dyte-signature": signature(BODY[:-1])},
}


@pytest.mark.parametrize("case", GOOD)
def test_a_signature_that_fits(case: str) -> None:
    """Either header, any of the keys, each in any spelling of its line ends."""
    headers, secrets = GOOD[case]
    assert verify(headers, BODY, secrets=secrets, now_s=0) == "valid"


@pytest.mark.parametrize("case", BAD)
def test_a_signature_that_does_not_fit_is_refused_and_the_text_tells_nothing(case: str) -> None:
    """Whatever is shown and not exactly right is refused, with one line that has no part of it."""
    with pytest.raises(BadSignature) as caught:
        verify(BAD[case], BODY, secrets=[PEM], now_s=0)
    text = str(caught.value)
    assert GOOD_TEXT[:8] not in text and "\n" not in text and "BEGIN" not in text
    assert caught.value.status == 401


def test_the_raw_bytes_are_signed() -> None:
    """A key that stands twice, a float that is whole: a body that was read and written again is another."""
    same_meaning = b'{"event":"meeting.started","meeting":{"id":"m2","n":1}}'
    with pytest.raises(BadSignature):
        verify({"rtk-signature": GOOD_TEXT}, same_meaning, secrets=[PEM], now_s=0)


@pytest.mark.parametrize("headers", [{}, {"rtk-uuid": UUID}, {"x-rtk-signature": GOOD_TEXT}])
def test_every_delivery_is_signed(headers: dict[str, str]) -> None:
    """Who shows none is refused, otherwise than who shows a wrong one."""
    with pytest.raises(Unauthorized) as caught:
        verify(headers, BODY, secrets=[PEM], now_s=0)
    assert not isinstance(caught.value, BadSignature)


@pytest.mark.parametrize("secrets", [[], [""], ["  \n"]])
def test_without_a_key_nothing_can_be_checked(secrets: list[str]) -> None:
    """The ingress decides on its token."""
    assert verify({"rtk-signature": "?"}, BODY, secrets=secrets, now_s=0) == "unsigned"


@pytest.mark.parametrize("secret", ["whsec_c2VjcmV0", PEM[:60], EC_PUBLIC], ids=["no PEM", "cut", "no RSA"])
def test_no_readable_key_is_our_fault(secret: str) -> None:
    """A 4xx would be final to the vendor; it repeats what gets a 5xx."""
    with pytest.raises(ConfigError) as caught:
        verify({"rtk-signature": GOOD_TEXT}, BODY, secrets=[secret], now_s=0)
    assert caught.value.status == 500 and secret[:12] not in str(caught.value)


def test_age_is_not_checked() -> None:
    """Nothing in the signature tells when it was made."""
    assert verify({"rtk-signature": GOOD_TEXT}, BODY, secrets=[PEM], now_s=None) == "valid"


def test_what_we_sign_fits() -> None:
    """For playing the vendor; the library agrees with it."""
    headers = sign(BODY, [private_pem(KEY)], 0)
    assert headers == {"rtk-signature": GOOD_TEXT}
    assert verify(headers, BODY, secrets=[PEM], now_s=0) == "valid"


@pytest.mark.parametrize("secret", ["", PEM, EC_PRIVATE], ids=["empty", "public", "no RSA"])
def test_only_an_rsa_private_key_signs(secret: str) -> None:
    """The public key does not."""
    with pytest.raises(ConfigError):
        sign(BODY, [secret], 0)


@pytest.mark.parametrize("prefix", ["rtk", "dyte"])
def test_the_journal_keeps_what_identifies_a_delivery(prefix: str) -> None:
    """The vendor's headers are no credentials: decoding needs the ids, and the signature can be checked again."""
    sent = {
        f"{prefix.title()}-Uuid": UUID,
        f"{prefix.title()}-Webhook-Id": WEBHOOK,
        f"{prefix.title()}-Signature": GOOD_TEXT,
    }
    kept = _kept_headers(sent, inflated=True)
    assert kept == tuple((name.lower(), value) for name, value in sent.items())


@PATIENT
@given(st.dictionaries(st.sampled_from(["rtk-signature", "dyte-signature", "a"]), st.text()), st.binary(), st.text())
def test_only_our_errors_escape(headers: dict[str, str], body: bytes, secret: str) -> None:
    """Headers come from strangers, keys from a file that may be anything."""
    for secrets in ([secret], [PEM, secret]):
        with contextlib.suppress(ReceiverError):
            assert verify(headers, body, secrets=secrets, now_s=0) == "unsigned"
