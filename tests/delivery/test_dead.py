"""Dead letters: what is kept, poisoned events, and another try through the sink's own worker. Sinks are fakes."""

import asyncio
import sqlite3
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from receiver.delivery.dead import Outcome, Retry
from receiver.delivery.retry import Backoff
from receiver.delivery.writer import PATIENCE
from receiver.events import AudioChunk, Event, Person, VendorBody
from receiver.journal.dead import DeadLetter, letters_in, pack_event, unpack_event
from receiver.journal.state import State
from sinks.base import Batch, SinkNotConnected, SinkOverloaded, SinkRejected
from tests.delivery.test_worker import FakeSink, House, house
from tests.support import DEADLINE_S, until

SLOW = Backoff(first_s=60, most_s=60, jitter=0)


class Picky(FakeSink):
    """Raises ``error`` for every batch that holds one of ``ids``."""

    def __init__(self, *ids: str, error: type[Exception] = ValueError) -> None:
        super().__init__()
        self.bad = set(ids)
        self.error = error
        self.late: list[bool] = []

    async def write(self, batch: Batch) -> None:
        if found := [event for event in batch.events if event.id in self.bad]:
            raise SinkRejected("not wanted", found) if self.error is SinkRejected else self.error(found[0].id)
        self.late.append(batch.late)
        await super().write(batch)


def lying(folder: Path) -> dict[str, DeadLetter]:
    return {letter.id: letter for letter in letters_in(folder)}


async def retry(here: House, *numbers: int) -> dict[int, Outcome]:
    told: list[Outcome] = []
    await asyncio.wait_for(
        Retry(here.workers, here.state.dead, here.journal, here.decode).run(numbers, told.append), 3 * DEADLINE_S
    )
    return {outcome.number: outcome for outcome in told}


# Poisoned events


async def test_a_poisoned_event_does_not_block_the_ones_behind_it(tmp_path: Path) -> None:
    """What fails alone after a bounded number of tries becomes a dead letter; everything else is delivered once."""
    sink = Picky("c", "f")
    async with house(tmp_path) as here, asyncio.TaskGroup() as group:
        await here.put(*"abcdefg")
        here.work(group, "s", sink)
        await here.put("h")
        await here.drained()
        book = here.books["s"]
    assert sink.ids == list("abdegh") and (book.delivered, book.dead, book.done, book.error) == (6, 2, 8, "")
    assert {id_: letter.reason for id_, letter in lying(tmp_path).items()} == {
        "c": f"given up after {PATIENCE} failures and alone: ValueError: c",
        "f": f"given up after {PATIENCE} failures and alone: ValueError: f",
    }


async def test_a_sink_that_takes_nothing_costs_one_event_for_each_run_of_patience(tmp_path: Path) -> None:
    """Then it may be the sink, not its events: it is opened anew, and the others get the same number of tries again."""
    sink = FakeSink(*[RuntimeError("confused")] * (PATIENCE + 2))
    async with house(tmp_path) as here, asyncio.TaskGroup() as group:
        await here.put("a", "b")
        here.work(group, "s", sink)
        await here.drained()
    assert sink.ids == ["b"] and set(lying(tmp_path)) == {"a"} and sink.calls.count("open") >= 2


@pytest.mark.parametrize("error", [SinkNotConnected("x"), SinkOverloaded("x", 0.001), OSError("x"), TimeoutError("x")])
async def test_connection_errors_are_never_given_up(tmp_path: Path, error: Exception) -> None:
    """However often they come, also between others: nobody's event is to blame."""
    one_round = [*[ValueError("odd")] * (PATIENCE - 1), error]
    sink = FakeSink(*one_round * 3, *[error] * 20)
    async with house(tmp_path) as here, asyncio.TaskGroup() as group:
        await here.put("a")
        here.work(group, "s", sink)
        await here.drained()
    assert sink.ids == ["a"] and not lying(tmp_path)


