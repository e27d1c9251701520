"""Everything that a book holds, as plain values that can be compared, and a book written down and read again."""

from collections.abc import Iterable
from typing import Any

import msgspec

from receiver.events import Event
from receiver.meetings.book import MeetingBook
from receiver.meetings.snapshot import Anchor, Head, Restored, frames_of, sealed, unsealed

MAKER = b"sixteen bytes.  "
#: of turns that were pictured before; nobody goes through them in order
_INDEXES = ("_latest", "_numbered", "_open", "_finals")
ANCHOR = Anchor(7, 2, 1_781_082_000_000_000_000, "meetstream", "default", 5)


def picture(book: MeetingBook) -> Any:
    """Every field of every object that ``book`` leads to, private ones too, with which of them are the same object.

    What was only logged is left out."""
    facts = {name: value for name, value in vars(book).items() if name != "_logged"}
    return _pictured(facts, {})


def written(book: MeetingBook, maker: bytes = MAKER) -> bytes:
    """The file that holds ``book``."""
    meetings, counters = book.everything()
    head = Head((60.0, *book.bounds), ANCHOR, counters, len(meetings))
    return b"".join(sealed([make() for make in frames_of(head, meetings)], maker))


def read(content: bytes, maker: bytes = MAKER) -> MeetingBook:
    """The book that a file holds. Raises ``SnapshotUnusable``."""
    frames = unsealed(content, maker)
    restored = Restored(frames[0])
    assert restored.head.anchor == ANCHOR and ANCHOR.last_seq == 8
    for frame in frames[1:]:
        restored.take(frame)
    _, most_meetings, most_characters, quiet_s = restored.head.settings
    book = MeetingBook(most_meetings=most_meetings, most_characters=most_characters, quiet_s=quiet_s)
    book.restore(restored.all(), restored.head.counters)
    return book


def folded(events: Iterable[Event], **keys: Any) -> MeetingBook:
    """A book of these events."""
    book = MeetingBook(**keys)
    book.fold(events)
    return book


def _pictured(value: Any, seen: dict[int, int]) -> Any:
    """Scalars with their types: 5 and 5.0 are shown in two ways. An object that comes again is its number."""
    if isinstance(value, dict):
        pairs = [(_pictured(key, seen), _pictured(one, seen)) for key, one in value.items()]
        return ("dict", pairs)
    if isinstance(value, set):
        return ("set", sorted(value))
    if isinstance(value, (list, tuple)):
        return (type(value).__name__, [_pictured(one, seen) for one in value])
    if isinstance(value, msgspec.Struct):
        if id(value) in seen:
            return ("again", seen[id(value)])
        number = seen[id(value)] = len(seen)
        fields = [(name, _pictured(getattr(value, name), seen)) for name in value.__struct_fields__]
        fields = [(name, ("dict", sorted(one[1], key=repr)) if name in _INDEXES else one) for name, one in fields]
        return (type(value).__name__, number, fields)
    assert value is None or isinstance(value, (str, int, float)), f"not pictured: {type(value)}"
    return (type(value).__name__, value)
