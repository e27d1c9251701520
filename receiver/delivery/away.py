"""When a sink's worker lets the helper deliver in its place, and what it enters in its books then."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import structlog

from receiver.delivery.errands import Done
from receiver.delivery.helper import Errand, Helper
from receiver.telemetry.ledger import SinkBook

log = structlog.get_logger()
#: what is no further behind is soon delivered by the worker itself
_NEAR_NS = 500_000_000
#: after a failure, and after an order that only the worker can carry out
_STAY_S = 5.0
#: longest wait for the helper to start, and how often it is looked for
_START_S, _LOOK_S = 3.0, 0.02


class Away:
    """One for each sink that may be written to from another process (``Sink.portable``)."""

    def __init__(self, helper: Helper, keys: dict[str, Any], far_s: float) -> None:
        """``keys``: of ``[sinks.NAME]``. ``far_s``: how far behind a sink has to be for it to be worth while."""
        self._helper = helper
        self._keys = keys
        self._far_s = far_s
        self._errand: Errand | None = None
        self._stay_until_s = 0.0

    @property
    def under_way(self) -> bool:
        """Whether the helper delivers for this sink now."""
        return self._errand is not None

    def suits(self, behind_s: float) -> bool:
        """Whether the helper is to go on for a sink that is so far behind."""
        return behind_s > self._far_s and time.monotonic() >= self._stay_until_s

    async def ready(self, hurry: Callable[[], bool]) -> bool:
        """Whether the helper can. It is waited for while it starts: what it will do need not be done here, beside all
        that is live. Unless there is ``hurry``."""
        deadline_s = time.monotonic() + _START_S
        while not self._helper.ready():
            if not self._helper.starting or hurry() or time.monotonic() > deadline_s:
                return False
            await asyncio.sleep(_LOOK_S)
        return not hurry()

    @asynccontextmanager
    async def errand(self, sink: str, after: int) -> AsyncIterator[Errand]:
        """Send the helper; at the end it writes nothing more for this sink."""
        begin_s = time.monotonic()
        log.info("sink.away", sink=sink, after=after)
        async with self._helper.errand(sink, self._keys, after) as errand:
            self._errand = errand
            try:
                yield errand
            finally:
                self._errand = None
        log.info("sink.back", sink=sink, away_s=round(time.monotonic() - begin_s, 3))
        if errand.problem:
            log.warning("sink.away.failed", sink=sink, error=errand.problem)
            self._stay_until_s = time.monotonic() + _STAY_S

    def enough(self) -> None:
        """The worker itself is needed: an errand under way ends, and none begins for a while."""
        self._stay_until_s = time.monotonic() + _STAY_S
        if self._errand is not None:
            self._errand.enough()


def enter(done: Done, book: SinkBook) -> None:
    """Book what the helper has delivered."""
    book.delivered += done.delivered
    book.filtered += done.filtered
    book.undecodable += done.undecodable
    book.batches += done.batches
    book.delivered_ns = max(book.delivered_ns, done.delivered_ns)


def is_near(done: Done) -> bool:
    """Whether what was delivered last had only just come in."""
    return done.received_ns > time.time_ns() - _NEAR_NS
