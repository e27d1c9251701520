"""An errand in the helper, against a real journal that another part of this process writes. Sinks are fakes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from receiver.delivery.courier import Courier
from receiver.delivery.errands import Done, Ended, Taken
from receiver.delivery.pace import Pace
from receiver.journal.view import View
from sinks.base import Batch, SinkConfig, SinkNotConnected, SinkRejected
from tests.delivery.test_worker import FakeSink, House, decode, house
from tests.support import DEADLINE_S, until


class Errand:
    """A courier under way, and what it has said."""

    def __init__(self, here: House, group: asyncio.TaskGroup, sink: FakeSink, after: int = 100, **keys: Any) -> None:
        self.said: list[msgspec.Struct] = []
        self.view = View(here.journal.folder)
        self.view.see(here.journal.mark())
        self.courier = Courier(
            "s", sink, SinkConfig(type="fake", **keys), journal=self.view, after=after, say=self.said.append,
            decode=decode, pace=Pace(lambda: 0),
        )  # fmt: skip
        self.task = group.create_task(self.courier.run())

    @property
    def done(self) -> list[Done]:
        return [one for one in self.said if isinstance(one, Done)]

    async def ended(self) -> str:
        """Say that it is enough and wait for the end; the problem that was told."""
        self.courier.enough()
        await asyncio.wait_for(self.task, DEADLINE_S)
        self.view.close()
        last = self.said[-1]
        assert isinstance(last, Ended) and sum(isinstance(one, Ended) for one in self.said) == 1
        return last.problem


@asynccontextmanager
async def errand(folder: Path, sink: FakeSink, *records: tuple[str, ...], **keys: Any) -> AsyncIterator[Errand]:
    """One on a journal that holds these records (ids of events)."""
    async with house(folder) as here, asyncio.TaskGroup() as group:
        for ids in records:
            await here.put(*ids)
        yield Errand(here, group, sink, **keys)


async def test_batches_end_where_records_end_and_each_moves_the_cursor(tmp_path: Path) -> None:
    """So what goes wrong later repeats as little as possible."""
    sink = FakeSink()
    async with errand(tmp_path, sink, ("a", "b"), ("c",), ("d", "e"), ("f",), batch_events=3) as one:
        await until(lambda: sum(done.delivered for done in one.done) == 6)
        assert await one.ended() == ""
    assert sink.batches == [["a", "b", "c"], ["d", "e", "f"]]
    assert sink.calls == ["open", "write", "write", "close"]
    assert [(done.upto, done.delivered, done.batches) for done in one.done] == [(103, 3, 1), (106, 3, 1)]
    assert one.said[0] == Taken("s", 106)
    assert {(done.received_ns, done.delivered_ns) for done in one.done} == {(7, 7)}


async def test_a_record_with_more_events_than_a_batch_is_cut(tmp_path: Path) -> None:
    """And is done when all of it is."""
    sink = FakeSink()
    async with errand(tmp_path, sink, ("a", "b", "c", "d", "e"), ("f",), batch_events=2) as one:
        await until(lambda: sum(done.delivered for done in one.done) == 6)
        await one.ended()
    assert sink.batches == [["a", "b"], ["c", "d"], ["e"], ["f"]]
    assert [(done.upto, done.delivered, done.batches) for done in one.done] == [(105, 5, 3), (106, 1, 1)]


async def test_what_is_not_wanted_or_not_understood_is_counted(tmp_path: Path) -> None:
    """The books of the server balance with it."""
    sink = FakeSink()
    async with house(tmp_path) as here, asyncio.TaskGroup() as group:
        await here.put("a")
        await here.put("b", "c", type_="chat.message")
        await here.put("x", "y")
        await here.put("d", subject="bot-2")
        (path,) = (tmp_path / "events").glob("*.db")
        one = Errand(here, group, sink, types=["bot.*"], subjects=["bot-1"])
        one.courier._decode = lambda record: decode(record) if b'"x"' not in record.payload else decode(_broken(record))
        await until(lambda: one.done and one.done[-1].upto == 106)
        await one.ended()
    assert path.exists() and sink.ids == ["a"]
    assert sum(done.delivered for done in one.done) == 1
    assert sum(done.filtered for done in one.done) == 3
    assert sum(done.undecodable for done in one.done) == 2


def _broken(record: Any) -> Any:
    return msgspec.structs.replace(record, payload=b"{")


async def test_at_the_first_failure_it_ends_with_the_sink_closed(tmp_path: Path) -> None:
    """Whatever it is: trying again, and giving up, is the worker's. Secrets are not told."""

    async def fine(_: Batch) -> None:
        return

    url = "https://user:hunter2@example.org/hook"
    for problem in (SinkNotConnected(f"no {url}"), SinkRejected("never"), ZeroDivisionError("ours")):
        sink = FakeSink(fine, problem)
        async with errand(tmp_path / type(problem).__name__, sink, ("a",), ("b",), ("c",), batch_events=1) as one:
            await asyncio.wait_for(one.task, DEADLINE_S)
            said = await one.ended()
        assert said.startswith(type(problem).__name__) and "hunter2" not in said
        assert [done.upto for done in one.done] == [101] and sink.ids == ["a"]
        assert sink.calls == ["open", "write", "write", "close"]


async def test_a_sink_that_does_not_open_is_told(tmp_path: Path) -> None:
    """And nothing was taken."""
    sink = FakeSink(at_open=[OSError("no route")])
    async with errand(tmp_path, sink, ("a",)) as one:
        await asyncio.wait_for(one.task, DEADLINE_S)
        assert await one.ended() == "OSError: no route"
    assert [type(said) for said in one.said] == [Ended] and sink.calls == ["open", "close"]


async def test_enough_ends_it_after_the_write_under_way(tmp_path: Path) -> None:
    """That one counts; what comes behind it stays in the journal."""
    may = asyncio.Event()

    async def slow(_: Batch) -> None:
        await may.wait()

    sink = FakeSink(slow)
    async with errand(tmp_path, sink, ("a",), ("b",), batch_events=1) as one:
        await until(lambda: "write" in sink.calls)
        one.courier.enough()
        may.set()
        assert await one.ended() == ""
    assert sink.ids == ["a"] and [done.upto for done in one.done] == [101]


async def test_it_waits_for_more_and_goes_on(tmp_path: Path) -> None:
    """Behind what it was told at first comes what it is told later."""
    sink = FakeSink()
    async with house(tmp_path) as here, asyncio.TaskGroup() as group:
        await here.put("a")
        one = Errand(here, group, sink)
        await until(lambda: sink.ids == ["a"])
        await here.put("b")
        one.view.see(here.journal.mark())
        await until(lambda: sink.ids == ["a", "b"])
        assert await one.ended() == ""
