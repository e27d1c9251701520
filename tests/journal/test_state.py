"""Cursors, dead letters and open sockets on a real file: what survives, and what a failing disk does."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from receiver.journal.dead import DeadLetter
from receiver.journal.state import State


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[State]:
    state = State(path)
    try:
        yield state
    finally:
        await state.close()


def letter(seq: int, sink: str = "kafka") -> DeadLetter:
    return DeadLetter(sink=sink, seq=seq, id=f"e{seq}", reason="too large", at_ns=7, event=b'{"id":"e"}')


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    """What another process sees."""
    database = sqlite3.connect(path)
    try:
        return database.execute(query).fetchall()
    finally:
        database.close()


async def test_a_cursor_survives_a_restart(tmp_path: Path) -> None:
    """Moves are seen at once and are on disk after a flush; the last one counts."""
    path = tmp_path / "journal" / "state.db"
    async with opened(path) as state:
        state.move("file", 5)
        state.move("file", 9)
        state.move("kafka", 3)
        assert state.cursors == {"file": 9, "kafka": 3}
        await state.flush()
        assert rows(path, "SELECT * FROM cursor ORDER BY sink") == [("file", 9), ("kafka", 3)]
        state.move("kafka", 4)
    async with opened(path) as state:
        assert state.cursors == {"file": 9, "kafka": 4}


async def test_a_cursor_that_was_not_flushed_is_only_older(tmp_path: Path) -> None:
    """After `kill -9` a sink is given some events again: nothing is skipped."""
    path = tmp_path / "state.db"
    async with opened(path) as state:
        state.move("file", 5)
        await state.flush()
        state.move("file", 9)
        survivor = State(path)
        assert survivor.cursors == {"file": 5}
        await survivor.close()


async def test_open_sockets_survive_a_crash(tmp_path: Path) -> None:
    """An opening is remembered until the closing is in the journal; notes are replaced and kept apart by connection."""
    path = tmp_path / "state.db"
    async with opened(path) as state:
        state.stream_opened("c1", b"one")
        state.stream_opened("c2", b"two")
        state.stream_opened("c2", b"two again")
        state.stream_opened("c3", b"three")
        state.stream_closed("c3")
        state.stream_closed("never opened")
    async with opened(path) as state:
        assert dict(state.open_streams) == {"c1": b"one", "c2": b"two again"}
        state.stream_closed("c1")
    async with opened(path) as state:
        assert dict(state.open_streams) == {"c2": b"two again"}


async def test_dead_letters_are_on_disk_when_told(tmp_path: Path) -> None:
    """`bury` returns when they are written, in order, with reason and the whole event."""
    path = tmp_path / "state.db"
    async with opened(path) as state:
        await state.dead.bury([letter(1), letter(2)])
        await state.dead.bury([letter(3, "http")])
        assert state.dead.counts == {"kafka": 2, "http": 1}
        written = rows(path, "SELECT sink, seq, id, reason, at_ns, event FROM dead ORDER BY number")
        assert written[0] == ("kafka", 1, "e1", "too large", 7, b'{"id":"e"}') and len(written) == 3
    async with opened(path) as state:
        assert state.dead.counts == {"kafka": 2, "http": 1}


async def test_many_at_once_do_not_meet(tmp_path: Path) -> None:
    """Workers bury while the flush runs: one after the other, nothing is lost."""
    async with opened(tmp_path / "state.db") as state:
        for number in range(50):
            state.move(f"sink{number}", number)
        await asyncio.gather(*(state.dead.bury([letter(number)]) for number in range(20)), state.flush(), state.flush())
        assert state.dead.counts == {"kafka": 20}


async def test_a_flush_that_fails_is_made_up_for(tmp_path: Path) -> None:
    """A disk that is full for a while costs nothing but time: what was not written is written by the next flush."""
    path = tmp_path / "state.db"
    async with opened(path) as state:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("ALTER TABLE cursor RENAME TO away")
        state.move("file", 5)
        state.stream_opened("c1", b"one")
        await state.flush()
        state.move("kafka", 6)
        other.execute("ALTER TABLE away RENAME TO cursor")
        other.close()
        await state.flush()
        assert rows(path, "SELECT * FROM cursor ORDER BY sink") == [("file", 5), ("kafka", 6)]
        assert rows(path, "SELECT connection FROM stream") == [("c1",)]


async def test_a_move_during_a_failing_flush_is_not_undone(tmp_path: Path) -> None:
    """The newer number wins when the older one is put back for the next flush."""
    path = tmp_path / "state.db"
    async with opened(path) as state:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("ALTER TABLE cursor RENAME TO away")
        state.move("file", 5)
        flushing = asyncio.create_task(state.flush())
        await asyncio.sleep(0)
        state.move("file", 8)
        await flushing
        other.execute("ALTER TABLE away RENAME TO cursor")
        other.close()
    assert rows(path, "SELECT * FROM cursor") == [("file", 8)]


async def test_a_file_that_is_no_database_is_set_aside(tmp_path: Path) -> None:
    """It is kept as it was: an operator may have named the wrong folder."""
    path = tmp_path / "state.db"
    path.write_bytes(b"something else entirely, and long enough for a header" * 20)
    async with opened(path) as state:
        assert state.cursors == {}
    (kept,) = tmp_path.glob("state.db.damaged-*")
    assert kept.read_bytes().startswith(b"something else")


async def test_it_tells_whether_there_is_something_to_flush(tmp_path: Path) -> None:
    """After each change, until it is on disk: who flushes now and then need not look while nothing happens."""
    path = tmp_path / "state.db"
    async with opened(path) as state:
        changes: tuple[Callable[[], None], ...] = (
            lambda: state.move("file", 5),
            lambda: state.stream_opened("c1", b"one"),
            lambda: state.stream_closed("c1"),
        )
        for change in changes:
            assert not state.changed.is_set()
            change()
            assert state.changed.is_set()
            await state.flush()
        state.stream_closed("never opened")
        assert not state.changed.is_set()
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("ALTER TABLE cursor RENAME TO away")
        state.move("file", 6)
        await state.flush()
        assert state.changed.is_set()
        other.execute("ALTER TABLE away RENAME TO cursor")
        other.close()
        await state.flush()
        assert not state.changed.is_set()
