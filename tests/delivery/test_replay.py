"""Replay: what is found, what is written, in which order and when. The journal is real, the sinks are fakes."""

import asyncio
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from receiver.delivery import replay as replay_module
from receiver.delivery.replay import Replay, ReplayOrder
from receiver.errors import Malformed
from receiver.journal.base import EVENTS, MEDIA
from receiver.record import Decoded, Record
from sinks.base import Batch, SinkNotConnected, SinkRejected
from tests.delivery.test_worker import FakeSink, House, decode, house
from tests.support import DEADLINE_S, until

S = 10**9
T = 1_800_000_000 * S


def order(**keys: Any) -> ReplayOrder:
    return ReplayOrder(**{"sink": "s", "from_ns": 0, "to_ns": 2 * T, **keys})


async def put(
    here: House, id_: str, at_s: float, *, type_: str = "bot.status", subject: str = "bot-1", lane: str = EVENTS
) -> None:
    """One event, received ``at_s`` seconds after T."""
    payload = msgspec.json.encode([(id_, type_, subject)])
    record = Record(vendor="v", endpoint="e", kind="body", payload=payload, received_ns=T + int(at_s * S))
    record.events = decode(record).events
    await here.journal.submit(record, lane)


async def had(here: House, name: str = "s") -> None:
    await until(lambda: here.workers[name].cursor == here.journal.head)


async def replay(here: House, **keys: Any) -> Replay:
    one = Replay(order(**keys), here.workers["s"], here.journal, here.decode)
    await asyncio.wait_for(one.run(), 3 * DEADLINE_S)
    return one


async def test_a_replay_gives_the_same_events_again_in_order(tmp_path: Path) -> None:
    """Ids, sequence numbers and bytes are those of the first time, media between the others, over several files."""
    seen: list[bytes] = []

    async def note(batch: Batch) -> None:
        seen.extend(batch.json(event) for event in batch.events)

    sink = FakeSink(*[note] * 1000)
    async with house(tmp_path, segment_bytes=1) as here, asyncio.TaskGroup() as group:
        here.work(group, "s", sink, batch_events=3)
        for number in range(20):
            media = number % 3 == 0
            await put(here, f"e{number}", number, type_="audio.chunk" if media else "bot.status",
                      lane=MEDIA if media else EVENTS)  # fmt: skip
        await had(here)
        first, seen[:] = seen[:], []
        sink.batches.clear()
        done = (await replay(here)).progress
        await here.drained()
        book = here.books["s"]
    assert seen == first and len(first) == 20 and all(len(batch) <= 3 for batch in sink.batches)
    assert (done.written, done.refused, done.waiting) == (20, 0, False) and done.at == done.end
    assert done.found == {"audio.chunk": 7, "bot.status": 13} and (done.first_ns, done.last_ns) == (T, T + 19 * S)
    assert (book.delivered, book.repeated) == (20, 20)


async def test_what_is_replayed_is_chosen_by_time_type_and_subject(tmp_path: Path) -> None:
    """Both ends are included; patterns are those of sinks, and work within what the sink wants at all."""
    sink = FakeSink()
    async with house(tmp_path, segment_bytes=1) as here, asyncio.TaskGroup() as group:
        here.work(group, "s", sink, types=["bot.*", "chat.*"])
        for number, (type_, subject) in enumerate(
            [
                ("bot.status", "a"),
                ("chat.message", "a"),
                ("bot.status", "b"),
                ("vendor.event", "a"),
                ("bot.status", "a"),
            ]
        ):
            await put(here, str(number), number, type_=type_, subject=subject)
        await had(here)

        async def ids(**keys: Any) -> list[str]:
            sink.batches.clear()
            await replay(here, **keys)
            return sink.ids

        assert await ids() == ["0", "1", "2", "4"]
        assert await ids(from_ns=T + 1 * S, to_ns=T + 2 * S) == ["1", "2"]
        assert await ids(types=["bot.*"], subjects=["a", "c*"]) == ["0", "4"]
        assert await ids(types=["vendor.event"]) == []
        assert await ids(from_ns=T + 100 * S) == []
        await here.drained()


