"""Which events a sink wants. Pure."""

import re
from collections.abc import Iterable
from fnmatch import translate

from receiver.events import DATA_TYPES, MEDIA_TYPES, Event


class Selection:
    """``types`` and ``subjects`` of a sink's config: patterns in which ``*`` stands for any run of characters."""

    def __init__(self, types: Iterable[str], subjects: Iterable[str]) -> None:
        patterns = [_compile(pattern) for pattern in types]
        #: contract types are decided once, not for each event
        self._types = frozenset(name for name in DATA_TYPES if any(pattern.match(name) for pattern in patterns))
        wanted = list(subjects)
        self._subjects = None if "*" in wanted else [_compile(pattern) for pattern in wanted]
        self._everything = self._subjects is None and len(self._types) == len(DATA_TYPES)

    @property
    def types(self) -> frozenset[str]:
        """The types of the contract that fit."""
        return self._types

    @property
    def media(self) -> bool:
        """Whether any media type is wanted: otherwise the media lane need not be read."""
        return not self._types.isdisjoint(MEDIA_TYPES)

    @property
    def empty(self) -> bool:
        """Whether no type of the contract fits: a spelling mistake, most likely."""
        return not self._types

    def pick(self, events: Iterable[Event]) -> list[Event]:
        """The wanted ones, in order."""
        if self._everything:
            return list(events)
        return [event for event in events if event.type in self._types and self._wants(event.subject)]

    def _wants(self, subject: str) -> bool:
        return self._subjects is None or any(pattern.match(subject) for pattern in self._subjects)


def _compile(pattern: str) -> re.Pattern[str]:
    return re.compile(translate(pattern.replace("[", "[[]")))
