"""The ``file`` sink in ordinary life: where lines go, rotation, compression, limits, errors of the disk."""

import asyncio
import os
import resource
from pathlib import Path

import pytest

from receiver.errors import ConfigError
from receiver.events import format_sequence
from sinks import filelog
from sinks.base import Sink, SinkNotConnected, SinkRejected
from tests.sinks.factories import DAY_NS, START_NS, make_batch, make_event, make_lines, one_of_each
from tests.sinks.filesink import deliver, everything, file_sink, names, read_plain, sequences, wait_until


def closed_name(stem: str, last: int, suffix: str = ".jsonl") -> str:
    """The name of a closed file whose last line is ``last``."""
    return f"{stem}~{format_sequence(last)}{suffix}"


def is_open(path: Path) -> bool:
    """Whether a sink has ``path`` open: it holds the file's lock."""
    with path.open("rb") as file:
        return not filelog.lock(file.fileno())


async def test_the_default_is_a_file_a_day(tmp_path: Path) -> None:
    """Events of every type are JSON lines in ``events/<day of arrival>.jsonl``, in order."""
    events = one_of_each()
    await deliver(tmp_path, events)
    assert names(tmp_path) == ["events/2026-11-21.jsonl"]
    assert (tmp_path / "events/2026-11-21.jsonl").read_bytes() == make_batch(events).json_lines()


async def test_the_sink_passes_raw_and_secrets_on(tmp_path: Path) -> None:
    """The batch says in which form its events are written."""
    sink: Sink = file_sink(tmp_path)
    await sink.open()
    batch = make_batch([make_event(raw=b'{"vendor":"says"}')], raw=True, secrets=True)
    await sink.write(batch)
    await sink.close()
    assert b'"raw":' in everything(tmp_path)
    assert everything(tmp_path) == batch.json_lines()


async def test_lines_go_where_the_template_says(tmp_path: Path) -> None:
    """One batch is spread over files; each keeps the order of its own lines."""
    events = [make_event(number, subject=f"bot-{number % 2}") for number in range(1, 7)]
    await deliver(tmp_path, events, path="{vendor}/{subject}/{type}.jsonl")
    assert names(tmp_path) == [f"meetstream/bot-{bot}/transcript.final.jsonl" for bot in (0, 1)]
    assert sequences((tmp_path / "meetstream/bot-1/transcript.final.jsonl").read_bytes()) == [1, 3, 5]


async def test_an_unknown_placeholder_stops_the_start(tmp_path: Path) -> None:
    """The constructor refuses, before anything is touched."""
    with pytest.raises(ConfigError, match=r"found \{meeting\}"):
        file_sink(tmp_path, path="{meeting}.jsonl")
    assert names(tmp_path) == []


async def test_opening_proves_the_folder_and_leaves_nothing(tmp_path: Path) -> None:
    """``receiver check``: the folder is created and no file stays."""
    sink = file_sink(tmp_path)
    await sink.open()
    await sink.close()
    assert list(tmp_path.rglob("*")) == [tmp_path / "events"]


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """``open`` raises with the path in the text."""
    (tmp_path / "events").write_bytes(b"a file is in the way")
    with pytest.raises(OSError, match="events"):
        await file_sink(tmp_path).open()


async def test_write_needs_open_and_close_may_come_twice(tmp_path: Path) -> None:
    """The contract of a sink: closing is harmless at any time, writing while closed asks for a reopening."""
    sink = file_sink(tmp_path)
    await sink.close()
    with pytest.raises(SinkNotConnected):
        await sink.write(make_batch(make_lines(1, 1)))
    for number in (1, 2):
        await sink.open()
        await sink.write(make_batch(make_lines(number, number)))
        await sink.close()
        await sink.close()
    assert sequences(everything(tmp_path)) == [1, 2]


async def test_rotation_by_size_keeps_every_file_below_the_limit(tmp_path: Path) -> None:
    """A file is closed before the line that would not fit; the name tells the last number in it."""
    await deliver(tmp_path, make_lines(1, 10), rotate_bytes=1000, compress="none")
    line_bytes = len(make_lines(1, 1)[0].json()) + 1
    assert 1000 // line_bytes == 3
    assert names(tmp_path / "events") == [
        "2026-11-21.jsonl",
        *(closed_name("2026-11-21", last) for last in (3, 6, 9)),
    ]
    assert sequences(everything(tmp_path)) == list(range(1, 11))


async def test_a_line_larger_than_the_limit_gets_a_file_of_its_own(tmp_path: Path) -> None:
    """Nothing is dropped or cut for size, and no file is empty."""
    await deliver(tmp_path, make_lines(1, 3), rotate_bytes=10, compress="none")
    assert names(tmp_path / "events") == [
        "2026-11-21.jsonl",
        closed_name("2026-11-21", 1),
        closed_name("2026-11-21", 2),
    ]


