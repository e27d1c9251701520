"""A worker whose sink is far behind, and the helper that delivers in its place: here a courier on the same loop. As a
process of its own it is in ``tests/end_to_end/test_helper.py``."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from receiver.delivery.away import Away
from receiver.delivery.courier import Courier
from receiver.delivery.errands import Enough
from receiver.delivery.helper import Errand
from receiver.delivery.pace import Pace
from receiver.delivery.worker import SinkWorker
from receiver.journal.view import View
from receiver.record import Record
from sinks.base import Batch, SinkConfig, SinkNotConnected, SinkRejected
from tests.delivery.test_worker import FakeSink, House, decode, deliver, house
from tests.support import until


class LocalHelper:
    """Has what ``Helper`` has, with couriers in the same process. ``sinks``: one for each errand, written to there."""

    def __init__(self, here: House, group: asyncio.TaskGroup, *sinks: FakeSink) -> None:
        self.there = True
        self.starting = False
        self.sinks = list(sinks)
        self.errands = 0
        self.given_up = 0
        self.closed = False
        self._here = here
        self._group = group

    def ready(self) -> bool:
        return self.there

    def errand(self, sink: str, keys: dict[str, Any], after: int) -> Errand:
        self.errands += 1
        view = View(self._here.journal.folder)
        view.see(self._here.journal.mark())

        def say(message: msgspec.Struct) -> None:
            assert message == Enough(sink)
            courier.enough()

        errand = Errand(sink, say, self._give_up)
        courier = Courier(
            sink, self.sinks.pop(0), SinkConfig(type="fake", **keys), journal=view, after=after,
            say=errand.hear, decode=decode, pace=Pace(lambda: 0),  # type: ignore[arg-type]
        )  # fmt: skip
        self._task = self._group.create_task(courier.run())
        return errand

    def _give_up(self) -> None:
        self.given_up += 1
        self._task.cancel()


def away(helper: LocalHelper, far_s: float = 1.0, **keys: Any) -> Away:
    return Away(helper, keys, far_s)  # type: ignore[arg-type]


async def fill(here: House, first: int, last: int) -> list[str]:
    """Records far in the past, more than a worker reads at once; their ids."""
    ids = [f"{number:05}" + "x" * 3000 for number in range(first, last)]
    for id_ in ids:
        await here.put(id_)
    return ids


async def test_a_sink_that_is_far_behind_is_delivered_to_by_the_helper(tmp_path: Path) -> None:
    """Its own worker proves that it works, lets go, and goes on live when little is left: all once, in order."""
    mine, theirs = FakeSink(), FakeSink()
    async with house(tmp_path, tail_bytes=0) as here, asyncio.TaskGroup() as group:
        ids = await fill(here, 0, 400)
        helper = LocalHelper(here, group, theirs)
        worker = here.work(group, "s", mine, away=away(helper))
        await until(lambda: worker.cursor == here.journal.head and mine.calls.count("open") == 2)
        assert helper.errands == 1 and helper.given_up == 0
        assert mine.ids + theirs.ids == ids and len(theirs.ids) > 200
        assert mine.calls[:4] == ["open", "write", "close", "open"] and theirs.calls[-1] == "close"
        await here.put("live")
        await until(lambda: mine.ids[-1] == "live")
        assert here.books["s"].delivered == 401 and here.books["s"].connected
        assert worker.taken == worker.cursor == here.state.cursors["s"]
        await here.drained()


async def test_a_sink_that_stood_still_goes_away_at_once(tmp_path: Path) -> None:
    """How far it is behind is told by what it had then; nothing more is read and written here first."""
    may = asyncio.Event()

    async def stuck(_: Batch) -> None:
        await may.wait()

    mine, theirs = FakeSink(stuck), FakeSink()
    async with house(tmp_path, tail_bytes=0) as here, asyncio.TaskGroup() as group:
        first = await fill(here, 0, 1)
        helper = LocalHelper(here, group, theirs)
        worker = here.work(group, "s", mine, away=away(helper))
        await until(lambda: mine.calls == ["open", "write"])
        missed = await fill(here, 1, 400)
        may.set()
        await until(lambda: worker.cursor == here.journal.head and mine.calls.count("open") == 2)
        assert mine.ids == first and theirs.ids == missed
        await here.drained()


@pytest.mark.parametrize("down", [True, False])
async def test_a_sink_that_takes_nothing_will_need_the_helper(down: bool, tmp_path: Path) -> None:
    """Whether its far side is gone or its write does not end; until it has taken what it was given."""
    may = asyncio.Event()

    async def stuck(_: Batch) -> None:
        if not may.is_set():
            await (asyncio.sleep(0) if down else may.wait())
            if down:
                raise SinkNotConnected("it is gone")

    sink = FakeSink(*[stuck] * 100_000)
    async with house(tmp_path) as here, asyncio.TaskGroup() as group:
        helper = LocalHelper(here, group)
        worker = here.work(group, "s", sink, away=away(helper, far_s=0.05))
        await until(lambda: sink.calls == ["open"])
        await asyncio.sleep(0.1)
        assert not worker.is_held_up, "nothing is there for it"
        await here.put("a")
        assert not worker.is_held_up, "not for long"
        await until(lambda: worker.is_held_up)
        helper.there = False
        may.set()
        await until(lambda: sink.ids == ["a"])
        await until(lambda: not worker.is_held_up)
        await here.drained()


async def test_while_the_helper_delivers_the_sink_is_up_and_its_cursor_moves(tmp_path: Path) -> None:
    """Seen from outside it is no different; what takes long over there is told as it is here."""
    may = asyncio.Event()

    async def slow(_: Batch) -> None:
        await may.wait()

    async def fine(_: Batch) -> None:
        return

    mine, theirs = FakeSink(), FakeSink(fine, slow)
    async with house(tmp_path, tail_bytes=0) as here, asyncio.TaskGroup() as group:
        await fill(here, 0, 400)
        worker = here.work(
            group, "s", mine, away=away(LocalHelper(here, group, theirs), batch_events=50), batch_events=50
        )
        await until(lambda: theirs.calls.count("write") == 2 and worker.cursor >= 100 + 50 + len(mine.ids))
        book, cursor = here.books["s"], worker.cursor
        assert worker.is_away and book.connected and book.doing == "write" and 100 < cursor < worker.taken
        assert book.done == cursor - 100 == here.state.cursors["s"] - 100
        may.set()
        await here.drained()
        assert book.delivered == 400 and not book.doing


@pytest.mark.parametrize("problem", [SinkNotConnected("gone"), SinkRejected("never"), ZeroDivisionError()])
async def test_what_fails_there_is_the_workers_again(problem: Exception, tmp_path: Path) -> None:
    """It tries again, buries what is refused for good, and nothing is lost or passed over."""
    mine, theirs = FakeSink(), FakeSink(problem)
    async with house(tmp_path, tail_bytes=0) as here, asyncio.TaskGroup() as group:
        ids = await fill(here, 0, 400)
        helper = LocalHelper(here, group, theirs)
        worker = here.work(group, "s", mine, away=away(helper))
        await until(lambda: worker.cursor == here.journal.head)
        assert helper.errands == 1 and mine.ids == ids and theirs.ids == []
        assert here.books["s"].delivered == 400
        await here.drained()


@asynccontextmanager
async def writing(
    folder: Path, mine: FakeSink, theirs: FakeSink, may: asyncio.Event
) -> AsyncIterator[tuple[House, asyncio.TaskGroup, SinkWorker, list[str]]]:
    """A worker whose helper is in the midst of its first write, of 50 events, until it ``may`` go on; and all ids."""

    async def slow(_: Batch) -> None:
        await may.wait()

    theirs.todo.append(slow)
    async with house(folder, tail_bytes=0) as here, asyncio.TaskGroup() as group:
        ids = await fill(here, 0, 400)
        helper = LocalHelper(here, group, theirs)
        worker = here.work(group, "s", mine, away=away(helper, batch_events=50), batch_events=50)
        await until(lambda: "write" in theirs.calls)
        yield here, group, worker, ids
        assert helper.errands == 1


async def test_an_order_brings_it_back(tmp_path: Path) -> None:
    """A retry or a replay is the worker's; the sink has one writer."""
    mine, theirs, may = FakeSink(), FakeSink(), asyncio.Event()
    async with writing(tmp_path, mine, theirs, may) as (here, group, worker, ids):
        again = msgspec.json.encode([("again", "bot.status", "bot-1")])
        events = decode(Record(vendor="v", endpoint="e", kind="body", payload=again, received_ns=7)).events
        order = group.create_task(worker.hand_over(events, late=True))
        await asyncio.sleep(0.01)
        assert not order.done()
        may.set()
        assert await order == []
        assert mine.ids.count("again") == 1 and len(theirs.ids) == 50
        await until(lambda: worker.cursor == here.journal.head)
        everything = [id_ for id_ in mine.ids if id_ != "again"]
        assert sorted(everything + theirs.ids) == ids
        await here.drained()


