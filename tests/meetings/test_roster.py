"""Who is there: whatever the order and however often it is told."""

import itertools
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.events import Event, Participant, ParticipantChange
from receiver.meetings.bounds import MOST_CHANGES, MOST_CONNECTIONS
from receiver.meetings.roster import Interval, Person, Roster
from tests.meetings.stories import at_ns, event, joined, left


def roster_of(events: Iterable[Event]) -> Roster:
    roster = Roster()
    for one in events:
        assert isinstance(one.data, ParticipantChange)
        roster.fold(one, one.data)
    return roster


def facts(roster: Roster) -> dict[str, tuple[int, list[Interval]]]:
    """Name or id -> open connections and stays."""
    return {
        person.who.name or person.who.id or "?": (person.connections, person.intervals) for person in roster.people()
    }


def stay(begin_s: float | None, end_s: float | None) -> Interval:
    return Interval(None if begin_s is None else at_ns(begin_s), None if end_s is None else at_ns(end_s))


def sane(people: Iterable[Person]) -> None:
    """What holds in any case."""
    for person in people:
        assert person.connections >= 0
        lasting = [interval for interval in person.intervals if interval.end_ns is None]
        assert len(lasting) == min(person.connections, 1)
        last_ns = -1
        for begin_ns, end_ns in person.intervals:
            assert end_ns is None or begin_ns is None or begin_ns <= end_ns
            assert last_ns <= (begin_ns or end_ns or 1 << 63)
            last_ns = end_ns or 1 << 63


# Order and duplicates

