"""The far sides of a demonstration's sinks, each read without the sink's help.

Needs no broker: Kafka is the mock broker inside librdkafka, the HTTP target a small server of our own.
"""

import asyncio
import base64
import os
import secrets
import threading
import time
import wave
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from receiver.app import Receiver
from receiver.demo.books import Line
from receiver.events import DATA_TYPES, MEDIA_TYPES

SECRET_VARIABLE = "RECEIVER_DEMO_WEBHOOK_SECRET"  # noqa: S105 - the name of a variable
TOPIC = "meetings"
_CATCH_UP_S = 60.0
_READ_BACK_S = 20.0


def sinks_config(url: str, brokers: str, *, verbose: bool) -> dict[str, dict[str, Any]]:
    """The ``[sinks]`` of a demonstration; their secret is made anew and put into the environment."""
    os.environ[SECRET_VARIABLE] = new_secret()
    shown = ["transcript.final", "participant.*", "bot.status"] if verbose else ["transcript.final"]
    not_media = sorted(set(DATA_TYPES) - MEDIA_TYPES)  # the mock broker is no place for megabytes of sound
    return {
        "stdout": {"type": "stdout", "format": "text", "types": shown},
        "file": {"type": "file"},
        "wav": {"type": "wav"},
        "kafka": {"type": "kafka", "brokers": brokers, "topic": TOPIC, "types": not_media},
        "http": {"type": "http", "url": url, "secret_env": SECRET_VARIABLE},
    }


def new_secret() -> str:
    """A signing secret."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()


async def caught_up(receiver: Receiver, say: Callable[[str], None]) -> None:
    """Return when nothing waits for a sink any more, or it takes too long."""
    deadline_s = time.monotonic() + _CATCH_UP_S
    told_s = time.monotonic()
    while any(receiver.pending(name) for name in receiver.workers) and time.monotonic() < deadline_s:
        await asyncio.sleep(0.02)
        if time.monotonic() - told_s > 1:
            told_s = time.monotonic()
            say("still to deliver: " + ", ".join(f"{name} {receiver.pending(name):,}" for name in receiver.workers))


def far_sides(receiver: Receiver, sound_s: float, target: "Target", kafka_ids: int) -> dict[str, Line]:
    """What each far side has; ``sound_s``: how much was sent."""
    folder = receiver.settings.data_dir
    ids = [orjson.loads(line)["id"] for path in sorted((folder / "events").glob("*.jsonl")) for line in path.open("rb")]
    sinks = receiver.ledger.sinks
    unique = len(set(ids))
    return {
        "file": Line("distinct ids in lines" if unique == len(ids) else "lines", len(ids), sinks["file"].delivered),
        "wav": Line("ms of sound", _sound_ms(folder / "audio"), round(sound_s * 1000)),
        "kafka": Line("distinct ids read back", kafka_ids, sinks["kafka"].delivered),
        "http": Line("distinct ids received", len(target.ids), sinks["http"].delivered),
    }


def _sound_ms(folder: Path) -> int:
    total_s = 0.0
    for path in folder.glob("*.wav"):
        with wave.open(str(path)) as file:
            total_s += file.getnframes() / file.getframerate()
    return round(total_s * 1000)


class Target:
    """An HTTP endpoint that remembers the ids it was sent."""

    def __init__(self) -> None:
        self.url = ""
        self.ids: set[str] = set()

    async def take(self, request: web.Request) -> web.Response:
        """One CloudEvents batch."""
        self.ids.update(event["id"] for event in orjson.loads(await request.read()))
        return web.Response(status=204)


@asynccontextmanager
async def http_target() -> AsyncIterator[Target]:
    """It listens until the block ends."""
    target = Target()
    app = web.Application(client_max_size=1 << 30)
    app.router.add_post("/events", target.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        target.url = f"http://127.0.0.1:{runner.addresses[0][1]}/events"
        yield target
    finally:
        await runner.cleanup()


@asynccontextmanager
async def mock_kafka() -> AsyncIterator[str]:
    """librdkafka's own broker, for as long as the client that hosts it lives; yields its address."""
    host = Producer({"bootstrap.servers": "127.0.0.1:1", "test.mock.num.brokers": 1, "log_level": 0})
    metadata = await asyncio.to_thread(host.list_topics, None, 10.0)
    yield ",".join(f"{broker.host}:{broker.port}" for broker in metadata.brokers.values())
    await asyncio.to_thread(host.flush, 1.0)


class KafkaReader:
    """An independent consumer that reads along: the mock broker keeps only a few megabytes."""

    def __init__(self, brokers: str) -> None:
        self._consumer = Consumer(
            {"bootstrap.servers": brokers, "group.id": "demo", "allow.auto.create.topics": True, "log_level": 0}
        )
        self._ids: set[str] = set()
        self._wanted: int | None = None
        self._deadline_s = 0.0
        self._thread = threading.Thread(target=self._run, name="demo-kafka-reader", daemon=True)
        self._thread.start()

    def finish(self, wanted: int) -> int:
        """Read on until ``wanted`` distinct ids were found or time is up; how many there were."""
        self._deadline_s = time.monotonic() + _READ_BACK_S
        self._wanted = wanted
        self._thread.join()
        return len(self._ids)

    def _run(self) -> None:
        # partitions by hand: the mock broker lets a consumer group wait for seconds before it may read
        partitions = self._consumer.list_topics(TOPIC, _READ_BACK_S).topics[TOPIC].partitions
        self._consumer.assign([TopicPartition(TOPIC, number, OFFSET_BEGINNING) for number in partitions])
        while self._wanted is None or (len(self._ids) < self._wanted and time.monotonic() < self._deadline_s):
            for message in self._consumer.consume(1000, 0.1):
                if message.error():
                    continue
                headers: dict[str, Any] = dict(message.headers() or ())
                self._ids.add(str(headers.get("ce_id", b""), "utf-8"))
        self._consumer.close()
