"""Servers to be measured: ours and its peers, each a process of its own, pinned to one core, on 127.0.0.1."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import psutil

from tests.commands.process import ROOT, environment

SERVER_CORE, LOAD_CORE = 0, 1
_READY_S = 30.0
_STOP_S = 20.0
#: what every row of ours has that does not say otherwise: the journal with its syncs, and a sink that writes files
FILE_SINK = '[sinks.file]\ntype = "file"\n'
#: a sink that takes nothing: the journal alone
NO_SINK = '[sinks.nothing]\ntype = "file"\ntypes = ["data.deleted"]\n'


@dataclass(frozen=True)
class Contender:
    """``module``: of ``peers``; empty: ours, with ``sinks`` in its config."""

    name: str
    module: str = ""
    sinks: str = FILE_SINK
    #: wrap: what is put in front of our command, as a module that takes the same arguments
    runner: str = "receiver"
    environ: dict[str, str] = field(default_factory=dict)


@dataclass
class Running:
    """A contender that answers."""

    name: str
    port: int
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cpu_s(self) -> float:
        """Processor time so far, of all its threads."""
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)

    def rss_bytes(self) -> int:
        return int(psutil.Process(self.process.pid).memory_info().rss)

    async def metric(self, name: str) -> float:
        """The sum over all labels of one of our metrics."""
        async with aiohttp.ClientSession() as client, client.get(f"{self.url}/metrics") as answer:
            text = await answer.text()
        lines = [line for line in text.splitlines() if line.split("{")[0].split(" ")[0] == name]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


@contextlib.contextmanager
def running(contender: Contender, folder: Path | None = None) -> Iterator[Running]:
    """Start it on a free port, wait until it takes connections, end it."""
    with contextlib.ExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", dir=Path.cwd())))
        port = free_port()
        if contender.module:
            command = [sys.executable, "-m", f"tests.benchmarks.peers.{contender.module}", str(port), str(folder)]
        else:
            config = folder / "receiver.toml"
            config.write_text(f'data_dir = "{folder / "data"}"\n[server]\nport = {port}\n{contender.sinks}')
            command = [sys.executable, "-m", contender.runner, "serve", "--config", str(config)]
        log = stack.enter_context((folder / "log").open("wb"))
        process = subprocess.Popen(
            ["taskset", "-c", str(SERVER_CORE), *command],
            cwd=ROOT, env=environment(contender.environ), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            _await_port(process, port, folder / "log")
            yield Running(contender.name, port, folder, process)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def free_port() -> int:
    """One that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def pin_load() -> None:
    """This process, and what it starts, on the core that the server does not have."""
    if len(os.sched_getaffinity(0)) > 1:
        os.sched_setaffinity(0, {LOAD_CORE})


def _await_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline_s = time.monotonic() + _READY_S
    while time.monotonic() < deadline_s:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        time.sleep(0.02)
    raise RuntimeError(f"it does not answer: {log.read_text(errors='replace')[-2000:]}")