@pytest.mark.parametrize("size", [1, 3, 10])
async def test_rotation_by_age_is_by_time_of_arrival(tmp_path: Path, size: int) -> None:
    """A file takes events of ``rotate_s`` seconds from its first one, however they are batched and reopened."""
    events = make_lines(1, 10)  # a second apart
    for start in range(0, 10, size):
        await deliver(tmp_path, events[start : start + size], rotate_s=4, compress="none")
    assert names(tmp_path / "events") == [
        "2026-11-21.jsonl",
        closed_name("2026-11-21", 4),
        closed_name("2026-11-21", 8),
    ]


async def test_a_clock_set_back_does_not_keep_a_file_open(tmp_path: Path) -> None:
    """Further before a file's first line than ``rotate_s`` is as old as further behind it."""
    times = [START_NS + shift_s * 10**9 for shift_s in (0, 1, -3600 * 8, 3 - 3600 * 8)]
    events = [make_event(number, received_ns=at_ns) for number, at_ns in enumerate(times, 1)]
    await deliver(tmp_path, events, rotate_s=4, compress="none")
    assert names(tmp_path / "events") == ["2026-11-21.jsonl", closed_name("2026-11-21", 2)]


async def test_closed_files_are_compressed(tmp_path: Path) -> None:
    """The plain file goes when the compressed one is complete; nothing else stays."""
    sink = file_sink(tmp_path, rotate_bytes=1000)
    await sink.open()
    await sink.write(make_batch(make_lines(1, 10)))
    expected = ["2026-11-21.jsonl", *(closed_name("2026-11-21", last, ".jsonl.gz") for last in (3, 6, 9))]
    await asyncio.to_thread(wait_until, lambda: names(tmp_path / "events") == expected)
    await sink.close()
    assert everything(tmp_path) == make_batch(make_lines(1, 10)).json_lines()
    assert sequences(read_plain(tmp_path / "events" / expected[2])) == [4, 5, 6]


async def test_a_closed_file_never_replaces_another(tmp_path: Path) -> None:
    """Where the name is taken, plain or compressed, a counter is added."""
    folder = tmp_path / "events"
    await deliver(tmp_path, make_lines(1, 3))
    (folder / closed_name("2026-11-21", 3)).write_bytes(b"older")
    (folder / closed_name("2026-11-21", 3, "-2.jsonl.gz")).write_bytes(b"oldest")
    await deliver(tmp_path, make_lines(4, 4), rotate_bytes=1000, compress="none")
    assert (folder / closed_name("2026-11-21", 3)).read_bytes() == b"older"
    assert (folder / closed_name("2026-11-21", 3, "-2.jsonl.gz")).read_bytes() == b"oldest"
    assert sequences((folder / closed_name("2026-11-21", 3, "-3.jsonl")).read_bytes()) == [1, 2, 3]


async def test_the_file_of_a_day_that_is_over_is_closed_and_compressed(tmp_path: Path) -> None:
    """Once idle, in this process; an event that still comes for that day begins another file and is not lost."""
    sink = file_sink(tmp_path, idle_close_s=0)
    await sink.open()
    await sink.write(make_batch([*make_lines(1, 3), *make_lines(4, 5, received_ns=START_NS + DAY_NS)]))
    await sink.write(make_batch([*make_lines(3, 3), *make_lines(6, 6)]))
    first, second = (closed_name("2026-11-21", last, ".jsonl.gz") for last in (3, 6))
    expected = [first, second, "2026-11-22.jsonl"]
    await asyncio.to_thread(wait_until, lambda: names(tmp_path / "events") == expected)
    await sink.close()
    assert sequences(everything(tmp_path)) == [1, 2, 3, 6, 4, 5]


async def test_files_of_past_days_that_an_earlier_process_left_are_closed(tmp_path: Path) -> None:
    """Found by the search that follows the first write; files with other names are left alone."""
    await deliver(tmp_path, make_lines(1, 3))
    (tmp_path / "events/2026-11-20.txt").write_bytes(b"mine")
    sink = file_sink(tmp_path)
    await sink.open()
    expected = ["2026-11-20.txt", closed_name("2026-11-21", 3, ".jsonl.gz"), "2026-11-22.jsonl"]
    number = 4
    while names(tmp_path / "events") != expected:
        await sink.write(make_batch(make_lines(number, number, received_ns=START_NS + DAY_NS)))
        number += 1
        assert number < 2000
        await asyncio.sleep(0.01)
    await sink.close()


async def test_no_more_files_are_open_than_allowed(tmp_path: Path) -> None:
    """With more subjects than ``max_open_files`` the one unused for longest is closed; no line is lost or doubled."""
    sink = file_sink(tmp_path, path="{subject}.jsonl", max_open_files=3, fsync=False)
    await sink.open()
    events = [make_event(number, subject=f"bot-{number % 10}") for number in range(1, 101)]
    for start in range(0, 100, 25):
        await sink.write(make_batch(events[start : start + 25]))
        assert len([entry for entry in tmp_path.iterdir() if is_open(entry)]) == 3
    await sink.close()
    for bot in range(10):
        assert sequences((tmp_path / f"bot-{bot}.jsonl").read_bytes()) == list(range(bot or 10, 101, 10))


