"""Sinks that note when events come, and what is made of their notes."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from receiver.events import BotStatus, Event
from sinks.base import Batch
from tests.benchmarks.catch_up import caught_up
from tests.benchmarks.meter import STRIDE, MeterConfig, MeterSink, Notes, caught_up_mark, read_noted

S = 10**9


def event(received_ns: int, media: bytes | None = None) -> Event:
    """One of no meaning."""
    return Event(
        id=str(received_ns), source="/v/e", type="t", time_ns=received_ns, received_ns=received_ns,
        data=BotStatus(status="joining"), media=media,
    )  # fmt: skip


def test_all_events_are_counted_and_some_are_noted(tmp_path: Path) -> None:
    """One of so many, evenly, however the batches fall."""
    notes, number = Notes("one", tmp_path), 0
    for size in (1, 7, STRIDE, 3 * STRIDE + 5, 2, 2):
        notes.take([event(number + offset) for offset in range(size)])
        number += size
    notes.save()
    noted = read_noted(tmp_path, "one")
    assert (noted.events, noted.media) == (number, 0)
    assert noted.columns()[1].tolist() == list(range(0, number, STRIDE))


def test_a_frame_tells_when_it_was_sent(tmp_path: Path) -> None:
    """In its first eight bytes; what is no frame does not tell."""
    notes = Notes("one", tmp_path)
    notes.take([event(5, media=(1234567890123456789).to_bytes(8, "little") + bytes(8))])
    notes.take([event(6)] * STRIDE)
    notes.save()
    noted = read_noted(tmp_path, "one")
    assert noted.media == 1
    assert noted.columns()[2].tolist() == [1234567890123456789, 0]


def test_notes_of_two_processes_are_one(tmp_path: Path) -> None:
    """In the order in which events were at the far side."""
    first, second = Notes("one", tmp_path), Notes("one", tmp_path)
    for number, notes in enumerate((first, second, first)):
        notes.take([event(number)] * STRIDE)
    second.save()
    first.save()
    noted = read_noted(tmp_path, "one")
    assert noted.events == 3 * STRIDE and noted.columns()[1].tolist() == [0, 1, 2]
    with pytest.raises(FileNotFoundError, match="no sink wrote down"):
        read_noted(tmp_path, "two")


async def test_a_shut_gate_holds_a_write_until_it_is_opened(tmp_path: Path) -> None:
    """And the mark of having caught up comes with the first event that is not old."""
    gate = tmp_path / "gate"
    gate.touch()
    sink = MeterSink("one", MeterConfig(type="meter", gate=str(gate)), tmp_path)
    await sink.open()
    async with asyncio.TaskGroup() as tasks:
        write = tasks.create_task(sink.write(Batch(events=[event(1)])))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not write.done()
        gate.unlink()
    assert not caught_up_mark(gate).exists()
    await sink.write(Batch(events=[event(2**62)]))
    assert caught_up_mark(gate).exists()
    await sink.close()
    assert read_noted(tmp_path, "one").events == 2


def test_speed_is_the_time_span_of_arrivals_over_that_of_delivery() -> None:
    """Ten seconds of traffic, delivered in two: five times real time. What came before does not count."""
    opened = 100 * S
    at = np.array([50 * S, opened + S, opened + 2 * S, opened + 3 * S, opened + 4 * S])
    received = np.array([50 * S, 93 * S - S // 10, 98 * S, 103 * S - S // 10, 104 * S - S // 10])
    assert caught_up(at, received, opened) == (opened + 3 * S, 5.0)


@pytest.mark.parametrize(
    ("lags_s", "why"), [([9, 8, 7], "has not caught up"), ([0.1, 0.1, 0.1], "missed nothing"), ([], "missed nothing")]
)
def test_a_sink_that_never_was_behind_or_stays_so_has_no_speed(lags_s: list[float], why: str) -> None:
    """It is an error, and no number."""
    at = np.arange(len(lags_s), dtype=np.int64) * S + 100 * S
    with pytest.raises(RuntimeError, match=why):
        caught_up(at, at - (np.array(lags_s) * S).astype(np.int64), 100 * S)
