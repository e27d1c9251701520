"""The Realtime SFU's adapters: a track's media, sent to a socket that the SFU dials.

A socket that is lost is dialled again for five seconds; of sound a short backlog is kept meanwhile, the oldest of it
dropped, of pictures the newest. What was about to be sent may come twice. There is no hello and no goodbye.
Source: Realtime SFU, WebSocket adapter (2026).
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

Codec = Literal["pcm", "jpeg"]
REDIAL_S = 5.0
_BETWEEN_S = 0.1
_DIAL_S = 5.0
_CLOSE_S = 5.0
_CONFIRM_S = 2.0
#: messages that are kept while the socket is away: a second of sound
_BACKLOG = {"pcm": 50, "jpeg": 1}
#: sent again after a redial
_REPEATED = 2


class AdapterRefused(Exception):
    """The socket could not be opened; the text is the vendor's code."""


@dataclass(slots=True)
class Accidents:
    """What befalls a stream, by number of message: the socket is lost before ``cut``, and ``lost`` never go out."""

    cut: int | None = None
    lost: frozenset[int] = frozenset()


@dataclass(slots=True)
class Adapter:
    """One track to one socket, whose URL has a token. ``pause_until(second)`` keeps time, ``count(name)`` counts."""

    id: str
    track: str
    endpoint: str = field(repr=False)
    codec: Codec
    pause_until: Callable[[float], Awaitable[None]]
    count: Callable[[str], None]
    accidents: Accidents = field(default_factory=Accidents)
    bytes_processed: int = 0
    closed: bool = False
    _socket: ClientConnection | None = None

    async def open(self) -> None:
        """Dial. Raises ``AdapterRefused``."""
        self._socket = await self._dial()

    async def stream(self, packets: Iterable[tuple[float, bytes]]) -> None:
        """Send every packet at its second, then close; cut short, the socket is lost."""
        try:
            await self._stream(packets)
            await self.close()
        finally:
            if self._socket is not None:
                self._socket.transport.abort()

    async def _stream(self, packets: Iterable[tuple[float, bytes]]) -> None:
        backlog: deque[bytes] = deque(maxlen=_BACKLOG[self.codec])
        sent: deque[bytes] = deque(maxlen=_REPEATED)
        for number, (at_s, message) in enumerate(packets):
            await self.pause_until(at_s)
            if self.closed:
                return
            if number in self.accidents.lost:
                continue
            if number == self.accidents.cut:
                await self._cut()
                backlog.extend(sent)
            backlog.append(message)
            if not await self._flush(backlog, sent):
                return

    async def close(self) -> None:
        """End the socket; nothing is said before."""
        self.closed = True
        if self._socket is not None:
            await self._socket.close(1000)
            self._socket = None

    async def _flush(self, backlog: deque[bytes], sent: deque[bytes]) -> bool:
        """Whether the adapter lives on."""
        while backlog:
            socket = self._socket or await self._redial()
            if socket is None:
                return False
            try:
                await socket.send(backlog[0])
            except ConnectionClosed:
                self._socket = None
                continue
            self.count("frames")
            self.bytes_processed += len(backlog[0])
            sent.append(backlog.popleft())
        return True

    async def _redial(self) -> ClientConnection | None:
        loop = asyncio.get_running_loop()
        end_s = loop.time() + REDIAL_S
        while loop.time() < end_s and not self.closed:
            try:
                self._socket = await self._dial()
            except AdapterRefused:
                await asyncio.sleep(_BETWEEN_S)
            else:
                return self._socket
        return None

    async def _dial(self) -> ClientConnection:
        try:
            socket = await connect(
                self.endpoint, compression=None, max_size=None, ping_interval=None, open_timeout=_DIAL_S,
                close_timeout=_CLOSE_S,
            )  # fmt: skip
        except TimeoutError:
            raise AdapterRefused("websocket_connection_timeout") from None
        except (OSError, InvalidHandshake, InvalidURI, ValueError):
            raise AdapterRefused("websocket_handshake_failed") from None
        self.count("sockets")
        return socket

    async def _cut(self) -> None:
        """End without a close frame. A ping goes first: what was sent has arrived by its answer."""
        socket, self._socket = self._socket, None
        if socket is None:
            return
        with contextlib.suppress(TimeoutError, ConnectionClosed):
            async with asyncio.timeout(_CONFIRM_S):
                await (await socket.ping())
        socket.transport.abort()
