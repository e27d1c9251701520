"""When frames that are gathered go to the journal, and what is together in one record then."""

import asyncio
from typing import Any, cast

import pytest

from receiver.bundle import Part, unpack
from receiver.errors import JournalUnavailable
from receiver.events import AudioChunk, Event
from receiver.ingress.media import MediaGather
from receiver.ingress.shedding import KINDS, Marks, Shedding
from receiver.journal.base import MEDIA, Ended
from receiver.record import Record
from receiver.telemetry.ledger import Intake
from tests.support import until

FRAME = b"\1\2\3\4"
DATA = AudioChunk(codec="pcm_s16le", rate_hz=48_000, channels=1, track="mixed", first_sample=0, samples=2)


class Holder:
    """A stream that says how often it was asked for what it holds."""

    def __init__(self, name: str = "c", origin: tuple[str, str, str] = ("v", "e", "audio"), size: int = 4) -> None:
        self.name, self.origin, self.frame = name, origin, FRAME * (size // 4)
        self.book = Intake()
        self.failed = asyncio.Event()
        self.given = 0

    def give(self, frames: list[bytes], events: list[Event]) -> Part:
        self.given += 1
        frames.append(self.frame)
        one = f"{self.name}/{self.given}"
        events.append(Event(id=one, source="/v/e", type="audio.chunk", time_ns=1, received_ns=1, data=DATA))
        return Part(self.name, f"of {self.name}", b"", 1, [self.given], [len(self.frame)])


class Journal:
    """Keeps what it is given, and ends it when it is told to."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.ended: list[Ended] = []

    def put(self, record: Record, ended: Ended, lane: str) -> None:
        assert lane == MEDIA
        self.records.append(record)
        self.ended.append(ended)

    def names(self) -> list[list[str]]:
        """Of the streams in each record."""
        return [[one.connection for one, _ in unpack(record)] for record in self.records]


def gathering(gather_s: float, *, busy: bool = False) -> tuple[MediaGather, Journal]:
    journal = Journal()
    shedding = Shedding(Marks(0, 0), dict.fromkeys(KINDS, 0))
    return MediaGather(gather_s, lambda: busy, cast("Any", journal), shedding), journal


async def test_frames_wait_no_longer_than_the_interval() -> None:
    """And everybody's are handed over together: one record, with what each says of its own."""
    gather, journal = gathering(0.001)
    one, two = Holder("one"), Holder("two")
    gather.note(one)
    gather.note(two)
    await until(lambda: bool(journal.records))
    (record,) = journal.records
    assert (record.vendor, record.endpoint, record.channel, record.received_ns) == ("v", "e", "audio", 1)
    assert [event.id for event in record.events or ()] == ["one/1", "two/1"]
    assert [(part.connection, part.subject, frames) for part, frames in unpack(record)] == [
        ("one", "of one", [(1, FRAME)]),
        ("two", "of two", [(1, FRAME)]),
    ]


@pytest.mark.parametrize("other", [("w", "e", "audio"), ("v", "f", "audio"), ("v", "e", "video")])
async def test_what_has_another_origin_is_in_another_record(other: tuple[str, str, str]) -> None:
    """Vendor, endpoint and channel are the record's own."""
    gather, journal = gathering(3600.0)
    for stream in (Holder("one"), Holder("two", other), Holder("three")):
        gather.note(stream)
    gather.flush()
    assert journal.names() == [["one", "three"], ["two"]]
    assert [(record.vendor, record.endpoint, record.channel) for record in journal.records] == [
        ("v", "e", "audio"),
        other,
    ]


async def test_a_record_does_not_grow_without_end() -> None:
    """What a damaged one costs is bounded."""
    gather, journal = gathering(3600.0)
    for number in range(7):
        gather.note(Holder(str(number), size=100_000))
    gather.flush()
    assert journal.names() == [["0", "1", "2"], ["3", "4", "5"], ["6"]]


async def test_they_wait_once_more_where_the_journal_is_busy() -> None:
    """Fewer records for as many frames then; in any case handed over after that."""
    gather, journal = gathering(0.01, busy=True)
    begin_s = asyncio.get_running_loop().time()
    gather.note(Holder())
    await until(lambda: bool(journal.records))
    assert asyncio.get_running_loop().time() - begin_s >= 0.02


async def test_a_flush_ends_the_second_wait_too() -> None:
    """And what comes behind it waits from its own begin."""
    gather, journal = gathering(0.001, busy=True)
    one = Holder()
    gather.note(one)
    await asyncio.sleep(0.001)
    gather.flush()
    assert one.given == len(journal.records) == 1
    gather.note(one)
    await until(lambda: one.given == 2)


async def test_a_flush_does_not_wait_for_the_interval() -> None:
    """At the end there is no later, and nothing is handed over twice."""
    gather, journal = gathering(3600.0)
    gather.note(Holder())
    gather.flush()
    gather.flush()
    assert len(journal.records) == 1


async def test_who_is_sealed_is_not_asked_again() -> None:
    """What he says next has to come behind his frames, and does not wait for the others."""
    gather, journal = gathering(0.001)
    one, two = Holder("one"), Holder("two")
    gather.note(one)
    gather.note(two)
    gather.seal(one)
    assert journal.names() == [["one"]]
    await until(lambda: two.given == 1)
    assert one.given == 1


async def test_much_is_handed_over_at_once() -> None:
    """What is gathered makes nobody wait for room before it is in the journal: so there is a ceiling."""
    gather, journal = gathering(3600.0)
    for number in range(5):
        gather.note(Holder(str(number)))
        gather.add(100_000)
        assert not journal.records
    gather.note(Holder("6"))
    gather.add(100_000)
    assert len(journal.records) == 1
    gather.note(Holder("7"))
    gather.add(500_000)
    assert len(journal.records) == 1
    gather.flush()


async def test_the_books_say_what_became_of_each_frame() -> None:
    """On disk: counted. Not on disk: counted as well, and each of the sockets has to go."""
    gather, journal = gathering(3600.0)
    streams = [Holder("one"), Holder("two")]
    book = streams[0].book
    for times in range(2):
        for stream in streams:
            gather.note(stream)
        gather.flush()
        journal.ended[times](None if times == 0 else JournalUnavailable("the disk is gone"))
        assert (book.journalled, book.events, book.failed) == (2, 2, 2 * times)
        assert [stream.failed.is_set() for stream in streams] == [times == 1] * 2