@pytest.mark.parametrize("halted", [False, True])
async def test_a_stop_lets_it_finish_and_a_halt_does_not(halted: bool, tmp_path: Path) -> None:
    """Drained: everything is delivered. Halted: the cursor says where the next process goes on."""
    mine, theirs, may = FakeSink(), FakeSink(), asyncio.Event()
    async with writing(tmp_path, mine, theirs, may) as (here, _, worker, ids):
        if halted:
            worker.halt()
        else:
            worker.drain()
        may.set()
        await here.tasks["s"]
        delivered = mine.ids + theirs.ids
        assert theirs.calls[-1] == "close" and len(delivered) == here.books["s"].delivered
        assert worker.cursor == here.state.cursors["s"] == 100 + len(delivered)
        if halted:
            assert len(theirs.ids) == 50 and delivered == ids[: len(delivered)]
        else:
            assert sorted(delivered) == ids


async def test_a_worker_that_is_cancelled_gives_the_errand_up(tmp_path: Path) -> None:
    """Nothing may be written there when somebody else begins here."""

    async def stuck(_: Batch) -> None:
        await asyncio.Event().wait()

    theirs = FakeSink(stuck)
    async with house(tmp_path, tail_bytes=0) as here, asyncio.TaskGroup() as group:
        await fill(here, 0, 400)
        helper = LocalHelper(here, group, theirs)
        worker = here.work(group, "s", FakeSink(), away=away(helper))
        await until(lambda: "write" in theirs.calls)
        here.tasks["s"].cancel()
        with pytest.raises(asyncio.CancelledError):
            await here.tasks["s"]
        assert helper.given_up == 1 and not worker.is_away and worker.taken == worker.cursor