TWICE_EACH = (
    joined(1, id="a"), left(2, id="a"), joined(3, id="a"), left(4, id="a"),
    joined(1, id="b"), left(2, id="b"), joined(3, id="b"), left(4, id="b"),
)  # fmt: skip
WITH_REPEATS = (
    joined(1, id="a"), joined(1, id="a"), left(2, id="a"), left(2, id="a"),
    joined(1, id="b"), joined(1, id="b"), left(2, id="b"), joined(3, id="b"),
)  # fmt: skip
LEAVES_FIRST = (
    left(1, id="a"), left(1, id="a"), joined(2, id="a"), joined(2, id="a"),
    left(1, id="b"), left(3, id="b"), joined(2, id="b"), joined(2, id="b"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("story", "expected"),
    [
        (TWICE_EACH, {name: (0, [stay(1, 2), stay(3, 4)]) for name in "ab"}),
        (WITH_REPEATS, {"a": (0, [stay(1, 2)]), "b": (1, [stay(1, 2), stay(3, None)])}),
        (LEAVES_FIRST, {"a": (1, [stay(None, 1), stay(2, None)]), "b": (0, [stay(None, 1), stay(2, 3)])}),
    ],
)
def test_all_orders_of_eight_changes_give_one_roster(
    story: tuple[Event, ...], expected: dict[str, tuple[int, list[Interval]]]
) -> None:
    """Joins and leaves of two people, told in every order, some of them twice: what happened is the same."""
    for order in itertools.permutations(story):
        assert facts(roster_of(order)) == expected


def test_no_sequence_up_to_eight_makes_anybody_less_than_absent() -> None:
    """Every sequence of joins and leaves of two people, each at the time at which it arrives."""
    kinds = [(make, name) for make in (joined, left) for name in "ab"]
    for length in range(1, 9):
        changes = [{kind: kind[0](at_s, id=kind[1]) for kind in kinds} for at_s in range(length)]
        for choice in itertools.product(kinds, repeat=length):
            roster = Roster()
            for at, kind in enumerate(choice):
                one = changes[at][kind]
                assert isinstance(one.data, ParticipantChange)
                roster.fold(one, one.data)
            there = {name for name in "ab" if [make for make, who in choice if who == name][-1:] == [joined]}
            assert roster.counts()[0] == len(there)
            if length == 8 and choice[0] != choice[-1]:  # a part of them, for time
                continue
            sane(roster.people())


PEOPLE = [
    {"id": "1", "user_id": "u"}, {"id": "2", "user_id": "u"}, {"id": "3", "name": "Ada"}, {"user_id": "w"},
    {"name": "Ada"}, {},
]  # fmt: skip


@given(
    st.lists(
        st.builds(
            lambda make, at_s, who, **keys: make(at_s, **who),
            st.sampled_from([joined, left]), st.integers(0, 12), st.sampled_from(PEOPLE),
        ),
        max_size=40,
    ),
    st.lists(st.integers(0, 12), max_size=2),
)  # fmt: skip
def test_any_story_is_sane_and_repeats_change_nothing(events: list[Event], ends: list[int]) -> None:
    """Several connections, people without any id, ends of the meeting, equal times: never negative, never doubled."""
    roster = roster_of(events)
    for end_s in ends:
        roster.end(at_ns(end_s))
    sane(roster.people())
    assert roster.counts()[0] == sum(person.connections > 0 for person in roster.people())
    again = roster_of([*events, *events])
    for end_s in ends:
        again.end(at_ns(end_s))
    assert [person.intervals for person in again.people()] == [person.intervals for person in roster.people()]


# Who is who


def test_a_leave_without_a_join_has_an_unknown_beginning() -> None:
    """People who were there before the bot get no join; one whose leave tells its duration has a beginning."""
    assert facts(roster_of([left(5, id="a")])) == {"a": (0, [stay(None, 5)])}
    assert facts(roster_of([left(5, id="a", duration_s=3.0)])) == {"a": (0, [stay(2, 5)])}
    assert facts(roster_of([left(5, id="a", duration_s=1e300)])) == {"a": (0, [stay(None, 5)])}
    told_twice = [joined(1, id="a"), left(5, id="a"), left(6, id="a", duration_s=4.5)]
    assert facts(roster_of(told_twice)) == {"a": (0, [stay(1, 5)])}


def test_two_connections_of_a_user_are_one_person() -> None:
    """Somebody with a phone and a laptop is there until both are gone, and counts once."""
    story = [
        joined(1, id="laptop", user_id="u", name="Ada"),
        joined(2, id="phone", user_id="u", name="Ada"),
        left(3, id="laptop", user_id="u"),
    ]
    roster = roster_of(story)
    assert facts(roster) == {"Ada": (1, [stay(1, None)])} and roster.counts() == (1, 1)
    roster = roster_of([*story, left(4, id="phone", user_id="u"), joined(9, id="tablet", user_id="u")])
    assert facts(roster) == {"Ada": (1, [stay(1, 4), stay(9, None)])}


def test_a_leave_of_unknown_beginning_within_a_stay_adds_nothing() -> None:
    """The other connection's join is what was missed."""
    story = [joined(1, id="x", user_id="u", name="Ada"), left(2, id="y", user_id="u"), left(3, id="x", user_id="u")]
    assert facts(roster_of(story)) == {"Ada": (0, [stay(1, 3)])}


def test_people_are_told_apart_by_id_then_user_then_name() -> None:
    """Two of the same name with ids are two; without ids they are one; nobody is nobody."""
    roster = roster_of([joined(1, id="1", name="Ada"), joined(1, id="2", name="Ada")])
    assert roster.counts()[0] == 2
    roster = roster_of([joined(1, name="Ada"), joined(2, name="Ada"), joined(2, user_id="Ada"), joined(3)])
    assert roster.counts()[0] == 2 and roster.nobody == 1


def test_an_update_tells_facts_and_no_presence() -> None:
    """Facts come together from all changes, and one that tells less takes nothing away."""
    update = event(
        "participant.updated", ParticipantChange(participant=Participant(id="1", host=True, name="Ada L")), 2
    )
    roster = roster_of([update])
    assert roster.counts() == (0, 1)
    roster = roster_of([joined(1, id="1", name="Ada", email="a@b"), update, left(3, id="1")])
    (person,) = roster.people()
    assert person.who == Participant(id="1", name="Ada L", email="a@b", host=True)
    assert person.intervals == [stay(1, 3)]


def test_who_was_there_when_the_meeting_ended_is_not_there_when_it_begins_again() -> None:
    """Until they join again; a leave that comes late still counts."""
    roster = roster_of([joined(1, id="a"), joined(1, id="b")])
    roster.end(at_ns(10))
    assert roster.counts()[0] == 0
    late = left(5, id="b")
    assert isinstance(late.data, ParticipantChange)
    roster.fold(late, late.data)
    again = joined(20, id="a")
    assert isinstance(again.data, ParticipantChange)
    roster.fold(again, again.data)
    assert facts(roster) == {"a": (1, [stay(1, 10), stay(20, None)]), "b": (0, [stay(1, 5)])}


# Bounds


def test_memory_is_bounded() -> None:
    """The oldest stays of one connection go, whole; connections beyond the bound are counted."""
    flapping = [joined(at_s, id="a") if at_s % 2 == 0 else left(at_s, id="a") for at_s in range(501)]
    (person,) = roster_of(flapping).people()
    assert len(person.intervals) <= MOST_CHANGES and person.connections == 1
    assert all(interval.begin_ns is not None for interval in person.intervals)
    roster = roster_of(joined(1, id=str(number)) for number in range(MOST_CONNECTIONS + 3))
    assert roster.counts()[1] == MOST_CONNECTIONS and roster.dropped == 3
