"""Commands to bots: an operator's POST goes out over the control socket of the right bot."""

import asyncio
import base64
import json
import re
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from receiver.app import Receiver
from receiver.secretfiles import read_runtime
from tests.ingress.sockets import dialled, ready, received
from tests.support import DEADLINE_S, running

Reply = tuple[int, dict[str, Any]]
PIECE = bytes(96_000)


async def order(server: Receiver, body: Any, token: str | None = "right") -> Reply:
    """``POST /api/send`` as ``receiver send`` does it; ``token``: ``right`` stands for the one of the runtime file."""
    runtime = read_runtime(server.settings.data_dir)
    assert runtime is not None
    headers = {} if token is None else {"Authorization": f"Bearer {runtime.token if token == 'right' else token}"}
    async with (
        aiohttp.ClientSession(headers=headers) as client,
        client.post(runtime.url + "/api/send", data=body if isinstance(body, bytes) else json.dumps(body)) as reply,
    ):
        return reply.status, await reply.json()


def command(bot: str, name: str, **arguments: Any) -> dict[str, Any]:
    return {"bot": bot, "command": name, "arguments": arguments}


async def test_a_message_reaches_the_control_socket_of_its_bot_only(tmp_path: Path) -> None:
    """Sheet 8: `sendmsg` carries its text under both keys; other bots and other sockets of the bot get nothing."""
    async with (
        running(tmp_path) as server,
        dialled(server, "/meetstream/default/bot-1/audio") as audio,
        dialled(server, "/meetstream/default/bot-1/control") as control,
        dialled(server, "/meetstream/default/bot-2/control") as other,
    ):
        for socket, bot in ((audio, "bot-1"), (control, "bot-1"), (other, "bot-2")):
            await socket.send(ready(bot))
            await socket.recv()
        assert await order(server, command("bot-1", "sendmsg", message="hello")) == (200, {"sent": 1})
        assert json.loads(await control.recv()) == {
            "command": "sendmsg", "bot_id": "bot-1", "message": "hello", "msg": "hello",
        }  # fmt: skip
        for socket in (audio, other):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(socket.recv(), 0.05)


async def test_the_bot_may_be_known_from_ready_alone(tmp_path: Path) -> None:
    """A socket on the bare path that has said `ready` and nothing else takes commands; the newest one of a bot does."""
    async with running(tmp_path) as server, dialled(server) as old, dialled(server) as new:
        for number, socket in enumerate((old, new)):
            await socket.send(ready("bot-1"))
            await socket.recv()
            await received(server, number + 1)
        assert await order(server, command("bot-1", "sendmsg", message="hello")) == (200, {"sent": 1})
        assert json.loads(await asyncio.wait_for(new.recv(), DEADLINE_S))["message"] == "hello"


async def test_sound_goes_out_in_paced_pieces(tmp_path: Path) -> None:
    """Sheet 8: `sendaudio` in pieces of 0.5 to 2 s, each some 0.8 of real time after the one before."""
    pcm = base64.b64encode(PIECE + PIECE[:9600]).decode()
    async with running(tmp_path) as server, dialled(server, "/meetstream/default/bot-1/control") as socket:
        start_s = time.monotonic()
        assert await order(server, command("bot-1", "sendaudio", pcm=pcm)) == (200, {"sent": 2})
        assert 0.75 < time.monotonic() - start_s < 30
        pieces = [json.loads(await socket.recv()) for _ in range(2)]
    assert [len(base64.b64decode(piece.pop("audiochunk"))) for piece in pieces] == [96_000, 9600]
    assert pieces[0] == {"command": "sendaudio", "bot_id": "bot-1", "sample_rate": 48_000, "encoding": "pcm16",
                         "channels": 1, "endianness": "little"}  # fmt: skip


async def test_a_bot_that_goes_while_it_is_spoken_to(tmp_path: Path) -> None:
    """The order ends with 404 and how far it came."""
    pcm = base64.b64encode(PIECE * 3).decode()
    async with running(tmp_path) as server:
        async with dialled(server, "/meetstream/default/bot-1/control") as socket:
            sending = asyncio.create_task(order(server, command("bot-1", "sendaudio", pcm=pcm)))
            await socket.recv()
        status, answer = await sending
    # the second piece may be on its way before the server has heard of the closing
    assert status == 404 and re.search("after [12] of 3", answer["error"])


async def test_an_unknown_bot_is_404_and_the_open_ones_are_named(tmp_path: Path) -> None:
    """Whoever mistypes a bot is told which ones can be reached."""
    async with running(tmp_path) as server:
        status, answer = await order(server, command("bot-9", "sendmsg", message="x"))
        assert status == 404 and "none" in answer["error"]
        async with (
            dialled(server, "/meetstream/default/bot-1/control"),
            dialled(server, "/meetstream/default/bot-2/audio"),
        ):
            status, answer = await order(server, command("bot-9", "sendmsg", message="x"))
            assert status == 404 and "bot-1" in answer["error"] and "bot-2" not in answer["error"]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (command("bot-1", "sendmsg"), "message"),
        (command("bot-1", "sendmsg", message=5), "message"),
        (command("bot-1", "sendmsg", message="x", more=1), "more"),
        (command("bot-1", "dance"), "dance"),
        (command("bot-1", "sendaudio", pcm="%%%"), "pcm"),
        ({"bot": "bot-1"}, "command"),
        ({"bot": "bot-1", "command": "sendmsg", "argument": {}}, "argument"),
        (b"{", "truncated"),
        (b"\xff", ""),
        (b"[" * 100_000, ""),
    ],
)
async def test_a_wrong_argument_is_400_and_named(tmp_path: Path, body: Any, named: str) -> None:
    """Bots ignore what they do not understand in silence, so it is refused here."""
    async with running(tmp_path) as server, dialled(server, "/meetstream/default/bot-1/control"):
        status, answer = await order(server, body)
        assert status == 400 and named in answer["error"]


@pytest.mark.parametrize("token", [None, "wrong", "", "täken"])
async def test_without_the_admin_token_nothing_is_sent(tmp_path: Path, token: str | None) -> None:
    """Commands need the token of the runtime file, which only the server's own user can read."""
    async with running(tmp_path) as server, dialled(server, "/meetstream/default/bot-1/control") as socket:
        assert (tmp_path / "server.json").stat().st_mode & 0o077 == 0
        status, answer = await order(server, command("bot-1", "sendmsg", message="x"), token)
        assert status == 401 and answer["error"]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.recv(), 0.05)


async def test_a_token_of_the_configuration_serves_as_well(tmp_path: Path) -> None:
    """`[admin] token_env`: for operators on other machines."""
    async with (
        running(tmp_path, {"A": "adm-1"}, admin={"token_env": "A"}) as server,
        dialled(server, "/meetstream/default/bot-1/control"),
    ):
        assert (await order(server, command("bot-1", "interrupt"), "adm-1"))[0] == 200
