"""Who is in a meeting, now and over time: a fold over joins and leaves. Pure.

The result depends on what was told and not on the order in which it came: changes are kept by the time at which they
happened, and intervals are read from them. So nobody is there twice, and nobody less than not at all.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from receiver.events import Event, Participant, ParticipantChange
from receiver.meetings.bounds import MOST_CHANGES, MOST_CONNECTIONS, MOST_ID_CHARACTERS, clipped

_LEFT, _JOINED, _ENDED = 0, 1, 2
_KINDS = {"participant.joined": _JOINED, "participant.left": _LEFT}
_FAR_NS = 1 << 63
#: nobody stays for longer
_MOST_S = 1e8


class Interval(NamedTuple):
    """A stay, in nanoseconds since the epoch. ``begin_ns`` = None: the join is not known; ``end_ns`` = None: no leave
    is, so it lasts, or lasted until the meeting ended."""

    begin_ns: int | None
    end_ns: int | None


class _Change(NamedTuple):
    """Sorts by time, then by arrival. ``since_ns``: the beginning that a leave told with its duration; 0: none."""

    time_ns: int
    sequence: int
    kind: int
    since_ns: int = 0


class Connection(msgspec.Struct, eq=False, array_like=True):
    """One of somebody's connections: what was last told of them, and their joins and leaves in order of time."""

    who: Participant
    changes: list[_Change] = []

    def is_there(self, ends: Sequence[int]) -> bool:
        """Whether the last that happened is a join, behind the last of ``ends``."""
        last = self.changes[-1] if self.changes else None
        return last is not None and last.kind == _JOINED and (not ends or last.time_ns > ends[-1])

    def intervals(self, ends: Sequence[int]) -> list[Interval]:
        """Stays in order of time. ``ends``: when the meeting ended, and began again later."""
        marks = [_Change(end_ns, _FAR_NS, _ENDED) for end_ns in ends]
        found: list[Interval] = []
        begin_ns: int | None = None
        for change in sorted([*self.changes, *marks]) if marks else self.changes:
            if change.kind == _JOINED:
                begin_ns = change.time_ns if begin_ns is None else begin_ns
            elif begin_ns is not None:
                found.append(Interval(begin_ns, change.time_ns))
                begin_ns = None
            elif change.kind == _LEFT and not (change.since_ns and found and change.since_ns < (found[-1].end_ns or 0)):
                found.append(Interval(change.since_ns or None, change.time_ns))
        if begin_ns is not None:
            found.append(Interval(begin_ns, None))
        return found


class Person(msgspec.Struct, eq=False):
    """Somebody with all their connections. ``connections``: how many of them are open now."""

    who: Participant
    connections: int
    intervals: list[Interval]


class Roster(msgspec.Struct, eq=False, array_like=True):
    """Connections by the vendor's id, else the user's, else the name; those with the same user id are one person."""

    _connections: dict[tuple[str, str], Connection] = {}
    #: when the meeting ended before it began again: whoever was there then is not any more
    _ends: list[int] = []
    _counts: tuple[int, int] | None = None
    #: changes that named nobody, and connections beyond the bound
    nobody: int = 0
    dropped: int = 0

    def fold(self, event: Event, data: ParticipantChange) -> None:
        """Take a ``participant.*`` event."""
        connection = self._connection(data.participant)
        self._counts = None
        if connection is None:
            return
        kind = _KINDS.get(event.type)
        if kind is None:  # an update says nothing of coming or going
            return
        changes, time_ns = connection.changes, event.time_ns
        at = bisect_left(changes, (time_ns,))
        while at < len(changes) and changes[at].time_ns == time_ns:
            if changes[at].kind == kind:
                return  # told before
            at += 1
        insort(changes, _Change(time_ns, event.sequence, kind, _since_ns(time_ns, data) if kind == _LEFT else 0))
        if len(changes) > MOST_CHANGES:
            del changes[: 2 if changes[1].kind == _LEFT else 1]

    def end(self, time_ns: int) -> None:
        """The meeting ended then, and has begun again since."""
        insort(self._ends, time_ns)
        self._counts = None

    def counts(self) -> tuple[int, int]:
        """How many people are there now, and how many have been."""
        if self._counts is None:
            present = {_person(key, one.who) for key, one in self._connections.items() if one.is_there(self._ends)}
            everybody = {_person(key, one.who) for key, one in self._connections.items()}
            self._counts = len(present), len(everybody)
        return self._counts

    def people(self) -> list[Person]:
        """Everybody, in the order in which they were first told of."""
        groups: dict[tuple[str, str], list[Connection]] = {}
        for key, connection in self._connections.items():
            groups.setdefault(_person(key, connection.who), []).append(connection)
        return [self._of(group) for group in groups.values()]

    def _of(self, group: list[Connection]) -> Person:
        intervals = [interval for one in group for interval in one.intervals(self._ends)]
        who = group[0].who
        if len(group) > 1:
            intervals = _union(intervals)
            for other in group[1:]:
                who = _merged(who, other.who)
        return Person(who, sum(one.is_there(self._ends) for one in group), intervals)

    def _connection(self, told: Participant) -> Connection | None:
        if told.id:
            key = "id", told.id[:MOST_ID_CHARACTERS]
        elif told.user_id:
            key = "user", told.user_id[:MOST_ID_CHARACTERS]
        elif told.name:
            key = "name", told.name[:MOST_ID_CHARACTERS]
        else:
            self.nobody += 1
            return None
        known = self._connections.get(key)
        if known is not None:
            known.who = _merged(known.who, told)
            return known
        if len(self._connections) >= MOST_CONNECTIONS:
            self.dropped += 1
            return None
        connection = self._connections[key] = Connection(_merged(Participant(), told))
        return connection


def _person(key: tuple[str, str], who: Participant) -> tuple[str, str]:
    return ("user", who.user_id) if who.user_id else key


def _merged(known: Participant, told: Participant) -> Participant:
    """``known`` with what ``told`` tells; one that tells less takes nothing away."""
    if known == told:
        return known
    return Participant(
        id=known.id or clipped(told.id, MOST_ID_CHARACTERS),
        name=clipped(told.name) or known.name,
        user_id=clipped(told.user_id, MOST_ID_CHARACTERS) or known.user_id,
        email=clipped(told.email) or known.email,
        host=known.host if told.host is None else told.host,
        bot=known.bot if told.bot is None else told.bot,
        platform=clipped(told.platform) or known.platform,
    )


def _since_ns(time_ns: int, data: ParticipantChange) -> int:
    duration_s = data.duration_s
    return time_ns - int(duration_s * 1e9) if duration_s is not None and 0 < duration_s < _MOST_S else 0


def _union(intervals: Iterable[Interval]) -> list[Interval]:
    """Stays of several connections as stays of one person. One with unknown beginning counts as its end alone."""
    found: list[Interval] = []
    last_ns = -_FAR_NS
    for interval in sorted(intervals, key=_bounds):
        begin_ns, end_ns = _bounds(interval)
        if found and begin_ns <= last_ns:
            if end_ns > last_ns:
                found[-1] = found[-1]._replace(end_ns=interval.end_ns)
        else:
            found.append(interval)
        last_ns = max(last_ns, end_ns)
    return found


def _bounds(interval: Interval) -> tuple[int, int]:
    end_ns = _FAR_NS if interval.end_ns is None else interval.end_ns
    return (end_ns if interval.begin_ns is None else interval.begin_ns), end_ns
