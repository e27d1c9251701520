"""When frames that are gathered become rows."""

import asyncio

from receiver.ingress.media import MediaGather
from tests.support import until


class Holder:
    """A stream that counts its rows."""

    def __init__(self, gather: MediaGather) -> None:
        self.rows = 0
        self._gather = gather

    def hand_over(self) -> None:
        self.rows += 1

    def seal(self) -> None:
        self._gather.forget(self)
        self.hand_over()


def idle() -> bool:
    """A journal that has written everything."""
    return False


async def test_frames_wait_no_longer_than_the_interval() -> None:
    """And everybody's are handed over together."""
    gather = MediaGather(0.001, idle)
    one, two = Holder(gather), Holder(gather)
    gather.note(one)
    gather.note(two)
    await until(lambda: one.rows == two.rows == 1)


async def test_they_wait_once_more_where_the_journal_is_busy() -> None:
    """Rows grow then, and are handed over in any case after that."""
    asked: list[int] = []

    def busy() -> bool:
        asked.append(one.rows)
        return True

    gather = MediaGather(0.01, busy)
    one = Holder(gather)
    begin_s = asyncio.get_running_loop().time()
    gather.note(one)
    await until(lambda: one.rows == 1)
    assert asked == [0]
    assert asyncio.get_running_loop().time() - begin_s >= 0.02


async def test_a_flush_ends_the_second_wait_too() -> None:
    """And what comes behind it waits from its own begin."""
    gather = MediaGather(0.001, lambda: True)
    one = Holder(gather)
    gather.note(one)
    await asyncio.sleep(0.001)
    gather.flush()
    assert one.rows == 1
    gather.note(one)
    await until(lambda: one.rows == 2)


async def test_a_flush_does_not_wait_for_the_interval() -> None:
    """At the end there is no later."""
    gather = MediaGather(3600.0, idle)
    one = Holder(gather)
    gather.note(one)
    gather.flush()
    assert one.rows == 1
    gather.flush()
    assert one.rows == 1


async def test_who_has_sealed_by_himself_is_not_asked_again() -> None:
    """A large row does not wait for the interval."""
    gather = MediaGather(0.001, idle)
    one, two = Holder(gather), Holder(gather)
    gather.note(one)
    one.seal()
    gather.note(two)
    await until(lambda: two.rows == 1)
    assert one.rows == 1


async def test_the_more_hold_frames_the_smaller_are_rows() -> None:
    """So that all together have a ceiling."""
    gather = MediaGather(3600.0, idle)
    gather.note(Holder(gather))
    alone = gather.row_bytes
    for _ in range(999):
        gather.note(Holder(gather))
    assert gather.row_bytes < alone
    assert gather.row_bytes * 1000 <= 16 << 20
    gather.flush()
