"""One file of a lane: commits are whole, and pages are as large as suits its rows, in old files and in damaged ones."""

import random
import shutil
import sqlite3
import struct
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from receiver.journal.base import EVENTS, MEDIA, QUARANTINE
from receiver.journal.blank import create
from receiver.journal.lane import LaneLimits
from receiver.journal.reader import SegmentReader
from receiver.journal.salvage import page_bytes_of, restore_first_page
from receiver.journal.segment import LARGE_PAGES, SMALL_PAGES, Segment
from receiver.journal.sqlite import SqliteJournal
from receiver.record import Record, pack_frames
from tests.journal.test_damage import DAMAGES, Damage, cut, flip, hit
from tests.journal.test_sqlite import opened

FRAMES = 60


def row(number: int, *, seq: int = 0) -> Record:
    """A row of one frame of 20 ms, each another."""
    payload = pack_frames([(number + 1, b"%d:" % number + random.Random(number).randbytes(1930))])
    return Record(
        vendor="meetstream", endpoint="default", kind="frames", channel="audio", connection="18ec2dab7d4822ab-945fe192",
        subject="5fe4bb2c-9a0e-4a5d-b1b0-6a4f5d6f5f10", payload=payload, received_ns=time.time_ns(), seq=seq,
    )  # fmt: skip


def told(path: Path) -> int:
    """The size of pages that a file's own header tells."""
    (size,) = struct.unpack_from(">H", path.read_bytes(), 16)
    return int(size)


def rows(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("SELECT count(*) FROM record").fetchone()[0])


@pytest.mark.parametrize("count", [1, 2, 30, 31, 32, 33, 64, 200])
def test_a_commit_is_whole(tmp_path: Path, count: int) -> None:
    """Few rows or many: all of them, in order; or none, where the last one cannot be written."""
    segment = Segment(tmp_path / "1.db")
    segment.append([row(number, seq=number + 1) for number in range(count)], sync=True)
    again = [row(number, seq=1000 + number) for number in range(count)]
    again[-1].seq = 1
    with pytest.raises(sqlite3.IntegrityError):
        segment.append(again, sync=True)
    segment.append([row(7, seq=5000)], sync=False)
    segment.close()
    with closing(SegmentReader(tmp_path / "1.db")) as reader:
        found = list(reader.read(0))
    assert [one.seq for one in found] == [*range(1, count + 1), 5000]
    assert [one.payload for one in found] == [row(number).payload for number in [*range(count), 7]]


