"""One sink's worker against a real journal: order, batches, cursor, retry, dead letters, drain. Sinks are fakes."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from receiver.delivery.gathering import gather_s
from receiver.delivery.retry import Backoff
from receiver.delivery.worker import SinkWorker
from receiver.errors import Malformed
from receiver.events import BotStatus, Event
from receiver.journal.base import EVENTS, MEDIA, QUARANTINE
from receiver.journal.lane import LaneLimits
from receiver.journal.sqlite import SqliteJournal
from receiver.journal.state import State
from receiver.record import Decoded, Record
from receiver.telemetry.ledger import SinkBook
from sinks.base import Batch, SinkConfig, SinkNotConnected, SinkOverloaded, SinkRejected
from tests.support import DEADLINE_S, until

QUICK = Backoff(first_s=0.001, most_s=0.004, jitter=0.5)
Behaviour = Callable[[Batch], Awaitable[None]]


class FakeSink:
    """Keeps what it is given and notes every call. Before it takes a batch, the next of ``todo`` happens to it."""

    Config: ClassVar[type[SinkConfig]] = SinkConfig

    def __init__(self, *todo: BaseException | Behaviour, at_open: Iterable[BaseException] = ()) -> None:
        self.todo = list(todo)
        self.at_open = list(at_open)
        self.calls: list[str] = []
        self.batches: list[list[str]] = []
        self.at_s: list[float] = []

    @property
    def ids(self) -> list[str]:
        return [id_ for batch in self.batches for id_ in batch]

    async def open(self) -> None:
        self.calls.append("open")
        if self.at_open:
            raise self.at_open.pop(0)

    async def write(self, batch: Batch) -> None:
        self.calls.append("write")
        self.at_s.append(time.monotonic())
        if self.todo:
            next_ = self.todo.pop(0)
            if isinstance(next_, BaseException):
                raise next_
            await next_(batch)
        self.batches.append([event.id for event in batch.events])

    async def close(self) -> None:
        self.calls.append("close")


def decode(record: Record) -> Decoded:
    """A vendor of our own: the payload is ``[id, type, subject]`` of each event."""
    try:
        parts = msgspec.json.decode(record.payload, type=list[tuple[str, str, str]])
    except msgspec.DecodeError as error:
        raise Malformed(str(error)) from error
    return Decoded(
        [
            Event(id=id_, source="/v/e", type=type_, subject=subject, time_ns=1, received_ns=record.received_ns,
                  data=BotStatus(status="joining"))
            for id_, type_, subject in parts
        ]
    )  # fmt: skip


class House:
    """A journal, its state, and workers on them."""

    def __init__(self, folder: Path, **limits: int) -> None:
        lane = LaneLimits(**limits)
        self.state = State(folder / "state.db")
        self.journal = SqliteJournal(folder, dict.fromkeys((EVENTS, MEDIA, QUARANTINE), lane), 100)
        self.books: dict[str, SinkBook] = {}
        self.workers: dict[str, SinkWorker] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.decode: Callable[[Record], Decoded] = decode

    async def put(self, *ids: str, type_: str = "bot.status", subject: str = "bot-1", lane: str = EVENTS) -> None:
        """A record with one event for each id."""
        payload = msgspec.json.encode([(id_, type_, subject) for id_ in ids])
        record = Record(vendor="v", endpoint="e", kind="body", payload=payload, received_ns=7)
        record.events = decode(record).events
        await self.journal.submit(record, lane)

    def work(self, group: asyncio.TaskGroup, name: str, sink: FakeSink, **keys: Any) -> SinkWorker:
        """Run a worker for ``sink`` with these keys in its config."""
        options = {key: keys.pop(key) for key in ("away", "backoff", "close_s", "pace") if key in keys}
        book = self.books[name] = SinkBook()
        config = SinkConfig(type="fake", **keys)
        worker = SinkWorker(
            name, sink, config, journal=self.journal, state=self.state, book=book,
            decode=lambda record: self.decode(record), **{"backoff": QUICK, **options},
        )  # fmt: skip
        self.workers[name] = worker
        self.tasks[name] = group.create_task(worker.run())
        return worker

    async def drained(self) -> None:
        """Tell every worker to drain and wait for the end."""
        for worker in self.workers.values():
            worker.drain()
        await asyncio.wait_for(asyncio.gather(*self.tasks.values()), 3 * DEADLINE_S)


@asynccontextmanager
async def house(folder: Path, **limits: int) -> AsyncIterator[House]:
    built = House(folder, **limits)
    try:
        yield built
    finally:
        for task in built.tasks.values():
            task.cancel()
        await built.journal.close()
        await built.state.close()


async def deliver(folder: Path, sink: FakeSink, *ids: str, **keys: Any) -> SinkBook:
    """Put one record for each id, run ``sink`` until it is drained, check the balance; its book."""
    async with house(folder) as here, asyncio.TaskGroup() as group:
        for id_ in ids:
            await here.put(id_)
        worker = here.work(group, "s", sink, **keys)
        await here.drained()
        book = here.books["s"]
        assert book.done == len(ids) and worker.cursor == here.state.cursors["s"] == here.journal.head
    return book


# Order, batches, filters


async def test_events_come_in_order_and_in_batches(tmp_path: Path) -> None:
    """What `write` is given is in journal order and at most `batch_events` long; a record may be cut in two."""
    sink = FakeSink()
    async with house(tmp_path) as here, asyncio.TaskGroup() as group:
        await here.put("a", "b", "c")
        await here.put("d", "e")
        here.work(group, "s", sink, batch_events=2)
        await here.drained()
    assert sink.batches == [["a", "b"], ["c", "d"], ["e"]]
    assert sink.calls == ["open", "write", "write", "write", "close"]
    assert here.books["s"].delivered == 5 and here.books["s"].batches == 3 and here.books["s"].delivered_ns == 7


async def test_what_comes_in_short_intervals_is_written_together(tmp_path: Path) -> None:
    """A write costs a far side as much as many events: where it takes a while there are no more than a hundred in a
    second."""

    async def while_(_: Batch) -> None:
        await asyncio.sleep(0.001)

    sink = FakeSink(*[while_] * 50)
    async with house(tmp_path) as here, asyncio.TaskGroup() as group:
        here.work(group, "s", sink)
        await here.put("first")
        await until(lambda: sink.ids == ["first"])
        begun_s = time.monotonic()
        for number in range(50):
            await here.put(str(number))
            await asyncio.sleep(0.002)
        await until(lambda: len(sink.ids) == 51)
        # one may be held up on its way to the sink, and the next not: all of them together tell
        assert sink.at_s[-1] - begun_s > 0.009 * (len(sink.at_s) - 2)
        await here.drained()


async def test_only_what_is_wanted_is_written(tmp_path: Path) -> None:
    """`types` and `subjects`; the rest is counted as filtered, and the cursor passes it without a write."""
    sink = FakeSink()
    async with house(tmp_path) as here, asyncio.TaskGroup() as group:
        await here.put("a", type_="bot.status")
        await here.put("b", type_="chat.message")
        await here.put("c", type_="bot.status", subject="other")
        worker = here.work(group, "s", sink, types=["bot.*"], subjects=["bot-*"])
        await here.drained()
        assert worker.cursor == here.journal.head
    assert sink.ids == ["a"] and (here.books["s"].delivered, here.books["s"].filtered) == (1, 2)


async def test_raw_and_secrets_reach_the_sink(tmp_path: Path) -> None:
    """The batch carries the sink's wishes."""
    seen: list[tuple[bool, bool]] = []

    async def look(batch: Batch) -> None:
        seen.append((batch.raw, batch.secrets))

    await deliver(tmp_path / "1", FakeSink(look), "a", raw=True)
    await deliver(tmp_path / "2", FakeSink(look), "a", secrets=True)
    assert seen == [(True, False), (False, True)]


