"""One errand, in the helper: deliver from disk until told that it is enough, or until something goes wrong.

Nothing is tried twice and nothing is given up here: at the first failure the sink is closed and the server told, whose
own worker goes on behind what was done, with back-off, dead letters and all.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from receiver.delivery.decoding import decode_all
from receiver.delivery.errands import Done, Ended, Taken
from receiver.delivery.pace import Pace
from receiver.delivery.select import Selection
from receiver.events import Event
from receiver.record import Decoded, Record
from receiver.redaction import redact_text
from sinks.base import Batch, Sink, SinkConfig

_READ_BYTES = 1 << 20
_CLOSE_S = 30.0


class Readable(Protocol):
    """A journal that is read as far as it is known."""

    async def read(self, after: int, *, media: bool, limit_bytes: int) -> tuple[Sequence[Record], int]:
        """See :meth:`receiver.journal.base.Journal.read`."""

    async def wait(self) -> None:
        """Return when more of it may be known."""


class Courier:
    """``await run()`` once. ``say`` is told ``Taken`` and ``Done`` on the way, and ``Ended`` last of all."""

    def __init__(
        self,
        name: str,
        sink: Sink,
        config: SinkConfig,
        *,
        journal: Readable,
        after: int,
        say: Callable[[msgspec.Struct], None],
        decode: Callable[[Record], Decoded],
        pace: Pace,
    ) -> None:
        """``after``: the sink's cursor."""
        self._name = name
        self._sink = sink
        self._config = config
        self._selection = Selection(config.types, config.subjects)
        self._journal = journal
        self._cursor = self._taken = after
        self._say = say
        self._decode = decode
        self._pace = pace
        self._enough = asyncio.Event()

    def enough(self) -> None:
        """End after the write under way."""
        self._enough.set()

    async def run(self) -> None:
        """Deliver; returns when the sink is closed and that was said."""
        problem = ""
        try:
            await self._sink.open()
            while not self._enough.is_set():
                await self._step()
        except Exception as error:
            problem = redact_text(f"{type(error).__name__}: {error}")
        try:
            async with asyncio.timeout(_CLOSE_S):
                await self._sink.close()
        except Exception as error:
            problem = problem or redact_text(f"it does not close: {type(error).__name__}: {error}")
        self._say(Ended(self._name, problem))

    async def _step(self) -> None:
        records, upto = await self._read(self._cursor)
        if upto <= self._cursor:
            await self._more_or_enough()
            return
        await asyncio.gather(self._deliver(records, upto), self._look_ahead(upto))

    async def _read(self, after: int) -> tuple[Sequence[Record], int]:
        records, upto = await self._journal.read(after, media=self._selection.media, limit_bytes=_READ_BYTES)
        if upto > self._taken:
            self._taken = upto
            self._say(Taken(self._name, upto))
        await decode_all(records, self._decode, self._pace, self._name)
        return records, upto

    async def _look_ahead(self, after: int) -> None:
        """Have the next piece read and decoded while this one is written. The journal keeps it for a moment; whatever
        goes wrong is met by the reading itself."""
        with contextlib.suppress(Exception):
            await self._read(after)

    async def _more_or_enough(self) -> None:
        async with asyncio.TaskGroup() as group:
            waiting = [group.create_task(self._journal.wait()), group.create_task(self._enough.wait())]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for one in waiting:
                one.cancel()

    async def _deliver(self, records: Sequence[Record], upto: int) -> None:
        """Write in batches that end where records end, so that each of them moves the cursor."""
        events: list[Event] = []
        done = self._nothing(self._cursor)
        for record in records:
            wanted = self._selection.pick(record.events) if record.events is not None else []
            if events and len(events) + len(wanted) > self._config.batch_events:
                await self._write(events, done)
                if self._enough.is_set():
                    return
                events, done = [], self._nothing(self._cursor)
            events += wanted
            if record.events is None:
                done.undecodable += record.count
            else:
                done.filtered += record.count - len(wanted)
            done.upto, done.received_ns = record.last_seq, record.received_ns
        done.upto = upto
        await self._write(events, done)

    async def _write(self, events: list[Event], done: Done) -> None:
        size = self._config.batch_events  # a record may hold more
        for start in range(0, len(events), size):
            part = events[start : start + size]
            await self._sink.write(Batch(part, raw=self._config.raw, secrets=self._config.secrets))
            done.batches += 1
        if events:
            done.delivered, done.delivered_ns = len(events), events[-1].received_ns
        self._cursor = done.upto
        self._say(done)

    def _nothing(self, upto: int) -> Done:
        return Done(self._name, upto, delivered=0, filtered=0, undecodable=0, batches=0, received_ns=0, delivered_ns=0)
