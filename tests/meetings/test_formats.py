"""Transcripts as files, read by parsers that are not ours: WebVTT by webvtt-py, SRT by srt."""

import html
import io
import re

import msgspec
import pytest
import srt
import webvtt
from hypothesis import given
from hypothesis import strategies as st

from receiver.events import Event, Person
from receiver.meetings.formats import transcript_json, transcript_srt, transcript_txt, transcript_vtt
from receiver.meetings.show import transcript_view
from receiver.meetings.state import Meeting
from receiver.meetings.views import TranscriptView, TurnView
from tests.meetings.stories import said, status

NASTY = "a --> b\n\n00:00:01.000 --> 00:00:02.000\n<b>x</b> & {\\an8}\x1b[2J\u202eq\r\nNOTE x"


def view_of(*events: Event) -> TranscriptView:
    meeting = Meeting("/meetstream/default", "bot-1")
    for each in events:
        meeting.fold(each)
    return transcript_view(meeting)


def vtt_of(view: TranscriptView) -> list[webvtt.Caption]:
    return webvtt.from_buffer(io.StringIO(transcript_vtt(view))).captions


CLOCKED = (
    said("Good morning.", 100, final=True, turn=1, start_s=12.0, end_s=13.25),
    said(
        "Well hello", 3811.75, final=True, turn=2, who="Bob", start_s=3723.004, end_s=3725.0, formatted="Well, hello."
    ),
    said("so we", 3813.75, turn=3, start_s=3726.5, end_s=3727.0),
)


def test_json_is_the_public_view() -> None:
    """It decodes to itself, and what is not known is absent."""
    view = view_of(*CLOCKED)
    encoded = transcript_json(view)
    assert msgspec.json.decode(encoded, type=TranscriptView) == view
    first = msgspec.json.decode(encoded)["turns"][0]
    assert first == {
        "text": "Good morning.", "state": "final", "time": "2026-06-10T09:01:40.000000Z", "at_s": 12.0,
        "until_s": 13.25, "speaker": {"name": "Ada"}, "turn": 1, "start_s": 12.0, "end_s": 13.25,
    }  # fmt: skip


def test_txt_is_a_line_for_each_turn() -> None:
    """With its time, its speaker, and a mark where it is not final."""
    assert transcript_txt(view_of(*CLOCKED)).splitlines() == [
        "[00:00:12] Ada: Good morning.",
        "[01:02:03] Bob: Well, hello.",
        "[01:02:06] Ada: so we …",
    ]
    ended = view_of(said("so we", 1, who=None, turn=1), status("stopped", 2, reason="left"))
    assert transcript_txt(ended) == "[00:00:00] so we [cut]\n"


def test_times_are_those_of_the_streams_clock() -> None:
    """To the millisecond, in both formats."""
    view = view_of(*CLOCKED[:2])
    assert [(cue.start, cue.end, cue.voice, cue.text) for cue in vtt_of(view)] == [
        ("00:00:12.000", "00:00:13.250", "Ada", "Good morning."),
        ("01:02:03.004", "01:02:05.000", "Bob", "Well, hello."),
    ]
    cues = list(srt.parse(transcript_srt(view)))
    assert [(cue.index, cue.start.total_seconds(), cue.end.total_seconds(), cue.content) for cue in cues] == [
        (1, 12.0, 13.25, "Ada: Good morning."),
        (2, 3723.004, 3725.0, "Bob: Well, hello."),
    ]


def test_without_a_clock_times_are_since_the_first_turn() -> None:
    """A turn takes as long as its updates did, else as its words would."""
    view = view_of(
        said("one", 50, turn=1), said("one two", 52.5, final=True, turn=1), said("a b c d e", 60, final=True, turn=2)
    )
    assert [(turn.at_s, turn.until_s) for turn in view.turns] == [(0.0, 2.5), (10.0, 12.0)]


