"""The ``kafka`` sink against a broker: what arrives, in which form and order, and what each failure is told as.

Read back with aiokafka, which shares no code with librdkafka. On the mock broker, tests that kill or freeze it are
skipped; the report's last line says which broker it was.
"""

import asyncio
import contextlib
import json
import threading
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from structlog.testing import capture_logs

from receiver.errors import ConfigError
from receiver.events import AudioChunk, BotStatus, Event, Person, Transcript, VideoChunk
from sinks.base import Batch, SinkNotConnected, SinkRejected
from sinks.kafka import KafkaConfig, KafkaSink
from sinks.kafka_message import TOPIC_BYTES_MAX, TopicTemplate, binary_message
from tests.kafka_broker import SASL_PASSWORD, SASL_USER, Broker
from tests.kafka_reader import WAIT_S, read_all

#: the first test of a run may have to wait for the jars and for two Java programs
pytestmark = pytest.mark.timeout(600)
START_NS = 1_760_000_000_000_000_000
_TICK_S = 0.02


@pytest.fixture
def real_broker(broker: Broker) -> Broker:
    if not broker.real:
        pytest.skip(f"needs a real broker, this is {broker.title}")
    return broker


@pytest.fixture
def topic() -> str:
    return f"t-{uuid.uuid4().hex[:10]}"


def make_sink(address: str, **keys: Any) -> KafkaSink:
    return KafkaSink("lake", msgspec.convert({"type": "kafka", "brokers": address, **keys}, KafkaConfig), Path())


@contextlib.asynccontextmanager
async def opened(address: str, **keys: Any) -> AsyncIterator[KafkaSink]:
    sink = make_sink(address, **keys)
    await sink.open()
    try:
        yield sink
    finally:
        await sink.close()


async def create_topic(broker: Broker, topic: str, config: dict[str, str] | None = None) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.address)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 1, 1, topic_configs=config or {})])
    finally:
        await admin.close()


def transcript(number: int, subject: str = "bot-1", text: str = "Grüße, 世界") -> Event:
    return Event(
        id=f"delivery-{number}", source="/meetstream/default", type="transcript.final", subject=subject,
        sequence=number, time_ns=START_NS, received_ns=START_NS,
        data=Transcript(text=text, speaker=Person(name="Zoë")),
    )  # fmt: skip


def audio(number: int, media: bytes) -> Event:
    return Event(
        id=f"frame-{number}", source="/meetstream/default", type="audio.chunk", subject="bot-1", sequence=number,
        time_ns=START_NS, received_ns=START_NS, media=media, media_type="audio/pcm", raw=b"\x01" + media,
        data=AudioChunk(codec="pcm_s16le", rate_hz=48000, channels=1, speaker=Person(name="Zoë 100 %")),
    )  # fmt: skip


def status(number: int, subject: str = "") -> Event:
    return Event(
        id=f"delivery-{number}", source="/daily/default", type="bot.status", subject=subject, sequence=number,
        time_ns=START_NS, received_ns=START_NS, data=BotStatus(status="joining"),
    )  # fmt: skip


@contextlib.asynccontextmanager
async def free_loop(limit_s: float = 0.8) -> AsyncIterator[None]:
    """Fail if the event loop stood still for longer than ``limit_s`` seconds meanwhile, as another thread counts them:
    while the machine has no time for this process, neither goes on."""
    ended = threading.Event()
    ticks = worst = 0

    def tick() -> None:
        nonlocal ticks
        while not ended.wait(_TICK_S):
            ticks += 1

    async def beat() -> None:
        nonlocal worst
        while True:
            before = ticks
            await asyncio.sleep(_TICK_S)
            worst = max(worst, ticks - before)

    ticking = threading.Thread(target=tick)
    ticking.start()
    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()
        ended.set()
        ticking.join()
    assert worst * _TICK_S < limit_s


def ids_by_key(records: Sequence[Any]) -> dict[bytes, list[bytes]]:
    """The ``ce_id`` of each record in order, by key; of a repeated id only the first."""
    found: dict[bytes, dict[bytes, None]] = {}
    for record in records:
        found.setdefault(record.key, {}).setdefault(dict(record.headers)["ce_id"])
    return {key: list(ids) for key, ids in found.items()}


