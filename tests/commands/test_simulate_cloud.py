"""``receiver simulate`` with a vendor's stand-in: pushes at a URL, and the REST API to create meetings at."""

import argparse
import asyncio
import base64
import re
import signal
import sys
import tomllib
from typing import Any

import aiohttp
import pytest

from receiver.commands import simulate
from receiver.rest import api_of
from receiver.rest.base import Wiring
from receiver.settings import Account
from receiver.simulator import STAND_INS
from receiver.vendors import VENDORS
from tests.simulator.recording_server import recording_server

OTHERS = sorted(set(STAND_INS) - {"meetstream"})
FAST = ("--speed", "0", "--seed", "1")
URL = ("--url", "http://127.0.0.1:1/x")
DAILY_SECRET = base64.b64encode(b"a secret of thirty-two bytes ...").decode()


def parse(*arguments: str) -> argparse.Namespace:
    """The command's arguments, as the program would parse them."""
    parser = argparse.ArgumentParser()
    simulate.register(parser.add_subparsers())
    return parser.parse_args(["simulate", *arguments])


async def run(*arguments: str) -> int:
    """Run the command beside the server of the test."""
    args = parse(*arguments)
    status: int = await asyncio.to_thread(args.run, args)
    return status


def test_every_vendor_has_a_stand_in() -> None:
    """What the receiver takes can be played."""
    assert set(STAND_INS) == set(VENDORS)


@pytest.mark.parametrize("vendor", OTHERS)
async def test_what_was_pushed_is_counted(vendor: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 0 where each push got a 2xx; the table's numbers are those of the far side."""
    async with recording_server() as recorder:
        assert await run(vendor, "--url", recorder.url, *FAST, "--meetings", "2") == 0
    head, counts, *_ = (line.split("  ") for line in capsys.readouterr().out.splitlines())
    shown = dict(zip((name.strip() for name in head if name.strip()), filter(None, counts), strict=True))
    # Daily's ping of a new webhook is no delivery
    posts = len(recorder.posts) - (vendor == "daily")
    assert (int(shown["pushed"]), int(shown["2xx"])) == (posts, posts) and posts >= 4
    assert (shown["refused"].strip(), shown["failed"].strip()) == ("0", "0")


@pytest.mark.parametrize("vendor", OTHERS)
async def test_a_refusal_is_status_1(vendor: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each push must get a 2xx."""
    async with recording_server(on_post=lambda post: 401) as recorder:
        assert await run(vendor, "--url", recorder.url, *FAST) == 1


async def test_faults_are_those_of_the_service(capsys: pytest.CaptureFixture[str]) -> None:
    """--faults retries: some pushes come twice, and are told of."""
    async with recording_server() as recorder:
        assert await run("meemo", "--url", recorder.url, *FAST, "--meetings", "20", "--faults", "retries") == 0
    bodies = [post.body for post in recorder.posts]
    twice = len(bodies) - len(set(bodies))
    assert twice > 0
    counts = re.split(r"  +", capsys.readouterr().out.splitlines()[1].strip())
    assert int(counts[4]) == twice


@pytest.mark.parametrize(("vendor", "secret"), [("meemo", "whsec_x"), ("daily", DAILY_SECRET)])
async def test_the_secret_signs(vendor: str, secret: str) -> None:
    """--secret: each push has a signature."""
    async with recording_server() as recorder:
        assert await run(vendor, "--url", recorder.url, *FAST, "--secret", secret) == 0
    assert all(any("signature" in name.lower() for name in post.headers) for post in recorder.posts[1:])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["daily", *URL, "--faults", "drop-socket"], "found drop-socket, allowed with daily --url: duplicates"),
        (["meetstream", *URL, "--faults", "breaker"], "found breaker, allowed with meetstream --url: duplicates"),
        (["meemo", *URL, "--no-audio"], "--no-audio: found with meemo --url, allowed with meetstream"),
        (["meetstream", "--serve", "--transcript", "webhook"], "--transcript: found with meetstream --serve"),
        (["daily", *URL, "--port", "9"], "--port, --callback: found with --url, allowed with --serve"),
        (["daily", "--serve", "--meetings", "2"], "--meetings: found with --serve"),
        (["daily", "--serve", "--callback", "http://x/y"], "allowed with waterai"),
        (["waterai", *URL, "--secret", "x"], "--secret: found with waterai"),
        (["daily", "--serve", "--secret", "x"], "--secret: found with daily --serve"),
        (["realtimekit", "--serve", "--secret", "no key"], "PEM"),
    ],
)
def test_what_a_vendor_lacks_is_refused_in_a_sentence(
    arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 2; the sentence names the option, what was found and what is allowed."""
    args = parse(*arguments)
    with pytest.raises(SystemExit) as stop:
        args.run(args)
    assert stop.value.code == 2
    assert text in capsys.readouterr().err


@pytest.mark.parametrize("vendor", list(STAND_INS))
async def test_the_account_that_is_printed_opens_the_api(vendor: str) -> None:
    """--serve: what is to be exported and pasted is enough for the client; Ctrl-C: the calls, status 130."""
    pipes: dict[str, Any] = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE}
    command = (sys.executable, "-m", "receiver", "simulate", vendor, "--serve", *FAST)
    process = await asyncio.create_subprocess_exec(*command, **pipes)
    try:
        assert process.stdout is not None
        shown: list[str] = []
        async with asyncio.timeout(30):
            while not (shown and shown[-1].startswith("base_url")):
                shown.append((await process.stdout.readline()).decode())
        text = "".join(shown)
        export = re.search(r"^export (\w+)='(.+)'$", text, re.M)
        assert export is not None
        told = tomllib.loads(text[text.index("[accounts.") :])["accounts"][vendor]["default"]
        assert told.pop("key_env") == export[1]
        account = Account(vendor=vendor, name="default", key=export[2], **told)
        async with recording_server() as recorder, aiohttp.ClientSession() as client:
            api = api_of(account, client)
            options = _options(vendor, api.OPTIONS)
            made = await api.create(Wiring(callback=recorder.url), options)
            assert made.subject
        process.send_signal(signal.SIGINT)
        out, err = await asyncio.wait_for(process.communicate(), 30)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 130, err
    assert b"Traceback" not in err and re.search(rb"1  POST /", out)


def _options(vendor: str, type_: type[Any]) -> Any:
    fields: dict[str, dict[str, Any]] = {
        "meetstream": {"meeting_link": "https://meet.google.com/abc-defg-hij"},
        "realtimekit": {"title": "Incident review"},
        "daily": {"name": "incident-review"},
        "waterai": {"person_name": "Ada", "scenario_id": 456},
        "meemo": {"organization_id": 1, "title": "Incident review", "bot_meeting_url": "https://meet.example.com/x"},
    }
    return type_(**fields[vendor])