def test_a_second_clock_goes_on_where_the_first_one_would_be() -> None:
    """Cues never go back, though the recogniser counts from zero again."""
    view = view_of(
        said("a", 101, final=True, turn=1, start_s=100.0, end_s=101.0),
        said("b", 161, final=True, turn=1, start_s=0.5, end_s=1.0),
        said("c", 170, final=True, turn=2, who="Bob"),
    )
    assert [(turn.at_s, turn.until_s, turn.start_s) for turn in view.turns] == [
        (100.0, 101.0, 100.0), (160.5, 161.0, 0.5), (170.0, 171.0, None),
    ]  # fmt: skip
    assert [cue.text for cue in vtt_of(view)] == ["a", "b", "c"]


def test_text_of_a_vendor_is_never_markup_nor_a_cue() -> None:
    """Arrows, tags, entities, line breaks, override codes, escape sequences; in the words and in the name."""
    view = view_of(said(NASTY, 1, final=True, who=f"Eve > & <{NASTY}"), said("next", 9, final=True))
    vtt = transcript_vtt(view)
    _, second = vtt_of(view)
    assert vtt.count("-->") == 2 and second.text == "next"
    payload = vtt.splitlines()[3]
    assert re.findall(r"<[^>]*>", payload) == [f"<v {payload.partition('>')[0].removeprefix('<v ')}>"]
    assert (payload.count("<"), payload.count(">")) == (1, 1)
    name, _, words = payload.removeprefix("<v ").partition(">")
    assert html.unescape(name).startswith("Eve > & <a --> b 00:00:01.000")
    assert html.unescape(words).startswith(
        "a --> b 00:00:01.000 --> 00:00:02.000 <b>x</b> & {\\an8}\ufffd[2J\ufffdq NOTE x"
    )
    cues = list(srt.parse(transcript_srt(view)))
    assert len(cues) == 2 and transcript_srt(view).count("-->") == 2
    assert not re.search(r"[<>\x1b\u202e]|\{\\", cues[0].content) and "\n" not in cues[0].content
    assert len(transcript_txt(view).splitlines()) == 2 and "\x1b" not in transcript_txt(view)
    assert msgspec.json.decode(transcript_json(view))["turns"][0]["text"] == NASTY


def test_secrets_are_taken_out_of_what_was_said() -> None:
    """As a sink without secrets gets it."""
    meeting = Meeting("s", "x")
    meeting.fold(said("go to https://x/y?token=abcdefgh now", 1, final=True))
    assert transcript_view(meeting).turns[0].text == "go to [redacted] now"
    assert "token=abcdefgh" in transcript_view(meeting, secrets=True).turns[0].text


@pytest.mark.parametrize("make", [transcript_txt, transcript_vtt, transcript_srt])
def test_nothing_said_is_an_empty_file(make: object) -> None:
    """A valid one."""
    text = make(view_of(status("joining", 1)))  # type: ignore[operator]
    assert text in ("", "WEBVTT\n")
    if text:
        assert webvtt.from_buffer(io.StringIO(text)).captions == []


TURNS = st.builds(
    lambda text, name, state, at_s, length_s: TurnView(
        text=text,
        state=state,
        time="t",
        at_s=at_s,
        until_s=at_s + length_s,
        speaker=Person(name=name) if name else None,
    ),
    st.text(min_size=1),
    st.text() | st.none(),
    st.sampled_from(["open", "final", "cut"]),
    st.floats(0, 1e7),
    st.floats(0, 1e3),
)


@given(st.lists(TURNS, max_size=5))
def test_any_text_makes_files_that_others_read(turns: list[TurnView]) -> None:
    """As many cues as turns, each with its words, its times in order; a line a turn in the text."""
    view = TranscriptView(source="s", subject="x", phase="active", dropped_turns=0, turns=turns)
    cues = vtt_of(view)
    assert len(cues) == len(turns)
    for cue, turn in zip(cues, turns, strict=True):
        assert cue.text and cue.end_in_seconds >= cue.start_in_seconds
        assert abs(cue.start_in_seconds - turn.at_s) <= 1
    parsed = list(srt.parse(transcript_srt(view)))
    assert [cue.index for cue in parsed] == list(range(1, len(turns) + 1))
    assert all(cue.end > cue.start for cue in parsed)
    assert len(transcript_txt(view).splitlines()) == len(turns)
    transcript_txt(view).encode()
