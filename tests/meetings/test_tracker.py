"""The reader that keeps the book, on a real journal: from the past to the present, through errors and restarts."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from receiver.delivery.pace import Pace
from receiver.errors import Malformed
from receiver.events import Event, Transcript
from receiver.journal.base import EVENTS, MEDIA, QUARANTINE
from receiver.journal.lane import LaneLimits
from receiver.journal.sqlite import SqliteJournal
from receiver.meetings.book import MeetingBook
from receiver.meetings.tracker import MeetingTracker
from receiver.record import Decoded, Record
from receiver.vendors import decode_record
from tests.meetings.stories import at_ns, said
from tests.support import JOINING, until


def partial(text: str, at_s: float, *, final: bool = False, turn: int = 1) -> Record:
    """A live transcript as MeetStream posts it."""
    body = {
        "bot_id": "bot-1", "speakerName": "Ada", "transcript": text, "turn_order": turn, "end_of_turn": final,
        "is_final": False, "words": [],
    }  # fmt: skip
    return record(body, at_s)


def record(body: dict[str, Any], at_s: float, **keys: Any) -> Record:
    return Record(
        vendor="meetstream", endpoint="default", kind="body", payload=msgspec.json.encode(body),
        received_ns=at_ns(at_s), **keys,
    )  # fmt: skip


@asynccontextmanager
async def journal_in(folder: Path, **limits: Any) -> AsyncIterator[SqliteJournal]:
    journal = SqliteJournal(folder, dict.fromkeys((EVENTS, MEDIA, QUARANTINE), LaneLimits(**limits)), 100)
    try:
        yield journal
    finally:
        await journal.close()


async def put(journal: SqliteJournal, *records: Record, lane: str = EVENTS) -> None:
    """As intake does: decoded events come along, where it could decode."""
    for one in records:
        try:
            one.events = decode_record(one).events
        except Malformed:
            one.events = None
        await journal.submit(one, lane)


@asynccontextmanager
async def tracking(journal: SqliteJournal, **keys: Any) -> AsyncIterator[MeetingTracker]:
    """A tracker at work."""
    decode: Callable[[Record], Decoded] = keys.pop("decode", decode_record)
    book = keys.pop("book", MeetingBook())
    pace = Pace(lambda: journal.head)
    tracker = MeetingTracker(book, journal, decode, pace=pace, **{"now_ns": lambda: at_ns(50), **keys})
    async with asyncio.TaskGroup() as group:
        task = group.create_task(tracker.run())
        try:
            yield tracker
        finally:
            task.cancel()


class Watched(MeetingBook):
    """A book that notes the numbers that it is given, and how far it was at each tick."""

    def __init__(self, **keys: Any) -> None:
        super().__init__(**keys)
        self.sequences: list[int] = []
        self.ticks: list[int] = []

    def fold(self, events: Iterable[Event]) -> None:
        taken = list(events)
        self.sequences += [event.sequence for event in taken]
        super().fold(taken)

    def tick(self, now_ns: int) -> None:
        self.ticks.append(self.events)
        super().tick(now_ns)


def texts(tracker: MeetingTracker) -> list[tuple[str, str]]:
    view = tracker.book.transcript("bot-1")
    return [] if view is None else [(turn.text, turn.state) for turn in view.turns]


async def test_what_arrives_is_in_the_book(tmp_path: Path) -> None:
    """In order, without asking; and the cursor says how far."""
    async with journal_in(tmp_path) as journal, tracking(journal) as tracker:
        await put(journal, record(JOINING, 1))
        await until(lambda: tracker.book.known == 1)
        await put(journal, partial("so", 2), partial("so we", 3))
        await until(lambda: texts(tracker) == [("so we", "open")])
        await put(journal, partial("So we.", 4, final=True))
        await until(lambda: texts(tracker) == [("So we.", "final")])
        assert tracker.cursor == journal.head and tracker.book.events == 4


async def test_the_book_is_made_again_from_the_journal(tmp_path: Path) -> None:
    """After a restart it is the same, event for event, each folded once."""
    first, second = Watched(), Watched()
    async with journal_in(tmp_path) as journal, tracking(journal, book=first) as tracker:
        await put(journal, record(JOINING, 1), *(partial(f"turn {n}", n, final=True, turn=n) for n in range(50)))
        await until(lambda: tracker.cursor == journal.head)
        before = tracker.book.meeting("bot-1"), texts(tracker)
    async with journal_in(tmp_path, tail_bytes=0) as journal, tracking(journal, book=second) as tracker:
        await asyncio.wait_for(tracker.caught_up.wait(), 10)
        assert second.sequences == first.sequences and len(set(second.sequences)) == 51
        assert (tracker.book.meeting("bot-1"), texts(tracker)) == before and tracker.book.events == 51
        assert tracker.book.find("bot-1") is not None and tracker.cursor == journal.head
        await put(journal, partial("and on", 90, turn=99))
        await until(lambda: texts(tracker)[-1] == ("and on", "open"))


async def test_it_begins_as_far_back_as_is_configured(tmp_path: Path) -> None:
    """By whole files of the journal, so it may begin earlier, never later."""
    limits = {"segment_bytes": 4096, "tail_bytes": 0}
    async with journal_in(tmp_path, **limits) as journal:
        for n in range(60):
            await put(journal, partial("x" * 500, n * 10, final=True, turn=n))
    async with (
        journal_in(tmp_path, **limits) as journal,
        tracking(journal, history_s=500.0, now_ns=lambda: at_ns(1000)) as tracker,
    ):
        await asyncio.wait_for(tracker.caught_up.wait(), 10)
        assert 10 <= tracker.book.events < 40


async def test_media_are_left_alone(tmp_path: Path) -> None:
    """What lies in the media lane neither comes into the book nor holds it up."""
    async with journal_in(tmp_path) as journal, tracking(journal) as tracker:
        media = partial("never seen", 1)
        await put(journal, media, lane=MEDIA)
        await put(journal, partial("seen", 2, turn=2))
        await until(lambda: texts(tracker) == [("seen", "open")])
        assert tracker.book.events == 1


async def test_what_no_decoder_takes_is_counted_and_passed_over(tmp_path: Path) -> None:
    """A fault of a newer decoder, or of the disk; the rest goes on."""

    def picky(one: Record) -> Decoded:
        if b"bad" in one.payload:
            raise ValueError("what was said")
        return decode_record(one)

    async with journal_in(tmp_path) as journal:
        await put(
            journal, record(JOINING, 1), record({**JOINING, "message": "bad"}, 2, subject="bot-1"), partial("ok", 3)
        )
    async with journal_in(tmp_path, tail_bytes=0) as journal, tracking(journal, decode=picky) as tracker:
        await asyncio.wait_for(tracker.caught_up.wait(), 10)
        assert texts(tracker) == [("ok", "open")] and tracker.book.undecodable == 1
        view = tracker.book.meeting("bot-1")
        assert view is not None and view.losses.undecodable_records == 1


async def test_a_journal_that_cannot_be_read_makes_it_late_only(tmp_path: Path) -> None:
    """It asks again, from where it was."""
    async with journal_in(tmp_path) as journal:
        await put(journal, partial("one", 1))
        failing = [OSError("disk"), OSError("disk")]
        read = journal.read

        async def flaky(after: int, *, media: bool, limit_bytes: int, reader: str = "") -> Any:
            if failing:
                raise failing.pop()
            return await read(after, media=media, limit_bytes=limit_bytes)

        journal.read = flaky  # type: ignore[method-assign]
        async with tracking(journal, retry_s=0.001) as tracker:
            await until(lambda: texts(tracker) == [("one", "open")])
            failing.append(OSError("disk"))
            await put(journal, partial("one two", 2))
            await until(lambda: texts(tracker) == [("one two", "open")])
            assert tracker.book.events == 2 and not failing


async def test_quiet_meetings_end_though_nothing_arrives(tmp_path: Path) -> None:
    """The timer is the tracker's; it does not run while the past is folded."""
    async with journal_in(tmp_path) as journal:
        await put(journal, record(JOINING, 1))
        now_s = 10.0
        book = MeetingBook(quiet_s=60)
        async with tracking(journal, book=book, tick_s=0.01, now_ns=lambda: at_ns(now_s)) as tracker:
            await asyncio.wait_for(tracker.caught_up.wait(), 10)
            await asyncio.sleep(0.05)
            assert len(book.meetings().active) == 1
            now_s = 100.0
            await until(lambda: len(book.meetings().recent) == 1)
            await put(journal, partial("still here", 101))
            await until(lambda: len(book.meetings().active) == 1)


