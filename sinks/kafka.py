"""The ``kafka`` sink: events as CloudEvents in Kafka topics, keyed by subject. Here: its keys, what a failure means.

Forming messages is :mod:`sinks.kafka_message`, librdkafka's settings are :mod:`sinks.kafka_settings`, its threads
:mod:`sinks.kafka_producer`.
"""

import asyncio
import functools
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from confluent_kafka import KafkaError, KafkaException

from receiver.errors import ConfigError
from receiver.events import Event
from sinks.base import Batch, SinkConfig, SinkNotConnected, SinkRejected
from sinks.kafka_message import Message, TopicTemplate, binary_message, structured_message
from sinks.kafka_producer import UNREPORTED, KafkaProducer
from sinks.kafka_settings import client_settings

#: how long ``open`` waits for the first broker that answers
OPEN_TIMEOUT_S = 10.0
#: Events are made into messages for so long at once; then others have the loop.
#: All of them, before the first is sent: brokers take few large requests much faster than many small ones.
_SLICE_S = 0.0005
#: A message that gets one of these gets it again, however often it is sent.
REFUSED_FOR_GOOD = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.INVALID_MSG_SIZE,
        KafkaError.RECORD_LIST_TOO_LARGE,
        KafkaError.INVALID_RECORD,
        KafkaError.INVALID_TIMESTAMP,
    }
)
#: These say only that we stopped waiting, not why nothing came.
_GAVE_UP = frozenset({KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT, UNREPORTED.code()})


class KafkaConfig(SinkConfig, kw_only=True, forbid_unknown_fields=True):
    """Keys of the ``kafka`` sink. Topics are the operator's to create, unless the brokers create them by themselves."""

    batch_events: int = 2000
    #: where to start: ``host:port``, several with a comma between
    brokers: str = "127.0.0.1:9092"
    #: topic name; ``{type}``, ``{vendor}`` and ``{subject}`` are filled in, made legal for a topic
    topic: str = "meetings"
    #: ``binary``: attributes as ``ce_*`` headers; ``structured``: one JSON object. Media are always binary
    mode: Literal["binary", "structured"] = "binary"
    #: seconds for a batch to be acknowledged, before it is taken back and repeated
    delivery_timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 30.0
    #: any setting of librdkafka, e.g. ``"sasl.username" = "me"``; all but ``enable.idempotence`` and ``acks``.
    #: Messages above 1 MB (video) need a larger ``message.max.bytes`` here and in the brokers
    config: dict[str, Any] = msgspec.field(default_factory=dict)
    #: settings whose value is a secret -> the environment variable that holds it
    config_env: dict[str, Any] = msgspec.field(default_factory=dict)

    def __repr__(self) -> str:
        return f"KafkaConfig(brokers={self.brokers!r}, topic={self.topic!r}, mode={self.mode!r})"


