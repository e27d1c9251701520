"""``receiver reload`` and SIGHUP on a served process: what changes in place, what takes a new process, what changes
nothing. Many hand-overs under load: ``tests/faults/restart.py``.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from receiver.secretfiles import Runtime, read_runtime
from tests.commands.process import DEADLINE_S, ROOT, Server, environment, is_gone, run_receiver, serving
from tests.commands.test_serve import config, post
from tests.ingress.sockets import ready, sound
from tests.support import JOINING, events_in
from tests.vendors.meetstream_wire import frame

STUB = ROOT / "receiver" / "handover" / "stub.py"
PORT_0 = '[server]\nhost = "127.0.0.1"\nport = 0\n'
FILE = '[sinks.file]\ntype = "file"\nfsync = false\n'
OTHER = '[sinks.other]\ntype = "file"\nfsync = false\npath = "other/{date}.jsonl"\n'


def pid_of(folder: Path) -> int:
    """The process that serves now; 0 between two of them."""
    try:
        pid: int = json.loads((folder / "data" / "server.json").read_text())["pid"]
    except FileNotFoundError:
        return 0
    return pid


def reload(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return run_receiver("reload", "--config", str(folder / "receiver.toml"), *options)


def write(folder: Path, *sections: str) -> str:
    return config(folder, "".join((f'data_dir = "{folder}/data"\n', *sections)))


def status_of(url: str, bot: str = "bot-1") -> int:
    try:
        return post(url, JOINING | {"bot_id": bot})
    except urllib.error.HTTPError as error:
        return error.code


def wait(holds: Callable[[], Any]) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def subjects(folder: Path, name: str) -> list[str]:
    """Of a sink's events, in order."""
    return [event["subject"] for event in events_in(folder / "data", name)]


def healthy(wire: socket.socket) -> None:
    """Ask on a connection that stays, and read the whole answer: it may come in pieces."""
    wire.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    got = b""
    while not got.endswith(b'{"status": "ok"}'):
        piece = wire.recv(4096)
        assert piece, got
        got += piece
    assert got.startswith(b"HTTP/1.1 200")


def to_end(wire: socket.socket) -> bytes:
    """Everything until the server closes."""
    got = b""
    while piece := wire.recv(4096):
        got += piece
    return got


# ---- in place


def test_tokens_change_in_place_and_sockets_stay(tmp_path: Path) -> None:
    """The new token counts at once and the old one no more; a socket that was accepted stays open; same process."""
    endpoint = '[endpoints.meetstream.default]\ntoken_file = "token"\n'
    path = write(tmp_path, PORT_0, FILE, endpoint)
    (tmp_path / "token").write_text("first-token-1")
    with serving(tmp_path, "--config", path) as server:
        url = f"{server.url}/meetstream/default"
        with connect(url.replace("http", "ws") + "/audio/bot-9?token=first-token-1") as live:
            live.send(sound())
            (tmp_path / "token").write_text("second-token-2")
            done = reload(tmp_path)
            assert done.returncode == 0 and "endpoints.meetstream.default" in done.stdout, done.stderr
            assert pid_of(tmp_path) == server.process.pid
            assert status_of(f"{url}?token=first-token-1") == 401 and status_of(f"{url}?token=second-token-2") == 200
            live.send(sound())
        assert "second-token-2" not in server.text
        assert server.stop(signal.SIGTERM)[0] == 0
    kinds = [event["type"] for event in events_in(tmp_path / "data")]
    assert kinds.count("stream.opened") == kinds.count("stream.closed") == 1 and kinds.count("audio.chunk") == 2


