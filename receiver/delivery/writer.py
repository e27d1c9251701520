"""A sink with everything that can go wrong in front of it: opening, back-off, dead letters, poisoned events.

Retry is here and nowhere else. What the far side refuses for good becomes a dead letter. Anything else is tried again
until it works: it is told in the log, in the metrics and at ``/readyz``, and never skipped. The one exception is an
event that the sink itself stumbles over: after ``PATIENCE`` failures in a row that no connection explains, the batch
is halved until the event is alone; if it still fails, it becomes a dead letter and those behind it go on.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Sequence
from typing import NamedTuple

import structlog

from receiver.delivery.pieces import Refusal
from receiver.delivery.retry import Backoff
from receiver.events import Encoder, Event
from receiver.journal.dead import DeadLetter, pack_event
from receiver.journal.state import State
from receiver.redaction import redact_text
from receiver.telemetry.ledger import SinkBook
from sinks.base import Batch, Sink, SinkConfig, SinkNotConnected, SinkOverloaded, SinkRejected

log = structlog.get_logger()
#: failures in a row that no connection explains, before the events are suspected
PATIENCE = 8
#: nobody's event is to blame for these, however often they come
_OUTAGES = (SinkNotConnected, SinkOverloaded, OSError, TimeoutError)
_MOST_ERROR_CHARS = 500


class Unexplained(Exception):
    """``write`` failed for a reason that is no outage: its cause. Perhaps an event is to blame."""


class Halted(Exception):
    """The last attempt failed, and no other is wanted: the events stay behind the cursor."""


class Sifted(NamedTuple):
    """What became of a suspected batch: ``passed`` events delivered, some refused, ``rest`` not tried yet."""

    passed: int
    refused: list[Refusal]
    rest: list[Event]


class SinkWriter:
    """The only one who calls the sink. One call at a time."""

    def __init__(
        self,
        name: str,
        sink: Sink,
        config: SinkConfig,
        *,
        state: State,
        book: SinkBook,
        backoff: Backoff,
        close_s: float,
    ) -> None:
        self.name = name
        self._backoff = backoff
        #: set: pauses end early, so that a sink which is back gets its events
        self.draining = asyncio.Event()
        #: what fails now is not tried again
        self.halted = False
        self.is_open = False
        self._sink = sink
        self._config = config
        self._state = state
        self._book = book
        self._close_s = close_s

    async def connect(self) -> None:
        """Open an idle sink early, so that its state is known before the first event."""
        try:
            await self._open()
        except Exception as error:
            await self.failed(error)
        else:
            self.works()

    async def write(self, events: list[Event]) -> None:
        """Repeat until the far side has ``events``, or some of them are dead letters. Counts them as done."""
        book, unexplained = self._book, 0
        while events:
            passed, refused, rest = 0, 0, events
            try:
                refused = len(await self.attempt(events))
                passed, rest = len(events) - refused, []
            except Exception as error:
                unexplained = unexplained + 1 if isinstance(error, Unexplained) else 0
                await self.failed(error, first_sequence=events[0].sequence, events=len(events))
                if unexplained < PATIENCE:
                    continue
                unexplained = 0
                passed, letters, rest = await self.sift(events)
                refused = len(letters)
            book.dead += refused
            book.delivered += passed
            book.batches += 1
            if passed or not rest:
                book.delivered_ns = max(book.delivered_ns, events[len(events) - len(rest) - 1].received_ns)
            events = rest

    async def attempt(self, events: list[Event], *, late: bool = False) -> list[Refusal]:
        """Write once. What the far side refused for good is buried and returned; anything else is raised."""
        if not self.is_open:
            await self._open()
        batch = Batch(events, raw=self._config.raw, secrets=self._config.secrets, late=late)
        refused: list[Refusal] = []
        try:
            await self._ask("write", self._sink.write(batch))
        except SinkRejected as refusal:
            reason = redact_text(str(refusal))
            named = {id(event) for event in refusal.events}
            refused = [Refusal(event, reason) for event in events if not named or id(event) in named]
            refused = refused or [Refusal(event, reason) for event in events]
        except _OUTAGES:
            raise
        except Exception as error:
            raise Unexplained from error
        if refused:
            await self._bury(refused)
        self.works()
        return refused

    async def sift(self, events: list[Event], *, late: bool = False) -> Sifted:
        """Halve a suspected batch until the sink takes it; what it does not take alone is buried.

        The sink is opened anew first. As long as nothing at all gets through, only one event is given up, for then it
        may as well be the sink: the others are ``rest``, and deserve the same patience again.
        """
        await self.close()
        waiting, passed, refused = [events], 0, list[Refusal]()
        while waiting:
            part = waiting.pop()
            try:
                found = await self.attempt(part, late=late)
                refused += found
                passed += len(part) - len(found)
            except Unexplained as error:
                self._book.retries += 1
                if len(part) > 1:
                    middle = len(part) // 2
                    waiting += part[middle:], part[:middle]
                    continue
                refused.append(await self._give_up(part[0], error))
                if not passed:
                    await self.close()
                    break
            except Exception as error:
                waiting.append(part)
                await self.failed(error)
        return Sifted(passed, refused, [event for part in reversed(waiting) for event in part])

    def halt(self) -> None:
        """Try nothing again: a failure from now on raises ``Halted``."""
        self.halted = True
        self.draining.set()

    async def failed(self, error: Exception, event: str = "sink.failed", **about: object) -> None:
        """Tell, count, let go if need be, wait. Raises ``Halted``."""
        await self.told(error, event, **about)
        if self.halted:
            raise Halted from error
        await self._pause(self.wait_s(self._book.failures, error))

    def wait_s(self, failures: int, error: Exception) -> float:
        """Seconds before the next attempt after so many ``failures`` in a row."""
        asked_s = error.retry_after_s if isinstance(error, SinkOverloaded) else None
        return self._backoff.wait_s(failures, random.random(), asked_s)  # noqa: S311 - no secret

    async def told(self, error: Exception, event: str = "sink.failed", **about: object) -> None:
        """Tell and count. Told are every new reason and the 1st, 2nd, 4th, 8th … failure in a row."""
        book = self._book
        book.retries += 1
        book.failures += 1
        book.connected = False
        text = _text(error)
        if text != book.error or book.failures & (book.failures - 1) == 0:
            log.warning(event, sink=self.name, failures=book.failures, error=text, **about)
        book.error = text
        if isinstance(error, SinkNotConnected) or not self.is_open:
            await self.close()

    def works(self) -> None:
        """The last attempt went well."""
        book = self._book
        if book.error:
            log.info("sink.recovered", sink=self.name, failures=book.failures)
        book.connected, book.failures, book.error = True, 0, ""

    async def close(self) -> bool:
        """Let go of the sink, whatever it says to that, within a limit. Whether it did."""
        self.is_open = self._book.connected = False
        try:
            async with asyncio.timeout(self._close_s):
                await self._ask("close", self._sink.close())
        except Exception as error:
            log.warning("sink.close.failed", sink=self.name, error=redact_text(f"{type(error).__name__}: {error}"))
            return False
        return True

    def doing(self, what: str) -> None:
        """Note what is done for the sink, and since when; empty: nothing."""
        self._book.doing, self._book.doing_since_s = what, time.monotonic()

    async def _open(self) -> None:
        await self._ask("open", self._sink.open())
        self.is_open = True

    async def _ask(self, doing: str, call: Awaitable[None]) -> None:
        """Await the sink, noting since when. A cancellation that nobody asked this task for is a failure of the sink
        like any other."""
        self.doing(doing)
        try:
            await call
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise SinkNotConnected("the sink's own work was cancelled") from None
        finally:
            self._book.doing = ""

    async def _pause(self, wait_s: float) -> None:
        if self.draining.is_set():
            await asyncio.sleep(wait_s)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self.draining.wait()

    async def _give_up(self, event: Event, error: Exception) -> Refusal:
        """Bury an event that failed alone; not before it lies there does anything go on."""
        refusal = Refusal(event, f"given up after {PATIENCE} failures and alone: {_text(error)}")
        while True:
            try:
                await self._bury([refusal])
            except Exception as problem:
                await self.failed(problem)
            else:
                return refusal

    async def _bury(self, refused: Sequence[Refusal]) -> None:
        at_ns = time.time_ns()
        letters = [
            DeadLetter(
                sink=self.name,
                seq=event.sequence,
                id=event.id,
                reason=reason,
                at_ns=at_ns,
                event=self._json(event),
                packed=pack_event(event),
            )
            for event, reason in refused
        ]
        await self._state.dead.bury(letters)
        log.warning("sink.dead_letter", sink=self.name, events=len(letters), reason=refused[0].reason)

    def _json(self, event: Event) -> bytes:
        try:
            return event.json(secrets=self._config.secrets, raw=self._config.raw)
        except Exception:  # that may be just why the sink stumbled over it
            return Encoder.encode({"id": event.id, "type": event.type, "subject": event.subject})


def _text(error: BaseException) -> str:
    cause = error.__cause__ if isinstance(error, Unexplained) and error.__cause__ else error
    return redact_text(f"{type(cause).__name__}: {cause}")[:_MOST_ERROR_CHARS]
