"""The far end of one WebSocket that we dialled: messages in, requests out, and how it ended.

It is what :class:`receiver.ingress.peer.Peer` is for a socket that was accepted, over another library. Nothing here
knows a vendor, and no token is kept: the headers go into the handshake and nowhere else.
"""

import logging
from collections.abc import Mapping
from typing import cast

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

from receiver.ingress.inflow import Flow, Inflow

_ABNORMAL = 1006
#: frames that are read ahead of a journal that is behind
_MOST_QUEUED = 4
#: of an answer that is no upgrade
_MOST_REFUSAL_BYTES = 64 << 10
#: the library logs the head of a request, and so the token, where its logger is told to be that talkative
_LOGGER = logging.getLogger("receiver.ingress.dial_line")
_LOGGER.setLevel(logging.WARNING)


class Unreachable(Exception):
    """There is no connection. ``status`` and ``body``: what an upgrade was answered with; 0: it was not answered."""

    def __init__(self, reason: str, status: int = 0, body: bytes = b"", retry_after: str = "") -> None:
        super().__init__(reason)
        self.status = status
        self.body = body
        self.retry_after = retry_after


class _Connection(ClientConnection):
    """Tells how many bytes came."""

    flow: Flow | None = None

    def data_received(self, data: bytes) -> None:
        if self.flow is not None:
            self.flow.arrived(len(data))
        super().data_received(data)


class _Connect(connect):
    """Goes where it was told to and nowhere else: a redirect is an answer like any other refusal."""

    def process_redirect(self, exc: Exception) -> Exception:
        return exc


class Line:
    """``receive`` until it gives ``None``; then ``code``, ``reason`` and ``clean`` tell how it ended."""

    def __init__(self, socket: _Connection, inflow: Inflow) -> None:
        self.code = _ABNORMAL
        self.reason = ""
        self.clean = False
        #: whether this side waits for the other one
        self.receiving = False
        #: whether it was this side that ended it
        self.said = False
        self._socket = socket
        socket.flow = self._flow = Flow(inflow, socket.transport, lambda: socket.recv_messages.paused)

    @classmethod
    async def open(
        cls,
        url: str,
        inflow: Inflow,
        *,
        headers: Mapping[str, str],
        subprotocol: str,
        max_message_bytes: int,
    ) -> "Line":
        """Dial, for as long as it takes. Raises :class:`Unreachable`, whose text tells nothing of URL and headers."""
        try:
            socket = await _Connect(
                url,
                additional_headers=headers,
                subprotocols=[Subprotocol(subprotocol)],
                create_connection=_Connection,
                compression=None,
                proxy=None,
                open_timeout=None,
                ping_interval=None,  # a pong would lie unread behind what the journal has no room for
                max_size=max_message_bytes,
                max_queue=_MOST_QUEUED,
                logger=_LOGGER,
            )
        except InvalidStatus as refusal:
            answer = refusal.response
            raise Unreachable(
                f"the upgrade was answered {answer.status_code}",
                answer.status_code,
                bytes(answer.body or b"")[:_MOST_REFUSAL_BYTES],
                answer.headers.get("Retry-After", ""),
            ) from None
        except (OSError, InvalidHandshake, EOFError) as problem:
            told = problem.strerror if isinstance(problem, OSError) else None
            raise Unreachable(told or type(problem).__name__) from None
        return cls(cast(_Connection, socket), inflow)

    async def receive(self) -> bytes | str | None:
        """The next message; ``None`` when there will be no more."""
        self._flow.wait()
        self.receiving = True
        try:
            message = await self._socket.recv()
        except ConnectionClosed as end:
            self._end(end)
            return None
        finally:
            self.receiving = False
        self._flow.taken()
        return message

    async def send(self, text: bytes | str) -> bool:
        """Send a message; whether the socket was still there."""
        try:
            await self._socket.send(text)
        except ConnectionClosed:
            return False
        return True

    async def hang_up(self, code: int, reason: str, wait_s: float) -> None:
        """Say that the socket is to be closed; the first time counts. ``receive`` goes on until the far end agrees, for
        at most ``wait_s``."""
        if self.said:
            return
        self.said, self.code, self.reason = True, int(code), reason
        self._socket.close_timeout = wait_s
        await self._socket.close(code, reason)

    def cut(self) -> None:
        """End the connection without a word: nobody is there. What has come before is still received."""
        self._socket.transport.abort()

    def gone(self) -> None:
        """The socket is not read any more, and closed in any case."""
        self._flow.gone()
        self._socket.transport.abort()

    def _end(self, end: ConnectionClosed) -> None:
        """A closing frame of the far end is a clean end; what the library itself has said (a message that is too large,
        or no UTF-8) tells the code."""
        self.clean = end.rcvd is not None
        if self.said:
            return
        told = end.rcvd or end.sent
        if told is not None:
            self.code, self.reason = int(told.code), told.reason
