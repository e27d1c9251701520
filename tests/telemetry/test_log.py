"""Logs: one form for all of them, and no secret in any, whatever was logged."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from receiver.settings import LogSettings
from receiver.telemetry import log as logs

SECRET = "kJ9vErYsEcReT4711"


class Captured:
    """What has come out on standard error so far."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._text = ""

    @property
    def text(self) -> str:
        self._text += self._capsys.readouterr().err
        return self._text

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]


@pytest.fixture
def stderr(capsys: pytest.CaptureFixture[str]) -> Iterator[Captured]:
    """Standard error of this test; logging is as before afterwards."""
    handlers, level = logging.root.handlers[:], logging.root.level
    logging.root.handlers.clear()
    yield Captured(capsys)
    structlog.reset_defaults()
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


class Link:
    """Anything that has a text."""

    def __str__(self) -> str:
        return f"https://files.example.org/x?X-Amz-Signature={SECRET}"


SECRET_VALUES: list[dict[str, Any]] = [
    {"token": SECRET},
    {"authorization": f"Bearer {SECRET}"},
    {"api_key": SECRET},
    {"text": f"Authorization: Bearer {SECRET}"},
    {"url": f"https://example.org/x?token={SECRET}"},
    {"url": f"wss://example.org/x?access_token={SECRET}&a=b"},
    {"url": f"https://user:{SECRET}@example.org/"},
    {"error": f"cannot connect to https://files.example.org/a?X-Amz-Signature={SECRET} (refused)"},
    {"headers": {"Authorization": SECRET, "deep": [{"password": SECRET}]}},
    {"urls": [f"https://u:{SECRET}@x.example.org", "https://plain.example.org"]},
    {"urls": (f"https://u:{SECRET}@x.example.org",)},
    {"link": Link()},
    {"error": ValueError(f"https://u:{SECRET}@x.example.org")},
    {"config": {1: f"https://u:{SECRET}@x.example.org"}},
]


@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize("values", SECRET_VALUES, ids=lambda values: str(next(iter(values))))
def test_secrets_are_hidden(stderr: Captured, form: Any, values: dict[str, Any]) -> None:
    """By the name of the key, inside URLs, in nested values, in the text of any object; in both forms."""
    logs.configure(LogSettings(format=form))
    structlog.get_logger().info("some.event", **values)
    assert "some.event" in stderr.text and SECRET not in stderr.text


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_traceback_shows_no_secret(stderr: Captured, form: Any) -> None:
    """The last line of it holds the error's text."""
    logs.configure(LogSettings(format=form))
    try:
        raise OSError(f"cannot open https://u:{SECRET}@example.org/x")
    except OSError:
        structlog.get_logger().exception("some.fault")
    text = stderr.text
    assert "Traceback" in text and "cannot open" in text and SECRET not in text


def test_what_is_no_secret_is_kept(stderr: Captured) -> None:
    """Numbers, plain URLs, names of sinks, false and nothing."""
    logs.configure(LogSettings(format="json"))
    values: dict[str, Any] = {
        "url": "http://127.0.0.1:8080/meetstream/default", "sinks": ["file"], "bytes": 5, "clean": False, "code": None,
        "proof": "token", "took_s": 0.5,
    }  # fmt: skip
    structlog.get_logger().info("some.event", **values)
    (line,) = stderr.lines
    assert line.items() >= values.items() and line["event"] == "some.event" and line["level"] == "info"
    assert line["timestamp"].endswith("Z")


@pytest.mark.parametrize("value", [1 << 80, "\ud800", b"\xff", {"a": {1, 2}}, object()])
def test_no_value_makes_a_log_line_fail(stderr: Captured, value: Any) -> None:
    """A log call is never what breaks a worker."""
    logs.configure(LogSettings(format="json"))
    structlog.get_logger().info("some.event", value=value)
    assert stderr.lines[0]["event"] == "some.event"


def test_a_value_without_end_is_left_out(stderr: Captured) -> None:
    """Nesting that nobody can look through might hide anything."""
    endless: list[Any] = []
    endless.append(endless)
    logs.configure(LogSettings(format="json"))
    structlog.get_logger().info("some.event", value=endless)
    assert stderr.lines == [{"event": "some.event", "values": "[redacted]"}]


class NoReader(io.StringIO):
    """A pipe whose reader has gone."""

    def write(self, text: str) -> int:
        raise BrokenPipeError


@pytest.mark.parametrize("kind", ["none", "closed", "no reader"])
def test_a_log_that_cannot_be_written_disturbs_nobody(
    stderr: Captured, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No standard error at all, a closed one, a pipe without a reader."""
    logs.configure(LogSettings(format="json"))
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", {"none": None, "closed": closed, "no reader": NoReader()}[kind])
    structlog.get_logger().error("some.event")


def test_libraries_log_in_the_same_form(stderr: Captured) -> None:
    """aiohttp and asyncio go through `logging`: warnings and errors of theirs are JSON lines too, without secrets."""
    logs.configure(LogSettings(format="json"))
    logging.getLogger("aiohttp.server").info("not worth a line")
    try:
        raise ValueError(f"Bearer {SECRET}")
    except ValueError:
        logging.getLogger("aiohttp.server").exception("Error handling %s", f"https://x?token={SECRET}")
    (line,) = stderr.lines
    assert (line["event"], line["logger"], line["level"]) == ("library.message", "aiohttp.server", "error")
    assert line["text"].startswith("Error handling") and "ValueError" in line["exception"]
    assert SECRET not in stderr.text


@pytest.mark.parametrize(("level", "lines"), [("debug", 3), ("info", 3), ("warning", 2), ("error", 1)])
def test_the_level_is_the_least_that_is_shown(stderr: Captured, level: Any, lines: int) -> None:
    """log.level; libraries speak at warning and above in any case."""
    logs.configure(LogSettings(level=level, format="json"))
    for name in ("info", "warning", "error"):
        getattr(structlog.get_logger(), name)("some.event")
    assert len(stderr.lines) == lines


def test_auto_is_json_away_from_a_terminal(stderr: Captured) -> None:
    """What a service manager or a container collects is machine-readable without a setting."""
    logs.configure(LogSettings())
    structlog.get_logger().info("some.event")
    assert stderr.lines[0]["event"] == "some.event"


def test_a_later_configuration_counts_for_loggers_in_use(stderr: Captured) -> None:
    """Loggers of modules are made once and follow: no order of tests or commands changes what is logged where."""
    logger = structlog.get_logger()
    logs.configure(LogSettings(level="error", format="json"))
    logger.info("hidden")
    logs.configure(LogSettings(level="info", format="json"))
    logger.info("shown")
    assert [line["event"] for line in stderr.lines] == ["shown"]
