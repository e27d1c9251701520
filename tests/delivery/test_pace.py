"""Sinks that catch up share the event loop with what is live: decoding goes in slices, one sink at a time."""

import asyncio
import time
from pathlib import Path

from receiver.delivery.pace import Pace
from receiver.record import Decoded, Record
from tests.delivery.test_worker import FakeSink, decode, house


async def test_only_one_has_the_turn() -> None:
    """However many sinks catch up, a delivery waits for one slice."""
    pace, inside, most = Pace(lambda: 0), 0, 0

    async def sink() -> None:
        nonlocal inside, most
        for _ in range(5):
            async with pace.slice():
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0)
                inside -= 1

    async with asyncio.TaskGroup() as tasks:
        for _ in range(4):
            tasks.create_task(sink())
    assert most == 1


async def test_it_rests_as_long_as_it_works_while_things_come_in() -> None:
    """Half of the loop is for what is live."""
    heads = iter(range(100))
    pace = Pace(lambda: next(heads))
    begin_s = time.perf_counter()
    async with pace.slice():
        time.sleep(0.02)  # noqa: ASYNC251 - work
    assert time.perf_counter() - begin_s >= 0.039


async def test_a_sink_rests_after_a_piece_while_things_come_in() -> None:
    """As long as the piece took, at most so long that a far side which is slow does not count; idle, not at all."""
    heads = iter(range(100))
    live, idle = Pace(lambda: next(heads)), Pace(lambda: 0)
    begin_s = time.perf_counter()
    await live.rest(0.02)
    assert time.perf_counter() - begin_s >= 0.019
    async with asyncio.timeout(5):
        await live.rest(60)
        await idle.rest(60)


async def test_the_loop_goes_on_between_records_from_disk(tmp_path: Path) -> None:
    """One reading is many records; after each that takes a slice or more, everybody else has their turn."""
    turns: list[int] = []
    passes = 0

    def slow(record: Record) -> Decoded:
        turns.append(passes)
        time.sleep(0.002)
        return decode(record)

    async def loop() -> None:
        nonlocal passes
        while True:
            passes += 1
            await asyncio.sleep(0)

    async with house(tmp_path) as here:
        for number in range(30):
            await here.put(str(number))
    async with house(tmp_path, tail_bytes=0) as here, asyncio.TaskGroup() as group:
        here.decode = slow
        others = group.create_task(loop())
        here.work(group, "s", FakeSink())
        await here.drained()
        others.cancel()
    assert len(turns) == len(set(turns)) == 30
