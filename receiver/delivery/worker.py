"""One sink's worker: reads behind the cursor, filters, writes, moves the cursor. Retry is here and nowhere else.

The cursor moves only when the sink says that the far side has the batch. What the far side refuses for good becomes a
dead letter, and the worker goes on.
"""

import asyncio
import random
import time
from collections.abc import Callable, Sequence

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
    ) -> None:
        self.name = name
        self._sink = sink
        self._config = config
        self._journal = journal
        self._state = state
        self._book = book
        self._decode = decode
        self._selection = Selection(config.types, config.subjects)
        self._cursor = state.cursors.get(name, 0)
        self._draining = asyncio.Event()
        self._open = False
        if name not in state.cursors:
            state.move(name, 0)

    @property
    def cursor(self) -> int:
        """The last number that the far side has."""
        return self._cursor

    @property
    def media(self) -> bool:
        """Whether this sink reads the media lane."""
        return self._selection.media

    def drain(self) -> None:
        """Deliver what is in the journal now, then end."""
        self._draining.set()

    async def run(self) -> None:
        """Deliver for ever, or until drained."""
        try:
            while True:
                records, upto = await self._journal.read(self._cursor, media=self.media, limit_bytes=_READ_BYTES)
                if upto > self._cursor:
                    await self._deliver(records)
                    self._move(upto)
                elif self._draining.is_set():
                    return
                else:
                    await self._wait_for_more()
        finally:
            await self._close()

    async def _wait_for_more(self) -> None:
        """Wait for the journal or for the order to drain, whichever comes first."""
        if not self._open:
            await self._connect()
        async with asyncio.TaskGroup() as group:
            more = group.create_task(self._journal.wait(self._cursor, media=self.media))
            drain = group.create_task(self._draining.wait())
            await asyncio.wait((more, drain), return_when=asyncio.FIRST_COMPLETED)
            more.cancel()
            drain.cancel()

    async def _deliver(self, records: Sequence[Record]) -> None:
        book, size = self._book, self._config.batch_events
        events: list[Event] = []
        for record in records:
            decoded = record.events if record.events is not None else self._decode_again(record)
            wanted = self._selection.pick(decoded)
            book.filtered += record.count - len(wanted)
            events += wanted
        for start in range(0, len(events), size):
            await self._write(events[start : start + size])

    async def _write(self, events: list[Event]) -> None:
        batch = Batch(events, raw=self._config.raw, secrets=self._config.secrets)
        attempt = 0
        while True:
            try:
                if not self._open:
                    await self._sink.open()
                    self._open = True
                await self._sink.write(batch)
            except SinkRejected as refusal:
                refused = refusal.events or tuple(events)
                await self._bury(refused, str(refusal))
                self._succeeded(events, len(events) - len(refused))
                return
            except Exception as error:
                attempt += 1
                await self._failed(error, attempt)
            else:
                self._succeeded(events, len(events))
                return

    async def _connect(self) -> None:
        """Open an idle sink early, so that its state is known before the first event."""
        try:
            await self._sink.open()
            self._open = self._book.connected = True
            self._book.error = ""
        except Exception as error:
            await self._failed(error, 1)

    def _succeeded(self, events: list[Event], delivered: int) -> None:
        book = self._book
        book.delivered += delivered
        book.batches += 1
        book.delivered_ns = max(book.delivered_ns, events[-1].received_ns)
        book.connected = True
        if book.error:
            log.info("sink.recovered", sink=self.name)
            book.error = ""

    async def _failed(self, error: Exception, attempt: int) -> None:
        book = self._book
        book.retries += 1
        book.connected = False
        text = redact_text(f"{type(error).__name__}: {error}")
        if text != book.error:
            log.warning("sink.failed", sink=self.name, attempt=attempt, error=text)
        book.error = text
        if isinstance(error, SinkNotConnected):
            await self._close()
        asked_s = error.retry_after_s if isinstance(error, SinkOverloaded) else None
        await asyncio.sleep(_BACKOFF.wait_s(attempt, random.random(), asked_s))  # noqa: S311 - jitter, not a secret

    async def _bury(self, events: Sequence[Event], reason: str) -> None:
        letters = [
            DeadLetter(
                sink=self.name,
                seq=event.sequence,
                id=event.id,
                reason=redact_text(reason),
                at_ns=time.time_ns(),
                event=event.json(secrets=self._config.secrets, raw=self._config.raw),
            )
            for event in events
        ]
        await self._state.bury(letters)
        self._book.dead += len(letters)
        log.warning("sink.dead_letter", sink=self.name, events=len(letters), reason=redact_text(reason))

    def _decode_again(self, record: Record) -> list[Event]:
        """Events of a record that came from disk; what cannot be decoded any more is told and passed over."""
        try:
            events = self._decode(record).events
        except Malformed as error:
            log.error("sink.undecodable", sink=self.name, sequence=record.seq, error=str(error))
            events = []
        for offset, event in enumerate(events):
            event.sequence = min(record.seq + offset, record.last_seq)
        return events

    def _move(self, upto: int) -> None:
        self._cursor = upto
        self._state.move(self.name, upto)

    async def _close(self) -> None:
        self._open = self._book.connected = False
        try:
            await self._sink.close()
        except Exception as error:
            log.warning("sink.close.failed", sink=self.name, error=redact_text(f"{type(error).__name__}: {error}"))