async def test_a_sink_without_media_types_does_not_read_the_media_lane(tmp_path: Path) -> None:
    """Its cursor and its balance know nothing of media."""
    without, with_media = FakeSink(), FakeSink()
    async with house(tmp_path) as here, asyncio.TaskGroup() as group:
        await here.put("m", type_="audio.chunk", lane=MEDIA)
        await here.put("a")
        here.work(group, "events", without, types=["bot.*"])
        here.work(group, "all", with_media)
        await here.drained()
    assert without.ids == ["a"] and with_media.ids == ["m", "a"]
    assert here.books["events"].done == 1 and here.books["all"].done == 2


async def test_a_live_event_is_delivered_at_once(tmp_path: Path) -> None:
    """An idle worker has opened its sink already, and wakes up for what comes."""
    sink = FakeSink()
    async with house(tmp_path) as here, asyncio.TaskGroup() as group:
        here.work(group, "s", sink)
        await until(lambda: sink.calls == ["open"] and here.books["s"].connected)
        await here.put("a")
        await until(lambda: sink.ids == ["a"])
        await here.put("b")
        await until(lambda: sink.ids == ["a", "b"])
        await here.drained()


# The cursor


async def test_the_cursor_moves_only_after_the_write(tmp_path: Path) -> None:
    """Until the far side says yes, a restart would give it the same events again."""
    gate = asyncio.Event()

    async def wait(batch: Batch) -> None:
        await gate.wait()

    sink = FakeSink(wait)
    async with house(tmp_path) as here, asyncio.TaskGroup() as group:
        before = here.journal.head
        await here.put("a")
        worker = here.work(group, "s", sink)
        await until(lambda: "write" in sink.calls)
        assert worker.cursor <= before < worker.taken and worker.cursor == here.state.cursors["s"]
        gate.set()
        await until(lambda: worker.cursor == here.journal.head)
        await here.drained()


