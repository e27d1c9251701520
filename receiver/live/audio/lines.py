"""The connection of a listener: samples as a chunk of a response, or as the messages of a WebSocket. Loads numpy.

What is sent here goes to the transport past aiohttp's writers, in one piece. What they send themselves goes there too,
so the order stays. A connection holds no more than some kilobytes that its listener has not taken.
"""

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import HttpVersion11, web

from receiver.audio.encode import Cutter, encode
from receiver.audio.pcm import Raw, Samples
from receiver.live.audio.query import Request
from receiver.live.wire import BINARY, chunk, messages

#: what a connection holds that is not sent yet: with more than this its listener does not keep up
_MOST_UNSENT_BYTES = 64 << 10


class _Wire:
    """What is written, and whether more may be."""

    def __init__(self, request: web.Request, drain: Callable[[], Awaitable[None]]) -> None:
        self._wire: asyncio.Transport | None = request.transport
        self._drain = drain

    async def drain(self) -> None:
        """Return when it takes more. Raises ``ConnectionError`` where nobody is there."""
        await self._drain()

    def write(self, data: bytes) -> bool:
        """Have the bytes of the connection sent; whether it takes more at once. Raises ``ConnectionError``."""
        wire = self._wire
        if wire is None or wire.is_closing():
            raise ConnectionResetError("the listener has gone")
        wire.write(data)
        return wire.get_write_buffer_size() <= _MOST_UNSENT_BYTES


class PlainLine(_Wire):
    """A response whose head was sent: each write is one chunk of HTTP/1.1 (RFC 9112, 7.1), or just bytes where the
    listener is older.
    """

    def __init__(self, request: web.Request, codec: str) -> None:
        super().__init__(request, request.writer.drain)
        self._codec = codec
        self._chunked = request.version >= HttpVersion11

    def send(self, samples: Samples | Raw) -> bool:
        """See :class:`receiver.live.audio.listening.Line`."""
        return self.send_bytes(encode(self._codec, samples))

    def send_bytes(self, data: bytes) -> bool:
        """The same with bytes of the body, one at least."""
        return self.write(chunk(data) if self._chunked else data)


class SocketLine(_Wire):
    """A WebSocket whose binary messages have one length."""

    def __init__(self, request: web.Request, asked: Request, socket: web.WebSocketResponse, block_bytes: int) -> None:
        super().__init__(request, request.writer.drain)
        self._codec = asked.codec
        self._socket = socket
        self._cutter = Cutter(asked.frames * block_bytes)

    @property
    def held_bytes(self) -> int:
        """What waits for the rest of its message."""
        return self._cutter.held_bytes

    def send(self, samples: Samples | Raw) -> bool:
        """See :class:`receiver.live.audio.listening.Line`. What fills no message waits for the next samples."""
        return self.send_bytes(encode(self._codec, samples))

    def send_bytes(self, data: bytes) -> bool:
        """The same with bytes of messages."""
        complete = self._cutter.push(data)
        if self._socket.closed:
            raise ConnectionResetError("the WebSocket is closed")
        return self.write(messages(BINARY, complete))
