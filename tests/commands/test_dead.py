"""``receiver dead``: list, show, retry, drop, beside a live server and at rest."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from receiver.app import Receiver
from receiver.cli import main
from receiver.errors import NotFound
from receiver.journal.dead import letters_in
from receiver.secretfiles import read_runtime
from receiver.settings import from_dict
from tests.commands.refusing import FarSide, far_side
from tests.support import JOINING, drained, events_in, running, settings_dict, until


def config_file(data_dir: Path, far: FarSide) -> Path:
    """The config of the server as a file."""
    path = data_dir.parent / "receiver.toml"
    path.write_text(
        f'data_dir = "{data_dir}"\n[server]\nport = 0\n[journal]\nmin_free_bytes = 0\n'
        f'[sinks.http]\ntype = "http"\nurl = "{far.url}"\nmode = "structured"\n[sinks.file]\ntype = "file"\n'
    )
    return path


@asynccontextmanager
async def server_with(data_dir: Path, far: FarSide) -> AsyncIterator[Receiver]:
    sinks = {"http": far.sink, "file": {"type": "file", "fsync": False}}
    async with running(data_dir, sinks=sinks, endpoints={"meetstream": {"default": {}}}) as server:
        yield server


async def refused(data_dir: Path, far: FarSide, count: int = 2) -> list[int]:
    """Have the far side refuse ``count`` events; the numbers of their letters."""
    far.status = 400
    async with server_with(data_dir, far) as server, aiohttp.ClientSession() as client:
        for number in range(count):
            body = {**JOINING, "bot_id": f"bot-{number}"}
            async with client.post(server.url + "/meetstream/default", json=body) as reply:
                assert reply.status == 200
        await drained(server)
    return [letter.number for letter in letters_in(data_dir / "journal")]


async def command(data_dir: Path, far: FarSide, *arguments: str) -> int:
    config = str(config_file(data_dir, far))
    return await asyncio.to_thread(main, ["dead", *arguments, "--config", config])


async def test_list_and_show(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """List: a line each with number, time, sink, type, subject, tries, reason. Show: the event, as JSON."""
    async with far_side() as far:
        first, second = await refused(tmp_path / "data", far)
        capfdbinary.readouterr()
        assert await command(tmp_path / "data", far, "list") == 0
        lines = capfdbinary.readouterr().out.decode().splitlines()
        assert lines[0].split()[0] == str(first) and "http  bot.status  bot-0  1x  " in lines[0] and "400" in lines[0]
        assert lines[2] == "2 dead letters"
        assert await command(tmp_path / "data", far, "list", "--json", "--sink", "http") == 0
        told: list[dict[str, Any]] = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
        assert [(one["number"], one["sink"], one["tries"]) for one in told] == [(first, "http", 1), (second, "http", 1)]
        assert await command(tmp_path / "data", far, "list", "--json", "--sink", "file") == 0
        assert capfdbinary.readouterr().out == b""
        assert await command(tmp_path / "data", far, "show", str(second)) == 0
        out, err = capfdbinary.readouterr()
        assert json.loads(out)["subject"] == "bot-1" and err.startswith(f"{second}: refused by http at 20".encode())


@pytest.mark.parametrize("live", [False, True])
async def test_retry_delivers_and_removes(tmp_path: Path, live: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """The same events reach the far side; refused again they stay with one more try, and the exit status is 1."""
    data_dir = tmp_path / "data"
    async with far_side() as far:
        numbers = await refused(data_dir, far)
        capsys.readouterr()
        async with server_with(data_dir, far) if live else nullcontext():
            assert await command(data_dir, far, "retry", str(numbers[0])) == 1
            assert f"{numbers[0]}: refused again (try 2): " in capsys.readouterr().out
            assert [letter.tries for letter in letters_in(data_dir / "journal")] == [2, 1]
            far.status = 200
            assert await command(data_dir, far, "retry", "--all", "--sink", "file") == 0
            assert await command(data_dir, far, "retry", "--all", "--sink", "http") == 0
            out = capsys.readouterr().out
        assert [f"{number}: delivered to http" for number in numbers] == out.splitlines()[-2:]
        assert far.ids == [event["id"] for event in events_in(data_dir)] and len(far.ids) == 2
        assert not list(letters_in(data_dir / "journal"))
        assert await command(data_dir, far, "retry", str(numbers[0])) == 1
        assert "there is no such dead letter" in capsys.readouterr().err


@pytest.mark.parametrize("live", [False, True])
async def test_drop_removes(tmp_path: Path, live: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """For good; a number that is not there makes the exit status 1."""
    data_dir = tmp_path / "data"
    async with far_side() as far:
        numbers = await refused(data_dir, far, 3)
        async with server_with(data_dir, far) if live else nullcontext():
            assert await command(data_dir, far, "drop", str(numbers[0]), "99") == 1
            assert await command(data_dir, far, "drop", str(numbers[1]), "--sink", "file") == 1
            assert [letter.number for letter in letters_in(data_dir / "journal")] == numbers[1:]
            assert await command(data_dir, far, "drop", "--all") == 0
        out, err = capsys.readouterr()
        assert "dropped 1\n" in out and "dropped 2\n" in out and "99: there is no such dead letter" in err
        assert not list(letters_in(data_dir / "journal"))


async def test_metrics_and_readiness_tell_what_lies_there(tmp_path: Path) -> None:
    """`receiver_dead_letters` is what lies there now, by sink; `/readyz` mentions it and stays green."""
    async with far_side() as far:
        await refused(tmp_path / "data", far)
        far.status = 200
        async with server_with(tmp_path / "data", far) as server, aiohttp.ClientSession() as client:
            async with client.get(server.url + "/metrics") as reply:
                text = await reply.text()
            assert 'receiver_dead_letters{sink="http"} 2.0' in text
            assert 'receiver_dead_letters{sink="file"} 0.0' in text
            await until(lambda: server.ledger.sink("http").connected)
            async with client.get(server.url + "/readyz") as reply:
                assert reply.status == 200 and (await reply.json())["sinks"]["http"] == "ok; 2 dead letters"


async def test_orders_need_the_admin_token(tmp_path: Path) -> None:
    """And a body that means something; an order is answered with JSON lines."""
    async with far_side() as far:
        (number,) = await refused(tmp_path / "data", far, 1)
        far.status = 200
        async with server_with(tmp_path / "data", far) as server, aiohttp.ClientSession() as client:
            runtime = read_runtime(tmp_path / "data")
            assert runtime is not None

            async def ask(path: str, token: str, body: Any) -> tuple[int, list[dict[str, Any]]]:
                headers = {"Authorization": f"Bearer {token}"}
                async with client.post(server.url + path, json=body, headers=headers) as reply:
                    return reply.status, [json.loads(line) for line in (await reply.read()).splitlines()]

            for path in ("/api/dead/retry", "/api/dead/drop", "/api/replay"):
                assert (await ask(path, "wrong", {"numbers": [number]}))[0] == 401
                assert (await ask(path, runtime.token, {"numbers": "all"}))[0] == 400
            order = {"sink": "nope", "from_ns": 0, "to_ns": 1}
            status, (told,) = await ask("/api/replay", runtime.token, order)
            assert status == 404 and told["error"] == "no sink is called 'nope'; there are: http, file"
            status, lines = await ask("/api/dead/retry", runtime.token, {"numbers": [number]})
            assert status == 200
            assert lines == [{"number": number, "delivered": True, "text": "delivered to http"}, {"done": True}]


async def test_whoever_asks_and_goes_away_takes_the_order_with_him(tmp_path: Path) -> None:
    """A retry that waits for a sink which is down ends with the connection; the letter stays. So it does at a stop."""
    async with far_side() as far:
        (number,) = await refused(tmp_path / "data", far, 1)
        far.status = 500
        async with server_with(tmp_path / "data", far) as server:
            runtime = read_runtime(tmp_path / "data")
            assert runtime is not None
            headers = {"Authorization": f"Bearer {runtime.token}"}
            orders = server._front.ops.orders
            async with aiohttp.ClientSession(headers=headers) as client:
                async with client.post(server.url + "/api/dead/retry", json={"numbers": [number]}) as reply:
                    assert reply.status == 200
                    await until(lambda: server.ledger.sink("http").retries >= 1 and orders._running)
                await until(lambda: not orders._running, "order withdrawn")
                async with client.post(server.url + "/api/dead/retry", json={"numbers": [number]}) as reply:
                    await until(lambda: orders._running)
                    stopping = asyncio.ensure_future(server.stop())
                    lines = (await reply.read()).splitlines()
                    await stopping
                    assert json.loads(lines[-1]) == {"error": "the server is stopping"}
        assert [letter.tries for letter in letters_in(tmp_path / "data" / "journal")] == [1]


async def test_a_file_sink_refuses_a_letter_that_its_file_has_gone_past(tmp_path: Path) -> None:
    """Rather than skip it in silence: the letter is the only place where the event still is."""
    data_dir = tmp_path / "data"
    async with far_side() as far:
        await refused(data_dir, far)
        async with server_with(data_dir, far) as server:
            (letter, _) = letters_in(data_dir / "journal")
            await server.state.dead.bury([msgspec.structs.replace(letter, sink="file")])
            number = next(one.number for one in letters_in(data_dir / "journal", "file"))
            assert await command(data_dir, far, "retry", str(number)) == 1
        assert "goes on behind it" in next(iter(letters_in(data_dir / "journal", "file"))).reason
        assert len(events_in(data_dir)) == 2


async def test_an_error_at_rest_comes_out_as_it_is(tmp_path: Path) -> None:
    """The exit status hangs on it; the sinks are closed and the folder is free again."""
    for _ in range(2):
        alone = Receiver(from_dict(settings_dict(tmp_path), {}))
        with pytest.raises(NotFound, match="this one"):
            async with alone.at_rest():
                raise NotFound("this one")


@pytest.mark.parametrize("arguments", [["retry"], ["drop"], ["show"], ["show", "--all"]])
def test_no_number_is_a_usage_error(tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 2."""
    with pytest.raises(SystemExit) as end:
        main(["dead", *arguments, "--data", str(tmp_path)])
    assert end.value.code == 2 and "needs a NUMBER" in capsys.readouterr().err


def test_no_journal_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt folder must not look like a clean one, and is not made."""
    assert main(["dead", "list", "--data", str(tmp_path / "dat")]) == 0
    out, err = capsys.readouterr()
    assert out == "0 dead letters\n" and err.startswith(f"receiver: no journal in {tmp_path / 'dat'}")
    assert not (tmp_path / "dat").exists()