def test_sinks_change_in_place(tmp_path: Path) -> None:
    """A new sink begins with the oldest event, a changed one goes on where it was, one that is gone gets no more."""
    with serving(tmp_path, "--config", write(tmp_path, PORT_0, FILE)) as server:
        url = f"{server.url}/meetstream/default"
        assert status_of(url, "a") == 200
        write(tmp_path, PORT_0, FILE, OTHER)
        assert "sinks.other" in reload(tmp_path).stdout
        assert status_of(url, "b") == 200
        wait(lambda: subjects(tmp_path, "other") == ["a", "b"])
        write(tmp_path, PORT_0, FILE, OTHER + 'subjects = ["d"]\n')
        assert "sinks.other" in reload(tmp_path).stdout
        assert (status_of(url, "c"), status_of(url, "d")) == (200, 200)
        wait(lambda: subjects(tmp_path, "other") == ["a", "b", "d"])
        write(tmp_path, PORT_0, FILE)
        assert "sinks.other" in reload(tmp_path).stdout
        assert status_of(url, "e") == 200
        metrics = urllib.request.urlopen(f"{server.url}/metrics").read().decode()
        assert 'receiver_sink_pending{sink="file"}' in metrics and 'sink="other"' not in metrics
        assert pid_of(tmp_path) == server.process.pid
        assert server.stop(signal.SIGTERM)[0] == 0
    assert subjects(tmp_path, "events") == ["a", "b", "c", "d", "e"] and subjects(tmp_path, "other") == ["a", "b", "d"]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("nonsense = 1\n", "nonsense"),
        ('[sinks.x]\ntype = "carrier-pigeon"\n', "sinks.x.type"),
        ("[server]\nport = 0\ntls_cert_file = 'no.pem'\ntls_key_file = 'no.pem'\n", "server.tls_cert_file"),
        ("[endpoints.acme.default]\n", "endpoints.acme.default"),
    ],
)
def test_a_wrong_config_changes_nothing(tmp_path: Path, text: str, named: str) -> None:
    """The command says what is wrong with status 78; the server goes on as it was, in the same process."""
    with serving(tmp_path, "--config", write(tmp_path, PORT_0, FILE)) as server:
        url = f"{server.url}/meetstream/default"
        write(tmp_path, text, FILE) if "[server]" in text else write(tmp_path, text, PORT_0, FILE)
        done = reload(tmp_path, "--restart")
        assert done.returncode == 78 and named in done.stderr, done.stderr
        assert status_of(url) == 200 and pid_of(tmp_path) == server.process.pid
        assert server.stop(signal.SIGTERM)[0] == 0


def test_a_process_that_does_not_come_up_changes_nothing(tmp_path: Path) -> None:
    """The new address is in use, which shows only when the journal is given up: the old process takes it back."""
    with socket.socket() as taken, serving(tmp_path, "--config", write(tmp_path, PORT_0, FILE)) as server:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        url = f"{server.url}/meetstream/default"
        assert status_of(url, "a") == 200
        with connect(url.replace("http", "ws") + "/audio/bot-9") as live:
            live.send(ready("bot-9"))
            write(tmp_path, PORT_0.replace("port = 0", f"port = {taken.getsockname()[1]}"), FILE)
            with ThreadPoolExecutor(4) as threads:
                reloading = threads.submit(reload, tmp_path)
                statuses: list[int] = []
                while not reloading.done():
                    names = [f"meanwhile-{len(statuses) + n}" for n in range(3)]
                    statuses += threads.map(lambda name: status_of(url, name), names)
            done = reloading.result()
            assert done.returncode == 1 and "did not come up" in done.stderr, done.stderr
            assert set(statuses) == {200}
            assert "ack" in str(live.recv())
            with pytest.raises(ConnectionClosed):
                live.recv()
            assert live.close_code == 1012
        with connect(url.replace("http", "ws") + "/audio/bot-9") as live:
            live.send(frame())
        assert status_of(url, "b") == 200 and pid_of(tmp_path) == server.process.pid
        write(tmp_path, PORT_0, FILE)
        assert reload(tmp_path, "--restart").returncode == 0
        assert status_of(url, "c") == 200 and pid_of(tmp_path) != server.process.pid
        assert server.stop(signal.SIGTERM)[0] == 0
    found = [event["subject"] for event in events_in(tmp_path / "data") if event["type"] == "bot.status"]
    meanwhile = [subject for subject in found if subject.startswith("meanwhile")]
    assert len(meanwhile) == len(set(meanwhile)) == len(statuses)
    assert [subject for subject in found if subject not in meanwhile] == ["a", "b", "c"]


def test_the_data_folder_cannot_change(tmp_path: Path) -> None:
    """Its journal would be left behind with what no sink has had yet."""
    with serving(tmp_path, "--config", write(tmp_path, PORT_0, FILE)) as server:
        assert status_of(f"{server.url}/meetstream/default") == 200
        config(tmp_path, f'data_dir = "{tmp_path}/elsewhere"\n{PORT_0}{FILE}')
        done = run_receiver("reload", "--config", str(tmp_path / "receiver.toml"), "--data", str(tmp_path / "data"))
        assert done.returncode == 78 and "data_dir" in done.stderr
        assert pid_of(tmp_path) == server.process.pid


def test_without_a_server_it_says_so(tmp_path: Path) -> None:
    """Status 1, and what to do."""
    write(tmp_path, PORT_0)
    done = reload(tmp_path)
    assert done.returncode == 1 and "receiver serve" in done.stderr


