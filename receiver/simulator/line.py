"""One WebSocket of a bot and the clock it keeps to: dials, says hello, sends, and dials again when the line drops.

Knows nothing of MeetStream's messages. ``Line.send`` never raises for a broken line: what could not be sent is counted
as lost, as it is when a real bot loses its connection.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from receiver.simulator.tally import MeetingTally

_DIAL_S = 5.0
_LONGEST_BACK_OFF_S = 2.0
#: without a clock (speed 0) the meeting waits that long for a lost line, then goes on without it
_PATIENCE_S = 15.0
_CONFIRM_S = 2.0
_CLOSE_S = 10.0


class Pace:
    """The meeting's clock against the loop's. ``speed``: 1 = real time, 0 = as fast as it goes."""

    def __init__(self, speed: float, offset_s: float = 0.0) -> None:
        self.speed = speed
        self._zero_s = asyncio.get_running_loop().time() + self.wall(offset_s)

    def wall(self, seconds: float) -> float:
        """How long ``seconds`` of the meeting take here."""
        return seconds / self.speed if self.speed else 0.0

    async def until(self, at_s: float) -> None:
        """Wait for a moment of the meeting; lets other tasks run in any case."""
        late_s = asyncio.get_running_loop().time() - self._zero_s - self.wall(at_s)
        await asyncio.sleep(0.0 if not self.speed else max(-late_s, 0.0))


class Line:
    """A socket that is kept up from ``open`` to ``close``. ``run`` must run meanwhile, as a task.

    ``hello`` are the messages that open every connection, ``on_text`` gets the other side's text messages.
    ``cut_at_s`` is when the line is cut on purpose, on the meeting's clock; it stays silent for ``silence_s`` then.
    """

    def __init__(
        self,
        channel: str,
        url: str,
        pace: Pace,
        tally: MeetingTally,
        *,
        hello: Sequence[str | bytes],
        on_text: Callable[[str], None],
        on_state: Callable[[str], None],
        cut_at_s: float | None,
        silence_s: float,
    ) -> None:
        self.channel = channel
        self._url, self._pace, self._tally = url, pace, tally
        self._hello, self._on_text, self._on_state = hello, on_text, on_state
        self._cut_at_s, self._silence_s = cut_at_s, silence_s
        self._silent_until_s = 0.0
        self._socket: ClientConnection | None = None
        self._tried = asyncio.Event()
        self._settled = asyncio.Event()  # connected, or never again
        self._ending = asyncio.Event()
        self._given_up = self._was_cut = False

    async def run(self) -> None:
        """Keep the line up until it is closed or refused; back-off doubles with each failed attempt."""
        shortest_s = max(self._pace.wall(self._silence_s), 0.01)
        delay_s = shortest_s
        while not (self._ending.is_set() or self._given_up):
            if await self._hold():
                delay_s = shortest_s
            self._tried.set()
            if not self._given_up and not await _happens(self._ending, delay_s):
                delay_s = min(delay_s * 2, max(_LONGEST_BACK_OFF_S, shortest_s))
        self._settled.set()

    async def open(self) -> bool:
        """Wait until the first attempt to connect is over; whether it succeeded. If not, ``run`` goes on trying."""
        await self._tried.wait()
        return self._socket is not None

    async def pass_time(self, at_s: float) -> None:
        """Tell the line that it is ``at_s``: cuts it if that was planned."""
        if self._cut_at_s is None or at_s < self._cut_at_s:
            return
        self._cut_at_s, self._silent_until_s = None, at_s + self._silence_s
        if self._socket is not None:
            await self._cut(self._socket)

    async def send(self, message: str | bytes, at_s: float, *, counted: bool = True) -> bool:
        """Send one message; false if it is lost. Waits for the line only where the meeting has no clock (speed 0)."""
        sent = await self._try(message, at_s)
        if counted:
            self._count(message, sent)
        return sent

    async def close(self) -> None:
        """Close with 1000; returns when both sides have."""
        self._ending.set()
        if self._socket is not None:
            await self._socket.close(1000)

    async def _try(self, message: str | bytes, at_s: float) -> bool:
        if self._given_up or self._ending.is_set() or at_s < self._silent_until_s:
            return False
        if self._socket is None and not self._pace.speed:
            self._given_up = not await _happens(self._settled, _PATIENCE_S) or self._given_up
        socket = self._socket
        if socket is None:
            return False
        try:
            await socket.send(message)
        except ConnectionClosed:
            self._drop(socket)
            self._silent_until_s = at_s + self._silence_s
            return False
        return True

    async def _hold(self) -> bool:
        """One connection from dial to end; whether it came about."""
        try:
            async with connect(
                self._url,
                compression=None,
                max_size=None,
                ping_interval=None,
                open_timeout=_DIAL_S,
                close_timeout=_CLOSE_S,
            ) as socket:
                for message in self._hello:
                    await socket.send(message)
                    self._count(message, True)
                self._tally.add(sockets_opened=1)
                self._on_state(f"{self.channel} socket open")
                if not self._ending.is_set():
                    self._socket = socket
                    self._settled.set()
                    self._tried.set()
                    await self._listen(socket)
            return True
        except InvalidStatus as refusal:
            if 400 <= refusal.response.status_code < 500:
                self._given_up = True
                self._tally.add(sockets_refused=1)
                self._on_state(f"{self.channel} socket refused with {refusal.response.status_code}")
            else:
                self._tally.add(sockets_unreachable=1)
        except (OSError, TimeoutError, WebSocketException):
            self._tally.add(sockets_unreachable=1)
        return False

    async def _listen(self, socket: ClientConnection) -> None:
        try:
            async for message in socket:
                if isinstance(message, str):
                    self._on_text(message)
        except ConnectionClosed:
            pass
        finally:
            self._drop(socket)
        if self._ending.is_set():
            self._on_state(f"{self.channel} socket closed")
        else:
            self._tally.add(**{"sockets_cut" if self._was_cut else "sockets_lost": 1})
            self._on_state(f"{self.channel} socket {'cut' if self._was_cut else 'lost'}")
        self._was_cut = False

    async def _cut(self, socket: ClientConnection) -> None:
        """End without a close frame. A protocol ping goes first: what was counted as sent has arrived by its answer."""
        self._drop(socket)
        self._was_cut = True
        with contextlib.suppress(TimeoutError, ConnectionClosed):
            async with asyncio.timeout(_CONFIRM_S):
                await (await socket.ping())
        socket.transport.abort()

    def _drop(self, socket: ClientConnection) -> None:
        if self._socket is socket:
            self._socket = None
            self._settled.clear()

    def _count(self, message: str | bytes, sent: bool) -> None:
        if isinstance(message, str):
            self._tally.add(**{"text_messages_sent" if sent else "text_messages_lost": 1})
        elif self.channel == "audio":
            self._tally.add(**{"frames_sent" if sent else "frames_lost": 1})
        elif self.channel == "video":
            self._tally.add(**{"video_pieces_sent" if sent else "video_pieces_lost": 1})


async def _happens(event: asyncio.Event, timeout_s: float) -> bool:
    """Whether ``event`` is set within ``timeout_s``."""
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return False
    return True
