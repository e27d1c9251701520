"""What orders (retry, replay) hand to a sink's worker: a few events at a time, written between its own batches.

An order waits for each of its pieces, so it has one here at most; orders of the same sink take turns.
"""

import asyncio
from collections import deque
from typing import NamedTuple

import msgspec

from receiver.events import Event
from sinks.base import SinkNotConnected


class Refusal(NamedTuple):
    """An event that became a dead letter, and why."""

    event: Event
    reason: str


class Piece(msgspec.Struct, eq=False):
    """Events to write. ``late``: a retry, see ``Batch.late``. Not before ``not_before_s`` of the loop's clock."""

    events: list[Event]
    late: bool
    done: "asyncio.Future[list[Refusal]]"
    refused: list[Refusal] = []
    failures: int = 0
    #: failures in a row that no connection explains
    unexplained: int = 0
    not_before_s: float = 0.0

    def fail(self, why: str) -> None:
        """Nothing more happens to it."""
        if not self.done.done():
            self.done.set_exception(SinkNotConnected(why))


class Pieces:
    """The queue of one worker. ``changed`` is set whenever something may be ready, and when it is ended."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self._waiting: deque[Piece] = deque()
        self._ended = ""

    async def hand_over(self, events: list[Event], *, late: bool) -> list[Refusal]:
        """Return when the far side has ``events``, or refused those that are returned. Cancelling it withdraws them.

        Raises ``SinkNotConnected`` once the queue is ended.
        """
        if self._ended:
            raise SinkNotConnected(self._ended)
        done: asyncio.Future[list[Refusal]] = asyncio.get_running_loop().create_future()
        self._waiting.append(Piece(events, late, done))
        self.changed.set()
        return await done

    @property
    def waiting(self) -> bool:
        """Whether there is any."""
        return bool(self._waiting)

    def next(self) -> Piece | None:
        """Take the first piece whose time has come."""
        now_s = asyncio.get_running_loop().time()
        for piece in list(self._waiting):
            if piece.done.done():
                self._waiting.remove(piece)
            elif piece.not_before_s <= now_s:
                self._waiting.remove(piece)
                return piece
        return None

    def put_back(self, piece: Piece, wait_s: float) -> None:
        """Not written yet: again in ``wait_s`` seconds at the earliest."""
        if self._ended:
            piece.fail(self._ended)
            return
        loop = asyncio.get_running_loop()
        piece.not_before_s = loop.time() + wait_s
        self._waiting.append(piece)
        # a timer may be early by the clock's grain
        loop.call_later(wait_s + 0.001, self.changed.set)

    def end(self, why: str) -> None:
        """Take no more, and let everybody who waits know."""
        self._ended = why
        self.changed.set()
        while self._waiting:
            self._waiting.popleft().fail(why)
