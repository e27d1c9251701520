"""The helper, as the server sees it: a second process that delivers what sinks have missed.

What is live shares the server's event loop with everything that is done there, so a sink that has hours to catch up is
felt by every delivery that comes in meanwhile. The helper reads the journal by itself and writes to the far side by
itself; the server keeps the cursors, the books and all decisions. It is there while a sink needs it, runs where others
leave the processor, and dies with the server. What it had under way then comes again, as after any crash.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import structlog

from receiver.delivery.errands import Alive, Begin, Done, Ended, Enough, Hello, Ready, See, Taken, Told, decode_told
from receiver.delivery.helper_process import HelperProcess
from receiver.line import Line

log = structlog.get_logger()
#: how often it is told how far the journal can be read
_SEE_S = 0.1
#: how often it is asked whether it will be needed
_EXPECT_S = 1.0
#: it goes when nothing was to do for so long
_IDLE_S = 10.0
#: it is given up when nothing was heard of it for so many times ``_SEE_S``; it says that it lives each second. Not by
#: the clock: where this process stood still, what was said meanwhile is read before the next time
_SILENT = 100
#: after it ended by itself
_AGAIN_S = 10.0
#: to be gone once it was killed
_END_S = 1.0


class Errand:
    """What the helper does for one sink. ``async with`` it, and go through ``reports``."""

    def __init__(self, sink: str, say: Callable[[msgspec.Struct], None], give_up: Callable[[], None]) -> None:
        """``give_up`` sees to it that nothing more is written."""
        #: why it ended, where nobody asked for it
        self.problem = ""
        self._sink = sink
        self._say = say
        self._give_up = give_up
        self._heard: asyncio.Queue[Taken | Done | Ended] = asyncio.Queue()
        self._asked = False
        self._ended = False

    async def __aenter__(self) -> "Errand":
        return self

    async def __aexit__(self, *_: object) -> None:
        if not self._ended:
            self._give_up()

    def enough(self) -> None:
        """Have it end after the write under way."""
        if not self._asked:
            self._asked = True
            self._say(Enough(self._sink))

    def hear(self, told: Taken | Done | Ended) -> None:
        """The helper says so."""
        self._heard.put_nowait(told)

    async def reports(self) -> AsyncIterator[Taken | Done]:
        """What is said of it, until the sink is closed over there."""
        while not isinstance(told := await self._heard.get(), Ended):
            yield told
        self._ended, self.problem = True, told.problem


class Helper:
    """``await run()`` in the background; the process is started when somebody asks for it."""

    def __init__(
        self, hello: Callable[[], Hello], lock: int, mark: Callable[[], bytes], expected: Callable[[], bool]
    ) -> None:
        """``hello``: what a process is told first. ``lock``: the descriptor that holds the data folder, so that it is
        held until the helper is gone, too. ``mark``: see ``SqliteJournal.mark``. ``expected``: whether somebody is
        about to ask for it, so that it is there by then."""
        self._hello = hello
        self._lock = lock
        self._mark = mark
        self._expected = expected
        self._wanted = asyncio.Event()
        self._line: Line[Told] | None = None
        self._process: HelperProcess | None = None
        self._errands: dict[str, Errand] = {}
        self._idle_since_s = 0.0
        #: asked for, and nothing was heard of it yet
        self.starting = False
        self._failed = False
        #: how many times ``_SEE_S`` nothing was heard of it
        self._silent = 0
        #: it was left no time, and goes as soon as no write is under way; the next one gets more
        self._starved = False

    def ready(self) -> bool:
        """Whether it takes errands now; if not, it will before long, unless it has just failed."""
        if self._line is None and not self._failed:
            self.starting = True
            self._wanted.set()
        return self._line is not None

    def errand(self, sink: str, keys: dict[str, Any], after: int) -> Errand:
        """Have it deliver for ``sink`` what is behind the number ``after``. Only when it is ``ready``."""
        if self._line is None:
            raise RuntimeError("the helper is not there")
        errand = self._errands[sink] = Errand(sink, self._line.say, self._kill)
        self._line.say(See(self._mark()))
        self._line.say(Begin(sink, keys, after))
        return errand

    async def run(self) -> None:
        """For ever: one process after another, each when it is wanted."""
        while True:
            await self._call()
            self._wanted.clear()
            try:
                status = await self._one()
            except OSError as error:
                self.starting = False
                log.warning("helper.failed", error=str(error))
            except Exception:  # one of ours: sinks catch up without it
                log.exception("helper.fault")
            else:
                if self._starved:
                    continue
                if status == 0:
                    log.info("helper.done")
                    continue
                log.warning("helper.failed", error=f"it ended with status {status}")
            self._failed = True
            await asyncio.sleep(_AGAIN_S)
            self._failed = False
            await self._wanted.wait()

    async def _call(self) -> None:
        """Return when it is asked for, or will be."""
        while not self._wanted.is_set() and not self._expected():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_EXPECT_S):
                    await self._wanted.wait()

    async def _one(self) -> int:
        """Start a process and have it do errands until it goes. Raises ``OSError``."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            process = self._process = HelperProcess(theirs.fileno(), self._lock, yielding=not self._starved)
        self._starved = False
        line = await Line.over(ours, decode_told)
        log.info("helper.started", pid=process.pid)
        try:
            line.say(self._hello())
            self._silent = 0
            async with asyncio.TaskGroup() as group:
                feeding = group.create_task(self._feed(line, process))
                while (told := await line.hear()) is not None:
                    self._hear(told, line)
                feeding.cancel()
            return await asyncio.to_thread(process.end)
        finally:
            self._line, self.starting = None, False
            await asyncio.to_thread(process.end, 0.0)
            for sink, errand in self._errands.items():
                errand.hear(Ended(sink, "the helper is gone"))
            self._errands.clear()
            line.close()

    def _hear(self, told: Told, line: Line[Told]) -> None:
        if not self._starved:
            self._silent = 0
        if isinstance(told, Alive) or (isinstance(told, Ready) and self._starved):
            return
        if isinstance(told, Ready):
            self._line, self.starting = line, False
            self._wanted.clear()
            self._idle_since_s = asyncio.get_running_loop().time()
            return
        self._errands[told.sink].hear(told)
        if isinstance(told, Ended):
            del self._errands[told.sink]
            self._idle_since_s = asyncio.get_running_loop().time()

    async def _feed(self, line: Line[Told], process: HelperProcess) -> None:
        """Tell it how far the journal goes, while that interests it; send it away when nothing else does, or when it is
        stuck or starves."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_SEE_S)
            self._silent += 1
            if self._silent == _SILENT:
                log.warning("helper.silent", for_s=_SILENT * _SEE_S)
                process.kill()
            elif self._starved:
                if not self._errands:
                    process.kill()
            elif process.starves() and (self._errands or self._line is None):
                log.info("helper.starves")
                self._make_way()
            elif self._errands:
                line.say(See(self._mark()))
            elif self._expected():
                self._idle_since_s = loop.time()
            elif self._line is not None and loop.time() - self._idle_since_s > _IDLE_S:
                self._line = None
                line.close()

    def _make_way(self) -> None:
        """Have it end, and another one begin that is given more time."""
        self._starved, self._line = True, None
        for errand in self._errands.values():
            errand.enough()
        self._wanted.set()

    def _kill(self) -> None:
        """On the loop, which it holds up for some milliseconds: whoever comes next may write at once."""
        if self._process is not None:
            self._process.kill(_END_S)