def test_a_stranger_cannot_reload(tmp_path: Path) -> None:
    """It is an operator's order: 401 without the admin token."""
    with serving(tmp_path, "--config", write(tmp_path, PORT_0, FILE)) as server:
        request = urllib.request.Request(f"{server.url}/api/reload", b"{}", method="POST")
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(request)


# ---- a new process


def handed_over(folder: Path, server: Server, send: Callable[[], Any]) -> int:
    """``send`` an order to restart; wait until another process serves. Its number."""
    before = pid_of(folder)
    send()
    wait(lambda: pid_of(folder) not in (0, before))
    return pid_of(folder)


def test_sighup_hands_over_and_a_supervisor_notices_nothing(tmp_path: Path) -> None:
    """The first process stays, small, passes signals on, and ends when the last server does, with its status."""
    with serving(tmp_path, "--config", write(tmp_path, PORT_0, FILE)) as server:
        url = f"{server.url}/meetstream/default"
        first = server.process.pid
        second = handed_over(tmp_path, server, lambda: os.kill(first, signal.SIGHUP))
        wait(lambda: b"stub.py" in Path(f"/proc/{first}/cmdline").read_bytes())
        third = handed_over(tmp_path, server, lambda: os.kill(first, signal.SIGHUP))
        assert len({first, second, third}) == 3
        wait(lambda: is_gone(second))
        assert status_of(url) == 200
        assert server.stop(signal.SIGTERM)[0] == 0
        wait(lambda: is_gone(third))
    assert not (tmp_path / "data" / "server.json").exists()


def test_a_signal_that_meets_nobody_is_for_the_next_server() -> None:
    """The old server has ended, and the first process has not heard yet of the one that took over."""
    signals = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    ours, theirs = socket.socketpair()
    with ours, theirs, subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]) as successor:
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # as the first process leaves them to its stub
        try:
            stub = subprocess.Popen(
                [sys.executable, "-I", "-S", str(STUB), str(theirs.fileno()), str(gone.pid)],
                pass_fds=[theirs.fileno()],
            )
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
        with stub:
            try:
                stub.send_signal(signal.SIGTERM)
                wait(lambda: "ShdPnd:\t0000000000000000" in Path(f"/proc/{stub.pid}/status").read_text())
                ours.sendall(b"pid %d\n" % successor.pid)
                assert successor.wait(DEADLINE_S) == -signal.SIGTERM
                ours.sendall(b"exit 0\n")
                theirs.close()
                ours.close()
                assert stub.wait(DEADLINE_S) == 0
            finally:
                stub.kill()
                successor.kill()


def test_a_server_that_dies_is_told_to_the_supervisor(tmp_path: Path) -> None:
    """Status 1, so that it is started again."""
    with serving(tmp_path, "--config", write(tmp_path, PORT_0, FILE)) as server:
        _ = server.url
        second = handed_over(tmp_path, server, lambda: server.process.send_signal(signal.SIGHUP))
        wait(lambda: b"stub.py" in Path(f"/proc/{server.process.pid}/cmdline").read_bytes())
        os.kill(second, signal.SIGKILL)
        assert server.process.wait(DEADLINE_S) == 1


def test_a_server_whose_first_process_is_killed_drains(tmp_path: Path) -> None:
    """Nobody would know of it, and its supervisor starts another one on the same port."""
    with serving(tmp_path, "--config", write(tmp_path, PORT_0, FILE)) as server:
        _ = server.url
        second = handed_over(tmp_path, server, lambda: server.process.send_signal(signal.SIGHUP))
        wait(lambda: b"stub.py" in Path(f"/proc/{server.process.pid}/cmdline").read_bytes())
        server.process.kill()
        wait(lambda: is_gone(second))
        assert server.lines[-1]["event"] == "server.stopped"


def test_one_reload_at_a_time(tmp_path: Path) -> None:
    """Whoever asks while another is under way is told so, at once or when the server has been replaced; none hangs."""
    with serving(tmp_path, "--config", write(tmp_path, PORT_0, FILE)) as server:
        url = f"{server.url}/meetstream/default"
        with ThreadPoolExecutor(3) as threads:
            done = list(threads.map(lambda _: reload(tmp_path, "--restart"), range(3)))
        told = [one.stderr for one in done if one.returncode]
        assert len(told) < 3 and all(
            any(word in text for word in ("under way", "no answer", "taken over")) for text in told
        )
        assert status_of(url) == 200
        assert server.stop(signal.SIGTERM)[0] == 0


