"""Who waits for room in a lane: let in as fast as there is room for what they bring."""

import asyncio
from collections.abc import Callable
from functools import partial

from receiver.journal.room import Room


async def test_many_who_bring_little_are_let_in_at_once() -> None:
    """A hundred sockets with frames of some kilobytes: after a moment without room none of them waits in turn."""
    room = Room(8 << 20, 8 << 20)
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


MIB = 1 << 20


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def crowded(count: int, wants: Callable[[int], int] | None = None) -> tuple[Room, list[asyncio.Task[None]]]:
    """A room of 8 MiB that has just had rows of one, and as many who wait for it: they bring that, or what they say."""
    room = Room(8 * MIB, 8 * MIB)
    for _ in range(9):
        room.put(MIB)
    waiting = [
        asyncio.create_task(room.wait(None if wants is None else partial(wants, number))) for number in range(count)
    ]
    await turns(4)
    assert not done(waiting)
    return room, waiting


def done(waiting: list[asyncio.Task[None]]) -> int:
    return sum(one.done() for one in waiting)


async def dismiss(waiting: list[asyncio.Task[None]]) -> None:
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_with_each_commit_as_many_as_it_makes_room_for() -> None:
    """Not a moment later: a writer that has nothing to do would wait for them. Who was let in and had no turn yet is
    counted as what he may bring."""
    room, waiting = await crowded(30)
    room.bytes = 4 * MIB
    room.admit()
    room.admit()
    await turns(1)
    assert done(waiting) == 5, "until it is more than full"
    for _ in range(5):
        room.put(MIB)
    await turns(4)
    assert done(waiting) == 5 and not room.free
    room.bytes = 7 * MIB
    room.admit()
    await turns(1)
    assert done(waiting) == 7
    await dismiss(waiting)


async def test_what_somebody_did_not_bring_is_for_those_behind_him() -> None:
    """Without another commit, as soon as he has had his turn: some have nothing to write."""
    room, waiting = await crowded(30)
    room.bytes = 4 * MIB
    room.admit()
    await turns(4)
    assert 10 <= done(waiting) <= 15
    await turns(40)
    assert done(waiting) == 30


async def test_who_says_what_he_brings_is_taken_at_his_word() -> None:
    """As it is when he is let in, not when he came: meanwhile more lies there."""
    lies = 1
    room, waiting = await crowded(30, lambda _number: lies)
    lies = 3 * MIB
    room.bytes = 0
    room.admit()
    await turns(1)
    assert done(waiting) == 3
    room.put(8 * MIB)
    await turns(4)
    lies = 1000
    room.bytes = 0
    room.admit()
    await turns(1)
    assert done(waiting) == 30


async def test_a_turn_of_the_loop_has_a_ceiling_of_its_own() -> None:
    """However much room there is: sinks, too, are to have their turns."""
    room = Room(64 * MIB, 8 * MIB)
    room.put(8 * MIB)
    assert room.free
    room.put(1)
    assert not room.free
    waiting = asyncio.create_task(room.wait())
    await turns(1)
    assert not waiting.done()
    await turns(3)
    assert room.free and waiting.done()


async def test_who_waits_does_not_keep_others_from_room_that_nobody_was_promised() -> None:
    """What comes in as it is read costs less than what somebody is woken for: with all of them in a queue for good, it
    would never end."""
    room, waiting = await crowded(2)
    room.bytes = 0
    assert room.free and not done(waiting)
    await dismiss(waiting)


async def test_those_who_bring_much_come_one_after_the_other() -> None:
    """As many as fit with what the last ones brought, so that all together stay below the ceiling."""
    room = Room(8 << 20, 8 << 20)
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


async def test_who_asks_is_called_in_order_with_those_who_wait() -> None:
    """Later than he has asked, also where there is room, and once."""
    room, waiting = await crowded(1)
    came: list[str] = []

    def comes(name: str) -> bool:
        came.append(f"{name}, behind {done(waiting)}")
        return True

    room.ask(partial(comes, "first"), lambda: MIB)
    waiting.append(asyncio.create_task(room.wait()))
    await turns(1)
    room.ask(partial(comes, "second"), lambda: MIB)
    assert came == []
    room.bytes = 0
    room.admit()
    await turns(4)
    assert came == ["first, behind 0", "second, behind 0"] and done(waiting) == 2, "tasks are woken a turn later"
    assert room.free
    room.ask(partial(comes, "third"))
    assert len(came) == 2
    await turns(4)
    assert came[2:] == ["third, behind 2"]


async def test_who_asked_and_is_gone_is_promised_nothing() -> None:
    """Those behind him come in in the same moment."""
    room, waiting = await crowded(0)
    came: list[str] = []
    room.ask(lambda: False, lambda: 1 << 30)

    def comes() -> bool:
        came.append("behind him")
        return True

    room.ask(comes, lambda: MIB)
    room.bytes = 0
    room.admit()
    assert came == ["behind him"] and not waiting
