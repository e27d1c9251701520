"""What the tests of the ``file`` sink share: a sink in one call, and an independent reading of its folder."""

import gzip
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from receiver.events import Event
from sinks.file import FileConfig, FileSink
from tests.sinks.factories import make_batch


def file_sink(folder: Path, **config: Any) -> FileSink:
    """A sink below ``folder``."""
    return FileSink("archive", FileConfig(**config), folder)


async def deliver(folder: Path, events: Sequence[Event], size: int = 0, **config: Any) -> None:
    """One life of a sink: open, write ``events`` in batches of ``size`` (0: one batch), close."""
    sink = file_sink(folder, **config)
    await sink.open()
    try:
        for start in range(0, len(events), size or len(events) or 1):
            await sink.write(make_batch(events[start : start + (size or len(events))]))
    finally:
        await sink.close()


def names(folder: Path) -> list[str]:
    """All files below ``folder``, as sorted relative paths."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def read_plain(path: Path) -> bytes:
    """A file's lines, decompressed where it is compressed."""
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data


def everything(folder: Path) -> bytes:
    """The lines of one template's closed files in order of their numbers, then of the open ones."""
    closed = [path for path in folder.rglob("*") if path.is_file() and "~" in path.name]
    others = [path for path in folder.rglob("*") if path.is_file() and "~" not in path.name]
    closed.sort(key=lambda path: path.name.partition("~")[2])
    return b"".join(read_plain(path) for path in [*closed, *sorted(others)])


def sequences(lines: bytes) -> list[int]:
    """The sequence numbers of JSON lines; each line must be whole."""
    assert not lines or lines.endswith(b"\n")
    return [int(json.loads(line)["sequence"]) for line in lines.splitlines()]


def wait_until(condition: Callable[[], bool], limit_s: float = 20.0) -> None:
    """Poll ``condition`` until it holds."""
    deadline_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline_s, "it did not come true in time"
        time.sleep(0.005)
