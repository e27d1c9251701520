"""The journal as live readers see it: pieces behind a number, with what is missing told as a gap.

A piece is read, decoded and formed once for all readers that want the same and are at the same place.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from receiver.delivery.decoding import decode_all
from receiver.delivery.pace import Pace
from receiver.events import Event
from receiver.journal.base import Journal
from receiver.live.frames import Frames, Framing, Gap, frames_for
from receiver.live.masking import Mask
from receiver.live.query import Begin, Filter, Form, Wanted
from receiver.record import Decoded, Record

#: of payload, for a piece
_READ_BYTES = 256 << 10
#: pieces that are kept for the next reader, all together
_KEPT_BYTES = 16 << 20
#: longest time on the loop without a pause, while a piece is formed
_SLICE_S = 0.001
_FIRST_STEP, _STEP_FACTOR = 16, 8
#: how much later than its arrival a message may be numbered (a media lane that was behind)
LATE_NS = 60 * 10**9
#: the log names who met what no decoder takes
_NAME = "live"


class Piece(NamedTuple):
    """Everything behind a number up to ``upto``. ``place``: of the last record in it, see ``Record.place``; 0: unknown.
    ``last``: the number of the last thing that is told in it; 0: nothing is."""

    upto: int
    place: int
    frames: tuple[bytes, ...]
    events: int
    last: int
    bytes: int


class Source:
    """Reads the journal for all live readers. ``spent_s`` grows by what that takes of the loop."""

    def __init__(self, journal: Journal, pace: Pace, decode: Callable[[Record], Decoded]) -> None:
        self.journal = journal
        self.pace = pace
        self.spent_s = 0.0
        self._decode = decode
        self._kept: OrderedDict[tuple[Feed, int], Piece] = OrderedDict()
        self._kept_bytes = 0

    async def read(self, after: int, upto: int, *, media: bool, live: bool = False) -> tuple[Sequence[Record], int]:
        """Decoded records with ``after < seq`` up to ``upto``, and how far that is all. ``live``: for readers who keep
        up; what comes next is kept in memory for them."""
        name = (_NAME, f"{_NAME} media")[media] if live else ""
        records, reached = await self.journal.read(after, media=media, limit_bytes=_READ_BYTES, reader=name)
        if reached > upto:
            records, reached = [record for record in records if record.last_seq <= upto], upto
        readable = [record for record in records if record.kind != "damaged"]
        await decode_all(readable, self._decode, self.pace, _NAME)
        return records, reached

    async def begin(self, begin: Begin, *, media: bool) -> tuple[int, Record | None]:
        """Where a reader begins: a number to read behind, and the record that he has had a part of, if any."""
        now = self.journal.visible(media=media)
        if begin.since_ns is not None:
            return await self._since(begin.since_ns, now, media=media), None
        if begin.after is None:
            return now, None
        after = min(begin.after, self.journal.head)
        begun = await self._around(after, media=media)
        return (after, None) if begun is None else (begun.last_seq, begun)

    def kept(self, feed: "Feed", after: int) -> Piece | None:
        """A piece that somebody has made already."""
        piece = self._kept.get((feed, after))
        if piece is not None:
            self._kept.move_to_end((feed, after))
        return piece

    def keep(self, feed: "Feed", after: int, piece: Piece) -> None:
        """For the others. The oldest go."""
        before = self._kept.pop((feed, after), None)
        self._kept[feed, after] = piece
        self._kept_bytes += piece.bytes - (before.bytes if before is not None else 0)
        while self._kept_bytes > _KEPT_BYTES and len(self._kept) > 1:
            self._kept_bytes -= self._kept.popitem(last=False)[1].bytes

    async def _around(self, after: int, *, media: bool) -> Record | None:
        """The record that begins up to ``after`` and ends behind it, decoded; ``None``: there is none.

        Looks back in growing steps: where a record begins between a number and ``after``, none from before that number
        reaches as far as ``after``."""
        step = _FIRST_STEP
        while True:
            start = max(0, after - step)
            records, reached = await self.journal.read(start, media=media, limit_bytes=_READ_BYTES)
            if records and records[0].seq <= after:
                break
            if start == 0:
                return None
            step *= _STEP_FACTOR
        while True:
            for record in records:
                if record.seq > after:
                    return None
                if record.last_seq > after:
                    if record.kind != "damaged":
                        await decode_all((record,), self._decode, self.pace, _NAME)
                    return record
            if reached >= after or reached <= start:
                return None
            start = reached
            records, reached = await self.journal.read(start, media=media, limit_bytes=_READ_BYTES)

    async def _since(self, since_ns: int, now: int, *, media: bool) -> int:
        """The number before the first record that arrived since then; ``now`` where there is none yet."""
        after = await self.journal.since(since_ns - LATE_NS, media=media)
        while after < now:
            records, reached = await self.journal.read(after, media=media, limit_bytes=_READ_BYTES)
            for record in records:
                if record.received_ns >= since_ns:
                    return record.seq - 1
            if reached <= after:
                break
            after = reached
        return max(after, now)


class Feed:
    """What readers with one filter and one form get, and from whom the same is hidden."""

    def __init__(self, source: Source, wanted: Filter, framing: Framing, form: Form, mask: Mask | None = None) -> None:
        self.media = wanted.media
        self.frames = frames_for(framing, form, mask)
        #: readers of it
        self.readers = 0
        #: up to where those who keep up have been sent everything
        self.reached = 0
        self._source = source
        self._wanted = Wanted(wanted)
        self._making: dict[int, asyncio.Lock] = {}

    async def piece(self, after: int, upto: int, place: int, *, live: bool = False) -> Piece:
        """What there is behind ``after``, at most up to ``upto``. ``place``: of the record before it, 0: unknown.
        ``live``: see ``Source.read``."""
        source = self._source
        if (piece := source.kept(self, after)) is not None:
            return piece
        turn = self._making.setdefault(after, asyncio.Lock())
        try:
            async with turn:
                piece = source.kept(self, after)
                if piece is None:
                    piece = await self._make(after, upto, place, live=live)
                    if self.readers > 1:
                        source.keep(self, after, piece)
        finally:
            if not turn.locked():
                self._making.pop(after, None)
        return piece

    def rest(self, record: Record, after: int) -> Piece:
        """What a reader has not had yet of a record that he had a part of."""
        former = _Former(self.frames)
        for one in with_gaps((record,), 0, 0):
            if isinstance(one, Gap):
                former.gap(one._replace(first=after + 1, missed=one.last - after))
            else:
                former.events([event for event in self._wanted.pick(one) if event.sequence > after])
        return former.piece(record.last_seq, record.place if not self.media else 0)

    async def _make(self, after: int, upto: int, place: int, *, live: bool) -> Piece:
        records, reached = await self._source.read(after, upto, media=self.media, live=live)
        former = _Former(self.frames)
        begin_s = time.perf_counter()
        for one in with_gaps(records, after, 0 if self.media else place):
            if isinstance(one, Gap):
                former.gap(one)
            else:
                former.events(self._wanted.pick(one))
            if (now_s := time.perf_counter()) - begin_s > _SLICE_S:
                self._source.spent_s += now_s - begin_s
                await asyncio.sleep(0)
                begin_s = time.perf_counter()
        piece = former.piece(reached, 0 if self.media else _place(records, place))
        self._source.spent_s += time.perf_counter() - begin_s
        return piece


class _Former:
    """Collects frames."""

    def __init__(self, frames: Frames) -> None:
        self._frames = frames
        self._formed: list[bytes] = []
        self._events = 0
        self._last = 0

    def events(self, events: list[Event]) -> None:
        if events:
            self._formed += map(self._frames.event, events)
            self._events += len(events)
            self._last = events[-1].sequence

    def gap(self, gap: Gap) -> None:
        self._formed.append(self._frames.gap(gap))
        self._last = gap.last

    def piece(self, upto: int, place: int) -> Piece:
        formed = self._formed
        frames = (b"".join(formed),) if formed and self._frames.joined else tuple(formed)
        return Piece(upto, place, frames, self._events, self._last, sum(map(len, frames)))


def with_gaps(records: Sequence[Record], after: int, place: int) -> Iterator[Record | Gap]:
    """``records``, and a gap in place of each that cannot be told and before each whose predecessor is gone.

    A record names the one before it in its lane. Who reads behind ``after`` = 0 reads what there is and misses nothing.
    """
    passed: set[int] = set()
    for record in records:
        if record.prev > after > 0 and record.prev not in passed:
            known = record.place - record.count - place if place and record.place else 0
            yield Gap(known if known > 0 else record.prev - after, after + 1, record.prev, "expired")
        passed.add(record.seq)
        passed.add(record.last_seq)  # one that stands for several that are missing is known by its last
        if record.kind == "damaged" or record.events is None:
            damaged = record.kind == "damaged"
            yield Gap(record.count, record.seq, record.last_seq, "damaged" if damaged else "undecodable")
        else:
            yield record
        place = record.place or place


def _place(records: Sequence[Record], before: int) -> int:
    """The place of the last record; 0 where it has none. Where there is no record, it is what it was."""
    return records[-1].place if records else before