async def test_what_came_long_before_is_not_read(tmp_path: Path) -> None:
    """Files whose successor begins before the range are passed over; what was numbered late is found all the same."""
    async with house(tmp_path, segment_bytes=1) as here:
        for number in range(10):
            await put(here, str(number), number * 100)
        await put(here, "late", 895)
        assert await here.journal.since(T, media=True) < here.journal.head - 10
        after = await here.journal.since(T + 895 * S, media=False)
        assert here.journal.head - 3 <= after < here.journal.head - 1


async def test_a_mended_decoder_counts(tmp_path: Path) -> None:
    """Everything is decoded again from the raw bytes, also what still lies decoded in memory."""

    def mended(record: Record) -> Decoded:
        decoded = decode(record)
        for event in decoded.events:
            event.vendorevent = "mended"
        return decoded

    seen: list[str] = []

    async def note(batch: Batch) -> None:
        seen.extend(event.vendorevent for event in batch.events)

    async with house(tmp_path) as here, asyncio.TaskGroup() as group:
        here.work(group, "s", FakeSink(note, note, note))
        await here.put("a", "b")
        await had(here)
        here.decode = mended
        await replay(here)
        await here.drained()
    assert seen == ["", "", "mended", "mended"]


async def test_a_dry_run_counts_and_writes_nothing(tmp_path: Path) -> None:
    """Counts by type, and the range that they span."""
    sink = FakeSink()
    async with house(tmp_path) as here, asyncio.TaskGroup() as group:
        here.work(group, "s", sink)
        await put(here, "a", 1)
        await put(here, "b", 2, type_="chat.message")
        await had(here)
        done = (await replay(here, dry_run=True)).progress
        await here.drained()
    assert sink.ids == ["a", "b"] and done.found == {"bot.status": 1, "chat.message": 1} and done.written == 0
    assert (done.first_ns, done.last_ns) == (T + S, T + 2 * S)


async def test_what_waits_for_the_sink_is_not_replayed(tmp_path: Path) -> None:
    """It comes by itself; written early, a sink that skips what is older would lose what lies before it."""
    sink = FakeSink()
    async with house(tmp_path) as here, asyncio.TaskGroup() as group:
        here.work(group, "s", sink)
        await put(here, "a", 1)
        await had(here)
        sink.todo = [OSError("down")] * 3
        await put(here, "b", 2)
        replaying = group.create_task(replay(here))
        await until(lambda: sink.ids == ["a", "b", "a"])
        assert (await replaying).progress.waiting
        await here.drained()


async def test_live_events_pass_a_replay(tmp_path: Path) -> None:
    """A replay goes in pieces of a batch, so that what is live waits for one piece at most."""
    sink = FakeSink()
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def gate(batch: Batch) -> None:
        begun.set()
        await go_on.wait()

    async with house(tmp_path) as here, asyncio.TaskGroup() as group:
        here.work(group, "s", sink, batch_events=5)
        for number in range(200):
            await here.put(f"old{number}")
        await had(here)
        sink.batches.clear()
        sink.todo = [gate]
        replaying = group.create_task(replay(here))
        await begun.wait()
        await here.put("live")
        go_on.set()
        await replaying
        await until(lambda: "live" in sink.ids)
        await here.drained()
    assert sink.batches.index(["live"]) <= 2
    assert [id_ for id_ in sink.ids if id_ != "live"] == [f"old{number}" for number in range(200)]
    assert all(len(batch) <= 5 for batch in sink.batches)


