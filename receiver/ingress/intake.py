"""What becomes of a delivery: journalled, merged with the one it repeats, or kept in quarantine. Counted either way."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, Protocol, TypeVarTuple

import msgspec
import structlog

from receiver.errors import JournalUnavailable, Malformed
from receiver.ingress.shedding import Kind, Shedding, kind_of
from receiver.journal.base import QUARANTINE, Journal
from receiver.journal.clock import steady_ns
from receiver.journal.dedup import Dedup, Entry, join_keys
from receiver.record import Decoded, Record
from receiver.telemetry.ledger import Intake as Book

log = structlog.get_logger()
Arguments = TypeVarTuple("Arguments")
Fate = Literal["accepted", "duplicate", "quarantined"]


class Outcome(msgspec.Struct, frozen=True):
    """What became of it; ``reason`` says why it lies in quarantine."""

    fate: Fate
    reason: str = ""


_ACCEPTED, _DUPLICATE = Outcome("accepted"), Outcome("duplicate")


#: told what became of a delivery, or why it could not be made safe
Settled = Callable[[Outcome | JournalUnavailable], None]
#: a delivery, where it is counted, and who is told
Offered = tuple[Record, Book, Settled]


class Takes(Protocol):
    """Who makes deliveries safe: this process's journal, or another process's that has taken over."""

    def ready(self) -> bool:
        """Whether ``begin`` would take anything now."""

    def begin(self, offered: Sequence[Offered]) -> list[bool]:
        """Begin to make safe those of ``offered`` with which that can be done at once; whether it was, of each:
        ``settled`` is called later. False: nothing was done and nothing counted, ``room`` and ``accept`` are to be
        asked."""

    async def room(self) -> None:
        """Return when there is room for one more."""

    async def accept(self, record: Record, book: Book) -> Outcome:
        """Decode ``record`` and make it safe. Returns when it is on disk; raises ``JournalUnavailable``."""

    async def quarantine(self, record: Record, reason: str, book: Book) -> Outcome:
        """Keep what cannot be understood, byte for byte. Raises ``JournalUnavailable``."""


async def hand_to(takes: Takes, record: Record, reason: str, book: Book) -> Outcome:
    """Have ``record`` made safe; with a ``reason``, in quarantine. Raises ``JournalUnavailable``."""
    return await (takes.quarantine(record, reason, book) if reason else takes.accept(record, book))


class Intake:
    """The one door to the journal for everything that vendors send."""

    def __init__(self, journal: Journal, dedup: Dedup, decode: Callable[[Record], Decoded], shedding: Shedding) -> None:
        self.journal = journal
        self.shedding = shedding
        self._dedup = dedup
        self._decode = decode

    async def room(self) -> None:
        """Return when the journal has room for one more delivery."""
        await self.journal.room()

    def ready(self) -> bool:
        """Whether ``begin`` would take anything now."""
        return self.journal.has_room() and not self.shedding.kinds

    def begin(self, offered: Sequence[Offered]) -> list[bool]:
        """Decode all of ``offered``, then give those to the journal against which nothing speaks."""
        decoded = [self._decoded(record) for record, _, _ in offered]
        return [
            one is not None and self._submitted(record, one, book, settled)
            for one, (record, book, settled) in zip(decoded, offered, strict=True)
        ]

    def _decoded(self, record: Record) -> Decoded | None:
        try:
            return self._decode(record)
        except Exception:  # whatever it is: it happens again to `accept`, which has an answer to it
            return None

    def _submitted(self, record: Record, decoded: Decoded, book: Book, settled: Settled) -> bool:
        if not self.ready():
            return False
        try:
            self.submit(record, decoded, book, settled)
        except Exception:  # as above
            return False
        return True

    async def accept(self, record: Record, book: Book) -> Outcome:
        """Decode ``record`` and make it safe. Returns when it is on disk; raises ``JournalUnavailable``."""
        try:
            decoded = decode_safely(self._decode, record)
        except Malformed as problem:
            return await self.quarantine(record, str(problem), book)
        settled: asyncio.Future[Outcome | JournalUnavailable] = asyncio.get_running_loop().create_future()
        try:
            self.submit(record, decoded, book, partial(_end, settled))
        except JournalUnavailable as problem:
            self.count_failed(problem, decoded, book)
            raise
        outcome = await settled
        if isinstance(outcome, JournalUnavailable):
            raise outcome
        return outcome

    def submit(self, record: Record, decoded: Decoded, book: Book, settled: Settled) -> None:
        """Hand a decoded record to the journal, or find the one that it repeats, by any of its keys. ``settled`` is
        called when that is safe, or cannot be; it is counted by then.

        Raises ``Shed`` where the disk has no space for its kind; a repeat needs none.
        """
        key = decoded.key and f"{record.vendor}/{record.endpoint}/".encode() + decoded.key
        entry, at_ns = (self._dedup.find(key), steady_ns(record.received_ns)) if key else (None, 0)
        if entry is not None and self._dedup.is_repeat(entry, at_ns, timed=decoded.timed):
            self._merge(entry, decoded, book, settled)
            return
        if decoded.also:
            further = [f"{record.vendor}/{record.endpoint}/".encode() + one for one in decoded.also]
            for found in map(self._dedup.find, further):
                if found is not None and self._dedup.is_repeat(found, at_ns, timed=True):
                    self._merge(found, decoded, book, settled)
                    return
            key = join_keys([key, *further])
        if entry is not None and not decoded.timed:
            record.repeat = entry.repeat + 1
            decoded.events = self._decode(record).events
        if self.shedding.kinds:
            self.shedding.require(kind_of(decoded.events))
        record.key = key
        record.events = decoded.events
        fresh = Entry(0, at_ns, record.repeat, []) if key else None
        self.journal.put(record, partial(self._ended, _ACCEPTED, decoded, book, settled, fresh, key))
        if fresh is not None:
            fresh.seq = record.seq
            self._dedup.expect(key, fresh)

    def _merge(self, entry: Entry, decoded: Decoded, book: Book, settled: Settled) -> None:
        """A repeat: it is safe when what it repeats is."""
        ended = partial(self._ended, _DUPLICATE, decoded, book, settled, None, b"")
        if entry.waiting is not None:
            entry.waiting.append(ended)
        else:
            asyncio.get_running_loop().call_soon(ended, None)

    def _ended(
        self,
        outcome: Outcome,
        decoded: Decoded,
        book: Book,
        settled: Settled,
        entry: Entry | None,
        key: bytes,
        problem: JournalUnavailable | None,
    ) -> None:
        """Count what is safe, or what could not be made so, and tell those who wait for it."""
        repeats = (entry and entry.waiting) or ()
        if entry is not None:
            self._dedup.settle(key, entry, safe=problem is None)
        if problem is not None:
            self.count_failed(problem, decoded, book)
            settled(problem)
        else:
            if outcome is _DUPLICATE:
                book.duplicates += 1
            else:
                book.journalled += 1
                book.events += len(decoded.events)
            settled(outcome)
        for ended in repeats:
            ended(problem)

    async def quarantine(self, record: Record, reason: str, book: Book, kind: Kind = "callback") -> Outcome:
        """Keep what cannot be understood, byte for byte. Raises ``JournalUnavailable``."""
        record.reason = reason
        record.events = None
        try:
            self.shedding.require(kind)
            await asyncio.shield(self.journal.submit(record, QUARANTINE))
        except JournalUnavailable as problem:
            book.failed += 1
            self.shedding.failed(problem, kind)
            raise
        book.quarantined += 1
        log.warning(
            "delivery.quarantined", endpoint=f"{record.vendor}/{record.endpoint}", sequence=record.seq, reason=reason
        )
        return Outcome("quarantined", reason)

    def count_failed(self, problem: JournalUnavailable, decoded: Decoded, book: Book) -> None:
        """Count what could not be made safe."""
        book.failed += 1
        self.shedding.failed(problem, kind_of(decoded.events))


def decode_safely(decode: Callable[[*Arguments], Decoded], *arguments: *Arguments) -> Decoded:
    """Decode. A fault in a decoder is never the sender's: the bytes go to quarantine for a later retry."""
    try:
        return decode(*arguments)
    except Malformed:
        raise
    except Exception as fault:
        log.exception("decoder.fault", decoder=getattr(decode, "__qualname__", repr(decode)))
        raise Malformed(f"decoder fault: {type(fault).__name__}") from fault


def _end(future: "asyncio.Future[Outcome | JournalUnavailable]", outcome: Outcome | JournalUnavailable) -> None:
    if not future.done():
        future.set_result(outcome)
