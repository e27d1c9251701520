"""Structured logs on standard error: one constant event name a line, values in keys, no secret in any of them."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import orjson
import structlog

from receiver.redaction import REDACTED, is_secret_key, redact_text
from receiver.settings import LogSettings


def configure(settings: LogSettings) -> None:
    """Set up structlog for the process. ``auto``: readable on a terminal, JSON lines elsewhere."""
    text = settings.format == "text" or (settings.format == "auto" and sys.stderr.isatty())
    renderer: Any = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()) if text else _json
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            hide_secrets,
            *([] if text else [structlog.processors.format_exc_info]),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[settings.level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")


def hide_secrets(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace values of keys that name secrets, and URLs that carry a permission, whatever was logged."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = REDACTED if is_secret_key(key) else redact_text(value)
    return event


def _json(logger: Any, method: str, event: MutableMapping[str, Any]) -> str:
    return orjson.dumps(dict(event), default=str).decode()
