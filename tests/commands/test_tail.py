"""``receiver tail``: from a live server, across its restarts, and from the journal alone."""

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from receiver.cli import main
from receiver.commands.paint import Painter, fit
from receiver.errors import Malformed
from receiver.events import DATA_TYPES, Event, Person, Transcript
from receiver.live.frames import Gap
from receiver.live.incoming import Position, read_message
from receiver.secretfiles import read_runtime
from tests.commands.process import DEADLINE_S, environment, serving
from tests.commands.test_reload import wait
from tests.live.readers import post
from tests.support import running
from tests.test_events import BARE, FULL, make_event

READERS = {"page": {"token_env": "T", "scopes": ["events"]}}


async def tail(data_dir: Path, *arguments: str) -> int:
    return await asyncio.to_thread(main, ["tail", "--data", str(data_dir), *arguments])


@contextmanager
def following(folder: Path, *arguments: str, **environ: str) -> Iterator["Follower"]:
    """``receiver tail --follow`` as a process of its own; ended by Ctrl-C."""
    with (folder / "tail.out").open("wb") as out, (folder / "tail.err").open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "receiver", "tail", "--follow", *arguments],
            cwd=folder, env=environment(environ), stdin=subprocess.DEVNULL, stdout=out, stderr=err,
        )  # fmt: skip
    try:
        yield Follower(process, folder)
    finally:
        process.kill()
        process.wait(DEADLINE_S)


class Follower:
    """What it has printed."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self.process = process
        self._folder = folder

    @property
    def lines(self) -> list[str]:
        """Whole ones: it may be printing the next."""
        *whole, _ = (self._folder / "tail.out").read_text(errors="replace").split("\n")
        return whole

    @property
    def errors(self) -> str:
        return (self._folder / "tail.err").read_text(errors="replace")


def test_it_follows_across_restarts(tmp_path: Path) -> None:
    """Everything once and in order, also what came while no server was connected to; Ctrl-C is a good end."""
    (tmp_path / "c.toml").write_text('data_dir = "data"\n[server]\nport = 0\n[sinks.f]\ntype = "file"\n')

    def deliver(*bots: str) -> None:
        runtime = read_runtime(tmp_path / "data")
        assert runtime is not None
        for bot in bots:
            body = json.dumps({"event": "bot.joining", "bot_id": bot, "bot_status": "Joining"})
            command = ["curl", "-sf", "-d", body, f"{runtime.url}/meetstream/default"]
            assert subprocess.run(command, check=True, capture_output=True).stdout

    with serving(tmp_path, "--config", "c.toml") as server:
        assert server.url
        deliver("a", "b")
        with following(tmp_path, "--data", "data", "--from", "start", "--json") as tailing:
            wait(lambda: len(tailing.lines) == 2)
            assert server.stop(signal.SIGTERM)[0] == 0
            wait(lambda: "away" in tailing.errors)
            with serving(tmp_path, "--config", "c.toml") as again:
                assert again.url
                deliver("c")
                wait(lambda: len(tailing.lines) == 3)
                deliver("d")
                wait(lambda: len(tailing.lines) == 4)
                tailing.process.send_signal(signal.SIGINT)
                assert tailing.process.wait(DEADLINE_S) == 0
            assert [json.loads(line)["subject"] for line in tailing.lines] == ["a", "b", "c", "d"]
            assert "Traceback" not in tailing.errors


async def test_it_follows_a_server_elsewhere_with_a_token(tmp_path: Path) -> None:
    """A reader's token; filters; lines for people. A wrong token is status 77, and says so."""
    async with running(tmp_path / "data", {"T": "reader-1"}, readers=READERS) as server:
        with following(
            tmp_path, "--url", server.url, "--token-env", "TOKEN", "--from", "1h", "--subject", "b", TOKEN="reader-1"
        ) as tailing:
            await post(server, "a", "b")
            await asyncio.to_thread(wait, lambda: tailing.lines)
            assert tailing.lines == ["09:00:00 [b] bot joining (Bot is joining, code 200)"]
        with following(tmp_path, "--url", server.url, "--token-env", "TOKEN", TOKEN="guess") as tailing:
            assert await asyncio.to_thread(tailing.process.wait, DEADLINE_S) == 77
            assert "reader token" in tailing.errors and "guess" not in tailing.errors


