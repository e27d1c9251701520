"""A section of a config against the type that describes it: every mistake is told, each in one line. Pure.

A line is ``section.key: found …, allowed …``. What is allowed is read from the type, so it can never be out of date.
Values are shown, because secrets are named in a config and not written there; one that was written there all the same
under a telling name is not shown.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar, get_args, get_origin

import msgspec
from msgspec import inspect

from receiver.redaction import is_secret_key, redact_text

T = TypeVar("T", bound=msgspec.Struct)
_PLAIN_KEY = re.compile(r"[\w-]{1,64}\Z")
#: ``token_env`` holds a name, or by mistake the token itself
_NAMES_SECRET = re.compile(r"_(env|file)(\[\d+\])?\Z")
_LONGEST_SHOWN = 80
_WRONG: Any = object()


def read_section(raw: Any, kind: type[T], section: str, problems: list[str], base: T | None = None) -> T | None:
    """``raw`` as a ``kind``, where a key that is absent or wrong has its default (or what ``base`` has there).

    Adds a line to ``problems`` for each mistake. ``None`` where there is nothing to build: no table, or a key without
    default is missing.
    """
    if not isinstance(raw, Mapping):
        problems.append(_problem(section, raw, "a table"))
        return None
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    if kind.__struct_config__.forbid_unknown_fields:
        names = ", ".join(fields)
        unknown = [name for name in raw if name not in fields]
        problems += [f"{join(section, name)}: found an unknown key, allowed {names}" for name in unknown]
    values: dict[str, Any] = {}
    for name, field in fields.items():
        where, default = join(section, name), _default(field, base)
        if name in raw:
            values[field.name] = _value(raw[name], field.type, where, problems, default)
        elif default is _WRONG:
            problems.append(f"{where}: found nothing, allowed {allowed(field.type)}: the key is required")
        else:
            values[field.name] = default
        if values.get(field.name) is _WRONG:
            values[field.name] = default
    if any(value is _WRONG for value in values.values()) or len(values) < len(fields):
        return None
    try:
        return kind(**values)
    except (ValueError, TypeError) as error:
        problems.append(f"{section}: found keys that do not go together ({error})")
        return None


def join(section: str, key: Any) -> str:
    """``section.key``; a key that is no plain word is quoted, so that the line stays one line."""
    name = key if isinstance(key, str) and _PLAIN_KEY.match(key) else shorten(repr(key))
    return f"{section}.{name}" if section else name


def allowed(type_: Any) -> str:
    """What a value of ``type_`` may be, in words: ``a whole number from 0 to 65535``."""
    if get_origin(type_) is Literal:
        return _choice(get_args(type_))
    try:
        return _words(inspect.type_info(type_))
    except Exception:  # another package's type: msgspec knows how to convert it, not what to call it
        return "a value of another kind"


def shown(where: str, value: Any) -> str:
    """A value as a problem may show it: short, on one line, and not if it looks like a secret."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        if value and is_secret_key(_NAMES_SECRET.sub("", where.rpartition(".")[2])):
            return "a text (not shown)"
        return shorten(repr(redact_text(value)))
    if isinstance(value, int) and abs(value) >= 10**20:
        return "a huge number"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, Mapping):
        return "a table"
    return "nothing" if value is None else f"a {type(value).__name__}"


def shorten(text: str) -> str:
    """At most so many characters as a line of problems has room for."""
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"


def _problem(where: str, value: Any, wanted: str) -> str:
    return f"{where or 'config'}: found {shown(where, value)}, allowed {wanted}"


def _default(field: msgspec.structs.FieldInfo, base: msgspec.Struct | None) -> Any:
    if base is not None:
        return getattr(base, field.name)
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return _WRONG if field.default is msgspec.NODEFAULT else field.default


def _value(value: Any, type_: Any, where: str, problems: list[str], default: Any = _WRONG) -> Any:
    """``value`` as a ``type_``; of a list or table what is good in it; ``_WRONG`` where nothing is."""
    if isinstance(type_, type) and issubclass(type_, msgspec.Struct):
        base = default if isinstance(default, type_) else None
        section = read_section(value, type_, where, problems, base)
        return _WRONG if section is None else section
    try:
        if not _has_nul(value):
            return msgspec.convert(value, type_)
    except msgspec.ValidationError:
        pass
    kind, arguments, before = get_origin(type_), get_args(type_), len(problems)
    good: Any = _WRONG
    if kind is list and isinstance(value, list):
        parts = [_value(item, arguments[0], f"{where}[{index}]", problems) for index, item in enumerate(value)]
        good = [part for part in parts if part is not _WRONG]
    elif kind is dict and isinstance(value, Mapping):
        named = {key: _value(item, arguments[1], join(where, key), problems) for key, item in value.items()}
        good = {key: part for key, part in named.items() if part is not _WRONG and isinstance(key, str)}
    if len(problems) == before:
        problems.append(_problem(where, value, allowed(type_)))
    return good


def _has_nul(value: Any) -> bool:
    """No name of a file, host or variable may hold one, and the operating system's complaint would name no key."""
    return isinstance(value, str) and "\0" in value


def _words(info: inspect.Type) -> str:
    if isinstance(info, inspect.LiteralType):
        return _choice(info.values)
    if isinstance(info, inspect.BoolType):
        return "true or false"
    if isinstance(info, inspect.IntType):
        return "a whole number" + _bounds(info)
    if isinstance(info, inspect.FloatType):
        return "a number" + _bounds(info)
    if isinstance(info, inspect.StrType):
        return "text"
    if isinstance(info, inspect.ListType):
        return "a list" + _of(info.item_type)
    if isinstance(info, inspect.DictType):
        return "a table" + _of(info.value_type)
    if isinstance(info, inspect.UnionType):
        return " or ".join(_words(one) for one in info.types if not isinstance(one, inspect.NoneType))
    return "a table" if isinstance(info, inspect.StructType) else "a value of another kind"


def _choice(values: Sequence[Any]) -> str:
    """``"a", "b" or "c"``."""
    words = [f'"{value}"' if isinstance(value, str) else str(value) for value in values]
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _of(info: inspect.Type) -> str:
    return "" if isinstance(info, inspect.AnyType) else f" of {_words(info).removeprefix('a ')}"


def _bounds(info: inspect.IntType | inspect.FloatType) -> str:
    if info.ge is not None and info.le is not None:
        return f" from {_number(info.ge)} to {_number(info.le)}"
    limits = (("of {} or more", info.ge), ("above {}", info.gt), ("of at most {}", info.le), ("below {}", info.lt))
    return "".join(f" {text.format(_number(limit))}" for text, limit in limits if limit is not None)


def _number(value: float) -> str:
    """Large ones with a mark at each thousand, as TOML takes them."""
    whole = int(value) if value == int(value) else value
    return f"{whole:_}" if abs(whole) >= 10**6 else str(whole)
