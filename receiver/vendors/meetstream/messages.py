"""The text messages that only MeetStream's sockets know, and which channel a text message belongs to.

Commands of the control socket and whatever HTTP bodies have too are told elsewhere.
"""

from typing import Any

import msgspec

from receiver.vendors.meetstream.transcript import transcript_layers


class Ready(msgspec.Struct):
    """``ready``, first on audio and control; also all that is read of ``video_stream_end``."""

    bot_id: str | None = None


class VideoStart(msgspec.Struct):
    """``video_stream_start``: what the pieces that follow hold; pixels."""

    bot_id: str | None = None
    codec: str | None = None
    container: str | None = None
    width: int | None = None
    height: int | None = None


class Ping(msgspec.Struct, omit_defaults=True):
    """``video_latency_ping``; its numbers go back as they are."""

    bot_id: str | None = None
    seq: int | None = None
    sent_at_ms: int | float | None = None


class LegacyChunk(msgspec.Struct):
    """``PCMChunk`` of older bots: the samples as strict base64 in JSON."""

    audioData: bytes  # noqa: N815 - the vendor's spelling
    bot_id: str | None = None
    speakerId: str | None = None  # noqa: N815 - the vendor's spelling
    speakerName: str | None = None  # noqa: N815 - the vendor's spelling


def channel_of(body: dict[str, Any]) -> str:
    """The channel that a text message belongs to; empty where it tells none, like ``ready``."""
    kind = body.get("type")
    if isinstance(kind, str) and kind.startswith("video_"):
        return "video"
    if kind == "PCMChunk":
        return "audio"
    if body.get("command") is not None:
        return "control"
    return "transcript" if transcript_layers(body) else ""
