"""MeetStream's signature (webhooks guide, 2026): only workspace endpoints sign, so a push without one is ``unsigned``.

``X-MeetStream-Signature`` is ``sha256=`` and the hex of HMAC-SHA256 over the raw body; SDKs take the bare hex too.
``X-MeetStream-Timestamp`` is ISO 8601 and not part of the digest: it is checked where it is shown, never demanded.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from receiver.errors import BadSignature, StaleSignature
from receiver.events import parse_time
from receiver.vendors.base import Signature
from receiver.vendors.signing import fits_any, hmac_sha256, strict_hex, within_window

SIGNATURE_HEADER = "x-meetstream-signature"
TIMESTAMP_HEADER = "x-meetstream-timestamp"
TOLERANCE_S = 300.0
_PREFIX = "sha256="
_DIGEST_BYTES = 32


def verify(headers: Mapping[str, str], body: bytes, *, secrets: Sequence[str], now_s: float | None) -> Signature:
    """Check the raw ``body`` against any of ``secrets``; header names are lower-case, ``now_s`` = None: age unchecked.

    Without secrets a signature cannot be checked: ``unsigned``. Raises ``BadSignature`` where one is shown that does
    not fit, is written otherwise than above (a header given twice, too), or where the timestamp is unreadable;
    ``StaleSignature`` where it is old.
    """
    shown = headers.get(SIGNATURE_HEADER)
    usable = [secret for secret in secrets if secret]
    if shown is None or not usable:
        return "unsigned"
    digest = strict_hex(shown.removeprefix(_PREFIX), _DIGEST_BYTES)
    if digest is None:
        raise BadSignature(f"{SIGNATURE_HEADER} is not {_PREFIX} and {2 * _DIGEST_BYTES} hex digits")
    if not fits_any(digest, (hmac_sha256(secret, body) for secret in usable)):
        raise BadSignature(f"{SIGNATURE_HEADER} does not fit the body")
    _check_age(headers.get(TIMESTAMP_HEADER), now_s)
    return "valid"


def sign(body: bytes, secrets: Sequence[str], now_s: float) -> dict[str, str]:
    """Headers that :func:`verify` takes for ``body``, signed with the first secret; for trying out an installation."""
    moment = datetime.fromtimestamp(now_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {SIGNATURE_HEADER: _PREFIX + hmac_sha256(secrets[0], body).hex(), TIMESTAMP_HEADER: moment}


def _check_age(text: str | None, now_s: float | None) -> None:
    if text is None:
        return
    moment_ns = parse_time(text)
    if moment_ns is None:
        raise BadSignature(f"{TIMESTAMP_HEADER} is not an ISO 8601 time")
    if now_s is not None and not within_window(moment_ns / 1e9, now_s, TOLERANCE_S):
        raise StaleSignature(f"{TIMESTAMP_HEADER} is more than {TOLERANCE_S:.0f} s away from now")
