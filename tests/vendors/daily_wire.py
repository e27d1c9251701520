"""What the Daily tests share: records, envelopes, and signatures made by the standard library, not by our code."""

import base64
import hashlib
import hmac
import json
from typing import Any

from hypothesis import HealthCheck, settings

from receiver.record import Decoded, Record
from receiver.vendors import daily
from tests.vendors.samples import NOW_NS

NOW_S = 1_788_264_000.0
#: when the webhooks of these tests were sent: 2026-09-01T11:59:58.5Z
SENT_S = 1_788_263_998.5
#: the 32 bytes 0 to 31, in base64 as the vendor shows a secret
SECRET = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#: for property tests: a busy machine is no failure
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def envelope(type_: str, payload: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A webhook as Daily wraps it; a change to ``None`` takes the key out."""
    body = {"version": "1.0.0", "type": type_, "id": "evt-1", "payload": payload, "event_ts": SENT_S} | changes
    return {key: value for key, value in body.items() if value is not None}


def body_record(body: bytes | dict[str, Any], *, subject: str = "", repeat: int = 0) -> Record:
    """The record of one HTTP body."""
    payload = body if isinstance(body, bytes) else json.dumps(body, separators=(",", ":")).encode()
    return Record(
        vendor="daily", endpoint="default", kind="body", payload=payload, received_ns=NOW_NS, subject=subject,
        repeat=repeat,
    )  # fmt: skip


def decode(body: bytes | dict[str, Any], *, subject: str = "", repeat: int = 0) -> Decoded:
    """What one HTTP body means."""
    return daily.decode(body_record(body, subject=subject, repeat=repeat))


def opening(*, subject: str = "") -> Record:
    """The record with which the ingress opens a bridge's socket."""
    return Record(
        vendor="daily", endpoint="default", kind="opened", payload=b"", received_ns=NOW_NS, channel="transcript",
        subject=subject, connection="c1",
    )  # fmt: skip


def signature(body: bytes, timestamp: str, secret: str = SECRET) -> str:
    """What Daily shows for ``body``."""
    digest = hmac.new(base64.b64decode(secret), timestamp.encode() + b"." + body, hashlib.sha256).digest()
    return base64.b64encode(digest).decode()
