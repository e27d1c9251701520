"""The far end of one accepted WebSocket: messages in, replies out, and an ending in which nothing already sent is lost.

aiohttp answers pings and closings by itself, and then throws away what it has not yet handed out when the peer is gone
or when this side closes. So both are done here: reading goes on until the peer has answered, and a peer that cannot be
answered any more is still read to the end of what it sent.

Runs of binary frames do not go through aiohttp: while ``receive`` waits they are taken as they are read, for to wake a
task for each costs more than to take it; else they lie here as they came.
"""

import asyncio
import fcntl
import struct
import termios
from collections.abc import Awaitable, Callable
from typing import Protocol, cast

from aiohttp import WebSocketError, WSCloseCode, WSMessage, WSMsgType, web, web_ws
from aiohttp._websocket.reader import WebSocketDataQueue, WebSocketReader

from receiver.ingress.heartbeat import Heartbeat
from receiver.ingress.inflow import Flow, Inflow
from receiver.ingress.runs import BINARY, Others, may_become_one, only_frame, take_run

_NO_STATUS = 1005
_CONTROL_HEAD_BYTES = 6
#: uvloop reads so much at once
_READ_BYTES = 256_000
_INT = struct.Struct("i")
#: codes below 3000 that a peer may tell (RFC 6455, 7.4.1); aiohttp also lets 1006 and 5000 to 65535 through
_TOLD = frozenset(WSCloseCode) - {WSCloseCode.ABNORMAL_CLOSURE}


class Taker(Protocol):
    """Takes frames as they are read."""

    def is_ready(self) -> bool:
        """Whether it takes frames now."""

    def wait_for_room(self, let_in: Callable[[], bool], lying_bytes: Callable[[], int]) -> bool:
        """Whether it will, and calls ``let_in`` when it does; false: it takes none before the next is received."""

    def take_at_once(self, frames: list[bytes]) -> int:
        """Take them, as far as nothing speaks against one; how many were taken."""


#: aiohttp reads ahead of a socket that is not read from by twice as much, and has no setting for it
vars(web_ws).update(DEFAULT_CHUNK_SIZE=64 << 10)


class HandsOver(Protocol):
    """A connection that gives what comes to whoever sets this."""

    to_socket: Callable[[bytes], None] | None


