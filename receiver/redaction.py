"""What counts as a secret inside vendor data, and how it is taken out. Pure.

Two rules decide, both on the conservative side: the name of a key, and a URL that carries its own permission.
Used for what leaves through sinks without ``secrets = true`` and for everything that is logged.
"""

import re
from typing import Any

REDACTED = "[redacted]"

_SECRET_KEY = re.compile(
    r"(^|[_\-.])(pass(word|wd|phrase)?|secret|token|api_?key|stream_?key|private_?key|authorization|signature|credentials?"
    r"|cookie|zak|otp|pin)$",
    re.IGNORECASE,
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_URL = re.compile(r"\b[a-z][a-z0-9+.\-]*://[^\s\"'<>\\]+", re.IGNORECASE)
_SIGNED_QUERY = re.compile(
    r"[?&#;](x-amz-|x-goog-|x-ms-|sig=|signature=|sign=|token=|access_token=|auth=|key=|api_?key=|secret=|password=|pwd="
    r"|policy=|key-pair-id=|se=|expires=|hdnts=|jwt=|zak=)",
    re.IGNORECASE,
)
_USERINFO = re.compile(r"^[a-z][a-z0-9+.\-]*://[^/?#]*@", re.IGNORECASE)
#: Any text without one of these cannot hold a URL that carries a permission.
_MAYBE_URL = "://"


def is_secret_key(key: str) -> bool:
    """Whether a JSON key or header of this name holds a secret, e.g. ``streamKey``, ``x-api-key``, ``Authorization``."""
    return _SECRET_KEY.search(_CAMEL.sub("_", key)) is not None


def redact_text(text: str) -> str:
    """``text`` with each URL that carries its own permission (signed query, user info) replaced."""
    if _MAYBE_URL not in text:
        return text
    return _URL.sub(lambda found: REDACTED if _carries_permission(found.group()) else found.group(), text)


def redact(value: Any) -> Any:
    """A JSON value without secrets; returns the very same object where there were none."""
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, dict):
        changed = {key: _redact_member(key, item) for key, item in value.items()}
        return value if all(changed[key] is value[key] for key in value) else changed
    if isinstance(value, list):
        items = [redact(item) for item in value]
        return value if all(new is old for new, old in zip(items, value, strict=True)) else items
    return value


def _redact_member(key: Any, value: Any) -> Any:
    if isinstance(key, str) and value not in (None, "", [], {}) and not isinstance(value, bool) and is_secret_key(key):
        return REDACTED
    return redact(value)


def _carries_permission(url: str) -> bool:
    return _SIGNED_QUERY.search(url) is not None or _USERINFO.match(url) is not None
