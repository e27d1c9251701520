"""One sink's worker: reads behind the cursor, filters, writes, moves the cursor. Retry is here and nowhere else.

The cursor moves only when the sink says that the far side has the batch. What the far side refuses for good becomes a
dead letter, and the worker goes on. Anything else is tried again until it works: it is told in the log, in the metrics
and at ``/readyz``, and never skipped.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Sequence

import structlog

from receiver.delivery.retry import Backoff
from receiver.delivery.select import Selection
from receiver.errors import Malformed
from receiver.events import Event
from receiver.journal.base import Journal
from receiver.journal.state import DeadLetter, State
from receiver.record import Decoded, Record
from receiver.redaction import redact_text
from receiver.telemetry.ledger import SinkBook
from sinks.base import Batch, Sink, SinkConfig, SinkNotConnected, SinkOverloaded, SinkRejected

log = structlog.get_logger()
#: decoding what came from disk takes the event loop: keep it short
_READ_BYTES = 256 << 10
_BACKOFF = Backoff()
#: a sink that does not let go within this time is left behind
_CLOSE_S = 3.0
_MOST_ERROR_CHARS = 500


class SinkWorker:
    """Runs one sink until it is told to drain. Use ``run`` as a task of its own."""

    def __init__(
        self,
        name: str,
        sink: Sink,
        config: SinkConfig,
        *,
        journal: Journal,
        state: State,
        book: SinkBook,
        decode: Callable[[Record], Decoded],
        backoff: Backoff = _BACKOFF,
        close_s: float = _CLOSE_S,
    ) -> None:
        self.name = name
        self._sink = sink
        self._config = config
        self._journal = journal
        self._state = state
        self._book = book
        self._decode = decode
        self._backoff = backoff
        self._close_s = close_s
        self._selection = Selection(config.types, config.subjects)
        self._cursor = self._taken = state.cursors.get(name, 0)
        self._draining = asyncio.Event()
        self._open = False
        if name not in state.cursors:
            state.move(name, 0)

    @property
    def cursor(self) -> int:
        """The last number that the far side has."""
        return self._cursor

    @property
    def taken(self) -> int:
        """The last number that was read from the journal: retention can take away only what comes after it."""
        return self._taken

    @property
    def media(self) -> bool:
        """Whether this sink reads the media lane."""
        return self._selection.media

    def drain(self) -> None:
        """Deliver what is in the journal now, then end."""
        self._draining.set()

    async def run(self) -> None:
        """Deliver for ever, or until drained. Nothing but cancellation ends it early: it must not end the server."""
        try:
            while True:
                try:
                    if not await self._step():
                        return
                except Exception as error:  # the journal's or a decoder's fault, or ours
                    await self._failed(error, "sink.worker.fault", exc_info=True)
        finally:
            await self._close()

    async def _step(self) -> bool:
        """Read and deliver once; false when there is nothing more and no more is wanted."""
        records, upto = await self._journal.read(self._cursor, media=self.media, limit_bytes=_READ_BYTES)
        if upto > self._cursor:
            self._taken = upto
            await self._deliver(records)
            self._cursor = upto
            self._state.move(self.name, upto)
        elif self._draining.is_set():
            return False
        elif not self._open:
            await self._connect()
        else:
            await self._wait_for_more()
        return True

    async def _wait_for_more(self) -> None:
        """Wait for the journal or for the order to drain, whichever comes first."""
        async with asyncio.TaskGroup() as group:
            more = group.create_task(self._journal.wait(self._cursor, media=self.media))
            drain = group.create_task(self._draining.wait())
            await asyncio.wait((more, drain), return_when=asyncio.FIRST_COMPLETED)
            more.cancel()
            drain.cancel()

    async def _deliver(self, records: Sequence[Record]) -> None:
        book, size = self._book, self._config.batch_events
        events: list[Event] = []
        filtered = undecodable = 0
        for record in records:
            decoded = record.events if record.events is not None else self._decode_again(record)
            if decoded is None:
                undecodable += record.count
                continue
            wanted = self._selection.pick(decoded)
            filtered += record.count - len(wanted)
            events += wanted
        for start in range(0, len(events), size):
            await self._write(events[start : start + size])
        book.filtered += filtered
        book.undecodable += undecodable

    async def _write(self, events: list[Event]) -> None:
        """Repeat until the far side has ``events``, or has refused some of them and they are dead letters."""
        batch = Batch(events, raw=self._config.raw, secrets=self._config.secrets)
        while True:
            try:
                if not self._open:
                    await _ask(self._sink.open())
                    self._open = True
                dead = await self._write_once(batch, events)
            except Exception as error:
                await self._failed(error, first_sequence=events[0].sequence, events=len(events))
            else:
                self._book.dead += dead
                self._book.delivered += len(events) - dead
                self._book.batches += 1
                self._book.delivered_ns = max(self._book.delivered_ns, events[-1].received_ns)
                self._works()
                return

    async def _write_once(self, batch: Batch, events: list[Event]) -> int:
        """How many events the far side refused for good."""
        try:
            await _ask(self._sink.write(batch))
        except SinkRejected as refusal:
            named = {id(event) for event in refusal.events}
            refused = [event for event in events if id(event) in named] if named else events
            await self._bury(refused, redact_text(str(refusal)))
            return len(refused)
        return 0

    async def _connect(self) -> None:
        """Open an idle sink early, so that its state is known before the first event."""
        try:
            await _ask(self._sink.open())
        except Exception as error:
            await self._failed(error)
        else:
            self._open = True
            self._works()

    def _works(self) -> None:
        book = self._book
        if book.error:
            log.info("sink.recovered", sink=self.name, failures=book.failures)
        book.connected, book.failures, book.error = True, 0, ""

    async def _failed(self, error: Exception, event: str = "sink.failed", **about: object) -> None:
        """Tell, count, wait. Told are every new reason and the 1st, 2nd, 4th, 8th … failure in a row."""
        book = self._book
        book.retries += 1
        book.failures += 1
        book.connected = False
        text = redact_text(f"{type(error).__name__}: {error}")[:_MOST_ERROR_CHARS]
        if text != book.error or book.failures & (book.failures - 1) == 0:
            log.warning(event, sink=self.name, failures=book.failures, error=text, **about)
        book.error = text
        if isinstance(error, SinkNotConnected) or not self._open:
            await self._close()
        asked_s = error.retry_after_s if isinstance(error, SinkOverloaded) else None
        await self._pause(self._backoff.wait_s(book.failures, random.random(), asked_s))  # noqa: S311 - no secret

    async def _pause(self, wait_s: float) -> None:
        """Sleep; the order to drain ends the sleep, so that a sink which is back gets its events."""
        if self._draining.is_set():
            await asyncio.sleep(wait_s)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._draining.wait()

    async def _bury(self, events: Sequence[Event], reason: str) -> None:
        letters = [
            DeadLetter(
                sink=self.name,
                seq=event.sequence,
                id=event.id,
                reason=reason,
                at_ns=time.time_ns(),
                event=event.json(secrets=self._config.secrets, raw=self._config.raw),
            )
            for event in events
        ]
        await self._state.bury(letters)
        log.warning("sink.dead_letter", sink=self.name, events=len(letters), reason=reason)

    def _decode_again(self, record: Record) -> list[Event] | None:
        """Events of a record that came from disk; ``None``, and an error in the log, where no decoder takes it now.

        It decoded when it arrived, so this is a fault of a newer decoder: its bytes stay in the journal.
        """
        try:
            events = self._decode(record).events
        except Exception as error:
            text = redact_text(f"{type(error).__name__}: {error}")
            known = isinstance(error, Malformed)
            log.error("sink.undecodable", sink=self.name, sequence=record.seq, error=text, exc_info=not known)
            return None
        for offset, event in enumerate(events):
            event.sequence = min(record.seq + offset, record.last_seq)
        return events

    async def _close(self) -> None:
        """Let go of the sink, whatever it says to that, within a limit."""
        self._open = self._book.connected = False
        try:
            async with asyncio.timeout(self._close_s):
                await _ask(self._sink.close())
        except Exception as error:
            log.warning("sink.close.failed", sink=self.name, error=redact_text(f"{type(error).__name__}: {error}"))


async def _ask(call: Awaitable[None]) -> None:
    """Await a sink. A cancellation that nobody asked this task for is a failure of the sink like any other."""
    try:
        await call
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise SinkNotConnected("the sink's own work was cancelled") from None
