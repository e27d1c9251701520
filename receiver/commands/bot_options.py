"""``--set field=value`` against the options of a vendor's create call: every mistake names its field. Pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, get_args

import msgspec

from receiver.rest.base import Options, VendorApi
from receiver.sections import allowed, shown

#: what ``--name`` fills, the first of these that the vendor has
_NAMES = ("bot_name", "name", "title")


def options_from(
    api: type[VendorApi], words: Sequence[str], opening: str | None, name: str | None
) -> tuple[Options | None, list[str]]:
    """The options, and a line for each problem; ``None`` where there is one. ``opening``: the link or the title."""
    problems: list[str] = []
    given = pairs(words, problems)
    fields = {field.name: field for field in msgspec.structs.fields(api.OPTIONS)}
    for option, value, typed in ((api.OPENING, opening, "what stands without --set"), (_name(fields), name, "--name")):
        if value is None:
            continue
        if not option:
            problems.append(f"{typed}: found {shown('', value)}, allowed nothing: {api.VENDOR} takes none")
        elif option in given:
            problems.append(f"{option}: found twice, by --set and by {typed}, allowed once")
        else:
            given[option] = value
    values: dict[str, Any] = {}
    for option, value in given.items():
        field = fields.get(option)
        if field is None:
            problems.append(f"{option}: found an unknown option, allowed {', '.join(fields) or 'none'}")
            continue
        try:
            values[option] = _value(value, field.type)
        except msgspec.ValidationError as error:
            problems.append(f"{option}: found {shown(option, value)}, allowed {_words(field.type)} ({error})")
    for option, field in fields.items():
        if field.required and option not in given:
            problems.append(f"{option}: found nothing, allowed {_words(field.type)}: it is required")
    if problems:
        return None, problems
    try:
        return api.OPTIONS(**values), []
    except (ValueError, TypeError) as error:
        return None, [f"options that do not go together: {error}"]


def described(api: type[VendorApi]) -> Iterable[tuple[str, str]]:
    """Each option with what it may be."""
    for field in msgspec.structs.fields(api.OPTIONS):
        yield field.name, _words(field.type) + ("; required" if field.required else "")


def pairs(words: Iterable[str], problems: list[str]) -> dict[str, Any]:
    """``field=value`` and ``field.key=value`` as one table; what is nested is JSON where it can be read as such."""
    found: dict[str, Any] = {}
    for word in words:
        path, equals, text = word.partition("=")
        name, *inner = path.split(".")
        if not equals or not all((name, *inner)):
            problems.append(f"--set: found {shown('', word)}, allowed field=value or field.key=value")
            continue
        if not inner:
            found[name] = text
            continue
        table = found.setdefault(name, {})
        for key in inner[:-1]:
            table = table.setdefault(key, {}) if isinstance(table, dict) else table
        if isinstance(table, dict):
            table[inner[-1]] = plain(text)
        else:
            problems.append(f"{path}: found a key of what has a value already, allowed one of the two")
    return found


def plain(text: str) -> Any:
    """JSON, or the text itself where it is none."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return text


def _value(value: Any, type_: Any) -> Any:
    """Text as a ``type_``: as it is, or as JSON; what looks like a table or list is read as such first."""
    readings = [value] if not isinstance(value, str) else [value, plain(value)]
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        readings.reverse()
    problem: msgspec.ValidationError | None = None
    for reading in readings:
        try:
            return msgspec.convert(reading, type_, strict=False)
        except msgspec.ValidationError as error:
            problem = problem or error
    raise problem or msgspec.ValidationError("nothing was given")


def _words(type_: Any) -> str:
    """What a value may be; clients take times as such."""
    if datetime in _within(type_):
        return "a time such as 2026-06-10T09:00:00Z"
    return allowed(type_)


def _within(type_: Any) -> Iterable[Any]:
    yield type_
    for one in get_args(type_):
        yield from _within(one)


def _name(fields: dict[str, Any]) -> str:
    return next((name for name in _NAMES if name in fields), "")
