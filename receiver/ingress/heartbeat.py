"""Whether a quiet peer is still there. A peer that this side does not read from is neither asked nor blamed: its answer
would lie unread behind what the journal has no room for yet."""

import asyncio
from collections.abc import Callable

_PING = b"\x89\x00"


class Heartbeat:
    """A protocol ping after ``every_s`` without a byte; the connection is cut after half as much again.

    That something came costs next to nothing, and one timer a connection runs at half of ``every_s``.
    """

    __slots__ = ("_half_s", "_is_reading", "_timer", "_transport", "quiet")

    def __init__(self, transport: asyncio.Transport, every_s: float, is_reading: Callable[[], bool]) -> None:
        """``is_reading``: whether this side waits for the peer now."""
        self._transport = transport
        self._half_s = every_s / 2
        self._is_reading = is_reading
        #: half intervals since the last byte: whoever gets one sets it to 0
        self.quiet = 0
        self._timer = asyncio.get_running_loop().call_later(self._half_s, self._beat)

    def stop(self) -> None:
        """The connection is over."""
        self._timer.cancel()

    def _beat(self) -> None:
        if self._transport.is_closing():
            return
        self.quiet = self.quiet + 1 if self._is_reading() else 0
        if self.quiet > 2:
            self._transport.abort()
            return
        if self.quiet == 2:
            self._transport.write(_PING)
        self._timer = asyncio.get_running_loop().call_later(self._half_s, self._beat)
