"""What is said to a MeetStream bot: commands over its control socket, and answers to what it sends first.

Source: meeting-control-and-command-patterns, docs.meetstream.ai, 2026; bridge server ``outbound.py``. The bot ignores
what it does not understand in silence, so a wrong argument is refused here.
"""

import base64
from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

from receiver.errors import Malformed
from receiver.events import Encoder
from receiver.vendors.meetstream.frames import RATE_HZ, SAMPLE_BYTES

READY_TEXT = "ready received"
#: seconds of sound in one ``sendaudio`` message; the documents want 0.5 to 2, sent at about 0.8 of real time
AUDIO_PIECE_S = 1
_AUDIO_PIECE_BYTES = AUDIO_PIECE_S * RATE_HZ * SAMPLE_BYTES


class _Message(msgspec.Struct, forbid_unknown_fields=True):
    message: str


class _Chat(msgspec.Struct, forbid_unknown_fields=True):
    text: str
    role: Literal["assistant", "user"] = "assistant"
    is_final: bool = True


class _Interrupt(msgspec.Struct, forbid_unknown_fields=True):
    action: Literal["clear_audio_queue"] = "clear_audio_queue"


class _Image(msgspec.Struct, forbid_unknown_fields=True):
    img: bytes


class _ImageUrl(msgspec.Struct, forbid_unknown_fields=True):
    img_url: str


class _Audio(msgspec.Struct, forbid_unknown_fields=True):
    pcm: bytes


def _sendmsg(arguments: _Message) -> list[dict[str, Any]]:
    # The text twice: which of the keys a bot reads depends on the meeting's platform.
    return [{"message": arguments.message, "msg": arguments.message}]


def _sendaudio(arguments: _Audio) -> list[dict[str, Any]]:
    pcm = arguments.pcm
    if not pcm or len(pcm) % SAMPLE_BYTES:
        raise Malformed(f"pcm has {len(pcm)} bytes: expected samples of {SAMPLE_BYTES} bytes each", "sendaudio")
    form = {"sample_rate": RATE_HZ, "encoding": "pcm16", "channels": 1, "endianness": "little"}
    pieces = (pcm[at : at + _AUDIO_PIECE_BYTES] for at in range(0, len(pcm), _AUDIO_PIECE_BYTES))
    return [{"audiochunk": base64.b64encode(piece).decode(), **form} for piece in pieces]


def _sendimg(arguments: _Image) -> list[dict[str, Any]]:
    return [{"img": base64.b64encode(arguments.img).decode()}]


def _as_told(arguments: msgspec.Struct) -> list[dict[str, Any]]:
    return [msgspec.structs.asdict(arguments)]


#: command -> the arguments that it takes, and what makes messages of them
_COMMANDS: dict[str, tuple[type[msgspec.Struct], Callable[[Any], list[dict[str, Any]]]]] = {
    "sendmsg": (_Message, _sendmsg),
    "sendchat": (_Chat, _as_told),
    "interrupt": (_Interrupt, _as_told),
    "sendaudio": (_Audio, _sendaudio),
    "sendimg": (_Image, _sendimg),
    "sendimg_url": (_ImageUrl, _as_told),
}


def command_messages(name: str, arguments: Mapping[str, Any], bot_id: str) -> list[str]:
    """The text messages of one command to ``bot_id``. Sound and pictures are bytes or base64 text.

    ``sendmsg`` message; ``sendchat`` text, role, is_final; ``interrupt``; ``sendaudio`` pcm (s16le, 48,000 Hz, mono,
    cut into pieces of a second, which the caller has to pace); ``sendimg`` img; ``sendimg_url`` img_url.
    Raises ``Malformed`` on another name, a missing, wrong or unknown argument, or while the bot is unknown.
    """
    if name not in _COMMANDS:
        raise Malformed(f"no command {name!r}; allowed: {', '.join(_COMMANDS)}")
    if not bot_id:
        raise Malformed("the id of the bot is not known yet", name)
    shape, build = _COMMANDS[name]
    try:
        known = msgspec.convert(dict(arguments), shape)
    except msgspec.ValidationError as error:
        raise Malformed(f"{error}; it takes: {', '.join(shape.__struct_fields__)}", name) from None
    return [_text({"command": name, "bot_id": bot_id, **body}) for body in build(known)]


def ready_reply(channel: str, bot_id: str) -> str:
    """The optional answer to ``ready``; where the channel is unknown, one that either of its readers understands."""
    kind = {"type": "ack"} if channel != "control" else {}
    command = {"command": "ack", "bot_id": bot_id} if channel != "audio" else {}
    return _text({**kind, **command, "message": READY_TEXT})


def pong(ping: Mapping[str, Any], now_ns: int, bot_id: str) -> str:
    """The answer to a latency ping: its own numbers and the time of arrival in milliseconds since the epoch."""
    return _text({"type": "video_latency_pong", **ping, "server_received_at_ms": now_ns // 1_000_000, "bot_id": bot_id})


def _text(body: Mapping[str, Any]) -> str:
    return Encoder.encode(body).decode()
