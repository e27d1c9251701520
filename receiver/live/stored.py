"""What a journal on disk holds, for readers without a server. Reads the files, also while a server writes them."""

import heapq
from collections.abc import Iterator
from pathlib import Path

from receiver.delivery.decoding import decode_again
from receiver.events import Event
from receiver.journal.base import EVENTS, MEDIA
from receiver.journal.reader import ALL
from receiver.journal.shelf import Shelf
from receiver.live.frames import Gap
from receiver.live.query import Begin, Filter, Wanted
from receiver.live.reading import LATE_NS, with_gaps
from receiver.record import Record
from receiver.vendors import decode_record

_READ_BYTES = 1 << 20
#: numbers, more than a record takes: one that begins so far before a number ends before it
_MOST_EVENTS = 1 << 16


def stored(folder: Path, filter_: Filter, begin: Begin) -> Iterator[Event | Gap]:
    """Events of the journal in ``folder`` in order, and gaps, from ``begin`` to what is there now.

    Raises ``sqlite3.Error``, ``OSError``."""
    after = begin.after or 0
    wanted = Wanted(filter_)
    lanes = [_lane(folder, name, after, begin.since_ns) for name in ((EVENTS, MEDIA) if filter_.media else (EVENTS,))]
    begun = begin.since_ns is None
    for one in heapq.merge(*lanes, key=_number):
        if isinstance(one, Gap):
            if begun and one.last > after:
                yield one
            continue
        begun = begun or one.received_ns >= (begin.since_ns or 0)
        if begun:
            yield from (event for event in wanted.pick(one) if event.sequence > after)


def _lane(folder: Path, name: str, after: int, since_ns: int | None) -> Iterator[Record | Gap]:
    """Decoded records of a lane, and gaps; a little from before ``after``, where it may lie within a record."""
    shelf = Shelf(name, folder / name)
    shelf.look()
    start = max(0, after - _MOST_EVENTS) if since_ns is None else shelf.since(since_ns - LATE_NS)
    place = 0
    while start < ALL:
        records, reached = shelf.read_disk(start, ALL, _READ_BYTES)
        for record in records:
            if record.kind != "damaged" and record.last_seq > after:
                record.events = decode_again(record, decode_record, "tail")
        for one in with_gaps(records, max(start, after), place):
            if (one.last if isinstance(one, Gap) else one.last_seq) > after:
                yield one
        place = records[-1].place if records else place
        start = reached


def _number(one: Record | Gap) -> int:
    return one.first if isinstance(one, Gap) else one.seq
