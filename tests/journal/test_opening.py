"""Opening a lane: what a start looks at, what it leaves for later, and what it may conclude from that."""

import asyncio
import random
import shutil
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from receiver.journal.base import EVENTS, MEDIA
from receiver.journal.leaves import Leaves
from receiver.journal.reader import SegmentReader
from receiver.journal.segment import Segment
from receiver.journal.sqlite import SqliteJournal
from receiver.record import Record
from tests.journal.test_chain import FIRST, INNER, PAGE, files, limits, read_all, record, write

ROOT = 2
#: a reader in a process of its own
LOOK = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("SELECT 1 FROM record").fetchone()
db.close()
"""


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any newest file is too large to be read through at the start."""
    monkeypatch.setattr("receiver.journal.opening._MOST_BYTES", 0)


def opened(folder: Path) -> SqliteJournal:
    return SqliteJournal(folder, limits(), FIRST - 1)


def errors(logs: Sequence[Mapping[str, object]]) -> list[tuple[object, object]]:
    """Event and file of each line at error."""
    return [(line["event"], line["file"]) for line in logs if line["log_level"] == "error"]


def spoil_first_page(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[:PAGE] = bytes(PAGE)
    path.write_bytes(raw)


async def written(folder: Path) -> tuple[list[bytes], int]:
    """A journal of several files: its payloads, and the last number."""
    await write(folder)
    journal = opened(folder)
    payloads, head = [one.payload for one in await read_all(journal, 1 << 20)], journal.head
    await journal.close()
    return payloads, head


async def test_a_small_newest_file_is_written_on(tmp_path: Path) -> None:
    """It was read through first."""
    _, head = await written(tmp_path)
    before = files(tmp_path)
    journal = opened(tmp_path)
    one = record(1000)
    await journal.submit(one)
    await journal.close()
    assert one.seq == head + 1 and files(tmp_path) == before


@pytest.mark.usefixtures("large")
async def test_a_large_newest_file_is_not(tmp_path: Path) -> None:
    """A new one is begun with the next number, once there is something to write; nothing is missing, nothing said."""
    payloads, head = await written(tmp_path)
    before = files(tmp_path)
    with capture_logs() as logs:
        journal = opened(tmp_path)
        assert files(tmp_path) == before and journal.head == head
        one = record(1000)
        await journal.submit(one)
        await journal.review()
        assert [one.payload for one in await read_all(journal, 20_000)] == [*payloads, one.payload]
        await journal.close()
    assert one.seq == head + 1 and errors(logs) == []
    assert [path.name for path in files(tmp_path)] == [*(path.name for path in before), f"{one.seq:020d}.db"]


async def test_a_start_does_not_wait_for_closed_files(tmp_path: Path) -> None:
    """One without its first page is mended by the review, and all of it is read before and after."""
    payloads, _ = await written(tmp_path)
    spoilt = files(tmp_path)[1]
    spoil_first_page(spoilt)
    with capture_logs() as logs:
        journal = opened(tmp_path)
    assert errors(logs) == []
    assert [one.payload for one in await read_all(journal, 20_000)] == payloads
    with capture_logs() as logs:
        await journal.review()
        await journal.review()
    assert errors(logs) == [("journal.segment.mended", spoilt.name)]
    assert [one.payload for one in await read_all(journal, 20_000)] == payloads
    SegmentReader(spoilt).close()
    await journal.close()


async def test_a_closed_file_that_cannot_be_mended_stays_and_is_told(tmp_path: Path) -> None:
    """Whoever reads passes it over and says how much is missing, before the review and after it."""
    await written(tmp_path)
    oldest, spoilt, *_ = files(tmp_path)
    for path in (oldest, spoilt):
        path.write_bytes(b"no database")
    journal = opened(tmp_path)

    async def told() -> list[tuple[int, int, str]]:
        return [(one.seq, one.count, one.kind) for one in await read_all(journal, 20_000, media=False)]

    first = await told()
    with capture_logs() as logs:
        await journal.review()
    assert errors(logs) == []  # it was told when it was met first
    assert await told() == first and first[0][2] == "damaged" and spoilt.exists() and oldest.exists()
    lane = journal.lanes[EVENTS]
    assert lane.positions_behind(0, lane.head) == sum(count for _, count, _ in first)
    await journal.close()


@pytest.mark.usefixtures("large")
async def test_a_large_file_is_read_through_by_the_review(tmp_path: Path) -> None:
    """Pages that are not where they belong are told, also where nobody reads them."""
    await written(tmp_path)
    newest = files(tmp_path)[-1]
    raw = bytearray(newest.read_bytes())
    assert len(raw) > 3 * PAGE
    raw[3 * PAGE] ^= 0xFF
    newest.write_bytes(raw)
    with capture_logs() as logs:
        journal = opened(tmp_path)
        await journal.review()
        await journal.close()
    assert ("journal.segment.damaged", newest.name) in errors(logs)


@pytest.mark.usefixtures("large")
async def test_numbers_jump_where_the_tree_may_hide_the_last_one(tmp_path: Path) -> None:
    """A pointer that leads to an earlier page: what lies behind that is not numbered a second time."""
    _, head = await written(tmp_path)
    newest = files(tmp_path)[-1]
    raw = bytearray(newest.read_bytes())
    root = (ROOT - 1) * PAGE
    assert raw[root] == INNER
    cell = root + int.from_bytes(raw[root + 12 : root + 14], "big")
    raw[root + 8 : root + 12] = raw[cell : cell + 4]
    newest.write_bytes(raw)
    journal = opened(tmp_path)
    one = record(1000)
    await journal.submit(one)
    assert one.seq > head + 1000
    with capture_logs() as logs:
        await journal.review()
    assert errors(logs) == [("journal.segment.damaged", newest.name)]
    await journal.close()


async def test_another_process_finds_it_in_use(tmp_path: Path) -> None:
    """SQLite's locks are gone once this process closes the file by itself, whatever for; then a process that reads
    takes the log away under the writer."""
    await written(tmp_path)
    journal = opened(tmp_path)
    lane = journal.lanes[EVENTS]
    await journal.submit(record(1000))
    assert list(lane.newest(1 << 20)) and list(lane.newest_facts(1 << 20)) == []
    assert lane.newest_keys(10) == [] and lane.since(0) == 0
    await journal.review()
    newest = files(tmp_path)[-1]
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", LOOK, str(newest))
    assert await process.wait() == 0
    assert newest.with_name(newest.name + "-wal").exists()
    one = record(1001)
    await journal.submit(one)
    assert (await read_all(journal, 20_000))[-1].payload == one.payload
    await journal.close()


async def test_a_file_that_retention_takes_is_none_for_the_review(tmp_path: Path) -> None:
    """It was there when the lane was opened."""
    await written(tmp_path)
    journal = opened(tmp_path)
    for path in files(tmp_path)[:2]:
        path.unlink()
    with capture_logs() as logs:
        await journal.review()
    assert logs == []
    await journal.close()


async def test_a_review_ends_with_its_journal(tmp_path: Path) -> None:
    """Nobody mends files that another process may have by then."""
    await written(tmp_path)
    spoil_first_page(files(tmp_path)[0])
    journal = opened(tmp_path)
    await journal.close()
    with capture_logs() as logs:
        await journal.review()
    assert logs == []


# The last number without a look at all pages


def tall(folder: Path) -> tuple[Path, int]:
    """A file whose tree has inner pages below an inner root, and its last number."""
    path, last = folder / f"{FIRST:020d}.db", FIRST - 1
    segment = Segment(path)
    for _ in range(400):
        batch = []
        for _ in range(16):
            last += 1
            size = 60_000 if last % 500 == 0 else 1200
            one = Record(vendor="v", endpoint="e", kind="body", payload=bytes(size), received_ns=1, seq=last)
            batch.append(one)
        segment.append(batch, sync=False)
    segment.close()
    return path, last


def last_by_tree(path: Path) -> int:
    with closing(Leaves(path)) as leaves:
        return leaves.last_in_tree()


def trusted_last(path: Path) -> int | None:
    """The last number as a start takes it without reading the whole file; ``None``: it is in doubt."""
    try:
        reader = SegmentReader(path)
    except sqlite3.Error:
        return None
    last, trusted = reader.last()
    reader.close()
    return last.seq if trusted and last is not None and last_by_tree(path) == last.seq else None


async def test_the_last_number_is_that_of_the_last_row(tmp_path: Path) -> None:
    """In files of one, two and three levels, folded or not."""
    await write(tmp_path / "journal")
    for path in [*files(tmp_path / "journal"), *files(tmp_path / "journal", MEDIA)]:
        with closing(sqlite3.connect(path)) as db:
            assert last_by_tree(path) == db.execute("SELECT max(seq) FROM record").fetchone()[0]
    path, last = tall(tmp_path)
    raw = path.read_bytes()
    (right,) = {int.from_bytes(raw[(ROOT - 1) * PAGE + 8 :][:4], "big")}
    assert raw[(ROOT - 1) * PAGE] == raw[(right - 1) * PAGE] == INNER, "not as tall as it has to be"
    assert trusted_last(path) == last_by_tree(path) == last
    shutil.copytree(tmp_path / "journal", tmp_path / "empty")
    single = tmp_path / "single.db"
    Segment(single).close()
    assert last_by_tree(single) == 0


@pytest.mark.parametrize("seed", range(2))
def test_no_wrong_bit_makes_an_earlier_row_the_last_one(tmp_path: Path, seed: int) -> None:
    """On the way to the last row: each bit of the pages' heads, and bits of their pointers and cells."""
    path, last = tall(tmp_path)
    raw = bytearray(path.read_bytes())
    dice = random.Random(seed)
    right = int.from_bytes(raw[(ROOT - 1) * PAGE + 8 :][:4], "big")
    leaf = int.from_bytes(raw[(right - 1) * PAGE + 8 :][:4], "big")
    doubts = 0
    for page in (ROOT, right, leaf):
        begin = (page - 1) * PAGE
        places = [(begin + at, bit) for at in range(12) for bit in range(8)]
        places += [(begin + 12 + dice.randrange(PAGE - 12), dice.randrange(8)) for _ in range(60)]
        for place, bit in dice.sample(places, 50):
            raw[place] ^= 1 << bit
            with path.open("r+b") as file:
                file.seek(place)
                file.write(raw[place : place + 1])
                file.flush()
                found = trusted_last(path)
                assert found in (None, last), (page, place - begin, bit)
                doubts += found is None
                raw[place] ^= 1 << bit
                file.seek(place)
                file.write(raw[place : place + 1])
    assert trusted_last(path) == last and doubts > 10
