"""What a live reader asks for, out of the query of a URL. Pure. Raises ``Malformed``, naming the parameter."""

from collections.abc import Iterable
from typing import Literal, Protocol

import msgspec

from receiver.delivery.select import Selection
from receiver.errors import Malformed
from receiver.events import MEDIA_TYPES, Event, parse_time
from receiver.record import Record
from receiver.vendors import VENDORS

Form = Literal["json", "text"]
_NAMES = ("types", "subject", "vendor", "final", "format", "after")
_FLAGS = {"true": True, "1": True, "false": False, "0": False}
_PARTIAL = "transcript.partial"
_MOST_VALUES = 100
_MOST_CHARACTERS = 512


class Begin(msgspec.Struct, frozen=True):
    """Where to begin: behind a sequence number, or with what arrived since a time (nanoseconds since the epoch).
    Neither: now. ``after`` 0: with the oldest event that is kept."""

    after: int | None = None
    since_ns: int | None = None


class Filter(msgspec.Struct, frozen=True):
    """Which events. Two that are equal want the same ones. ``types`` are names, patterns are resolved."""

    types: frozenset[str]
    subjects: tuple[str, ...] = ("*",)
    vendors: tuple[str, ...] = ()

    @property
    def media(self) -> bool:
        """Whether sound or video is wanted."""
        return not self.types.isdisjoint(MEDIA_TYPES)


class Query(msgspec.Struct, frozen=True):
    """One reader's wishes."""

    filter: Filter
    form: Form = "json"
    begin: Begin = Begin()


class Wanted:
    """Picks what a filter wants."""

    def __init__(self, filter_: Filter) -> None:
        self._selection = Selection(filter_.types, filter_.subjects)
        self._vendors = frozenset(filter_.vendors)

    def pick(self, record: Record) -> list[Event]:
        """The wanted events of a decoded record, in order."""
        if self._vendors and record.vendor not in self._vendors:
            return []
        return self._selection.pick(record.events or ())


class HasAll(Protocol):
    """A query in which a name may stand several times."""

    def keys(self) -> Iterable[str]: ...

    def getall(self, key: str, default: list[str], /) -> list[str]: ...


def read_query(query: HasAll, last_event_id: str = "") -> Query:
    """``types`` and ``vendor`` take several values, with a comma or by repetition, ``subject`` by repetition.

    ``last_event_id`` (of a reader that comes back) outweighs ``after``, which stands in the URL from the first time on.
    """
    for name in query.keys():  # noqa: SIM118 - a multidict's keys
        if name not in _NAMES:
            raise Malformed(f"no such parameter; there are {', '.join(_NAMES)}", _short(name))
    types = [part.strip() for value in _values(query, "types") for part in value.split(",")]
    vendors = [part.strip() for value in _values(query, "vendor") for part in value.split(",")]
    final, form = _value(query, "final", "false"), _value(query, "format", "json")
    if final not in _FLAGS:
        raise Malformed(f"{_short(final)!r} is neither true nor false", "final")
    if form not in ("json", "text"):
        raise Malformed(f"{_short(form)!r} is neither json nor text", "format")
    begin = read_after(_value(query, "after", ""))
    if last_event_id:
        if not (last_event_id.isdecimal() and last_event_id.isascii()):
            raise Malformed("not a sequence number as events carry it", "Last-Event-ID")
        begin = Begin(after=int(last_event_id[:_MOST_CHARACTERS]))
    chosen = make_filter(types, _values(query, "subject"), vendors, final=_FLAGS[final])
    return Query(chosen, "text" if form == "text" else "json", begin)


def make_filter(types: list[str], subjects: list[str], vendors: list[str], *, final: bool = False) -> Filter:
    """Empty lists want everything, which sound and video belong to only where a pattern names them: ``audio.*``.

    ``final``: no ``transcript.partial``."""
    names: set[str] = set()
    for pattern in types or ["*"]:
        fitting = Selection([pattern], ["*"]).types
        if not fitting:
            raise Malformed(f"{_short(pattern)!r} is no event type, nor a pattern of any", "types")
        names |= fitting - MEDIA_TYPES if pattern.startswith("*") else fitting
    if not names:
        raise Malformed("sound and video are sent only where they are named: audio.*, video.*", "types")
    if final:
        names.discard(_PARTIAL)
        if not names:
            raise Malformed(f"only {_PARTIAL} is asked for, and it is never final", "final")
    for vendor in vendors:
        if vendor not in VENDORS:
            raise Malformed(f"no vendor {_short(vendor)!r}; there are {', '.join(sorted(VENDORS))}", "vendor")
    if "" in subjects:
        raise Malformed("an empty id: no event would fit", "subject")
    return Filter(frozenset(names), tuple(sorted(set(subjects))) or ("*",), tuple(sorted(set(vendors))))


def read_after(text: str) -> Begin:
    """A sequence number, ``start``, or a time of arrival (ISO 8601; without a zone UTC); nothing is now."""
    text = text.strip()
    if not text:
        return Begin()
    if text == "start":
        return Begin(after=0)
    if text.isdecimal() and text.isascii() and len(text) <= _MOST_CHARACTERS:
        return Begin(after=int(text))
    since_ns = parse_time(text)
    if since_ns is None:
        since_ns = parse_time(text.replace(" ", "+"))  # the + of a zone is a blank in a URL
    if since_ns is None:
        raise Malformed(
            f"{_short(text)!r} is no sequence number, no time such as 2026-06-10T09:00:00Z, and not start", "after"
        )
    return Begin(since_ns=since_ns)


def _values(query: HasAll, name: str) -> list[str]:
    values = query.getall(name, [])
    if len(values) > _MOST_VALUES:
        raise Malformed(f"more than {_MOST_VALUES} values", name)
    if any(len(value) > _MOST_CHARACTERS for value in values):
        raise Malformed(f"longer than {_MOST_CHARACTERS} characters", name)
    return values


def _value(query: HasAll, name: str, default: str) -> str:
    values = _values(query, name)
    if len(values) > 1:
        raise Malformed("given more than once", name)
    return values[0] if values else default


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:79] + "…"
