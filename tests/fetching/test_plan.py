"""What is asked for, and when: a table of what events say, in a clock of the test's own."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.events import BotStatus
from receiver.fetching.jobs import DELIVERY_LOG, OWN_RECORD, Job, Times
from receiver.fetching.plan import Plan
from receiver.vendors.replies import REST
from tests.fetching.stories import answered, artifact, joined, meeting, record, status

TIMES = Times(after_end_s=20.0, quiet_s=900.0, again_s=600.0, log_s=300.0)
KINDS = ("transcript", "summary", "participants")


def plan(kinds: tuple[str, ...] = KINDS, **keys: Any) -> Plan:
    return Plan(kinds, keys.pop("hints", {}), times=TIMES, give_up_s=100.0, **keys)


def due(one: Plan, now_s: float) -> list[Job]:
    """All that is due, begun."""
    found = []
    while (job := one.due(now_s)) is not None:
        found.append(job)
    return found


def kinds(jobs: list[Job]) -> list[str]:
    return [job.kind for job in jobs]


def test_what_is_announced_is_asked_for_at_once() -> None:
    """With the id that the announcement names; what is not wanted is not asked for."""
    one = plan()
    one.take(artifact("transcript", id_="t-1", seq=7), 10.0)
    one.take(artifact("audio", seq=8), 10.0)
    (job,) = due(one, 10.0)
    assert (job.subject, job.kind, job.artifact, job.seq) == ("bot-1", "transcript", "t-1", 7)
    assert one.pending == 1 and one.hold == 7
    one.finish(job, 11.0)
    assert one.pending == 0 and one.hold is None and one.due(1e9) is None


def test_a_hint_counts_as_an_announcement() -> None:
    """By the vendor's own event name; beside an artifact in the same event there is one job, with its id."""
    one = plan(hints={"transcription_completed": ("transcript", "participants", "video")})
    one.take(artifact("transcript", id_="t-1", vendorevent="transcription_completed"), 0.0)
    assert [(job.kind, job.artifact) for job in due(one, 0.0)] == [("transcript", "t-1"), ("participants", "")]


@pytest.mark.parametrize("end", [status("stopped", 50), status("done", 50), meeting("ended", 50)])
def test_a_while_after_the_end_the_rest_is_asked_for(end: Any) -> None:
    """Not what was asked for before; in the order in which it is wanted."""
    one = plan()
    one.take(artifact("summary", seq=3), 40.0)
    (summary,) = due(one, 40.0)
    one.finish(summary, 41.0)
    end.seq = 9
    one.take(end, 50.0)
    assert due(one, 69.9) == [] and one.hold == 9
    rest = due(one, 70.0)
    assert kinds(rest) == ["transcript", "participants"] and {job.seq for job in rest} == {9}


def test_a_later_end_puts_it_off_and_asks_nothing_twice() -> None:
    """`stopped`, then `done` a moment later; and another `done` long after all came."""
    one = plan(("transcript",))
    one.take(status("stopped", 50, seq=5), 50.0)
    one.take(status("done", 60, seq=6), 60.0)
    assert due(one, 75.0) == [] and one.hold == 5
    (job,) = due(one, 80.0)
    one.finish(job, 81.0)
    one.take(status("done", 500, seq=9), 500.0)
    assert due(one, 1000.0) == [] and one.hold is None


def test_what_has_failed_is_not_waited_for() -> None:
    """Nor asked for after the end."""
    one = plan()
    one.take(artifact("transcript"), 0.0)
    (job,) = due(one, 0.0)
    one.retry(job, 5.0)
    one.take(artifact("transcript", "failed"), 1.0)
    one.take(artifact("summary", "skipped"), 1.0)
    one.take(status("done", 2), 2.0)
    assert kinds(due(one, 100.0)) == ["participants"]


