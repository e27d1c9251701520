"""Daily's stored transcripts: WebVTT (transcript, access link, docs.daily.co, 2026), from bytes to segments.

The document does not show how a speaker is named: read are a voice tag in each of its spellings (``<v Ada>``,
``<v>Ada:</v>``) and ``Ada: text``.
"""

import re
from collections.abc import Iterator
from html import unescape

from receiver.data import Person, Segment

_TIME = r"(?:([0-9]{1,4}):)?([0-9]{1,2}):([0-9]{2})[.,]([0-9]{1,3})"
_TIMES = re.compile(rf"\s*{_TIME}[ \t]*-->[ \t]*{_TIME}(?=\s|$)")
_VOICE = re.compile(r"<v(?:\.[^\s>]*)?(?:[ \t]+([^>]*))?>")
_TAG = re.compile(r"</?[A-Za-z0-9:.][^<>]*>|</>")
#: a name before a colon is not longer, and holds no sentence
_NAMED = re.compile(r"([^:.!?\n]{1,64}): +(?=\S)")
_CLOSE = "</v>"


def is_webvtt(content: bytes) -> bool:
    """Whether it begins as WebVTT does."""
    return content.removeprefix(b"\xef\xbb\xbf").startswith(b"WEBVTT")


def segments(content: bytes) -> list[Segment]:
    """The cues as segments, one for each voice in them, in the order of the file; seconds from its beginning.

    Notes, styles and cues whose times cannot be read are left out: one bad line costs no transcript. Bytes that are no
    UTF-8 become U+FFFD. Never raises.
    """
    text = content.decode("utf-8", "replace").removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    found: list[Segment] = []
    for block in re.split(r"\n[ \t]*\n", text):
        lines = block.strip("\n").split("\n")
        at = next((number for number, line in enumerate(lines[:2]) if "-->" in line), None)
        times = None if at is None else _TIMES.match(lines[at])
        if at is None or times is None:
            continue
        parts = times.groups()
        start_s, end_s = _seconds(parts[:4]), _seconds(parts[4:])
        for name, said in _voices("\n".join(lines[at + 1 :])):
            speaker = Person(name=name) if name else None
            found.append(Segment(text=said, speaker=speaker, start_s=start_s, end_s=max(start_s, end_s)))
    return found


def _voices(text: str) -> Iterator[tuple[str, str]]:
    """Name, which may be empty, and text of each voice."""
    places = list(_VOICE.finditer(text))
    if not places:
        name, said = "", _plain(text)
        if named := _NAMED.match(said):
            name, said = named[1].strip(), said[named.end() :]
        yield from [(name, said)] if said else []
        return
    if before := _plain(text[: places[0].start()]):
        yield "", before
    ends = [*(place.start() for place in places[1:]), len(text)]
    for place, end in zip(places, ends, strict=True):
        name, said = _plain(place[1] or ""), text[place.end() : end]
        head, closed, tail = said.partition(_CLOSE)
        if not name and closed:
            name, said = _plain(head).rstrip(":").rstrip(), tail
        if plain := _plain(said):
            yield name, plain


def _plain(text: str) -> str:
    return " ".join(unescape(_TAG.sub("", text)).split())


def _seconds(parts: tuple[str | None, ...]) -> float:
    hours, minutes, seconds, thousandths = parts
    whole = (int(hours or 0) * 60 + int(minutes or 0)) * 60 + int(seconds or 0)
    return whole + int((thousandths or "0").ljust(3, "0")) / 1000
