"""The ``file`` sink after the end of its process at any moment: no line twice, none torn, none missing."""

import asyncio
import gzip
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.events import Event
from tests.sinks.factories import make_batch, make_lines
from tests.sinks.filesink import deliver, everything, file_sink, names, read_plain, sequences, wait_until

ROOT = Path(__file__).parents[2]

#: lives a sink's whole life once for each step that touches the disk, and ends the process at that step
DIES_AT_EACH_STEP = """
import asyncio, itertools, os, sys
from pathlib import Path
from sinks import filelog
from tests.sinks.factories import make_batch, make_lines
from tests.sinks.filesink import file_sink, names, wait_until

def live(folder, deadly):
    steps = itertools.count(1)
    def dying(function):
        def counted(*arguments, **named):
            if next(steps) == deadly:
                if function is real_write:
                    function(arguments[0], arguments[1][: len(arguments[1]) // 2])
                os._exit(9)
            return function(*arguments, **named)
        return counted
    real_write = filelog.write
    filelog.write = dying(filelog.write)
    filelog.fsync = os.fsync = dying(os.fsync)
    os.ftruncate = dying(os.ftruncate)
    Path.rename = dying(Path.rename)
    Path.unlink = dying(Path.unlink)
    async def main():
        sink = file_sink(folder, rotate_bytes=700)
        await sink.open()
        for start in (1, 4):
            await sink.write(make_batch(make_lines(start, start + 2)))
        wait_until(lambda: not [name for name in names(folder) if "~" in name and not name.endswith(".gz")])
        await sink.close()
    asyncio.run(main())
    os._exit(0)

deadly = 1
while True:
    pid = os.fork()
    if pid == 0:
        live(Path(sys.argv[1]) / str(deadly), deadly)
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0:
        break
    deadly += 1
"""

#: writes batches until it is killed
WRITES_FOR_EVER = """
import asyncio, itertools, sys
from pathlib import Path
from tests.sinks.factories import make_batch, make_lines
from tests.sinks.filesink import file_sink
async def main():
    sink = file_sink(Path(sys.argv[1]), rotate_bytes=20_000)
    await sink.open()
    for start in itertools.count(1, 7):
        await sink.write(make_batch(make_lines(start, start + 6)))
asyncio.run(main())
"""


def test_a_file_cut_at_any_byte_is_completed(tmp_path: Path) -> None:
    """The rest of a torn line goes, what was whole stays; redelivery from the start gives the uninterrupted file."""
    events = make_lines(1, 3)
    expected = make_batch(events).json_lines()
    path = tmp_path / "events/2026-11-21.jsonl"
    path.parent.mkdir()

    async def cut_everywhere() -> None:
        for length in range(len(expected) + 1):
            path.write_bytes(expected[:length])
            await deliver(tmp_path, events, fsync=False)
            assert path.read_bytes() == expected, length

    asyncio.run(cut_everywhere())
    assert names(tmp_path) == ["events/2026-11-21.jsonl"]


@settings(deadline=None, max_examples=60)
@given(
    delivered=st.integers(0, 12),
    cut=st.integers(0, 4000),
    again_from=st.integers(1, 13),
    sizes=st.tuples(st.integers(1, 13), st.integers(1, 13)),
    rotate_bytes=st.sampled_from([0, 1, 600, 1000, 1300]),
    rotate_s=st.sampled_from([0, 3]),
)
def test_a_life_after_a_crash_gives_the_files_of_an_unbroken_life(
    delivered: int, cut: int, again_from: int, sizes: tuple[int, int], rotate_bytes: int, rotate_s: int
) -> None:
    """Whatever was delivered, torn and delivered again in other batches: same files, same names, same bytes."""
    with tempfile.TemporaryDirectory() as unbroken, tempfile.TemporaryDirectory() as broken:
        rotate = {"rotate_bytes": rotate_bytes, "rotate_s": rotate_s}
        asyncio.run(compare(Path(unbroken), Path(broken), delivered, cut, again_from, sizes, **rotate))


async def compare(
    unbroken: Path, broken: Path, delivered: int, cut: int, again_from: int, sizes: tuple[int, int], **rotate: int
) -> None:
    """Deliver twelve lines to one folder at a go, to the other with a crash between."""
    options: dict[str, Any] = {"compress": "none", "fsync": False, **rotate}
    await deliver(unbroken, make_lines(1, 12), **options)
    await deliver(broken, make_lines(1, delivered), sizes[0], **options)
    path = broken / "events/2026-11-21.jsonl"
    kept = path.read_bytes()[:cut] if path.exists() else b""
    if path.exists():
        path.write_bytes(kept)
    closed = [name for name in names(broken) if "~" in name]
    before = int(closed[-1].partition("~")[2][:20]) if closed else 0
    whole = max(before, *sequences(kept[: kept.rfind(b"\n") + 1]), 0)
    await deliver(broken, make_lines(min(again_from, whole + 1), 12), sizes[1], **options)
    assert names(broken) == names(unbroken)
    assert everything(broken) == everything(unbroken)


@pytest.mark.parametrize("tail", [b"\0" * 5000, b"\0" * 200_000, b'{"specversion":"1.0","id":"' + b"x" * 200_000])
async def test_a_long_torn_tail_is_cut_off(tmp_path: Path, tail: bytes) -> None:
    """A large torn line, or the zeros that a power cut may leave, longer than one block of the search."""
    await deliver(tmp_path, make_lines(1, 3))
    with (tmp_path / "events/2026-11-21.jsonl").open("ab") as file:
        file.write(tail)
    await deliver(tmp_path, make_lines(2, 5))
    assert sequences(everything(tmp_path)) == [1, 2, 3, 4, 5]


