"""``receiver simulate``: what it prints, and its exit statuses."""

import argparse
import asyncio
import re
import signal
import socket
import sys
from typing import Any

import pytest

from receiver.commands import simulate
from receiver.simulator import speech
from tests.simulator.recording_server import recording_server

FAST = ("--speed", "0", "--seed", "1")
RUNNER = """
import argparse, sys
from receiver.commands import simulate
parser = argparse.ArgumentParser()
simulate.register(parser.add_subparsers())
args = parser.parse_args(sys.argv[1:])
sys.exit(args.run(args))
"""


def parse(*arguments: str) -> argparse.Namespace:
    """The command's arguments, as the program would parse them."""
    parser = argparse.ArgumentParser()
    simulate.register(parser.add_subparsers())
    return parser.parse_args(["simulate", "meetstream", *arguments])


async def run(*arguments: str) -> int:
    """Run the command beside the server of the test."""
    args = parse(*arguments)
    status: int = await asyncio.to_thread(args.run, args)
    return status


async def test_spoken_lines_states_and_counts_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """Lines and the table on standard output, states on standard error, status 0."""
    async with recording_server() as recorder:
        assert await run("--url", recorder.url, *FAST) == 0
    shown = capsys.readouterr()
    assert all(f": {utterance.text}\n" in shown.out for utterance in speech.load().utterances)
    assert re.search(rf"^all +{len(recorder.posts)} +{len(recorder.posts)} +0 +0 +30\.\d\d +0 +10$", shown.out, re.M)
    assert "bot.recording" in shown.err
    assert "audio socket open" in shown.err


async def test_lines_of_several_meetings_name_their_bot(capsys: pytest.CaptureFixture[str]) -> None:
    """With more than one meeting each line begins with its bot, and the table has a row for each."""
    async with recording_server() as recorder:
        faults = "duplicates,reorder,drop-socket,garbage"
        assert await run("--url", recorder.url, *FAST, "--meetings", "2", "--faults", faults) == 0
    shown = capsys.readouterr().out
    bots = {post.json["bot_id"][:8] for post in recorder.posts if b'"bot.done"' in post.body}
    assert len(bots) == 2
    assert all(f"[{bot}] " in shown for bot in bots)
    assert all(re.search(rf"^{bot} ", shown, re.M) for bot in bots)
    assert re.search(r"^garbage: 19 malformed, 6 unknown", shown, re.M)


async def test_channels_can_be_left_out() -> None:
    """--no-audio, --no-video, --no-control, --transcript webhook: POSTs only."""
    off = ("--no-audio", "--no-video", "--no-control", "--transcript", "webhook")
    async with recording_server() as recorder:
        assert await run("--url", recorder.url, *FAST, *off) == 0
    assert recorder.posts
    assert not recorder.connections


async def test_a_refused_post_is_status_1() -> None:
    """Every POST must get a 2xx."""
    async with recording_server(on_post=lambda post: 401 if b"bot.done" in post.body else 200) as recorder:
        assert await run("--url", recorder.url, *FAST) == 1


async def test_callbacks_are_signed_with_the_secret() -> None:
    """--secret signs."""
    async with recording_server() as recorder:
        assert await run("--url", recorder.url, *FAST, "--secret", "whsec_x") == 0
    assert "x-meetstream-signature" in recorder.posts[0].headers


def test_an_unreachable_url_is_one_line_and_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody listens: one clear line that names host and port, not the token."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        args = parse("--url", f"http://127.0.0.1:{port}/x?token=s3cret")
        assert args.run(args) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert f"nobody answers at 127.0.0.1:{port}" in shown.err
    assert "s3cret" not in shown.err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--url", "ws://x"], "http"),
        (["--url", "http://x:y"], "ort"),
        (["--url", "http://x", "--speed", "-1"], "found -1, allowed"),
        (["--url", "http://x", "--speed", "nan"], "found nan, allowed"),
        (["--url", "http://x", "--meetings", "0"], "found 0, allowed"),
        (["--url", "http://x", "--faults", "reorder,chaos"], "found chaos, allowed duplicates, reorder"),
        ([], "--url"),
    ],
)
def test_usage_errors_say_what_is_allowed(arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2, and the line tells what was found and what is allowed."""
    with pytest.raises(SystemExit) as stop:
        parse(*arguments)
    assert stop.value.code == 2
    assert text in capsys.readouterr().err


async def test_ctrl_c_ends_cleanly() -> None:
    """SIGINT in mid-meeting: the counts so far, status 130, no traceback."""
    async with recording_server() as recorder:
        pipes: dict[str, Any] = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE}
        command = (sys.executable, "-c", RUNNER, "simulate", "meetstream", "--url", recorder.url)
        process = await asyncio.create_subprocess_exec(*command, **pipes)
        async with asyncio.timeout(30), recorder.held:
            await recorder.held.wait_for(lambda: any(b"bot.recording" in post.body for post in recorder.posts))
        process.send_signal(signal.SIGINT)
        out, err = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 130
    assert b"Traceback" not in err
    assert b"interrupted" in err
    assert re.search(rb"^all +\d", out, re.M)