class KafkaSink:
    """Produces each batch with an idempotent producer and ``acks=all``; returns when the brokers have every event.

    Keeps the order of each key; never loses an event; one may be there twice (same ``id``) where an acknowledgement did
    not arrive. After any failure but a refused message the producer is given up, with whatever it has on its way.
    An event that a broker refused only for its company is sent again alone, and so comes after its neighbours.
    """

    Config: ClassVar[type[SinkConfig]] = KafkaConfig
    portable: ClassVar[bool] = True

    def __init__(self, name: str, config: KafkaConfig, data_dir: Path) -> None:
        self._name = name
        self._config = config
        self._timeout_s = config.delivery_timeout_s
        try:
            self._topic = TopicTemplate(config.topic)
        except ValueError as error:
            raise ConfigError(f"sinks.{name}.topic: found {config.topic!r}, allowed {error}") from None
        defaults = {
            "bootstrap.servers": config.brokers,
            "client.id": "meeting-receiver",
            # as the Java clients do, so that equal keys meet in the same partition
            "partitioner": "murmur2_random",
            # an absent topic is told as such before the batch times out
            "topic.metadata.propagation.max.ms": str(int(self._timeout_s * 500)),
        }
        self._settings = client_settings(f"sinks.{name}", defaults, config.config, config.config_env, os.environ)
        self._brokers = self._settings.hide(self._settings.values["bootstrap.servers"])
        self._producer: KafkaProducer | None = None
        #: what an unfinished batch has behind it already, so that its repetition leaves that out
        self._acknowledged: set[tuple[int, str]] = set()

    async def open(self) -> None:
        """Create the producer and reach a broker. Raises: SinkNotConnected; ConfigError for an unknown setting."""
        await self.close()
        try:
            producer = self._producer = KafkaProducer(self._settings, self._name)
        except (KafkaException, TypeError, ValueError) as error:
            found = self._settings.hide(_text(error))
            raise ConfigError(f"sinks.{self._name}.config: found {found}, allowed librdkafka's settings") from None
        try:
            await self._in_thread(functools.partial(producer.reach, min(OPEN_TIMEOUT_S, self._timeout_s)))
        except KafkaException as error:
            why = producer.trouble or self._settings.hide(_text(error))
            await self.close()
            raise SinkNotConnected(f"no Kafka broker answers at {self._brokers}: {why}") from None

    async def write(self, batch: Batch) -> None:
        """Deliver ``batch``. Raises: SinkNotConnected; SinkRejected with the events that Kafka refuses for good."""
        if self._producer is None:
            raise SinkNotConnected("the Kafka producer is not open")
        events = [event for event in batch.events if _place(event) not in self._acknowledged]
        refused = await self._deliver(self._producer, events, batch)
        if len(events) > 1:
            # a broker refuses a whole record batch for one bad record: each gets a hearing of its own
            refused = [event for event in refused if await self._deliver(self._producer, [event], batch)]
        self._acknowledged.clear()
        if refused:
            share = f"{len(refused)} of {len(batch.events)} events"
            raise SinkRejected(f"Kafka refuses {share} as too large or invalid", refused)

    async def close(self) -> None:
        """Let go. What is still queued belongs to a ``write`` that did not succeed, so it is dropped."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await self._in_thread(producer.close)

    async def _in_thread(self, work: Callable[[], None]) -> None:
        """One of its own: brokers that keep it waiting for seconds hold up nobody in the common pool."""
        thread = ThreadPoolExecutor(1, thread_name_prefix=f"sink-{self._name}")
        try:
            await asyncio.get_running_loop().run_in_executor(thread, work)
        finally:
            thread.shutdown(wait=False)

    async def _deliver(self, producer: KafkaProducer, events: Sequence[Event], batch: Batch) -> list[Event]:
        """Send ``events``; returns the refused ones. Raises: SinkNotConnected if any has an unknown or failed end."""
        outcomes = await producer.send(await self._messages(events, batch), self._timeout_s)
        self._acknowledged.update(_place(event) for event, error in zip(events, outcomes, strict=True) if error is None)
        failures = [error for error in outcomes if error is not None and error.code() not in REFUSED_FOR_GOOD]
        if failures:
            known = [error.str() for error in failures if error.code() not in _GAVE_UP]
            why = known[0] if known else f"no acknowledgement within {self._timeout_s:g} s"
            trouble = f" ({producer.trouble})" if producer.trouble else ""
            text = f"Kafka at {self._brokers} did not take {len(failures)} of {len(events)} events: {why}{trouble}"
            raise SinkNotConnected(self._settings.hide(text))
        return [event for event, error in zip(events, outcomes, strict=True) if error is not None]

    async def _messages(self, events: Sequence[Event], batch: Batch) -> list[Message]:
        messages: list[Message] = []
        begin_s = time.perf_counter()
        for event in events:
            if time.perf_counter() - begin_s >= _SLICE_S:
                await asyncio.sleep(0)
                begin_s = time.perf_counter()
            messages.append(self._message(event, batch))
        return messages

    def _message(self, event: Event, batch: Batch) -> Message:
        topic = self._topic.name(event)
        if self._config.mode == "structured" and event.media is None:
            return structured_message(topic, event, batch.json(event))
        return binary_message(topic, event, raw=batch.raw, secrets=batch.secrets)


def _place(event: Event) -> tuple[int, str]:
    return event.sequence, event.id


def _text(error: Exception) -> str:
    cause = error.args[0] if error.args else error
    return cause.str() if isinstance(cause, KafkaError) else str(cause)
