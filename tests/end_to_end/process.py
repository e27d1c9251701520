"""``receiver`` as a process of its own, seen from outside only: its port, its files, its exit status.

What the tests of this folder share. Nothing here looks into the server; simulated meetings are the only part of ours
that runs inside the test.
"""

import asyncio
import contextlib
import gzip
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from prometheus_client.parser import text_string_to_metric_families

from tests.kafka_broker import reserved_port

RECEIVER = (sys.executable, "-m", "receiver")
#: a busy machine is no failure
PATIENCE_S = 60.0
#: no disk is too small for a test, and no machine too busy to drain
_SERVER = '[server]\nhost = "127.0.0.1"\nport = {port}\ndrain_s = {drain_s}\n{keys}\n\n[journal]\n{journal}\n'


class Server:
    """``receiver serve`` on a config below ``folder``; may be killed and started again, on the same port and data."""

    def __init__(
        self,
        folder: Path,
        sections: str,
        *,
        port: int = 0,
        keys: str = "",
        drain_s: float = 20.0,
        journal: str = "min_free_bytes = 0",
        environ: dict[str, str] | None = None,
        module: str = "receiver",
    ) -> None:
        """``sections``: TOML, everything but ``data_dir``, ``[server]`` and ``[journal]``. ``port`` 0: any free one.
        ``keys``: more lines of ``[server]``. ``drain_s``: less where a sink is down to the end. ``journal``: lines of
        ``[journal]``. ``module``: what is run."""
        self.data_dir = folder / "data"
        self.log = folder / "serve.log"
        self.url = ""
        self._config = folder / "receiver.toml"
        server = _SERVER.format(port=port, keys=keys, drain_s=drain_s, journal=journal)
        self._program = sys.executable, "-m", module
        self._config.write_text(f"data_dir = {json.dumps(str(self.data_dir))}\n{server}\n{sections}")
        self._environ = {**os.environ, **(environ or {})}
        self._process: asyncio.subprocess.Process | None = None

    async def spawn(self) -> None:
        """Start the process; it may not listen yet. Everything that it prints goes into ``log``."""
        self._logged = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._program, "serve", "--config", str(self._config), stdout=log, stderr=log, env=self._environ
            )

    @property
    def pid(self) -> int:
        """Of the process that was spawned last."""
        assert self._process is not None
        return self._process.pid

    async def ready(self) -> None:
        """Wait until it says that it serves."""

        def is_ready() -> bool:
            assert self._process is not None and self._process.returncode is None, f"it ended:\n{self._tail()}"
            return bool(self.said("server.ready"))

        await until(is_ready, "the server is ready")
        self.url = self.said("server.ready")[0]["url"]

    async def start(self) -> None:
        """Start it and wait until it serves."""
        await self.spawn()
        await self.ready()

    async def kill(self) -> None:
        """``kill -9``."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    def terminate(self) -> None:
        """SIGTERM, without waiting for anything."""
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()

    async def stop(self) -> int:
        """SIGTERM; the exit status."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self._process.wait(), PATIENCE_S)

    async def metrics(self) -> dict[str, float]:
        """``GET /metrics``: ``name{label=value,…}`` (labels in order of name) to its value."""
        async with aiohttp.ClientSession() as client, client.get(f"{self.url}/metrics") as reply:
            assert reply.status == 200
            text = await reply.text()
        return {
            sample.name + "{" + ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items())) + "}":
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }  # fmt: skip

    async def caught_up(self, *sinks: str) -> dict[str, float]:
        """Wait until nothing is pending at ``sinks`` and in the journal; the metrics of that moment."""
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            metrics = await self.metrics()
            waiting = {name: value for name, value in metrics.items() if name.startswith("receiver_journal_pending")}
            waiting |= {sink: metrics[f"receiver_sink_pending{{sink={sink}}}"] for sink in sinks}
            if not any(waiting.values()):
                return metrics
            assert time.monotonic() < deadline_s, f"still waiting: {waiting}"
            await asyncio.sleep(0.05)

    def errors(self) -> list[str]:
        """Names of what the current process has logged as an error."""
        return [entry["event"] for entry in self._entries(self._logged) if entry.get("level") == "error"]

    def said(self, event: str) -> list[dict[str, Any]]:
        """Log lines of the current process, and of those that it started, with this event name."""
        return [entry for entry in self._entries(self._logged) if entry.get("event") == event]

    def all_errors(self) -> Counter[str]:
        """How often what was logged as an error, by any process so far, dead letters among it; with a sink's name."""
        told = [entry for entry in self._entries(0) if isinstance(entry.get("event"), str)]
        errors = [entry for entry in told if entry.get("level") == "error" or entry["event"] == "sink.dead_letter"]
        return Counter(" of ".join(entry[key] for key in ("event", "sink") if key in entry) for entry in errors)

    def command(self, name: str, *arguments: str) -> tuple[str, ...]:
        """Another command on the same config."""
        return (*self._program, name, "--config", str(self._config), *arguments)

    def _entries(self, begin: int) -> Iterator[dict[str, Any]]:
        for line in self.log.read_bytes()[begin:].splitlines():
            with contextlib.suppress(msgspec.DecodeError):
                entry = msgspec.json.decode(line)
                if isinstance(entry, dict):
                    yield entry

    def _tail(self) -> str:
        return self.log.read_text(errors="replace")[-3000:]


@asynccontextmanager
async def serving(folder: Path, sections: str, **keys: Any) -> AsyncIterator[Server]:
    """A server that serves; gone at the end, whatever happens."""
    server = Server(folder, sections, **keys)
    try:
        await server.start()
        yield server
    finally:
        await server.kill()


async def until(holds: Callable[[], Any], what: str) -> None:
    """Wait until ``holds()`` is true; fails after ``PATIENCE_S``."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline_s, f"did not happen in time: {what}"
        await asyncio.sleep(0.02)


def free_port() -> int:
    """A port that nobody gets while the server is down."""
    return reserved_port(10_000, 16_000)


def read_events(folder: Path) -> list[dict[str, Any]]:
    """All that :func:`each_event` gives, at once."""
    return list(each_event(folder))


def each_event(folder: Path) -> Iterator[dict[str, Any]]:
    """Events in the files of a file sink, closed and compressed ones too, in order; each line has to be whole."""
    files = {path.name.removesuffix(".gz"): path for path in folder.glob("*.jsonl.gz")}
    files |= {path.name: path for path in folder.glob("*.jsonl")}  # whole until the compressed one is
    for name in sorted(files, key=_age):
        path = files[name]
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        assert content.endswith(b"\n") or not content, f"{path.name} ends in a torn line"
        for line in content.splitlines():
            yield msgspec.json.decode(line)


def _age(name: str) -> str:
    """``day~number.jsonl`` are closed files, by their number; ``day.jsonl`` is younger than all of its day."""
    return name if "~" in name else name.replace(".jsonl", "~~")