async def test_what_retention_took_over_there_is_in_the_books(tmp_path: Path) -> None:
    """The helper had read it and did not deliver it: then it is gone, and counted once."""
    may = asyncio.Event()

    async def slow(_: Batch) -> None:
        await may.wait()
        raise SinkNotConnected("gone")

    mine, theirs = FakeSink(), FakeSink(slow)
    limits = {"segment_bytes": 1 << 18, "max_bytes": 1 << 19}
    async with house(tmp_path, tail_bytes=0, **limits) as here, asyncio.TaskGroup() as group:
        await fill(here, 0, 1000)
        helper = LocalHelper(here, group, theirs)
        worker = here.work(group, "s", mine, away=away(helper))
        book = here.books["s"]
        book.backlog = await here.journal.backlog(100, media=worker.media)
        await until(lambda: "write" in theirs.calls and worker.taken > 500)
        book.expired += (await here.journal.trim({"s": worker.taken}, {}))["s"]
        may.set()
        await until(lambda: worker.cursor == here.journal.head)
        assert mine.ids[-1].startswith("00999") and len(set(mine.ids)) == book.delivered == len(mine.ids)
        assert book.expired > 300 and book.done == 1000
        assert book.backlog + here.journal.positions(media=worker.media) == book.done
        await here.drained()


async def test_who_keeps_up_or_has_no_helper_yet_stays(tmp_path: Path) -> None:
    """Until the process is there the worker goes on by itself; one that reads all there is needs none."""
    mine = FakeSink()
    async with house(tmp_path, tail_bytes=0) as here, asyncio.TaskGroup() as group:
        ids = await fill(here, 0, 400)
        helper = LocalHelper(here, group)
        helper.there = False
        worker = here.work(group, "s", mine, away=away(helper))
        await until(lambda: worker.cursor == here.journal.head)
        helper.there = True
        for number in range(5):
            await here.put(f"old-{number}")
            await until(lambda: worker.cursor == here.journal.head)
        assert helper.errands == 0 and mine.ids[:400] == ids and len(mine.ids) == 405
        await here.drained()


async def test_a_helper_that_starts_is_waited_for(tmp_path: Path) -> None:
    """What it will do need not be done beside all that is live; but an order is not kept waiting by that."""
    mine, theirs = FakeSink(), FakeSink()
    async with house(tmp_path, tail_bytes=0) as here, asyncio.TaskGroup() as group:
        ids = await fill(here, 0, 400)
        helper = LocalHelper(here, group, theirs)
        helper.there, helper.starting = False, True
        worker = here.work(group, "s", mine, away=away(helper))
        await until(lambda: len(mine.ids) > 0)
        begun = len(mine.ids)
        await asyncio.sleep(0.1)
        assert len(mine.ids) == begun < 100
        helper.there, helper.starting = True, False
        await until(lambda: worker.cursor == here.journal.head)
        assert mine.ids + theirs.ids == ids and len(theirs.ids) == 400 - begun
        await here.drained()


async def test_a_sink_that_does_not_close_is_not_written_to_elsewhere(tmp_path: Path) -> None:
    """It may still have its files open."""

    class Stuck(FakeSink):
        async def close(self) -> None:
            await super().close()
            if self.calls.count("close") == 1:
                raise OSError("busy")

    mine = Stuck()
    async with house(tmp_path, tail_bytes=0) as here, asyncio.TaskGroup() as group:
        ids = await fill(here, 0, 150)
        helper = LocalHelper(here, group, FakeSink())
        worker = here.work(group, "s", mine, away=away(helper))
        await until(lambda: worker.cursor == here.journal.head)
        assert mine.ids == ids and helper.errands == 0
        await here.drained()


async def test_without_a_helper_nothing_is_different(tmp_path: Path) -> None:
    """A sink that is not portable has none."""
    sink = FakeSink()
    await deliver(tmp_path, sink, "a", "b")
    assert sink.ids == ["a", "b"]
