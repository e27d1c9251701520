"""What has come on one WebSocket and was not received yet.

Runs of binary frames do not go through aiohttp: while somebody waits to receive they are taken as they are read, for to
wake a task for each costs more than to take it; else they lie here as they came. All else is for aiohttp's reader.
"""

import asyncio
import fcntl
import struct
import termios
from collections.abc import Awaitable, Callable
from typing import Protocol, cast

from aiohttp import WSMessage, WSMsgType
from aiohttp._websocket.reader import WebSocketDataQueue, WebSocketReader

from receiver.ingress.inflow import Flow
from receiver.ingress.runs import BINARY, Others, may_become_one, only_frame, take_run

#: uvloop reads so much at once
_READ_BYTES = 256_000
_INT = struct.Struct("i")


class Taker(Protocol):
    """Takes frames as they are read."""

    def is_ready(self) -> bool:
        """Whether it takes frames now."""

    def wait_for_room(self, let_in: Callable[[], bool], lying_bytes: Callable[[], int]) -> bool:
        """Whether it will, and calls ``let_in`` when it does; false: it takes none before the next is received."""

    def take_at_once(self, frames: list[bytes]) -> int:
        """Take them, as far as nothing speaks against one; how many were taken."""


class Reading:
    """``arrived`` for each read, ``next`` for each message."""

    # here and in what else a frame meets: with a thousand sockets each look at an attribute is one into cold memory
    __slots__ = (
        "_behind", "_behind_bytes", "_ending", "_fault", "_flow", "_heard", "_held", "_held_at", "_inside",
        "_most_bytes", "_number", "_others", "_outside", "_queue", "_reader", "_receive", "_taken", "_taker",
    )  # fmt: skip

    def __init__(
        self,
        queue: WebSocketDataQueue,
        reader: WebSocketReader,
        receive: Callable[[], Awaitable[WSMessage]],
        flow: Flow,
        *,
        most_bytes: int,
        number: int = -1,
        held: bytes = b"",
    ) -> None:
        """aiohttp's ``reader``, where it puts what it has read, and how that is received. A frame of more than
        ``most_bytes`` is for it as well. ``number``: the descriptor. ``held``: what has come before."""
        self._queue = queue
        self._reader = reader
        self._receive = receive
        self._flow = flow
        self._most_bytes = most_bytes
        self._number = number
        self._others = Others()
        #: what has come, and from where on that is still to be looked at, or to become a whole frame
        self._held, self._held_at = held, 0
        #: what has come behind that while nobody takes anything: to join each to it would copy all of it each time
        self._behind: list[bytes] = []
        self._behind_bytes = 0
        #: while ``next`` waits and aiohttp has nothing for it
        self._taker: Taker | None = None
        #: whether frames were taken at once since this was last looked at, and what doing so has met
        self._taken = False
        self._fault: Exception | None = None
        #: whether frames that lie here wait for room; who waits for that, and the end of the socket that came meanwhile
        self._outside = False
        self._inside: asyncio.Future[None] | None = None
        self._ending: WSMessage | None = None
        self._heard = False

    @property
    def is_open(self) -> bool:
        """Whether the next message is awaited, and read if it comes."""
        return self._taker is not None and not self._flow.paused

    def has_heard(self) -> bool:
        """Whether something has come since this was last asked."""
        heard, self._heard = self._heard, False
        return heard

    def lying_bytes(self) -> int:
        """What has come and is still to be received: here, and at the system while nothing is read."""
        size: int = self._queue._size
        if self._flow.paused:
            size += _unread_bytes(self._number)
        return size + len(self._held) - self._held_at + self._behind_bytes

    def gone(self) -> None:
        """The socket is not read any more."""
        self._number = -1
        self._flow.gone()

    async def next(self, taker: Taker) -> WSMessage:
        """The next message that ``taker`` does not take at once. Raises what it did where it was to take some."""
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
            message = await self._read_by_others()
        finally:
            self._taker = None
        if self._fault is not None:
            raise self._fault
        return message

    def arrived(self, data: bytes) -> None:
        """This was read."""
        self._heard = True
        if not self._held:
            taker, others = self._taker, self._others
            if (
                taker is not None
                and not others.owed
                and not others.begun
                and taker.is_ready()
                and (frame := only_frame(data, self._most_bytes)) is not None
            ):
                if self._offer(taker, [frame]):
                    return
                self._refuse(frame)
            else:
                self._go_through(data, 0)
        else:
            self._behind.append(data)
            self._behind_bytes += len(data)
            if self._taker is not None and not self._outside:
                self._go_on()
            else:
                self._pause()  # one read of much is cheaper than many of little, and there is something to take
        if self._taken:
            self._note_taken()
        else:
            self._flow.arrived(len(data), complete=self._outside or bool(self._queue._buffer))

    # ---- parts

    async def _read_by_others(self) -> WSMessage:
        """What aiohttp has read; what lies here comes before that the socket has ended."""
        lying = self._queue._buffer
        if self._ending is None:
            if not lying and not self._outside:  # else there is enough for now
                self._flow.wait()
            message = await self._receive()
            if not self._outside:
                return message
            self._ending = message
        while self._outside:
            self._inside = asyncio.get_running_loop().create_future()
            await self._inside
        return cast("WSMessage", await self._queue.read()) if lying else self._ending

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
        if not self._outside and self._taker is not None:
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
        self._flow.taken_at_once()

    def _pause(self) -> None:
        if not self._flow.paused:
            self._flow.pause()


def _unread_bytes(number: int) -> int:
    """What has come at a descriptor and is not read yet, as far as one read takes it (tcp(7), SIOCINQ)."""
    try:
        (size,) = _INT.unpack(fcntl.ioctl(number, termios.FIONREAD, bytes(_INT.size)))
    except (OSError, ValueError):  # it is closed
        return 0
    return min(_READ_BYTES, int(size))
