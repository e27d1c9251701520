"""The next file's log is made before it is needed, and is nothing but places on the disk."""

import os
import shutil
import threading
import time
from pathlib import Path

import pytest

from receiver.journal.base import EVENTS, MEDIA, QUARANTINE
from receiver.journal.lane import Lane
from receiver.journal.segment import Segment, log_of
from receiver.journal.spare import Spare
from tests.disk import small_disk
from tests.journal.test_ahead import kept, record
from tests.journal.test_sqlite import opened, read_all
from tests.journal.test_sqlite import record as delivery
from tests.support import until

MIB = 1 << 20


def made(folder: Path, size_bytes: int) -> Path:
    spare = Spare(folder, size_bytes)
    spare.want()
    while (path := spare.take()) is None:
        time.sleep(0.005)
    return path


@pytest.mark.parametrize("size", [1, 4096, 3 * MIB + 5])
def test_a_file_begins_over_it(tmp_path: Path, size: int) -> None:
    """A crash before its first commit, or behind any, costs nothing; and the file ends as any other."""
    spare = made(tmp_path, size)
    assert spare.read_bytes() == bytes(size)
    segment = Segment(tmp_path / "1.db", spare=spare)
    segment.ahead.step_bytes = 64 << 10
    assert segment.written_bytes == segment.path.stat().st_size and not spare.exists()
    assert log_of(segment.path).stat().st_size == size and kept(segment.path) == {}
    for seq in range(1, 31):
        segment.append([record(seq)], sync=True)
        assert kept(segment.path).keys() == set(range(1, seq + 1))
    if size > MIB:
        assert log_of(segment.path).stat().st_size == size
    segment.close()
    assert not log_of(segment.path).exists() and segment.path.stat().st_size < 64 << 10


def test_a_file_that_was_killed_before_its_first_commit_is_gone_on_with(tmp_path: Path) -> None:
    segment = Segment(tmp_path / "1.db", spare=made(tmp_path, MIB))
    for path in (segment.path, log_of(segment.path)):
        shutil.copy(path, tmp_path / path.name.replace("1", "2"))
    segment.close()
    again = Segment(tmp_path / "2.db")
    again.append([record(1)], sync=True)
    assert kept(again.path) == {1: record(1).payload}
    again.close()


async def test_each_file_but_the_first_has_one(tmp_path: Path) -> None:
    """Of the events alone. What a killed server has left goes, and a stop leaves nothing."""
    (tmp_path / EVENTS).mkdir()
    (tmp_path / EVENTS / "next-log.draft").write_bytes(b"old")
    async with opened(tmp_path, segment_bytes=MIB, tail_bytes=0) as journal:
        lane: Lane = journal.lanes[EVENTS]
        sent = []
        for number in range(3):
            while lane._segment is None or lane._segment.written_bytes < MIB:
                sent.append(delivery(os.urandom(60_000)))
                await journal.submit(sent[-1])
                assert lane._spare is not None
                if lane._spare._making is not None:
                    await until(lambda: lane._spare._made)  # type: ignore[union-attr]
            sent.append(delivery(b"%d" % number))
            await journal.submit(sent[-1])
            assert log_of(lane._segment.path).stat().st_size == MIB + MIB // 16
        for other in (MEDIA, QUARANTINE):
            assert journal.lanes[other]._spare is None
        assert [one.payload for one in await read_all(journal)] == [one.payload for one in sent]
    assert {path.suffix for path in (tmp_path / EVENTS).iterdir()} == {".db"}


async def test_the_first_file_is_left_as_soon_as_there_is_one(tmp_path: Path) -> None:
    """Once a sixteenth of it is written; where less comes, none is made at all."""
    async with opened(tmp_path, segment_bytes=4 * MIB, tail_bytes=0) as journal:
        lane: Lane = journal.lanes[EVENTS]
        assert lane._spare is not None
        await journal.submit(delivery(os.urandom(100_000)))
        assert lane._spare._making is None
        await journal.submit(delivery(os.urandom(200_000)))
        await until(lambda: lane._spare is not None and lane._spare.ready)
        for number in range(20):
            await journal.submit(delivery(os.urandom(40_000 + number)))
        assert len(list((tmp_path / EVENTS).glob("*.db"))) == 2
        assert len(await read_all(journal)) == 22


def test_none_is_made_where_space_is_short(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 2 * MIB) as disk:
        for left_bytes in (3 * MIB // 2, 0):
            disk.free()
            disk.fill(leave_bytes=left_bytes)
            spare = Spare(disk.folder, MIB)
            spare.want()
            assert spare._making is not None
            spare._making.join(20)
            assert spare.take() is None
            spare.close()
        assert not (disk.folder / "next-log.draft").exists()


def test_a_stop_does_not_wait_for_it(tmp_path: Path) -> None:
    spare = Spare(tmp_path, 1 << 30)
    spare.want()
    spare.want()
    assert [one.name for one in threading.enumerate()].count("journal-spare") == 1
    assert spare.take() is None
    begun_s = time.monotonic()
    spare.close()
    assert time.monotonic() - begun_s < 10 and list(tmp_path.iterdir()) == []