def expected_by_key(events: Sequence[Event]) -> dict[bytes, list[bytes]]:
    found: dict[bytes, list[bytes]] = {}
    for event in events:
        found.setdefault(event.subject.encode(), []).append(event.id.encode())
    return found


async def test_binary_mode_sends_attributes_as_plain_utf8_headers(broker: Broker, topic: str) -> None:
    """Kafka binding, binary mode: value = data, ``ce_*`` headers without percent-encoding, key = subject."""
    async with opened(broker.address, topic=topic) as sink:
        await sink.write(Batch([transcript(1, subject="bot é 1")]))
    [record] = await read_all(broker.address, topic)
    assert record.key == "bot é 1".encode()
    assert json.loads(record.value) == {"text": "Grüße, 世界", "speaker": {"name": "Zoë"}}
    headers = dict(record.headers)
    assert len(headers) == len(record.headers)
    assert headers["content-type"] == b"application/json"
    assert headers["ce_specversion"] == b"1.0"
    assert headers["ce_type"] == b"transcript.final"
    assert headers["ce_source"] == b"/meetstream/default"
    assert headers["ce_id"] == b"delivery-1"
    assert headers["ce_subject"] == "bot é 1".encode()
    assert headers["ce_sequence"].lstrip(b"0") == b"1"
    assert headers["ce_time"].startswith(b"2025-10-09T")
    assert "ce_datacontenttype" not in headers and "ce_raw" not in headers


async def test_structured_mode_sends_one_json_object(broker: Broker, topic: str) -> None:
    """Kafka binding, structured mode: the value is the whole event, with the vendor's body where ``raw`` is asked."""
    event = transcript(1)
    event.raw = b'{"transcript": "hi", "token": "hunter2"}'
    async with opened(broker.address, topic=topic, mode="structured") as sink:
        await sink.write(Batch([event], raw=True))
    [record] = await read_all(broker.address, topic)
    assert dict(record.headers) == {"content-type": b"application/cloudevents+json; charset=UTF-8"}
    value = json.loads(record.value)
    assert (value["id"], value["subject"], value["data"]["text"]) == ("delivery-1", "bot-1", "Grüße, 世界")
    assert json.loads(value["raw"]) == {"transcript": "hi", "token": "[redacted]"}


@pytest.mark.parametrize("mode", ["binary", "structured"])
async def test_media_are_bytes_in_either_mode(broker: Broker, topic: str, mode: str) -> None:
    """Audio is the value itself, byte for byte, never base64; its keys are attributes."""
    media = bytes(range(256)) * 8
    view = memoryview(b"header" + media)[6:]
    async with opened(broker.address, topic=topic, mode=mode) as sink:
        await sink.write(Batch([audio(1, media), msgspec.structs.replace(audio(2, media), media=view)], raw=True))
    records = await read_all(broker.address, topic)
    assert [record.value for record in records] == [media, media]
    headers = dict(records[0].headers)
    assert (headers["content-type"], headers["ce_ratehz"], headers["ce_channels"]) == (b"audio/pcm", b"48000", b"1")
    assert headers["ce_speakername"] == "Zoë 100 %".encode()
    assert headers["raw"] == b"\x01" + media


async def test_no_subject_no_key_and_topics_by_template(broker: Broker, topic: str) -> None:
    """An event without subject has no key; ``{vendor}`` and ``{type}`` choose the topic."""
    async with opened(broker.address, topic=f"{topic}.{{vendor}}.{{type}}") as sink:
        await sink.write(Batch([status(1), transcript(2), status(3)]))
    records = await read_all(broker.address, f"{topic}.daily.bot.status")
    assert sorted((record.key, dict(record.headers)["ce_id"]) for record in records) == [
        (None, b"delivery-1"), (None, b"delivery-3"),
    ]  # fmt: skip
    assert len(await read_all(broker.address, f"{topic}.meetstream.transcript.final")) == 1


async def test_order_per_key_and_each_id_once(broker: Broker, topic: str) -> None:
    """Thousands of events of many subjects: every key in order, every id exactly once, the loop never blocked."""
    events = [transcript(number, subject=f"bot-{number % 17}") for number in range(1, 5001)]
    async with opened(broker.address, topic=topic) as sink, free_loop():
        for start in range(0, len(events), 500):
            await sink.write(Batch(events[start : start + 500]))
    records = await read_all(broker.address, topic)
    assert len(records) == len(events)
    assert ids_by_key(records) == expected_by_key(events)


