"""Finds the class of a sink type, ours or another package's, and makes its config from a section of the file."""

from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, cast

import msgspec

from receiver.delivery.select import Selection
from receiver.errors import ConfigError
from receiver.settings import Settings, explain
from receiver.vendors import VENDORS
from sinks import ENTRY_POINT_GROUP, SINKS
from sinks.base import Sink, SinkConfig


def sink_types() -> list[str]:
    """Every type that a config may name."""
    return sorted({name for name, _ in SINKS} | {entry.name for entry in entry_points(group=ENTRY_POINT_GROUP)})


def sink_class(type_name: str, section: str) -> type[Sink]:
    """The class behind a type name. Raises ``ConfigError``."""
    for name, where in SINKS:
        if name == type_name:
            module, _, attribute = where.partition(":")
            return cast(type[Sink], getattr(import_module(module), attribute))
    for entry in entry_points(group=ENTRY_POINT_GROUP, name=type_name):
        try:
            return cast(type[Sink], entry.load())
        except Exception as error:
            raise ConfigError(
                f"{section}.type: found {type_name!r}, whose package {entry.value} fails to load ({error}), "
                "allowed an entry point that loads"
            ) from error
    raise ConfigError(f"{section}.type: found {type_name!r}, allowed {', '.join(sink_types())}")


def make_sink(name: str, keys: dict[str, Any], data_dir: Path) -> tuple[Sink, SinkConfig]:
    """A sink and its config from ``[sinks.NAME]``. Raises ``ConfigError``; connects to nothing."""
    section = f"sinks.{name}"
    kind = sink_class(keys["type"], section)
    try:
        config = msgspec.convert(keys, kind.Config)
    except msgspec.ValidationError as error:
        raise ConfigError(explain(error, keys, section)) from error
    for pattern in config.types:
        if Selection([pattern], ["*"]).empty:
            raise ConfigError(
                f"{section}.types: found {pattern!r}, allowed event types and patterns such as transcript.*"
            )
    if config.batch_events < 1:
        raise ConfigError(f"{section}.batch_events: found {config.batch_events}, allowed 1 or more")
    try:
        return kind(name, config, data_dir), config
    except ConfigError as error:
        raise ConfigError(*(_with_section(section, problem) for problem in error.problems)) from error


def _with_section(section: str, problem: str) -> str:
    return problem if problem.startswith(section) else f"{section}.{problem}"


def check_vendors(settings: Settings) -> None:
    """Whether each endpoint's vendor is known. Raises ``ConfigError``."""
    known = {vendor.NAME for vendor in VENDORS}
    problems = [
        f"endpoints.{one.vendor}.{one.name}: found vendor {one.vendor!r}, allowed {', '.join(sorted(known))}"
        for one in settings.endpoints
        if one.vendor not in known
    ]
    if problems:
        raise ConfigError(*problems)