async def test_lines_larger_than_a_block_are_recognised(tmp_path: Path) -> None:
    """The last line is found and read whole, however large it is."""
    events = make_lines(1, 3, raw=b"x" * 300_000)
    sink = file_sink(tmp_path, rotate_s=100)
    await sink.open()
    await sink.write(make_batch(events, raw=True))
    await sink.close()
    await deliver(tmp_path, make_lines(1, 4), rotate_s=100)
    assert sequences(everything(tmp_path)) == [1, 2, 3, 4]


@pytest.mark.parametrize("compress", ["gzip", "none"])
@pytest.mark.parametrize("active", [None, b"", b'{"specver'])
async def test_without_a_line_the_newest_closed_file_tells_the_position(
    tmp_path: Path, compress: str, active: bytes | None
) -> None:
    """A crash right after a rotation: the number in the name is enough, the file itself is not read."""
    folder = tmp_path / "events"
    folder.mkdir()
    for name in ("2026-11-21~00000000000000000004.jsonl.gz", "2026-11-21~00000000000000000007-2.jsonl.gz"):
        (folder / name).write_bytes(gzip.compress(b"not even JSON"))
    (folder / "2026-11-210~00000000000000000009.jsonl").write_bytes(b"")
    if active is not None:
        (folder / "2026-11-21.jsonl").write_bytes(active)
    await deliver(tmp_path, make_lines(1, 9), compress=compress)
    assert sequences((folder / "2026-11-21.jsonl").read_bytes()) == [8, 9]


async def test_interrupted_compressions_are_finished(tmp_path: Path) -> None:
    """Plain, plain with a torn temporary file, plain with a complete compressed one, a temporary file alone."""
    folder = tmp_path / "events"
    await deliver(tmp_path, make_lines(1, 9), rotate_bytes=1000, compress="none")
    stems = [folder / f"2026-11-21~{number:020d}.jsonl" for number in (3, 6, 9)]
    Path(f"{stems[0]}.gz.tmp").write_bytes(b"torn")
    Path(f"{stems[1]}.gz").write_bytes(gzip.compress(stems[1].read_bytes()))
    Path(f"{stems[2]}.gz.tmp").write_bytes(b"torn")
    sink = file_sink(tmp_path)
    await sink.open()
    await sink.write(make_batch(make_lines(10, 10)))
    expected = ["2026-11-21.jsonl", f"{stems[0].name}.gz", f"{stems[1].name}.gz"]
    await asyncio.to_thread(wait_until, lambda: names(folder) == expected)
    await sink.close()
    assert sequences(everything(tmp_path)) == list(range(1, 11))


def test_the_end_of_the_process_at_any_step_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """Killed at each write (half of it done), sync, rename, removal, in both threads: redelivery gives every line
    once, and what was left half-done is finished."""
    subprocess.run([sys.executable, "-c", DIES_AT_EACH_STEP, str(tmp_path)], cwd=ROOT, check=True, timeout=100)
    folders = sorted(tmp_path.iterdir())
    assert len(folders) > 20

    events = make_lines(1, 6)
    for folder in folders:
        asyncio.run(come_back(folder, events, rotate_bytes=700))
        assert everything(folder) == make_batch(events).json_lines(), folder.name


def test_kill_minus_nine_again_and_again(tmp_path: Path) -> None:
    """A process that writes without a pause is killed three times; in the end each number is there exactly once."""
    for _ in range(3):
        files_before = len(names(tmp_path))
        with subprocess.Popen([sys.executable, "-c", WRITES_FOR_EVER, str(tmp_path)], cwd=ROOT) as child:
            try:
                wait_until(partial(has_more_files, tmp_path, files_before + 3))
            finally:
                child.kill()
            assert child.wait() == -9
    highest = max(sequences(b"".join(whole_lines(tmp_path))))
    events = make_lines(1, highest + 20)
    asyncio.run(come_back(tmp_path, events, rotate_bytes=20_000))
    assert everything(tmp_path) == make_batch(events).json_lines()


async def come_back(folder: Path, events: Sequence[Event], rotate_bytes: int) -> None:
    """A new life that is given ``events`` from the start and runs until every closed file is compressed."""
    sink = file_sink(folder, rotate_bytes=rotate_bytes)
    await sink.open()
    for start in range(0, len(events), 500):
        await sink.write(make_batch(events[start : start + 500]))
    await asyncio.to_thread(wait_until, lambda: all("~" not in name or name.endswith(".gz") for name in names(folder)))
    await sink.close()


def has_more_files(folder: Path, count: int) -> bool:
    """Whether more than ``count`` files are below ``folder``."""
    return len(names(folder)) > count


def whole_lines(folder: Path) -> Iterator[bytes]:
    """The lines of the files that were closed or open when the process ended, without a torn one."""
    for name in names(folder):
        if not name.endswith(".tmp"):
            lines = read_plain(folder / name)
            yield lines[: lines.rfind(b"\n") + 1]


def test_the_children_run_with_this_checkout() -> None:
    """The processes above import the code next to these tests."""
    code = "import sinks.file; print(sinks.file.__file__)"
    said = subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True)
    assert Path(said.strip()).samefile(ROOT / "sinks/file.py")
