"""The ``stdout`` sink: events on standard output, as JSON lines or as text for people.

Bytes go to the file descriptor itself, from a thread of the sink. Nothing is left in Python's own buffer, so a reader
that went away cannot make the interpreter complain at exit.
"""

import asyncio
import errno
import os
import select
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar, Literal

import msgspec
import structlog

from sinks.base import Batch, SinkConfig, SinkNotConnected
from sinks.text import text_line

_POLL_MS = 200
_READER_IS_GONE = (errno.EPIPE, errno.ECONNRESET)


_READABLE = (
    "artifact.*", "bot.*", "chat.*", "control.*", "data.*", "meeting.*", "participant.*", "recording.*", "stream.*",
    "transcript.*", "vendor.*",
)  # fmt: skip


class StdoutConfig(SinkConfig, kw_only=True):
    """Keys of the ``stdout`` sink."""

    type: str = "stdout"
    #: all but media: ``["*"]`` prints sound and video as base64, too
    types: list[str] = msgspec.field(default_factory=lambda: list(_READABLE))
    #: ``json``: one CloudEvents object a line; ``text``: one line for people
    format: Literal["json", "text"] = "json"


class StdoutSink:
    """Write each event as one line. Keeps order. A slow reader holds up this sink and nothing else.

    When the reader has gone (closed pipe), every event from then on counts as delivered to nobody, and one log line
    says so. Other errors, such as a full disk behind a redirection, come out as ``OSError``; a batch that is repeated
    after one goes on where it stopped.
    """

    Config: ClassVar[type[SinkConfig]] = StdoutConfig
    _fd = 1

    def __init__(self, name: str, config: StdoutConfig, data_dir: Path) -> None:
        self._name = name
        self._config = config
        self._thread: ThreadPoolExecutor | None = None
        self._stopping = threading.Event()
        self._gone = False
        #: a batch that failed half-way, and how much of it is out
        self._halfway = (b"", 0)

    async def open(self) -> None:
        """Nothing to reach: notes whether there is a standard output at all."""
        if self._fd == 1 and sys.__stdout__ is None:
            self._say_gone()  # the number may belong to any other file by now
        if self._thread is None:
            self._stopping.clear()
            self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"sink-{self._name}")

    async def write(self, batch: Batch) -> None:
        """Write ``batch``; returns when the operating system has all of it, or when nobody reads any more."""
        if self._thread is None:
            raise SinkNotConnected("the stdout sink is not open")
        if self._gone or not batch.events:
            return
        await asyncio.get_running_loop().run_in_executor(self._thread, lambda: self._write(self._lines(batch)))

    async def close(self) -> None:
        """Let go; a write that is stuck at a reader who does not read is given up."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._stopping.set()
            await asyncio.to_thread(thread.shutdown)

    def _lines(self, batch: Batch) -> bytes:
        if self._config.format == "json":
            return batch.json_lines()
        return "".join([text_line(event, secrets=batch.secrets) + "\n" for event in batch.events]).encode()

    def _write(self, data: bytes) -> None:
        begun, done = self._halfway
        if done and data != begun:
            data, done = b"\n" + data, 0  # another batch after a torn line: begin a new one
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        view = memoryview(data)
        try:
            while done < len(data) and not self._gone:
                # A descriptor that is ready takes PIPE_BUF bytes without blocking: closing never waits for a reader.
                done += self._write_some(poll, view[done : done + select.PIPE_BUF])
            self._halfway = (b"", 0)
        except BaseException:
            if done:
                self._halfway = (data, done)
            raise

    def _write_some(self, poll: select.poll, piece: memoryview) -> int:
        """Write what fits now; 0 when nothing does within the poll time, or when the reader has gone."""
        if self._stopping.is_set():
            raise SinkNotConnected("the stdout sink was closed while nobody read")
        try:
            return os.write(self._fd, piece) if poll.poll(_POLL_MS) else 0
        except OSError as error:
            if error.errno not in _READER_IS_GONE:
                raise OSError(error.errno, error.strerror, "standard output") from error
            self._say_gone()
            return 0

    def _say_gone(self) -> None:
        if self._gone:
            return
        self._gone = True
        if sys.__stdout__ is not None and self._fd == 1:
            _discard_descriptor(self._fd)
        structlog.get_logger().warning("sink.stdout.closed", sink=self._name)


def _discard_descriptor(fd: int) -> None:
    """Point ``fd`` at nothing, so that other writers of it, and the interpreter's exit, do not meet the closed pipe."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, fd)
    os.close(nothing)
