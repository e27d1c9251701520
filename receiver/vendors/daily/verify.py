"""Daily's signatures (webhooks reference, docs.daily.co, 2026; pinless dial-in, domain reference, 2026).

A webhook bears ``X-Webhook-Signature`` and ``X-Webhook-Timestamp``, a pinless dial-in ``X-Pinless-Signature`` and
``X-Pinless-Timestamp``. The signature is the base64 of HMAC-SHA256 over the timestamp's text, ``.`` and the raw body;
the key is what the secret's base64 stands for. The vendor always signs, but for the ping that tests an address.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence

from receiver.errors import BadSignature, Malformed, StaleSignature, Unauthorized
from receiver.vendors.base import Signature
from receiver.vendors.daily.ping import is_ping
from receiver.vendors.daily.wire import seconds
from receiver.vendors.signing import fits_any, strict_base64

SIGNATURE_HEADER = "x-webhook-signature"
TIMESTAMP_HEADER = "x-webhook-timestamp"
PINLESS_SIGNATURE_HEADER = "x-pinless-signature"
PINLESS_TIMESTAMP_HEADER = "x-pinless-timestamp"
#: Five tries, fifteen minutes apart at most, perhaps all with the stamp of the first. A replay repeats the event's id.
MOST_AGE_S = 4500.0
MOST_AHEAD_S = 300.0
_PAIRS = ((SIGNATURE_HEADER, TIMESTAMP_HEADER), (PINLESS_SIGNATURE_HEADER, PINLESS_TIMESTAMP_HEADER))


def verify(headers: Mapping[str, str], body: bytes, *, secrets: Sequence[str], now_s: float | None) -> Signature:
    """Check the raw ``body`` against any of ``secrets``; header names are lower-case, ``now_s`` = None: age unchecked.

    ``unsigned``: there are no secrets, or it is a ping, which comes before anybody can know the secret, so that its
    signature need not fit. Raises ``Unauthorized`` where no signature is shown; ``BadSignature`` where one does not
    fit, is written otherwise than above (a header given twice, too) or lacks its timestamp; ``StaleSignature`` where
    it is older than ``MOST_AGE_S`` or further ahead than ``MOST_AHEAD_S``.
    """
    usable = [secret for secret in secrets if secret]
    if not usable:
        return "unsigned"
    try:
        _check(headers, body, usable, now_s)
    except Unauthorized:
        if is_ping(body):
            return "unsigned"
        raise
    return "valid"


def sign(body: bytes, secrets: Sequence[str], now_s: float) -> dict[str, str]:
    """Headers that :func:`verify` takes for ``body``, signed with the first secret; for trying out an installation.

    Raises ``Malformed`` where that is not base64.
    """
    key = strict_base64(secrets[0])
    if not key:
        raise Malformed("a secret of Daily is base64, as the vendor shows it; this one is not")
    timestamp = str(int(now_s))
    digest = _digest(key, timestamp, body)
    return {SIGNATURE_HEADER: base64.b64encode(digest).decode(), TIMESTAMP_HEADER: timestamp}


def _check(headers: Mapping[str, str], body: bytes, secrets: Iterable[str], now_s: float | None) -> None:
    signature_header, timestamp_header = next((pair for pair in _PAIRS if pair[0] in headers), ("", ""))
    if not signature_header:
        raise Unauthorized(f"missing signature: neither {SIGNATURE_HEADER} nor {PINLESS_SIGNATURE_HEADER} is there")
    shown = strict_base64(headers[signature_header])
    if shown is None:
        raise BadSignature(f"{signature_header} is not base64")
    timestamp = headers.get(timestamp_header, "")
    moment_s = seconds(timestamp)
    if moment_s is None:
        raise BadSignature(f"{timestamp_header} is not a time in seconds or milliseconds")
    keys = [key for key in map(strict_base64, secrets) if key]
    if not keys:
        raise BadSignature("no secret of this endpoint is base64, as the vendor shows them")
    if not fits_any(shown, (_digest(key, timestamp, body) for key in keys)):
        raise BadSignature(f"{signature_header} does not fit the body")
    if now_s is not None and not -MOST_AHEAD_S <= now_s - moment_s <= MOST_AGE_S:
        limits = f"{MOST_AGE_S:.0f} s before and {MOST_AHEAD_S:.0f} s after now"
        raise StaleSignature(f"{timestamp_header} is not between {limits}")


def _digest(key: bytes, timestamp: str, body: bytes) -> bytes:
    return hmac.digest(key, timestamp.encode() + b"." + body, hashlib.sha256)
