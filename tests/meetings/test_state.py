"""One meeting: state only forward, ended once, streams and losses, whatever comes late or twice."""

import itertools
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.events import DataDeleted, Event, RecordingStatus
from receiver.meetings.bounds import MOST_STREAMS
from receiver.meetings.show import meeting_view, summary, transcript_view
from receiver.meetings.state import Meeting
from tests.meetings.stories import artifact, at_ns, chunk, closed, event, joined, left, meeting, opened, said, status

STATUSES = (
    "scheduled", "joining", "waiting_room", "in_meeting", "recording_permission_allowed", "recording", "leaving",
    "stopped", "uploading", "done",
)  # fmt: skip


def folded(*events: Event) -> Meeting:
    one = Meeting("/meetstream/default", "bot-1")
    for each in events:
        one.fold(each)
    return one


# Status


def test_state_moves_only_forward() -> None:
    """Callbacks come in any order: the furthest state is shown."""
    story = [status(name, at_s) for at_s, name in enumerate(STATUSES)]
    for count in range(1, len(story) + 1):
        for order in ([*story[:count]], [*reversed(story[:count])]):
            assert folded(*order).status == STATUSES[count - 1]
    assert folded(status("recording", 5), status("joining", 9)).status == "recording"


def test_recording_and_paused_are_one_state_in_turn() -> None:
    """Of the two the later one is shown, by the vendor's clock."""
    story = [status("recording", 1), status("paused", 2), status("recording", 3)]
    assert [folded(*story[:n]).status for n in (1, 2, 3)] == ["recording", "paused", "recording"]
    assert all(folded(*order).status == "recording" for order in itertools.permutations(story))


def test_an_error_ends_nothing() -> None:
    """`bot.error`: trouble at the recogniser, and the bot goes on."""
    one = folded(status("recording", 1), status("error", 2, message="no words"), status("error", 1, message="older"))
    assert (one.status, one.phase) == ("recording", "active")
    assert one.problem is not None and (one.problem.message, one.problem.time_ns) == ("no words", at_ns(2))


@pytest.mark.parametrize("reason", ["left", "kicked", "not_admitted", "denied", "failed"])
def test_the_exit_ends_it_and_tells_why(reason: str) -> None:
    """At the time of the exit, though `done` may come first, and what follows reopens nothing."""
    late = [status("uploading", 12), artifact("audio", "ready", 13), status("done", 15)]
    for order in itertools.permutations([status("stopped", 10, reason=reason), *late]):
        one = folded(status("in_meeting", 1), *order, status("joining", 2), said("late", 3, final=True))
        assert (one.phase, one.ended_ns, one.ended_by) == ("ended", at_ns(10), "bot.status")
        assert (one.status, one.reason, one.started_ns) == ("done", reason, at_ns(1))


def test_a_reason_that_tells_more_outweighs_left() -> None:
    """Generation 1 tells no reason, and a workspace endpoint may tell it beside."""
    pair = [status("stopped", 10, reason="left"), status("stopped", 10, reason="kicked")]
    assert folded(*pair).reason == folded(*reversed(pair)).reason == "kicked"


def test_what_is_announced_is_not_active() -> None:
    """A bot for next week has not begun, and is never quiet."""
    for announced in (status("scheduled", 0), meeting("created", 0, title="Weekly")):
        one = folded(announced)
        assert one.phase == "scheduled" and not one.close_if_quiet(at_ns(9e6), 60)
    begun = folded(status("scheduled", 0), joined(10, id="a"))
    assert begun.phase == "active" and begun.close_if_quiet(at_ns(9e6), 60)


# Meetings of a platform