async def test_an_outage_while_the_poisoned_event_is_looked_for_is_waited_out(tmp_path: Path) -> None:
    """The halves are repeated like any batch."""
    gone = [SinkNotConnected("gone")] * 3
    sink = FakeSink(*[ValueError("odd")] * PATIENCE, ValueError("ab"), *gone, ValueError("a"), *gone)
    async with house(tmp_path) as here, asyncio.TaskGroup() as group:
        await here.put(*"abcd")
        here.work(group, "s", sink)
        await here.drained()
    assert sink.ids == ["b", "c", "d"] or sink.ids == list("abcd")
    assert set(sink.ids) | set(lying(tmp_path)) == set("abcd")


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    records=st.lists(st.integers(1, 5), min_size=1, max_size=6),
    poisoned=st.sets(st.integers(0, 29), max_size=5),
    outages=st.lists(st.sampled_from(["gone", "disk"]), max_size=6),
    batch_events=st.integers(1, 9),
)
async def test_each_other_event_is_delivered_in_order_and_none_is_lost(
    tmp_path_factory: pytest.TempPathFactory,
    records: list[int],
    poisoned: set[int],
    outages: list[str],
    batch_events: int,
) -> None:
    """Whatever is poisoned and however the far side comes and goes: an event is delivered or a dead letter, once."""
    folder = tmp_path_factory.mktemp("poison")
    bad = {f"e{number:02d}" for number in poisoned}
    sink = Picky(*bad)
    sink.todo = [SinkNotConnected("x") if outage == "gone" else OSError("x") for outage in outages]
    numbers = iter(range(30))
    expected = [[f"e{next(numbers):02d}" for _ in range(count)] for count in records]
    ids = [id_ for part in expected for id_ in part]
    async with house(folder) as here, asyncio.TaskGroup() as group:
        here.work(group, "s", sink, batch_events=batch_events)
        for part in expected:
            await here.put(*part)
        await here.drained()
        assert here.books["s"].done == len(ids)
    assert sink.ids == [id_ for id_ in ids if id_ not in bad]
    assert set(lying(folder)) == bad & set(ids)


async def test_an_event_that_cannot_be_encoded_is_buried_all_the_same(tmp_path: Path) -> None:
    """Whatever is wrong with it must not block its own burial; the journal has its bytes."""
    broken = Event(id="x", source="/v/e", type="vendor.event", time_ns=1, received_ns=1, data=VendorBody(body={1j: 2}))

    async def encode(batch: Batch) -> None:
        for event in batch.events:
            batch.json(event)

    async with house(tmp_path) as here, asyncio.TaskGroup() as group:
        await here.put("x")
        (record,), _ = await here.journal.read(0, media=False, limit_bytes=1)
        record.events = [broken]
        broken.sequence = record.seq
        worker = here.work(group, "s", FakeSink(*[encode] * 100))
        await until(lambda: here.state.dead.counts.get("s"))
        letter = lying(tmp_path)["x"]
        assert letter.packed is None and msgspec.json.decode(letter.event)["id"] == "x"
        await until(lambda: worker.cursor == here.journal.head)
        assert (await retry(here, letter.number))[letter.number].delivered  # decoded again from the raw bytes
        await here.drained()
    assert not lying(tmp_path)


# What is kept


def test_a_packed_event_comes_back_as_it_was() -> None:
    """With secrets, numbers of any size, vendor's bytes and media; damaged bytes raise."""
    plain = Event(
        id="i", source="/v/e", type="vendor.event", time_ns=-5, received_ns=6, subject="s", sequence=9,
        vendorevent="odd", raw=b"\xff raw", data=VendorBody(body={"n": 10**40, "url": "https://u:pw@x/y", "f": 0.1}),
    )  # fmt: skip
    chunk = Event(
        id="i", source="/v/e", type="audio.chunk", time_ns=1, received_ns=2,
        media=memoryview(b"\0\1"), media_type="a/b",
        data=AudioChunk(codec="pcm", rate_hz=8000, channels=1, speaker=Person(name="A"), attributes={"a": [None]}),
    )  # fmt: skip
    for event in (plain, chunk):
        packed = pack_event(event)
        assert packed is not None
        assert unpack_event(packed) == msgspec.structs.replace(event, media=event.media and bytes(event.media))
        with pytest.raises(msgspec.MsgspecError):
            unpack_event(packed[:-1])


async def test_an_event_has_one_letter_for_each_sink(tmp_path: Path) -> None:
    """Refused again: the new reason, one more try, the same number. Counts and bytes are those of the table."""

    def letter(sink: str, id_: str, reason: str) -> DeadLetter:
        return DeadLetter(sink=sink, seq=1, id=id_, reason=reason, at_ns=7, event=b"{}", packed=b"abc")

    state = State(tmp_path / "state.db")
    await state.dead.bury([letter("a", "1", "first"), letter("b", "1", "first")])
    await state.dead.bury([letter("a", "1", "second"), letter("a", "2", "first")])
    assert [(one.sink, one.id, one.reason, one.tries) for one in letters_in(tmp_path)] == [
        ("a", "1", "second", 2), ("b", "1", "first", 1), ("a", "2", "first", 1),
    ]  # fmt: skip
    assert state.dead.counts == {"a": 2, "b": 1} and state.dead.bytes == 15
    assert [one.sink for one in letters_in(tmp_path, "b")] == ["b"]
    assert await state.dead.drop([1, 99]) == [1]
    assert state.dead.counts == {"a": 1, "b": 1} and state.dead.bytes == 10
    await state.close()
    again = State(tmp_path / "state.db")
    assert again.dead.counts == {"a": 1, "b": 1} and again.dead.bytes == 10
    await again.close()