async def test_a_restart_goes_on_at_the_cursor(tmp_path: Path) -> None:
    """What the far side had before is not given again; what came meanwhile is."""
    await deliver(tmp_path, FakeSink(), "a", "b")
    sink = FakeSink()
    async with house(tmp_path) as here, asyncio.TaskGroup() as group:
        await here.put("c")
        here.work(group, "s", sink)
        await here.drained()
    assert sink.ids == ["c"]


async def test_catching_up_from_disk_equals_live(tmp_path: Path) -> None:
    """The same events, byte for byte, whether they come from memory or are decoded again from the files."""

    def noting(to: list[bytes]) -> Behaviour:
        async def note(batch: Batch) -> None:
            to.extend(batch.json(event) for event in batch.events)

        return note

    live: list[bytes] = []
    later: list[bytes] = []
    ids = [f"e{number}" for number in range(40)]
    async with house(tmp_path) as here, asyncio.TaskGroup() as group:
        here.work(group, "live", FakeSink(*[noting(live)] * 40))
        for first in range(0, 40, 4):
            await here.put(*ids[first : first + 4])
        await here.drained()
    async with house(tmp_path, tail_bytes=0, segment_bytes=1) as here, asyncio.TaskGroup() as group:
        here.work(group, "later", FakeSink(*[noting(later)] * 40), batch_events=3)
        await here.drained()
    assert live == later and len(live) == 40


# Retry


async def test_an_error_is_retried_with_the_same_batch(tmp_path: Path) -> None:
    """Whatever `write` raises: the batch comes again, later ones wait, nothing is lost or overtaken."""
    sink = FakeSink(OSError("disk full"), ValueError("odd"), SinkNotConnected("gone"), RuntimeError("x"))
    book = await deliver(tmp_path, sink, "a", "b", "c", batch_events=2)
    assert sink.batches == [["a", "b"], ["c"]]
    assert (book.retries, book.failures, book.error, book.delivered) == (4, 0, "", 3)


async def test_waits_grow_between_attempts(tmp_path: Path) -> None:
    """Exponential back-off: 10, 20, 40 ms here, less the jitter of at most half."""
    sink = FakeSink(OSError("1"), OSError("2"), OSError("3"))
    await deliver(tmp_path, sink, "a", backoff=Backoff(first_s=0.01, most_s=1.0, jitter=0.5))
    waits = [after - before for before, after in zip(sink.at_s, sink.at_s[1:], strict=False)]
    assert len(waits) == 3 and all(wait >= least for wait, least in zip(waits, (0.005, 0.01, 0.02), strict=True))


