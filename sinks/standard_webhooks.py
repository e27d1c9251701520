"""Signing by Standard Webhooks: ids, secrets and the three headers. Pure; the time comes as an argument.

Source: the Standard Webhooks specification, github.com/standard-webhooks/standard-webhooks, read August 2026. Only the
symmetric scheme ``v1`` is here: HMAC-SHA256 over ``id.timestamp.body``.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable

PREFIX = "whsec_"


def parse_secrets(text: str) -> list[bytes]:
    """The keys in ``text``: one or several secrets apart by white space, each with or without ``whsec_`` and padding.

    With several, each request bears a signature of each: that is how a secret is changed without a pause.
    Raises ``ValueError`` with a text that tells nothing of the secret.
    """
    keys = [_parse_secret(word) for word in text.split()]
    if not keys:
        raise ValueError("nothing")
    return keys


def _parse_secret(word: str) -> bytes:
    if word.startswith(("whsk_", "whpk_")):
        raise ValueError("an asymmetric key")
    encoded = word.removeprefix(PREFIX).rstrip("=")
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("text that is no base64") from None
    if not key:
        raise ValueError("an empty key")
    return key


def message_id(parts: Iterable[str]) -> str:
    """An id made of what identifies the content: the same parts give the same id on every attempt."""
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode(errors="surrogatepass")
        digest.update(b"%d:" % len(encoded) + encoded)
    return f"msg_{digest.hexdigest()[:40]}"


def sign(key: bytes, id_: str, timestamp_s: int, body: bytes | memoryview) -> str:
    """One entry of ``webhook-signature``: ``v1,`` and 44 characters of base64."""
    digest = hmac.new(key, f"{id_}.{timestamp_s}.".encode(), hashlib.sha256)
    digest.update(body)
    return "v1," + base64.b64encode(digest.digest()).decode()


def webhook_headers(keys: Iterable[bytes], id_: str, timestamp_s: int, body: bytes | memoryview) -> dict[str, str]:
    """The headers of one attempt, ``timestamp_s`` in seconds since the epoch. Without keys there is no signature."""
    headers = {"webhook-id": id_, "webhook-timestamp": str(timestamp_s)}
    if signatures := [sign(key, id_, timestamp_s, body) for key in keys]:
        headers["webhook-signature"] = " ".join(signatures)
    return headers
