"""What tests of the running server share: a real server on a free loopback port, real files in a temporary folder."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from receiver.app import Receiver
from receiver.settings import from_dict

DEADLINE_S = 20.0
JOINING = {
    "event": "bot.joining",
    "bot_event": "bot.joining",
    "bot_id": "bot-1",
    "bot_status": "Joining",
    "message": "Bot is joining",
    "status_code": 200,
    "timestamp": "2026-06-10T09:00:00.000Z",
}


def settings_dict(data_dir: Path, **sections: Any) -> dict[str, Any]:
    """A config on a free port with one file sink, in which whole sections can be replaced."""
    config: dict[str, Any] = {
        "data_dir": str(data_dir),
        "server": {"port": 0, "drain_s": 5.0},
        "journal": {"min_free_bytes": 0},
        # not compressed: the helper closes what is of days that are over by its own clock, where a test sets this one
        "sinks": {"file": {"type": "file", "fsync": False, "compress": "none"}},
    }
    for name, section in sections.items():
        config[name] = {**config.get(name, {}), **section} if name == "server" else section
    return config


@asynccontextmanager
async def running(data_dir: Path, environ: dict[str, str] | None = None, **sections: Any) -> AsyncIterator[Receiver]:
    """A started server; stopped (drained) at the end."""
    receiver = Receiver(from_dict(settings_dict(data_dir, **sections), environ or {}))
    await receiver.start()
    try:
        yield receiver
    finally:
        await receiver.stop()


async def until(holds: Callable[[], Any], what: str = "") -> None:
    """Wait until ``holds()`` is true; fails after a deadline."""
    deadline_s = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline_s, f"did not happen in time: {what or holds}"
        await asyncio.sleep(0.005)


async def drained(receiver: Receiver) -> None:
    """Wait until every sink has everything."""
    await receiver.journal.settle()
    await until(lambda: all(receiver.pending(name) == 0 for name in receiver.workers), "sinks caught up")


def events_in(data_dir: Path, folder: str = "events") -> list[dict[str, Any]]:
    """Events that a file sink wrote, in order; it may be writing its next line."""
    lines: list[dict[str, Any]] = []
    for path in sorted((data_dir / folder).glob("*.jsonl")):
        written = path.read_bytes().splitlines(keepends=True)
        lines += [msgspec.json.decode(line) for line in written if line.endswith(b"\n")]
    return lines
