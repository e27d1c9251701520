"""Sinks that catch up share one thread for decoding, which rests as long as it works while deliveries come in."""

import asyncio
import itertools
import threading
import time
from pathlib import Path

from receiver.delivery.pace import Pace
from receiver.record import Decoded, Record
from sinks.base import Batch
from tests.delivery.test_worker import FakeSink, decode, house
from tests.support import until


async def test_only_one_works_at_a_time_and_off_the_loop() -> None:
    """However many sinks catch up; each gets its own results, in order."""
    pace, inside, most, threads = Pace(lambda: 0), 0, 0, set[int]()

    def work(number: int) -> int:
        nonlocal inside, most
        threads.add(threading.get_ident())
        inside += 1
        most = max(most, inside)
        time.sleep(0.001)
        inside -= 1
        return -number

    found = await asyncio.gather(*(pace.each(range(begin, begin + 5), work) for begin in (0, 5, 10)))
    assert found == [[-number for number in range(begin, begin + 5)] for begin in (0, 5, 10)]
    assert most == 1
    assert len(threads) == 1
    assert threading.get_ident() not in threads
    pace.close()


async def test_it_rests_as_long_as_it_works_while_things_come_in() -> None:
    """Half of the interpreter at most; idle, it does not rest."""
    heads = itertools.count()

    def busy(_: int) -> None:
        end_s = time.thread_time() + 0.004
        while time.thread_time() < end_s:
            pass

    took_s = []
    for pace in (Pace(lambda: next(heads)), Pace(lambda: 0)):
        begin_s, worked_s = time.perf_counter(), time.process_time()
        await pace.each(range(20), busy)
        took_s.append(time.perf_counter() - begin_s)
        assert time.process_time() - worked_s >= 0.08
        pace.close()
    assert took_s[0] >= 0.16


async def test_a_fault_in_one_piece_of_work_is_the_readers_own() -> None:
    """The thread goes on."""
    pace = Pace(lambda: 0)
    broken = await asyncio.gather(pace.each([0], lambda number: 1 // number), return_exceptions=True)
    assert isinstance(broken[0], ZeroDivisionError)
    assert await pace.each([1], lambda number: 1 // number) == [1]
    pace.close()


async def test_sinks_that_come_back_together_decode_once(tmp_path: Path) -> None:
    """Whoever comes first does it for the others, and the loop is not held up meanwhile."""
    decoded: list[int] = []

    def counted(record: Record) -> Decoded:
        decoded.append(record.seq)
        assert threading.current_thread().name.startswith("catch-up")
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
        pace.close()
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
