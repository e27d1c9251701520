"""Registered webhooks of a domain: their state, signatures and tries (webhooks, docs.daily.co, 2026). No I/O."""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Any

from receiver.simulator.daily.bodies import EVENTS

PING = b'{"test":"test"}'
RETRY_TYPES = ("circuit-breaker", "exponential")
#: failures in a row after which a circuit breaker opens
BREAKS_AT = 3
#: tries of one message with ``exponential``, and the longest time between two of them
TRIES = 5
_LONGEST_S = 900.0
_FIELDS = ("url", "eventTypes", "hmac", "basicAuth", "retryType")


@dataclass(slots=True, kw_only=True)
class Hook:
    """One registration."""

    uuid: str
    url: str
    hmac: str
    eventTypes: list[str]  # noqa: N815 - the vendor's spelling
    basicAuth: str | None = None  # noqa: N815 - the vendor's spelling
    retryType: str = "circuit-breaker"  # noqa: N815 - the vendor's spelling
    state: str = "ACTIVE"
    failedCount: int = 0  # noqa: N815 - the vendor's spelling
    lastMomentPushed: str | None = None  # noqa: N815 - the vendor's spelling
    domainId: str = ""  # noqa: N815 - the vendor's spelling
    createdAt: str = ""  # noqa: N815 - the vendor's spelling
    updatedAt: str = ""  # noqa: N815 - the vendor's spelling
    #: only a secret that the receiver has told itself can be known when the ping comes
    own_secret: bool = field(default=False, repr=False)

    def shown(self) -> dict[str, Any]:
        """As REST shows it."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "own_secret"}

    def headers(self, body: bytes, now_s: float, *, signed: bool = True) -> dict[str, str]:
        """What a push of ``body`` bears."""
        shown = {"Content-Type": "application/json"}
        if signed:
            stamp = str(round(now_s * 1000))
            digest = hmac.digest(base64.b64decode(self.hmac), stamp.encode() + b"." + body, hashlib.sha256)
            shown |= {"X-Webhook-Timestamp": stamp, "X-Webhook-Signature": base64.b64encode(digest).decode()}
        if self.basicAuth:
            plain = self.basicAuth
            shown["Authorization"] = f"Basic {base64.b64encode(plain.encode()).decode() if ':' in plain else plain}"
        return shown

    def answered(self, status: int) -> None:
        """Count an answer: nothing but 200 is a success."""
        self.failedCount = 0 if status == 200 else self.failedCount + 1
        if self.retryType == "circuit-breaker" and self.failedCount >= BREAKS_AT:
            self.state = "FAILED"


def wait_s(tried: int) -> float:
    """How long to wait after ``tried`` tries of a message."""
    return min(4.0 ** (tried - 1), _LONGEST_S)


def problem(body: Any, *, new: bool) -> str:
    """What is wrong with what is to be registered; empty: nothing."""
    if not isinstance(body, dict):
        return "expected an object"
    if unknown := set(body) - set(_FIELDS):
        return f"unexpected parameter: {', '.join(sorted(unknown))}"
    if new and not body.get("url"):
        return "missing required field: url"
    if new and not body.get("eventTypes"):
        return "missing required field: eventTypes"
    if not str(body.get("url", "https://")).startswith(("https://", "http://127.0.0.1")):
        return "url has to be https"
    unknown_events = [name for name in body.get("eventTypes", []) if name not in EVENTS]
    if unknown_events:
        return f"no such event type: {', '.join(map(str, unknown_events))}"
    if body.get("retryType", RETRY_TYPES[0]) not in RETRY_TYPES:
        return f"retryType has to be one of {', '.join(RETRY_TYPES)}"
    if not is_secret(body.get("hmac", "AAAA")):
        return "hmac has to be base64"
    return ""


def is_secret(text: Any) -> bool:
    """Whether ``text`` is the base64 of a key."""
    try:
        return bool(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError, TypeError):
        return False