async def test_each_of_many_small_batches_comes_back(broker: Broker, topic: str) -> None:
    """The last report may be served before the batch is closed, or after it: either way ``write`` learns of it."""
    events = [transcript(number) for number in range(1, 301)]
    async with opened(broker.address, topic=topic, config={"linger.ms": 0}) as sink, asyncio.timeout(WAIT_S):
        for event in events:
            await sink.write(Batch([event]))
    assert ids_by_key(await read_all(broker.address, topic)) == expected_by_key(events)


async def test_a_full_client_queue_is_waited_for(broker: Broker, topic: str) -> None:
    """A batch larger than librdkafka's queue goes through in order, piece by piece."""
    events = [transcript(number) for number in range(1, 401)]
    async with opened(broker.address, topic=topic, config={"queue.buffering.max.messages": 50}) as sink:
        await sink.write(Batch(events))
    assert ids_by_key(await read_all(broker.address, topic)) == expected_by_key(events)


async def test_too_large_for_the_client_is_rejected_alone(broker: Broker, topic: str) -> None:
    """What exceeds ``message.max.bytes`` is refused for good, and only that; the rest of the batch is delivered."""
    events = [transcript(1), transcript(2, text="x" * 30_000), transcript(3)]
    async with opened(broker.address, topic=topic, config={"message.max.bytes": 20_000}) as sink:
        with pytest.raises(SinkRejected) as caught:
            await sink.write(Batch(events))
        assert caught.value.events == (events[1],)
        await sink.write(Batch([transcript(4)]))
    ids = [dict(record.headers)["ce_id"] for record in await read_all(broker.address, topic)]
    assert ids == [b"delivery-1", b"delivery-3", b"delivery-4"]


async def test_too_large_for_the_topic_is_rejected_without_its_neighbours(real_broker: Broker, topic: str) -> None:
    """A broker refuses a whole record batch for its size; each event of it is heard alone before it is given up."""
    await create_topic(real_broker, topic, {"max.message.bytes": "10000"})
    events = [transcript(number, text="x" * (30_000 if number == 3 else 3_000)) for number in range(1, 8)]
    async with opened(real_broker.address, topic=topic) as sink:
        with pytest.raises(SinkRejected) as caught:
            await sink.write(Batch(events))
        assert caught.value.events == (events[2],)
        await sink.write(Batch([transcript(8)]))
    ids = {dict(record.headers)["ce_id"] for record in await read_all(real_broker.address, topic)}
    assert ids == {b"delivery-%d" % number for number in (1, 2, 4, 5, 6, 7, 8)}


async def test_an_absent_topic_is_told_by_name_and_loses_nothing(real_broker: Broker, topic: str) -> None:
    """A topic that is not there is an error of the operator's: retryable, told with its cause, never a rejection."""
    config = {"allow.auto.create.topics": False}
    async with opened(real_broker.address, topic=topic, delivery_timeout_s=6, config=config) as sink:
        with pytest.raises(SinkNotConnected, match=r"(?i)unknown topic") as caught:
            await sink.write(Batch([transcript(1)]))
        assert caught.value.retryable


async def test_kill_dash_nine_in_the_middle_loses_nothing(real_broker: Broker, topic: str) -> None:
    """The broker dies and returns on the same data: all arrives, in order by key once repeats are taken out."""
    events: list[Event] = []
    progress, failed, back = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def deliver(sink: KafkaSink) -> None:
        while not back.is_set():
            begin = len(events) + 1
            batch = [transcript(number, subject=f"bot-{number % 7}") for number in range(begin, begin + 100)]
            events.extend(batch)
            done = False
            while not done:
                try:
                    await sink.write(Batch(batch))
                    done = True
                except SinkNotConnected:
                    failed.set()
                    with contextlib.suppress(SinkNotConnected):
                        await sink.open()
            if len(events) >= 1300:
                progress.set()

    async with opened(real_broker.address, topic=topic, delivery_timeout_s=1) as sink, asyncio.timeout(2 * WAIT_S):
        task = asyncio.create_task(deliver(sink))
        await progress.wait()
        failed.clear()
        await asyncio.to_thread(real_broker.kill)
        await failed.wait()
        await asyncio.to_thread(real_broker.start)
        back.set()
        await task
    assert ids_by_key(await read_all(real_broker.address, topic)) == expected_by_key(events)


