"""The demonstration: the real server, real sinks with real far sides on loopback, simulated meetings, and the books.

Needs no broker and no account: Kafka is the mock broker inside librdkafka, the HTTP target a small server of our own.
Both are read independently of the sinks that fill them.
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

import msgspec
import orjson
from aiohttp import web
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from receiver.app import Receiver
from receiver.events import DATA_TYPES, MEDIA_TYPES
from receiver.settings import Settings, from_dict
from receiver.simulator import Tally, play

_SECRET_VARIABLE = "RECEIVER_DEMO_WEBHOOK_SECRET"  # noqa: S105 - the name of a variable
_TOPIC = "meetings"
_CATCH_UP_S = 60.0
_READ_BACK_S = 20.0


class Line(msgspec.Struct, frozen=True):
    """One row of the books: what it is, what was expected, what was found; ``None``: nothing to compare with."""

    what: str
    found: int
    expected: int | None = None

    @property
    def holds(self) -> bool:
        """Whether it balances."""
        return self.expected is None or self.found == self.expected


class SinkRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a sink did, and what was found at its far side."""

    name: str
    delivered: int
    filtered: int
    dead: int
    pending: int
    found: Line | None

    @property
    def holds(self) -> bool:
        """Whether nothing is missing: nothing pending or dead, and the far side has it all."""
        return self.pending == 0 and self.dead == 0 and (self.found is None or self.found.holds)


class Report(msgspec.Struct):
    """What the demonstration found, and where its files are."""

    lines: list[Line]
    sinks: list[SinkRow]
    files: list[Path]
    took_s: float

    @property
    def balanced(self) -> bool:
        """Whether every row holds."""
        return all(line.holds for line in self.lines) and all(row.holds for row in self.sinks)


async def run_demo(
    data_dir: Path, *, meetings: int, speed: float, seed: int, say: Callable[[str], None], tally: Tally
) -> Report:
    """Play ``meetings`` at a fresh server below ``data_dir`` and balance the books. Raises what ``Receiver`` raises."""
    started_s = time.monotonic()
    os.environ[_SECRET_VARIABLE] = "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()
    async with _http_target() as target, _mock_kafka() as brokers:
        receiver = Receiver(_settings(data_dir, target.url, brokers, verbose=meetings <= 3))
        await receiver.start()
        reader = _KafkaReader(brokers)
        try:
            endpoint = f"{receiver.url}/meetstream/default"
            say(f"server on {receiver.url}, playing {meetings} meeting{'s' * (meetings != 1)} at {endpoint}")
            await play(endpoint, meetings=meetings, speed=speed, seed=seed, tally=tally, on_progress=_progress(say))
            say("meetings are over, waiting for the sinks")
            await _caught_up(receiver, say)
        finally:
            await receiver.stop()
        say("reading back what arrived in Kafka")
        kafka_ids = await asyncio.to_thread(reader.finish, receiver.ledger.sink("kafka").delivered)
        far_sides = _far_sides(receiver, tally, target, kafka_ids)
    files = [receiver.settings.data_dir / name for name in ("events", "audio", "journal")]
    rows = _sink_rows(receiver, far_sides)
    return Report(_intake_lines(receiver, tally), rows, files, time.monotonic() - started_s)


def _settings(data_dir: Path, url: str, brokers: str, *, verbose: bool) -> Settings:
    shown = ["transcript.final", "participant.*", "bot.status"] if verbose else ["transcript.final"]
    not_media = sorted(set(DATA_TYPES) - MEDIA_TYPES)  # the mock broker is no place for megabytes of sound
    sinks: dict[str, dict[str, Any]] = {
        "stdout": {"type": "stdout", "format": "text", "types": shown},
        "file": {"type": "file"},
        "wav": {"type": "wav"},
        "kafka": {"type": "kafka", "brokers": brokers, "topic": _TOPIC, "types": not_media},
        "http": {"type": "http", "url": url, "secret_env": _SECRET_VARIABLE},
    }
    endpoints: dict[str, Any] = {"meetstream": {"default": {}}}
    return from_dict({"data_dir": str(data_dir), "server": {"port": 0}, "endpoints": endpoints, "sinks": sinks})


def _progress(say: Callable[[str], None]) -> Callable[[str, str], None]:
    return lambda bot_id, what: say(f"{bot_id[:8]} {what}")


