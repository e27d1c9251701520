"""Structured logs on standard error: one constant event name a line, values in keys, no secret in any of them.

Libraries that log through ``logging`` (aiohttp, asyncio) come out in the same form, as ``library.message``. A log that
cannot be written (closed pipe, full disk) is lost and disturbs nobody.
"""

import contextlib
import json
import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import orjson
import structlog

from receiver.redaction import REDACTED, redact
from receiver.settings import LogSettings

_PLAIN = (str, int, float, bool, type(None))


def configure(settings: LogSettings) -> None:
    """Set up structlog for the process. ``auto``: readable on a terminal, JSON lines elsewhere."""
    terminal = sys.stderr.isatty()
    text = settings.format == "text" or (settings.format == "auto" and terminal)
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    console = structlog.dev.ConsoleRenderer(colors=terminal, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            hide_secrets,
            console if text else _json,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=_StandardError()),  # type: ignore[arg-type]
        # loggers of modules must follow a later configuration: commands and tests bring their own
        cache_logger_on_first_use=False,
    )
    _forward_from_logging(max(level, logging.WARNING))


def hide_secrets(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Take out values of keys that name secrets, and URLs and credentials anywhere, whatever was logged."""
    try:
        clean = redact({key: _plain(value) for key, value in event.items()})
    except RecursionError:
        clean = REDACTED
    return clean if isinstance(clean, dict) else {"event": event["event"], "values": REDACTED}


class _StandardError:
    """Standard error as it is at the moment of writing."""

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            sys.stderr.flush()


def _forward_from_logging(level: int) -> None:
    root = logging.getLogger()
    for handler in root.handlers[:]:
        if isinstance(handler, _Forward):
            root.removeHandler(handler)
    root.addHandler(_Forward())
    root.setLevel(level)


class _Forward(logging.Handler):
    """Hands records of ``logging`` to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        about = {"logger": record.name, "text": record.getMessage(), "exc_info": record.exc_info}
        structlog.get_logger().log(record.levelno, "library.message", **about)


def _plain(value: Any) -> Any:
    """``value`` in types that can be looked through for secrets and written as JSON."""
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return str(value)


def _json(logger: Any, method: str, event: MutableMapping[str, Any]) -> str:
    try:
        return orjson.dumps(dict(event)).decode()
    except TypeError:  # integers beyond 64 bits, lone surrogates
        return json.dumps(dict(event))
