"""librdkafka's producer behind one coroutine: hand over messages, come back when each of them has its report.

The only place that knows librdkafka's threads. It forms no message and decides nothing about a failure.
"""

import asyncio
import contextlib
import functools
import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import cast

import structlog
from confluent_kafka import KafkaError, KafkaException, Producer

from sinks.kafka_message import Message
from sinks.kafka_settings import ClientSettings

#: how long the thread sleeps in librdkafka when nothing happens, which bounds how late it sees the order to stop
IDLE_S = 0.2
#: messages are handed over for so long before others have the loop
_SLICE_S = 0.0005
#: librdkafka's queue is full: how long until the next try
FULL_S = 0.01
#: how long purged messages may take to be reported; they are local, so this is a net, not a wait
PURGE_S = 5.0
#: the outcome of a message that no report has come for
UNREPORTED = KafkaError(KafkaError._TIMED_OUT, "not acknowledged in time")
#: called with the failure of a message; librdkafka gives the message too, which nobody needs
Report = Callable[[KafkaError | None, object], None]
#: as the client types what it takes
_Headers = list[tuple[str, str | bytes | None]]


class KafkaProducer:
    """An idempotent producer and the thread that serves its reports.

    Guarantee: after :meth:`send` has returned or raised, none of its messages is left in librdkafka's queue, and a
    message counts as delivered only where the broker's acknowledgement was seen. librdkafka has one report for each
    message that it took (its DeliveryReportCb), and counts what waits to be sent or acknowledged (rd_kafka_outq_len in
    its rdkafka.h); the binding calls back for the failures. So what was handed over has arrived once nothing is counted
    and no failure was told. A call for each success would take the interpreter from the event loop for each message.
    Raises on creation: KafkaException, TypeError, ValueError for a setting that librdkafka does not take.
    """

    def __init__(self, settings: ClientSettings, sink: str) -> None:
        self._hide = settings.hide
        #: what the client last complained of, since the last :meth:`send` began
        self.trouble = ""
        log = _ClientLog(sink, settings)
        # confluent-kafka keeps this one to itself, and takes it only as a bool: librdkafka goes on reporting everything
        own = {"error_cb": self._note, "delivery.report.only.error": True}
        self._producer = Producer({**settings.values, **own}, logger=log)
        self._desk = _Desk()
        serve = functools.partial(_serve, self._producer, self._desk)
        self._thread = threading.Thread(target=serve, name=f"kafka-{sink}", daemon=True)
        self._thread.start()

    def reach(self, timeout_s: float) -> None:
        """Ask a broker for its metadata, blocking. Raises: KafkaException after ``timeout_s`` seconds."""
        self._producer.list_topics(timeout=timeout_s)

    async def send(self, messages: Sequence[Message], timeout_s: float) -> list[KafkaError | None]:
        """Send in order and wait at most ``timeout_s`` seconds. One outcome a message; ``None`` is acknowledged.

        What is not acknowledged in time, or when this is cancelled, is taken back out of the queue; whether the broker
        has it all the same cannot be known then.
        """
        self.trouble = ""
        parcel = self._desk.parcel = _Parcel()
        try:
            async with asyncio.timeout(timeout_s):
                begin_s = time.perf_counter()
                for index, message in enumerate(messages):
                    failed = functools.partial(parcel.failed, index)
                    if not self._takes(message, failed):
                        await self._hand_over(message, failed)
                    parcel.handed_over = index + 1
                    if time.perf_counter() - begin_s >= _SLICE_S:
                        await asyncio.sleep(0)
                        begin_s = time.perf_counter()
                self._close_up(parcel)
                # not awaited itself: cancelling this coroutine would cancel it, and it must outlive that
                await asyncio.wait([parcel.complete])
        except TimeoutError:
            pass
        finally:
            if not parcel.complete.done():
                await self._take_back(parcel, len(messages))
        unknown = None if parcel.complete.done() else UNREPORTED
        return [parcel.failures.get(index, unknown) for index in range(len(messages))]

    def close(self) -> None:
        """Drop what is queued and end the thread, blocking for little more than ``PURGE_S`` seconds at most."""
        if not self._desk.stopping:
            self._desk.stopping = True
            # the thread's is then the last reference: librdkafka ends there, and not in the event loop
            del self._producer
        self._thread.join(PURGE_S + 2 * IDLE_S)

    async def _hand_over(self, message: Message, failed: Report) -> None:
        """Return once librdkafka's queue, which is full, has room for ``message``."""
        while True:
            await asyncio.sleep(FULL_S)
            if self._takes(message, failed):
                return

    def _takes(self, message: Message, failed: Report) -> bool:
        """Give ``message`` to librdkafka, or its failure to ``failed``; false where the queue is full."""
        topic, key, value, headers = message
        try:
            self._producer.produce(topic, value, key, headers=cast(_Headers, headers), on_delivery=failed)
        except BufferError:
            return False
        except KafkaException as error:
            failed(error.args[0], None)
        return True

    async def _take_back(self, parcel: "_Parcel", size: int) -> None:
        for index in range(parcel.handed_over, size):
            parcel.failed(index, UNREPORTED, None)
        self._producer.purge(blocking=False)
        self._close_up(parcel)
        await asyncio.wait([parcel.complete], timeout=PURGE_S)

    def _close_up(self, parcel: "_Parcel") -> None:
        """Nothing comes into ``parcel`` any more. Where the thread had served the last report before, it looks no more:
        so this does, and not before the thread can see it closed."""
        parcel.closed = True
        if not len(self._producer):
            parcel.finish()

    def _note(self, error: KafkaError) -> None:
        self.trouble = self._hide(error.str())


