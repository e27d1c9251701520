"""When what is not synced by its commit comes to the disk, and what a sync that fails is to the lane."""

import asyncio
import errno
import os
import threading
import time
from pathlib import Path

import pytest

from receiver.errors import JournalUnavailable
from receiver.journal.base import EVENTS, MEDIA
from receiver.journal.lane import LaneLimits
from receiver.journal.segment import Segment
from receiver.journal.sqlite import SqliteJournal
from receiver.journal.syncer import Syncer
from tests.journal.test_sqlite import read_all, record
from tests.support import until

_EVER_S = 3600.0
_SOON_MS = 20


class Disk:
    """A file whose syncs are counted, wait for ``go``, and fail with ``problem``."""

    def __init__(self) -> None:
        self.syncs = 0
        self.begun = threading.Event()
        self.go = threading.Event()
        self.go.set()
        self.problem: OSError | None = None

    def sync(self) -> None:
        self.begun.set()
        assert self.go.wait(20)
        self.syncs += 1
        if self.problem is not None:
            raise self.problem


def nobody_is_told() -> None:
    raise AssertionError("nothing has failed")


def test_commits_of_one_interval_are_one_sync() -> None:
    """However many commits wait for it; what waits at the end is not left behind."""
    disk = Disk()
    syncer = Syncer("test", _EVER_S, nobody_is_told)
    for _ in range(100):
        syncer.wrote(disk)
    assert disk.syncs == 0
    syncer.close()
    assert disk.syncs == 1


def test_a_commit_during_a_sync_is_synced_by_the_next() -> None:
    """Whether the sync that runs has seen it, nobody knows."""
    disk = Disk()
    disk.go.clear()
    syncer = Syncer("test", 0.001, nobody_is_told)
    syncer.wrote(disk)
    assert disk.begun.wait(20)
    syncer.wrote(disk)
    disk.go.set()
    syncer.close()
    assert disk.syncs == 2


def test_a_file_that_was_left_is_synced_beside_the_new_one() -> None:
    """A new file does not make the old one safe."""
    old, new = Disk(), Disk()
    syncer = Syncer("test", _EVER_S, nobody_is_told)
    syncer.wrote(old)
    syncer.wrote(new)
    syncer.close()
    assert (old.syncs, new.syncs) == (1, 1)


def test_a_failure_is_met_once() -> None:
    """By who asks next, after having been told to ask."""
    disk, told = Disk(), threading.Event()
    disk.problem = OSError(errno.EIO, "no")
    syncer = Syncer("test", 0.001, told.set)
    syncer.require()
    syncer.wrote(disk)
    assert told.wait(20)
    with pytest.raises(OSError, match="no"):
        syncer.require()
    syncer.require()
    syncer.close()


def journal_of(folder: Path, sync_every_ms: int) -> SqliteJournal:
    limits = {name: LaneLimits() for name in (EVENTS, "quarantine")}
    return SqliteJournal(folder, limits | {MEDIA: LaneLimits(sync_every_ms=sync_every_ms)})


def watch_syncs(monkeypatch: pytest.MonkeyPatch, disk: Disk) -> None:
    """Have ``disk`` stand before each sync of a segment."""
    sync = Segment.sync

    def watched(self: Segment) -> None:
        disk.sync()
        sync(self)

    monkeypatch.setattr(Segment, "sync", watched)


async def test_media_is_taken_while_a_sync_lasts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is synced soon, also where nothing comes after it."""
    disk = Disk()
    watch_syncs(monkeypatch, disk)
    journal = journal_of(tmp_path, _SOON_MS)
    disk.go.clear()
    await journal.submit(record(b"one"), MEDIA)
    await until(disk.begun.is_set)
    await journal.submit(record(b"two"), MEDIA)  # returns while the sync of the first has not
    assert disk.syncs == 0
    disk.go.set()
    await until(lambda: disk.syncs >= 2)
    await journal.close()


async def test_a_sync_that_fails_is_an_error_of_the_lane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told without anybody coming; a probe that succeeds ends it, and what comes then goes to a new file."""
    disk = Disk()
    watch_syncs(monkeypatch, disk)
    journal = journal_of(tmp_path, _SOON_MS)
    disk.problem = OSError(errno.EIO, "the disk says no")
    await journal.submit(record(b"one"), MEDIA)
    await until(lambda: journal.error is not None)
    assert "the disk says no" in str(journal.error)
    assert not journal.full
    disk.problem = None
    journal.probe()
    await until(lambda: journal.error is None)
    await journal.submit(record(b"two"), MEDIA)
    assert len(list((tmp_path / MEDIA).glob("*.db"))) == 2
    assert [one.payload for one in await read_all(journal, media=True)] == [b"one", b"two"]
    await journal.close()


async def test_a_sync_that_fails_is_told_to_the_next_record(tmp_path: Path) -> None:
    """As one that fails within a commit; the one after it is taken."""
    journal = journal_of(tmp_path, 3_600_000)
    await journal.submit(record(b"one"), MEDIA)
    syncer = journal.lanes[MEDIA]._syncer
    assert syncer is not None
    syncer._problem = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(JournalUnavailable, match="No space"):
        await journal.submit(record(b"two"), MEDIA)
    await journal.submit(record(b"three"), MEDIA)
    assert [one.payload for one in await read_all(journal, media=True)] == [b"one", b"three"]
    await journal.close()


async def test_closing_does_not_wait_for_the_interval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the lane's closing nor that of a file; both sync."""
    disk = Disk()
    watch_syncs(monkeypatch, disk)
    journal = journal_of(tmp_path, 3_600_000)
    await journal.submit(record(b"one"), MEDIA)
    assert disk.syncs == 0
    begun_s = time.monotonic()
    async with asyncio.timeout(60):
        await journal.close()
    assert disk.syncs >= 1
    assert time.monotonic() - begun_s < 60
