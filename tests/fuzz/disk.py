"""Targets: files of the journal with bytes that changed on disk. An input is a list of changes to a sound file.

Each change is four bytes: offset u16 LE (of what lies there modulo the file's size), what to XOR, how many bytes.
"""

import asyncio
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from pathlib import Path

from receiver.journal.dead import DeadLetter
from receiver.journal.leaves import Leaves
from receiver.journal.reader import ALL, SegmentReader
from receiver.journal.segment import Segment
from receiver.journal.state import State
from receiver.record import Record
from tests.fuzz.promises import quiet, record_of

_MOST_CHANGES = 40
_CURSORS = {"file": 1_000, "kafka": 2_000}
_SUFFIXES = ("", "-wal", "-shm")


def segment(data: bytes) -> None:
    """A damaged segment: what is read out of it is what was written, or is told as damaged; never something else."""
    written, base = _segment()
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=_fast()) as folder:
        path = Path(folder, "00000000000000000001.db")
        path.write_bytes(_changed(base, data))
        try:
            reader = SegmentReader(path)
        except sqlite3.Error:
            return
        try:
            for record in reader.read(0, ALL):
                record.key = b""  # it has no checksum: a repeat may not be recognised, no more
                assert record.kind == "damaged" or record == written.get(record.seq), f"number {record.seq}"
            reader.keys(10), reader.last(), reader.begin_of_newest(100), list(reader.facts(0))
            assert all(isinstance(finding, str) for finding in reader.damage)
            with closing(Leaves(path)) as leaves:
                assert leaves.last_in_tree() in {0, *written}
        finally:
            reader.close()


def state(data: bytes) -> None:
    """A damaged ``state.db``: it opens. One change moves no cursor further on: events repeat, none is skipped."""
    base = _state()
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=_fast()) as folder:
        path = Path(folder, "state.db")
        path.write_bytes(_changed(base, data))
        with quiet():
            opened = State(path)
        try:
            for sink, cursor in opened.cursors.items():
                assert cursor <= _CURSORS.get(sink, cursor) or len(data) > 7, f"{sink} at {cursor}"
        finally:
            asyncio.run(opened.close())


def _changed(base: bytes, data: bytes) -> bytes:
    changed = bytearray(base)
    for at in range(0, min(len(data), 4 * _MOST_CHANGES) - 3, 4):
        offset = int.from_bytes(data[at : at + 2], "little") % len(base)
        for place in range(offset, min(len(base), offset + 1 + data[at + 3])):
            changed[place] ^= data[at + 2]
    return bytes(changed)


@cache
def _segment() -> tuple[dict[int, Record], bytes]:
    records = []
    for number in range(1, 13):
        record = record_of(
            b'{"event":"bot.joining","n":%d}' % number, headers=(("a", "b"),), subject=f"bot-{number % 3}"
        )
        record.seq, record.key = number, b"key-%d" % number
        records.append(record)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        path = Path(folder, "00000000000000000001.db")
        made = Segment(path)
        made.append(records, sync=False)
        made.close()
        reader = SegmentReader(path)
        found = {record.seq: record for record in reader.read(0, ALL)}
        reader.close()
        assert len(found) == len(records)
        for record in found.values():
            record.key = b""
        return found, path.read_bytes()


@cache
def _state() -> bytes:
    async def make(path: Path) -> None:
        made = State(path)
        for sink, cursor in _CURSORS.items():
            made.move(sink, cursor)
        made.stream_opened("c-1", b"note")
        await made.flush()
        letter = DeadLetter(sink="file", seq=7, id="e-7", reason="no", at_ns=1, event=b"{}", packed=b"")
        await made.dead.bury([letter])
        await made.close()

    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        path = Path(folder, "state.db")
        asyncio.run(make(path))
        return path.read_bytes()


@cache
def _fast() -> str | None:
    """A file system in memory, where there is one."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def seeds() -> Iterator[bytes]:
    """None, a bit in each part of a page, a hole, many."""
    yield b""
    for offset in (0, 20, 100, 107, 4096, 4100, 4200, 8100, 8190, 12_200):
        yield offset.to_bytes(2, "little") + b"\x01\x00"
    yield b"\x2c\x00\x01\x00"  # the format of the schema
    yield b"\x00\x20\xff\xff" * 3
    yield bytes(range(160))