def test_a_meeting_ends_and_begins_again_under_the_same_name() -> None:
    """A room: another session is another occurrence; who was there in the first is not in the second."""
    story = [
        meeting("created", 0, title="Room"), meeting("started", 1, session="s1"), joined(2, id="a"),
        meeting("ended", 10, session="s1"),
    ]  # fmt: skip
    one = folded(*story)
    assert (one.phase, one.ended_by, one.title, one.session) == ("ended", "meeting.ended", "Room", "s1")
    assert summary(one).present == 0 and summary(one).people == 1
    one.fold(meeting("started", 20, session="s2"))
    assert (one.phase, one.session, one.started_ns, one.roster.counts()[0]) == ("active", "s2", at_ns(20), 0)
    one.fold(meeting("ended", 10, session="s1"))
    assert one.phase == "active"
    assert folded(*story, said("hi", 20, session="s3")).phase == "active"
    assert folded(*story, said("hi", 9, session="s1")).phase == "ended"


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_start_and_end_in_any_order(order: tuple[int, ...]) -> None:
    """A start that comes after its end is late, no other start."""
    story = [meeting("started", 1), joined(2, id="a"), meeting("ended", 10)]
    one = folded(*(story[index] for index in order))
    assert (one.phase, one.started_ns, one.ended_ns) == ("ended", at_ns(1), at_ns(10))


def test_a_deleted_meeting_has_ended() -> None:
    """Nothing more comes of it."""
    assert folded(meeting("started", 1), meeting("deleted", 5)).ended_by == "meeting.deleted"


# Quiet


def test_what_is_quiet_is_closed_by_the_timer() -> None:
    """At the time at which it was last heard of; once."""
    one = folded(status("recording", 1), said("so we", 30, turn=1))
    assert not one.close_if_quiet(at_ns(89.9), 60)
    assert one.close_if_quiet(at_ns(90), 60) and not one.close_if_quiet(at_ns(91), 60)
    assert (one.phase, one.ended_by, one.ended_ns) == ("ended", "quiet", at_ns(30))
    assert [turn.state for turn in one.transcript.turns] == ["cut"]


def test_an_open_stream_is_not_quiet() -> None:
    """Its audio is not folded: nobody need say anything for hours."""
    one = folded(opened("audio", "c1", 1))
    assert not one.close_if_quiet(at_ns(99999), 60)
    one.fold(closed("audio", "c1", 2))
    assert one.close_if_quiet(at_ns(99999), 60)


@pytest.mark.parametrize(
    ("more", "phase"),
    [
        (said("there", 500), "active"), (joined(500, id="b"), "active"), (status("paused", 500), "active"),
        (opened("audio", "c2", 500), "active"), (artifact("audio", "ready", 500), "ended"),
        (status("uploading", 500), "ended"), (status("stopped", 500, reason="kicked"), "ended"),
        (event("data.deleted", DataDeleted(ok=True), 500), "ended"),
    ],
)  # fmt: skip
def test_what_was_only_quiet_goes_on_when_more_is_heard(more: Event, phase: str) -> None:
    """Life reopens it; what comes after a meeting does not. Those who were there still are."""
    one = folded(status("recording", 1), joined(2, id="a"))
    one.close_if_quiet(at_ns(400), 60)
    one.fold(more)
    assert one.phase == phase
    assert summary(one).present == (0 if phase == "ended" else 2 if more.type == "participant.joined" else 1)


def test_a_final_status_outweighs_the_timer() -> None:
    """The end is when the vendor says it was."""
    one = folded(status("recording", 1))
    one.close_if_quiet(at_ns(400), 60)
    one.fold(status("stopped", 390, reason="left", received_s=500))
    assert (one.ended_by, one.ended_ns, one.reason) == ("bot.status", at_ns(390), "left")


# Streams, losses


def test_streams_tell_what_came_through_and_what_broke_off() -> None:
    """A connection that continues another tells for how long there was none."""
    one = folded(
        opened("audio", "c1", 1), closed("audio", "c1", 10, clean=False, code=1006, messages=5, bytes=50),
        opened("audio", "c2", 12.5, resumes="c1"), opened("control", "c3", 1), closed("control", "c3", 14, code=1000),
    )  # fmt: skip
    view = meeting_view(one)
    first, second, third = view.streams
    assert (first.open, first.clean, first.code, first.messages, first.bytes) == (False, False, 1006, 5, 50)
    assert (second.open, second.resumes, second.away_s, third.clean) == (True, "c1", 2.5, True)
    assert (view.losses.unclean_streams, view.losses.away_s) == (1, 2.5)
    assert view.open_streams == 1