@pytest.mark.parametrize("live", [True, False], ids=["beside-a-server", "at-rest"])
async def test_the_journal_is_read_without_a_server(
    tmp_path: Path, live: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """By time, by number, by filter, as JSON or for people."""
    async with running(tmp_path) as server:
        await post(server, "a", "b", "c")
        first = server.journal.head - 2
        if live:
            await shown(tmp_path, first, capsys)
    if not live:
        await shown(tmp_path, first, capsys)


async def shown(data_dir: Path, first: int, capsys: pytest.CaptureFixture[str]) -> None:
    def printed() -> list[str]:
        return [json.loads(line)["subject"] for line in capsys.readouterr().out.splitlines()]

    for arguments, subjects in (
        ((), "abc"),
        (("--from", "start"), "abc"),
        (("--from", str(first + 1)), "bc"),
        (("--from", "1h", "--subject", "b", "c"), "bc"),
        (("--type", "bot.*", "--vendor", "meetstream", "--final"), "abc"),
    ):
        assert await tail(data_dir, *arguments, "--json") == 0
        assert printed() == list(subjects), arguments
    assert await tail(data_dir, "--from", str(first + 2)) == 0
    assert capsys.readouterr().out == "09:00:00 [c] bot joining (Bot is joining, code 200)\n"
    assert await tail(data_dir, "--type", "chat.message") == 1
    assert "nothing that fits" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [["--type", "nonsense"], ["--from", "yesterday"], ["--vendor", "acme"], ["--url", "http://127.0.0.1:1"]],
)
def test_a_wrong_argument_is_told(arguments: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Status 2, and which."""
    with pytest.raises(SystemExit) as end:
        main(["tail", "--data", str(tmp_path), *arguments])
    assert end.value.code == 2 and arguments[1 if arguments[0] != "--url" else 0] in capsys.readouterr().err


def test_without_server_and_journal_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 1, and what to do."""
    assert main(["tail", "--data", str(tmp_path)]) == 1 and "no server has run" in capsys.readouterr().err
    assert main(["tail", "--follow", "--data", str(tmp_path)]) == 1 and "receiver serve" in capsys.readouterr().err


def test_who_has_seen_enough_ends_it(tmp_path: Path) -> None:
    """`receiver tail | head -1`: no traceback."""

    async def fill() -> None:
        async with running(tmp_path / "data") as server:
            await post(server, *(f"bot-{number}" for number in range(300)))

    asyncio.run(fill())
    command = f"{sys.executable} -m receiver tail --data data --json | head -1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], cwd=tmp_path, env=environment({}), capture_output=True, check=False
    )
    assert done.returncode == 0 and done.stderr == b"" and b"bot-0" in done.stdout


# On the terminal


def words(text: str, *, final: bool = False, name: str = "Ada") -> Event:
    type_ = "transcript.final" if final else "transcript.partial"
    return make_event(type_, Transcript(text=text, speaker=Person(id=name, name=name)), subject="bot-7")


def painted(*events: Event | Gap, colour: bool = False, columns: int = 80) -> str:
    out = io.StringIO()
    painter = Painter(out, as_json=False, colour=colour, columns=columns)
    for event in events:
        painter.show(event)
    painter.close()
    return out.getvalue()


def screen(text: str) -> list[str]:
    """What a terminal shows of it, without colours."""
    lines = [""]
    for piece in text.replace("\r\x1b[K", "\x00").replace("\n", "\x01"):
        if piece == "\x00":
            lines[-1] = ""
        elif piece == "\x01":
            lines.append("")
        else:
            lines[-1] += piece
    return [line for line in lines if line]


def test_what_is_being_said_is_replaced_in_place() -> None:
    """One line grows and becomes firm; what happens meanwhile stands above it; nothing half-said stays behind."""
    text = painted(words("Good"), words("Good mor"), words("Good morning.", final=True), words("And"))
    assert [line.partition("] ")[2] for line in screen(text)] == ["Ada: Good morning."]
    text = painted(words("Good"), words("Hello.", final=True, name="Bob"), words("Good morning.", final=True))
    assert [line.partition("] ")[2] for line in screen(text)] == ["Bob: Hello.", "Ada: Good morning."]
    out = io.StringIO()
    painter = Painter(out, as_json=False, colour=False, columns=80)
    painter.show(words("Good"))
    painter.show(words("Hello.", final=True, name="Bob"))
    assert screen(out.getvalue())[-1].endswith("Ada: Good …")