async def _caught_up(receiver: Receiver, say: Callable[[str], None]) -> None:
    deadline_s = time.monotonic() + _CATCH_UP_S
    told_s = time.monotonic()
    while any(receiver.pending(name) for name in receiver.workers) and time.monotonic() < deadline_s:
        await asyncio.sleep(0.02)
        if time.monotonic() - told_s > 1:
            told_s = time.monotonic()
            say("still to deliver: " + ", ".join(f"{name} {receiver.pending(name):,}" for name in receiver.workers))


def _intake_lines(receiver: Receiver, tally: Tally) -> list[Line]:
    book = receiver.ledger.endpoint("meetstream", "default")
    sent = tally.posts_sent + tally.frames_sent + tally.text_messages_sent + tally.video_pieces_sent
    return [
        Line("sent: callbacks and other POSTs", tally.posts_sent),
        Line("sent: audio frames", tally.frames_sent),
        Line("sent: messages and video on sockets", tally.text_messages_sent + tally.video_pieces_sent),
        Line("answered 2xx", tally.posts_accepted, tally.posts_sent),
        Line("received", book.received, sent),
        Line("duplicates merged", book.duplicates, tally.duplicates_sent),
        Line("refused, quarantined or failed", book.refused + book.quarantined + book.failed, 0),
        Line("journalled", book.journalled, sent - tally.duplicates_sent),
    ]


def _sink_rows(receiver: Receiver, found: dict[str, Line]) -> list[SinkRow]:
    rows = []
    for name in receiver.workers:
        book = receiver.ledger.sink(name)
        rows.append(
            SinkRow(
                name=name,
                delivered=book.delivered,
                filtered=book.filtered,
                dead=book.dead,
                pending=receiver.pending(name),
                found=found.get(name),
            )
        )
    return rows


def _far_sides(receiver: Receiver, tally: Tally, target: "_Target", kafka_ids: int) -> dict[str, Line]:
    """What each far side has, counted without the sink's help."""
    folder = receiver.settings.data_dir
    ids = [orjson.loads(line)["id"] for path in sorted((folder / "events").glob("*.jsonl")) for line in path.open("rb")]
    sinks = receiver.ledger.sinks
    unique = len(set(ids))
    return {
        "file": Line("distinct ids in lines" if unique == len(ids) else "lines", len(ids), sinks["file"].delivered),
        "wav": Line("ms of sound", _sound_ms(folder / "audio"), round(tally.audio_s * 1000)),
        "kafka": Line("distinct ids read back", kafka_ids, sinks["kafka"].delivered),
        "http": Line("distinct ids received", len(target.ids), sinks["http"].delivered),
    }


def _sound_ms(folder: Path) -> int:
    total_s = 0.0
    for path in folder.glob("*.wav"):
        with wave.open(str(path)) as file:
            total_s += file.getnframes() / file.getframerate()
    return round(total_s * 1000)


class _Target:
    """An HTTP endpoint that remembers the ids it was sent."""

    def __init__(self) -> None:
        self.url = ""
        self.ids: set[str] = set()

    async def take(self, request: web.Request) -> web.Response:
        """One CloudEvents batch."""
        self.ids.update(event["id"] for event in orjson.loads(await request.read()))
        return web.Response(status=204)


@asynccontextmanager
async def _http_target() -> AsyncIterator[_Target]:
    target = _Target()
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
async def _mock_kafka() -> AsyncIterator[str]:
    """librdkafka's own broker, for as long as the client that hosts it lives; yields its address."""
    host = Producer({"bootstrap.servers": "127.0.0.1:1", "test.mock.num.brokers": 1, "log_level": 0})
    metadata = await asyncio.to_thread(host.list_topics, None, 10.0)
    yield ",".join(f"{broker.host}:{broker.port}" for broker in metadata.brokers.values())
    await asyncio.to_thread(host.flush, 1.0)


class _KafkaReader:
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
        partitions = self._consumer.list_topics(_TOPIC, _READ_BACK_S).topics[_TOPIC].partitions
        self._consumer.assign([TopicPartition(_TOPIC, number, OFFSET_BEGINNING) for number in partitions])
        while self._wanted is None or (len(self._ids) < self._wanted and time.monotonic() < self._deadline_s):
            for message in self._consumer.consume(1000, 0.1):
                if message.error():
                    continue
                headers: dict[str, Any] = dict(message.headers() or ())
                self._ids.add(str(headers.get("ce_id", b""), "utf-8"))
        self._consumer.close()
