"""The body of ``create_bot`` with this receiver's URLs in it (create-bot reference, docs.meetstream.ai, 2026)."""

from typing import Any
from urllib.parse import urlsplit

import msgspec

from receiver.errors import VendorCannot
from receiver.rest.base import Wiring
from receiver.rest.meetstream.options import STREAMING, MeetStreamOptions

BOT_NAME = "Notetaker"
PARTICIPANT_EVENTS = ("participant_events.join", "participant_events.leave")
_DEFAULT_PROVIDER = "meetstream_streaming"
_ZOOM_HOSTS = ("zoom.us", "zoom.com", "zoomgov.com")


def wired_body(wiring: Wiring) -> dict[str, Any]:
    """Every URL filled in, with a provider of live transcripts.

    The transcript goes to the webhook: the reference has no socket for it any more, and both would bring it twice.
    """
    body: dict[str, Any] = {
        "callback_url": wiring.callback,
        "recording_config": {
            "transcript": {"provider": {_DEFAULT_PROVIDER: {}}},
            "realtime_endpoints": [{"type": "webhook", "url": wiring.callback, "events": list(PARTICIPANT_EVENTS)}],
        },
        "live_transcription_required": {"webhook_url": wiring.callback},
    }
    for field, url in (
        ("live_audio_required", wiring.audio),
        ("live_video_required", wiring.video),
        ("socket_connection_url", wiring.control),
    ):
        if url:
            body[field] = {"websocket_url": url}
    return body


def create_body(wiring: Wiring, options: MeetStreamOptions) -> dict[str, Any]:
    """What is sent: ``options`` laid over the wiring, ``recording_config`` key by key.

    A provider that works after the call brings no live transcript, so none is asked for; Zoom has no live video.
    Raises ``VendorCannot`` that names the field, before anything is sent.
    """
    given = _checked(options)
    body = wired_body(wiring)
    if _is_zoom(options.meeting_link):
        body.pop("live_video_required", None)
    recording = body["recording_config"] | given.pop("recording_config", {})
    if not set(recording["transcript"]["provider"]) & STREAMING:
        if "live_transcription_required" in given:
            raise VendorCannot(
                "meetstream: live_transcription_required: found with a provider that works after the call, allowed"
                f" with one of {', '.join(sorted(STREAMING))} (recording_config.transcript.provider)"
            )
        del body["live_transcription_required"]
    name = {"bot_name": given.pop("bot_name", BOT_NAME)}
    return {"meeting_link": given.pop("meeting_link"), **name, **body, **given, "recording_config": recording}


def _checked(options: MeetStreamOptions) -> dict[str, Any]:
    """The options as JSON values, each within its bounds, however they were made. An error shows no URL."""
    try:
        given: dict[str, Any] = msgspec.to_builtins(options)
        msgspec.convert(given, MeetStreamOptions)
    except (msgspec.ValidationError, TypeError) as error:
        reason, _, path = str(error).partition(" - at `$.")
        raise VendorCannot(f"meetstream: {path.removesuffix('`') or 'options'}: {reason}; nothing was sent") from None
    return given


def _is_zoom(link: str) -> bool:
    try:
        host = urlsplit(link).hostname or ""
    except ValueError:
        return False
    return any(host == known or host.endswith(f".{known}") for known in _ZOOM_HOSTS)
