"""Answers of MeetStream as bytes, before anybody decodes them: what leads to further calls, what must not be kept."""

from typing import Any

import msgspec

from receiver.redaction import REDACTED


def details_of(body: bytes) -> dict[str, Any]:
    """``bot_details`` of an answer; empty where it is in another form."""
    try:
        told = msgspec.json.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return {}
    if not isinstance(told, dict):
        return {}
    inner = told.get("bot_details")
    return inner if isinstance(inner, dict) else told


def link_in(told: Any) -> str:
    """A link, bare or in an object; empty where there is none."""
    if isinstance(told, dict):
        told = next((told[key] for key in ("url", "download_url", "link") if isinstance(told.get(key), str)), "")
    return told if isinstance(told, str) and told.startswith(("http://", "https://")) else ""


def without_own_urls(body: bytes) -> bytes:
    """``RequestPayload`` repeats this receiver's URLs with their tokens: they are not journalled."""
    try:
        told = msgspec.json.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return body
    for holder in (told, told.get("bot_details") if isinstance(told, dict) else None):
        if isinstance(holder, dict) and "RequestPayload" in holder:
            holder["RequestPayload"] = _masked(holder["RequestPayload"])
            body = msgspec.json.encode(told)
    return body


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _masked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_masked(item) for item in value]
    return REDACTED if isinstance(value, str) and "://" in value else value
