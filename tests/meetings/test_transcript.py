"""Turns of partials and finals: nothing shrinks, nothing is doubled, nothing is lost, in the order of speech."""

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.events import Event, Person, Transcript, Word
from receiver.meetings.transcript import TranscriptFold
from receiver.record import Record
from receiver.vendors import decode_record
from tests.meetings.stories import at_ns, said

SAMPLES = Path(__file__).parent.parent / "samples" / "meetstream"


def fold_of(events: Iterable[Event], **bounds: Any) -> TranscriptFold:
    fold = TranscriptFold(**bounds)
    for one in events:
        assert isinstance(one.data, Transcript)
        fold.fold(one, one.data)
    return fold


def shown(*events: Event) -> list[tuple[str, str]]:
    """Text and state of each turn."""
    return [(turn.shown, turn.state) for turn in fold_of(events).turns]


# One turn


def test_the_newest_partial_is_shown_and_the_final_settles_it() -> None:
    """Interim words are replaced, also by shorter ones; the final is what was said."""
    story = [said("so", 1, turn=3), said("so we beginning", 2, turn=3), said("so we begin", 3, turn=3)]
    assert shown(*story) == [("so we begin", "open")]
    assert shown(*story, said("So we begin", 4, final=True, turn=3)) == [("So we begin", "final")]


@pytest.mark.parametrize("turn", [7, "t-7", None])
def test_late_partials_never_shrink_the_text(turn: int | str | None) -> None:
    """Messages overtake each other: one that is older than what is shown changes nothing, also after the final."""
    partials = [said("a b c"[: 2 * n - 1], n, turn=turn) for n in (1, 2, 3)]
    for order in itertools.permutations(partials):
        assert shown(*order)[0] == ("a b c", "open")
    assert shown(said("a b", 2, turn=turn), said("a be quick", 1, turn=turn)) == [("a b", "open")]
    final = said("a b c d", 4, final=True, turn=turn)
    assert shown(*partials, final, *partials) == [("a b c d", "final")]
    assert shown(final, *partials) == [("a b c d", "final")]


def test_of_two_partials_of_one_moment_the_longer_is_shown() -> None:
    """Times are of milliseconds at best."""
    pair = [said("one", 1, turn=1), said("one two", 1, turn=1)]
    assert shown(*pair) == shown(*reversed(pair)) == [("one two", "open")]


def test_an_empty_update_changes_no_text() -> None:
    """A final that brings none settles what is there; without anything there is no turn."""
    assert shown(said("so we", 1, turn=1), said(None, 2, turn=1), said(None, 3, final=True, turn=1)) == [
        ("so we", "final")
    ]
    assert shown(said(None, 1, turn=1), said(None, 2, final=True)) == []


# Formatted text


def test_formatted_text_wins_though_the_final_has_none() -> None:
    """It comes before the committing message, which is without it again."""
    story = [said("so we begin", 1, turn=1, formatted="So we begin."), said("so we begin", 2, final=True, turn=1)]
    assert shown(*story) == [("So we begin.", "final")]
    story = [said("twenty five", 1, turn=1, formatted="25."), said("twenty fife", 2, final=True, turn=1)]
    assert shown(*story) == [("25.", "final")]


def test_a_turn_that_goes_on_after_its_formatted_text_shows_both() -> None:
    """Else the words after it would be missing until the next one."""
    story = [said("so we begin", 1, turn=1, formatted="So we begin."), said("so we begin with you", 2, turn=1)]
    assert shown(*story) == [("So we begin. with you", "open")]
    assert shown(story[0], said("so we", 2, turn=1)) == [("so we", "open")]
    story.append(said("so we begin with you", 3, final=True, turn=1, formatted="So we begin with you."))
    assert shown(*story) == [("So we begin with you.", "final")]


def test_formatted_text_alone_is_text() -> None:
    """A vendor may send no other."""
    assert shown(said(None, 1, final=True, formatted="Hello.")) == [("Hello.", "final")]


# The same once more


@pytest.mark.parametrize("keys", [{"turn": 1}, {"start_s": 2.0, "end_s": 3.0}, {}])
def test_a_final_that_comes_twice_is_one_turn(keys: dict[str, Any]) -> None:
    """With its id, and without: by number, by place on the clock, by time."""
    first = said("yes", 1, final=True, id_="x", **keys)
    assert shown(first, first) == [("yes", "final")]
    assert shown(first, said("yes", 1, final=True, **keys)) == [("yes", "final")]
    others = [said("no", 9, final=True, **{**keys, **({"turn": 2} if "turn" in keys else {}), **_later(keys)})]
    assert shown(first, *others, first) == [("yes", "final"), ("no", "final")]


