"""``receiver pcm``: what goes down the pipe, and how it ends."""

import asyncio
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from receiver.cli import main
from tests.commands.process import ROOT, environment
from tests.live_audio.chunks import BOT, noise
from tests.live_audio.house import RATE_HZ, House, house, place_of, samples_of
from tests.support import until


async def started(here: House, *arguments: str, **options: Any) -> asyncio.subprocess.Process:
    """The command as a process of its own, beside a server that it is told of."""
    command = [sys.executable, "-m", "receiver", "pcm", *arguments, "--url", here.url]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=environment({}), **pipes)


async def test_samples_go_down_the_pipe_to_the_end_of_the_stream(tmp_path: Path) -> None:
    """As they were said, at the rate that is asked for; then it is 0."""
    sound = noise(RATE_HZ // 5)
    async with house(tmp_path) as here:
        process = await started(here, BOT, "--rate", "16000", "--channels", "2", "--wait", "20")
        await until(lambda: here.feeds._feeds, "a listener")
        bot = here.bot()
        await bot.opens()
        await bot.speaks(sound)
        await bot.closes()
        out, err = await asyncio.wait_for(process.communicate(), 20)
    got = samples_of(out, 2)
    assert (process.returncode, err) == (0, b"")
    assert place_of(sound, got[:, :1]) >= 0 and (got[:, 0] == got[:, 1]).all()


async def test_it_ends_with_whoever_reads(tmp_path: Path) -> None:
    """`| head` closes the pipe: no complaint, status 0."""
    async with house(tmp_path) as here:
        await here.bot().opens()
        await until(lambda: here.feeds.is_known(BOT))
        process = await started(here, BOT)
        assert process.stdout is not None and process.stderr is not None
        await asyncio.wait_for(process.stdout.readexactly(100), 20)
        process._transport.get_pipe_transport(1).close()  # type: ignore[attr-defined]
        assert await asyncio.wait_for(process.wait(), 20) == 0
        assert await process.stderr.read() == b""
        await until(lambda: not here.feeds._feeds, "the server is rid of it")


@pytest.mark.parametrize("stuck", [False, True])
async def test_ctrl_c_ends_it(tmp_path: Path, stuck: bool) -> None:
    """At once, without a traceback, also where nobody takes what it writes."""
    async with house(tmp_path) as here:
        bot = here.bot()
        await bot.opens()
        await until(lambda: here.feeds.is_known(BOT))
        read, write = os.pipe()
        process = await started(here, BOT, "--rate", "48000", stdout=write)
        os.close(write)
        await asyncio.to_thread(os.read, read, 100)
        if stuck:
            for _ in range(5):
                await bot.says(noise(48_000), rate_hz=48_000)
            await asyncio.sleep(0.3)
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 20) == 130
        assert process.stderr is not None and await process.stderr.read() == b""
        os.close(read)


async def test_a_terminal_is_refused_with_a_hint(tmp_path: Path) -> None:
    """Samples are no text."""
    async with house(tmp_path) as here:
        controller, terminal = pty.openpty()
        process = await started(here, BOT, stdout=terminal)
        _, err = await asyncio.wait_for(process.communicate(), 20)
        os.close(terminal)
        os.close(controller)
    assert process.returncode == 2 and b"a terminal" in err and b"receiver pcm bot-7 | ffplay" in err


async def test_what_is_refused_has_its_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """No such bot 1, a wrong argument 65 and named, nobody there 1, a variable that is not set 78."""
    monkeypatch.delenv("UNSET", raising=False)
    async with house(tmp_path / "journal") as here:
        await here.bot().opens()
        await until(lambda: here.feeds.is_known(BOT))
        for options, status, told in (
            (("nobody", "--url", here.url), 1, "no live audio of 'nobody'"),
            ((BOT, "--url", here.url, "--rate", "7"), 65, "(at rate)"),
            ((BOT, "--url", here.url, "--channels", "3"), 65, "(at channels)"),
            ((BOT, "--url", "http://127.0.0.1:1"), 1, "no answer from http://127.0.0.1:1"),
            ((BOT, "--url", "no url"), 1, "no answer from no url"),
            ((BOT, "--url", here.url, "--token-env", "UNSET"), 78, "UNSET"),
            ((BOT,), 1, "no server runs on"),
        ):
            arguments = ["pcm", *options, "--data", str(tmp_path)]
            assert await asyncio.to_thread(main, arguments) == status, options
            assert told in capfd.readouterr().err


async def test_the_end_of_the_server_is_no_end_of_the_stream(tmp_path: Path) -> None:
    """Whoever pipes it on can tell by the status."""
    async with house(tmp_path) as here:
        await here.bot().opens()
        await until(lambda: here.feeds.is_known(BOT))
        process = await started(here, BOT)
        assert process.stdout is not None
        await asyncio.wait_for(process.stdout.readexactly(100), 20)
        here.feeds.close()
        _, err = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 1 and b"the server has ended" in err