async def test_not_connected_means_close_and_open(tmp_path: Path) -> None:
    """Other errors keep the connection."""
    sink = FakeSink(SinkNotConnected("gone"), OSError("once"))
    await deliver(tmp_path, sink, "a")
    assert sink.calls == ["open", "write", "close", "open", "write", "write", "close"]


async def test_a_sink_that_does_not_open_is_closed_and_tried_again(tmp_path: Path) -> None:
    """Half-open things are let go before the next attempt, whatever the error was."""
    sink = FakeSink(at_open=[OSError("refused"), SinkNotConnected("refused")])
    book = await deliver(tmp_path, sink, "a")
    assert sink.calls == ["open", "close", "open", "close", "open", "write", "close"] and book.delivered == 1


async def test_an_idle_sink_reconnects(tmp_path: Path) -> None:
    """Without any event, a sink that was away at the start is connected once it is back."""
    sink = FakeSink(at_open=[SinkNotConnected("refused")] * 3)
    async with house(tmp_path) as here, asyncio.TaskGroup() as group:
        here.work(group, "s", sink)
        await until(lambda: here.books["s"].connected)
        assert sink.calls.count("open") == 4 and here.books["s"].error == "" and here.books["s"].retries == 3
        await here.drained()


async def test_overloaded_waits_as_long_as_asked(tmp_path: Path) -> None:
    """Retry-After is never undercut."""
    sink = FakeSink(SinkOverloaded("slow down", retry_after_s=0.08))
    await deliver(tmp_path, sink, "a")
    assert sink.at_s[1] - sink.at_s[0] >= 0.08 and sink.calls == ["open", "write", "write", "close"]


async def test_an_outage_is_never_given_up_and_is_seen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Never skipped: error, failures in a row and the event's number are told, often at first and then ever less."""
    sink = FakeSink(*[OSError("disk full")] * 1_000_000)
    async with house(tmp_path) as here, asyncio.TaskGroup() as group:
        await here.put("a")
        here.work(group, "s", sink)
        await until(lambda: here.books["s"].failures >= 40)
        book = here.books["s"]
        assert book.error == "OSError: disk full" and not book.connected and book.delivered == book.dead == 0
        here.tasks["s"].cancel()
    told = [line for line in capsys.readouterr().out.splitlines() if "sink.failed" in line]
    assert 6 <= len(told) <= 12 and f"first_sequence={here.journal.head}" in told[0]


# Dead letters


async def test_refused_events_become_dead_letters_and_the_rest_goes_on(tmp_path: Path) -> None:
    """`SinkRejected` names events: these are buried with their reason, the others of the batch count as delivered."""

    async def refuse(batch: Batch) -> None:
        raise SinkRejected("too large", batch.events[1:2])

    async with house(tmp_path) as here, asyncio.TaskGroup() as group:
        await here.put("a", "b", "c")
        here.work(group, "s", FakeSink(refuse))
        await here.put("d")
        await here.drained()
        book = here.books["s"]
        assert (book.delivered, book.dead, book.retries) == (3, 1, 0)
        (row,) = here.state._db.execute("SELECT sink, id, reason, event FROM dead").fetchall()
        assert row[:3] == ("s", "b", "too large") and msgspec.json.decode(row[3])["id"] == "b"


async def test_a_refusal_without_names_means_the_whole_batch(tmp_path: Path) -> None:
    """Later batches are not concerned."""
    book = await deliver(tmp_path, FakeSink(SinkRejected("bad schema")), "a", "b", "c", batch_events=2)
    assert (book.delivered, book.dead) == (1, 2)


