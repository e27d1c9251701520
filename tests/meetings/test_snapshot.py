"""The book as bytes: what is read is the very book that was written, or nothing."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.events import Event, FetchedArtifact, MeetingInfo, Segment, Transcript
from receiver.meetings.snapshot import (
    Head,
    Restored,
    SnapshotUnusable,
    frames_of,
    sealed,
)
from receiver.meetings.state import Meeting
from receiver.vendors import VENDORS
from tests.meetings.pictures import ANCHOR, MAKER, folded, picture, read, written
from tests.meetings.stories import (
    artifact,
    at_ns,
    chunk,
    closed,
    event,
    joined,
    left,
    meeting,
    opened,
    said,
    status,
)
from tests.vendors.samples import events_of, folders_of

SECONDS = st.sampled_from([0, 0.1, 1, 2, 3, 10, 70, 200, 4000])
SESSIONS = st.sampled_from([None, "s1", "s2"])
SUBJECTS = st.sampled_from(["bot-1", "bot-2", "bot-3"])
PEOPLE = st.sampled_from([{"id": "1", "name": "Ada"}, {"id": "2", "user_id": "a"}, {"name": "Bob"}, {"id": "1"}])
UPDATES = st.builds(
    said,
    st.sampled_from([None, "a", "a b", "a b c", "d", "e f", "yes"]),
    SECONDS,
    final=st.booleans(),
    who=st.sampled_from([None, "Ada", "Bob"]),
    formatted=st.sampled_from([None, None, "A b.", "D!"]),
    subject=SUBJECTS,
    id_=st.sampled_from(["", "", "one", "two"]),
    turn=st.sampled_from([None, 0, 1, "x"]),
    session=SESSIONS,
    start_s=st.sampled_from([None, 0.0, 0.5, 1.0, 8.0, 1e12]),
    end_s=st.sampled_from([None, 0.5, 1.0, 9.0, -1.0]),
)
NAMES = st.sampled_from(["scheduled", "joining", "in_meeting", "recording", "error", "stopped", "done"])
CHANNELS, CONNECTIONS = st.sampled_from(["audio", "transcript"]), st.sampled_from(["c1", "c2", "c3"])
OTHERS = st.one_of(
    st.builds(status, NAMES, SECONDS, message=st.sampled_from([None, "why"]), subject=SUBJECTS),
    st.builds(meeting, st.sampled_from(["created", "started", "ended"]), SECONDS, session=SESSIONS),
    st.builds(lambda at_s, who: joined(at_s, **who), SECONDS, PEOPLE),
    st.builds(lambda at_s, who: left(at_s, **who, duration_s=9.0), SECONDS, PEOPLE),
    st.builds(opened, CHANNELS, CONNECTIONS, SECONDS, st.sampled_from([None, "c1"])),
    st.builds(closed, CHANNELS, CONNECTIONS, SECONDS, clean=st.booleans()),
    st.builds(artifact, st.sampled_from(["audio", "summary"]), st.sampled_from(["ready", "failed"]), SECONDS),
    st.builds(chunk, SECONDS, st.sampled_from([None, 2.5])),
    st.builds(
        lambda at_s, text: event(
            "artifact.fetched", FetchedArtifact(kind="transcript", id=text, segments=[Segment(text=text)]), at_s
        ),
        SECONDS,
        st.sampled_from(["a", "b"]),
    ),
)
BOUNDS = st.sampled_from([{}, {"most_meetings": 1}, {"most_characters": 1500}])
STORIES = st.lists(st.one_of(UPDATES, OTHERS), max_size=40)


@given(STORIES, st.integers(0, 40), st.sampled_from([None, 30, 5000]), BOUNDS)
def test_a_book_that_is_read_is_the_book_that_was_written(
    story: list[Event], at: int, tick_s: float | None, bounds: dict[str, int]
) -> None:
    """Wherever the story is cut: every field, every index, each object where it was; and all that follows is folded
    as if nothing had been between."""
    book = folded(story[:at], quiet_s=100.0, **bounds)
    if tick_s is not None:
        book.tick(at_ns(tick_s))
    again = read(written(book))
    assert picture(again) == picture(book)
    for one in (book, again):
        one.fold(story[at:])
        one.tick(at_ns(300))
    assert picture(again) == picture(book)
    assert msgspec.json.encode(again.meetings(secrets=True)) == msgspec.json.encode(book.meetings(secrets=True))


@pytest.mark.parametrize("vendor", VENDORS)
def test_what_vendors_send_is_kept_to_the_byte(vendor: str) -> None:
    """All samples in one book: each public answer is the same text."""
    book = folded(one for folder in folders_of(vendor) for one in events_of(folder))
    again = read(written(book))
    assert book.known and book.events > 10 and not book.faults
    assert msgspec.json.encode(again.meetings(secrets=True)) == msgspec.json.encode(book.meetings(secrets=True))
    for one in book.everything()[0]:
        key = one.subject, one.source
        for told, told_again in ((book.meeting, again.meeting), (book.transcript, again.transcript)):
            assert msgspec.json.encode(told_again(*key, secrets=True)) == msgspec.json.encode(told(*key, secrets=True))


@pytest.mark.parametrize("final", [True, False])
def test_an_index_leads_to_the_turn_that_was_told_last(final: bool) -> None:
    """Also where another of the same person stands behind it, since it was begun to be said later."""
    story = [said("b", 8, final=True, start_s=8.0), said("a", 9, final=final, start_s=0.5, end_s=9.0)]
    book = folded(story)
    ((one,), _), again = book.everything(), read(written(book))
    assert [turn.text for turn in one.transcript.turns] == ["a", "b"]
    assert picture(again) == picture(book)
    more = said("a and so on", 9.5, start_s=0.5)
    for each in (book, again):
        each.fold([more])
    assert picture(again) == picture(book)


def test_a_long_transcript_is_cut_into_frames() -> None:
    """None takes long; turns that nothing leads to any more and those that are open come back as they were."""
    book = folded(said(f"turn {n}", n, final=n % 3 > 0, turn=n % 500) for n in range(1500))
    frames = [make() for make in frames_of(_head(1), book.everything()[0])]
    assert len(frames) == 2 + 6 and max(map(len, frames)) < 64 << 10
    assert picture(read(written(book))) == picture(book)


@pytest.mark.parametrize(
    "told",
    [
        said("x", 1, turn=10**30), said("x", 1, turn=-(1 << 63) - 1), said("a \udcff", 1, who="\ud800", turn=2),
        said("x", 1, subject="\udc80"), said("x", 1, final=True, subject="b" * 1000, turn=1 << 64),
        said("x", -62_135_596_800, turn=1), said("x", 200_000_000_000, turn=1), joined(-62_135_596_800, id="a"),
        status("joining", 1, message="\udcff"), artifact("audio", "ready", 1, url="\udcff", size_bytes=1 << 70),
        event("meeting.started", MeetingInfo(attributes={"a": 10**40, "b": [{"c": [1 << 64, 0.5, None, True]}]}), 1),
        event("artifact.fetched", FetchedArtifact(kind="summary", id="\udcff", text="x", size_bytes=1 << 64), 1),
    ],
)  # fmt: skip
def test_what_msgpack_has_no_form_of_is_kept(told: Event) -> None:
    """Times of the years 1 and 9999, numbers beyond 64 bits, lone surrogates; beside what is plain."""
    story = [
        *(said(f"turn {n}", n, turn=n) for n in range(3)),
        left(1, id="a"),
        artifact("audio", "failed", 2, url="/a"),
    ]
    book = folded([*story, event("transcript.final", Transcript(text="y", words=[]), 3, subject="other"), told])
    assert not book.faults
    again = read(written(book))
    assert picture(again) == picture(book)


# What is not used


BOOK = folded([said("Good morning.", 1, final=True), joined(2, id="a"), status("recording", 3, subject="bot-2")])


def test_every_shorter_file_is_damaged() -> None:
    """Wherever it was cut."""
    content = written(BOOK)
    for size in range(len(content)):
        with pytest.raises(SnapshotUnusable, match="damaged: "):
            read(content[:size])


def test_every_flipped_bit_is_noticed() -> None:
    """Also in what names its maker."""
    content = written(BOOK)
    for at in range(len(content)):
        flipped = bytearray(content)
        flipped[at] ^= 1 << at % 8
        with pytest.raises(SnapshotUnusable):
            read(bytes(flipped))


def test_more_bytes_are_damage_too() -> None:
    """As is anything else under that name."""
    for content in (written(BOOK) + b"\0", b"", b"{}", b"MEETINGS" * 20):
        with pytest.raises(SnapshotUnusable):
            read(content)


def test_another_program_does_not_read_it() -> None:
    """What it decodes may be otherwise, and what it holds too."""
    with pytest.raises(SnapshotUnusable, match="another version"):
        read(written(BOOK), b"sixteen others  ")


def test_what_is_not_of_the_types_is_not_used() -> None:
    """A value that slipped into a book against its type is told by the name of the error alone."""
    strange = Meeting("/a/b", "c", status="what was said")  # type: ignore[arg-type]
    with pytest.raises(SnapshotUnusable, match="ValidationError") as found:
        read(b"".join(sealed([make() for make in frames_of(_head(1), [strange])], MAKER)))
    assert "what was said" not in str(found.value)


@pytest.mark.parametrize("order", [[], [0, 0], [1], [1, 0], [2], [0, 3]])
def test_frames_that_do_not_make_up_the_book(order: list[int]) -> None:
    """Missing, doubled, or before their meeting; or no frame at all."""
    meetings = folded([said("x", 1)]).everything()[0]
    head, *others = [make() for make in frames_of(_head(1), meetings)]
    frames = [*others, b"\0\x91\xa1z", b"\1\xc1"]
    with pytest.raises(SnapshotUnusable):
        restored = Restored(memoryview(head))
        for number in order:
            restored.take(memoryview(frames[number]))
        restored.all()


def test_a_head_that_is_none() -> None:
    """The first frame says what follows."""
    with pytest.raises(SnapshotUnusable, match="ValidationError"):
        Restored(memoryview(b"\x91\xc0"))


def _head(meetings: int) -> Head:
    return Head((60.0, *BOOK.bounds), ANCHOR, BOOK.everything()[1], meetings)