async def test_letters_are_bounded_by_size_and_age(tmp_path: Path) -> None:
    """The oldest go first; what is within both limits stays."""
    state = State(tmp_path / "state.db")
    second = 10**9
    for number in range(6):
        await state.dead.bury(
            [DeadLetter(sink="s", seq=1, id=str(number), reason="", at_ns=number * second, event=b"0123456789")]
        )
    assert await state.dead.trim(6 * second, 1000, 4.5) == 2
    assert await state.dead.trim(6 * second, 30, 1000) == 1
    assert [letter.id for letter in letters_in(tmp_path)] == ["3", "4", "5"] and state.dead.bytes == 30
    await state.close()


async def test_a_table_of_an_earlier_version_is_read_and_goes_on(tmp_path: Path) -> None:
    """Its letters have no packed event: a retry decodes theirs again from the journal."""
    async with house(tmp_path) as here, asyncio.TaskGroup() as group:
        await here.put("x", "a", "b")
        worker = here.work(group, "s", FakeSink())
        await until(lambda: worker.cursor == here.journal.head)
        await here.drained()
        seq = here.journal.head - 1
    path = tmp_path / "state.db"
    with sqlite3.connect(path, isolation_level=None) as db:
        db.executescript(
            "DROP TABLE dead; CREATE TABLE dead(number INTEGER PRIMARY KEY AUTOINCREMENT, sink TEXT NOT NULL,"
            " seq INTEGER NOT NULL, id TEXT NOT NULL, reason TEXT NOT NULL, at_ns INTEGER NOT NULL,"
            " event BLOB NOT NULL)"
        )
        rows = [("s", seq, "a", "old", 1, b'{"id":"a"}'), ("s", seq - 1, "gone", "old", 1, b"{}")]
        db.executemany("INSERT INTO dead(sink, seq, id, reason, at_ns, event) VALUES (?, ?, ?, ?, ?, ?)", rows)
    db.close()
    assert [(one.id, one.tries, one.packed) for one in letters_in(tmp_path)] == [("a", 1, None), ("gone", 1, None)]
    sink = FakeSink()
    async with house(tmp_path) as here, asyncio.TaskGroup() as group:
        here.work(group, "s", sink)
        outcomes = await retry(here, 1, 2)
        assert outcomes[1].delivered and "cannot be rebuilt" in outcomes[2].text
        await here.drained()
    assert sink.ids == ["a"] and set(lying(tmp_path)) == {"gone"}


# Another try


async def bury_some(folder: Path, *ids: str, bad: str) -> dict[str, int]:
    """Have a sink refuse ``bad``; number of each letter."""
    async with house(folder) as here, asyncio.TaskGroup() as group:
        await here.put(*ids)
        here.work(group, "s", Picky(*bad, error=SinkRejected))
        await here.drained()
    return {id_: letter.number for id_, letter in lying(folder).items()}


async def test_a_retry_that_succeeds_removes_the_letter(tmp_path: Path) -> None:
    """The same event, byte for byte, in order of sequence, marked as late; beside the balance; also without journal."""
    numbers = await bury_some(tmp_path, *"abcd", bad="dab")
    before = lying(tmp_path)
    for lane in ("events", "media"):
        for path in (tmp_path / lane).iterdir():
            path.unlink()
    seen: list[bytes] = []

    async def note(batch: Batch) -> None:
        seen.extend(batch.json(event) for event in batch.events)

    sink = Picky()
    sink.todo = [note, note]
    async with house(tmp_path) as here, asyncio.TaskGroup() as group:
        here.work(group, "s", sink, batch_events=2)
        outcomes = await retry(here, *numbers.values())
        assert all(outcome == Outcome(number, True, "delivered to s") for number, outcome in outcomes.items())
        assert here.state.dead.counts["s"] == here.state.dead.bytes == 0
        await here.drained()
        assert here.books["s"].repeated == 3 and here.books["s"].done == 0
    assert sink.batches == [["a", "b"], ["d"]] and sink.late == [True, True] and not lying(tmp_path)
    assert seen == [before[id_].event for id_ in "abd"]