async def test_a_dead_letter_that_its_file_has_gone_past_is_refused(tmp_path: Path) -> None:
    """Where a repeat is skipped, a late event must not be: it is nowhere else. What has a place is written first."""
    sink = file_sink(tmp_path, path="{subject}.jsonl", fsync=False)
    await sink.open()
    await sink.write(make_batch([make_event(2, subject="a")]))
    late = [make_event(1, subject="a"), make_event(1, subject="b"), make_event(3, subject="a")]
    with pytest.raises(SinkRejected) as refusal:
        await sink.write(make_batch(late, late=True))
    await sink.close()
    assert refusal.value.events == (late[0],)
    assert sequences((tmp_path / "a.jsonl").read_bytes()) == [2, 3]
    assert sequences((tmp_path / "b.jsonl").read_bytes()) == [1]


async def test_a_full_disk_tears_and_repeats_no_line(tmp_path: Path) -> None:
    """A write that stops in mid-line raises with the path; the repeated batch gives each line once, whole."""
    sink = file_sink(tmp_path, path="{subject}.jsonl")
    await sink.open()
    await sink.write(make_batch(make_lines(1, 2)))
    events = [*make_lines(3, 4, subject="another"), *make_lines(5, 40)]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3001, hard))
    try:
        for _ in range(2):
            with pytest.raises(OSError, match=r"bot-7\.jsonl"):
                await sink.write(make_batch(events))
            assert (tmp_path / "bot-7.jsonl").stat().st_size == 3001
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    await sink.write(make_batch(events))
    await sink.close()
    assert sequences((tmp_path / "bot-7.jsonl").read_bytes()) == [1, 2, *range(5, 41)]
    assert sequences((tmp_path / "another.jsonl").read_bytes()) == [3, 4]


async def test_a_failed_sync_is_never_taken_for_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an ``fsync`` that failed the bytes may be gone: the repeat writes them again instead of skipping them."""
    sink = file_sink(tmp_path)
    await sink.open()
    await sink.write(make_batch(make_lines(1, 2)))

    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(filelog, "fsync", fail)
        with pytest.raises(OSError, match=r"Input/output error.*2026-11-21\.jsonl"):
            await sink.write(make_batch(make_lines(3, 4)))
    written: list[int] = []

    def count(fd: int, data: memoryview) -> int:
        written.append(len(data))
        return os.write(fd, data)

    monkeypatch.setattr(filelog, "write", count)
    await sink.write(make_batch(make_lines(3, 4)))
    await sink.close()
    assert written == [len(make_batch(make_lines(3, 4)).json_lines())]
    assert sequences(everything(tmp_path)) == [1, 2, 3, 4]


async def test_a_partial_write_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may take less than it is given: the rest follows."""
    monkeypatch.setattr(filelog, "write", lambda fd, data: os.write(fd, data[:7]))
    await deliver(tmp_path, make_lines(1, 3))
    assert sequences(everything(tmp_path)) == [1, 2, 3]


async def test_no_symbolic_link_leads_out(tmp_path: Path) -> None:
    """A link in place of a folder or a file is refused, and what it points to is not touched."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "target").write_bytes(b"")
    root = tmp_path / "root"
    root.mkdir()
    (root / "bot-7").symlink_to(outside)
    (root / "file.jsonl").symlink_to(outside / "target")
    with pytest.raises(PermissionError, match="bot-7"):
        await deliver(root, make_lines(1, 1), path="{subject}/{date}.jsonl")
    with pytest.raises(OSError, match=r"file\.jsonl"):
        await deliver(root, make_lines(1, 1, subject="file"), path="{subject}.jsonl")
    assert names(outside) == ["target"]
    assert (outside / "target").read_bytes() == b""


@pytest.mark.parametrize("content", [b"no line break", b"a line\n", b'{"specversion":"1.0"}\n', b"\n", b"a\n{"])
async def test_a_file_that_is_not_ours_stays_as_it_is(tmp_path: Path, content: bytes) -> None:
    """Whatever lies under the name of an event file and is none: an error that says so, no byte changed."""
    path = tmp_path / "events/2026-11-21.jsonl"
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(OSError, match="move the file away"):
        await deliver(tmp_path, make_lines(1, 1))
    assert path.read_bytes() == content


async def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    """Two sinks with one file would skip each other's lines: the second one says what is wrong."""
    sink = file_sink(tmp_path)
    await sink.open()
    await sink.write(make_batch(make_lines(1, 1)))
    with pytest.raises(OSError, match="another sink or process writes this file"):
        await deliver(tmp_path, make_lines(2, 2))
    await sink.close()
    await deliver(tmp_path, make_lines(2, 2))
    assert sequences(everything(tmp_path)) == [1, 2]