def test_elsewhere_nothing_is_replaced() -> None:
    """Into a file each line stays, and no control character is in it; a gap is told."""
    text = painted(words("Good"), words("Good morning.", final=True), Gap(3, 5, 9, "expired"), columns=0)
    assert [line.partition("] ")[2] for line in text.splitlines()[:2]] == ["Ada: Good …", "Ada: Good morning."]
    assert text.splitlines()[2] == "-- 3 missing between 5 and 9: expired" and text.isprintable() is False
    assert "\x1b" not in text and "\r" not in text


def test_names_have_colours() -> None:
    """The same name the same one; partials grey; a colour ends where it should."""
    texts = {name: painted(words("x", final=True, name=name), colour=True, columns=0) for name in ("Ada", "Bob", "Eve")}
    assert painted(words("y", final=True, name="Ada"), colour=True, columns=0)[:-2] == texts["Ada"][:-2]
    assert len({text.partition(name)[0] for name, text in texts.items()}) > 1
    assert painted(words("x"), colour=True, columns=0).startswith("\x1b[90m")
    for text in texts.values():
        assert text.count("\x1b[0m") == 2


@pytest.mark.parametrize("text", ["x" * 500, "漢字" * 200, "a", "", "x" * 39 + "漢"])
def test_a_long_line_fits_on_a_row(text: str) -> None:
    """It would wrap otherwise, and could not be replaced; its end is what is new."""
    from receiver.commands.paint import _width

    fitted = fit(text, 40)
    assert _width(fitted) <= 40 and fitted[-1:] == text[-1:]


# What comes over the wire


@pytest.mark.parametrize("facts", [FULL, BARE], ids=["full", "bare"])
@pytest.mark.parametrize("type_", DATA_TYPES)
def test_an_event_that_was_sent_is_the_same_again(type_: str, facts: dict[Any, Any]) -> None:
    """Whatever its type: what a reader of ours makes of it encodes to the same JSON."""
    event = make_event(type_, facts[DATA_TYPES[type_]], subject="bot-7")
    again = read_message(event.json())
    assert isinstance(again, Event) and msgspec.json.decode(again.json()) == msgspec.json.decode(event.json())


def test_an_event_of_a_newer_receiver_keeps_its_data() -> None:
    """Whatever its type: it is shown, and with ``--json`` as it came."""
    sent = msgspec.json.decode(make_event("bot.status", FULL[DATA_TYPES["bot.status"]]).json())
    sent |= {"type": "room.lock", "data": {"locked": True}}
    again = read_message(msgspec.json.encode(sent))
    assert isinstance(again, Event) and msgspec.json.decode(again.json()) == sent


def test_what_is_no_event_is_told() -> None:
    """Our own messages are known; anything else is malformed, never a crash."""
    assert read_message(b'{"type":"receiver.position","sequence":"00017"}') == Position(17)
    assert read_message(Gap(3, 5, 9, "damaged").json()) == Gap(3, 5, 9, "damaged")
    for text in ("", "[]", "{}", '{"type":"bot.status"}', '{"type":"receiver.gap"}', '{"type":5}', "\ud800"):
        with pytest.raises(Malformed):
            read_message(text.encode("utf-8", "surrogatepass"))


def test_no_color_is_respected(tmp_path: Path) -> None:
    """https://no-color.org: on a real terminal, too."""

    async def fill() -> None:
        async with running(tmp_path / "data") as server:
            await post(server, "a")

    asyncio.run(fill())
    for environ, coloured in (({"TERM": "xterm"}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False)):
        ours, theirs = os.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "receiver", "tail", "--data", "data"], cwd=tmp_path, stdout=theirs,
            stdin=subprocess.DEVNULL, env=environment(environ),
        )  # fmt: skip
        assert process.wait(DEADLINE_S) == 0
        text = b""
        while b"\n" not in text:  # what was written comes through the terminal bit by bit
            text += os.read(ours, 65536)
        os.close(ours)
        os.close(theirs)
        assert b"[a] bot joining" in text.replace(b"\x1b[0m", b"") and (b"\x1b[2m" in text) == coloured