async def test_a_sink_that_is_down_is_waited_for(tmp_path: Path) -> None:
    """Each event is written once the far side is back; what it refuses becomes a dead letter and is counted."""
    sink = FakeSink()
    async with house(tmp_path) as here, asyncio.TaskGroup() as group:
        here.work(group, "s", sink, batch_events=2)
        await here.put("a", "b", "c")
        await had(here)
        sink.batches.clear()
        sink.todo = [SinkNotConnected("gone"), OSError("x"), SinkNotConnected("gone"), SinkRejected("no")]
        done = (await replay(here)).progress
        assert sink.ids == ["c"] and (done.written, done.refused) == (1, 2) and here.state.dead.counts == {"s": 2}
        await here.drained()


async def test_a_drain_ends_a_replay(tmp_path: Path) -> None:
    """With an error that says so; the progress stands."""
    sink = FakeSink()
    async with house(tmp_path) as here, asyncio.TaskGroup() as group:
        here.work(group, "s", sink)
        await here.put("a")
        await had(here)
        sink.todo = [OSError("down")] * 1000

        async def ended() -> None:
            with pytest.raises(SinkNotConnected):
                await replay(here)

        replaying = group.create_task(ended())
        await until(lambda: here.books["s"].retries >= 2)
        await here.drained()
        await asyncio.wait_for(replaying, DEADLINE_S)


async def test_paced_keeps_the_spacing(tmp_path: Path) -> None:
    """The pauses of the first time, divided by the speed."""
    sink = FakeSink()
    async with house(tmp_path) as here, asyncio.TaskGroup() as group:
        here.work(group, "s", sink)
        for number, at_s in enumerate((0, 0, 10, 30)):
            await put(here, str(number), at_s)
        await had(here)
        sink.batches.clear()
        sink.at_s.clear()
        begun_s = time.monotonic()
        await replay(here, speed=50.0)
        assert time.monotonic() - begun_s >= 0.599
        await here.drained()
    assert sink.batches == [["0", "1"], ["2"], ["3"]]
    assert sink.at_s[1] - begun_s >= 0.199 and sink.at_s[2] - begun_s >= 0.599


async def test_a_clock_that_was_set_does_not_stop_a_paced_replay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten years on and back again are a pause of an hour at most, and none."""
    monkeypatch.setattr(replay_module, "_MOST_PAUSE_S", 0.1)
    sink = FakeSink()
    async with house(tmp_path) as here, asyncio.TaskGroup() as group:
        here.work(group, "s", sink)
        for number, at_s in enumerate((0, 315_360_000, 1, 2)):
            await put(here, str(number), at_s)
        await had(here)
        sink.batches.clear()
        await replay(here, speed=100.0)
        await here.drained()
    assert [one for batch in sink.batches for one in batch] == ["0", "1", "2", "3"]


@pytest.mark.parametrize(
    ("keys", "where"),
    [
        ({"from_ns": 2, "to_ns": 1}, "from"),
        ({"types": ["bot.statsu"]}, "types"),
        ({"types": []}, "types"),
        ({"subjects": []}, "subjects"),
        ({"speed": -1.0}, "speed"),
    ],
)
def test_an_order_that_means_nothing_is_refused(keys: dict[str, Any], where: str) -> None:
    """Before anything is read, naming the field."""
    with pytest.raises(Malformed) as error:
        order(**keys).check()
    assert error.value.where == where


async def test_what_no_decoder_takes_any_more_is_counted(tmp_path: Path) -> None:
    """The rest is replayed."""

    def newer(record: Record) -> Decoded:
        decoded = decode(record)
        if decoded.events[0].id == "b":
            raise ZeroDivisionError
        return decoded

    sink = FakeSink()
    async with house(tmp_path) as here, asyncio.TaskGroup() as group:
        here.work(group, "s", sink)
        for id_ in "abc":
            await here.put(id_)
        await had(here)
        sink.batches.clear()
        here.decode = newer
        assert (await replay(here)).progress.undecodable == 1
        await here.drained()
    assert sink.ids == ["a", "c"]