class Peer:
    """``accept`` once, ``receive`` until it gives ``None``; then ``code`` and ``clean`` tell how it ended."""

    # here and in what else a frame meets: with a thousand sockets each look at an attribute is one into cold memory
    __slots__ = (
        "_behind", "_behind_bytes", "_close_wait_s", "_cut_off", "_ending", "_fault", "_flow", "_heard",
        "_heartbeat", "_heartbeat_s", "_held", "_held_at", "_inflow", "_inside", "_most_bytes", "_number", "_others",
        "_outside", "_queue", "_reader", "_said", "_socket", "_taken", "_taker", "_transport", "clean", "code",
    )  # fmt: skip

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
        self._heard = False
        self._most_bytes = max_message_bytes
        #: from ``accept`` on: aiohttp's, for what is in no run of frames
        self._queue: WebSocketDataQueue
        self._reader: WebSocketReader
        self._others = Others()
        #: what has come, and from where on that is still to be looked at, or to become a whole frame
        self._held, self._held_at = b"", 0
        #: what has come behind that while nobody takes anything: to join each to it would copy all of it each time
        self._behind: list[bytes] = []
        self._behind_bytes = 0
        #: while ``receive`` waits and aiohttp has nothing for it
        self._taker: Taker | None = None
        #: whether frames were taken at once since this was last looked at, and what doing so has met
        self._taken = False
        self._fault: Exception | None = None
        #: whether frames that lie here wait for room; who waits for that, and the end of the socket that came meanwhile
        self._outside = False
        self._inside: asyncio.Future[None] | None = None
        self._ending: WSMessage | None = None
        self._close_wait_s = close_wait_s
        self._transport: asyncio.Transport | None = None
        #: of the descriptor
        self._number = -1
        self._said: int | None = None
        self._cut_off: asyncio.TimerHandle | None = None

    async def accept(self, request: web.BaseRequest) -> web.WebSocketResponse:
        """Complete the handshake. Raises ``web.HTTPBadRequest`` where it is none; returns what the handler returns."""
        transport, inner = request.transport, request.protocol
        if transport is None:
            raise web.HTTPBadRequest(text="the connection is gone")
        door = cast(HandsOver, transport.get_protocol())
        self._held, inner._message_tail = inner._message_tail, b""
        door.to_socket = self._came_early
        try:
            await self._socket.prepare(request)
        except BaseException as problem:
            door.to_socket, inner._message_tail = None, self._held
            if isinstance(problem, ValueError):
                raise web.HTTPBadRequest(text="Sec-WebSocket-Key is not base64") from problem
            raise
        self._queue = cast("WebSocketDataQueue", self._socket._reader)
        self._reader = cast("WebSocketReader", inner._payload_parser)
        self._transport = transport
        wire = transport.get_extra_info("socket")
        self._number = wire.fileno() if wire is not None else -1
        self._flow = Flow(self._inflow, transport, lambda: bool(getattr(inner, "_reading_paused", False)))
        if self._heartbeat_s:
            self._heartbeat = Heartbeat(
                transport, self._heartbeat_s, is_reading=self._waits_for_peer, has_heard=self._has_heard
            )
        door.to_socket = self._arrived
        return self._socket

    def lying_bytes(self) -> int:
        """What has come and is still to be received: here, and at the system while nothing is read."""
        size: int = self._queue._size
        if self._flow is not None and self._flow.paused and self._transport is not None:
            size += _unread_bytes(self._number)
        return size + len(self._held) - self._held_at + self._behind_bytes

    def gone(self) -> None:
        """The socket is not read any more."""
        if self._flow is not None:
            self._flow.gone()
        if self._heartbeat is not None:
            self._heartbeat.stop()

    async def receive(self, taker: Taker) -> bytes | str | None:
        """The next message that ``taker`` does not take at once; ``None`` when there will be no more."""
        flow = self._flow
        while True:
            message = await self._next(taker)
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

    async def _next(self, taker: Taker) -> WSMessage:
        lying = self._queue._buffer
        while lying and lying[0][0].type is WSMsgType.BINARY:  # came while nobody waited
            frame = cast("WSMessage", await self._queue.read())
            if not taker.is_ready() or not taker.take_at_once([frame.data]):
                return frame
            self._taken = True
        try:
            if not lying:
                self._taker = taker
                if self._held:
                    self._go_on()
            if self._taken:
                self._note_taken()
            message = await self._receive()
        finally:
            self._taker = None
        if self._fault is not None:
            raise self._fault
        return message

    async def _receive(self) -> WSMessage:
        """What aiohttp has read next; what lies here comes before that the socket has ended."""
        lying = self._queue._buffer
        if self._ending is None:
            if self._flow is not None and not lying and not self._outside:  # else there is enough for now
                self._flow.wait()
            message = await self._socket.receive()
            if not self._outside:
                return message
            self._ending = message
        while self._outside:
            self._inside = asyncio.get_running_loop().create_future()
            await self._inside
        return cast("WSMessage", await self._queue.read()) if lying else self._ending

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
        self._held += data

    def _arrived(self, data: bytes) -> None:
        self._heard = True
        if not self._held:
            taker, others = self._taker, self._others
            frame = None
            if taker is not None and not others.owed and not others.begun and taker.is_ready():
                frame = only_frame(data, self._most_bytes)
            if frame is None or taker is None:
                self._go_through(data, 0)
            elif self._offer(taker, [frame]):
                return
            else:
                self._refuse(frame)
        else:
            self._behind.append(data)
            self._behind_bytes += len(data)
            if self._taker is not None and not self._outside:
                self._go_on()
            else:
                self._pause()  # one read of much is cheaper than many of little, and there is something to take
        if self._taken:
            self._note_taken()
        elif self._flow is not None:
            self._flow.arrived(len(data), complete=self._outside or bool(self._queue._buffer))

    def _pause(self) -> None:
        if self._flow is not None and not self._flow.paused:
            self._flow.pause()

    def _let_in(self) -> bool:
        """There is room for what lies here."""
        self._outside = False
        if self._inside is not None and not self._inside.done():
            self._inside.set_result(None)
        if self._taker is None:
            return False
        self._go_on()
        if self._taken:
            self._note_taken()
        if self._flow is not None and not self._outside and self._taker is not None:
            self._flow.wait()
        return True

    def _go_on(self) -> None:
        """Look at what lies here."""
        data, at = self._held, self._held_at
        if self._behind:
            data, at = b"".join((data[at:], *self._behind)), 0
            self._behind.clear()
            self._behind_bytes = 0
        self._go_through(data, at)

    def _go_through(self, data: bytes, at: int) -> None:
        """Have the frames taken that ``data`` has from ``at`` on, as far as somebody takes them; hold the rest."""
        size, others = len(data), self._others
        while at < size:
            if data[at] != BINARY or others.owed or others.begun:
                begin, at = at, others.passed(data, at)
            elif self._taker is None or self._outside:
                break
            else:
                begin, at = at, self._take(self._taker, data, at)
                if at > begin:
                    continue
                if self._outside or may_become_one(data, at, self._most_bytes):
                    break
                at = others.passed(data, at)
            if at == begin:
                break
            self._reader.feed_data(data[begin:at])
            if self._queue._buffer:
                self._taker = None
        # a copy for each frame would be dear, and what has been looked at is not to lie here for long
        self._held, self._held_at = (data[at:], 0) if at >= size - at else (data, at)

    def _take(self, taker: Taker, data: bytes, at: int) -> int:
        """Have the run of frames at ``at`` taken; one that is not is to be received. Where the rest begins."""
        taken = 0
        if taker.is_ready():
            frames, end = take_run(data, at, self._most_bytes)
            if frames:
                taken = self._offer(taker, frames)
                self._taken = self._taken or taken > 0
            if taken == len(frames):
                return end
            _, at = take_run(data, at, self._most_bytes, taken)
        elif taker.wait_for_room(self._let_in, self.lying_bytes):
            self._outside = True
            self._pause()
            return at
        refused, at = take_run(data, at, self._most_bytes, 1)
        for frame in refused:
            self._refuse(frame)
        return at

    def _offer(self, taker: Taker, frames: list[bytes]) -> int:
        """How many are taken."""
        try:
            return taker.take_at_once(frames)
        except Exception as fault:  # is raised where the next message is received
            self._fault = fault
            return 0

    def _refuse(self, frame: bytes) -> None:
        """It is to be received."""
        self._queue.feed_data(WSMessage(WSMsgType.BINARY, frame, ""), len(frame))
        self._taker = None

    def _note_taken(self) -> None:
        self._taken = False
        if self._flow is not None:
            self._flow.taken_at_once()

    def _waits_for_peer(self) -> bool:
        if self._flow is None or self._said is not None:
            return False
        return self._taker is not None and not self._flow.paused

    def _has_heard(self) -> bool:
        heard, self._heard = self._heard, False
        return heard

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


def _unread_bytes(number: int) -> int:
    """What has come at a descriptor and is not read yet, as far as one read takes it (tcp(7), SIOCINQ)."""
    try:
        (size,) = _INT.unpack(fcntl.ioctl(number, termios.FIONREAD, bytes(_INT.size)))
    except (OSError, ValueError):  # it is closed, or was from the beginning
        return 0
    return min(_READ_BYTES, int(size))


async def _try(sending: Awaitable[None]) -> bool:
    """Whether a frame went out. A peer that is gone is no error: what it sent before is still to be read."""
    try:
        await sending
    except ConnectionError:
        return False
    return True
