"""A vendor's service on loopback: its REST API, and the pushes that follow what is created over it.

A stand-in speaks the vendor's formats and knows nothing of the receiver. What it pushes and what it was answered is
counted, so that both sides' books can be compared.
"""

import asyncio
import hashlib
import random
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar

import aiohttp
from aiohttp import web

#: what a stand-in does wrong on demand
CLOUD_FAULTS = {
    "duplicates": "one push in five comes twice",
    "reorder": "one push in five comes after the one that follows it",
    "retries": "one push in five is sent again although it was answered, as after a lost answer",
    "breaker": "after three answers in a row that are no success nothing more is pushed",
    "pending": "what is fetched is never ready",
    "throttle": "one REST call in three is told 429 and to come back",
}
_SHARE = 0.2
_THROTTLED = 3
_BREAKER = 3
_PUSH_TIMEOUT_S = 15.0


@dataclass(slots=True, kw_only=True)
class CloudTally:
    """What was pushed and how it was answered, and the REST calls: ``METHOD /path/{id} status`` -> how often."""

    pushed: int = 0
    accepted: int = 0  # answered 2xx
    refused: int = 0  # answered 3xx or 4xx
    failed: int = 0  # answered 5xx, or not at all
    repeated: int = 0  # among pushed: the same delivery once more
    reordered: int = 0
    held_back: int = 0  # not pushed: the breaker is open
    messages: int = 0  # text on sockets
    frames: int = 0  # binary on sockets
    sockets: int = 0
    calls: Counter[str] = field(default_factory=Counter)
    #: digests of what was answered 2xx, repeats once
    distinct: set[str] = field(default_factory=set)


class Cloud(ABC):
    """``async with cloud.serve()``: it listens on ``url`` until the block ends. Every meeting is played in a task.

    ``speed``: 1 = real time, 0 = as fast as it goes. ``faults``: of ``CLOUD_FAULTS``. ``progress(subject, what)`` is
    called for each change of state.
    """

    VENDOR: ClassVar[str]
    #: below the host, as in the vendor's documents: ``/api/v1``
    PREFIX: ClassVar[str] = ""

    def __init__(
        self,
        *,
        speed: float = 1.0,
        seed: int = 0,
        faults: Iterable[str] = (),
        progress: Callable[[str, str], None] = lambda subject, what: None,
    ) -> None:
        self.speed, self.seed, self.faults, self.progress = speed, seed, frozenset(faults), progress
        if unknown := self.faults - set(CLOUD_FAULTS):
            raise ValueError(f"no such fault: {', '.join(sorted(unknown))}; there are: {', '.join(CLOUD_FAULTS)}")
        self.tally = CloudTally()
        self.rng = random.Random(f"{self.VENDOR} {seed}")  # noqa: S311 - accidents and ids, not secrets
        self.url = ""
        self._bad_answers = 0
        self._calls = 0
        self._late: tuple[str, bytes, Mapping[str, str]] | None = None
        self._playing: set[asyncio.Task[None]] = set()

    @abstractmethod
    def routes(self) -> Iterable[web.RouteDef]:
        """The REST API, paths with ``PREFIX``."""

    @asynccontextmanager
    async def serve(self, port: int = 0) -> AsyncIterator["Cloud"]:
        """Listen on 127.0.0.1; ``url`` is the API's base, ``PREFIX`` included. At the end what still plays is cut."""
        app = web.Application(middlewares=[self._count], client_max_size=1 << 26)
        app.add_routes(list(self.routes()))
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}{self.PREFIX}"
            timeout = aiohttp.ClientTimeout(total=_PUSH_TIMEOUT_S)
            async with aiohttp.ClientSession(timeout=timeout) as self.client, asyncio.TaskGroup() as self._tasks:
                try:
                    yield self
                finally:
                    for task in self._playing:
                        task.cancel()
        finally:
            await runner.cleanup()

    def play(self, meeting: Coroutine[Any, Any, None]) -> None:
        """Play a meeting beside all else."""
        task = self._tasks.create_task(meeting)
        self._playing.add(task)
        task.add_done_callback(self._playing.discard)

    async def idle(self) -> None:
        """Return when all meetings that were begun are over and nothing is held back."""
        while self._playing:
            await asyncio.wait(self._playing)
        await self.flush()

    async def pause(self, seconds: float) -> None:
        """Let ``seconds`` of the meeting's time pass."""
        await asyncio.sleep(seconds / self.speed if self.speed else 0)

    async def push(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """POST one delivery, with the accidents that were asked for; its status, 0 where there was no answer or where
        it was held back."""
        if "reorder" in self.faults and self._late is None and self.rng.random() < _SHARE:
            self._late = (url, body, headers)
            self.tally.reordered += 1
            return 0
        status = await self._post(url, body, headers)
        if {"duplicates", "retries"} & self.faults and self.rng.random() < _SHARE:
            self.tally.repeated += 1
            await self._post(url, body, headers)
        await self.flush()
        return status

    async def flush(self) -> None:
        """Send what was held back to come late."""
        if self._late is not None:
            late, self._late = self._late, None
            await self._post(*late)

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        tally = self.tally
        if "breaker" in self.faults and self._bad_answers >= _BREAKER:
            tally.held_back += 1
            return 0
        tally.pushed += 1
        try:
            async with self.client.post(url, data=body, headers=headers) as answer:
                await answer.read()
                status = answer.status
        except (aiohttp.ClientError, TimeoutError):
            status = 0
        if 200 <= status < 300:
            tally.accepted += 1
            tally.distinct.add(hashlib.sha256(body).hexdigest())
            self._bad_answers = 0
            return status
        self._bad_answers += 1
        if 300 <= status < 500:
            tally.refused += 1
        else:
            tally.failed += 1
        return status

    @web.middleware
    async def _count(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        resource = request.match_info.route.resource
        name = f"{request.method} {resource.canonical if resource else request.path}"
        self._calls += 1
        if "throttle" in self.faults and self._calls % _THROTTLED == 0:
            self.tally.calls[f"{name} 429"] += 1
            return web.json_response({"message": "too many requests"}, status=429, headers={"Retry-After": "0"})
        try:
            answer = await handler(request)
        except web.HTTPException as refusal:
            self.tally.calls[f"{name} {refusal.status}"] += 1
            raise
        self.tally.calls[f"{name} {answer.status}"] += 1
        return answer


def iso(moment_s: float) -> str:
    """A moment, in seconds since the epoch, as vendors write it: UTC with milliseconds."""
    return datetime.fromtimestamp(moment_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
