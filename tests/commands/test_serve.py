"""``receiver serve`` as a process: what it says, how it ends, what stops it from starting."""

import json
import signal
import socket
import urllib.request
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tests.commands.process import DEADLINE_S, run_receiver, serving
from tests.support import JOINING, events_in

TOKEN = "tok-4711-secret"
HANGING_SINK = """
import asyncio, time
from sinks.base import SinkConfig

class Config(SinkConfig):
    how: str = ""

class HangingSink:
    Config = Config

    def __init__(self, name, config, data_dir):
        self.how = config.how

    async def open(self):
        pass

    async def write(self, batch):
        while True:
            try:
                await asyncio.to_thread(time.sleep, 600 if self.how == "thread" else 0)
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if self.how != "deaf":
                    raise

    async def close(self):
        if self.how == "close":
            await asyncio.Event().wait()
"""


def post(url: str, body: dict[str, Any]) -> int:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=DEADLINE_S) as reply:
        status: int = reply.status
        return status


def config(folder: Path, text: str) -> str:
    """The name of a config file with this text."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "receiver.toml"
    path.write_text(dedent(text))
    return str(path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_exits_0(tmp_path: Path, number: int) -> None:
    """Without a config: stdout and file sinks below ./receiver-data. After the signal all of it is delivered."""
    with serving(tmp_path, "--port", "0") as server:
        for count in range(20):
            assert post(server.url + "/meetstream", JOINING | {"bot_id": f"bot-{count}"}) == 200
        status, took_s = server.stop(number)
        assert (status, took_s < 15) == (0, True), server.text
        assert [line["event"] for line in server.lines[-2:]] == ["server.draining", "server.stopped"]
        printed = [json.loads(line)["subject"] for line in server.out.read_text().splitlines()]
    assert printed == [event["subject"] for event in events_in(tmp_path / "receiver-data")]
    assert printed == [f"bot-{count}" for count in range(20)]
    assert not (tmp_path / "receiver-data" / "server.json").exists()


def test_it_logs_its_urls_as_json_lines_without_tokens(tmp_path: Path) -> None:
    """Each line is one JSON object with time and level; tokens are printed by `receiver urls` only."""
    text = """
        [endpoints.meetstream.default]
        token = "auto"
        token_env = "TOKEN"
        [endpoints.meetstream.open]
        """
    with serving(tmp_path, "--config", config(tmp_path, text), "--port", "0", TOKEN=TOKEN) as server:
        base = server.url
        assert post(f"{base}/meetstream/default/{TOKEN}", JOINING) == 200
        closed, open_ = server.named("endpoint.serving")
        assert closed["url"] == f"{base}/meetstream/default" and closed["proof"] == "token"
        assert open_["url"] == f"{base}/meetstream/open" and open_["proof"].startswith("none: anybody")
        ready = server.wait_for("server.ready")
        assert ready["ready"] == f"{base}/readyz" and ready["sinks"] == ["stdout", "file"]
        assert all({"event", "level", "timestamp"} <= set(line) for line in server.lines)
        made = json.loads((tmp_path / "receiver-data" / "tokens.json").read_text())["meetstream/default"]
        server.stop(signal.SIGTERM)
        assert TOKEN not in server.text and made not in server.text


def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    """Exit status 78, no traceback."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        result = run_receiver("serve", "--port", where.split(":")[1], "--data", str(tmp_path))
    assert result.returncode == 78
    assert result.stderr == f"receiver: server.port: found {where}, which is in use, allowed a free port\n"


def test_a_second_server_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    """Two writers would spoil the journal; the first one is not disturbed."""
    with serving(tmp_path, "--port", "0", "--data", "data") as server:
        url = server.url
        result = run_receiver("serve", "--port", "0", "--data", str(tmp_path / "data"))
        assert result.returncode == 78 and len(result.stderr.splitlines()) == 1
        assert "found " + str(tmp_path / "data") + " in use by another receiver" in result.stderr
        assert post(url + "/meetstream", JOINING) == 200
        assert server.stop(signal.SIGTERM)[0] == 0


def test_a_wrong_config_is_told_line_by_line(tmp_path: Path) -> None:
    """Exit status 78; nothing is created."""
    text = 'data_dir = "data"\n[server]\nport = "x"\n[sinks.a]\ntyp = "file"\n'
    result = run_receiver("serve", "--config", config(tmp_path, text), cwd=tmp_path)
    assert result.returncode == 78
    assert result.stderr.splitlines() == [
        "receiver: server.port: found 'x', allowed a whole number from 0 to 65535",
        "receiver: sinks.a.type: found nothing, allowed the name of a sink type",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["receiver.toml"]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--data", "/dev/null/data"), "data_dir: found /dev/null/data, which cannot be used ("),
        (("--host", "256.1.1.1"), "endpoints.meetstream.default: found no token and no secret while server.host = "),
        (("--host", "no such host"), "server.host: found "),
    ],
)
def test_what_cannot_be_served_is_told(tmp_path: Path, arguments: tuple[str, ...], line: str) -> None:
    """The key to blame and the operating system's words, exit status 78."""
    text = '[endpoints.meetstream.default]\ntoken = "auto"' if "no such" in arguments[1] else ""
    result = run_receiver("serve", "--port", "0", "--config", config(tmp_path, text), *arguments, cwd=tmp_path)
    assert result.returncode == 78 and result.stderr.startswith(f"receiver: {line}"), result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_damaged_state_is_told(tmp_path: Path) -> None:
    """A file that is no database is set aside, loudly, and the server serves on: at least once, not at most once."""
    journal = tmp_path / "receiver-data" / "journal"
    journal.mkdir(parents=True)
    (journal / "state.db").write_bytes(b"no database at all" * 100)
    with serving(tmp_path, "--port", "0") as server:
        assert post(server.url + "/meetstream", JOINING) == 200
        (told,) = server.named("state.set_aside")
        assert (journal / told["to"]).exists() and "every sink gets all" in told["lost"]
        assert server.stop(signal.SIGTERM)[0] == 0
    assert len(events_in(tmp_path / "receiver-data")) == 1


@pytest.mark.parametrize("how", ["write", "close", "thread", "deaf"])
def test_a_sink_that_hangs_does_not_hang_the_drain(tmp_path: Path, how: str) -> None:
    """A write or close that never ends, one that is stuck in a thread, one that ignores its cancellation: exit 0 after
    the limit, and the other sinks have everything."""
    status, took_s, server_text = hang(tmp_path, how)
    assert status == 0 and took_s < 14 and "server.drain.incomplete" in server_text, server_text
    assert [event["subject"] for event in events_in(tmp_path / "receiver-data")] == ["bot-1"]


def hang(tmp_path: Path, how: str) -> tuple[int, float, str]:
    """Serve with a sink that hangs this way, deliver one event, stop."""
    site = tmp_path / "site"
    info = site / "hanging-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "hanging.py").write_text(HANGING_SINK)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hanging\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[meeting_receiver.sinks]\nhanging = hanging:HangingSink\n")
    text = f"""
        [server]
        port = 0
        drain_s = 0.2
        [sinks.file]
        type = "file"
        [sinks.stuck]
        type = "hanging"
        how = "{how}"
        """
    path = f"{Path(__file__).parent.parent.parent}:{site}"
    with serving(tmp_path, "--config", config(tmp_path, text), PYTHONPATH=path) as server:
        assert post(server.url + "/meetstream", JOINING) == 200
        server.wait_until(lambda: len(events_in(tmp_path / "receiver-data")) == 1)  # the limit is short for a slow disk
        return *server.stop(signal.SIGTERM), server.text
