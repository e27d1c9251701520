"""``GET /live/audio/{subject}.wav|.pcm|.mulaw``: live sound over plain HTTP, and as a WebSocket on the same path.

Query: ``rate`` (8000 to 48000 Hz, default 16000), ``channels`` (1 or 2), ``track``, ``speaker`` (id or name), ``wait``
(seconds, for a bot that is not there yet); for a WebSocket ``frame_ms`` (10 to 1000, default 20).
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import unquote

import msgspec
import structlog
from aiohttp import WSCloseCode, WSMsgType, web

from receiver.audio.encode import Cutter, encode, frame_bytes, silence, wav_header
from receiver.errors import Malformed, NotFound, Overloaded
from receiver.events import format_time
from receiver.live.audio.feeds import Feeds
from receiver.live.audio.listening import Gap, Listening, Wish
from receiver.live.masking import Mask

log = structlog.get_logger()
#: raises, or returns the response that is to be sent in place of the sound
Allow = Callable[[web.Request, str], web.StreamResponse | None]
#: what is hidden from who asks
MaskOf = Callable[[web.Request], Mask | None]

PREFIX = "/live/audio/"
_CODEC_OF = {"wav": "pcm_s16le", "pcm": "pcm_s16le", "mulaw": "pcm_mulaw"}
_MEDIA_TYPES = {"wav": "audio/wav", "pcm": "audio/pcm", "mulaw": "audio/x-mulaw"}
_LEAST_RATE_HZ, _MOST_RATE_HZ = 8000, 48_000
_MOST_WAIT_S = 86_400
#: a listener has nothing to say
_MOST_MESSAGE_BYTES = 4096
_CLOSE_S = 5.0
_encode = msgspec.json.Encoder().encode


class Start(msgspec.Struct, tag_field="type", tag="start"):
    """The first message. ``time`` is that of sample ``first_sample``, and sample n is n / ``rate_hz`` later."""

    subject: str
    codec: str
    rate_hz: int
    channels: int
    frame_ms: int
    first_sample: int
    time: str


class Left(msgspec.Struct, tag_field="type", tag="gap"):
    """What is left out because the listener was too far behind; the next binary message goes on after it."""

    first_sample: int
    samples: int
    ms: float


class Stop(msgspec.Struct, tag_field="type", tag="stop"):
    """The last message: the stream has ended for good."""


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


def audio_routes(
    feeds: Callable[[], Feeds], allow: Allow, max_behind_s: float = 30.0, mask_of: MaskOf = lambda request: None
) -> list[web.RouteDef]:
    """The routes. A listener who is more than ``max_behind_s`` behind goes on with what is said now. Who sees no names
    asks for a speaker by the label that he sees, and by no name."""

    async def handle(request: web.Request) -> web.StreamResponse:
        refusal = allow(request, "audio")
        if refusal is not None:
            return refusal
        asked = parse(request)
        response: web.StreamResponse | None = None
        try:
            async with feeds().listen(asked.subject, asked.wait_s) as seat:
                listening = Listening(seat, asked.wish, max_behind_s, mask_of(request))
                if _is_upgrade(request):
                    response = socket = web.WebSocketResponse(max_msg_size=_MOST_MESSAGE_BYTES, compress=False)
                    await _serve_socket(request, asked, listening, seat.zero_ns, socket)
                else:
                    response = _plain_response(asked)
                    await _serve_plain(request, asked, listening, response)
        except Overloaded:
            if response is None:
                raise
        return response

    return [web.get(PREFIX + "{name:.+}", handle, allow_head=False)]


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
    if wish.rate_hz * frame_ms % 1000 and ("frame_ms" in query or _is_upgrade(request)):
        raise Malformed(f"found {frame_ms}, which is no whole number of samples at {wish.rate_hz} Hz", "frame_ms")
    return Request(subject, form, wish, frame_ms, _number(query.get("wait", "0"), "wait", 0, _MOST_WAIT_S))


def _is_upgrade(request: web.BaseRequest) -> bool:
    return request.headers.get("Upgrade", "").lower() == "websocket"


def _number(text: str, key: str, least: int, most: int) -> int:
    value = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1
    if not least <= value <= most:
        raise Malformed(f"found {text[:20]!r}, allowed a whole number from {least} to {most}", key)
    return value


def _plain_response(asked: Request) -> web.StreamResponse:
    kind = _MEDIA_TYPES[asked.form]
    if asked.form != "wav":
        kind += f";rate={asked.wish.rate_hz};channels={asked.wish.channels}"
    return web.StreamResponse(headers={"Content-Type": kind, "Cache-Control": "no-store", "X-Accel-Buffering": "no"})


async def _serve_plain(
    request: web.Request, asked: Request, listening: Listening, response: web.StreamResponse
) -> None:
    """Send until the stream has ended for good. Where it did not, the answer is cut off, so that nobody takes it for
    complete."""
    wish, codec = asked.wish, asked.codec
    whole = False
    try:
        await response.prepare(request)
        if asked.form == "wav":
            await response.write(wav_header(wish.rate_hz, wish.channels))
        async for part in listening.sounds():
            if isinstance(part, Gap):
                for start in range(0, part.frames, wish.rate_hz):
                    await response.write(silence(codec, wish.channels, min(wish.rate_hz, part.frames - start)))
            else:
                await response.write(encode(codec, part))
        await response.write_eof()
        whole = True
    except ConnectionError:
        pass
    except Exception:
        log.exception("live.audio.fault")
    finally:
        if not whole and request.transport is not None:
            request.transport.close()


async def _serve_socket(
    request: web.Request, asked: Request, listening: Listening, zero_ns: int, socket: web.WebSocketResponse
) -> None:
    """Send until the stream has ended for good, or the listener has gone."""
    await socket.prepare(request)
    code, reason = WSCloseCode.GOING_AWAY, b"server is shutting down"
    try:
        async with asyncio.TaskGroup() as tasks:
            sender = tasks.create_task(_send(socket, asked, listening, zero_ns))
            reader = tasks.create_task(_read(socket, sender))
            await asyncio.wait((sender,))
            reader.cancel()
        code, reason = WSCloseCode.OK, b""
    except* ConnectionError:
        pass
    except* Exception:
        log.exception("live.audio.fault")
        code, reason = WSCloseCode.INTERNAL_ERROR, b"internal error"
    finally:
        with suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(_CLOSE_S):  # a listener who takes nothing would not take this either
                await socket.close(code=code, message=reason)


async def _read(socket: web.WebSocketResponse, sender: "asyncio.Task[None]") -> None:
    """Answer what the protocol asks for; what a listener says is ignored. Ends the sending when he goes."""
    while (await socket.receive()).type in (WSMsgType.TEXT, WSMsgType.BINARY):
        pass
    sender.cancel()


async def _send(socket: web.WebSocketResponse, asked: Request, listening: Listening, zero_ns: int) -> None:
    wish, codec = asked.wish, asked.codec
    start = Start(asked.subject, codec, wish.rate_hz, wish.channels, asked.frame_ms, 0, format_time(zero_ns))
    await socket.send_str(_encode(start).decode())
    block = frame_bytes(codec, wish.channels)
    cutter = Cutter(asked.frames * block)

    async def fill(most_frames: int) -> int:
        """Complete the message that waits, with silence; how many frames that took."""
        missing = asked.frames - cutter.held_bytes // block if cutter.held_bytes else 0
        count = min(missing, most_frames)
        for message in cutter.push(silence(codec, wish.channels, count)):
            await socket.send_bytes(message)
        return count

    async for part in listening.sounds():
        if isinstance(part, Gap):
            filled = await fill(part.frames)
            left = part.frames - filled
            gap = Left(part.first_sample + filled, left, round(left * 1000 / wish.rate_hz, 3))
            await socket.send_str(_encode(gap).decode())
        else:
            for message in cutter.push(encode(codec, part)):
                await socket.send_bytes(message)
    await fill(asked.frames)
    await socket.send_str(_encode(Stop()).decode())
