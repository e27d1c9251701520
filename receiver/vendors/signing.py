"""Signatures on raw bytes, for every vendor: digests, strict decoding of what a header shows, the age window.

Secrets and the time come in as arguments. Digests are compared as bytes and in constant time: comparing text raises on
a letter outside ASCII. Nothing here puts a secret, a digest or a payload into an error text. A vendor's own header
names and schemes belong into the vendor's module.
"""

import base64
import hashlib
import hmac
import string
from collections.abc import Iterable

_HEX = frozenset(string.hexdigits)


def hmac_sha256(secret: str, message: bytes) -> bytes:
    """HMAC-SHA256 of ``message``; the key is the secret's text as UTF-8, used as it is."""
    return hmac.digest(secret.encode("utf-8", "surrogateescape"), message, hashlib.sha256)


def fits_any(shown: bytes, expected: Iterable[bytes]) -> bool:
    """Whether ``shown`` equals one of ``expected``. All of them are compared, whichever fits."""
    fits = False
    for digest in expected:
        fits |= hmac.compare_digest(shown, digest)
    return fits


def strict_hex(text: str, size_bytes: int) -> bytes | None:
    """The bytes of exactly ``2 * size_bytes`` hex digits, else ``None``: no blanks, no other alphabet."""
    if len(text) != 2 * size_bytes or not _HEX.issuperset(text):
        return None
    return bytes.fromhex(text)


def strict_base64(text: str) -> bytes | None:
    """The bytes of base64 in the standard alphabet, padded, written in the one way that there is; else ``None``."""
    try:
        content = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    return content if base64.b64encode(content).decode() == text else None


def within_window(moment_s: float, now_s: float, window_s: float) -> bool:
    """Whether ``moment_s`` lies within ``window_s`` of ``now_s``, before or after."""
    return abs(now_s - moment_s) <= window_s
