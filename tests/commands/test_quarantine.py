"""``receiver quarantine``: list, show, retry, beside a live server and at rest."""

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from receiver.cli import main
from receiver.ingress.quarantine import quarantined
from receiver.journal.row import decode_row, encode_row
from tests.support import JOINING, drained, events_in, running

BROKEN = b'{"event": "bot.joining", "bot_id": 5}\n'
ENDPOINT = {"meetstream": {"default": {"token_env": "T"}}}


async def fill(data_dir: Path, *bodies: bytes) -> list[int]:
    """Have a server put these into quarantine; their sequence numbers."""
    async with running(data_dir, {"T": "tok"}, endpoints=ENDPOINT) as server, aiohttp.ClientSession() as client:
        for body in bodies:
            async with client.post(server.url + "/meetstream/default/tok/bot-9", data=body) as reply:
                assert reply.status == 200
    return [record.seq for record in quarantined(data_dir / "journal")]


def mend(data_dir: Path, sequence: int, body: bytes) -> None:
    """What a decoder that has learned would do: these bytes mean something now."""
    (path,) = (data_dir / "journal" / "quarantine").glob("*.db")
    database = sqlite3.connect(path, isolation_level=None)
    (row,) = database.execute("SELECT seq, key, meta, payload FROM record WHERE seq = ?", (sequence,)).fetchall()
    mended = msgspec.structs.replace(decode_row(row), payload=body)
    database.execute("REPLACE INTO record VALUES (?, ?, ?, ?)", encode_row(mended))
    database.close()


async def command(data_dir: Path, *arguments: str) -> int:
    return await asyncio.to_thread(main, ["quarantine", *arguments, "--data", str(data_dir)])


async def test_list_shows_what_lies_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line each, oldest first, with number, time, endpoint, size and reason; --json: one object a line."""
    first, second = await fill(tmp_path, BROKEN, b"no json")
    capsys.readouterr()
    assert await command(tmp_path, "list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{first}  20") and "meetstream/default  body         38 B  " in lines[0]
    assert "$.bot_id" in lines[0] and lines[1].startswith(str(second)) and lines[2] == "2 in quarantine"
    assert await command(tmp_path, "list", "--json") == 0
    told: list[dict[str, Any]] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["sequence"] for one in told] == [first, second]
    assert told[0]["subject"] == "bot-9" and told[0]["bytes"] == len(BROKEN) and told[0]["endpoint"]


async def test_show_gives_the_bytes_as_they_came(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """To standard output the bytes and nothing else; what is known about them goes to standard error."""
    (sequence,) = await fill(tmp_path, b"\xff\xfe{")
    capfdbinary.readouterr()
    assert await command(tmp_path, "show", str(sequence)) == 0
    out, err = capfdbinary.readouterr()
    assert out == b"\xff\xfe{" and err.startswith(f"{sequence}: body at meetstream/default, 20".encode())


@pytest.mark.parametrize("live", [False, True])
async def test_retry_delivers_what_is_understood_now(
    tmp_path: Path, live: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """It leaves the quarantine and reaches the sinks; what is still malformed stays and makes the exit status 1."""
    good, bad = await fill(tmp_path, BROKEN, b"no json")
    mend(tmp_path, good, json.dumps(JOINING).encode())
    capsys.readouterr()
    if live:
        async with running(tmp_path, {"T": "tok"}, endpoints=ENDPOINT) as server:
            assert await command(tmp_path, "retry", "--all") == 1
            await drained(server)
    else:
        assert await command(tmp_path, "retry", str(good), str(bad)) == 1
    out = capsys.readouterr().out
    assert f"{good}: accepted: 1 events" in out and f"{bad}: still malformed: " in out
    assert [record.seq for record in quarantined(tmp_path / "journal")] == [bad]
    async with running(tmp_path, {"T": "tok"}, endpoints=ENDPOINT) as server:
        await drained(server)
    assert [event["type"] for event in events_in(tmp_path)] == ["bot.status"]
    assert await command(tmp_path, "retry", str(good)) == 1


async def test_a_retry_of_what_came_again_meanwhile_is_merged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The vendor's own repeat was understood: no second event."""
    (sequence,) = await fill(tmp_path, BROKEN)
    mend(tmp_path, sequence, json.dumps(JOINING).encode())
    async with running(tmp_path, {"T": "tok"}, endpoints=ENDPOINT) as server, aiohttp.ClientSession() as client:
        async with client.post(server.url + "/meetstream/default/tok", json=JOINING) as reply:
            assert reply.status == 200
        assert await command(tmp_path, "retry", str(sequence)) == 0
    assert f"{sequence}: duplicate" in capsys.readouterr().out
    assert len(events_in(tmp_path)) == 1


@pytest.mark.parametrize("action", ["show", "retry"])
async def test_an_unknown_number_is_1(tmp_path: Path, action: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With the way to find the right one."""
    await fill(tmp_path, BROKEN)
    assert await command(tmp_path, action, "1") == 1
    out, err = capsys.readouterr()
    assert "nothing in quarantine has the sequence number 1; see `receiver quarantine list`" in out + err


@pytest.mark.parametrize("action", ["show", "retry"])
def test_no_number_is_a_usage_error(tmp_path: Path, action: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 2."""
    with pytest.raises(SystemExit) as end:
        main(["quarantine", action, "--data", str(tmp_path)])
    assert end.value.code == 2 and "needs a SEQUENCE" in capsys.readouterr().err


def test_an_empty_quarantine_and_no_journal_are_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt folder must not look like a clean one."""
    asyncio.run(fill(tmp_path / "data"))
    capsys.readouterr()
    assert main(["quarantine", "list", "--data", str(tmp_path / "data")]) == 0
    assert capsys.readouterr() == ("0 in quarantine\n", "")
    assert main(["quarantine", "list", "--data", str(tmp_path / "dat")]) == 0
    assert capsys.readouterr().err.startswith(f"receiver: no journal in {tmp_path / 'dat'}: no server has run there")
    assert not (tmp_path / "dat").exists()


async def test_a_damaged_file_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, exit status 1."""
    await fill(tmp_path, BROKEN)
    (path,) = (tmp_path / "journal" / "quarantine").glob("*.db")
    path.write_bytes(b"no database" * 1000)
    capsys.readouterr()
    assert await command(tmp_path, "list") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"receiver: the quarantine in {tmp_path / 'journal'} cannot be read: ")
