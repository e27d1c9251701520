"""From a path template and an event to a file below one folder. Pure: names only, no file is touched here.

Values come from strangers (a bot id, a room name), so each becomes one safe path component, and distinct values become
distinct components. ``~`` never comes out of a value as it went in: it marks what this package adds to a name, the
digest of a value that was too long and the sequence number of a closed file, so nobody can name a file like that.
"""

import hashlib
import re
from functools import lru_cache
from pathlib import Path

from receiver.errors import ConfigError
from receiver.events import Event, format_time

DAY_NS = 86_400 * 10**9
#: placeholder -> longest component that a value makes, in bytes
LIMITS = {"subject": 120, "type": 40, "date": 10, "vendor": 40}
_ALLOWED = "relative or absolute path of the placeholders {subject}, {type}, {date}, {vendor}"
_ABSENT = "none"
_VALUE = r"[A-Za-z0-9._@=+%~-]+"
_UNSAFE = re.compile(rb"[^A-Za-z0-9._@=+-]")
_FIELD = re.compile(r"\{([^{}]*)\}")
#: a file name ends in a literal suffix: only such files are ever touched, whatever else lies in the folder
_FILE_NAME = re.compile(r"[^~]+(\.[A-Za-z0-9]{1,16})\Z")
_OWN_SUFFIXES = (".gz", ".tmp")
#: ``~``, sequence number, counter and the suffixes of a closed file, at their longest
_ROOM_FOR_SUFFIX_BYTES = 40
_MOST_NAME_BYTES = 255


def component(value: str, limit: int = 120) -> str:
    """One safe path component of at most ``limit`` (40 or more) bytes: distinct for distinct values.

    Percent-encoded UTF-8 outside ``[A-Za-z0-9._@=+-]``; no leading dot; the empty value is ``none``; what is too long
    keeps its beginning and gets ``~`` and 128 bits of its SHA-256.
    """
    if not value:
        return _ABSENT
    data = value.encode("utf-8", "surrogatepass")
    text = _UNSAFE.sub(_percent, data).decode("ascii")
    if text[0] == "." or text == _ABSENT:
        text = f"%{data[0]:02X}{text[1:]}"
    if len(text) <= limit:
        return text
    return f"{text[: limit - 33]}~{hashlib.sha256(data).hexdigest()[:32]}"


class PathTemplate:
    """A checked template such as ``events/{date}/{subject}.jsonl``.

    ``root`` is its literal beginning, the folder that no event's path leaves. Raises ``ConfigError`` for what is not
    allowed in a template.
    """

    def __init__(self, text: str, data_dir: Path) -> None:
        parts = _checked_parts(text)
        fixed = 0
        while fixed < len(parts) - 1 and "{" not in parts[fixed]:
            fixed += 1
        base = Path("/") if text.startswith("/") else data_dir
        self.root = base.joinpath(*parts[:fixed]).absolute()
        self.fields = frozenset(_FIELD.findall("/".join(parts[fixed:])))
        self._below_root = "/".join(parts[fixed:])
        self._render = lru_cache(maxsize=4096)(self._render_values)
        self._one_a_day = self.fields <= {"date"}
        stem = self._below_root[: -len(Path(parts[-1]).suffix)]
        suffix = re.escape(Path(parts[-1]).suffix)
        self._active = re.compile(rf"{_pattern(stem)}{suffix}\Z")
        self._closed = re.compile(rf"{_pattern(stem)}~\d{{20}}(-\d+)?{suffix}(?P<temporary>\.gz\.tmp)?\Z")

    def path(self, event: Event) -> Path:
        """The file of ``event``, below ``root``."""
        day = event.received_ns // DAY_NS
        if self._one_a_day:
            return self._render("", "", "", day)
        source = event.source.split("/", 2)
        return self._render(event.subject, event.type, source[1] if len(source) > 1 else source[0], day)

    def is_closed(self, relative: str) -> bool:
        """Whether a path below ``root`` is a closed file that is not compressed, or what a compression left behind."""
        return self._closed.match(relative) is not None

    def date_of(self, relative: str) -> str:
        """The date in the path of a file that may be open; empty for other files and templates without ``{date}``."""
        if "date" not in self.fields or self.is_closed(relative) or not (found := self._active.match(relative)):
            return ""
        return found["date"]

    def _render_values(self, subject: str, type_: str, vendor: str, day: int) -> Path:
        values = {"subject": subject, "type": type_, "vendor": vendor, "date": date_text(day)}
        return self.root / _FIELD.sub(lambda found: component(values[found[1]], LIMITS[found[1]]), self._below_root)


def plain(text: str) -> str:
    """``text`` in one line that changes nothing on a terminal."""
    return text if text.isprintable() else ascii(text)[1:-1]


def date_text(day: int) -> str:
    """``2026-11-21`` of a number of days since the epoch, UTC."""
    return format_time(day * DAY_NS)[:10]


def _percent(found: re.Match[bytes]) -> bytes:
    return b"%%%02X" % found[0][0]


def _pattern(template: str) -> str:
    """A regular expression that fits what ``template`` renders to; ``date`` is the last ``{date}`` of it."""
    pieces = _FIELD.split(template)
    last_date = max((index for index in range(1, len(pieces), 2) if pieces[index] == "date"), default=-1)
    made = [re.escape(piece) if index % 2 == 0 else _VALUE for index, piece in enumerate(pieces)]
    if last_date >= 0:
        made[last_date] = r"(?P<date>\d{4}-\d\d-\d\d)"
    return "".join(made)


def _checked_parts(text: str) -> list[str]:
    unknown = [name for name in _FIELD.findall(text) if name not in LIMITS]
    if unknown:
        allowed = ", ".join(f"{{{name}}}" for name in LIMITS)
        raise ConfigError(*(f"path: found {{{plain(name)}}}, allowed {allowed}" for name in unknown))
    literal = _FIELD.sub("", text)
    if "{" in literal or "}" in literal or not literal.isprintable():
        raise ConfigError(f"path: found {text!r}, allowed a {_ALLOWED}")
    parts = text.removeprefix("/").split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise ConfigError(f"path: found {text!r}, allowed a path without empty, '.' and '..' parts")
    name = _FILE_NAME.match(parts[-1])
    if name is None or name[1].lower() in _OWN_SUFFIXES:
        raise ConfigError(f"path: found {text!r}, allowed a name without '~' that ends like .jsonl, not .gz, .tmp")
    for part in parts:
        longest = len(_FIELD.sub("", part).encode()) + sum(LIMITS[found] for found in _FIELD.findall(part))
        if longest > _MOST_NAME_BYTES - _ROOM_FOR_SUFFIX_BYTES:
            raise ConfigError(f"path: found {part!r}, which may become {longest} bytes, allowed 215: use more folders")
    return parts
