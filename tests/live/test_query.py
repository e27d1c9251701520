"""What a reader may ask for. A filter that can mean nothing is told, with the parameter's name: a typing mistake that
gives silence looks like a quiet meeting.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import MultiDict

from receiver.errors import Malformed
from receiver.events import DATA_TYPES, MEDIA_TYPES
from receiver.live.query import Begin, Query, read_query


def read(text: str, last_event_id: str = "") -> Query:
    pairs = [part.partition("=")[::2] for part in text.split("&") if part]
    return read_query(MultiDict(pairs), last_event_id)


@pytest.mark.parametrize(
    ("query", "types"),
    [
        ("", DATA_TYPES.keys() - MEDIA_TYPES),
        ("types=*", DATA_TYPES.keys() - MEDIA_TYPES),
        ("types=transcript.*", {"transcript.partial", "transcript.final"}),
        ("types=transcript.*&final=true", {"transcript.final"}),
        ("final=1", DATA_TYPES.keys() - MEDIA_TYPES - {"transcript.partial"}),
        ("types=bot.status,chat.message", {"bot.status", "chat.message"}),
        ("types=bot.status&types=chat.message", {"bot.status", "chat.message"}),
        ("types=audio.*", {"audio.chunk"}),
        ("types=*,video.chunk", DATA_TYPES.keys() - {"audio.chunk"}),
    ],
)
def test_types(query: str, types: set[str]) -> None:
    """Patterns and lists; sound and video only where they are named, since one second of them outweighs a meeting."""
    assert read(query).filter.types == types


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("types=transkript.*", "types"),
        ("types=", "types"),
        ("types=*.chunk", "types"),
        ("types=bot.*,", "types"),
        ("type=bot.*", "type"),
        ("vendor=acme", "vendor"),
        ("vendor=", "vendor"),
        ("subject=", "subject"),
        ("final=yes", "final"),
        ("types=transcript.partial&final=true", "final"),
        ("format=xml", "format"),
        ("format=json&format=text", "format"),
        ("after=yesterday", "after"),
        ("after=-1", "after"),
        ("after=1.5", "after"),
        ("after=2026-13-01T00:00:00Z", "after"),
        ("after=1&after=2", "after"),
        ("subject=" + "x" * 600, "subject"),
        ("&".join(["types=bot.*"] * 101), "types"),
    ],
)
def test_a_wrong_parameter_is_named(query: str, named: str) -> None:
    """400, and which of them."""
    with pytest.raises(Malformed) as error:
        read(query)
    assert error.value.where == named


def test_where_to_begin() -> None:
    """A number, the oldest, a time in any zone; whoever comes back says where he was, and that outweighs the URL."""
    assert read("").begin == Begin()
    assert read("after=17").begin == Begin(after=17)
    assert read("after=start").begin == read("after=0").begin == Begin(after=0)
    nine = 1_781_082_000 * 10**9
    for text in ("2026-06-10T09:00:00Z", "2026-06-10T09:00", "2026-06-10T11:00:00 02:00", "2026-06-10T11:00:00+02:00"):
        assert read(f"after={text}").begin == Begin(since_ns=nine), text
    assert read("after=start", "00000000000000000017").begin == Begin(after=17)
    with pytest.raises(Malformed, match="Last-Event-ID"):
        read("", "abc")


def test_equal_wishes_are_equal() -> None:
    """Readers who want the same share what is made for them, in whatever order they name it."""
    a = read("types=bot.status,chat.message&subject=b&subject=a")
    b = read("types=chat.message&types=bot.status&subject=a&subject=b&after=5")
    assert a.filter == b.filter and hash(a.filter) == hash(b.filter)


@given(st.dictionaries(st.sampled_from(["types", "subject", "vendor", "final", "format", "after", "x"]), st.text()))
def test_whatever_is_asked_is_understood_or_told(pairs: dict[str, str]) -> None:
    """Nothing else escapes."""
    try:
        query = read_query(MultiDict(pairs))
    except Malformed as problem:
        assert problem.where
    else:
        assert query.filter.types
