"""Who waits for room in a lane: let in as fast as there is room for what they bring."""

import asyncio

from receiver.journal.room import Room


async def test_many_who_bring_little_are_let_in_at_once() -> None:
    """A hundred sockets with frames of some kilobytes: after a moment without room none of them waits in turn."""
    room = Room(8 << 20)
    for _ in range(1000):
        room.put(8 << 10)
    room.put(1 << 20)
    waiting = [asyncio.ensure_future(room.wait()) for _ in range(100)]
    await asyncio.sleep(0)
    room.bytes = 0
    for _ in range(300):
        room.put(8 << 10)
    room.admit()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert all(one.done() for one in waiting)


async def test_with_each_commit_as_many_as_it_makes_room_for() -> None:
    """Not a moment later: a writer that has nothing to do would wait for them. Who was let in and has brought nothing
    yet is counted as what he may bring."""
    room = Room(8 << 20)
    for _ in range(9):
        room.put(1 << 20)
    waiting = [asyncio.ensure_future(room.wait()) for _ in range(8)]
    await asyncio.sleep(0)

    async def let_in(held_bytes: int) -> int:
        room.bytes = held_bytes
        room.admit()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return sum(one.done() for one in waiting)

    assert await let_in(4 << 20) == 4
    assert await let_in(4 << 20) == 4
    assert await let_in(2 << 20) == 6
    for _ in range(6):
        room.put(1 << 20)
    assert await let_in((8 << 20) + 1) == 6
    assert await let_in(7 << 20) == 7
    waiting[-1].cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_those_who_bring_much_come_one_after_the_other() -> None:
    """As many as fit with what the last ones brought, so that all together stay below the ceiling."""
    room = Room(8 << 20)
    room.put(9 << 20)
    waiting = [asyncio.ensure_future(room.wait()) for _ in range(5)]
    await asyncio.sleep(0)
    room.bytes = 0
    room.admit()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert sum(one.done() for one in waiting) == 1
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