async def test_a_frozen_broker_times_out_and_gets_the_batch_again(real_broker: Broker, topic: str) -> None:
    """No answer is no success: the batch is taken back in time, and its repetition keeps the order of each key."""
    events = [transcript(number, subject=f"bot-{number % 3}") for number in range(1, 601)]
    async with opened(real_broker.address, topic=topic, delivery_timeout_s=1) as sink:
        await write_until_taken(sink, events[:200])
        real_broker.freeze()
        try:
            started_s = time.monotonic()
            async with free_loop():
                with pytest.raises(SinkNotConnected, match="no acknowledgement within 1 s"):
                    await sink.write(Batch(events[200:400]))
            assert time.monotonic() - started_s < 20
        finally:
            real_broker.thaw()
        await write_until_taken(sink, events[200:400])
        await write_until_taken(sink, events[400:])
    assert ids_by_key(await read_all(real_broker.address, topic)) == expected_by_key(events)


async def write_until_taken(sink: KafkaSink, events: Sequence[Event]) -> None:
    """What the engine does: open again, repeat."""
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                await sink.write(Batch(events))
                return
            except SinkNotConnected:
                with contextlib.suppress(SinkNotConnected):
                    await sink.open()


async def test_repetition_leaves_out_what_was_acknowledged(real_broker: Broker, topic: str) -> None:
    """A batch that failed in part is repeated without the events whose acknowledgement was seen."""
    batch = Batch([transcript(1, subject="there"), transcript(2, subject="absent"), transcript(3, subject="there")])
    await create_topic(real_broker, f"{topic}.there")
    keys = {"delivery_timeout_s": 10, "config": {"allow.auto.create.topics": False}}
    async with opened(real_broker.address, topic=f"{topic}.{{subject}}", **keys) as sink:
        with pytest.raises(SinkNotConnected, match="1 of 3 events"):
            await sink.write(batch)
        await create_topic(real_broker, f"{topic}.absent")
        await sink.open()
        await sink.write(batch)
        await sink.write(Batch([transcript(4, subject="there")]))
    records = await read_all(real_broker.address, f"{topic}.there", f"{topic}.absent")
    ids = [dict(record.headers)["ce_id"] for record in records]
    assert sorted(ids) == [b"delivery-1", b"delivery-2", b"delivery-3", b"delivery-4"]


