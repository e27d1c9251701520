"""Messages of sockets that have begun and are not complete: all of them together have a ceiling in bytes.

A message is gathered by aiohttp until it is whole, so what bounds it is when its connection is read from. Up to 64 KiB
cost nobody a thought. Beyond, a socket needs a share of what all may hold; where there is none it is read no further
until its turn comes. One at a time may go beyond the shares: so there is always one that can be completed, and nobody
waits for ever. Counters only; no bytes pass through here.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable

import structlog

log = structlog.get_logger()
_FREE_BYTES = 64 << 10
#: a share grows by at least so much: about what is read at once
_STEP_BYTES = 256 << 10
#: whoever goes beyond the shares has so long to complete the message while others wait for that
_STALL_S = 30.0


class Flow:
    """One socket. ``arrived`` for each read, ``wait`` and ``taken`` around the taking of each message; in place of all
    three ``taken_at_once``, where messages are taken while it is read."""

    __slots__ = (
        "_inflow", "_is_held_up", "_transport", "_waiting", "asked", "bytes", "paused", "queued", "share_bytes",
    )  # fmt: skip

    def __init__(self, inflow: "Inflow", transport: asyncio.Transport, is_held_up: Callable[[], bool]) -> None:
        """``is_held_up``: whether somebody else has paused the reading, who will resume it as well."""
        #: since the last message was taken
        self.bytes = 0
        self.share_bytes = 0
        self.queued = False
        #: whether a share was asked for since
        self.asked = False
        self._waiting = False
        #: whether it is read no further for want of a share
        self.paused = False
        self._inflow = inflow
        self._transport = transport
        self._is_held_up = is_held_up

    def arrived(self, size: int, *, complete: bool = False) -> None:
        """Bytes were read. ``complete``: a message is there, and more is wanted only once that is taken."""
        self.bytes += size
        if complete:
            self._waiting = False
        if self.bytes <= _FREE_BYTES or (self._waiting and self.bytes <= self.share_bytes):
            return
        # where nobody takes what has come, it is enough for now
        if not self._waiting or not self._inflow.grow(self, self.bytes + _STEP_BYTES):
            self.pause()

    def wait(self) -> None:
        """The next message is wanted."""
        self._waiting = True
        if self.paused and not self.queued:
            self.resume()

    def taken(self) -> None:
        """A message was taken whole, and what came before it."""
        self._waiting = False
        self.taken_at_once()

    def taken_at_once(self) -> None:
        """Messages were taken as they were read, and the next one is wanted."""
        self.bytes = 0
        if self.asked:
            self._inflow.release(self)
            self.resume()

    def passed(self, size: int) -> None:
        """So many bytes were no part of a message."""
        self.bytes = max(0, self.bytes - size)

    def gone(self) -> None:
        """The connection is over."""
        self._inflow.release(self)

    def pause(self) -> None:
        """Read no further."""
        self.paused = True
        with contextlib.suppress(RuntimeError):  # it is closing
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        self.paused = False
        if not self._is_held_up():
            with contextlib.suppress(RuntimeError):
                self._transport.resume_reading()

    def cut(self) -> None:
        """End the connection: it keeps others waiting."""
        self._transport.abort()


class Inflow:
    """Shares of ``most_bytes``, of which room for one message of ``largest_bytes`` is for whoever goes beyond them."""

    def __init__(self, most_bytes: int, largest_bytes: int) -> None:
        self.held_bytes = 0
        self._shared_bytes = max(0, most_bytes - largest_bytes)
        self._beyond: Flow | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._queue: deque[Flow] = deque()

    def grow(self, flow: Flow, to_bytes: int) -> bool:
        """Whether ``flow`` may hold so many bytes now; if not, it is resumed when it may."""
        flow.asked = True
        if flow is self._beyond:
            return True
        if not self._queue and self._give(flow, to_bytes):
            return True
        if not flow.queued:
            flow.queued = True
            self._queue.append(flow)
            self._advance()
        return not flow.queued

    def release(self, flow: Flow) -> None:
        """Give back what ``flow`` holds, and the place in the queue."""
        self.held_bytes -= flow.share_bytes
        flow.share_bytes, flow.asked = 0, False
        if flow.queued:
            flow.queued = False
            self._queue.remove(flow)
        if flow is self._beyond:
            self._beyond = None
            if self._timer is not None:
                self._timer.cancel()
        self._advance()

    def _give(self, flow: Flow, to_bytes: int) -> bool:
        more = to_bytes - flow.share_bytes
        fits = self.held_bytes + more <= self._shared_bytes
        if fits:
            self.held_bytes += more
            flow.share_bytes = to_bytes
        return fits

    def _advance(self) -> None:
        """Let in those at the head of the queue, as many as fit, and one beyond that."""
        while self._queue:
            flow = self._queue[0]
            if not self._give(flow, flow.bytes + _STEP_BYTES):
                if self._beyond is not None:
                    return
                self._beyond = flow
                self._timer = asyncio.get_running_loop().call_later(_STALL_S, self._stalled)
            self._queue.popleft()
            flow.queued = False
            flow.resume()

    def _stalled(self) -> None:
        if self._beyond is None:
            return
        if self._queue:
            log.warning("stream.stalled", seconds=_STALL_S, waiting=len(self._queue))
            self._beyond.cut()
        self._timer = asyncio.get_running_loop().call_later(_STALL_S, self._stalled)
