"""What a vendor's REST API gave of a meeting: among its artifacts, as its transcript, in its summary and its list."""

from typing import Any

import pytest
import webvtt

from receiver.events import FetchedArtifact, Participant, Person, Segment, Word
from receiver.meetings.book import MeetingBook
from receiver.meetings.formats import transcript_srt, transcript_txt, transcript_vtt
from receiver.meetings.state import Meeting
from receiver.meetings.views import MeetingView, TranscriptView
from tests.meetings.stories import artifact, event, joined, left, said, status

SEGMENTS = [
    Segment(text="Good morning.", speaker=Person(name="Ada"), start_s=1.5, end_s=2.5, words=[Word(text="Good")]),
    Segment(text="Shall we begin?", start_s=3.0),
    Segment(text="Yes."),
]
LINK = "https://files.example.org/a?X-Amz-Signature=abcdefgh12345678"


def fetched(kind: Any, at_s: float, **keys: Any) -> Any:
    """An ``artifact.fetched``."""
    return event("artifact.fetched", FetchedArtifact(kind=kind, **keys), at_s)


def book_of(*events: Any, **keys: Any) -> MeetingBook:
    book = MeetingBook(**keys)
    book.fold(events)
    assert not book.faults
    return book


def view_of(*events: Any) -> MeetingView:
    view = book_of(*events).meeting("bot-1")
    assert view is not None
    return view


def transcript_of(book: MeetingBook, made: Any = None) -> TranscriptView:
    view = book.transcript("bot-1", None, made)
    assert view is not None
    return view


def test_what_was_fetched_stands_among_the_artifacts() -> None:
    """Beside what was announced; links only where secrets are asked for; of one thing the newest answer."""
    events = (
        artifact("audio", "ready", 1, id="a-1"), fetched("audio", 2, id="a-1", url=LINK, size_bytes=10),
        fetched("participants", 3, id="p"), fetched("participants", 5, id="p", size_bytes=7),
        fetched("participants", 4, id="p", size_bytes=6),
    )  # fmt: skip
    view = view_of(*events)
    assert [(one.kind, one.state, one.id, one.size_bytes, one.url) for one in view.artifacts] == [
        ("audio", "ready", "a-1", None, None), ("audio", "fetched", "a-1", 10, None),
        ("participants", "fetched", "p", 7, None),
    ]  # fmt: skip
    secret = book_of(*events).meeting("bot-1", secrets=True)
    assert secret is not None and secret.artifacts[1].url == LINK


def test_a_meeting_without_live_turns_has_the_fetched_transcript() -> None:
    """A turn for each segment, at its time; one of unknown time follows the one before it."""
    view = transcript_of(book_of(status("done", 1), fetched("transcript", 9, segments=SEGMENTS, language="en")))
    assert view.made == "fetched"
    assert [(one.text, one.state, one.at_s, one.until_s, one.language) for one in view.turns] == [
        ("Good morning.", "final", 1.5, 2.5, "en"), ("Shall we begin?", "final", 3.0, 4.2, "en"),
        ("Yes.", "final", 4.2, 5.2, "en"),
    ]  # fmt: skip
    assert view.turns[0].speaker == Person(name="Ada")
    assert transcript_txt(view).splitlines()[0] == "[00:00:01] Ada: Good morning."
    cues = webvtt.from_string(transcript_vtt(view)).captions
    assert [cue.text for cue in cues] == ["Good morning.", "Shall we begin?", "Yes."]
    assert "00:00:03,000 --> 00:00:04,200" in transcript_srt(view)


def test_what_was_said_live_comes_first_and_each_can_be_asked_for() -> None:
    """The vendor's own is the better one or the worse one: who reads decides."""
    book = book_of(said("Good morn", 1, final=True), fetched("transcript", 9, segments=SEGMENTS))
    assert [one.text for one in transcript_of(book).turns] == ["Good morn"]
    assert transcript_of(book).made == transcript_of(book, "live").made == "live"
    assert [one.text for one in transcript_of(book, "fetched").turns] == ["Good morning.", "Shall we begin?", "Yes."]
    assert transcript_of(book_of(said("so", 1)), "fetched").turns == []
    assert transcript_of(book_of(fetched("transcript", 1, text="so")), "live").turns == []


def test_a_transcript_in_one_text_is_one_turn() -> None:
    """And one that says nothing is none; of several the newest that says something."""
    book = book_of(
        fetched("transcript", 1, id="a", text="All of it."), fetched("transcript", 2, id="b"),
        fetched("transcript", 0, id="c", text="Older."),
    )  # fmt: skip
    (turn,) = transcript_of(book).turns
    assert (turn.text, turn.at_s) == ("All of it.", 0.0)


@pytest.mark.parametrize(
    "times", [{"start_s": -5.0}, {"start_s": 1e300}, {"start_s": 5.0, "end_s": 1.0}, {"end_s": 1e300}]
)
def test_times_that_cannot_be_are_none(times: dict[str, Any]) -> None:
    """The words stay, in an order that files can tell."""
    book = book_of(fetched("transcript", 1, segments=[Segment(text="a b c"), Segment(text="d", **times)]))
    first, second = transcript_of(book).turns
    assert first.at_s == 0.0 and first.until_s == 1.2 and second.until_s > second.at_s >= 0.0
    assert second.at_s in (1.2, 5.0)


