"""What was read from disk once serves every reader who comes along there, whatever steps each takes."""

import asyncio
import random
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from receiver.journal.base import EVENTS, MEDIA
from receiver.journal.recent import Recent
from receiver.journal.sqlite import SqliteJournal
from receiver.record import Record
from tests.journal.test_sqlite import limits, opened, record

LAST = 60


class Disk:
    """Records 1 to ``LAST``, some of several numbers, in steps of any size. ``asked`` is what was read."""

    def __init__(self, seed: int) -> None:
        self.asked: list[int] = []
        self._random = random.Random(seed)
        self.records, seq = [], 1
        while seq <= LAST:
            one = record()
            one.seq, one.count = seq, self._random.randint(1, 3)
            self.records.append(one)
            seq += one.count

    def read(self, after: int, upto: int, limit_bytes: int) -> "asyncio.Future[tuple[list[Record], int]]":
        self.asked.append(after)
        ready = [one for one in self.records if after < one.seq and one.last_seq <= upto]
        some = ready[: self._random.randint(1, 9)]
        answer: asyncio.Future[tuple[list[Record], int]] = asyncio.get_running_loop().create_future()
        answer.set_result((some, some[-1].last_seq if len(some) < len(ready) else upto))
        return answer


@given(seed=st.integers(0, 1 << 32), budget=st.integers(0, 20_000), readers=st.integers(1, 4))
def test_every_reader_sees_everything_once_and_in_order(seed: int, budget: int, readers: int) -> None:
    """Whoever is how far behind, and however little is kept."""

    async def go() -> None:
        disk, recent, choose = Disk(seed), Recent(budget), random.Random(seed)
        cursors, seen = [0] * readers, [list[int]() for _ in range(readers)]
        end = disk.records[-1].last_seq
        while any(cursor < end for cursor in cursors):
            index = choose.randrange(readers)
            visible = max(cursors[index], choose.choice([choose.randint(0, end), end]))
            border = max((one.last_seq for one in disk.records if one.last_seq <= visible), default=0)
            found, upto = await recent.read(cursors[index], border, 1000, disk.read)
            assert cursors[index] <= upto <= max(border, cursors[index])
            seen[index] += [one.seq for one in found]
            cursors[index] = upto
        assert seen == [[one.seq for one in disk.records]] * readers

    asyncio.run(go())


async def test_readers_that_come_at_once_read_and_get_the_same() -> None:
    """The second waits for the first, and its records are the same objects: what one decodes is decoded for all."""
    disk, recent = Disk(1), Recent(1 << 20)
    parts = await asyncio.gather(*(recent.read(0, LAST, 1000, disk.read) for _ in range(3)))
    assert disk.asked == [0]
    assert all(one is other for part in parts for one, other in zip(part[0], parts[0][0], strict=True))


async def test_what_is_kept_is_bounded() -> None:
    """By memory; the newest is always there."""
    disk, recent = Disk(2), Recent(0)
    _, upto = await recent.read(0, LAST, 1000, disk.read)
    await recent.read(0, LAST, 1000, disk.read)
    assert disk.asked == [0]
    await recent.read(upto, LAST, 1000, disk.read)
    await recent.read(0, LAST, 1000, disk.read)
    assert disk.asked == [0, upto, 0]


async def test_what_nobody_reads_is_let_go() -> None:
    """What is used stays."""
    disk, recent = Disk(2), Recent(1 << 20)
    _, upto = await recent.read(0, LAST, 1000, disk.read)
    await recent.read(upto, LAST, 1000, disk.read)
    recent.let_go(60.0)
    await recent.read(0, LAST, 1000, disk.read)
    assert disk.asked == [0, upto]
    await asyncio.sleep(0.4)
    await recent.read(upto, LAST, 1000, disk.read)
    recent.let_go(0.3)
    await recent.read(upto, LAST, 1000, disk.read)
    await recent.read(0, LAST, 1000, disk.read)
    assert disk.asked == [0, upto, 0]


async def test_sinks_that_come_back_together_share_their_reading(tmp_path: Path) -> None:
    """Also across lanes: the rest of one lane is not read anew because the other one had less."""
    async with opened(tmp_path, tail_bytes=0) as journal:
        for number in range(40):
            await journal.submit(record(b"x" * 3000), MEDIA if number % 2 else EVENTS)
    journal = SqliteJournal(tmp_path, limits(tail_bytes=1 << 20))
    reads = 0

    def counted(lane: str) -> None:
        original = journal.lanes[lane].read_disk

        def read(after: int, upto: int, limit_bytes: int) -> tuple[list[Record], int]:
            nonlocal reads
            reads += 1
            return original(after, upto, limit_bytes)

        setattr(journal.lanes[lane], "read_disk", read)  # noqa: B010

    counted(EVENTS)
    counted(MEDIA)
    found: list[list[Record]] = [[], []]
    for step, own in zip((10_000, 7_000), found, strict=True):
        after = 0
        while (part := await journal.read(after, media=True, limit_bytes=step))[1] > after:
            own += part[0]
            after = part[1]
    await journal.close()
    assert len(found[0]) == len(found[1]) == 40
    assert all(one is other for one, other in zip(*found, strict=True))
    assert reads <= 2 * 7


async def test_retention_takes_what_was_kept(tmp_path: Path) -> None:
    """A file that is gone is gone for every reader, else the ledger would count its events twice."""
    async with opened(tmp_path, tail_bytes=0, segment_bytes=1, max_bytes=1) as journal:
        for _ in range(10):
            await journal.submit(record(b"x" * 3000))
        assert len((await journal.read(0, media=False, limit_bytes=1 << 20))[0]) == 10
        await journal.trim({}, {})
        assert len((await journal.read(0, media=False, limit_bytes=1 << 20))[0]) < 10
