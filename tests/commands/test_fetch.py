"""``receiver fetch``: beside a live server, at rest, and only printed."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from receiver.cli import main
from receiver.errors import VendorError, VendorPending
from receiver.settings import load
from tests.commands.clients import Vendors, config
from tests.fetching.fakes import KEY, answer
from tests.support import drained, events_in, running

SIGNED = "https://files.example.org/a.json?X-Amz-Signature=abcdefgh12345678"


def transcript(subject: str) -> Any:
    return [answer("transcript", json.dumps({"text": "so", "download_url": SIGNED}), subject)]


def test_at_rest_it_is_journalled_for_the_next_start(
    tmp_path: Path, vendors: Vendors, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once: the same answer again is a repeat."""
    vendors.answers["transcript"] = [transcript]
    words = ["fetch", "bot-1", "--kind", "transcript", "--config", config(tmp_path)]
    assert main(words) == 0
    assert capsys.readouterr().out.startswith("transcript: journalled, ")
    assert main(words) == 0
    assert capsys.readouterr().out == "transcript: in the journal already (transcript)\n"

    async def start() -> None:
        async with running(tmp_path / "data") as server:
            await drained(server)

    asyncio.run(start())
    (event,) = events_in(tmp_path / "data")
    assert (event["type"], event["subject"]) == ("artifact.fetched", "bot-1")


async def test_a_live_server_does_it(
    tmp_path: Path, vendors: Vendors, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its own account: the command needs no key."""
    vendors.answers |= {"transcript": [transcript], "summary": [VendorPending("meetstream: not yet")]}
    given = config(tmp_path)
    settings = load(Path(given))
    accounts = {"meetstream": {"default": {"key_env": "KEY"}}}
    async with running(settings.data_dir, {"KEY": KEY}, accounts=accounts) as server:
        monkeypatch.delenv("KEY")
        command = ["fetch", "bot-1", "--config", given]
        assert await asyncio.to_thread(main, [*command, "--kind", "transcript"]) == 0
        assert await asyncio.to_thread(main, [*command, "--kind", "summary", "--kind", "transcript"]) == 1
        await drained(server)
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("transcript: journalled, ")
    assert out[1:] == [
        "summary: not ready yet: meetstream: not yet", "transcript: in the journal already (transcript)",
    ]  # fmt: skip
    assert [one["type"] for one in events_in(settings.data_dir)] == ["artifact.fetched"]


async def test_a_live_servers_no_is_told(tmp_path: Path, vendors: Vendors, capsys: pytest.CaptureFixture[str]) -> None:
    """It has no such account; a server elsewhere wants its token."""
    given = config(tmp_path)
    async with running(tmp_path / "data") as server:
        assert await asyncio.to_thread(main, ["fetch", "bot-1", "--config", given]) == 1
        assert "no account is configured" in capsys.readouterr().err
        assert await asyncio.to_thread(main, ["fetch", "bot-1", "--config", given, "--url", server.url]) == 77
        assert "admin token" in capsys.readouterr().err
    assert vendors.made == []


def test_printed_it_is_events_without_secrets(
    tmp_path: Path, vendors: Vendors, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a sink gets them; links on demand. Nothing is journalled, and no server is needed."""
    vendors.answers["transcript"] = [transcript]
    words = ["fetch", "bot-1", "--kind", "transcript", "--print", "--config", config(tmp_path)]
    assert main(words) == 0
    out = capsys.readouterr().out
    event = json.loads(out)
    assert (event["type"], event["source"]) == ("artifact.fetched", "/meetstream/default") and "abcdefgh" not in out
    assert main([*words, "--show-secrets"]) == 0
    assert "abcdefgh" in capsys.readouterr().out
    assert not (tmp_path / "data" / "journal").exists()


def test_printed_what_there_is_beside_what_there_is_not(
    tmp_path: Path, vendors: Vendors, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is missing goes to standard error; with nothing at all the vendor's no is the command's."""
    refusal = VendorError("meetstream: answered 401", vendor_status=401, words="bad key")
    vendors.answers |= {"transcript": [transcript], "summary": [refusal], "participants": [[]]}
    words = ["fetch", "bot-1", "--print", "--config", config(tmp_path)]
    assert main(words) == 1
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 1 and "summary: meetstream: answered 401: bad key" in err
    assert "participants: the vendor has none" in err
    assert main([*words, "--kind", "summary"]) == 77
    assert "check key_env" in capsys.readouterr().err


def test_a_kind_that_the_vendor_has_not_is_refused(
    tmp_path: Path, vendors: Vendors, capsys: pytest.CaptureFixture[str]
) -> None:
    """With those that it has; one that nobody has is a wrong command line."""
    given = config(tmp_path)
    assert main(["fetch", "bot-1", "--kind", "video", "--config", given]) == 65
    assert "found 'video', allowed with meetstream: transcript, summary, participants" in capsys.readouterr().err
    with pytest.raises(SystemExit) as end:
        main(["fetch", "bot-1", "--kind", "poem", "--config", given])
    assert end.value.code == 2
