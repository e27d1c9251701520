"""How often the disk is looked at: often where it matters, else seldom, since each look wakes a thread."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from receiver.ingress import diskwatch
from receiver.ingress.shedding import KINDS, Marks, Shedding
from tests.support import until

GIB = 1 << 30
MARKS = Marks(media=4 * GIB, transcript=GIB)


class Journal:
    """Counts how often its lanes are to try the disk."""

    def __init__(self) -> None:
        self.full: list[str] = []
        self.error: str | None = None
        self.looks = 0

    def probe(self) -> None:
        self.looks += 1


@asynccontextmanager
async def watched(
    journal: Journal, shedding: Shedding, free: int, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[None]:
    """With ``free`` bytes on the disk. What is seldom is never here."""
    monkeypatch.setattr(diskwatch, "_EVERY_S", 0.001)
    monkeypatch.setattr(diskwatch, "_AT_EASE_S", 3600.0)
    monkeypatch.setattr(diskwatch, "free_bytes", lambda folder: free)
    watch = asyncio.create_task(diskwatch.watch_disk(Path(), journal, shedding))
    try:
        yield
    finally:
        watch.cancel()


async def test_a_disk_with_ample_space_is_looked_at_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four gigabytes above the mark: nothing that is received fills that in a second."""
    journal = Journal()
    async with watched(journal, Shedding(MARKS, dict.fromkeys(KINDS, 0)), 8 * GIB, monkeypatch):
        await until(lambda: journal.looks == 1)
        await asyncio.sleep(0.1)
        assert journal.looks == 1


@pytest.mark.parametrize(("free", "error"), [(8 * GIB - 1, None), (3 * GIB, None), (0, None), (8 * GIB, "I/O error")])
async def test_else_it_is_looked_at_often(free: int, error: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Near a mark, below it, and where a lane fails, which nobody may try again but this."""
    journal = Journal()
    journal.error = error
    async with watched(journal, Shedding(MARKS, dict.fromkeys(KINDS, 0)), free, monkeypatch):
        await until(lambda: journal.looks > 5)


async def test_it_is_looked_at_often_while_something_is_shed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quota may be full on a disk that says it has space: it is taken again soon after that has gone."""
    journal = Journal()
    journal.full = ["events"]
    async with watched(journal, Shedding(MARKS, dict.fromkeys(KINDS, 0)), 80 * GIB, monkeypatch):
        await until(lambda: journal.looks > 5)