def test_announced_again_it_is_asked_for_again() -> None:
    """While one waits: at once, and once. While it is asked for: once more after that, and the cursor stays before."""
    one = plan(("transcript",))
    one.take(artifact("transcript", seq=1), 0.0)
    (job,) = due(one, 0.0)
    one.retry(job, 50.0)
    one.take(artifact("transcript", seq=2), 10.0)
    assert due(one, 10.0) == [job] and job.give_up_s == 110.0
    one.take(artifact("transcript", seq=3), 11.0)
    one.take(artifact("transcript", seq=4), 11.0)
    assert due(one, 12.0) == [] and one.hold == 1
    one.finish(job, 13.0)
    assert one.hold == 4 and due(one, 13.0) == [job] and job.tries == 1
    one.finish(job, 14.0)
    assert one.hold is None and due(one, 1e6) == []


def test_occurrences_of_a_meeting_are_told_apart() -> None:
    """The end of the one asks with its own session, though the next has begun."""
    one = plan(("transcript",))
    one.take(meeting("started", 0, session="a"), 0.0)
    one.take(meeting("ended", 50, session="a"), 50.0)
    one.take(meeting("started", 55, session="b"), 55.0)
    one.take(meeting("ended", 60, session="b"), 60.0)
    jobs = due(one, 90.0)
    assert [(job.kind, job.session) for job in jobs] == [("transcript", "a"), ("transcript", "b")]


def test_a_late_event_of_before_the_end_begins_nothing_anew() -> None:
    """Deliveries overtake each other."""
    one = plan(("transcript",))
    one.take(status("done", 50), 50.0)
    (job,) = due(one, 70.0)
    one.finish(job, 70.0)
    one.take(status("recording", 40), 71.0)
    one.take(status("done", 50), 72.0)
    assert due(one, 200.0) == []


# The vendor's own record


def test_the_own_record_is_compared_after_the_end_and_once_more_later() -> None:
    """The last events come late too; the cursor stays before the end for as long."""
    one = plan((), reconcile=True)
    one.take(status("stopped", 50, seq=5), 50.0)
    (job,) = due(one, 70.0)
    assert job.kind == OWN_RECORD and not job.late
    one.finish(job, 71.0)
    assert one.hold == 5 and due(one, 670.0) == []
    assert due(one, 671.0) == [job] and job.late
    one.finish(job, 672.0)
    assert one.hold is None and due(one, 1e6) == []


def test_a_second_end_puts_the_second_comparison_off() -> None:
    """So it comes after the last end, however long the bot takes to be done."""
    one = plan((), reconcile=True)
    one.take(status("stopped", 50, seq=5), 50.0)
    (job,) = due(one, 70.0)
    one.finish(job, 71.0)
    one.take(status("done", 500, seq=6), 500.0)
    assert due(one, 1119.0) == []
    assert due(one, 1120.0) == [job]
    one.finish(job, 1121.0)
    one.take(status("done", 2000, seq=7), 2000.0)
    assert due(one, 2619.0) == [] and one.hold == 7
    assert [job.late for job in due(one, 2620.0)] == [True]


def test_without_reconcile_nothing_is_compared() -> None:
    """Neither after the end nor in silence."""
    one = plan(())
    one.take(joined("Ada", 0), 0.0)
    one.take(status("done", 50), 50.0)
    assert due(one, 1e9) == [] and one.hold is None


def test_a_meeting_that_falls_silent_is_compared() -> None:
    """Its end may be what was missed. Each event puts it off; silence that lasts is looked at ever more seldom."""
    one = plan((), reconcile=True)
    one.take(status("recording", 0, seq=1), 0.0)
    one.take(joined("Ada", 500, seq=2), 500.0)
    assert due(one, 1399.0) == [] and one.hold == 2
    looks = []
    for now_s in range(1400, 40_000, 100):
        for job in due(one, float(now_s)):
            looks.append(now_s)
            one.finish(job, float(now_s))
    assert looks == [1400, 3200, 6800, 14000] and one.hold is None


def test_what_was_found_missing_is_an_event_like_any_other() -> None:
    """The end that nobody pushed: then the rest is asked for. An answer that only tells something wants nothing."""
    one = plan(("transcript",), reconcile=True)
    one.take(status("recording", 0), 0.0)
    (look,) = due(one, 900.0)
    data = BotStatus(status="done", final=True, reconciled=True)
    one.take(record("bot.status", data, 100, seq=8, channel=REST), 901.0)
    one.take(record("artifact.ready", artifact("summary").events[0].data, 100, channel=REST), 901.0)  # type: ignore[index]
    one.finish(look, 901.0)
    assert sorted(kinds(due(one, 921.0))) == ["transcript"]


