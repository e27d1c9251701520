"""What all MeetStream bodies share beside what those of all vendors do: placeholders, custom attributes."""

from typing import Any

from receiver.events import Person
from receiver.vendors.wire import not_blank, require_shallow

#: Texts that stand where nobody is named; they are left out everywhere.
PLACEHOLDERS = frozenset({"", "Unknown", "NoSpeaker"})


def real(text: str | None) -> str | None:
    """``text``, or ``None`` where it is a placeholder or blank."""
    return None if text in PLACEHOLDERS else not_blank(text)


def person(id_: str | None, name: str | None) -> Person | None:
    """Who that is; ``None`` where it is nobody."""
    id_, name = real(id_), real(name)
    return None if id_ is None and name is None else Person(id=id_, name=name)


def speaker(told: str | int | None) -> Person | None:
    """Who spoke a word or a segment: a name in some variants, an index in others."""
    return person(str(told), None) if isinstance(told, int) else person(None, told)


def attributes(value: dict[str, Any] | None) -> dict[str, Any] | None:
    """``custom_attributes`` as the contract carries them: absent where empty."""
    if value:
        require_shallow(value, "$.custom_attributes")
    return value or None