def test_streams_told_twice_or_in_the_wrong_order_count_once() -> None:
    """A journal that is read again, or whose opening is damaged."""
    story = [opened("audio", "c1", 1), closed("audio", "c1", 5, clean=False)]
    for order in (story * 2, story[::-1], story[::-1] * 2):
        streams = folded(*order).streams
        assert (streams.open_count, streams.losses.unclean, len(streams.known)) == (0, 1, 1)


def test_audio_gaps_are_summed_where_audio_is_folded() -> None:
    """And not known where it is not: absent is not zero."""
    view = meeting_view(folded(chunk(1), chunk(2, gap_ms=20.5), chunk(3, gap_ms=3.5)))
    assert (view.losses.audio_gaps, view.losses.audio_gap_ms) == (2, 24.0)
    view = meeting_view(folded(opened("audio", "c1", 1)))
    assert (view.losses.audio_gaps, view.losses.audio_gap_ms) == (None, None)


def test_the_transcript_is_cut_when_its_last_stream_closes() -> None:
    """Not when another channel's does, nor while another connection still carries it."""
    one = folded(
        opened("transcript", "t1", 1), opened("transcript", "t2", 1), opened("audio", "a", 1), said("so", 2, turn=1)
    )
    states = []
    for closing in (closed("audio", "a", 3), closed("transcript", "t1", 4), closed("transcript", "t2", 5)):
        one.fold(closing)
        states.append(one.transcript.turns[0].state)
    assert states == ["open", "open", "cut"]


def test_what_is_said_after_the_end_is_kept_and_marked() -> None:
    """Late words of a meeting that is over are not awaited any further."""
    one = folded(said("so", 1, turn=1), status("stopped", 2, reason="left"), said("so we", 2, turn=1))
    assert [(turn.shown, turn.state) for turn in one.transcript.turns] == [("so we", "cut")]


def test_streams_are_bounded() -> None:
    """A socket that comes and goes all day: closed ones go first."""
    events = [opened("audio", "first", 0)]
    for n in range(MOST_STREAMS * 2):
        events += [opened("control", f"c{n}", n), closed("control", f"c{n}", n)]
    one = folded(*events)
    assert len(one.streams.known) == MOST_STREAMS and "first" in one.streams.known and one.streams.open_count == 1


# Artifacts and the rest


def test_an_artifact_is_what_was_told_of_it_last() -> None:
    """By kind, and by address where several of a kind have one; no address without secrets."""
    story = [
        artifact("audio", "failed", 1, message="no"), artifact("audio", "ready", 2, size_bytes=7),
        artifact("recording", "ready", 3, url="https://x/1?sig=a"), artifact("recording", "ready", 4, url="https://x/1?sig=b"),
        artifact("recording", "ready", 4, url="https://x/2?sig=a"),
    ]  # fmt: skip
    for order in (story, story[::-1]):
        view = meeting_view(folded(*order))
        assert sorted((one.kind, one.state, one.url) for one in view.artifacts) == [
            ("audio", "ready", None), ("recording", "ready", None), ("recording", "ready", None),
        ]  # fmt: skip
    urls = {one.url for one in meeting_view(folded(*story), secrets=True).artifacts}
    assert urls == {None, "https://x/1?sig=b", "https://x/2?sig=a"}


