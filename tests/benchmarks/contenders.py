"""Servers to be measured: ours and its peers, each a process of its own, pinned to one core, on 127.0.0.1."""

import contextlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import aiohttp
import psutil

from tests.commands.process import ROOT, environment
from tests.end_to_end.process import free_port

_READY_S = 30.0
_STOP_S = 30.0
_LOOK_S = 0.002
#: what every row of ours has that does not say otherwise: the journal with its syncs, and a sink that writes files
FILE_SINK = '[sinks.file]\ntype = "file"\n'
#: a sink that takes nothing: the journal alone
NO_SINK = '[sinks.nothing]\ntype = "file"\ntypes = ["data.deleted"]\n'


class Pins(NamedTuple):
    """Which core belongs to whom; ``None``: to nobody in particular. ``text`` is what the page says."""

    server: int | None
    load: int | None
    text: str


def pins(cores: Sequence[int], taskset: str | None) -> Pins:
    """Server and load get a core each, where this process may use two and there is a ``taskset``."""
    if len(cores) < 2:
        return Pins(None, None, f"nothing is pinned: there is {len(cores)} core, and two are needed")
    if taskset is None:
        return Pins(None, None, "nothing is pinned: there is no taskset (apt-get install util-linux)")
    return Pins(cores[0], cores[1], f"each server is pinned to core {cores[0]}, its sender to core {cores[1]}")


#: as it was before anything was pinned
PINS = pins(sorted(os.sched_getaffinity(0)), shutil.which("taskset"))


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
        """One of our metrics: the sum over all its labels, or what stands behind the labels in ``name``."""
        async with aiohttp.ClientSession() as client, client.get(f"{self.url}/metrics") as answer:
            text = await answer.text()
        return read_metric(text, name)

    def require_ready(self) -> None:
        """Raises: RuntimeError, unless ``/readyz`` is green."""
        asked = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_READY_S)
        try:
            asked.request("GET", "/readyz")
            if (answer := asked.getresponse()).status != 200:
                raise RuntimeError(f"/readyz is answered {answer.status}, wanted 200: {answer.read(500)!r}")
        finally:
            asked.close()


def read_metric(text: str, name: str) -> float:
    """Of Prometheus' text form: ``name`` alone sums over labels, ``name{sink="file"}`` is that series. 0: none."""
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    return sum(float(value) for series, value in lines if series == name or series.partition("{")[0] == name)


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
            command if PINS.server is None else ["taskset", "-c", str(PINS.server), *command],
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


def pin_load() -> None:
    """This process, and what it starts, on the core that the server does not have."""
    if PINS.load is not None:
        os.sched_setaffinity(0, {PINS.load})


def _await_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline_s = time.monotonic() + _READY_S
    while time.monotonic() < deadline_s:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        time.sleep(_LOOK_S)
    raise RuntimeError(f"it does not answer: {log.read_text(errors='replace')[-2000:]}")
