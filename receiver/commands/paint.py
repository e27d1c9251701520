"""Events on a terminal: what is still being said stands grey on the last line and is replaced in place."""

import re
from typing import TextIO
from unicodedata import east_asian_width
from zlib import crc32

from receiver.events import Event, Transcript
from receiver.live.frames import Gap
from sinks.text import text_line

_RESET, _GREY, _DIM, _RED = "\x1b[0m", "\x1b[90m", "\x1b[2m", "\x1b[31m"
#: of names; readable on dark and on light
_COLOURS = ("\x1b[36m", "\x1b[32m", "\x1b[35m", "\x1b[34m", "\x1b[33m")
_CLEAR_LINE = "\r\x1b[K"
#: time, subject, who, what: as ``text_line`` has them
_SPOKEN = re.compile(r"(\d\d:\d\d:\d\d )(\[[^\]]*\] )?([^:]*)(: .*)", re.DOTALL)
_TIME_CHARACTERS = len("09:30:05 ")


class Painter:
    """Writes lines. ``colour`` and ``columns`` are the terminal's: 0 columns, and nothing is replaced."""

    def __init__(self, out: TextIO, *, as_json: bool, colour: bool, columns: int) -> None:
        self._out = out
        self._as_json = as_json
        self._colour = colour
        self._columns = 0 if as_json else columns
        #: who is speaking, and the line that stands there for now
        self._speaking = ""
        self._partial = ""

    def show(self, one: Event | Gap) -> None:
        """An event, or that some are missing."""
        if self._as_json:
            self._out.write(one.json().decode(errors="replace") + "\n")
        elif isinstance(one, Gap):
            self._line(self._coloured(_RED, one.text().decode()))
        elif one.type == "transcript.partial" and self._columns:
            self._replace(one)
        else:
            if isinstance(one.data, Transcript) and _speaker(one) == self._speaking:
                self._speaking = ""
            self._line(self._painted(one))

    def flush(self) -> None:
        """Show what was written."""
        self._out.flush()

    def close(self) -> None:
        """Take away what was not final."""
        if self._partial:
            self._out.write(_CLEAR_LINE)
        self._speaking = self._partial = ""
        self._out.flush()

    def _line(self, text: str) -> None:
        """A line that stays, above the one that is replaced."""
        before = _CLEAR_LINE if self._partial else ""
        if not self._speaking:
            self._partial = ""
        self._out.write(f"{before}{text}\n{self._partial}")

    def _replace(self, event: Event) -> None:
        self._speaking = _speaker(event)
        line = self._coloured(_GREY, fit(text_line(event), self._columns - 1))
        self._out.write((_CLEAR_LINE if self._partial else "") + line)
        self._partial = line

    def _painted(self, event: Event) -> str:
        line = text_line(event)
        if not self._colour:
            return line
        if event.type == "transcript.partial":
            return self._coloured(_GREY, line)
        spoken = _SPOKEN.fullmatch(line) if event.type in ("transcript.final", "chat.message") else None
        if spoken is None:
            return f"{_DIM}{line[:_TIME_CHARACTERS]}{_RESET}{line[_TIME_CHARACTERS:]}"
        time, subject, who, what = spoken.groups(default="")
        return f"{_DIM}{time}{subject}{_RESET}{_COLOURS[crc32(who.encode()) % len(_COLOURS)]}{who}{_RESET}{what}"

    def _coloured(self, colour: str, text: str) -> str:
        return f"{colour}{text}{_RESET}" if self._colour else text


def fit(text: str, columns: int) -> str:
    """``text`` on one row: of a long one the beginning, which says who, and the end, which is what is new."""
    if _width(text) <= columns:
        return text
    head = text[: columns // 2]
    while _width(head) > columns // 2:
        head = head[:-1]
    tail = text[len(head) :]
    room = columns - _width(head) - 1
    while (over := _width(tail) - room) > 0:
        tail = tail[max(1, over // 2) :]
    return f"{head}…{tail}"


def _width(text: str) -> int:
    return len(text) if text.isascii() else sum(2 if east_asian_width(one) in "WF" else 1 for one in text)


def _speaker(event: Event) -> str:
    speaker = event.data.speaker if isinstance(event.data, Transcript) else None
    return f"{event.subject}/{(speaker.id or speaker.name) if speaker else ''}"
