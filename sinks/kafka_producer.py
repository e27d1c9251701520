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
#: called with the failure of a message, or ``None``; librdkafka gives the message too, which nobody needs
Report = Callable[[KafkaError | None, object], None]


class KafkaProducer:
    """An idempotent producer and the thread that serves its reports.

    Guarantee: after :meth:`send` has returned or raised, none of its messages is left in librdkafka's queue, and a
    message counts as delivered only where the broker's acknowledgement was seen.
    Raises on creation: KafkaException, TypeError, ValueError for a setting that librdkafka does not take.
    """

    def __init__(self, settings: ClientSettings, sink: str) -> None:
        self._hide = settings.hide
        #: what the client last complained of, since the last :meth:`send` began
        self.trouble = ""
        log = _ClientLog(sink, settings)
        self._producer = Producer({**settings.values, "error_cb": self._note}, logger=log)
        self._stopping = threading.Event()
        serve = functools.partial(_serve, self._producer, self._stopping)
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
        parcel = _Parcel(len(messages))
        try:
            async with asyncio.timeout(timeout_s):
                begin_s = time.perf_counter()
                for index, message in enumerate(messages):
                    while not self._takes(message, functools.partial(parcel.report, index)):
                        await asyncio.sleep(FULL_S)
                    parcel.handed_over = index + 1
                    if time.perf_counter() - begin_s >= _SLICE_S:
                        await asyncio.sleep(0)
                        begin_s = time.perf_counter()
                # not awaited itself: cancelling this coroutine would cancel it, and it must outlive that
                await asyncio.wait([parcel.complete])
        except TimeoutError:
            pass
        finally:
            if not parcel.complete.done():
                await self._take_back(parcel)
        return parcel.outcomes

    def close(self) -> None:
        """Drop what is queued and end the thread, blocking for little more than ``PURGE_S`` seconds at most."""
        if not self._stopping.is_set():
            self._stopping.set()
            # the thread's is then the last reference: librdkafka ends there, and not in the event loop
            del self._producer
        self._thread.join(PURGE_S + 2 * IDLE_S)

    def _takes(self, message: Message, report: Report) -> bool:
        """Hand over one message; false while librdkafka's queue is full."""
        topic, key, value, headers = message
        try:
            self._producer.produce(topic, value, key, headers=list(headers), on_delivery=report)
        except BufferError:
            return False
        except KafkaException as error:
            report(error.args[0], None)
        return True

    async def _take_back(self, parcel: "_Parcel") -> None:
        for index in range(parcel.handed_over, len(parcel.outcomes)):
            parcel.report(index, UNREPORTED, None)
        self._producer.purge(blocking=False)
        await asyncio.wait([parcel.complete], timeout=PURGE_S)

    def _note(self, error: KafkaError) -> None:
        self.trouble = self._hide(error.str())


class _Parcel:
    """The outcomes of one ``send``, filled by the thread; ``complete`` is done once each message has its report."""

    def __init__(self, size: int) -> None:
        self.outcomes: list[KafkaError | None] = [UNREPORTED] * size
        self.handed_over = 0
        self._missing = size
        self._lock = threading.Lock()
        self._loop = asyncio.get_running_loop()
        self.complete: asyncio.Future[None] = self._loop.create_future()
        if not size:
            self.complete.set_result(None)

    def report(self, index: int, error: KafkaError | None, _message: object) -> None:
        """Note the outcome of message ``index``; called from the thread, or from the loop for local failures."""
        with self._lock:
            self.outcomes[index] = error
            self._missing -= 1
            if self._missing:
                return
        # a loop that has ended has nobody waiting, and an error here would end the thread
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._finish)

    def _finish(self) -> None:
        if not self.complete.done():
            self.complete.set_result(None)


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


def _serve(producer: Producer, stopping: threading.Event) -> None:
    """The thread: reports, errors and token refreshes are served also while no batch is under way."""
    while not stopping.is_set():
        producer.poll(IDLE_S)
    producer.purge(blocking=False)
    deadline_s = time.monotonic() + PURGE_S
    while len(producer) and time.monotonic() < deadline_s:
        producer.poll(IDLE_S)