class _Parcel:
    """What became of the messages of one ``send``. ``complete`` is done once none of them waits for its report."""

    def __init__(self) -> None:
        #: by index; filled by the thread, or by the loop for local failures
        self.failures: dict[int, KafkaError] = {}
        self.handed_over = 0
        self.closed = False
        self.complete: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def failed(self, index: int, error: KafkaError | None, _message: object) -> None:
        """Note the failure of message ``index``."""
        if error is not None:
            self.failures[index] = error

    def finish(self) -> None:
        """Every report has been served. On the loop."""
        if not self.complete.done():
            self.complete.set_result(None)


class _Desk:
    """What the loop and the thread have in common."""

    def __init__(self) -> None:
        self.stopping = False
        self.parcel: _Parcel | None = None

    def look(self, producer: Producer) -> None:
        """Tell the loop once ``parcel`` is complete; in the thread, after each poll."""
        parcel = self.parcel
        if parcel is not None and parcel.closed and not parcel.complete.done() and not len(producer):
            # a loop that has ended has nobody waiting, and an error here would end the thread
            with contextlib.suppress(RuntimeError):
                parcel.complete.get_loop().call_soon_threadsafe(parcel.finish)


class _ClientLog:
    """What librdkafka logs, as structlog lines: no secrets, not above warning, and no line twice in a row."""

    def __init__(self, sink: str, settings: ClientSettings) -> None:
        self._log = structlog.get_logger("sinks.kafka").bind(sink=sink)
        self._hide = settings.hide
        self._last = ""

    def log(self, level: int, _template: str, facility: str, _client: str, text: str) -> None:
        """The shape in which confluent-kafka calls a logger. The engine decides what is an error, so none is here."""
        if text != self._last:
            self._last = text
            self._log.log(min(level, logging.WARNING), "kafka.client", facility=facility, message=self._hide(text))


def _serve(producer: Producer, desk: _Desk) -> None:
    """The thread: reports, errors and token refreshes are served also while no batch is under way."""
    while not desk.stopping:
        producer.poll(IDLE_S)
        desk.look(producer)
    producer.purge(blocking=False)
    deadline_s = time.monotonic() + PURGE_S
    while len(producer) and time.monotonic() < deadline_s:
        producer.poll(IDLE_S)
    desk.look(producer)