async def test_what_is_refused_again_stays_with_the_new_reason(tmp_path: Path) -> None:
    """And one more try counted; the others of the same batch are gone."""
    numbers = await bury_some(tmp_path, *"abc", bad="ab")
    async with house(tmp_path) as here, asyncio.TaskGroup() as group:
        here.work(group, "s", FakeSink(SinkRejected("still not", ())))
        outcomes = await retry(here, numbers["a"], 99)
        assert outcomes[numbers["a"]].text == "refused again (try 2): still not" and "no such" in outcomes[99].text
        assert (await retry(here, numbers["b"]))[numbers["b"]].delivered
        await here.drained()
    (letter,) = lying(tmp_path).values()
    assert (letter.id, letter.number, letter.reason, letter.tries) == ("a", numbers["a"], "still not", 2)


async def test_a_retry_of_a_poisoned_event_ends(tmp_path: Path) -> None:
    """It fails as often as the first time and stays; the letters beside it are delivered."""
    numbers = await bury_some(tmp_path, *"abcd", bad="abc")
    sink = Picky("b")
    async with house(tmp_path) as here, asyncio.TaskGroup() as group:
        here.work(group, "s", sink)
        outcomes = await retry(here, *numbers.values())
        await here.drained()
    assert {number for number, outcome in outcomes.items() if outcome.delivered} == {numbers["a"], numbers["c"]}
    assert sink.ids == ["a", "c"] and lying(tmp_path)["b"].tries == 2


async def test_live_events_pass_while_a_retry_is_stuck(tmp_path: Path) -> None:
    """A failure of an order delays the order, not the sink; one that is given up is withdrawn."""
    numbers = await bury_some(tmp_path, "a", bad="a")
    sink = Picky("a", error=OSError)
    async with house(tmp_path) as here, asyncio.TaskGroup() as group:
        here.work(group, "s", sink)
        stuck = group.create_task(retry(here, *numbers.values()))
        await until(lambda: here.books["s"].retries >= 3)
        for number in range(20):
            await here.put(f"live{number}")
            await until(lambda: sink.ids[-1:] == [f"live{number}"])  # noqa: B023 - awaited before the next
        assert not stuck.done()
        stuck.cancel()
        await asyncio.wait((stuck,))
        sink.bad.clear()
        await here.put("last")
        await until(lambda: sink.ids[-1] == "last")
        await here.drained()
    assert "a" not in sink.ids and set(lying(tmp_path)) == {"a"}


async def test_a_drain_ends_a_retry(tmp_path: Path) -> None:
    """Whoever waits is told; the letter stays. A worker that has ended takes no order."""
    numbers = await bury_some(tmp_path, "a", bad="a")

    async def ended(here: House) -> None:
        with pytest.raises(SinkNotConnected):
            await retry(here, *numbers.values())

    async with house(tmp_path) as here, asyncio.TaskGroup() as group:
        here.work(group, "s", Picky("a", error=OSError))
        stuck = group.create_task(ended(here))
        await until(lambda: here.books["s"].retries >= 2)
        await here.drained()
        await asyncio.wait_for(stuck, DEADLINE_S)
        await ended(here)
    assert set(lying(tmp_path)) == {"a"}


async def test_a_letter_before_which_the_sink_stands_is_left_alone(tmp_path: Path) -> None:
    """After a crash its cursor may be older than the letter: the event comes by itself, and must not come early."""
    numbers = await bury_some(tmp_path, *"ab", bad="b")
    async with house(tmp_path) as here, asyncio.TaskGroup() as group:
        here.state.move("s", 100)
        sink = FakeSink(OSError("down"))
        worker = here.work(group, "s", sink, backoff=SLOW)
        outcome = (await retry(here, *numbers.values()))[numbers["b"]]
        assert not outcome.delivered and "given it once more anyway" in outcome.text and worker.cursor == 100
        here.tasks["s"].cancel()


async def test_a_letter_of_a_sink_that_is_no_more_is_kept(tmp_path: Path) -> None:
    """Retrying says so; it can be dropped."""
    numbers = await bury_some(tmp_path, "a", bad="a")
    async with house(tmp_path) as here:
        assert "not in the config" in (await retry(here, *numbers.values()))[numbers["a"]].text
        assert await here.state.dead.drop(numbers.values()) == list(numbers.values())
    assert not lying(tmp_path)
