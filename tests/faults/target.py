"""Far sides of our own that remember what they were given: an HTTP endpoint, and a topic of a real Kafka broker."""

import os
import tempfile
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from tests.kafka_broker import RealBroker, start_broker
from tests.kafka_reader import read_all


class HttpTarget:
    """Takes every event, and remembers how often it was sent which id. ``down``: it answers 503 and takes nothing."""

    def __init__(self) -> None:
        self.url = ""
        self.down = False
        self.ids: Counter[str] = Counter()
        #: called with each event
        self.look: Callable[[dict[str, Any]], None] = lambda event: None

    async def take(self, request: web.Request) -> web.Response:
        """Answer 204."""
        body = msgspec.json.decode(await request.read())
        if self.down:
            return web.Response(status=503)
        for event in body if isinstance(body, list) else [body]:
            self.ids[event["id"]] += 1
            self.look(event)
        return web.Response(status=204)


@asynccontextmanager
async def listening() -> AsyncIterator[HttpTarget]:
    """An :class:`HttpTarget` on a free loopback port."""
    target = HttpTarget()
    app = web.Application(client_max_size=0)
    app.router.add_post("/events", target.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        target.url = f"http://127.0.0.1:{runner.addresses[0][1]}/events"
        yield target
    finally:
        await runner.cleanup()


@contextmanager
def real_kafka() -> Iterator[str | None]:
    """The address of a real broker, gone at the end; ``None`` unless ``MEETING_RECEIVER_KAFKA`` is ``real``."""
    if os.environ.get("MEETING_RECEIVER_KAFKA") != "real":
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="faults-kafka-") as folder:
        broker = start_broker(Path(folder))
        assert isinstance(broker, RealBroker)
        try:
            yield broker.address
        finally:
            broker.stop()


def new_topic() -> str:
    """A name that no other run has used."""
    return f"faults-{uuid.uuid4().hex[:12]}"


async def read_topic(address: str, topic: str) -> list[tuple[str, str, int]]:
    """``(key, id, sequence)`` of every record, each partition in order, repeats included."""
    found = []
    for record in await read_all(address, topic):
        headers = dict(record.headers)
        found.append(((record.key or b"").decode(), headers["ce_id"].decode(), int(headers["ce_sequence"])))
    return found
