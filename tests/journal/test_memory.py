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
            kept.append(one)
            for event in one.events or ():
                event.json()
            del one
        assert held() / 1.1 <= counted <= held() * 3


def test_rows_beyond_the_limit_are_gone() -> None:
    """Large rows too: a quarter of a megabyte each. The reader keeps up."""
    limit = 4 << 20
    with traced() as held:
        tail = Tail(limit, 0)
        for number in range(1, 61):
            tail.append(frames(number * 1000, 130))
            tail.read(number * 1000, 1 << 60, 1)
        assert held() <= limit
        records, _ = tail.read(tail.floor, 1 << 60, 1 << 30)
        assert len(records) == 3 and records[-1].seq == 60_000


def test_where_nobody_keeps_up_little_is_kept() -> None:
    """Until somebody reads from memory again."""
    tail = Tail(80 * memory_bytes(callback(1)), 0)
    kept = []
    for number in range(1, 301):
        tail.append(callback(number))
        if number >= 200:  # somebody has come back from the disk
            tail.read(number, number, 1)
        kept.append(number - tail.floor)
    assert 75 <= max(kept[:80]) <= 80 and max(kept[100:199]) <= 11 and 75 <= kept[-1] <= 80


def test_keys_of_deliveries_take_fifty_bytes() -> None:
    """A hundred thousand of them, with the table that finds them."""
    with traced() as held:
        dedup = Dedup(100_000, 60, 10)
        for number in range(100_000):
            dedup.remember(b"meetstream/default/" + number.to_bytes(16), Entry(number, number, 0))
        assert held() <= 100_000 * 55