async def test_sasl_password_from_the_environment(
    real_broker: Broker, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker that asks for a password gets it; a wrong one is told as such, and never shown."""
    monkeypatch.setenv("LAKE_PASSWORD", SASL_PASSWORD)
    monkeypatch.setenv("OLD_PASSWORD", "hunter2")
    keys: dict[str, Any] = {
        "topic": topic,
        "config": {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.username": SASL_USER},
        "config_env": {"sasl.password": "LAKE_PASSWORD"},
    }
    async with opened(real_broker.sasl_address, **keys) as sink:
        await sink.write(Batch([transcript(1)]))
    assert len(await read_all(real_broker.address, topic)) == 1
    keys |= {"config_env": {"sasl.password": "OLD_PASSWORD"}, "delivery_timeout_s": 5}
    with pytest.raises(SinkNotConnected, match=r"(?i)authentication") as caught:
        await make_sink(real_broker.sasl_address, **keys).open()
    assert "hunter2" not in str(caught.value)


async def test_a_broker_that_dies_is_a_retryable_error_in_time(broker: Broker, topic: str) -> None:
    """Broker gone: ``write`` raises a retryable error within its timeout, and the loop is free meanwhile."""
    async with opened(broker.address, topic=topic, delivery_timeout_s=2) as sink:
        await write_until_taken(sink, [transcript(1)])
        await asyncio.to_thread(broker.kill)
        started_s = time.monotonic()
        async with free_loop():
            with pytest.raises(SinkNotConnected) as caught:
                await sink.write(Batch([transcript(2)]))
        assert time.monotonic() - started_s < 20
        assert caught.value.retryable and broker.address in str(caught.value)


async def test_a_cancelled_write_leaves_nothing_queued(broker: Broker, topic: str) -> None:
    """Cancelled at the drain limit: the messages are purged, the thread ends, all within a bound."""
    async with opened(broker.address, topic=topic, delivery_timeout_s=30) as sink:
        await asyncio.to_thread(broker.kill)
        writing = asyncio.create_task(sink.write(Batch([transcript(number) for number in range(1, 300)])))
        producer = sink._producer
        assert producer is not None
        async with asyncio.timeout(WAIT_S):
            # its length also counts errors that wait to be told
            while len(producer._producer) < 299:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        started_s = time.monotonic()
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        async with asyncio.timeout(20):
            while len(producer._producer):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    assert time.monotonic() - started_s < 25  # of the 30 that it might have taken
    assert not any(thread.name == "kafka-lake" for thread in threading.enumerate())


async def test_no_broker_at_open() -> None:
    """``open`` says in time which brokers do not answer, and lets go of what it created."""
    sink = make_sink("127.0.0.1:9", delivery_timeout_s=3)
    async with free_loop():
        with pytest.raises(SinkNotConnected, match=r"no Kafka broker answers at 127\.0\.0\.1:9: .*refused"):
            await sink.open()
    assert not any(thread.name == "kafka-lake" for thread in threading.enumerate())
    with pytest.raises(SinkNotConnected):
        await sink.write(Batch([transcript(1)]))
    await sink.close()
    await sink.close()


async def test_secrets_are_never_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A password, from the config or the environment, is in no repr, log line or error."""
    monkeypatch.setenv("LAKE_PASSWORD", "hunter2-env")
    plain = {"mechanism": "PLAIN", "username": "me"}
    config = {"security.protocol": "SASL_PLAINTEXT", "sasl": plain, "debug": "security,broker"}
    secret = {"sasl.password": "LAKE_PASSWORD"}
    sink = make_sink("127.0.0.1:9", delivery_timeout_s=3, config=config, config_env=secret)
    with capture_logs() as logs, pytest.raises(SinkNotConnected) as caught:
        await sink.open()
    assert logs
    wrong = make_sink("x:1", config={"ssl.key.password": "hunter2-toml", "security.protocol": "hunter2-toml"})
    with pytest.raises(ConfigError, match=r"sinks\.lake\.config: found .*hidden") as refused:
        await wrong.open()
    shown = [wrong._config, wrong._settings, sink._config, sink._settings, sink]
    assert "hunter2" not in f"{logs} {caught.value} {refused.value} {shown}"


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"config": {"acks": 1}}, "sinks.lake.config.acks: found 1, allowed all"),
        ({"config": {"enable.idempotence": False}}, "config.enable.idempotence: found false, allowed true"),
        ({"config": {"enable": {"idempotence": False}}}, "config.enable.idempotence: found false, allowed true"),
        ({"config": {"request.required.acks": "0"}}, "config.request.required.acks: found 0, allowed all"),
        ({"config": {"delivery.report.only.error": True}}, "delivery.report.only.error: found true, allowed false"),
        ({"config": {"transactional.id": "x"}}, "config.transactional.id: found x, allowed nothing"),
        ({"config": {"linger.ms": [1]}}, "config.linger.ms: found list, allowed text"),
        ({"config_env": {"sasl.password": "NOT_SET_ANYWHERE"}}, "config_env.sasl.password: found 'NOT_SET_ANYWHERE'"),
        ({"topic": "a b"}, "sinks.lake.topic: found 'a b', allowed letters"),
        ({"topic": "{room}"}, "sinks.lake.topic: found '{room}', allowed the placeholders"),
        ({"topic": "{type.x}"}, "allowed the placeholders"),
        ({"topic": "{type!r}"}, "allowed the placeholders"),
        ({"topic": "{type"}, "sinks.lake.topic: found '{type'"),
        ({"topic": ".."}, "sinks.lake.topic: found '..'"),
        ({"topic": ""}, "sinks.lake.topic: found ''"),
    ],
)
def test_what_the_guarantee_rests_on_cannot_be_configured_away(keys: dict[str, Any], problem: str) -> None:
    """A setting that would weaken the sink, or a topic that cannot be, is refused at start by name."""
    with pytest.raises(ConfigError) as caught:
        make_sink("x:1", **keys)
    assert problem in str(caught.value)


