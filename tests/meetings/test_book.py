"""Many meetings: found by subject, bounded in memory, stopped by nothing."""

from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from receiver.events import Data, Transcript
from receiver.meetings.book import MeetingBook
from receiver.meetings.views import MeetingsView
from tests.meetings.stories import at_ns, event, joined, said, status


def test_meetings_are_told_apart_by_source_and_subject() -> None:
    """Of the same subject at two endpoints, the one heard of last, unless the source is named."""
    book = MeetingBook()
    book.fold([
        status("joining", 1), status("recording", 3, source="/meetstream/b"), status("joining", 2, subject="bot-2"),
    ])  # fmt: skip
    assert book.known == 3
    found = book.meeting("bot-1")
    assert found is not None and (found.source, found.status) == ("/meetstream/b", "recording")
    named = book.meeting("bot-1", "/meetstream/default")
    assert named is not None and named.status == "joining"
    assert book.meeting("bot-9") is None and book.meeting("bot-1", "/x/y") is None
    assert book.transcript("bot-9") is None


def test_active_and_recent_with_the_newest_first() -> None:
    """As JSON that decodes to the public types; times are RFC 3339."""
    book = MeetingBook(quiet_s=100)
    book.fold([
        status("scheduled", 0, subject="next-week"), status("recording", 1, subject="quiet"),
        status("recording", 2, subject="over"), status("stopped", 3, subject="over", reason="left"),
        status("recording", 90, subject="live"),
    ])  # fmt: skip
    book.tick(at_ns(150))
    encoded = msgspec.json.encode(book.meetings())
    answer = msgspec.json.decode(encoded, type=MeetingsView)
    assert [(one.subject, one.phase) for one in answer.active] == [("live", "active"), ("next-week", "scheduled")]
    assert [(one.subject, one.ended_by) for one in answer.recent] == [("over", "bot.status"), ("quiet", "quiet")]
    assert [one.subject for one in book.meetings(most_recent=1).recent] == ["over"]
    assert answer.recent[0].ended == "2026-06-10T09:00:03.000000Z" and b"null" not in encoded


def test_the_tick_cuts_idle_turns_of_meetings_that_go_on() -> None:
    """Somebody was interrupted; the meeting was not."""
    book = MeetingBook(quiet_s=9e9)
    book.fold([said("so we", 1, turn=1), said("and", 200, turn=2)])
    book.tick(at_ns(210))
    view = book.transcript("bot-1")
    assert view is not None and [turn.state for turn in view.turns] == ["cut", "open"]


class Broken(Data):
    """Data that cannot be read."""

    @property
    def speaker(self) -> Any:
        raise ValueError("what was said")


def test_an_event_that_cannot_be_folded_stops_nothing() -> None:
    """It is counted; the log tells which, once for each kind, and never what it holds."""
    book = MeetingBook()
    with capture_logs() as logs:
        book.fold(
            [said("a", 1, final=True), event("transcript.final", Broken(), 2), event("transcript.final", Broken(), 3)]
        )
        book.fold([event("participant.joined", Broken(), 4), said("b", 5, final=True)])
    assert (book.events, book.faults) == (5, 3)
    assert [(line["event"], line["type"], line["error"]) for line in logs] == [
        ("meetings.fold.failed", "transcript.final", "ValueError"),
        ("meetings.fold.failed", "participant.joined", "AttributeError"),
    ]
    assert "what was said" not in repr(logs) and logs[0]["at"].startswith("test_book.py:")
    view = book.transcript("bot-1")
    assert view is not None and [turn.text for turn in view.turns] == ["a", "b"]


def test_events_without_a_subject_belong_to_no_meeting() -> None:
    """Counted, and so are those whose subject is no id."""
    book = MeetingBook()
    book.fold([status("joining", 1, subject=""), status("joining", 1, subject="x" * 5000)])
    assert (book.known, book.unassigned, book.faults) == (0, 2, 0)


def test_what_could_not_be_read_stands_in_the_ledger() -> None:
    """Of its meeting where that is known, and of all."""
    book = MeetingBook()
    book.fold([status("joining", 1)])
    book.lost("/meetstream/default", "bot-1", damaged=True)
    book.lost("/meetstream/default", "bot-1", damaged=False)
    book.lost("/meetstream/default", "", damaged=True)
    view = book.meeting("bot-1")
    assert view is not None
    assert (view.losses.damaged_records, view.losses.undecodable_records) == (1, 1)
    assert (book.damaged, book.undecodable) == (2, 1)


def test_the_oldest_that_ended_make_room_first() -> None:
    """One that goes on is not given up for one that is over."""
    book = MeetingBook(most_meetings=20)
    book.fold([joined(0, id="a")])
    for n in range(1, 60):
        book.fold([said("x", n, final=True, subject=f"b{n}")])
        book.fold([status("recording", n, subject=f"b{n}"), status("stopped", n, subject=f"b{n}", reason="left")])
        assert book.known <= 23
        assert book._characters == sum(one.transcript.characters for one in book._meetings.values())
    subjects = {one.subject for part in (book.meetings().active, book.meetings().recent) for one in part}
    assert "bot-1" in subjects and "b59" in subjects and "b1" not in subjects
    assert book.known + book.evicted == 60


@pytest.mark.parametrize("ended", [True, False])
def test_transcripts_have_a_ceiling_together(ended: bool) -> None:
    """Those of ended meetings go first; what is written now stays; the meetings themselves stay, and say so."""
    book = MeetingBook(most_characters=50_000)
    book.fold([said("y" * 500, 0, final=True, subject="live")])
    for n in range(1, 101):
        subject = f"b{n // 10}"
        book.fold([said("x" * 500, n, final=True, turn=n, subject=subject)])
        if ended and n % 10 == 9:
            book.fold([status("stopped", n, subject=subject, reason="left")])
        kept = sum(one.transcript.characters for one in book._meetings.values())
        assert kept == book._characters <= 50_000
    old, live, new = (book.transcript(subject) for subject in ("b1", "live", "b10"))
    assert old is not None and live is not None and new is not None
    assert (len(old.turns), old.dropped_turns) == (0, 10)
    assert len(new.turns) == 1 and len(live.turns) == (1 if ended else 0)
    view = book.meeting("b1")
    assert view is not None and view.losses.dropped_turns == 10
    assert book.texts_dropped > 0


def test_it_takes_the_events_of_real_types_only_as_they_are() -> None:
    """Data of another type than the event's is a fault, not an end."""
    book = MeetingBook()
    with capture_logs():
        book.fold([event("bot.status", Transcript(text="x"), 1), event("nothing.known", Transcript(text="x"), 2)])
    assert book.faults == 1 and book.known == 1
