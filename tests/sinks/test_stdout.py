"""The ``stdout`` sink, on real pipes and a real process."""

import asyncio
import contextlib
import fcntl
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from structlog.testing import capture_logs

from receiver.delivery.select import Selection
from receiver.events import DATA_TYPES, MEDIA_TYPES, Person, Transcript
from sinks.base import Sink, SinkNotConnected
from sinks.stdout import StdoutConfig, StdoutSink
from tests.sinks.factories import make_batch, make_event, make_lines, one_of_each

#: a sink that writes to a pipe whose reader leaves, in a process that then ends by itself
CHILD = """
import asyncio, sys
from pathlib import Path
from sinks.stdout import StdoutConfig, StdoutSink
from tests.sinks.factories import make_batch, make_lines
import structlog
structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
async def main():
    sink = StdoutSink("out", StdoutConfig(), Path("."))
    await sink.open()
    for number in range(200):
        await sink.write(make_batch(make_lines(number * 10, number * 10 + 9)))
    print("more from elsewhere")
    await sink.close()
asyncio.run(main())
"""


def stdout_sink(fd: int, form: Literal["json", "text"] = "json") -> StdoutSink:
    """A sink that writes to ``fd``."""
    sink = StdoutSink("out", StdoutConfig(format=form), Path())
    sink._fd = fd
    return sink


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe as (reading end, writing end); tests may close either."""
    ends = os.pipe()
    fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, 1 << 16)  # of large pages it holds a megabyte
    yield ends
    for end in ends:
        with contextlib.suppress(OSError):
            os.close(end)


async def read_bytes(fd: int, count: int) -> bytes:
    """Read ``count`` bytes in a thread."""

    def read() -> bytes:
        data = b""
        while len(data) < count and (piece := os.read(fd, count - len(data))):
            data += piece
        return data

    return await asyncio.to_thread(read)


async def test_json_lines(pipe: tuple[int, int]) -> None:
    """``format = "json"``: each event is one CloudEvents object on a line of its own, in order."""
    sink: Sink = stdout_sink(pipe[1])
    await sink.open()
    batch = make_batch(make_lines(1, 3))
    await sink.write(batch)
    await sink.close()
    data = os.read(pipe[0], 1 << 16)
    assert data == batch.json_lines()
    assert [json.loads(line)["sequence"][-1] for line in data.splitlines()] == ["1", "2", "3"]


async def test_text_lines(pipe: tuple[int, int]) -> None:
    """``format = "text"``: a line for people, in UTF-8."""
    sink = stdout_sink(pipe[1], "text")
    await sink.open()
    await sink.write(make_batch([make_event(data=Transcript(text="Grüß Gott", speaker=Person(name="Ada")))]))
    await sink.close()
    assert os.read(pipe[0], 1 << 16).decode() == "09:30:05 [bot-7] Ada: Grüß Gott\n"


async def test_a_slow_reader_blocks_the_sink_and_not_the_loop(pipe: tuple[int, int]) -> None:
    """A batch larger than the pipe waits for its reader while the event loop goes on; then every byte arrives."""
    sink = stdout_sink(pipe[1])
    await sink.open()
    batch = make_batch(make_lines(1, 2000))
    writing = asyncio.ensure_future(sink.write(batch))
    for _ in range(100):
        await asyncio.sleep(0)
    assert not writing.done()
    expected = batch.json_lines()
    assert await read_bytes(pipe[0], len(expected)) == expected
    await writing
    await sink.close()


async def test_closing_does_not_wait_for_a_reader_who_does_not_read(pipe: tuple[int, int]) -> None:
    """At shutdown a stuck write is given up: the process can end."""
    sink = stdout_sink(pipe[1])
    await sink.open()
    writing = asyncio.ensure_future(sink.write(make_batch(make_lines(1, 2000))))
    await asyncio.to_thread(os.read, pipe[0], 1)
    await asyncio.wait_for(sink.close(), 30)
    with pytest.raises(SinkNotConnected):
        await writing


async def test_a_closed_pipe_takes_everything_and_says_so_once(pipe: tuple[int, int]) -> None:
    """Reader gone: this write and all later ones succeed, also after a reopening; one log line tells it."""
    sink = stdout_sink(pipe[1])
    with capture_logs() as logs:
        await sink.open()
        os.close(pipe[0])
        await sink.write(make_batch(make_lines(1, 2)))
        await sink.write(make_batch(make_lines(3, 4)))
        await sink.close()
        await sink.open()
        await sink.write(make_batch(make_lines(5, 6)))
        await sink.close()
    assert [entry["event"] for entry in logs] == ["sink.stdout.closed"]


async def test_a_reader_who_leaves_in_the_middle_of_a_batch(pipe: tuple[int, int]) -> None:
    """A write that waits for room ends without an error when the reader goes."""
    sink = stdout_sink(pipe[1])
    await sink.open()
    with capture_logs() as logs:
        writing = asyncio.ensure_future(sink.write(make_batch(make_lines(1, 2000))))
        await asyncio.to_thread(os.read, pipe[0], 1)
        os.close(pipe[0])
        await asyncio.wait_for(writing, 30)
    await sink.close()
    assert [entry["event"] for entry in logs] == ["sink.stdout.closed"]


async def test_a_repeated_batch_goes_on_where_a_full_disk_stopped_it(tmp_path: Path) -> None:
    """Standard output on a disk that is full: an error; after the repeat each line is there once and whole."""
    target = tmp_path / "out.jsonl"
    batch = make_batch(make_lines(1, 100))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with open(target, "wb") as file:
        sink = stdout_sink(file.fileno())
        await sink.open()
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
        try:
            with pytest.raises(OSError, match="standard output"):
                await sink.write(batch)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert target.stat().st_size == 10_000
        await sink.write(batch)
        await sink.close()
    assert target.read_bytes() == batch.json_lines()


async def test_another_batch_after_a_torn_line_begins_a_new_line(tmp_path: Path) -> None:
    """What follows a torn line is never glued to it."""
    target = tmp_path / "out.jsonl"
    later = make_batch(make_lines(2, 2))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with open(target, "wb") as file:
        sink = stdout_sink(file.fileno())
        await sink.open()
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
        try:
            with pytest.raises(OSError, match="standard output"):
                await sink.write(make_batch(make_lines(1, 1)))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        await sink.write(later)
        await sink.close()
    assert target.read_bytes()[100:] == b"\n" + later.json_lines()


async def test_write_needs_open_and_close_may_come_twice(pipe: tuple[int, int]) -> None:
    """The contract of a sink: closing is harmless at any time, writing while closed asks for a reopening."""
    sink = stdout_sink(pipe[1])
    await sink.close()
    with pytest.raises(SinkNotConnected):
        await sink.write(make_batch(make_lines(1, 1)))
    await sink.open()
    await sink.close()
    await sink.close()


def test_the_interpreter_says_nothing_at_exit_about_the_closed_pipe() -> None:
    """``receiver serve | head``: exit status 0, one log line, no traceback and no "Exception ignored"."""
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", CHILD], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=root
    ) as child:
        assert child.stdout is not None and child.stderr is not None
        child.stdout.readline()
        child.stdout.close()
        said = child.stderr.read().decode()
        assert child.wait(30) == 0
    assert said.count("sink.stdout.closed") == 1
    assert len(said.splitlines()) == 1


def test_without_any_standard_output_nothing_is_written() -> None:
    """Started with descriptor 1 closed, its number may come to mean another file: the sink does not touch it."""
    root = Path(__file__).parents[2]
    script = f"exec {sys.executable} -c '{CHILD}' >&-"
    done = subprocess.run(["/bin/sh", "-c", script], cwd=root, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("sink.stdout.closed") == 1


def test_by_default_sound_and_video_stay_off_the_terminal() -> None:
    """Base64 is for nobody's eyes: all types but media, unless the config says otherwise."""
    wanted = Selection(StdoutConfig().types, ["*"])
    picked = {event.type for event in wanted.pick(one_of_each())}
    assert picked == set(DATA_TYPES) - MEDIA_TYPES