def _later(keys: dict[str, Any]) -> dict[str, float]:
    return {"start_s": 10.0, "end_s": 11.0} if "start_s" in keys else {}


def test_a_formatted_final_after_the_final_is_the_same_turn() -> None:
    """A recogniser that formats turns ends each twice."""
    story = [said("so we begin", 1, final=True, turn=1), said("So we begin.", 1.4, final=True, turn=1)]
    assert shown(*story) == [("So we begin.", "final")]
    assert shown(*reversed(story)) == [("So we begin.", "final")]
    pair = [said("So we begin.", 1, final=True, turn=1), said("so we begin", 1, final=True, turn=1)]
    assert shown(*pair) == shown(*reversed(pair)) == [("So we begin.", "final")]


def test_equal_words_are_not_the_same_turn() -> None:
    """Somebody says yes twice; no numbers tell the two apart."""
    assert len(shown(said("yes", 1, final=True), said("yes", 2, final=True))) == 2
    first = said("yes", 1, final=True, start_s=1.0, end_s=1.3)
    assert len(shown(first, said("yes", 1.6, final=True, start_s=1.6, end_s=1.9))) == 2


# Which turn


def test_without_numbers_a_turn_ends_with_its_final() -> None:
    """Each speaker has one that is open."""
    story = [
        said("how", 1, who="Ada"), said("well", 1.5, who="Bob"), said("how are", 2, who="Ada"),
        said("how are you", 3, final=True, who="Ada"), said("I", 4, who="Ada"), said("well thanks", 5, who="Bob"),
    ]  # fmt: skip
    assert shown(*story) == [("how are you", "final"), ("well thanks", "open"), ("I", "open")]


def test_a_final_of_words_before_the_open_ones_is_another_turn() -> None:
    """Finals may come late, and what is being said goes on."""
    story = [
        said("and then", 5, start_s=4.0, end_s=5.0), said("first", 5.2, final=True, start_s=1.0, end_s=2.0),
        said("and then we", 6, start_s=4.0, end_s=6.0),
    ]  # fmt: skip
    assert shown(*story[:2]) == [("first", "final"), ("and then", "open")]
    assert shown(*story) == [("first", "final"), ("and then we", "open")]
    assert shown(said("and then", 5), said("first", 4, final=True)) == [("first", "final"), ("and then", "open")]


def test_a_partial_of_words_that_are_final_is_late_whatever_its_time() -> None:
    """Without a vendor's time it bears that of its arrival, so its place on the clock tells."""
    final = said("so we begin", 3, final=True, start_s=1.0, end_s=3.0)
    assert shown(final, said("so we", 3.2, start_s=1.0, end_s=2.0)) == [("so we begin", "final")]
    assert len(shown(final, said("and", 3.2, start_s=3.1, end_s=3.2))) == 2


def test_speakers_and_sessions_have_numbers_of_their_own() -> None:
    """Streams are numbered apart."""
    story = [said("a", 1, turn=1, who="Ada"), said("b", 1, turn=1, who="Bob"), said("c", 1, turn=1, session="2")]
    assert len(shown(*story)) == 3


def test_a_speaker_who_is_named_late_is_the_same_turn() -> None:
    """And one who is not named for a moment."""
    fold = fold_of([said("so", 1, turn=1, who=None), said("so we", 2, turn=1), said("so we go", 3, turn=1, who=None)])
    assert [(turn.shown, turn.speaker) for turn in fold.turns] == [("so we go", Person(name="Ada"))]


