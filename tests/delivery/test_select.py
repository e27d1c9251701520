"""Which events a sink wants: patterns over types and subjects."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.delivery.select import Selection
from receiver.events import DATA_TYPES, BotStatus, Event
from tests.sinks.factories import one_of_each


def event(subject: str) -> Event:
    data = BotStatus(status="joining")
    return Event(id="1", source="/v/e", type="bot.status", time_ns=0, received_ns=0, data=data, subject=subject)


@pytest.mark.parametrize(
    ("patterns", "wanted"),
    [
        (["*"], list(DATA_TYPES)),
        (["transcript.*"], ["transcript.partial", "transcript.final"]),
        (["transcript.final", "bot.*"], ["bot.status", "transcript.final"]),
        (["*.status"], ["bot.status", "recording.status"]),
        (["*.chunk", "audio.*"], ["audio.chunk", "video.chunk"]),
        (["nothing.*"], []),
        ([], []),
        (["bot"], []),
        (["Bot.Status"], []),
        (["[bv]*"], []),
        (["bot?status"], ["bot.status"]),
    ],
)
def test_types(patterns: list[str], wanted: list[str]) -> None:
    """`*` stands for anything, `?` for one character, brackets for themselves; the order is that of the events."""
    selection = Selection(patterns, ["*"])
    assert [one.type for one in selection.pick(one_of_each())] == wanted
    assert selection.empty is (not wanted)


@pytest.mark.parametrize(
    ("patterns", "wanted"),
    [
        (["*"], ["", "bot-1", "bot-2", "x[1]", "a\nb"]),
        (["bot-1"], ["bot-1"]),
        (["bot-*"], ["bot-1", "bot-2"]),
        (["x[1]"], ["x[1]"]),
        (["a*"], ["a\nb"]),
        (["bot"], []),
        (["", "bot-2"], ["", "bot-2"]),
    ],
)
def test_subjects(patterns: list[str], wanted: list[str]) -> None:
    """Subjects come from strangers: brackets and line breaks in them mean nothing."""
    given_events = [event(subject) for subject in ("", "bot-1", "bot-2", "x[1]", "a\nb")]
    assert [one.subject for one in Selection(["*"], patterns).pick(given_events)] == wanted


@pytest.mark.parametrize(("patterns", "media"), [(["*"], True), (["audio.*"], True), (["bot.*", "stream.*"], False)])
def test_media(patterns: list[str], media: bool) -> None:
    """Who wants no chunk is never woken for one: the media lane is not read."""
    assert Selection(patterns, ["*"]).media is media


@given(st.lists(st.text(max_size=6), max_size=4), st.lists(st.text(max_size=6), max_size=4))
def test_any_pattern_is_a_pattern(types: list[str], subjects: list[str]) -> None:
    """No text in a config makes selecting fail."""
    everything = one_of_each()
    picked = Selection(types, subjects).pick(everything)
    assert [one for one in everything if one in picked] == picked
