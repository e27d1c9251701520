"""``receiver replay``: on a live server and at rest."""

import asyncio
import json
import re
import time
from contextlib import nullcontext
from pathlib import Path

import aiohttp
import pytest

from receiver.cli import main
from receiver.commands.arguments import moment
from receiver.events import parse_time
from tests.commands.refusing import FarSide, far_side
from tests.commands.test_dead import config_file, server_with
from tests.support import JOINING, drained, events_in


async def filled(data_dir: Path, far: FarSide, count: int = 3) -> list[str]:
    """Have a server deliver events of as many bots; their ids."""
    async with server_with(data_dir, far) as server, aiohttp.ClientSession() as client:
        for number in range(count):
            body = {**JOINING, "bot_id": f"bot-{number}"}
            async with client.post(server.url + "/meetstream/default", json=body) as reply:
                assert reply.status == 200
        await drained(server)
    ids, far.events = far.ids, []
    assert len(ids) == count
    return ids


async def command(data_dir: Path, far: FarSide, *arguments: str) -> int:
    config = str(config_file(data_dir, far))
    return await asyncio.to_thread(main, ["replay", *arguments, "--config", config])


@pytest.mark.parametrize("live", [False, True])
async def test_a_replay_gives_a_sink_the_same_events_again(
    tmp_path: Path, live: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of them, or those that are asked for; a dry run writes none. Other sinks and cursors are not concerned."""
    data_dir = tmp_path / "data"
    async with far_side() as far:
        ids = await filled(data_dir, far)
        capsys.readouterr()
        async with server_with(data_dir, far) if live else nullcontext():
            assert await command(data_dir, far, "--from", "1h", "--sink", "http", "--dry-run") == 0
            out = capsys.readouterr().out
            assert re.search(r"^ +3  bot\.status\n +3  would be written to http, from 20.*Z to 20.*Z$", out, re.M)
            assert far.ids == []
            assert await command(data_dir, far, "--from", "1h", "--sink", "http") == 0
            assert re.search(r"^ +3  found, 3 taken by http, from 20", capsys.readouterr().out, re.M)
            assert far.ids == ids
            subject = ("--subject", "bot-1", "bot-2", "--types", "bot.*", "--paced", "--speed", "1000")
            assert await command(data_dir, far, "--from", "1h", "--sink", "http", *subject) == 0
            assert far.ids == [*ids, *ids[1:]]
        async with server_with(data_dir, far) as server:
            await drained(server)
        assert far.ids == [*ids, *ids[1:]] and [event["id"] for event in events_in(data_dir)] == ids


@pytest.mark.parametrize("live", [False, True])
async def test_a_file_sink_skips_what_its_files_have(tmp_path: Path, live: bool) -> None:
    """And is whole again where its files were moved away."""
    data_dir = tmp_path / "data"
    async with far_side() as far:
        ids = await filled(data_dir, far)
        if not live:
            for path in (data_dir / "events").iterdir():
                path.unlink()
        async with server_with(data_dir, far) if live else nullcontext():
            assert await command(data_dir, far, "--from", "1h", "--sink", "file") == 0
        assert [event["id"] for event in events_in(data_dir)] == ids


@pytest.mark.parametrize("live", [False, True])
async def test_nothing_found_is_1(tmp_path: Path, live: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """It is told with the range; an unknown sink is a usage error, which names those that there are."""
    data_dir = tmp_path / "data"
    async with far_side() as far:
        await filled(data_dir, far)
        async with server_with(data_dir, far) if live else nullcontext():
            span = ("--from", "2020-01-01", "--to", "2020-01-02")
            assert await command(data_dir, far, *span, "--sink", "http") == 1
            assert "between 2020-01-01T00:00:00.000000Z and 2020-01-02T00:" in capsys.readouterr().err
            with pytest.raises(SystemExit) as end:
                await command(data_dir, far, "--from", "1h", "--sink", "nope")
        assert end.value.code == 2 and "no sink is called 'nope'; there are: http, file" in capsys.readouterr().err
        assert far.ids == []


async def test_what_is_refused_is_1_and_a_dead_letter(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The others are written."""
    data_dir = tmp_path / "data"
    async with far_side() as far:
        await filled(data_dir, far)
        far.status = 400
        assert await command(data_dir, far, "--from", "1h", "--sink", "http") == 1
        assert "3 refused: see `receiver dead list`" in capsys.readouterr().err
        await asyncio.to_thread(main, ["dead", "list", "--json", "--data", str(data_dir)])
        assert len([json.loads(line) for line in capsys.readouterr().out.splitlines()[-3:]]) == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--from", "yesterday", "--sink", "s"], "'yesterday' is no time; allowed ISO 8601"),
        (["--from", "1h", "--to", "2h", "--sink", "s"], "before it begins"),
        (["--from", "1h", "--sink", "s", "--types", "bot.statsu"], "'bot.statsu' is no event type"),
        (["--from", "1h", "--sink", "s", "--speed", "2"], "--speed goes with --paced"),
        (["--from", "1h", "--sink", "s", "--paced", "--speed", "0"], "'0' is no speed"),
        (["--from", "1h"], "--sink"),
        (["--sink", "s"], "--from"),
    ],
)
def test_a_wrong_command_line_is_2(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """In a sentence that names what is wrong."""
    with pytest.raises(SystemExit) as end:
        main(["replay", *arguments])
    assert end.value.code == 2 and said in capsys.readouterr().err


def test_no_journal_is_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt folder is not made."""
    assert main(["replay", "--from", "1h", "--sink", "file", "--data", str(tmp_path / "dat")]) == 1
    assert "no journal in" in capsys.readouterr().err and not (tmp_path / "dat").exists()


def test_times_are_iso_8601_or_an_age() -> None:
    """Without a zone: UTC."""
    assert moment("2026-06-10T09:00") == moment("2026-06-10T11:00+02:00") == parse_time("2026-06-10T09:00:00Z")
    for text, age_s in (("90s", 90), ("30m", 1800), ("2h ago", 7200), ("1.5d", 129600), ("1w", 604800), ("now", 0)):
        assert abs(time.time_ns() - age_s * 10**9 - moment(text)) < 5 * 10**9