def test_the_words_tell_the_speaker_where_the_turn_does_not() -> None:
    """If they agree."""
    agreed = [Word(text="hi", speaker=Person(id="0")), Word(text="you", speaker=Person(id="0"))]
    mixed = [*agreed, Word(text="too", speaker=Person(id="1"))]
    fold = fold_of(
        [said("hi you", 1, final=True, who=None, words=agreed), said("x", 9, final=True, who=None, words=mixed)]
    )
    assert [turn.speaker for turn in fold.turns] == [Person(id="0"), None]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"at_s": 100, "start_s": 95.0}, {"at_s": 130, "start_s": 0.2}),
        ({"at_s": 100, "start_s": 95.0}, {"at_s": 101, "start_s": 0.2}),
        ({"at_s": 100, "start_s": 0.2}, {"at_s": 400, "start_s": 9.0}),
        ({"at_s": 100}, {"at_s": 400}),
    ],
)
@pytest.mark.parametrize("ended", [True, False])
def test_a_number_that_comes_back_is_another_turn(first: dict[str, Any], second: dict[str, Any], ended: bool) -> None:
    """A recogniser that connects again counts from zero: what was said before is not overwritten."""
    old = said("what was said", turn=1, final=ended, **first)
    new = said("other words", turn=1, **second)
    assert shown(old, new) == [("what was said", "final" if ended else "cut"), ("other words", "open")]
    settled = said("other words", turn=1, final=True, **second)
    assert shown(old, settled)[1:] == [("other words", "final")]


def test_a_turn_with_a_long_pause_is_one_by_its_beginning() -> None:
    """Somebody thinks for two minutes."""
    assert shown(said("well", 1, turn=1, start_s=1.0), said("well no", 121, turn=1, start_s=1.1)) == [
        ("well no", "open")
    ]


# Cut


def test_a_stream_that_stops_mid_turn_leaves_it_cut() -> None:
    """Flushed and marked; what comes late all the same completes it."""
    fold = fold_of([said("so we", 1, turn=1), said("done", 1, final=True, turn=0)])
    fold.cut()
    assert [(turn.shown, turn.state) for turn in fold.turns] == [("so we", "cut"), ("done", "final")]
    more = said("so we begin", 2, turn=1)
    assert isinstance(more.data, Transcript)
    fold.fold(more, more.data)
    assert [turn.state for turn in fold.turns] == ["open", "final"]
    fold.cut()
    end = said("so we begin", 3, final=True, turn=1)
    assert isinstance(end.data, Transcript)
    fold.fold(end, end.data)
    assert [(turn.shown, turn.state) for turn in fold.turns] == [("so we begin", "final"), ("done", "final")]


def test_idle_turns_are_cut_by_their_arrival() -> None:
    """The vendor's clock does not decide: it may be wrong."""
    fold = fold_of([said("old", 900, turn=1, received_s=1), said("new", 1, turn=2, received_s=50)])
    fold.cut_idle(at_ns(20))
    assert {turn.shown: turn.state for turn in fold.turns} == {"old": "cut", "new": "open"}


# Order


def test_finals_in_any_order_stand_in_the_order_of_speech() -> None:
    """On one clock by where they begin, though their messages overtake each other."""
    finals = [
        said(str(n), 20 + n / 10, final=True, turn=n, start_s=3.0 * n, end_s=3.0 * n + 2 + 14.5 - 2.9 * n)
        for n in range(5)
    ]
    for order in itertools.permutations(finals):
        assert [text for text, _ in shown(*order)] == ["0", "1", "2", "3", "4"]


def test_turns_without_a_clock_stand_by_the_time_of_their_first_word() -> None:
    """A long turn whose final comes last began first."""
    story = [
        said("long", 1, turn=1),
        said("short", 2, final=True, turn=2, who="Bob"),
        said("long one", 9, final=True, turn=1),
    ]
    assert shown(*story) == [("long one", "final"), ("short", "final")]


def test_a_clock_that_begins_again_goes_on_in_time() -> None:
    """The second stream's 0.5 s is after the first one's 100 s."""
    story = [
        said("first", 101, final=True, turn=1, start_s=100.0, end_s=101.0),
        said("second", 161, final=True, turn=1, start_s=0.5, end_s=1.0),
    ]
    assert [text for text, _ in shown(*story)] == ["first", "second"]


def test_a_final_that_moves_the_beginning_moves_the_turn() -> None:
    """A partial's first word may have been heard too early."""
    story = [
        said("b", 2, turn=2, start_s=1.0, end_s=2.0), said("a", 2, final=True, turn=1, start_s=1.5, end_s=2.0),
        said("b", 3, final=True, turn=2, start_s=1.9, end_s=2.5),
    ]  # fmt: skip
    assert [text for text, _ in shown(*story)] == ["a", "b"]


