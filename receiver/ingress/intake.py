"""What becomes of a delivery: journalled, merged with the one it repeats, or kept in quarantine. Counted either way."""

import asyncio
from collections.abc import Callable
from typing import Literal, Protocol, TypeVarTuple

import msgspec
import structlog

from receiver.errors import JournalUnavailable, Malformed
from receiver.ingress.shedding import Kind, Shedding, kind_of
from receiver.journal.base import EVENTS, QUARANTINE, Journal
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


class Begun:
    """A delivery that was given to the journal: once ``safe`` has ended, ``settle`` tells what became of it."""

    __slots__ = ("_book", "_decoded", "_intake", "_outcome", "safe")

    def __init__(
        self, intake: "Intake", safe: "asyncio.Future[None]", outcome: Outcome, decoded: Decoded, book: Book
    ) -> None:
        self.safe = safe
        self._intake, self._outcome, self._decoded, self._book = intake, outcome, decoded, book

    def settle(self) -> Outcome:
        """Count it, either way. Raises ``JournalUnavailable``."""
        if (problem := self.safe.exception()) is not None:
            self._intake.count_failed(problem, self._decoded, self._book)
            raise problem
        self._intake.settle(self._outcome, self._decoded, self._book)
        return self._outcome


class Takes(Protocol):
    """Who makes deliveries safe: this process's journal, or another process's that has taken over."""

    def begin(self, record: Record, book: Book) -> Begun | None:
        """Begin to make ``record`` safe, if that can be done at once; ``None``: nothing was done and nothing counted,
        ``room`` and ``accept`` are to be asked."""

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

    def begin(self, record: Record, book: Book) -> Begun | None:
        """Decode ``record`` and give it to the journal, where nothing speaks against it."""
        if not self.journal.has_room() or self.shedding.kinds:
            return None
        try:
            decoded = self._decode(record)
            safe, outcome = self.submit(record, decoded, book)
        except Exception:  # whatever it is: it happens again to `accept`, which has an answer to it
            return None
        return Begun(self, safe, outcome, decoded, book)

    async def accept(self, record: Record, book: Book) -> Outcome:
        """Decode ``record`` and make it safe. Returns when it is on disk; raises ``JournalUnavailable``."""
        try:
            decoded = decode_safely(self._decode, record)
        except Malformed as problem:
            return await self.quarantine(record, str(problem), book)
        try:
            safe, outcome = self.submit(record, decoded, book)
            await asyncio.shield(safe)
        except JournalUnavailable as problem:
            self.count_failed(problem, decoded, book)
            raise
        self.settle(outcome, decoded, book)
        return outcome

    def submit(self, record: Record, decoded: Decoded, book: Book) -> "tuple[asyncio.Future[None], Outcome]":
        """Hand a decoded record to the journal, or find the one that it repeats, by any of its keys. The future ends
        when that is safe.

        Raises ``Shed`` where the disk has no space for its kind; a repeat needs none.
        """
        key = decoded.key and f"{record.vendor}/{record.endpoint}/".encode() + decoded.key
        entry, at_ns = (self._dedup.find(key), steady_ns(record.received_ns)) if key else (None, 0)
        if entry is not None and self._dedup.is_repeat(entry, at_ns, timed=decoded.timed):
            return entry.safe or _done(), _DUPLICATE
        if decoded.also:
            further = [f"{record.vendor}/{record.endpoint}/".encode() + one for one in decoded.also]
            for found in map(self._dedup.find, further):
                if found is not None and self._dedup.is_repeat(found, at_ns, timed=True):
                    return found.safe or _done(), _DUPLICATE
            key = join_keys([key, *further])
        if entry is not None and not decoded.timed:
            record.repeat = entry.repeat + 1
            decoded.events = self._decode(record).events
        if self.shedding.kinds:
            self.shedding.require(kind_of(decoded.events))
        record.key = key
        record.events = decoded.events
        future = self.journal.submit(record, EVENTS)
        if key:
            fresh = Entry(record.seq, at_ns, record.repeat, future)
            self._dedup.expect(key, fresh)
            future.add_done_callback(lambda ended: self._settle_key(key, fresh, ended))
        return future, _ACCEPTED

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

    def count_failed(self, problem: BaseException, decoded: Decoded, book: Book) -> None:
        """Count what could not be made safe."""
        book.failed += 1
        if isinstance(problem, JournalUnavailable):
            self.shedding.failed(problem, kind_of(decoded.events))

    @staticmethod
    def settle(outcome: Outcome, decoded: Decoded, book: Book) -> None:
        """Count what has become safe."""
        if outcome.fate == "duplicate":
            book.duplicates += 1
        else:
            book.journalled += 1
            book.events += len(decoded.events)

    def _settle_key(self, key: bytes, entry: Entry, ended: "asyncio.Future[None]") -> None:
        self._dedup.settle(key, entry, safe=not ended.cancelled() and ended.exception() is None)


def decode_safely(decode: Callable[[*Arguments], Decoded], *arguments: *Arguments) -> Decoded:
    """Decode. A fault in a decoder is never the sender's: the bytes go to quarantine for a later retry."""
    try:
        return decode(*arguments)
    except Malformed:
        raise
    except Exception as fault:
        log.exception("decoder.fault", decoder=getattr(decode, "__qualname__", repr(decode)))
        raise Malformed(f"decoder fault: {type(fault).__name__}") from fault


def _done() -> "asyncio.Future[None]":
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.set_result(None)
    return future