def test_facts_beside() -> None:
    """Platform, recording, attributes, deletion, first and last arrival, in the public view; secrets are taken out."""
    with_attributes = status("recording", 5, message="see https://x/y?token=abcdefgh")
    with_attributes.data.attributes = {"meeting": "weekly", "api_key": "k"}
    one = folded(
        joined(3, id="a", platform="gmeet"), with_attributes, left(4, id="a"),
        event("recording.status", RecordingStatus(status="recording", recording="r"), 6),
        event("data.deleted", DataDeleted(objects=3, ok=True), 9),
    )  # fmt: skip
    view = meeting_view(one)
    assert (view.platform, view.events, view.status) == ("gmeet", 5, "recording")
    assert (view.first_seen, view.last_seen) == ("2026-06-10T09:00:03.000000Z", "2026-06-10T09:00:09.000000Z")
    assert view.attributes == {"meeting": "weekly", "api_key": "[redacted]"}
    assert view.bot is not None and view.bot.message == "see [redacted]" and view.bot.status == "recording"
    assert view.recording is not None and view.recording.status == "recording"
    assert view.data_deleted is not None and view.data_deleted.objects == 3
    open_view = meeting_view(one, secrets=True)
    assert open_view.attributes == with_attributes.data.attributes
    assert open_view.bot is not None and "token=abcdefgh" in (open_view.bot.message or "")


def test_large_texts_are_clipped_or_left_out() -> None:
    """What one delivery holds may be large; a meeting keeps little of it."""
    large = status("recording", 1, message="x" * 99_999)
    large.data.attributes = {"x": "y" * 99_999}
    made = artifact("audio", "failed", 1, message="x" * 99_999)
    made.data.attributes = {"x": "y"}
    one = folded(large, made, joined(1, id="i" * 99_999, name="n" * 99_999))
    assert one.attributes == {"x": "y"} and len(one.message or "") == 1000
    (kept,), (person,) = one.artifacts.values(), one.roster.people()
    assert len(kept.data.message or "") == 1000 and kept.data.attributes is None
    assert (len(person.who.id or ""), len(person.who.name or "")) == (1024, 256)


# Any story

MAKERS: list[Any] = [
    st.builds(lambda name, at_s: status(name, at_s, reason="left" if name == "stopped" else None),
              st.sampled_from([*STATUSES, "paused", "error"]), st.integers(0, 20)),
    st.builds(lambda verb, at_s, session: meeting(verb, at_s, session=session),
              st.sampled_from(["created", "started", "ended", "deleted"]), st.integers(0, 20),
              st.sampled_from([None, "s1", "s2"])),
    st.builds(lambda make, at_s, who: make(at_s, id=who),
              st.sampled_from([joined, left]), st.integers(0, 20), st.sampled_from("ab")),
    st.builds(lambda text, at_s, final, turn, start_s: said(text, at_s, final=final, turn=turn, start_s=start_s),
              st.sampled_from(["a", "a b"]), st.integers(0, 20), st.booleans(), st.sampled_from([None, 1, 2]),
              st.sampled_from([None, 0.5, 1.0, 4.0, 100.0])),
    st.builds(lambda make, channel, at_s, name: make(channel, name, at_s),
              st.sampled_from([opened, closed]), st.sampled_from(["audio", "transcript"]), st.integers(0, 20),
              st.sampled_from(["c1", "c2"])),
]  # fmt: skip


@given(st.lists(st.one_of(*MAKERS), max_size=30), st.integers(0, 30))
def test_whatever_comes_the_view_is_sound(events: Iterable[Event], quiet_after: int) -> None:
    """Phase, end and presence fit each other, and a status never goes back."""
    one = Meeting("/meetstream/default", "bot-1")
    furthest = -1
    for index, each in enumerate(events):
        one.fold(each)
        if index == quiet_after:
            one.close_if_quiet(at_ns(10_000), 1)
        rank = STATUSES.index("recording" if one.status == "paused" else one.status) if one.status else -1
        assert rank >= furthest
        furthest = rank
        view = meeting_view(one)
        assert (view.phase == "ended") == (view.ended is not None) == (view.ended_by is not None)
        assert 0 <= view.present <= view.people and (view.phase != "ended" or view.present == 0)
        assert view.present == sum(person.present for person in view.roster)
        assert view.open_streams == sum(stream.open for stream in view.streams)
        at_s = [turn.at_s for turn in transcript_view(one).turns]
        assert at_s == sorted(at_s)
        if view.phase == "ended":
            assert all(turn.state != "open" for turn in one.transcript.turns)