def test_times_that_cannot_be_are_none() -> None:
    """The vendor's numbers are only numbers."""
    (turn,) = fold_of([said("x", 1, final=True, start_s=1e300, end_s=-4.0)]).turns
    assert (turn.start_s, turn.end_s, turn.position_ns) == (None, None, at_ns(1))


# Bounds


def test_the_oldest_turns_go_when_there_are_too_many() -> None:
    """They are counted, and nothing of them stays."""
    finals = [said(f"turn {n}", n, final=True, turn=n) for n in range(50)]
    fold = fold_of(finals, most_turns=10)
    assert [turn.shown for turn in fold.turns] == [f"turn {n}" for n in range(40, 50)] and fold.dropped == 40
    indexes = (fold._latest, fold._numbered, fold._finals)
    assert [len(index) for index in indexes] == [10, 10, 10] and not fold._open


def test_long_texts_count() -> None:
    """What is kept is bounded in characters; the turn that is being said stays in any case."""
    fold = fold_of([said("x" * 1000, n, final=True, turn=n) for n in range(50)], most_characters=10_000)
    assert len(fold.turns) == 7 and fold.characters == sum(turn.characters for turn in fold.turns) <= 10_000
    fold = fold_of([said("x" * 1000, 1, turn=1), said("x" * 99_999, 2, turn=1)], most_characters=10_000)
    assert [len(turn.text) for turn in fold.turns] == [99_999]


# Any story

UPDATES = st.builds(
    said,
    st.sampled_from([None, "a", "a b", "a b c", "d", "e f", "yes"]),
    st.sampled_from([0, 0.1, 1, 2, 3, 10, 70, 200]),
    final=st.booleans(),
    who=st.sampled_from([None, "Ada", "Bob"]),
    formatted=st.sampled_from([None, None, "A b.", "D!"]),
    turn=st.sampled_from([None, 0, 1, "x"]),
    start_s=st.sampled_from([None, 0.0, 0.5, 1.0, 8.0, 1e12]),
    end_s=st.sampled_from([None, 0.5, 1.0, 9.0, -1.0]),
)


@given(st.lists(UPDATES, max_size=30), st.integers(1, 40))
def test_whatever_comes_the_books_balance(updates: list[Event], most_turns: int) -> None:
    """In order, each with text, indexes and counts that fit; finals that come again change nothing."""
    fold = fold_of(updates, most_turns=most_turns)
    positions = [turn.position_ns for turn in fold.turns]
    assert positions == sorted(positions) and len(positions) <= most_turns
    assert all(turn.shown for turn in fold.turns)
    assert fold.characters == sum(turn.characters for turn in fold.turns)
    assert {id(turn) for turn in fold._open.values()} == {id(turn) for turn in fold.turns if turn.state == "open"}
    assert all(turn in fold.turns for turn in (*fold._latest.values(), *fold._numbered.values()))
    fold.cut()
    assert all(turn.state != "open" for turn in fold.turns)


@given(st.lists(st.sampled_from(["a", "b", "c", "d"]), min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_partials_of_one_turn_in_any_order_show_the_newest(words: list[str], random: object) -> None:
    """Each is all that was said so far."""
    partials = [said(" ".join(words[: n + 1]), n / 10, turn=1) for n in range(len(words))]
    shuffled = sorted(partials, key=lambda _: random.random())  # type: ignore[attr-defined]
    assert shown(*shuffled) == [(" ".join(words), "open")]


# What a vendor really sends


def test_the_captured_turn_of_meetstream() -> None:
    """AssemblyAI in raw mode: interim words, then the utterance, then the commit without it."""
    names = ["first_word", "interim_left_out", "interim_included", "interim_formatted", "utterance", "commit"]
    bodies = [(SAMPLES / f"transcript__assemblyai_raw_{name}" / "body.bin").read_bytes() for name in names]
    records = [
        Record(vendor="meetstream", endpoint="default", kind="body", payload=body, received_ns=at_ns(n))
        for n, body in enumerate(bodies)
    ]
    for order in itertools.permutations(records):
        (turn,) = fold_of(event for record in order for event in decode_record(record).events).turns
        assert (turn.shown, turn.state, turn.start_s, turn.end_s) == ("So we begin.", "final", 10.1, 11.1)
        assert msgspec.to_builtins(turn.speaker) == {"name": "Ada Lovelace"}