@pytest.fixture
def before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames lie in their rows, as they once did."""
    monkeypatch.setattr("receiver.journal.segment.LEAST_BYTES", 1 << 30)


def large(folder: Path) -> None:
    """A media lane of an earlier version, with nothing in it yet."""
    (folder / MEDIA).mkdir(parents=True)
    create(folder / MEDIA / f"{1:020d}.db", LARGE_PAGES)


async def test_a_file_goes_on_with_the_pages_that_it_has(tmp_path: Path) -> None:
    """Media of an earlier version lies in large ones: it is written on, and read with what comes then."""
    large(tmp_path)
    old = Segment(tmp_path / MEDIA / f"{1:020d}.db")
    old.append([row(number, seq=number + 1) for number in range(10)], sync=True)
    old.close()
    async with opened(tmp_path, tail_bytes=0) as journal:
        for number in range(10, 20):
            await journal.submit(row(number), MEDIA)
        found, _ = await journal.read(0, media=True, limit_bytes=1 << 30)
        assert [one.payload for one in found] == [row(number).payload for number in range(20)]
    (path,) = (tmp_path / MEDIA).glob("*.db")
    assert told(path) == LARGE_PAGES and rows(path) == 20


async def killed(folder: Path) -> Path:
    """A media lane of large pages as a killed process leaves it: all of it in the log."""
    large(folder / "live")
    async with opened(folder / "live") as journal:
        for number in range(FRAMES):
            await journal.submit(row(number), MEDIA)
        shutil.copytree(folder / "live", folder / "killed")
    for index in (folder / "killed").rglob("*-shm"):
        index.unlink()
    return folder / "killed"


async def read_again(folder: Path) -> tuple[list[int], int]:
    """Open it, take one more, read all: the frames that came back whole, and how many rows as damaged."""
    limits = dict.fromkeys((EVENTS, MEDIA, QUARANTINE), LaneLimits(tail_bytes=0))
    journal = SqliteJournal(folder, limits)
    try:
        await journal.submit(row(FRAMES), MEDIA)
        found, _ = await journal.read(0, media=True, limit_bytes=1 << 30)
    finally:
        await journal.close()
    whole = [one for one in found if one.kind == "frames"]
    numbers = [int(one.payload[12:].split(b":")[0]) for one in whole]
    assert [one.payload for one in whole] == [row(number).payload for number in numbers], "never written"
    assert numbers[-1] == FRAMES and numbers == sorted(set(numbers))
    return numbers[:-1], len(found) - len(whole)


@pytest.mark.usefixtures("before")
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_damaged_log_of_large_pages_is_mended(tmp_path: Path, damage: Damage, seed: int) -> None:
    """What lies behind the damage is found again; one bit costs one page at most, and that holds seven of these rows.
    A page stands in the log once for each commit, so that mostly it costs nothing."""
    folder = await killed(tmp_path)
    (log,) = (folder / MEDIA).glob("*.db-wal")
    size = log.stat().st_size
    hit(log, damage, seed)
    left = log.stat().st_size
    numbers, _ = await read_again(folder)
    if damage is flip:
        assert len(numbers) >= FRAMES - 7
    elif damage is cut:
        assert len(numbers) >= FRAMES * left // size - 8
    else:
        assert len(numbers) >= FRAMES // 2


@pytest.mark.usefixtures("before")
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_damaged_file_of_large_pages_is_read_and_gone_on_behind(
    tmp_path: Path, damage: Damage, seed: int
) -> None:
    """The same for a file without a log."""
    large(tmp_path)
    async with opened(tmp_path) as journal:
        for number in range(FRAMES):
            await journal.submit(row(number), MEDIA)
    (path,) = (tmp_path / MEDIA).glob("*.db")
    hit(path, damage, seed)
    numbers, damaged = await read_again(tmp_path)
    if damage is flip:
        assert len(numbers) + damaged >= FRAMES - 7


def spoil_file(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(bytes(100))


def spoil_log(path: Path) -> None:
    with path.with_name(path.name + "-wal").open("r+b") as file:
        file.write(bytes(32))


def nothing(_path: Path) -> None:
    """Whole files."""


@pytest.mark.parametrize("spoil", [nothing, spoil_file, spoil_log])
@pytest.mark.parametrize("size", [SMALL_PAGES, LARGE_PAGES])
def test_the_size_of_pages_stands_in_the_file_and_in_its_log(
    tmp_path: Path, size: int, spoil: Callable[[Path], None]
) -> None:
    """Either is enough."""
    path = tmp_path / "1.db"
    create(path, size)
    segment = Segment(path)
    segment.append([row(number, seq=number + 1) for number in range(FRAMES)], sync=True)
    spoil(path)
    assert page_bytes_of(path) == size
    segment._db.close()


@pytest.mark.parametrize("size", [SMALL_PAGES, LARGE_PAGES])
def test_without_a_log_the_root_of_the_table_tells_it(tmp_path: Path, size: int) -> None:
    """A first page of nothing is made anew with the size that the second one has."""
    path = tmp_path / "1.db"
    create(path, size)
    segment = Segment(path)
    segment.append([row(number, seq=number + 1) for number in range(FRAMES)], sync=True)
    segment.close()
    spoil_file(path)
    assert page_bytes_of(path) == size
    assert restore_first_page(path, tmp_path / "aside")
    assert told(path) == size and rows(path) == FRAMES


def test_a_file_that_is_gone_has_pages_of_some_size(tmp_path: Path) -> None:
    """Retention may be faster: who asks finds no pages either."""
    assert page_bytes_of(tmp_path / "1.db") == SMALL_PAGES
