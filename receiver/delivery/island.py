"""A sink of another package, in a thread and an event loop of its own.

Nothing is known of such a class: it may block in a coroutine, keep an object that belongs to one thread, stop its loop
or try to end the program. Here that costs its own events and nobody else's. Our own sinks do not need it: what blocks
in them is in threads already.
"""

import asyncio
import contextlib
import threading
import weakref
from collections.abc import Awaitable, Callable
from typing import ClassVar, TypeVar

import structlog

from sinks.base import Batch, Sink, SinkConfig

T = TypeVar("T")
log = structlog.get_logger()
#: longest wait for a constructor, which by contract touches nothing
_MAKE_S = 10.0


class Island:
    """The sink that ``make`` builds, as seen from another loop: built, opened, written to and closed in one thread.

    One call at a time, in order. A cancelled call is cancelled over there and not waited for; the next one begins when
    it has ended. So a sink that is stuck is left behind, and its thread with it. What stays shared is the interpreter:
    a sink that computes without end slows the others down, one that waits does not.
    """

    Config: ClassVar[type[SinkConfig]] = SinkConfig

    def __init__(self, name: str, make: Callable[[], Sink], *, portable: bool = False) -> None:
        """Raises what ``make`` raises, and ``TimeoutError`` where it does not return within 10 s. ``portable``: see
        :class:`sinks.base.Sink`."""
        self.portable = portable
        self._loop = asyncio.new_event_loop()
        self._turn = asyncio.Lock()
        ended = asyncio.Event()
        # the thread does not know this object, and so ends when nobody has it any more
        weakref.finalize(self, _end, self._loop, ended).atexit = False
        threading.Thread(target=_live, args=(name, self._loop, ended), name=f"sink-{name}", daemon=True).start()

        async def build() -> Sink:
            return make()

        made = asyncio.run_coroutine_threadsafe(_kept_in(build()), self._loop)
        try:
            self._sink = made.result(_MAKE_S)
        except TimeoutError:
            if made.done():  # its own
                raise
            raise TimeoutError(f"it was not built within {_MAKE_S:g} s") from None

    async def open(self) -> None:
        """As the sink does."""
        await self._ask(self._sink.open)

    async def write(self, batch: Batch) -> None:
        """As the sink does."""
        await self._ask(lambda: self._sink.write(batch))

    async def close(self) -> None:
        """As the sink does."""
        await self._ask(self._sink.close)

    async def _ask(self, call: Callable[[], Awaitable[None]]) -> None:
        async def in_turn() -> None:
            async with self._turn:
                await _kept_in(call())

        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(in_turn(), self._loop))


async def _kept_in(call: Awaitable[T]) -> T:
    """Await ``call``; what would end an event loop, and with it a program, becomes an error like any other."""
    try:
        return await call
    except (Exception, asyncio.CancelledError):
        raise
    except BaseException as error:
        raise RuntimeError(f"the sink wanted to end the program with {type(error).__name__}") from error


def _live(name: str, loop: asyncio.AbstractEventLoop, ended: asyncio.Event) -> None:
    """The thread. Whatever stops the loop but ``ended``, it goes on."""
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        while not ended.is_set():
            try:
                runner.run(ended.wait())
            except BaseException as error:
                log.warning("sink.island.stopped", sink=name, error=type(error).__name__)


def _end(loop: asyncio.AbstractEventLoop, ended: asyncio.Event) -> None:
    with contextlib.suppress(RuntimeError):  # closed already
        loop.call_soon_threadsafe(ended.set)