def test_a_command_finds_the_server_at_every_moment_of_a_hand_over(tmp_path: Path) -> None:
    """It waits for the process that takes over, in place of saying that no server runs."""
    with serving(tmp_path, "--config", write(tmp_path, PORT_0, FILE)) as server, ThreadPoolExecutor(1) as threads:
        told: list[Runtime | None] = []
        assert status_of(f"{server.url}/meetstream/default") == 200
        handing_over = threads.submit(reload, tmp_path, "--restart")
        while not handing_over.done():
            told.append(read_runtime(tmp_path / "data"))
        assert handing_over.result().returncode == 0
        assert None not in told and len({one.pid for one in told if one is not None}) == 2
        assert server.stop(signal.SIGTERM)[0] == 0


def test_a_hand_over_does_not_need_the_file_that_tells_of_it(tmp_path: Path) -> None:
    """Where it cannot be written, as on a full disk, the next server takes over all the same."""
    with serving(tmp_path, "--config", write(tmp_path, PORT_0, FILE)) as server:
        url = f"{server.url}/meetstream/default"
        assert status_of(url) == 200
        (tmp_path / "data" / f".server.json.{server.process.pid}").mkdir()
        assert reload(tmp_path, "--restart").returncode == 0
        assert pid_of(tmp_path) != server.process.pid and status_of(url, "bot-2") == 200
        assert server.stop(signal.SIGTERM)[0] == 0


def test_idle_connections_are_served_on(tmp_path: Path) -> None:
    """A kept-alive connection from before the hand-over delivers once more, into the new process's journal."""
    with serving(tmp_path, "--config", write(tmp_path, PORT_0, FILE)) as server:
        host, port = server.url.removeprefix("http://").split(":")
        body = json.dumps(JOINING).encode()
        post_bytes = b"POST /meetstream/default HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        malformed = b"POST /meetstream/default HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n{x}"
        with socket.create_connection((host, int(port))) as good, socket.create_connection((host, int(port))) as bad:
            healthy(good)
            healthy(bad)
            handed_over(tmp_path, server, lambda: server.process.send_signal(signal.SIGHUP))
            server.wait_for("server.reloaded")
            good.sendall(post_bytes)
            bad.sendall(malformed)
            answers = [to_end(wire) for wire in (good, bad)]
        assert answers[0].startswith(b"HTTP/1.1 200") and b"onnection: close" in answers[0]
        assert b"quarantined" in answers[1]
        metrics = urllib.request.urlopen(f"{server.url}/metrics").read().decode()
        labels = '{endpoint="default",vendor="meetstream"}'
        for name, value in (("received", 2), ("journalled", 1), ("quarantined", 1)):
            assert f"receiver_{name}_total{labels} {value}.0" in metrics
        assert server.stop(signal.SIGTERM)[0] == 0
    assert [event["subject"] for event in events_in(tmp_path / "data")] == ["bot-1"]


# ---- systemd


def activated_server(folder: Path, path: str, listener: socket.socket) -> subprocess.Popen[bytes]:
    """``receiver serve`` as systemd starts it: the socket is descriptor 3."""
    script = "exec 3<&{}; export LISTEN_FDS=1 LISTEN_PID=$$; exec {} -m receiver serve --config {}"
    command = script.format(listener.fileno(), sys.executable, path)
    with (folder / "server.log").open("ab") as log:
        return subprocess.Popen(
            ["bash", "-c", command], cwd=folder, env=environment({}), pass_fds=[listener.fileno()], stderr=log
        )


def test_socket_activation_keeps_the_port_between_two_runs(tmp_path: Path) -> None:
    """A delivery that comes while no server runs waits; the config's own port is not touched; a reload works, too."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        path = write(tmp_path, "[server]\nport = 1\nidle_timeout_s = 5\n", FILE)
        url = f"http://127.0.0.1:{port}/meetstream/default"
        for run in range(2):
            early = socket.create_connection(("127.0.0.1", port))
            body = json.dumps(JOINING | {"bot_id": f"early-{run}"}).encode()
            head = b"POST /meetstream/default HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
            early.sendall(head % len(body) + body)
            process = activated_server(tmp_path, path, listener)
            assert early.recv(4096).startswith(b"HTTP/1.1 200")
            early.close()
            first = pid_of(tmp_path)
            assert reload(tmp_path, "--restart").returncode == 0 and pid_of(tmp_path) != first
            assert status_of(url, f"late-{run}") == 200
            process.terminate()
            assert process.wait(DEADLINE_S) == 0
    assert subjects(tmp_path, "events") == ["early-0", "late-0", "early-1", "late-1"]
