"""A journal that is filled for a measurement is one like any other."""

import shutil
from pathlib import Path

import pytest

from receiver.journal.base import EVENTS, MEDIA, QUARANTINE
from receiver.journal.dedup import Dedup
from receiver.journal.lane import LaneLimits
from receiver.journal.sqlite import SqliteJournal
from receiver.journal.state import State
from receiver.vendors import decode_record
from tests.benchmarks.filling import affordable_bytes, callback_bytes, fill_journal, forget_pages

_SIZE = 2_000_000


async def test_what_is_written_is_found_again_decodes_and_lies_behind_the_sinks(tmp_path: Path) -> None:
    """Callbacks with their keys, frames as frames, cursors at the end; also after the kernel forgot the pages."""
    size = await fill_journal(tmp_path / "journal", _SIZE, ["one", "two"])
    assert 0.9 * _SIZE < size < 2 * _SIZE
    forget_pages(tmp_path)
    journal = SqliteJournal(tmp_path / "journal", dict.fromkeys((EVENTS, MEDIA, QUARANTINE), LaneLimits()))
    state = State(tmp_path / "journal" / "state.db")
    try:
        records, upto = await journal.read(0, media=True, limit_bytes=1 << 30)
        assert upto == journal.head
        assert state.cursors == {"one": upto, "two": upto}
        assert sum(len(record.payload) for record in records) >= _SIZE
        bodies = [record for record in records if record.kind == "body"]
        dedup = Dedup(100_000, 1e9, 1e9)
        journal.recall(100_000, dedup)
        assert len({record.key for record in bodies}) == len(bodies) > 500
        assert {event.type for record in records for event in decode_record(record).events} == {
            "bot.status", "audio.chunk",
        }  # fmt: skip
    finally:
        await state.close()
        await journal.close()


@pytest.mark.parametrize(("whole", "callbacks"), [(1_000_000, 100_000), (10_000_000_000, 100_000_000)])
def test_callbacks_are_a_tenth_until_there_are_enough(whole: int, callbacks: int) -> None:
    """More of them than are remembered change nothing at a start."""
    assert callback_bytes(whole) == callbacks


def test_no_more_than_half_of_what_is_free_is_taken(tmp_path: Path) -> None:
    """Others write to this disk, too."""
    free = shutil.disk_usage(tmp_path).free
    assert affordable_bytes(1000, tmp_path) == 1000
    assert affordable_bytes(free * 2, tmp_path) <= free * 0.6
