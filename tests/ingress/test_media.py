"""When frames that are gathered become rows."""

import asyncio

from receiver.ingress.media import MediaGather
from tests.support import until


class Holder:
    """A stream that counts its rows. ``safe`` is the end of the newest."""

    def __init__(self, gather: MediaGather) -> None:
        self.rows = 0
        self.safe: asyncio.Future[None]
        self._gather = gather

    def seal(self) -> None:
        self.rows += 1
        self.safe = asyncio.get_running_loop().create_future()
        self._gather.sealed(self, self.safe)


async def test_frames_wait_no_longer_than_the_interval_where_the_journal_is_free() -> None:
    """And everybody's are handed over together."""
    gather = MediaGather(0.001)
    one, two = Holder(gather), Holder(gather)
    gather.note(one)
    gather.note(two)
    await until(lambda: one.rows == two.rows == 1)


async def test_while_the_journal_is_busy_rows_grow() -> None:
    """What comes during a commit is one row of each stream, handed over when the commit ends, however it does."""
    gather = MediaGather(0.001)
    one, two = Holder(gather), Holder(gather)
    gather.note(one)
    await until(lambda: one.rows == 1)
    gather.note(one)
    await until(lambda: gather._waiting)
    gather.note(two)
    assert (one.rows, two.rows) == (1, 0)
    one.safe.set_exception(OSError("no"))
    await until(lambda: one.rows == 2 and two.rows == 1)


async def test_a_flush_does_not_wait_for_the_journal() -> None:
    """At the end there is no later; the commit that ends after it finds nothing to do."""
    gather = MediaGather(0.001)
    one = Holder(gather)
    gather.note(one)
    await until(lambda: one.rows == 1)
    busy = one.safe
    gather.note(one)
    await until(lambda: gather._waiting)
    gather.flush()
    assert one.rows == 2
    busy.set_result(None)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert one.rows == 2


async def test_who_has_sealed_by_himself_is_not_asked_again() -> None:
    """A large row does not wait for the interval."""
    gather = MediaGather(0.001)
    one, two = Holder(gather), Holder(gather)
    gather.note(one)
    one.seal()
    one.safe.set_result(None)
    gather.note(two)
    await until(lambda: two.rows == 1)
    assert one.rows == 1


async def test_the_more_hold_frames_the_smaller_are_rows() -> None:
    """So that all together have a ceiling."""
    gather = MediaGather(3600.0)
    gather.note(Holder(gather))
    alone = gather.row_bytes
    for _ in range(999):
        gather.note(Holder(gather))
    assert gather.row_bytes < alone
    assert gather.row_bytes * 1000 <= 16 << 20
    gather.flush()
