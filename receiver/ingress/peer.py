"""The far end of one accepted WebSocket: messages in, replies out, and an ending in which nothing already sent is lost.

aiohttp answers pings and closings by itself, and then throws away what it has not yet handed out when the peer is gone
or when this side closes. So both are done here: reading goes on until the peer has answered, and a peer that cannot be
answered any more is still read to the end of what it sent.
"""

import asyncio
import struct
from collections.abc import Awaitable, Callable
from typing import Protocol, cast

from aiohttp import WebSocketError, WSCloseCode, WSMessage, WSMsgType, web, web_ws
from aiohttp._websocket.reader import WebSocketDataQueue, WebSocketReader

from receiver.ingress.heartbeat import Heartbeat
from receiver.ingress.inflow import Flow, Inflow
from receiver.ingress.reading import Reading, Taker

_NO_STATUS = 1005
_CONTROL_HEAD_BYTES = 6
#: codes below 3000 that a peer may tell (RFC 6455, 7.4.1); aiohttp also lets 1006 and 5000 to 65535 through
_TOLD = frozenset(WSCloseCode) - {WSCloseCode.ABNORMAL_CLOSURE}
#: aiohttp reads ahead of a socket that is not read from by twice as much, and has no setting for it
vars(web_ws).update(DEFAULT_CHUNK_SIZE=64 << 10)


class HandsOver(Protocol):
    """A connection that gives what comes to whoever sets this."""

    to_socket: Callable[[bytes], None] | None


class Peer:
    """``accept`` once, ``receive`` until it gives ``None``; then ``code`` and ``clean`` tell how it ended."""

    def __init__(self, inflow: Inflow, *, max_message_bytes: int, heartbeat_s: float, close_wait_s: float) -> None:
        """``heartbeat_s`` 0: no pings. ``close_wait_s``: a peer that has not answered a closing by then is cut off."""
        self.code = int(WSCloseCode.ABNORMAL_CLOSURE)
        self.clean = False
        self._inflow = inflow
        #: what comes before it is accepted; from then on there are the two below
        self._early = b""
        self._flow: Flow
        self._reading: Reading
        self._socket = web.WebSocketResponse(
            max_msg_size=max_message_bytes + 1,  # the first size that is refused
            compress=False,
            autoping=False,
            autoclose=False,
        )
        self._heartbeat_s = heartbeat_s
        self._heartbeat: Heartbeat | None = None
        self._most_bytes = max_message_bytes
        self._close_wait_s = close_wait_s
        self._transport: asyncio.Transport | None = None
        self._said: int | None = None
        self._cut_off: asyncio.TimerHandle | None = None

    async def accept(self, request: web.BaseRequest) -> web.WebSocketResponse:
        """Complete the handshake. Raises ``web.HTTPBadRequest`` where it is none; returns what the handler returns."""
        transport, inner = request.transport, request.protocol
        if transport is None:
            raise web.HTTPBadRequest(text="the connection is gone")
        door = cast(HandsOver, transport.get_protocol())
        self._early, inner._message_tail = inner._message_tail, b""
        door.to_socket = self._came_early
        try:
            await self._socket.prepare(request)
        except BaseException as problem:
            door.to_socket, inner._message_tail = None, self._early
            if isinstance(problem, ValueError):
                raise web.HTTPBadRequest(text="Sec-WebSocket-Key is not base64") from problem
            raise
        held, self._early = self._early, b""
        self._transport = transport
        self._flow = Flow(self._inflow, transport, lambda: bool(getattr(inner, "_reading_paused", False)))
        wire = transport.get_extra_info("socket")
        self._reading = reading = Reading(
            cast("WebSocketDataQueue", self._socket._reader), cast("WebSocketReader", inner._payload_parser),
            self._socket.receive, self._flow, most_bytes=self._most_bytes,
            number=wire.fileno() if wire is not None else -1, held=held,
        )  # fmt: skip
        if self._heartbeat_s:
            self._heartbeat = Heartbeat(
                transport, self._heartbeat_s, is_reading=self._waits_for_peer, has_heard=reading.has_heard
            )
        door.to_socket = reading.arrived
        return self._socket

    def lying_bytes(self) -> int:
        """What has come and is still to be received."""
        return self._reading.lying_bytes()

    def gone(self) -> None:
        """The socket is not read any more."""
        self._reading.gone()
        if self._heartbeat is not None:
            self._heartbeat.stop()

    async def receive(self, taker: Taker) -> bytes | str | None:
        """The next message that ``taker`` does not take at once; ``None`` when there will be no more."""
        while True:
            message = await self._reading.next(taker)
            kind = message.type
            if kind is WSMsgType.BINARY or kind is WSMsgType.TEXT:
                self._flow.taken()
                data: bytes | str = message.data
                return data
            if kind is WSMsgType.PING or kind is WSMsgType.PONG:
                self._flow.passed(len(message.data) + _CONTROL_HEAD_BYTES)
                if kind is WSMsgType.PING:
                    await _try(self._socket.pong(message.data))
            else:
                await self._end(message)
                return None

    async def send(self, text: bytes | str) -> bool:
        """Send a message; whether the socket was still there."""
        if self._said is not None:
            return False
        if isinstance(text, str):
            return await _try(self._socket.send_str(text))
        return await _try(self._socket.send_bytes(text))

    async def hang_up(self, code: int, reason: str, wait_s: float | None = None) -> None:
        """Say that the socket is to be closed; the first time counts. ``receive`` goes on until the peer agrees, for
        at most ``wait_s`` (default: ``close_wait_s``)."""
        if self._said is not None or self._transport is None:
            return
        self._said = self.code = int(code)
        self._cut_off = asyncio.get_running_loop().call_later(wait_s or self._close_wait_s, self._transport.abort)
        await _try(self._socket.send_frame(struct.pack("!H", code) + reason.encode(), WSMsgType.CLOSE))

    def _came_early(self, data: bytes) -> None:
        self._early += data

    def _waits_for_peer(self) -> bool:
        return self._said is None and self._reading.is_open

    async def _end(self, message: WSMessage) -> None:
        if self._cut_off is not None:
            self._cut_off.cancel()
        if message.type is WSMsgType.CLOSE:
            legal = not message.data or message.data in _TOLD or 3000 <= message.data < 5000
            self.clean = bool(legal)
            if self._said is None:
                code = message.data if legal else WSCloseCode.PROTOCOL_ERROR
                self.code = int(code) or _NO_STATUS
                await self._socket.close(code=code or WSCloseCode.OK)
        elif isinstance(message.data, WebSocketError) and self._said is None:
            self.code = int(message.data.code)  # aiohttp has said it
        if self._transport is not None:
            self._transport.close()
            self._transport = None


async def _try(sending: Awaitable[None]) -> bool:
    """Whether a frame went out. A peer that is gone is no error: what it sent before is still to be read."""
    try:
        await sending
    except ConnectionError:
        return False
    return True
