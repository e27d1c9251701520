"""Orders that take a while, over HTTP: dead letters, replay, fetching. Answered with JSON lines, one at least each
second.

``{"error": …}`` or ``{"done": true}`` is the last line; one without either means that the server ended. Whoever asked
and goes away takes his order with him.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Annotated, Any, TypeVar

import msgspec
import structlog
from aiohttp import web

from receiver.delivery.dead import Outcome, Tell
from receiver.delivery.replay import Replay, ReplayOrder
from receiver.errors import Malformed, Overloaded, ReceiverError
from receiver.fetching.orders import Came, FetchOrder
from receiver.journal.dead import DeadLetters

log = structlog.get_logger()
_LINE_S = 1.0
_encode = msgspec.json.Encoder().encode
Say = Callable[[Any], None]
Order = TypeVar("Order")


class _Numbers(msgspec.Struct, forbid_unknown_fields=True):
    numbers: list[Annotated[int, msgspec.Meta(ge=1, le=(1 << 63) - 1)]]


class Orders:
    """Handlers of ``/api/dead/…``, ``/api/replay`` and ``/api/fetch``. ``stop`` ends what runs."""

    def __init__(
        self,
        *,
        dead: Callable[[], DeadLetters],
        retry: Callable[[Iterable[int], Tell], Awaitable[None]],
        replay: Callable[[ReplayOrder], Replay],
        fetch: Callable[[FetchOrder, Callable[[Came], None]], Awaitable[None]],
        require_admin: Callable[[web.Request], None],
    ) -> None:
        self.dead = dead
        self._retry = retry
        self._replay = replay
        self._fetch = fetch
        self._require_admin = require_admin
        self._running: set[asyncio.Timeout] = set()
        self._stopped = False

    def stop(self) -> None:
        """Take no more orders and end those that run, with a last line that says so."""
        self._stopped = True
        for limit in self._running:
            if not limit.expired():
                limit.reschedule(0.0)

    def resume(self) -> None:
        """Take orders again after ``stop``."""
        self._stopped = False

    async def drop(self, request: web.Request) -> web.Response:
        """``POST /api/dead/drop`` {numbers}: remove dead letters for good; which of them were there."""
        self._require_admin(request)
        order = await read_order(request, _Numbers)
        return web.json_response({"dropped": await self.dead().drop(order.numbers)})

    async def retry(self, request: web.Request) -> web.StreamResponse:
        """``POST /api/dead/retry`` {numbers}: a line with the :class:`Outcome` of each."""
        self._require_admin(request)
        order = await read_order(request, _Numbers)

        async def work(say: Say) -> None:
            def tell(outcome: Outcome) -> None:
                say(outcome)

            await self._retry(order.numbers, tell)

        return await self._stream(request, work, None)

    async def replay(self, request: web.Request) -> web.StreamResponse:
        """``POST /api/replay``, a :class:`ReplayOrder`: lines of its progress. An unknown sink is 404."""
        self._require_admin(request)
        replay = self._replay(await read_order(request, ReplayOrder))

        async def work(say: Say) -> None:
            try:
                await replay.run()
            finally:
                say(replay.progress)

        return await self._stream(request, work, replay.progress)

    async def fetch(self, request: web.Request) -> web.StreamResponse:
        """``POST /api/fetch``, a :class:`FetchOrder`: a line with what came of each kind, :class:`Came`."""
        self._require_admin(request)
        order = await read_order(request, FetchOrder)

        async def work(say: Say) -> None:
            await self._fetch(order, say)

        return await self._stream(request, work, None)

    async def _stream(
        self, request: web.Request, work: Callable[[Say], Awaitable[None]], meanwhile: Any
    ) -> web.StreamResponse:
        """Do ``work`` and send what it says; ``meanwhile`` is sent each second, to see whether anybody is there."""
        if self._stopped:
            raise Overloaded("the server is stopping")
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        said: list[bytes] = []

        def say(line: Any) -> None:
            said.append(_encode(line) + b"\n")

        async with asyncio.TaskGroup() as group:
            task = group.create_task(self._run(work, say))
            while True:
                _, pending = await asyncio.wait((task,), timeout=_LINE_S)
                if pending:
                    say(meanwhile if meanwhile is not None else {})
                lines = b"".join(said)
                said.clear()
                try:
                    await response.write(lines)
                except ConnectionError:
                    log.info("order.abandoned", path=request.path)
                    task.cancel()
                    break
                if not pending:
                    break
        return response

    async def _run(self, work: Callable[[Say], Awaitable[None]], say: Say) -> None:
        try:
            async with asyncio.timeout(None) as limit:
                self._running.add(limit)
                try:
                    await work(say)
                finally:
                    self._running.discard(limit)
            say({"done": True})
        except TimeoutError:
            say({"error": "the server is stopping"})
        except ReceiverError as error:
            say({"error": str(error)})
        except Exception as error:
            log.exception("order.failed")
            say({"error": f"{type(error).__name__}: see the server's log"})


async def read_order(request: web.Request, kind: type[Order]) -> Order:
    """The JSON body of an order. Raises ``Malformed``."""
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(str(error)) from error
    except (ConnectionError, web.RequestPayloadError) as error:
        raise Malformed("the body did not arrive as a whole") from error
