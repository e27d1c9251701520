"""Callbacks at a steady rate that nothing slows down: each has its moment, and its time is counted from then on."""

import asyncio
import itertools
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import cast

from tests.faults.load import body

_CONNECTIONS = 64
_PATIENCE_S = 5.0
#: what is left of a wait that is shorter is not slept but looped: a sleep ends up to a millisecond late
_SLEPT_S = 0.002
#: a request that is sent later than this is the sender's fault
_LATE_S = 0.001
_serials = itertools.count(os.getpid() * 1_000_000)


@dataclass
class Answers:
    """``took``: when each was due (``time.perf_counter``) and how long it took from then to the begin of its answer.
    ``begun_s``: when the first was due."""

    begun_s: float = 0.0
    took: list[tuple[float, float]] = field(default_factory=list)
    sent: int = 0
    failed: int = 0
    late: int = 0

    def took_s(self, from_s: float = 0.0, to_s: float = float("inf")) -> list[float]:
        """Of those that were due between two moments."""
        return [took_s for due_s, took_s in self.took if from_s <= due_s < to_s]


def requests(port: int, more: Callable[[], bool] = lambda: True) -> Iterator[bytes]:
    """Callbacks of 64 bots in turn, no two the same, as long as there shall be ``more``."""
    while more():
        serial = next(_serials)
        yield request(port, body(f"bot-{serial % 64}", serial))


def request(port: int, content: bytes) -> bytes:
    """A callback as it goes over the wire."""
    head = f"POST /meetstream/default HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


async def send_steadily(port: int, rate: float, some: Iterable[bytes]) -> Answers:
    """Send each of ``some``, ``rate`` a second, over 64 connections. A server that stalls pays for all that wait."""
    loop, answers = asyncio.get_running_loop(), Answers()
    pool = [(await loop.create_connection(lambda: _Post(answers), "127.0.0.1", port))[1] for _ in range(_CONNECTIONS)]
    turn = itertools.cycle(pool)
    begun_s = answers.begun_s = time.perf_counter() + 0.1
    for number, request in enumerate(some):
        due_s = begun_s + number / rate
        while (left_s := due_s - time.perf_counter()) > 0:  # noqa: ASYNC110 - time, no event
            await asyncio.sleep(left_s if left_s > _SLEPT_S else 0)
        answers.late += left_s < -_LATE_S
        answers.sent += 1
        await _send_on(turn, request, due_s)
    deadline_s = time.perf_counter() + _PATIENCE_S
    while len(answers.took) < answers.sent and time.perf_counter() < deadline_s:  # noqa: ASYNC110 - one wait, at the end
        await asyncio.sleep(0.01)
    answers.failed += answers.sent - len(answers.took)
    for one in pool:
        one.close()
    return answers


class _Post(asyncio.Protocol):
    """A kept-alive connection that writes prebuilt requests and sees when each answer begins."""

    def __init__(self, answers: Answers) -> None:
        self.free = True
        self._answers = answers
        self._due_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def send(self, request: bytes, due_s: float) -> None:
        self.free, self._due_s = False, due_s
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"HTTP/1.1 "):
            self._answers.took.append((self._due_s, time.perf_counter() - self._due_s))
            self._answers.failed += data[9:10] != b"2"
            self.free = True

    def close(self) -> None:
        self._transport.close()


async def _send_on(turn: Iterator[_Post], request: bytes, due_s: float) -> None:
    """Send on the next connection that has its answer."""
    for tried in itertools.count(1):
        one = next(turn)
        if one.free:
            one.send(request, due_s)
            return
        if tried % _CONNECTIONS == 0:
            await asyncio.sleep(0)