async def test_dead_letters_hold_no_secret(tmp_path: Path) -> None:
    """A reason that quotes a signed URL is kept without it."""
    secret = "https://u:tok-4711-secret@example.org/x"
    async with house(tmp_path) as here, asyncio.TaskGroup() as group:
        await here.put("a")
        here.work(group, "s", FakeSink(SinkRejected(f"no such place {secret}")))
        await here.drained()
        ((reason,),) = here.state._db.execute("SELECT reason FROM dead").fetchall()
    assert "4711" not in reason and reason.startswith("no such place")


async def test_a_dead_letter_that_cannot_be_written_is_not_lost(tmp_path: Path) -> None:
    """The state's disk is full: the batch is tried again until its refusal is on record. The balance still holds."""
    sink = FakeSink(SinkRejected("no"), SinkRejected("no"))
    async with house(tmp_path) as here, asyncio.TaskGroup() as group:
        await here.put("a")
        other = sqlite3.connect(tmp_path / "state.db", isolation_level=None)  # its own may be in use in a thread
        other.execute("ALTER TABLE dead RENAME TO away")
        here.work(group, "s", sink)
        await until(lambda: here.books["s"].retries >= 1)
        other.execute("ALTER TABLE away RENAME TO dead")
        other.close()
        await until(lambda: here.books["s"].done == 1)
        await here.drained()
        assert here.books["s"].done == 1


# Nothing ends a worker


async def test_a_raising_sink_does_not_disturb_another(tmp_path: Path) -> None:
    """A dead sink harms nobody."""
    bad, good = FakeSink(*[OSError("down")] * 1_000_000), FakeSink()
    async with house(tmp_path) as here, asyncio.TaskGroup() as group:
        here.work(group, "bad", bad)
        here.work(group, "good", good)
        for number in range(20):
            await here.put(str(number))
        await until(lambda: len(good.ids) == 20)
        assert not here.tasks["bad"].done() and here.books["bad"].delivered == 0
        here.tasks["bad"].cancel()
        here.workers["good"].drain()


async def test_a_fault_of_the_journal_does_not_end_the_worker(tmp_path: Path) -> None:
    """An unexpected error anywhere in the worker is told and counted; after a pause it goes on where it was."""

    class Unreliable:
        """A journal whose first reads fail."""

        def __init__(self, journal: SqliteJournal) -> None:
            self._journal, self.faults = journal, [OSError("I/O error"), KeyError("x"), RecursionError()]

        def __getattr__(self, name: str) -> Any:
            return getattr(self._journal, name)

        async def read(self, *arguments: Any, **options: Any) -> Any:
            if self.faults:
                raise self.faults.pop()
            return await self._journal.read(*arguments, **options)

    sink = FakeSink()
    async with house(tmp_path) as here, asyncio.TaskGroup() as group:
        real, here.journal = here.journal, Unreliable(here.journal)  # type: ignore[assignment]
        await here.put("a")
        here.work(group, "s", sink)
        await here.drained()
        here.journal = real
    assert sink.ids == ["a"] and here.books["s"].retries == 3


@pytest.mark.parametrize("tail_bytes", [8 << 20, 0])
async def test_only_what_is_on_disk_is_read_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tail_bytes: int
) -> None:
    """Of what is in memory nothing has to be waited for: it is read once."""
    monkeypatch.setattr("receiver.delivery.worker.READ_BYTES", 1)
    monkeypatch.setattr("receiver.delivery.worker._MOST_READ_BYTES", 1)
    reads = list[int]()

    class Counting:
        """A journal that notes behind what it is read."""

        def __init__(self, journal: SqliteJournal) -> None:
            self._journal = journal

        def __getattr__(self, name: str) -> Any:
            return getattr(self._journal, name)

        async def read(self, after: int, **options: Any) -> Any:
            reads.append(after)
            return await self._journal.read(after, **options)

    sink = FakeSink()
    async with house(tmp_path, tail_bytes=tail_bytes) as here, asyncio.TaskGroup() as group:
        for number in range(20):
            await here.put(str(number))
        real, here.journal = here.journal, Counting(here.journal)  # type: ignore[assignment]
        here.work(group, "s", sink)
        await here.drained()
        here.journal = real
    assert len(sink.ids) == 20
    twice = len(reads) - len(set(reads))
    assert (twice > 10) == (tail_bytes == 0), reads