def test_any_other_setting_reaches_the_client() -> None:
    """Settings override the defaults; booleans and nested tables arrive as librdkafka writes them."""
    config = {"partitioner": "random", "socket": {"keepalive.enable": True}, "linger.ms": 2.5, "acks": "-1"}
    values = make_sink("x:1", config=config)._settings.values
    assert values["partitioner"] == "random"
    assert (values["socket.keepalive.enable"], values["linger.ms"]) == ("true", "2.5")
    assert (values["acks"], values["enable.idempotence"]) == ("all", "true")


@pytest.mark.parametrize("subject", ["", ".", "..", "../../etc", "a/b c", "x" * 400, "é世界", "\x00\n", "{type}"])
def test_a_topic_is_always_a_legal_name(subject: str) -> None:
    """Subjects come from strangers: whatever they hold, the topic is one that Kafka allows."""
    for template in ("{subject}", "m.{subject}", "{vendor}-{type}.{subject}"):
        name = TopicTemplate(template).name(status(1, subject=subject))
        assert name not in (".", "..")
        assert 1 <= len(name) <= TOPIC_BYTES_MAX
        assert all(letter.isascii() and (letter.isalnum() or letter in "._-") for letter in name)


def test_raw_stands_beside_the_data_without_secrets() -> None:
    """Binary mode: the vendor's body is ``ce_raw``, redacted unless secrets are asked for."""
    event = transcript(1)
    event.raw = b'{"text": "hi", "token": "hunter2"}'
    headers = dict(binary_message("t", event, raw=True).headers)
    assert json.loads(headers["ce_raw"]) == {"text": "hi", "token": "[redacted]"}
    assert dict(binary_message("t", event, raw=True, secrets=True).headers)["ce_raw"] == event.raw


@pytest.mark.parametrize(
    "event",
    [
        transcript(1, subject="bot é 1"),
        status(2),
        msgspec.structs.replace(transcript(3), vendorevent="transcript.done", id="lone \ud800"),
        msgspec.structs.replace(transcript(4), time_ns=-(1 << 62)),
        audio(5, b"\x00\x01"),
        msgspec.structs.replace(
            audio(6, b""),
            data=AudioChunk(
                codec="pcm_s16le", rate_hz=16000, channels=2, speaker=Person(id="7"), track="", first_sample=0,
                samples=960, gap_ms=12.5, session="s",
            ),
        ),
        msgspec.structs.replace(
            audio(7, b"x"), type="video.chunk", media_type="video/mp4", data=VideoChunk(codec="h264", width=640),
        ),
    ],
)  # fmt: skip
def test_every_attribute_is_a_header(event: Event) -> None:
    """What is made once for many events, and what for each, is together just what the contract lists, each once."""
    attributes = {name: value.encode("utf-8", "replace") for name, value in event.attributes().items()}
    expected = {"content-type": attributes.pop("datacontenttype")}
    expected |= {f"ce_{name}": value for name, value in attributes.items()}
    for _ in range(2):
        message = binary_message("t", event)
        assert dict(message.headers) == expected
        assert len(message.headers) == len(expected)


def test_headers_of_one_event_are_not_another_ones() -> None:
    """Events that differ in one of the texts that are made once do not get each other's."""
    events = [transcript(1, subject="a"), transcript(2, subject="b"), status(3, subject="a")]
    events += [msgspec.structs.replace(events[0], vendorevent="x"), msgspec.structs.replace(events[0], source="/d/e")]
    sound = audio(7, b"x")
    data: list[dict[str, Any]] = [
        {"track": "a"},
        {"rate_hz": 8000},
        {"speaker": Person(id="7")},
        {"speaker": Person(name="7")},
    ]
    for changes in data:
        other = msgspec.structs.replace(sound, data=msgspec.structs.replace(sound.data, **changes))
        events.append(other)
    for event in [*events, *events]:
        headers = dict(binary_message("t", event).headers)
        media = {
            name: headers.get(f"ce_{name}", b"").decode() for name in ("track", "ratehz", "speakerid", "speakername")
        }
        assert media == {name: event.attributes().get(name, "") for name in media}
        found = [headers.get(f"ce_{name}", b"").decode() for name in ("source", "type", "subject", "vendorevent")]
        assert found == [event.source, event.type, event.subject, event.vendorevent]
