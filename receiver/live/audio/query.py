"""What the URL of live sound asks for.

``rate`` (8000 to 48000 Hz, default 16000), ``channels`` (1 or 2), ``track``, ``speaker`` (id or name), ``wait``
(seconds, for a bot that is not there yet); for a WebSocket ``frame_ms`` (10 to 1000, default 20).
"""

from urllib.parse import unquote

import msgspec
from aiohttp import web

from receiver.errors import Malformed, NotFound

PREFIX = "/live/audio/"
_CODEC_OF = {"wav": "pcm_s16le", "pcm": "pcm_s16le", "mulaw": "pcm_mulaw"}
_LEAST_RATE_HZ, _MOST_RATE_HZ = 8000, 48_000
_MOST_WAIT_S = 86_400


class Wish(msgspec.Struct, frozen=True):
    """What a listener wants to hear, and how."""

    rate_hz: int = 16_000
    channels: int = 1
    track: str = ""
    speaker: str = ""


class Request(msgspec.Struct, frozen=True):
    """What the URL of a request asks for."""

    subject: str
    form: str
    wish: Wish
    frame_ms: int
    wait_s: float

    @property
    def codec(self) -> str:
        return _CODEC_OF[self.form]

    @property
    def frames(self) -> int:
        """Of one binary message."""
        return self.wish.rate_hz * self.frame_ms // 1000


def parse(request: web.BaseRequest) -> Request:
    """What a request asks for. Raises ``NotFound`` for another ending, ``Malformed`` naming the parameter."""
    name = request.rel_url.raw_path.removeprefix(PREFIX)
    subject, _, form = name.rpartition(".")
    subject = unquote(subject)
    if not subject or form not in _CODEC_OF:
        raise NotFound("no such sound: the path is /live/audio/ID and one of .wav, .pcm, .mulaw")
    query = request.rel_url.query
    wish = Wish(
        rate_hz=_number(query.get("rate", "16000"), "rate", _LEAST_RATE_HZ, _MOST_RATE_HZ),
        channels=_number(query.get("channels", "1"), "channels", 1, 2),
        track=query.get("track", ""),
        speaker=query.get("speaker", ""),
    )
    frame_ms = _number(query.get("frame_ms", "20"), "frame_ms", 10, 1000)
    if wish.rate_hz * frame_ms % 1000 and ("frame_ms" in query or is_upgrade(request)):
        raise Malformed(f"found {frame_ms}, which is no whole number of samples at {wish.rate_hz} Hz", "frame_ms")
    return Request(subject, form, wish, frame_ms, _number(query.get("wait", "0"), "wait", 0, _MOST_WAIT_S))


def is_upgrade(request: web.BaseRequest) -> bool:
    """Whether it is to become a WebSocket."""
    return request.headers.get("Upgrade", "").lower() == "websocket"


def _number(text: str, key: str, least: int, most: int) -> int:
    value = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1
    if not least <= value <= most:
        raise Malformed(f"found {text[:20]!r}, allowed a whole number from {least} to {most}", key)
    return value
