"""What MeetStream's API refuses, and how it says so."""

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from receiver.simulator.meetstream_bot import POST_CALL, STREAMING

_BOUNDS = {"in_call_recording_timeout": (600, 18000), "recording_permission_denied_timeout": (60, 300)}
_CONNECT_S = 3.0


def refusal_of(body: dict[str, Any]) -> str:
    """Why ``create_bot`` answers 400, in words; empty: it does not."""
    for field in ("meeting_link", "bot_name"):
        if not isinstance(body.get(field), str) or not body[field]:
            return f"{field} is required"
    config = body.get("recording_config") or {}
    provider = (config.get("transcript") or {}).get("provider")
    if provider is not None and (len(provider) != 1 or not set(provider) <= POST_CALL | STREAMING):
        return "recording_config.transcript.provider must contain exactly one supported provider"
    if body.get("live_transcription_required") and not set(provider or ()) & STREAMING:
        return "live_transcription_required needs a streaming transcription provider"
    zoom = body.get("zoom") or {}
    if zoom.get("zak_url") and zoom.get("obf_url"):
        return "zoom.zak_url and zoom.obf_url are mutually exclusive"
    for name, (least, most) in _BOUNDS.items():
        seconds = (body.get("automatic_leave") or {}).get(name)
        if seconds is not None and seconds < least:
            return f"{name} must be at least {least} seconds"
        if seconds is not None and seconds > most:
            return f"{name} must not exceed {most} seconds"
    return ""


async def json_object(request: web.Request) -> dict[str, Any]:
    """The body of a request, which must be an object. Raises what is answered 400."""
    try:
        body = await request.json()
    except ValueError:
        raise refusal(400, "The body is not JSON") from None
    if not isinstance(body, dict):
        raise refusal(400, "The body has to be an object")
    return body


async def is_reachable(url: str) -> bool:
    """Whether anybody listens there: the vendor tries realtime endpoints before it takes a bot."""
    parts = urlsplit(url)
    try:
        async with asyncio.timeout(_CONNECT_S):
            _, writer = await asyncio.open_connection(
                parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
            )
    except (OSError, TimeoutError, ValueError):
        return False
    writer.close()
    return True


def refused(status: int, text: str, key: str = "message") -> web.Response:
    """A refusal as an answer; ``key``: under which the vendor's words stand."""
    return web.json_response({key: text}, status=status)


def refusal(status: int, text: str) -> web.HTTPException:
    """The same to be raised: 400 or 404."""
    kinds = {400: web.HTTPBadRequest, 404: web.HTTPNotFound}
    return kinds[status](text=json.dumps({"message": text}), content_type="application/json")
