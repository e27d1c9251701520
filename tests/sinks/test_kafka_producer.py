"""How the producer learns what has arrived: a failure is told, a success is that nothing is left and none was told.

librdkafka is played by hand here, so that each report comes when the test says; ``test_kafka.py`` has the real one.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

import sinks.kafka_producer
from sinks.kafka_message import Message
from sinks.kafka_producer import UNREPORTED, KafkaProducer
from sinks.kafka_settings import ClientSettings

MESSAGES = [Message("t", b"key", b"%d" % number, [("ce_id", b"%d" % number)]) for number in range(3)]
TOO_LARGE = KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)
PURGED = KafkaError(KafkaError._PURGE_INFLIGHT)
WAIT_S = 20.0


class Client:
    """librdkafka's producer as confluent-kafka shows it: counts a message until ``poll`` has served its report, and
    calls ``on_delivery`` for failures only. ``purges``: whether it reports what it was told to purge."""

    purges = True
    refuses: KafkaError | None = None
    #: so many messages are counted at most
    room = 100

    def __init__(self, settings: dict[str, Any], logger: object) -> None:
        self.settings = settings
        self._turn = threading.Condition()
        self._counted: dict[bytes, Callable[[KafkaError, object], None]] = {}
        self._due: list[tuple[bytes, KafkaError | None]] = []
        self.polls = 0
        self._woken = False

    def __len__(self) -> int:
        with self._turn:
            return len(self._counted)

    def produce(self, topic: str, value: bytes, key: bytes | None, *, headers: Any, on_delivery: Any) -> None:
        if self.refuses is not None:
            raise KafkaException(self.refuses)
        with self._turn:
            if len(self._counted) >= self.room:
                raise BufferError
            self._counted[value] = on_delivery

    def report(self, value: bytes, error: KafkaError | None = None) -> None:
        """Let ``poll`` serve this report, and wait until the thread has come back for more."""
        with self._turn:
            before = self.polls
            self._due.append((value, error))
            self._turn.notify_all()
            assert self._turn.wait_for(lambda: self.polls > before and not self._due, WAIT_S)

    def purge(self, *, blocking: bool) -> None:
        with self._turn:
            if self.purges:
                self._due += [(value, PURGED) for value in self._counted]
                self._turn.notify_all()

    def wake(self) -> None:
        """Let every ``poll`` return at once from now on."""
        with self._turn:
            self._woken = True
            self._turn.notify_all()

    def poll(self, timeout_s: float) -> None:
        with self._turn:
            self.polls += 1
            self._turn.notify_all()
            self._turn.wait_for(lambda: self._due or self._woken, timeout_s)
            due, self._due = self._due, []
            for value, error in due:
                on_delivery = self._counted[value]
                if error is not None:
                    on_delivery(error, None)
                del self._counted[value]


@asynccontextmanager
async def producing(monkeypatch: pytest.MonkeyPatch, client: type[Client] = Client) -> AsyncIterator[KafkaProducer]:
    monkeypatch.setattr(sinks.kafka_producer, "Producer", client)
    producer = KafkaProducer(ClientSettings({"acks": "all"}, frozenset()), "lake")
    try:
        yield producer
    finally:
        await asyncio.to_thread(producer.close)


async def counted(client: Any, size: int) -> None:
    """Return when ``size`` messages are handed over, and whoever waits has had his turn after that."""
    async with asyncio.timeout(WAIT_S):
        while len(client) < size:  # noqa: ASYNC110
            await asyncio.sleep(0)
    for _ in range(10):
        await asyncio.sleep(0)


async def test_nothing_has_arrived_while_librdkafka_counts_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of a batch is the last report, whatever came before it; without a failure a message has arrived."""
    async with producing(monkeypatch) as producer, asyncio.TaskGroup() as group:
        client: Any = producer._producer
        sending = group.create_task(producer.send(MESSAGES, WAIT_S))
        await counted(client, 3)
        await asyncio.to_thread(client.report, b"2")
        await asyncio.to_thread(client.report, b"1", TOO_LARGE)
        assert not sending.done()
        await asyncio.to_thread(client.report, b"0")
        assert await sending == [None, TOO_LARGE, None]


async def test_what_has_arrived_before_the_last_is_handed_over_is_not_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """librdkafka may count nothing between two messages: the batch goes on."""

    class Small(Client):
        room = 1

    async with producing(monkeypatch, Small) as producer, asyncio.TaskGroup() as group:
        client: Any = producer._producer
        sending = group.create_task(producer.send(MESSAGES, WAIT_S))
        for value, error in ((b"0", None), (b"1", None), (b"2", TOO_LARGE)):
            await counted(client, 1)
            assert not sending.done()
            await asyncio.to_thread(client.report, value, error)
        assert await sending == [None, None, TOO_LARGE]


async def test_what_is_taken_back_has_not_arrived(monkeypatch: pytest.MonkeyPatch) -> None:
    """Out of time: what was reported before is known, the rest is told as purged."""
    async with producing(monkeypatch) as producer, asyncio.TaskGroup() as group:
        client: Any = producer._producer
        sending = group.create_task(producer.send(MESSAGES, 3.0))
        await counted(client, 3)
        await asyncio.to_thread(client.report, b"0")
        assert await sending == [None, PURGED, PURGED]


async def test_silence_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    """A purge that is not reported either: whatever is counted still, no message passes for delivered."""

    class Mute(Client):
        purges = False

    monkeypatch.setattr(sinks.kafka_producer, "PURGE_S", 0.05)
    async with producing(monkeypatch, Mute) as producer, asyncio.TaskGroup() as group:
        client: Any = producer._producer
        sending = group.create_task(producer.send(MESSAGES, 3.0))
        await counted(client, 3)
        await asyncio.to_thread(client.report, b"1", TOO_LARGE)
        await asyncio.to_thread(client.report, b"0")
        assert await sending == [UNREPORTED, TOO_LARGE, UNREPORTED]


async def test_what_librdkafka_does_not_take_needs_no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that is refused on the spot, and one of no messages, wait for nothing."""

    class Strict(Client):
        refuses = TOO_LARGE

    monkeypatch.setattr(sinks.kafka_producer, "IDLE_S", 2 * WAIT_S)
    async with producing(monkeypatch, Strict) as producer:
        client: Any = producer._producer
        try:
            async with asyncio.timeout(WAIT_S):
                assert await producer.send(MESSAGES, 2 * WAIT_S) == [TOO_LARGE] * 3
                assert await producer.send([], 2 * WAIT_S) == []
        finally:
            client.wake()


async def test_the_flag_is_the_bindings_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """confluent-kafka takes it as a bool only, not as the text that other settings are."""
    async with producing(monkeypatch) as producer:
        client: Any = producer._producer
        assert client.settings["delivery.report.only.error"] is True
