"""The sending of live sound: samples as the bytes of a response, or as the messages of a WebSocket. Loads numpy."""

import asyncio
from contextlib import suppress

import msgspec
import structlog
from aiohttp import WSCloseCode, WSMsgType, web

from receiver.audio.encode import frame_bytes, silence, wav_header
from receiver.events import format_time
from receiver.live.audio.lines import PlainLine, SocketLine
from receiver.live.audio.listening import Gap, Listening
from receiver.live.audio.query import Request

log = structlog.get_logger()
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


async def serve_plain(request: web.Request, asked: Request, listening: Listening, response: web.StreamResponse) -> None:
    """Send until the stream has ended for good. Where it did not, the answer is cut off, so that nobody takes it for
    complete."""
    wish, codec = asked.wish, asked.codec
    whole = False
    try:
        await response.prepare(request)
        # also where there is no more: aiohttp may hold the head back until then
        await response.write(wav_header(wish.rate_hz, wish.channels) if asked.form == "wav" else b"")
        line = PlainLine(request, codec)
        async for part in listening.sounds(line):
            if isinstance(part, Gap):
                for start in range(0, part.frames, wish.rate_hz):
                    if not line.send_bytes(silence(codec, wish.channels, min(wish.rate_hz, part.frames - start))):
                        await line.drain()
            elif not line.send(part):
                await line.drain()
        await response.write_eof()
        whole = True
    except ConnectionError:
        pass
    except Exception:
        log.exception("live.audio.fault")
    finally:
        if not whole and request.transport is not None:
            request.transport.close()


async def serve_socket(
    request: web.Request, asked: Request, listening: Listening, zero_ns: int, socket: web.WebSocketResponse
) -> None:
    """Send until the stream has ended for good, or the listener has gone."""
    await socket.prepare(request)
    code, reason = WSCloseCode.GOING_AWAY, b"server is shutting down"
    try:
        async with asyncio.TaskGroup() as tasks:
            sender = tasks.create_task(_send(request, asked, listening, zero_ns, socket))
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


async def _send(
    request: web.Request, asked: Request, listening: Listening, zero_ns: int, socket: web.WebSocketResponse
) -> None:
    wish, codec = asked.wish, asked.codec
    start = Start(asked.subject, codec, wish.rate_hz, wish.channels, asked.frame_ms, 0, format_time(zero_ns))
    await socket.send_str(_encode(start).decode())
    block = frame_bytes(codec, wish.channels)
    line = SocketLine(request, asked, socket, block)

    async def fill(most_frames: int) -> int:
        """Complete the message that waits, with silence; how many frames that took."""
        missing = asked.frames - line.held_bytes // block if line.held_bytes else 0
        count = min(missing, most_frames)
        if not line.send_bytes(silence(codec, wish.channels, count)):
            await line.drain()
        return count

    async for part in listening.sounds(line):
        if isinstance(part, Gap):
            filled = await fill(part.frames)
            left = part.frames - filled
            # where nothing is left, silence has taken the whole place, and a message that it began may still wait
            first = part.first_sample + filled - line.held_bytes // block
            gap = Left(first, left, round(left * 1000 / wish.rate_hz, 3))
            await socket.send_str(_encode(gap).decode())
        elif not line.send(part):
            await line.drain()
    await fill(asked.frames)
    await socket.send_str(_encode(Stop()).decode())