async def test_what_no_decoder_takes_any_more_is_told_and_passed(tmp_path: Path) -> None:
    """A fault in a newer decoder costs its record, not the sink: it is counted by itself and stays in the journal."""

    def newer(record: Record) -> Decoded:
        decoded = decode(record)
        if decoded.events[0].id == "b":
            raise ZeroDivisionError
        if decoded.events[0].id == "c":
            raise Malformed("no longer")
        return decoded

    sink = FakeSink()
    async with house(tmp_path) as here:
        for ids in (("a",), ("b", "b2"), ("c",), ("d",)):
            await here.put(*ids)
    async with house(tmp_path, tail_bytes=0) as here, asyncio.TaskGroup() as group:
        here.decode = newer
        here.work(group, "s", sink)
        await here.drained()
        book = here.books["s"]
        assert sink.ids == ["a", "d"] and (book.undecodable, book.delivered, book.filtered, book.done) == (3, 2, 0, 5)


async def test_a_cancellation_inside_the_sink_is_a_failure_like_any_other(tmp_path: Path) -> None:
    """A client library that cancels its own work does not silence the sink for ever."""
    sink = FakeSink(asyncio.CancelledError())
    book = await deliver(tmp_path, sink, "a")
    assert sink.ids == ["a"] and book.retries == 1 and sink.calls.count("close") == 2


async def test_a_close_that_fails_is_survived(tmp_path: Path) -> None:
    """Also while reconnecting."""

    class Stubborn(FakeSink):
        async def close(self) -> None:
            raise RuntimeError("already closed")

    sink = Stubborn(SinkNotConnected("gone"))
    assert (await deliver(tmp_path, sink, "a")).delivered == 1


# Drain and cancel


async def test_drain_delivers_what_is_there(tmp_path: Path) -> None:
    """Everything in the journal at that moment, then the sink is closed and the worker ends."""
    sink = FakeSink()
    async with house(tmp_path) as here, asyncio.TaskGroup() as group:
        for number in range(100):
            await here.put(str(number))
        here.work(group, "s", sink, batch_events=7)
        await here.drained()
    assert sink.ids == [str(number) for number in range(100)] and sink.calls[-1] == "close"


async def test_drain_ends_a_long_pause(tmp_path: Path) -> None:
    """A sink that is back, but whose next attempt would be minutes away, still gets its events."""
    sink = FakeSink(OSError("down"))
    async with house(tmp_path) as here, asyncio.TaskGroup() as group:
        await here.put("a")
        here.work(group, "s", sink, backoff=Backoff(first_s=600, most_s=600, jitter=0))
        await until(lambda: here.books["s"].failures == 1)
        await here.drained()
    assert sink.ids == ["a"]


async def test_a_write_that_hangs_ends_with_the_limit(tmp_path: Path) -> None:
    """Cancelled at the limit, the worker closes the sink and ends; the cursor has not moved."""

    async def hang(batch: Batch) -> None:
        await asyncio.Event().wait()

    sink = FakeSink(hang)
    async with house(tmp_path) as here, asyncio.TaskGroup() as group:
        await here.put("a")
        worker = here.work(group, "s", sink)
        await until(lambda: "write" in sink.calls)
        worker.drain()
        _, late = await asyncio.wait([here.tasks["s"]], timeout=0.05)
        assert late
        here.tasks["s"].cancel()
        await asyncio.wait([here.tasks["s"]], timeout=DEADLINE_S)
        assert here.tasks["s"].cancelled() and sink.calls[-1] == "close" and worker.cursor < here.journal.head


async def test_a_close_that_hangs_is_left_behind(tmp_path: Path) -> None:
    """Neither a drain nor a cancellation waits for it longer than its limit."""

    class Sticky(FakeSink):
        async def close(self) -> None:
            await asyncio.Event().wait()

    async with house(tmp_path) as here, asyncio.TaskGroup() as group:
        await here.put("a")
        here.work(group, "drained", Sticky(), close_s=0.05)
        here.work(group, "cancelled", Sticky(), close_s=0.05)
        await until(lambda: here.books["cancelled"].done == 1)
        here.tasks["cancelled"].cancel()
        here.workers["drained"].drain()
        _, late = await asyncio.wait(here.tasks.values(), timeout=DEADLINE_S)
        assert not late


