"""Finds the class of a sink type, ours or another package's, and makes its config from a section of the file.

Another package's sink lives on an island: see :mod:`receiver.delivery.island`.
"""

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, cast

from receiver.delivery.island import Island
from receiver.delivery.select import Selection
from receiver.errors import ConfigError
from receiver.redaction import redact_text
from receiver.sections import join, read_section, shown
from receiver.settings import Settings
from receiver.vendors import VENDORS, vendor_named
from sinks import ENTRY_POINT_GROUP, SINKS
from sinks.base import Sink, SinkConfig

_COROUTINES = ("open", "write", "close")
#: a sink, not opened yet, and its config
Made = tuple[Sink, SinkConfig]


def sink_types() -> list[str]:
    """Every type that a config may name."""
    from importlib.metadata import entry_points

    return sorted({name for name, _ in SINKS} | {entry.name for entry in entry_points(group=ENTRY_POINT_GROUP)})


def sink_class(type_name: str, section: str) -> type[Sink]:
    """The class behind a type name. Raises ``ConfigError``."""
    where, load = _place(type_name, section)
    try:
        found = load()
    except Exception as error:
        raise ConfigError(
            f"{section}.type: found {shown('', type_name)}, which fails to load from {where}"
            f" ({type(error).__name__}: {error}), allowed a type that loads"
        ) from error
    missing = [name for name in _COROUTINES if not inspect.iscoroutinefunction(getattr(found, name, None))]
    config = getattr(found, "Config", None)
    if missing or not (isinstance(config, type) and issubclass(config, SinkConfig)):
        raise ConfigError(
            f"{section}.type: found {shown('', type_name)}, whose {where} is no sink,"
            " allowed a class with a Config (a SinkConfig) and coroutines open, write, close"
        )
    return cast(type[Sink], found)


def make_sink(name: str, keys: dict[str, Any], data_dir: Path) -> Made:
    """A sink and its config from ``[sinks.NAME]``. Raises ``ConfigError``; connects to nothing."""
    section = join("sinks", name)
    kind = sink_class(keys["type"], section)
    problems: list[str] = []
    config = read_section(keys, kind.Config, section, problems)
    if config is None or problems:
        raise ConfigError(*problems)
    problems += [
        f"{section}.types: found {shown('', pattern)}, allowed event types and patterns such as transcript.*"
        for pattern in config.types
        if Selection([pattern], ["*"]).empty
    ]
    problems += [
        f"{section}.{key}: found an empty list, allowed one with something in it: the sink would get no event"
        for key in ("types", "subjects")
        if not getattr(config, key)
    ]
    if config.batch_events < 1:
        problems.append(f"{section}.batch_events: found {config.batch_events}, allowed 1 or more")
    if problems:
        raise ConfigError(*problems)
    return _build(kind, name, config, data_dir, section), config


def make_sinks(settings: Settings) -> dict[str, Made]:
    """All sinks of a config. Raises ``ConfigError`` with the problems of all of them."""
    made: dict[str, Made] = {}
    problems: list[str] = []
    for name, keys in settings.sinks.items():
        try:
            made[name] = make_sink(name, keys, settings.data_dir)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(*problems)
    return made


def _place(type_name: str, section: str) -> tuple[str, Callable[[], Any]]:
    """Where a type's class is, and what loads it: ours outweighs another package's of the same name."""
    for name, where in SINKS:
        if name == type_name:
            return where, partial(resolve_name, where)
    from importlib.metadata import entry_points  # takes a while: only for types that are not ours

    # one package may be seen twice, e.g. installed and in the working directory
    entries = {entry.value: entry for entry in entry_points(group=ENTRY_POINT_GROUP, name=type_name)}
    if not entries:
        raise ConfigError(f"{section}.type: found {shown('', type_name)}, allowed {', '.join(sink_types())}")
    if len(entries) > 1:
        raise ConfigError(
            f"{section}.type: found {shown('', type_name)} in {' and '.join(sorted(entries))}, allowed a type that"
            " only one package offers"
        )
    (entry,) = entries.values()
    return entry.value, entry.load


def _build(kind: type[Sink], name: str, config: SinkConfig, data_dir: Path, section: str) -> Sink:
    ours = any(config.type == type_name for type_name, _ in SINKS)
    try:
        if ours:
            return kind(name, config, data_dir)
        return Island(name, lambda: kind(name, config, data_dir), portable=is_portable(kind))
    except ConfigError as error:
        raise ConfigError(*(_with_section(section, problem) for problem in error.problems)) from error
    except Exception as error:  # another package's fault must not look like one of ours
        text = redact_text(f"{type(error).__name__}: {error}")
        raise ConfigError(f"{section}: found keys that its sink cannot be made of ({text})") from error


def is_portable(sink: object) -> bool:
    """Whether another process may write for a sink, of which this is the class or one: ``Sink.portable``."""
    return getattr(sink, "portable", False) is True


def _with_section(section: str, problem: str) -> str:
    return problem if problem.startswith(section) else f"{section}.{problem}"


def check_vendors(settings: Settings) -> None:
    """Load the modules of the endpoints' vendors. Raises ``ConfigError`` for one that is not known."""
    problems = [
        f"endpoints.{one.vendor}.{one.name}: found vendor {one.vendor!r}, allowed {', '.join(sorted(VENDORS))}"
        for one in settings.endpoints
        if one.vendor not in VENDORS
    ]
    if problems:
        raise ConfigError(*problems)
    for one in settings.endpoints:  # now, not while the first delivery waits
        vendor_named(one.vendor)
