"""One sink's worker: reads behind the cursor, filters, writes, moves the cursor.

The cursor moves only when the sink says that the far side has the batch, or has refused it for good. Between two reads
it serves one piece of what orders (retry, replay) hand over: a sink has one writer, and live events go first.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence

import structlog

from receiver.delivery.away import Away, enter, is_near
from receiver.delivery.decoding import decode_all
from receiver.delivery.errands import Done
from receiver.delivery.gathering import MOST_GATHER_S, gather_s
from receiver.delivery.pace import Pace
from receiver.delivery.pieces import Piece, Pieces, Refusal
from receiver.delivery.retry import Backoff
from receiver.delivery.select import Selection
from receiver.delivery.writer import PATIENCE, Halted, SinkWriter, Unexplained
from receiver.events import Event
from receiver.journal.base import Journal
from receiver.journal.state import State
from receiver.record import Decoded, Record
from receiver.telemetry.ledger import SinkBook
from sinks.base import Sink, SinkConfig

log = structlog.get_logger()
#: what is read from disk, and decoded, at once
READ_BYTES = 256 << 10
#: as far as that grows, doubled by each piece, while a sink that has come back catches up
_MOST_READ_BYTES = 1 << 20
_BACKOFF = Backoff()
#: a sink that does not let go within this time is left behind
_CLOSE_S = 3.0


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
        pace: Pace | None = None,
        away: Away | None = None,
        backoff: Backoff = _BACKOFF,
        close_s: float = _CLOSE_S,
    ) -> None:
        """``pace``: what the sinks of a server have in common, when several catch up. ``away``: who else can deliver
        for this one then."""
        self.name = name
        self.config = config
        self.selection = Selection(config.types, config.subjects)
        self._journal = journal
        self._state = state
        self._book = book
        self._decode = decode
        self.pace = pace or Pace(lambda: journal.head)
        self._writer = SinkWriter(name, sink, config, state=state, book=book, backoff=backoff, close_s=close_s)
        self._pieces = Pieces()
        self._away = away
        self._live = True
        #: when it read last, and whether that was all there was
        self._read_s, self._kept_up = 0.0, True
        self._gather_s = MOST_GATHER_S
        self._read_bytes = READ_BYTES
        #: how long ago that came in which was delivered last, while there is more
        self._behind_s = 0.0
        #: when it began to deliver what it has read last; 0: it has it delivered
        self._begun_s = 0.0
        self._cursor = self._taken = state.cursors.get(name, 0)
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
        return self.selection.media

    def drain(self) -> None:
        """Deliver what is in the journal now, then end. Orders are ended at once."""
        self._writer.draining.set()
        self.end_orders()

    def halt(self) -> None:
        """End after the write under way, whatever else is in the journal: somebody will go on from the cursor."""
        self._writer.halt()
        self.end_orders()
        self._come_back()

    def end_orders(self) -> None:
        """Take no more pieces: those who wait for one get ``SinkNotConnected``."""
        self._pieces.end("the server is stopping")

    @property
    def is_away(self) -> bool:
        """Whether another process delivers for this sink now."""
        return self._away is not None and self._away.under_way

    @property
    def is_held_up(self) -> bool:
        """Whether the far side has taken nothing for so long that the helper will be needed when it does again."""
        return self._away is not None and self._begun_s > 0 and self._away.suits(time.monotonic() - self._begun_s)

    async def hand_over(self, events: list[Event], *, late: bool = False) -> list[Refusal]:
        """Write events of an order between the live ones: at most ``config.batch_events``, in their order.

        Returns when the far side has them, or has refused those that are returned: they are dead letters then. Waits
        while the sink is down; cancelling withdraws them. Raises ``SinkNotConnected`` once the worker takes no more.
        """
        self._come_back()
        return await self._pieces.hand_over(events, late=late)

    async def run(self, *, live: bool = True) -> None:
        """Deliver for ever, or until drained or halted. Nothing but cancellation ends it early.

        ``live = False``: only what is handed over, so that the cursor stays where it is.
        """
        self._live = live
        try:
            while not self._writer.halted:
                try:
                    if not await self._step():
                        return
                except Halted:
                    return
                except Exception as error:  # the journal's or a decoder's fault, or ours
                    await self._writer.failed(error, "sink.worker.fault", exc_info=True)
        finally:
            self.end_orders()
            await self._writer.close()

    async def _step(self) -> bool:
        """Read and deliver once; false when there is nothing more and no more is wanted."""
        away = self._away
        if away is not None and away.suits(self._behind_s) and await away.ready(self._is_wanted):
            await self._follow(away)
            return True
        records, upto = await self._read()
        behind = upto > self._cursor
        if behind:
            self._taken = upto
            self._begun_s = begin_s = time.monotonic()
            try:
                if self._kept_up or self._journal.in_memory(upto, media=self.media):
                    await self._deliver(records)
                else:
                    await asyncio.gather(self._deliver(records), self._look_ahead(upto))
            finally:
                self._begun_s = 0.0
            self._gather_s = gather_s(time.monotonic() - begin_s, upto - self._cursor)
            self._move(upto)
            # as it is now: much may have come while the sink stood still
            is_last = upto == self._journal.visible(media=self.media)
            self._behind_s = 0.0 if is_last or not records else time.time() - records[-1].received_ns / 1e9
        elif self._writer.draining.is_set():
            return False
        elif not self._writer.is_open:
            await self._writer.connect()
        if self._writer.is_open:
            if (piece := self._pieces.next()) is not None:
                await self._serve(piece)
            elif not behind:
                await self._wait_for_more()
        return True

    async def _follow(self, away: Away) -> None:
        """Let another process deliver what is behind the cursor, until little of it is left."""
        writer, book = self._writer, self._book
        self._behind_s = 0.0
        if not writer.is_open or not await writer.close():
            return
        writer.works()  # as far as anybody can see from outside
        try:
            async with away.errand(self.name, self._cursor) as errand:
                writer.doing("write")
                async for told in errand.reports():
                    writer.doing("write")
                    self._taken = max(self._taken, told.upto)
                    if isinstance(told, Done):
                        enter(told, book)
                        self._move(told.upto)
                        if told.upto >= self._journal.visible(media=self.media) or is_near(told):
                            errand.enough()
        finally:
            writer.doing("")
            self._taken = self._cursor
        await self._recount()

    async def _recount(self) -> None:
        """What retention took while it was read over there, and was not delivered, is nowhere in the books."""
        book = self._book
        lost = book.backlog - book.done - await self._journal.backlog(self._cursor, media=self.media)
        if lost > 0:
            book.expired += lost
            log.error("sink.expired", sink=self.name, events=lost)

    def _is_wanted(self) -> bool:
        """Whether there is something that only this worker can do."""
        return self._writer.halted or self._pieces.waiting

    def _come_back(self) -> None:
        if self._away is not None:
            self._away.enough()

    def _move(self, upto: int) -> None:
        self._cursor = upto
        self._state.move(self.name, upto)

    async def _read(self) -> tuple[Sequence[Record], int]:
        if not self._live:
            return (), self._cursor
        early_s = self._read_s + self._gather_s - time.perf_counter()
        if self._kept_up and early_s > 0 and not self._writer.draining.is_set():
            await asyncio.sleep(early_s)
        self._read_s = time.perf_counter()
        self._read_bytes = self._next_bytes()
        records, upto = await self._journal.read(
            self._cursor, media=self.media, limit_bytes=self._read_bytes, reader=self.name
        )
        self._kept_up = upto == self._journal.visible(media=self.media)
        return records, upto

    async def _look_ahead(self, after: int) -> None:
        """Have the next piece read and decoded while this one is written. The journal keeps it for a moment; whatever
        goes wrong is met by the reading itself."""
        with contextlib.suppress(Exception):
            records, _ = await self._journal.read(after, media=self.media, limit_bytes=self._next_bytes())
            await decode_all(records, self._decode, self.pace, self.name)

    def _next_bytes(self) -> int:
        return READ_BYTES if self._kept_up else min(2 * self._read_bytes, _MOST_READ_BYTES)

    async def _wait_for_more(self) -> None:
        """Wait for the journal, for a piece or for the order to drain, whichever comes first."""
        if self._writer.draining.is_set():
            return
        changed = self._pieces.changed
        if self._live:
            self._journal.alert(changed, self._cursor, media=self.media)
        await changed.wait()
        changed.clear()

    async def _serve(self, piece: Piece) -> None:
        """Try a piece once. A failure delays the piece, not what is live."""
        before = len(piece.events) + len(piece.refused)
        try:
            wait_s = await self._try(piece)
        except BaseException:
            piece.fail("the worker has ended")
            raise
        self._book.repeated += before - len(piece.events) - len(piece.refused)
        if piece.events:
            self._pieces.put_back(piece, wait_s)
        elif not piece.done.done():
            piece.done.set_result(piece.refused)

    async def _try(self, piece: Piece) -> float:
        """Leave in ``piece`` what is still to be written; seconds to wait before that."""
        writer = self._writer
        try:
            piece.refused += await writer.attempt(piece.events, late=piece.late)
        except Exception as error:
            piece.failures += 1
            piece.unexplained = piece.unexplained + 1 if isinstance(error, Unexplained) else 0
            await writer.told(error, order=True, events=len(piece.events))
            if piece.unexplained >= PATIENCE:
                sifted = await writer.sift(piece.events, late=piece.late)
                piece.refused += sifted.refused
                piece.events, piece.unexplained = sifted.rest, 0
            return writer.wait_s(piece.failures, error)
        piece.events = []
        return 0.0

    async def _deliver(self, records: Sequence[Record]) -> None:
        book, size = self._book, self.config.batch_events
        await decode_all(records, self._decode, self.pace, self.name)
        events: list[Event] = []
        filtered = undecodable = 0
        for record in records:
            if record.events is None:
                undecodable += record.count
                continue
            wanted = self.selection.pick(record.events)
            filtered += record.count - len(wanted)
            events += wanted
        for start in range(0, len(events), size):
            await self._writer.write(events[start : start + size])
        book.filtered += filtered
        book.undecodable += undecodable