# For every failure that may happen

_failures = st.lists(st.sampled_from(["ok", "error", "gone", "overloaded", "half", "cancelled"]), max_size=25)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    fates=_failures,
    opens=st.integers(0, 3),
    records=st.lists(st.integers(1, 4), min_size=1, max_size=8),
    batch_events=st.integers(1, 5),
    restart=st.booleans(),
)
async def test_each_event_at_least_once_in_order_none_skipped(
    tmp_path_factory: pytest.TempPathFactory,
    fates: list[str],
    opens: int,
    records: list[int],
    batch_events: int,
    restart: bool,
) -> None:
    """Whatever a sink does, and wherever the server stops: no event is skipped, and none is first seen out of turn."""
    folder = tmp_path_factory.mktemp("worker")
    seen: list[str] = []

    async def take(batch: Batch) -> None:
        seen.extend(event.id for event in batch.events)

    async def half(batch: Batch) -> None:
        seen.extend(event.id for event in batch.events[: len(batch.events) // 2])
        raise OSError("in the middle")

    def happen(fate: str) -> BaseException | Behaviour:
        raised: dict[str, BaseException] = {
            "error": OSError("no"), "gone": SinkNotConnected("no"), "cancelled": asyncio.CancelledError(),
            "overloaded": SinkOverloaded("no", 0.001),
        }  # fmt: skip
        return raised.get(fate) or (half if fate == "half" else take)

    sink = FakeSink(*map(happen, fates), *[take] * 1000, at_open=[SinkNotConnected("no")] * opens)
    numbers = iter(range(1000))
    expected = [[f"e{next(numbers):03d}" for _ in range(count)] for count in records]
    async with house(folder) as here, asyncio.TaskGroup() as group:
        here.work(group, "s", sink, batch_events=batch_events)
        for ids in expected:
            await here.put(*ids)
        if restart:
            await until(lambda: seen)
            here.tasks["s"].cancel()
        else:
            await here.drained()
    if restart:
        async with house(folder, tail_bytes=0) as here, asyncio.TaskGroup() as group:
            here.work(group, "s", sink, batch_events=batch_events)
            await here.drained()
    first_seen = list(dict.fromkeys(seen))
    assert first_seen == [id_ for ids in expected for id_ in ids]


@pytest.mark.parametrize(
    ("took_s", "events", "expected_s"),
    [(0, 1, 0.002), (0.0001, 40, 0.002), (0.0002, 1, 0.004), (0, 100, 0.005), (0.0005, 1, 0.01), (3, 9000, 0.01)],
)
def test_what_comes_is_gathered_for_as_long_as_it_is_worth(took_s: float, events: int, expected_s: float) -> None:
    """Twenty times what a write takes, a twentieth of a millisecond for each event; at least 2 ms, at most 10."""
    assert gather_s(took_s, events) == pytest.approx(expected_s)


@pytest.mark.parametrize(("long_s", "batches"), [(1.0, [["a"], ["b", "c"]]), (0.0, [["a"], ["b"], ["c"]])])
async def test_what_comes_meanwhile_is_written_together(
    long_s: float, batches: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the next reading, however many that are."""
    monkeypatch.setattr("receiver.delivery.worker.gather_s", lambda took_s, events: long_s)
    sink = FakeSink()
    async with house(tmp_path) as here, asyncio.TaskGroup() as group:
        here.work(group, "s", sink)
        await here.put("a")
        await until(lambda: sink.ids == ["a"])
        for id_ in "bc":
            await here.put(id_)
            if not long_s:
                await until(lambda: sink.ids[-1] == id_)  # noqa: B023
        await until(lambda: len(sink.batches) == len(batches))
        assert sink.batches == batches
        await here.drained()
