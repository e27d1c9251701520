"""The command line as a whole: help that teaches, exit statuses."""

import os
import re
import shlex
import subprocess
import sys
from importlib import import_module

import pytest

from receiver import __version__
from receiver.cli import COMMANDS, build_parser, main
from tests.commands.process import environment, run_receiver


def test_help_teaches_by_example(capsys: pytest.CaptureFixture[str]) -> None:
    """`receiver --help` names every command, shows examples and documents the exit statuses."""
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    text = capsys.readouterr().out
    assert end.value.code == 0 and "examples:" in text and "exit status:" in text
    for command in COMMANDS:
        assert re.search(rf"^    {command}\s", text, re.MULTILINE), command
    for status in ("0", "1", "2", "65", "66", "77", "78", "130"):
        assert f"\n  {status} " in text, status


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`receiver COMMAND --help` shows at least one line that can be pasted, and parses."""
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    text = capsys.readouterr().out
    assert end.value.code == 0 and f"  receiver {command}" in text
    assert "exit status" in text


def examples() -> list[str]:
    """Every example of every command's help, without what is said behind it."""
    found = []
    for command in COMMANDS:
        epilog: str = getattr(import_module(f"receiver.commands.{command}"), "_EPILOG", "")
        lines = [line.strip() for line in epilog.splitlines()]
        found += [line for line in lines if line.startswith("receiver ")]
    return found


@pytest.mark.parametrize("example", examples())
def test_each_example_is_a_valid_command_line(example: str) -> None:
    """What help shows can be typed: every option in it exists."""
    typed = example.split("   ")[0].split(" | ")[0].split(" > ")[0].replace("…", "http://127.0.0.1:8080")
    words = shlex.split(typed)
    assert build_parser().parse_args(words[1:]).run


def test_without_a_command_usage_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 2, for that and for an unknown command."""
    for arguments in ([], ["dance"], ["serve", "--port", "x"]):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 2 and "usage: receiver" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """`receiver --version`."""
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"receiver {__version__}\n"


def test_it_runs_as_a_module() -> None:
    """`python -m receiver` is the same command."""
    assert run_receiver("--version").stdout == f"receiver {__version__}\n"


def test_a_reader_that_goes_away_ends_it_quietly() -> None:
    """`receiver urls … | head -0`: no traceback."""
    reading, writing = os.pipe()
    os.close(reading)
    result = subprocess.run(
        [sys.executable, "-m", "receiver", "schema"],
        stdout=writing, stderr=subprocess.PIPE, env=environment({}), timeout=30, check=False,
    )  # fmt: skip
    os.close(writing)
    assert b"Traceback" not in result.stderr and b"Exception ignored" not in result.stderr, result.stderr
