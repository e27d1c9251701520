"""One connection, from its first byte: deliveries the short way, everything else through aiohttp's protocol.

Stands between the event loop and both. A connection that aiohttp has comes back with the next delivery, where it is
beyond doubt that aiohttp has answered all that came before. What is sent there is not looked at but for its length; the
bytes of a head that does not end are counted.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from aiohttp import web

from receiver.ingress import lean
from receiver.ingress.framing import owed

if TYPE_CHECKING:
    from receiver.ingress.doors import Doors

#: of one request's head; aiohttp limits its lines, and all of them together would be a megabyte for each connection
_MOST_HEAD_BYTES = 64 << 10
_HEAD_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\n"
    b"Content-Type: application/json\r\nContent-Length: 55\r\n\r\n"
    b'{"error":"the head of a request is larger than 64 KiB"}'
)
#: a body that is not there as a whole by then goes to aiohttp, whose limits of time hold for it
_WHOLE_S = 0.5


class Door(asyncio.Protocol):
    """aiohttp's protocol is made only for one that gets in, and only once it is needed."""

    __slots__ = (
        "_answered", "_choked", "_doors", "_ending", "_eof", "_head_bytes", "_held", "_inner", "_last_s", "_late",
        "_loop", "_owed", "_paused", "_server", "_wire", "busy", "last", "to_socket",
    )  # fmt: skip

    def __init__(self, doors: "Doors", server: web.Server) -> None:
        self._doors = doors
        self._server = server
        self._inner: web.RequestHandler | None = None
        self._head_bytes = 0
        #: what aiohttp has still to get of the request that it gets; ``None``: that cannot be said any more
        self._owed: int | None = 0
        #: who takes everything that comes from now on: a WebSocket, on its way to aiohttp
        self.to_socket: Callable[[bytes], None] | None = None
        #: a delivery is under way the short way; what comes meanwhile is held
        self.busy = False
        #: the answer to it ends the connection
        self.last = False
        self._held = b""
        self._late: asyncio.TimerHandle | None = None
        self._choked = self._ending = self._eof = self._paused = False
        self._answered: asyncio.Future[None] | None = None
        #: when the last answer was sent; a connection that has had none has the time for a head
        self._last_s = float("inf")
        self._wire: asyncio.Transport | None = None

    # ---- what the event loop tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        wire = cast(asyncio.Transport, transport)
        if not self._doors.enter(wire):
            return
        self._wire = wire
        self._loop = asyncio.get_running_loop()
        self._doors.own.add(self)
        self._doors.expect_head(self, wire)
        if self._doors.lean is None:
            self._pass_on(b"")

    def data_received(self, data: bytes) -> None:
        if (to_socket := self.to_socket) is not None:
            to_socket(data)
        elif (inner := self._inner) is not None:
            if self._owed != 0 or not _is_idle(inner) or not self._takes_back(inner, data):
                self._to_aiohttp(inner, data)
        elif self._wire is not None:
            if self._held:
                data = self._held + data
                self._held = b""
            if self.busy or self._choked:
                self._hold(data)
            else:
                self._take(data)

    def eof_received(self) -> bool | None:
        if self._inner is not None:
            self._inner.eof_received()
            return False
        if self._wire is None or self._wire.get_extra_info("sslcontext") is not None:
            return False  # TLS ends both ways at once
        self._ending = self._eof = True
        return self.busy or (self._choked and bool(self._held))  # answers are to come; a part of a request gets none

    def pause_writing(self) -> None:
        self._choked = True
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._choked = False
        if self._inner is not None:
            self._inner.resume_writing()
        elif not self.busy:
            self._go_on()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._wire is None:
            return
        self._wire = None
        self._stop_waiting()
        self._held = b""
        if self._inner is not None:
            inner, self._inner = self._inner, None
            self._doors.leave(inner)
            inner.connection_lost(exc)
        else:
            self._doors.own.discard(self)
            self._doors.leave(self)

    # ---- the short way

    def answer(self, data: bytes) -> None:
        """Send the answer to the delivery that is under way, and look at what has come meanwhile."""
        self.busy = False
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(None)
        if self._wire is None:
            return
        self._wire.write(data)
        self._last_s = self._loop.time()
        if self.last or (self._ending and not self._held):
            self._held = b""
            self._wire.close()
        elif not self._choked:
            self._go_on()

    def refused(self, data: bytes) -> None:
        """The delivery that is under way is for aiohttp after all."""
        self.busy = False
        data, self._held = data + self._held, b""
        self._pass_on(data)
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(None)

    def finish(self) -> "asyncio.Future[None] | None":
        """Close this connection, behind the answer to what is under way: the end of that, if there is such a thing. A
        request of which only a part has come is for aiohttp."""
        self._ending = True
        if self.busy:
            self._answered = self._loop.create_future()
        elif self._held:
            self._pass_on(self._held)
        elif self._wire is not None:
            self._wire.close()
        return self._answered

    def close_if_idle(self, before_s: float) -> None:
        """Close it if it has delivered and said nothing, or read no answer, since ``before_s``."""
        if self.busy or self._last_s >= before_s or self._wire is None:
            return
        if self._choked:
            self._wire.abort()
        elif not self._held:
            self._wire.close()

    def _take(self, data: bytes) -> None:
        if not self._is_taken(data):
            self._pass_on(data)

    def _is_taken(self, data: bytes) -> bool:
        """Whether ``data`` begins with a delivery that goes the short way, as a whole or as far as it has come."""
        short = self._doors.lean
        taken = short.offer(data, self) if short is not None else 0
        if taken > 0:
            self.busy = True
            self._stop_waiting()
            self._doors.head_seen(self)
            self._doors.sweep()
            if len(data) > taken:
                self._hold(data[taken:])
        elif taken < 0 and self._eof:
            if self._wire is not None:
                self._wire.close()
        elif taken < 0:
            self._held = data
            self._doors.head_seen(self)
            if self._late is None:
                self._late = self._loop.call_later(_WHOLE_S, self._too_late)
        return taken != 0

    def _go_on(self) -> None:
        if self._wire is None:
            return
        if self._held:
            data, self._held = self._held, b""
            self._take(data)
        if self._paused and not self.busy:
            self._paused = False
            self._wire.resume_reading()

    def _hold(self, data: bytes) -> None:
        self._held = data
        if len(data) > lean.MOST_BYTES and self._wire is not None and not self._paused:
            self._paused = True
            self._wire.pause_reading()

    def _too_late(self) -> None:
        self._late = None
        data, self._held = self._held, b""
        self._pass_on(data)

    def _stop_waiting(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    # ---- the way through aiohttp

    def _pass_on(self, data: bytes) -> None:
        """From now on everything is for aiohttp, until it is idle and a delivery comes."""
        wire = self._wire
        if wire is None:
            return
        self._stop_waiting()
        self._held, self._owed, self._head_bytes = b"", 0, 0
        if self._paused:  # from here on aiohttp says when to read
            self._paused = False
            wire.resume_reading()
        self._doors.own.discard(self)
        self._inner = inner = self._server()
        inner.connection_made(wire)
        if self._choked:
            inner.pause_writing()
        self._doors.hand_over(self, inner, wire)
        if data:
            self._to_aiohttp(inner, data)
        if self._eof:
            wire.close()

    def _takes_back(self, inner: web.RequestHandler, data: bytes) -> bool:
        """Whether ``data`` is for the short way, which this connection is on again then."""
        if not self._is_taken(data):
            return False
        inner.transport = None  # it would close it
        inner.connection_lost(None)
        self._inner = None
        self._last_s = self._loop.time()
        self._doors.take_back(self, inner)
        return True

    def _to_aiohttp(self, inner: web.RequestHandler, data: bytes) -> None:
        if self._owed == 0:
            self._owed = owed(data)
        elif self._owed is not None:
            self._owed = self._owed - len(data) if self._owed >= len(data) else None
        inner.data_received(data)
        if not _is_idle(inner):
            self._head_bytes = 0
        else:  # the head that it waits for is incomplete
            self._head_bytes += len(data)
            if self._head_bytes > _MOST_HEAD_BYTES and self._wire is not None and not self._wire.is_closing():
                self._wire.write(_HEAD_TOO_LARGE)
                self._wire.close()


def _is_idle(inner: web.RequestHandler) -> bool:
    """Whether aiohttp waits for the next request, with all that it had answered."""
    waiter = inner._waiter
    return waiter is not None and not waiter.done()
