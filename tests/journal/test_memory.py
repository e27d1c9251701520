"""What the journal keeps in memory is what it says: the tail's limit, and the keys of deliveries."""

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from receiver.journal.dedup import Dedup, Entry
from receiver.journal.tail import Tail, memory_bytes
from receiver.record import Record, pack_frames
from receiver.vendors import decode_record
from tests.faults.load import body
from tests.faults.memory import update
from tests.faults.oracle import marked_pcm
from tests.vendors.meetstream_wire import frame


@contextmanager
def traced() -> Iterator[Callable[[], int]]:
    """Bytes that were allocated since and are still held."""
    gc.collect()
    tracemalloc.start()
    try:
        yield lambda: tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def record(number: int, payload: bytes, **about: str) -> Record:
    """With its events, as it comes from the ingress."""
    made = Record(
        vendor="meetstream", endpoint="default", payload=payload, received_ns=number, seq=number, **about  # type: ignore[arg-type]
    )  # fmt: skip
    made.events = decode_record(made).events
    made.count = len(made.events)
    return made


def callback(number: int) -> Record:
    return record(number, bytes(bytearray(body("bot-1", number))), kind="body")


def transcript(number: int) -> Record:
    return record(number, bytes(bytearray(update("bot-1", number))), kind="text", channel="transcript")


def frames(number: int, count: int = 1) -> Record:
    messages = [(number, frame(pcm=marked_pcm(number * 1000 + index))) for index in range(count)]
    return record(number, pack_frames(messages), kind="frames", channel="audio", subject="bot-1")


@pytest.mark.parametrize("make", [callback, transcript, frames, lambda number: frames(number, 130)])
def test_a_record_is_counted_as_what_it_takes(make: Callable[[int], Record]) -> None:
    """With its events and, once a sink has made it, their JSON: no less than it takes, and not three times as much."""
    make(0)
    with traced() as held:
        kept, counted = Tail(1 << 40, 0), 0
        for number in range(1, 51):
            one = make(number)
            counted += memory_bytes(one)
            kept.append(one, memory_bytes(one))
            for event in one.events or ():
                event.json()
            del one
        assert held() / 1.1 <= counted <= held() * 3


def test_rows_beyond_the_limit_are_gone() -> None:
    """Large rows too: a quarter of a megabyte each. The reader is at the oldest that is there."""
    limit = 4 << 20
    with traced() as held:
        tail = Tail(limit, 0)
        for number in range(1, 61):
            one = frames(number * 1000, 130)
            tail.append(one, memory_bytes(one))
            tail.read(tail.floor, tail.floor, 1, "a")
        assert held() <= limit
        records, _ = tail.read(tail.floor, 1 << 60, 1 << 30)
        assert len(records) == 8 and records[-1].seq == 60_000


def kept(behind: Callable[[int], int | None], reader: str = "a") -> list[int]:
    """How many of 400 callbacks lie in a tail that has room for 80, after each; read so far behind the newest."""
    tail, found = Tail(80 * memory_bytes(callback(1)), 0), []
    for number in range(1, 1601):
        one = callback(number)
        tail.append(one, memory_bytes(one))
        if (back := behind(number)) is not None:
            tail.read(max(tail.floor, number - back - 1), number - back, 1 << 30, reader)
        found.append(number - tail.floor)
    return found


def test_what_nobody_needs_is_not_kept() -> None:
    """Neither where every reader has read everything, nor where nobody reads, nor for one without a name."""
    assert max(kept(lambda number: 0)) <= 11
    assert max(kept(lambda number: None)) <= 11
    assert max(kept(lambda number: 40, reader="")) <= 11


def test_what_a_reader_needs_is_kept() -> None:
    """As far as there is room: from where it is on."""
    assert 40 <= max(kept(lambda number: 40)) <= 42
    assert 75 <= max(kept(lambda number: 200)) <= 80


def test_a_reader_that_stops_is_given_up_where_the_room_ends() -> None:
    """Its place is kept until then."""
    found = kept(lambda number: 20 if number <= 100 else None)
    assert found[99] <= 22 and found[150] > 70
    assert max(found[170:]) <= 11


def test_keys_of_deliveries_take_fifty_bytes() -> None:
    """A hundred thousand of them, with the table that finds them."""
    with traced() as held:
        dedup = Dedup(100_000, 60, 10)
        for number in range(100_000):
            dedup.remember(b"meetstream/default/" + number.to_bytes(16), Entry(number, number, 0))
        assert held() <= 100_000 * 55


def test_a_reader_far_behind_in_memory_gets_far_more_than_it_would_read_from_disk() -> None:
    """Else it never gains on a thousand sockets: it comes to its turn once in many turns of a loop that is busy."""
    limit, tail = 10 * len(callback(1).payload), Tail(1 << 30, 0)
    for number in range(1, 1601):
        one = callback(number)
        tail.append(one, memory_bytes(one))
    found, upto = tail.read(0, 1600, limit, "a")
    memory = sum(memory_bytes(record) for record in found[:-1])
    assert 25 * limit <= memory < 32 * limit
    assert upto == found[-1].seq == len(found) < 1600