async def test_no_meeting_is_ended_while_the_past_is_folded(tmp_path: Path) -> None:
    """Before it is all there, the first tick would find everything quiet."""
    async with journal_in(tmp_path) as journal:
        await put(journal, *(partial("x" * 20_000, n, final=True, turn=n) for n in range(40)))
    book = Watched()
    async with journal_in(tmp_path, tail_bytes=0) as journal, tracking(journal, book=book, tick_s=0.0) as tracker:
        await until(lambda: len(book.ticks) > 2)
        assert tracker.caught_up.is_set() and set(book.ticks) == {40}


async def test_the_past_is_decoded_in_slices(tmp_path: Path) -> None:
    """The loop serves others between them."""
    decoded = passes = 0

    def slow(one: Record) -> Decoded:
        nonlocal decoded
        decoded += 1
        time.sleep(0.002)
        return decode_record(one)

    async with journal_in(tmp_path) as journal:
        await put(journal, *(partial(f"turn {n}", n, turn=n) for n in range(30)))
    async with journal_in(tmp_path, tail_bytes=0) as journal, tracking(journal, decode=slow) as tracker:
        while not tracker.caught_up.is_set():
            passes += 1
            await asyncio.sleep(0)
    assert decoded == 30
    assert passes > 30


async def test_what_another_reader_has_decoded_is_not_decoded_again(tmp_path: Path) -> None:
    """Readers of the same piece of disk share its records."""
    decoded: list[int] = []

    def counting(one: Record) -> Decoded:
        decoded.append(one.seq)
        return decode_record(one)

    async with journal_in(tmp_path) as journal:
        await put(journal, *(partial(f"turn {n}", n, turn=n) for n in range(30)))
    async with journal_in(tmp_path, tail_bytes=0) as journal:
        for _ in range(2):
            async with tracking(journal, decode=counting) as tracker:
                await asyncio.wait_for(tracker.caught_up.wait(), 10)
                assert tracker.book.events == 30
    assert len(decoded) == 30


async def test_a_full_tail_is_folded_in_slices_too(tmp_path: Path) -> None:
    """A tracker that starts late finds much in memory; the loop stays free meanwhile."""
    async with journal_in(tmp_path) as journal:
        story = [said(f"turn {n}", n, final=True, turn=n) for n in range(6000)]
        one = partial("x", 1)
        for told in story:
            assert isinstance(told.data, Transcript)
            filled = msgspec.structs.replace(one, events=[told])
            future = journal.submit(filled)
        await future
        async with tracking(journal) as tracker:
            seen = set()
            while not tracker.caught_up.is_set():
                seen.add(tracker.book.events)
                await asyncio.sleep(0)
        assert tracker.book.events == 6000
        assert len(seen) > 4
