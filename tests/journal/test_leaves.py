"""Rows found without the tree: in whole files the same ones as SQLite gives, in damaged ones what is left."""

import asyncio
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from receiver.journal.base import EVENTS, MEDIA
from receiver.journal.leaves import Leaves
from receiver.journal.sqlite import SqliteJournal
from tests.journal.test_chain import FIRST, INNER, PAGE, files, limits, numbers, read_all, record, vanish, write


def rows_in(path: Path) -> list[tuple[int, bytes, bytes, bytes]]:
    """All rows, leaf by leaf."""
    with closing(Leaves(path)) as leaves:
        return [row for cell in leaves.cells() if (row := leaves.row(cell)) is not None]


def rows_of(path: Path) -> list[tuple[int, bytes, bytes, bytes]]:
    """All rows, from SQLite."""
    with closing(sqlite3.connect(path)) as db:
        return db.execute("SELECT seq, key, meta, payload FROM record ORDER BY seq").fetchall()


def open_files(folder: Path) -> set[Path]:
    """Files of a lane, without their logs, that this process has open."""
    opened = [Path(one.path) for one in psutil.Process().open_files()]
    return {path for path in opened if path.parent == folder and path.suffix == ".db"}


async def test_they_are_those_of_sqlite(tmp_path: Path) -> None:
    """Short rows and rows that spill over into further pages, byte for byte."""
    await write(tmp_path)
    for path in [*files(tmp_path), *files(tmp_path, MEDIA)]:
        assert rows_in(path) == rows_of(path) != []


@pytest.mark.parametrize("lane", [EVENTS, MEDIA])
@pytest.mark.parametrize("size", [1, 300, 3900, 4000, 4050, 4100, 8000, 8192, 16_200, 16_290, 16_384, 32_700, 100_000])
async def test_every_size_of_a_payload(tmp_path: Path, size: int, lane: str) -> None:
    """Around the borders at which a row spills, in small pages and in large ones."""
    journal = SqliteJournal(tmp_path, limits(segment_bytes=10_000_000), FIRST - 1)
    for more in range(60):
        one = record(1)
        one.payload, one.events = bytes([more]) * (size + more), None
        await journal.submit(one, lane)
    await journal.close()
    (path,) = files(tmp_path, lane)
    assert rows_in(path) == rows_of(path)


@pytest.mark.parametrize("lane", [EVENTS, MEDIA])
async def test_in_the_log_of_a_killed_server(tmp_path: Path, lane: str) -> None:
    """Pages that were never folded into the file."""
    journal = SqliteJournal(tmp_path / "live", limits(segment_bytes=10_000_000), FIRST - 1)
    for number in range(50):
        await journal.submit(record(number), lane)
    shutil.copytree(tmp_path / "live", tmp_path / "killed")
    await journal.close()
    (path,) = files(tmp_path / "killed", lane)
    found = rows_in(path)
    assert len(found) == 50 and found == rows_of(path)


async def test_without_any_inner_page(tmp_path: Path) -> None:
    """The tree is gone, the leaves are not."""
    await write(tmp_path)
    path = files(tmp_path, EVENTS)[0]
    wanted = numbers(path)
    raw = bytearray(path.read_bytes())
    for page in range(PAGE, len(raw), PAGE):
        if raw[page] == INNER:
            raw[page : page + PAGE] = bytes(PAGE)
    path.write_bytes(raw)
    assert [row[0] for row in rows_in(path)] == wanted


async def test_a_file_that_is_gone_has_none(tmp_path: Path) -> None:
    """Retention may be faster."""
    assert rows_in(tmp_path / "00000000000000000001.db") == []


async def test_a_leaf_that_says_too_little(tmp_path: Path) -> None:
    """A wrong count of cells, and a pointer that SQLite cuts to the size of a page: the rows are found all the same."""
    await write(tmp_path)
    path = files(tmp_path)[0]
    wanted = numbers(path)
    raw = bytearray(path.read_bytes())
    leaf = next(page for page in range(PAGE, len(raw), PAGE) if raw[page] == 13)
    raw[leaf + 4] = 1
    raw[leaf + 8] ^= 0x40
    path.write_bytes(raw)
    assert [row[0] for row in rows_in(path)] == wanted


async def test_a_file_that_is_written_keeps_its_log_whoever_closes_it(tmp_path: Path) -> None:
    """Its leaves were looked at, and then another process opens it and closes it. That one is not the last, so what is
    written from then on is found after a crash."""
    live, killed = tmp_path / "live", tmp_path / "killed"
    journal = SqliteJournal(live, limits(segment_bytes=10_000_000), FIRST - 1)
    for number in range(10):
        await journal.submit(record(number))
    (path,) = files(live)
    vanish(path, numbers(path)[3:5])
    assert [one.kind for one in await read_all(journal, 1 << 20)].count("damaged") == 1
    passer_by = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.execute('SELECT * FROM record'); db.close()"
    passing = await asyncio.create_subprocess_exec(sys.executable, "-c", passer_by, path)
    assert await passing.wait() == 0
    await journal.submit(record(10))
    shutil.copytree(live, killed)
    await journal.close()
    assert len(numbers(files(killed)[0])) == 9


async def test_a_file_is_let_go_of_when_it_is_not_written_any_more(tmp_path: Path) -> None:
    """A later look closes it; the end of the journal closes the last one. Retention could not give its space back."""
    journal = SqliteJournal(tmp_path, limits(segment_bytes=10_000), FIRST - 1)
    for number in range(1, 9):
        await journal.submit(record(number))
        vanish(files(tmp_path)[-1], numbers(files(tmp_path)[-1])[-1:])
        await read_all(journal, 1 << 20)
    written = files(tmp_path)[-1]
    async with asyncio.timeout(30):
        while open_files(tmp_path / EVENTS) != {written}:  # until the others are folded
            journal.lanes[EVENTS].recent.forget()  # or nothing is looked at again
            await read_all(journal, 1 << 20)
            await asyncio.sleep(0.01)
    await journal.close()
    assert len(files(tmp_path)) > 2 and open_files(tmp_path / EVENTS) == set()
