"""The far end of one accepted WebSocket: messages in, replies out, and an ending in which nothing already sent is lost.

aiohttp answers pings and closings by itself, and then throws away what it has not yet handed out when the peer is gone
or when this side closes. So both are done here: reading goes on until the peer has answered, and a peer that cannot be
answered any more is still read to the end of what it sent.

While ``receive`` waits, frames are offered as they are read: to wake a task for each costs more than to take it.
"""

import asyncio
import struct
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, cast

from aiohttp import WebSocketError, WSCloseCode, WSMessage, WSMsgType, web, web_ws
from aiohttp._websocket.reader import WebSocketDataQueue

from receiver.ingress.heartbeat import Heartbeat
from receiver.ingress.inflow import Flow, Inflow

_NO_STATUS = 1005
_CONTROL_HEAD_BYTES = 6
#: codes below 3000 that a peer may tell (RFC 6455, 7.4.1); aiohttp also lets 1006 and 5000 to 65535 through
_TOLD = frozenset(WSCloseCode) - {WSCloseCode.ABNORMAL_CLOSURE}
#: is offered a frame; whether it was taken. What was not is received
Offered = Callable[[bytes], bool]


_feed = WebSocketDataQueue.feed_data


class _Queue(WebSocketDataQueue):
    """aiohttp's; frames are offered first, while that is set and nothing lies before them."""

    offered: Offered | None = None
    #: whether one was taken since this was last looked at
    taken = False
    #: what taking one has met: the reader that calls this has no place for it
    fault: Exception | None = None

    def feed_data(self, data: Any, size: int) -> None:
        offered = self.offered
        if offered is not None and data[0] is WSMsgType.BINARY and not self._buffer:
            try:
                if offered(data[1]):
                    self.taken = True
                    return
            except Exception as fault:
                self.fault, self.offered = fault, None
        _feed(self, data, size)


#: aiohttp reads ahead of a socket that is not read from by twice as much, and has no setting for it nor for its queue
vars(web_ws).update(DEFAULT_CHUNK_SIZE=64 << 10, WebSocketDataQueue=_Queue)


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
        self._flow: Flow | None = None
        self._socket = web.WebSocketResponse(
            max_msg_size=max_message_bytes + 1,  # the first size that is refused
            compress=False,
            autoping=False,
            autoclose=False,
        )
        self._heartbeat_s = heartbeat_s
        self._heartbeat: Heartbeat | None = None
        #: from ``accept`` on
        self._queue: _Queue
        self._read: Callable[[bytes], None]
        self._close_wait_s = close_wait_s
        self._transport: asyncio.Transport | None = None
        self._said: int | None = None
        self._cut_off: asyncio.TimerHandle | None = None

    async def accept(self, request: web.BaseRequest) -> web.WebSocketResponse:
        """Complete the handshake. Raises ``web.HTTPBadRequest`` where it is none; returns what the handler returns."""
        try:
            await self._socket.prepare(request)
        except ValueError as problem:
            raise web.HTTPBadRequest(text="Sec-WebSocket-Key is not base64") from problem
        self._queue = cast("_Queue", self._socket._reader)
        self._transport = transport = request.transport
        if transport is not None:
            inner = request.protocol
            self._flow = Flow(self._inflow, transport, lambda: bool(getattr(inner, "_reading_paused", False)))
            if self._heartbeat_s:
                self._heartbeat = Heartbeat(transport, self._heartbeat_s, self._waits_for_peer)
            self._read = inner.data_received
            cast(HandsOver, transport.get_protocol()).to_socket = self._arrived
        return self._socket

    def lying_bytes(self) -> int:
        """What was read and is still to be received."""
        size: int = self._queue._size
        return size

    def gone(self) -> None:
        """The socket is not read any more."""
        if self._flow is not None:
            self._flow.gone()
        if self._heartbeat is not None:
            self._heartbeat.stop()

    async def receive(self, offered: Offered) -> bytes | str | None:
        """The next message that ``offered`` does not take; ``None`` when there will be no more."""
        flow = self._flow
        while True:
            if flow is not None:
                flow.wait()
            message = await self._next(self._queue, offered)
            kind = message.type
            if kind is WSMsgType.BINARY or kind is WSMsgType.TEXT:
                if flow is not None:
                    flow.taken()
                data: bytes | str = message.data
                return data
            if kind is WSMsgType.PING or kind is WSMsgType.PONG:
                if flow is not None:
                    flow.passed(len(message.data) + _CONTROL_HEAD_BYTES)
                if kind is WSMsgType.PING:
                    await _try(self._socket.pong(message.data))
            else:
                await self._end(message)
                return None

    async def _next(self, queue: _Queue, offered: Offered) -> WSMessage:
        lying = queue._buffer
        while lying and lying[0][0].type is WSMsgType.BINARY:  # came while nobody waited
            frame = cast("WSMessage", await queue.read())
            if not offered(frame.data):
                return frame
            queue.taken = True
        if queue.taken:
            self._note_taken()
        queue.offered = offered
        try:
            message = await self._socket.receive()
        finally:
            queue.offered = None
        if queue.fault is not None:
            raise queue.fault
        return message

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

    def _arrived(self, data: bytes) -> None:
        self._read(data)
        if self._heartbeat is not None:
            self._heartbeat.arrived()
        if self._queue.taken:
            self._note_taken()
        elif self._flow is not None:
            self._flow.arrived(len(data))

    def _note_taken(self) -> None:
        self._queue.taken = False
        if self._flow is not None:
            self._flow.taken_at_once()

    def _waits_for_peer(self) -> bool:
        if self._flow is None or self._said is not None:
            return False
        return self._queue.offered is not None and not self._flow.paused

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
