"""One open connection that we dialled: what comes on it is taken, and it is asked at times whether it still is one."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import msgspec
import structlog
from aiohttp import WSCloseCode

from receiver.delivery.retry import Backoff
from receiver.ingress.dial_line import Line
from receiver.ingress.stream import Stream
from receiver.vendors.realtimekit import calling, connection_get, ping
from receiver.vendors.realtimekit.stream import RealtimeKitSession

log = structlog.get_logger()
QUIET, FAULT = "nothing happens any more", "internal error"
JOURNAL = "the journal cannot take more now, come back later"
_GET = "connection"
#: a message that takes this share of the time for a ping's result has held up whatever came behind it
_HELD_UP = 0.1


class Timing(msgspec.Struct, frozen=True):
    """Of a dialled socket, seconds; the vendor's own where the vendor has stated it."""

    ping_every_s: float = calling.PING_EVERY_S
    ping_wait_s: float = calling.PING_WAIT_S
    resume_s: float = calling.RESUME_S
    #: for a connection to be made
    open_s: float = 10.0
    #: for the far end to agree to a closing
    close_s: float = 5.0
    #: a connection that has lasted so long was a good one: pauses begin anew
    good_s: float = 10.0
    backoff: Backoff = Backoff(first_s=0.5, most_s=30.0)


class Talk:
    """``run`` once, until the connection has ended."""

    def __init__(
        self, line: Line, stream: Stream, agent: RealtimeKitSession, timing: Timing, quiet_s: float, heard_s: float
    ) -> None:
        """``heard_s``: when something last happened, monotonic; it is hung up ``quiet_s`` later (0: never)."""
        self.heard_s = heard_s
        #: the vendor's name of the connection; empty until it is told
        self.connection_id = ""
        #: whether it was hung up because nothing happened
        self.quiet = False
        self._line, self._stream, self._agent = line, stream, agent
        self._timing = timing
        self._quiet_s = quiet_s
        self._asked = ""
        self._answered = asyncio.Event()
        #: when the journal last held this side up
        self._held_s = 0.0

    async def run(self, hang_up_when_told: Callable[[Line], Awaitable[None]]) -> None:
        """Read until the end. A fault of ours ends the connection, never the server."""
        line = self._line

        async def told() -> None:
            await hang_up_when_told(line)

        try:
            async with asyncio.TaskGroup() as tasks:
                parts = (told(), self._hang_up_when_lost(), self._hang_up_when_quiet(), self._ping())
                watches = [tasks.create_task(part) for part in parts]
                await line.send(connection_get(_GET))
                while (message := await line.receive()) is not None:
                    self._agent.answered = ""
                    begun_s = time.monotonic()
                    await self._stream.take(message)
                    self._note(begun_s)
                for watch in watches:
                    watch.cancel()
        except* Exception:
            log.exception("stream.fault", connection=self._stream.connection)
            await line.hang_up(WSCloseCode.INTERNAL_ERROR, FAULT, self._timing.close_s)

    def _note(self, begun_s: float) -> None:
        """What a message has told beyond its events. A result is an answer to us: nothing has happened."""
        answered, now_s = self._agent.answered, time.monotonic()
        if now_s - begun_s > self._timing.ping_wait_s * _HELD_UP:
            self._held_s = now_s
        if not answered:
            self.heard_s = now_s
        elif answered == _GET:
            self.connection_id = self._agent.connection_id
        elif answered == self._asked:
            self._answered.set()

    async def _ping(self) -> None:
        """A far end that this side was not reading from is not blamed: its answer lies behind what was unread."""
        number = 0
        while True:
            await asyncio.sleep(self._timing.ping_every_s)
            number += 1
            self._asked = f"ping-{number}"
            self._answered.clear()
            if not await self._line.send(ping(self._asked)):
                return
            if not await self._is_answered(time.monotonic()):
                log.warning("dial.silent", connection=self._stream.connection, waited_s=self._timing.ping_wait_s)
                self._line.cut()
                return

    async def _is_answered(self, asked_s: float) -> bool:
        wait_s = self._timing.ping_wait_s
        while not self._answered.is_set():
            left_s = max(asked_s, self._held_s) + wait_s - time.monotonic()
            if left_s <= 0 and self._line.receiving:
                return False
            with suppress(TimeoutError):
                async with asyncio.timeout(left_s if left_s > 0 else wait_s):
                    await self._answered.wait()
        return True

    async def _hang_up_when_lost(self) -> None:
        await self._stream.failed.wait()
        await self._line.hang_up(WSCloseCode.TRY_AGAIN_LATER, JOURNAL, self._timing.close_s)

    async def _hang_up_when_quiet(self) -> None:
        while self._quiet_s:
            left_s = self.heard_s + self._quiet_s - time.monotonic()
            if left_s <= 0:
                self.quiet = True
                await self._line.hang_up(WSCloseCode.OK, QUIET, self._timing.close_s)
                return
            await asyncio.sleep(left_s)
