"""When the helper is started, and when it goes: a real process without errands. What it delivers is in
``tests/end_to_end/test_helper.py``."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import psutil
import pytest

from receiver.delivery.errands import Hello
from receiver.delivery.helper import Helper
from receiver.delivery.helper_process import HelperProcess
from receiver.journal.chain import Link
from receiver.journal.view import Mark
from receiver.settings import LogSettings
from tests.support import until


class Desk:
    """What a server has to do with a helper."""

    def __init__(self, folder: Path) -> None:
        self.expected = False
        self.lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT)
        self._folder = folder
        self.helper = Helper(self._hello, self.lock, self._mark, lambda: self.expected)

    def children(self) -> list[psutil.Process]:
        """The process, where there is one."""
        return [one for one in psutil.Process().children() if _is_helper(one)]

    def _hello(self) -> Hello:
        return Hello(str(self._folder), msgspec.to_builtins(LogSettings()))

    def _mark(self) -> bytes:
        return Mark(0, 0, {"events": Link(), "media": Link()}).packed()


def _is_helper(process: psutil.Process) -> bool:
    try:
        return "receiver.helping" in process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return False


@asynccontextmanager
async def desk(folder: Path) -> AsyncIterator[Desk]:
    here = Desk(folder)
    running = asyncio.create_task(here.helper.run())
    try:
        yield here
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        os.close(here.lock)
        assert not here.children()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("receiver.delivery.helper._EXPECT_S", 0.02)
    monkeypatch.setattr("receiver.delivery.helper._IDLE_S", 0.2)
    monkeypatch.setattr(HelperProcess, "starves", lambda self: False)  # as it does on a busy machine


async def test_it_is_there_before_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a sink is held up, also longer than it would stay with nothing to do; then it goes."""
    async with desk(tmp_path) as here:
        await asyncio.sleep(0.1)
        assert not here.children()
        here.expected = True
        await until(lambda: here.children())
        process = here.children()
        await until(here.helper.ready)
        monkeypatch.setattr(HelperProcess, "starves", lambda self: True)  # and misses nothing
        await asyncio.sleep(0.6)
        assert here.children() == process and here.helper.ready()
        here.expected = False
        await until(lambda: not here.children())


async def test_it_is_started_when_it_is_asked_for(tmp_path: Path) -> None:
    """And goes when nothing is to do."""
    async with desk(tmp_path) as here:
        assert not here.helper.ready() and here.helper.starting
        await until(here.helper.ready)
        assert not here.helper.starting
        await until(lambda: not here.children())


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it has a nice value, no more")
async def test_it_yields_the_processor_and_not_the_disk(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        await until(here.helper.ready)
        (process,) = here.children()
        assert os.sched_getscheduler(process.pid) == os.SCHED_IDLE and process.nice() == 5
        assert process.ionice() == (psutil.IOPRIO_CLASS_BE, 4)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it has a nice value, no more")
async def test_one_that_starves_makes_way_for_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which is left its share, and is there without being asked for again."""
    starving = [True]
    monkeypatch.setattr(HelperProcess, "starves", lambda self: bool(starving and starving.pop()))
    async with desk(tmp_path) as here:
        here.expected = True
        await until(lambda: here.children())
        (first,) = here.children()
        await until(lambda: here.children() not in ([], [first]))
        await until(here.helper.ready)
        (second,) = here.children()
        assert os.sched_getscheduler(second.pid) == os.SCHED_OTHER and second.nice() == 5 > psutil.Process().nice()
