"""Sinks that catch up decode in slices of the event loop, which rests after each while deliveries come in."""

import asyncio
import itertools
import time
from pathlib import Path

import pytest

from receiver.delivery.pace import Pace
from receiver.record import Decoded, Record
from sinks.base import Batch
from tests.delivery.test_worker import FakeSink, decode, house
from tests.support import until


def _busy(_: int) -> None:
    """A slice's work."""
    end_s = time.perf_counter() + 0.0006
    while time.perf_counter() < end_s:
        pass


async def test_readers_take_turns() -> None:
    """However many catch up: one's piece is done before the next one's, and each gets its own results, in order."""
    pace, seen = Pace(lambda: 0), list[int]()

    def work(number: int) -> int:
        _busy(number)
        seen.append(number)
        return -number

    found = await asyncio.gather(*(pace.each(range(begin, begin + 5), work) for begin in (0, 5, 10)))
    assert found == [[-number for number in range(begin, begin + 5)] for begin in (0, 5, 10)]
    assert seen == list(range(15))


@pytest.mark.parametrize("live", [True, False])
async def test_others_have_the_loop_after_each_slice(live: bool) -> None:
    """And while things come in it rests, so that the threads of the journal have the interpreter."""
    heads = itertools.count()
    pace, passes = Pace(lambda: next(heads) if live else 0), 0

    async def other() -> None:
        nonlocal passes
        while True:
            await asyncio.sleep(0)
            passes += 1

    loop = asyncio.create_task(other())
    wall_s = time.perf_counter()
    await pace.each(range(20), _busy)
    rested_s = time.perf_counter() - wall_s - 20 * 0.0006
    loop.cancel()
    assert passes >= 19
    if live:
        assert rested_s >= 20 * 0.0009


async def test_a_fault_in_one_piece_of_work_is_the_readers_own() -> None:
    """Others go on."""
    pace = Pace(lambda: 0)
    broken = await asyncio.gather(pace.each([0], lambda number: 1 // number), return_exceptions=True)
    assert isinstance(broken[0], ZeroDivisionError)
    assert await pace.each([1], lambda number: 1 // number) == [1]


async def test_sinks_that_come_back_together_decode_once(tmp_path: Path) -> None:
    """Whoever comes first does it for the others."""
    decoded: list[int] = []

    def counted(record: Record) -> Decoded:
        decoded.append(record.seq)
        return decode(record)

    async with house(tmp_path) as here:
        for number in range(30):
            await here.put(str(number))
    sinks = [FakeSink() for _ in range(3)]
    async with house(tmp_path, tail_bytes=0) as here, asyncio.TaskGroup() as group:
        here.decode = counted
        pace = Pace(lambda: here.journal.head)
        for number, sink in enumerate(sinks):
            here.work(group, f"s{number}", sink, pace=pace)
        await until(lambda: all(len(sink.ids) == 30 for sink in sinks))
        await here.drained()
    assert len(decoded) == len(set(decoded)) == 30


async def test_the_next_piece_is_decoded_while_one_is_written(tmp_path: Path) -> None:
    """A far side that takes its time costs only that."""
    decoded: list[int] = []
    written_at: list[int] = []

    def counted(record: Record) -> Decoded:
        decoded.append(record.seq)
        return decode(record)

    async def slow(batch: Batch) -> None:
        first = decoded.index(int(batch.events[-1].sequence)) + 1
        await until(lambda: len(decoded) > first or len(decoded) == 400)
        written_at.append(len(decoded))

    async with house(tmp_path) as here:
        for number in range(400):
            await here.put(f"{number}-{'x' * 2000}")
    sink = FakeSink(*[slow] * 400)
    async with house(tmp_path, tail_bytes=0) as here, asyncio.TaskGroup() as group:
        here.decode = counted
        here.work(group, "s", sink)
        await until(lambda: len(sink.ids) == 400)
        await here.drained()
    assert len(decoded) == len(set(decoded)) == 400
    assert written_at[0] < 400
