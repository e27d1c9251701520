"""RealtimeKit's signature: RSASSA-PKCS1-v1_5 with SHA-256 over the raw body, base64 in ``rtk-signature``.

``dyte-signature`` is the older name of the same. Every delivery is signed, with the vendor's own key; its public half
is published (``.well-known/webhooks.json``). Nothing but the body is signed: no time, so age cannot be checked.
Source: RealtimeKit, webhooks; Dyte, webhook signatures (2026).
"""

import base64
from collections.abc import Mapping, Sequence
from functools import lru_cache

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from receiver.errors import BadSignature, ConfigError, Unauthorized
from receiver.vendors.base import Signature
from receiver.vendors.signing import strict_base64

#: the first that is there counts
SIGNATURE_HEADERS = ("rtk-signature", "dyte-signature")


def verify(headers: Mapping[str, str], body: bytes, *, secrets: Sequence[str], now_s: float | None) -> Signature:
    """Check the raw ``body`` against any of ``secrets``, which are public keys; header names are lower-case.

    A key is PEM (SubjectPublicKeyInfo), its line ends real or written as backslash and n. ``now_s`` is not used.
    Without keys nothing can be checked: ``unsigned``. Raises ``Unauthorized`` where no signature is shown;
    ``BadSignature`` where one is that does not fit or is no base64 (a header given twice, too); ``ConfigError`` where
    not one of the keys can be read: that is not the sender's fault, and it may try again.
    """
    usable = [secret for secret in secrets if secret.strip()]
    if not usable:
        return "unsigned"
    name = next((name for name in SIGNATURE_HEADERS if name in headers), None)
    if name is None:
        raise Unauthorized(f"missing signature: neither {' nor '.join(SIGNATURE_HEADERS)} is there")
    keys = [key for key in map(_public_key, usable) if key is not None]
    if not keys:
        raise ConfigError("secrets: found no RSA public key, allowed: one in PEM")
    shown = strict_base64(headers[name])
    if shown is None:
        raise BadSignature(f"{name} is not base64")
    if not any(_fits(key, shown, body) for key in keys):
        raise BadSignature(f"{name} does not fit the body")
    return "valid"


def sign(body: bytes, secrets: Sequence[str], now_s: float) -> dict[str, str]:
    """Headers that :func:`verify` takes for ``body``, signed with the first secret, here a *private* key in PEM.

    For tests and for playing the vendor; no installation has the vendor's private key. Raises ``ConfigError``.
    """
    try:
        key = load_pem_private_key(_pem(secrets[0]), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigError("secrets: found no RSA private key, allowed: PEM without a password") from None
    if not isinstance(key, RSAPrivateKey):
        raise ConfigError("secrets: found another kind of private key, allowed: RSA")
    signature = key.sign(body, PKCS1v15(), SHA256())
    return {SIGNATURE_HEADERS[0]: base64.b64encode(signature).decode()}


@lru_cache(maxsize=64)
def _public_key(pem: str) -> RSAPublicKey | None:
    try:
        key = load_pem_public_key(_pem(pem))
    except (ValueError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, RSAPublicKey) else None


def _pem(text: str) -> bytes:
    return text.replace("\\r", "").replace("\\n", "\n").strip().encode("utf-8", "surrogatepass")


def _fits(key: RSAPublicKey, signature: bytes, body: bytes) -> bool:
    try:
        key.verify(signature, body, PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True
