"""Whether a quiet peer is still there. A peer that this side does not read from is neither asked nor blamed: its answer
would lie unread behind what the journal has no room for yet."""

import asyncio
from collections.abc import Callable

_PING = b"\x89\x00"


class Heartbeat:
    """A protocol ping after ``every_s`` without a byte; the connection is cut after half as much again.

    One timer a connection runs at half of ``every_s``; whoever gets what comes knows nothing of it.
    """

    __slots__ = ("_half_s", "_has_heard", "_is_reading", "_quiet", "_timer", "_transport")

    def __init__(
        self,
        transport: asyncio.Transport,
        every_s: float,
        *,
        is_reading: Callable[[], bool],
        has_heard: Callable[[], bool],
    ) -> None:
        """``is_reading``: whether this side waits for the peer now. ``has_heard``: whether something came since it was
        asked last."""
        self._transport = transport
        self._half_s = every_s / 2
        self._is_reading = is_reading
        self._has_heard = has_heard
        #: half intervals since the last byte
        self._quiet = 0
        self._timer = asyncio.get_running_loop().call_later(self._half_s, self._beat)

    def stop(self) -> None:
        """The connection is over."""
        self._timer.cancel()

    def _beat(self) -> None:
        if self._transport.is_closing():
            return
        before = 0 if self._has_heard() else self._quiet
        self._quiet = before + 1 if self._is_reading() else 0
        if self._quiet > 2:
            self._transport.abort()
            return
        if self._quiet == 2:
            self._transport.write(_PING)
        self._timer = asyncio.get_running_loop().call_later(self._half_s, self._beat)
