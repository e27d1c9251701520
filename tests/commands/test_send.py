"""``receiver send``: what reaches the bot, and what is said when it cannot."""

import asyncio
import base64
import json
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from receiver.app import Receiver
from receiver.cli import main
from receiver.commands.send import command_arguments
from receiver.errors import Malformed
from tests.support import DEADLINE_S, running, until

ADMIN = "admin-4711-secret"


@asynccontextmanager
async def bot(server: Receiver, name: str = "bot-1") -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A bot with its control socket open at the server."""
    async with (
        aiohttp.ClientSession() as client,
        client.ws_connect(f"{server.url}/meetstream/default/{name}/control") as socket,
    ):
        await until(lambda: server.ledger.endpoint("meetstream", "default").sockets_open)
        yield socket


async def send(data_dir: Path, *arguments: str) -> int:
    """The command beside a live server."""
    return await asyncio.to_thread(main, ["send", *arguments, "--data", str(data_dir)])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("sendmsg", "Hello", "all"), {"command": "sendmsg", "message": "Hello all", "bot_id": "bot-1"}),
        (("sendchat", "On it.", "role=assistant", "is_final=false"), {"command": "sendchat", "text": "On it."}),
        (("interrupt",), {"command": "interrupt"}),
        (("sendimg_url", "https://x/y?a=b"), {"command": "sendimg_url", "img_url": "https://x/y?a=b"}),
    ],
)
async def test_a_command_reaches_the_bot(
    tmp_path: Path, words: tuple[str, ...], expected: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """The server is found through its data folder; no token is needed there."""
    async with running(tmp_path) as server, bot(server) as socket:
        assert await send(tmp_path, "bot-1", *words) == 0
        got = json.loads(await asyncio.wait_for(socket.receive_str(), DEADLINE_S))
        assert got.items() >= expected.items()
    assert "sent 1 message to bot-1\n" in capsys.readouterr().out


async def test_sound_and_pictures_come_from_files(tmp_path: Path) -> None:
    """A stereo WAV of 8 kHz becomes 48 kHz mono; a picture goes as it is."""
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((2, 2, 8000, 0, "NONE", ""))
        file.writeframes(b"\0\1\0\1" * 800)
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    async with running(tmp_path / "data") as server, bot(server) as socket:
        assert await send(tmp_path / "data", "bot-1", "sendaudio", str(tmp_path / "a.wav")) == 0
        sound = json.loads(await asyncio.wait_for(socket.receive_str(), DEADLINE_S))
        assert sound["sample_rate"] == 48_000 and len(base64.b64decode(sound["audiochunk"])) == 4800 * 2
        assert await send(tmp_path / "data", "bot-1", "sendimg", str(tmp_path / "a.png")) == 0
        picture = json.loads(await asyncio.wait_for(socket.receive_str(), DEADLINE_S))
        assert base64.b64decode(picture["img"]) == b"\x89PNG"


async def test_a_bot_without_a_socket_is_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The bots that can be reached are named."""
    async with running(tmp_path) as server, bot(server, "bot-2"):
        assert await send(tmp_path, "bot-1", "interrupt") == 1
    err = capsys.readouterr().err
    assert "no control socket of bot 'bot-1' is open; bots with an open one: bot-2" in err


@pytest.mark.parametrize(
    "words",
    [("dance",), ("sendmsg",), ("interrupt", "now"), ("sendaudio", "/no/such.wav"), ("sendaudio", __file__)],
)
async def test_a_wrong_argument_is_65(
    tmp_path: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, and the bot hears nothing."""
    async with running(tmp_path) as server, bot(server):
        assert await send(tmp_path, "bot-1", *words) == 65
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_without_a_server_it_is_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It says which folder it looked at and what to do."""
    assert main(["send", "bot-1", "interrupt", "--data", str(tmp_path)]) == 1
    assert capsys.readouterr().err == (
        f"receiver: no server runs on {tmp_path}; start `receiver serve`, or name one with --url\n"
    )


async def test_from_another_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--url and the admin token: right 0, wrong or missing 77, nobody there 1, variable not set 78."""
    monkeypatch.setenv("RIGHT", ADMIN)
    monkeypatch.setenv("WRONG", "wrong")
    monkeypatch.delenv("UNSET", raising=False)
    elsewhere = tmp_path / "elsewhere"
    async with running(tmp_path, {"A": ADMIN}, admin={"token_env": "A"}) as server, bot(server):
        for options, status in (
            (("--url", server.url + "/", "--token-env", "RIGHT"), 0),
            (("--url", server.url, "--token-env", "WRONG"), 77),
            (("--url", server.url), 77),
            (("--url", server.url, "--token-env", "UNSET"), 78),
            (("--url", "http://127.0.0.1:1", "--token-env", "RIGHT"), 1),
            (("--url", "no url", "--token-env", "RIGHT"), 1),
        ):
            assert await send(elsewhere, "bot-1", "interrupt", *options) == status, options


async def test_a_config_finds_the_server_without_its_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of the service is not at hand in a shell."""
    monkeypatch.delenv("UNSET", raising=False)
    path = tmp_path / "receiver.toml"
    path.write_text(f'data_dir = "{tmp_path / "data"}"\n[endpoints.meetstream.default]\ntoken_env = "UNSET"\n')
    async with running(tmp_path / "data") as server, bot(server):
        assert await asyncio.to_thread(main, ["send", "bot-1", "interrupt", "--config", str(path)]) == 0


def test_words_become_arguments() -> None:
    """`key=value` only for keys that commands have; the rest is text, also with an equals sign in it."""
    assert command_arguments("sendmsg", ["a=b", "c"]) == {"message": "a=b c"}
    assert command_arguments("sendchat", ["x", "is_final=true"]) == {"text": "x", "is_final": True}
    assert command_arguments("sendchat", ["x", "is_final=maybe"]) == {"text": "x", "is_final": "maybe"}
    assert command_arguments("interrupt", ["action=clear_audio_queue"]) == {"action": "clear_audio_queue"}
    with pytest.raises(Malformed, match="interrupt takes no text"):
        command_arguments("interrupt", ["now"])
