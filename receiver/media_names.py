"""Which attributes a media event has beside those that every event has, and which of them last.

CloudEvents has no data beside media bytes, so what ``receiver.data`` tells of a chunk becomes attributes. Most of them
are the same in all chunks of a stream, fifty a second: whoever writes them keeps what he wrote, see ``lasting_of``.
"""

from collections.abc import Callable
from functools import cache
from operator import attrgetter
from typing import Any, get_args

import msgspec

from receiver.data import Data, Person

#: custom attributes have no place: attributes of CloudEvents are scalars. Nor has this: sound is never found afterwards
_NONE = ("attributes", "reconciled")
#: where a chunk stands in its stream: hardly two are equal
_COUNTING = ("first_sample", "samples", "gap_ms")


@cache
def media_attributes(kind: type[Data]) -> dict[str, tuple[str, str]]:
    """Attribute name -> field of media data and, for a speaker, the field within: ``ratehz`` -> ``("rate_hz", "")``.

    The keys of ``kind`` without underscore.
    """
    names: dict[str, tuple[str, str]] = {}
    for field in msgspec.structs.fields(kind):
        name = field.name.replace("_", "")
        if Person in (field.type, *get_args(field.type)):
            names.update({name + inner: (field.name, inner) for inner in Person.__struct_fields__})
        elif field.name not in _NONE:
            names[name] = (field.name, "")
    return names


def lasting_of(data: Data) -> tuple[Any, ...]:
    """The values of those fields of ``data`` that last; they can be the key of a cache."""
    return _lasting_values(type(data))(data)


def lasting_attributes(kind: type[Data], values: tuple[Any, ...]) -> dict[str, Any]:
    """The attributes of ``values``, which ``lasting_of`` a ``kind`` gave. Those that are absent have no name here."""
    by_field = dict(zip(_lasting_fields(kind), values, strict=True))
    found = {}
    for name, (field, inner) in media_attributes(kind).items():
        value = by_field.get(field)
        if inner and value is not None:
            value = getattr(value, inner)
        if value is not None:
            found[name] = value
    return found


def counting_attributes(data: Data) -> dict[str, Any]:
    """The other attributes of ``data``: all numbers."""
    return {name: value for name, field in _counting(type(data)) if (value := getattr(data, field)) is not None}


@cache
def _lasting_values(kind: type[Data]) -> Callable[[Data], tuple[Any, ...]]:
    return attrgetter(*_lasting_fields(kind))


@cache
def _lasting_fields(kind: type[Data]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(field for field, _ in media_attributes(kind).values() if field not in _COUNTING))


@cache
def _counting(kind: type[Data]) -> tuple[tuple[str, str], ...]:
    return tuple((name, field) for name, (field, _) in media_attributes(kind).items() if field in _COUNTING)