def test_the_delivery_log_is_looked_into_from_time_to_time() -> None:
    """It holds no cursor: the next look sees all of it."""
    one = plan((), delivery_log=True)
    (job,) = due(one, 0.0)
    assert (job.kind, job.subject, one.hold, one.pending) == (DELIVERY_LOG, "", None, 0)
    one.finish(job, 10.0)
    assert due(one, 309.0) == [] and due(one, 310.0) == [job]


# After a restart


def test_what_was_answered_before_the_restart_is_not_asked_for() -> None:
    """The journal is read again from the cursor on, and holds the answers."""
    one = plan()
    one.take(artifact("transcript", id_="t-1", seq=1), 0.0, past=True)
    one.take(artifact("summary", seq=2), 0.0, past=True)
    one.take(status("done", 3, seq=3), 3.0, past=True)
    one.take(answered("transcript;;t-1", seq=4), 4.0, past=True)
    one.take(answered("participants;;", seq=5), 4.0, past=True)
    assert kinds(due(one, 100.0)) == ["summary"]


def test_an_answer_ends_no_wish_of_this_run() -> None:
    """It may be older than the announcement that came while it was on its way."""
    one = plan()
    one.take(artifact("transcript", seq=1), 0.0)
    one.take(answered("transcript;;", seq=2), 0.0)
    assert kinds(due(one, 0.0)) == ["transcript"]


# Bounds


def test_it_is_full_at_so_many_jobs() -> None:
    """And takes more when some are done."""
    one = plan(("transcript",), most_jobs=3)
    for number in range(3):
        assert not one.full
        one.take(artifact("transcript", subject=f"bot-{number}"), 0.0)
    assert one.full
    job = one.due(0.0)
    assert job is not None
    one.finish(job, 0.0)
    assert not one.full


def test_of_many_subjects_those_go_that_were_heard_of_least_lately() -> None:
    """With their looks at silence."""
    one = plan((), reconcile=True, most_subjects=2)
    for number, subject in enumerate(("a", "b", "a", "c")):
        one.take(joined("Ada", number, subject=subject, seq=number + 1), 0.0)
    assert {job.subject for job in due(one, 900.0)} == {"a", "c"}


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["joining", "recording", "stopped", "done", "ready", "failed", "started", "ended", "left"]),
            st.sampled_from(["a", "b"]),
            st.integers(0, 500),
        ),
        max_size=40,
    ),
    st.booleans(),
)
def test_whatever_comes_each_wish_is_fulfilled_once_and_none_is_left(
    told: list[tuple[str, str, int]], reconcile: bool
) -> None:
    """The hold never moves back while answers are given, and in the end there is none."""
    one = plan(("transcript", "summary"), reconcile=reconcile)
    now_s, hold = 0.0, 0
    for seq, (what, subject, wait_s) in enumerate(told, 1):
        if what in ("ready", "failed"):
            one.take(artifact("transcript", what, now_s, subject=subject, seq=seq), now_s)
        elif what in ("started", "ended"):
            one.take(meeting(what, now_s, subject=subject, seq=seq), now_s)
        elif what == "left":
            one.take(joined("Ada", now_s, subject=subject, seq=seq), now_s)
        else:
            one.take(status(what, now_s, subject=subject, seq=seq), now_s)
        now_s += wait_s
        jobs = due(one, now_s)
        assert len({(job.subject, job.label) for job in jobs}) == len(jobs)
        now_hold = one.hold
        assert now_hold is None or now_hold >= hold
        hold = now_hold or hold
        for job in jobs:
            one.finish(job, now_s)
    while one.next_s is not None:
        now_s = max(now_s, one.next_s)
        for job in due(one, now_s):
            one.finish(job, now_s)
    assert one.hold is None and one.pending == 0