def test_summary_and_participants_are_shown() -> None:
    """The newest that say something; texts without secrets."""
    view = view_of(
        fetched("summary", 1, text="old"),
        fetched("summary", 2, title="Weekly", text=f"See {LINK}", notes="# Notes", keywords=["budget"], language="en"),
        fetched("summary", 3, id="later"), fetched("detail", 4, title="Weekly", participants=[Participant(name="Ada")]),
        fetched("participants", 5, participants=[Participant(id="1", name="Ada", email="a@example.org")]),
    )  # fmt: skip
    assert view.summary is not None
    assert (view.summary.title, view.summary.notes, view.summary.keywords) == ("Weekly", "# Notes", ["budget"])
    assert view.summary.text is not None and "abcdefgh" not in view.summary.text
    assert view.participants == [Participant(id="1", name="Ada", email="a@example.org")] and view.title == "Weekly"


def test_what_was_found_missing_folds_like_what_was_pushed() -> None:
    """Statuses, comers and goers, artifacts; by the time at which they happened, not by that of the finding."""

    def late(one: Any) -> Any:
        one.data.reconciled = True
        one.received_ns += 600 * 10**9
        return one

    view = view_of(
        status("recording", 1), joined(2, id="1", name="Ada"), late(joined(3, id="2", name="Bob")),
        late(left(40, id="1", name="Ada")), late(status("in_meeting", 0)), late(status("stopped", 50, reason="kicked")),
        late(artifact("audio", "ready", 60)),
    )  # fmt: skip
    assert (view.phase, view.status, view.reason, view.ended) == (
        "ended", "stopped", "kicked", "2026-06-10T09:00:50.000000Z",
    )  # fmt: skip
    assert [one.name for one in view.roster] == ["Ada", "Bob"] and view.roster[0].intervals[0].left is not None
    assert view.artifacts[0].kind == "audio"


def test_a_quiet_meeting_is_not_reopened_by_its_own_past() -> None:
    """What was missed happened before it fell silent. What happened after shows that it goes on."""
    book = book_of(status("recording", 1), said("so", 10), quiet_s=60)
    book.tick(event("chat.message", FetchedArtifact(kind="chat"), 500).received_ns)
    missed = joined(5, name="Ada")
    missed.data.reconciled = True
    book.fold([missed])
    view = book.meeting("bot-1")
    assert view is not None and view.phase == "ended" and [one.name for one in view.roster] == ["Ada"]
    later = joined(400, name="Bob")
    later.data.reconciled = True
    book.fold([later])
    view = book.meeting("bot-1")
    assert view is not None and view.phase == "active"


def test_fetched_texts_count_for_the_bound() -> None:
    """Of all meetings together; those that make room keep everything else."""
    book = MeetingBook(most_characters=3_000)
    for number in range(4):
        one = fetched("transcript", number, text="x" * 900)
        one.subject = f"bot-{number}"
        book.fold([one])
    kept = [number for number in range(4) if (view := book.transcript(f"bot-{number}")) is not None and view.turns]
    assert kept == [1, 2, 3] and book.texts_dropped == 1 and book.known == 4


def test_an_answer_that_is_told_again_is_counted_once() -> None:
    """The newer one takes the place of the older one."""
    meeting = Meeting("/v/e", "bot-1")
    for at_s, text in ((1, "x" * 100), (2, "x" * 50), (0, "x" * 900)):
        meeting.fold(fetched("summary", at_s, text=text))
    assert meeting.characters == 50


def test_what_is_too_large_is_told_of_and_not_kept() -> None:
    """The journal has it."""
    meeting = Meeting("/v/e", "bot-1")
    meeting.fold(fetched("transcript", 1, segments=[Segment(text="a")] * 20_001))
    meeting.fold(fetched("summary", 1, text="x" * 10_000_001))
    assert meeting.characters == 0 and meeting.fetched.dropped == 2 and len(meeting.fetched.answers) == 2


def test_what_has_come_is_remembered_by_name() -> None:
    """As a vendor's own record is compared with: statuses and the vendor's names, comers, goers, artifacts."""
    meeting = Meeting("/v/e", "bot-1")
    named = status("recording", 1)
    named.vendorevent = "bot.inmeeting"
    for one in (named, joined(2, id="1", user_id="u", name="Ada"), left(3, name="Bob"), artifact("audio", "failed", 4)):
        meeting.fold(one)
    told = meeting.told
    assert told.statuses == {"recording", "bot.inmeeting"} and told.artifacts == {"audio/failed"}
    assert told.joined == {"1", "u", "Ada"} and told.left == {"Bob"}


def test_of_names_so_many_are_remembered() -> None:
    """A vendor that invents one for each event fills no memory."""
    meeting = Meeting("/v/e", "bot-1")
    for number in range(9_000):
        meeting.told.fold(joined(number, id=str(number)))
        one = status("recording", number)
        one.vendorevent = str(number)
        meeting.told.fold(one)
    assert len(meeting.told.joined) < 7_000 and len(meeting.told.statuses) < 500
