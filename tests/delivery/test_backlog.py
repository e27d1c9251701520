"""What waits for a sink when it starts: known from two looks into the files, however much it is."""

import sqlite3
from itertools import pairwise
from pathlib import Path

import pytest

from receiver.journal import reader
from receiver.journal.base import EVENTS
from receiver.journal.row import Row
from receiver.journal.sqlite import SqliteJournal
from receiver.record import Record
from tests.journal.test_chain import FIRST, limits, read_all, write


async def opened(folder: Path) -> SqliteJournal:
    """A journal of many files, with records of one to three numbers, that was closed and is open again."""
    await write(folder)
    assert len(list((folder / EVENTS).glob("*.db"))) > 3
    return SqliteJournal(folder, limits(), FIRST - 1)


def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of the rows that are looked at without their payload from now on."""
    seen: list[int] = []

    def head_record(row: Row) -> Record | None:
        seen.append(row[0])
        return found(row)

    found = reader.head_record
    monkeypatch.setattr(reader, "head_record", head_record)
    return seen


async def test_what_waits_behind_any_cursor_is_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is counted from places, and not by reading: two looks for each lane."""
    journal = await opened(tmp_path)
    records = await read_all(journal, 20_000)
    seen = looked_at(monkeypatch)
    for cursor in (0, FIRST - 1, *(one.last_seq for one in records), journal.head + 10):
        seen.clear()
        waits = sum(one.count for one in records if one.seq > cursor)
        assert await journal.backlog(cursor, media=True) == waits, cursor
        assert len(seen) <= 2 * 2
    await journal.close()


async def test_what_retention_took_away_does_not_wait(tmp_path: Path) -> None:
    """Whoever comes from before the oldest file waits for what is left."""
    journal = await opened(tmp_path)
    await journal.close()
    oldest, second = sorted((tmp_path / EVENTS).glob("*.db"))[:2]
    oldest.unlink()
    journal = SqliteJournal(tmp_path, limits(), FIRST - 1)
    left = [one for one in await read_all(journal, 20_000, media=False) if one.seq >= int(second.stem)]
    for cursor in (0, FIRST, int(oldest.stem), int(second.stem) - 1):
        assert await journal.backlog(cursor, media=False) == sum(one.count for one in left)
    await journal.close()


@pytest.mark.parametrize("missing", ["first of a file", "in a file", "last of a file"])
async def test_what_is_missing_counts_for_whoever_is_before_it(tmp_path: Path, missing: str) -> None:
    """A record that its disk has lost is told to each sink, so it waits: the book of the sink balances."""
    journal = await opened(tmp_path)
    records = await read_all(journal, 20_000, media=False)
    await journal.close()
    path = sorted((tmp_path / EVENTS).glob("*.db"))[1]
    with sqlite3.connect(path) as file:
        numbers = [number for (number,) in file.execute("SELECT seq FROM record ORDER BY seq")]
        place = {"first of a file": 0, "in a file": len(numbers) // 2, "last of a file": -1}[missing]
        file.execute("DELETE FROM record WHERE seq = ?", (numbers[place],))
    file.close()
    (before, lost) = next(pair for pair in pairwise(records) if pair[1].seq == numbers[place])
    journal = SqliteJournal(tmp_path, limits(), FIRST - 1)
    behind = sum(one.count for one in records if one.seq > lost.seq)
    assert await journal.backlog(lost.last_seq, media=False) == behind
    assert await journal.backlog(before.last_seq, media=False) == behind + lost.count
    await journal.close()
