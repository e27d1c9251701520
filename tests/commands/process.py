"""The ``receiver`` command as a process of its own: what an operator starts, signals and reads."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
DEADLINE_S = 60.0


def run_receiver(*arguments: str, cwd: Path | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "receiver", *arguments],
        cwd=cwd, env=environment(environ), capture_output=True, text=True, timeout=DEADLINE_S, check=False,
    )  # fmt: skip


def environment(extra: dict[str, str]) -> dict[str, str]:
    """The process environment, with the checkout importable from any folder."""
    return {**os.environ, "PYTHONPATH": str(ROOT), **extra}


class Server:
    """A running ``receiver serve``, with its log lines."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self.process = process
        self._log = folder / "server.log"
        self.out = folder / "server.out"

    @property
    def text(self) -> str:
        return self._log.read_text(errors="replace")  # a line that is being written may end within a character

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Complete log lines so far."""
        return [json.loads(line) for line in self.text.splitlines(keepends=True) if line.endswith("\n")]

    def named(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["event"] == event]

    @property
    def url(self) -> str:
        url: str = self.wait_for("server.ready")["url"]
        return url

    def wait_for(self, event: str) -> dict[str, Any]:
        """The first log line with this event."""
        self.wait_until(lambda: bool(self.named(event)))
        return self.named(event)[0]

    def wait_until(self, holds: Callable[[], bool]) -> None:
        """Until this is so; fails where the server has ended, or takes too long."""
        deadline_s = time.monotonic() + DEADLINE_S
        while not holds():
            assert self.process.poll() is None and time.monotonic() < deadline_s, self.text
            time.sleep(0.01)

    def stop(self, number: int) -> tuple[int, float]:
        """Send a signal; exit status, and how long the end took in seconds."""
        begun_s = time.monotonic()
        self.process.send_signal(number)
        return self.process.wait(DEADLINE_S), time.monotonic() - begun_s


def is_gone(pid: int) -> bool:
    """Whether a process has ended; one whose parent has not asked for its status yet, has."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state in "ZX"


@contextmanager
def serving(folder: Path, *arguments: str, **environ: str) -> Iterator[Server]:
    """A server with its working directory in ``folder``; killed at the end if it still runs."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "server.log").open("wb") as log, (folder / "server.out").open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "receiver", "serve", *arguments],
            cwd=folder, env=environment(environ), stdin=subprocess.DEVNULL, stdout=out, stderr=log,
        )  # fmt: skip
    try:
        yield Server(process, folder)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(DEADLINE_S)
