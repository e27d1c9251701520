"""Sinks of other packages live in a thread and a loop of their own: whatever they do there, nobody else notices."""

import asyncio
import gc
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import ClassVar

import aiohttp
import pytest

from receiver.delivery.island import Island
from receiver.errors import ConfigError
from receiver.events import BotStatus, Event
from sinks.base import Batch, SinkConfig, SinkRejected
from tests.support import JOINING, events_in, running, until

EVENT = Event(id="a", source="/v/e", type="bot.status", time_ns=1, received_ns=1, data=BotStatus(status="joining"))
BATCH = Batch([EVENT])
LIMIT_S = 20
Place = tuple[int, asyncio.AbstractEventLoop]


class Guest:
    """A sink that notes where each call is made, and does ``todo`` in ``write``."""

    Config: ClassVar[type[SinkConfig]] = SinkConfig

    def __init__(self, todo: Callable[[Batch], object] = lambda batch: None) -> None:
        self.todo = todo
        self.places: list[Place] = [self.here()]
        self.began = threading.Event()

    @staticmethod
    def here() -> Place:
        return threading.get_ident(), asyncio.get_running_loop()

    async def open(self) -> None:
        self.places.append(self.here())

    async def write(self, batch: Batch) -> None:
        self.places.append(self.here())
        self.began.set()
        found = self.todo(batch)
        if asyncio.iscoroutine(found):
            await found

    async def close(self) -> None:
        self.places.append(self.here())


async def called_off(island: Island, guest: Guest) -> None:
    """A write that is cancelled once the guest has begun with it."""
    writing = asyncio.ensure_future(island.write(BATCH))
    await until(guest.began.is_set)
    writing.cancel()
    async with asyncio.timeout(LIMIT_S / 2):
        with pytest.raises(asyncio.CancelledError):
            await writing


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Opened at the end, so that no thread is left behind."""
    gate = threading.Event()
    yield gate
    gate.set()


async def test_everything_happens_in_one_thread_and_loop_of_its_own() -> None:
    """Also the building: clients that belong to a thread, and objects that belong to a loop, are at home."""
    guest: list[Guest] = []

    def make() -> Guest:
        guest.append(Guest())
        return guest[0]

    island = Island("x", make)
    for call in (island.open(), island.write(BATCH), island.close(), island.open(), island.close()):
        await call
    (place,) = set(guest[0].places)
    assert len(guest[0].places) == 6 and place[0] != threading.get_ident()
    assert place[1] is not asyncio.get_running_loop()


async def test_a_sink_that_blocks_does_not_block_the_server(gate: threading.Event) -> None:
    """It waits for what this loop does next: in this loop, it would wait for ever."""
    island = Island("x", lambda: Guest(lambda batch: gate.wait(LIMIT_S)))
    async with asyncio.timeout(LIMIT_S / 2), asyncio.TaskGroup() as tasks:
        writing = tasks.create_task(island.write(BATCH))
        await asyncio.sleep(0.01)
        assert not writing.done()
        gate.set()


async def test_a_sink_that_is_stuck_is_left_behind(gate: threading.Event) -> None:
    """Cancelling the call returns at once; the next one waits its turn, under whatever limit its caller sets."""
    guest = Guest(lambda batch: gate.wait(LIMIT_S))
    island = Island("x", lambda: guest)
    await called_off(island, guest)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await island.close()
    assert len(guest.places) == 2
    gate.set()
    await island.close()
    assert len(guest.places) in (3, 4)  # the one that was called off may have begun before it heard


async def test_a_cancelled_call_is_cancelled_over_there() -> None:
    """What waits in a well-behaved way ends at once, and the next call has its turn."""
    ended = threading.Event()

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    guest = Guest(lambda batch: hang())
    island = Island("x", lambda: guest)
    await called_off(island, guest)
    await island.close()
    assert ended.is_set()


async def test_what_it_raises_arrives_as_it_is() -> None:
    """Refusals name the very events of the batch, a config error its key."""

    def refuse(batch: Batch) -> None:
        raise SinkRejected("too large", batch.events[:1])

    with pytest.raises(SinkRejected) as refusal:
        await Island("x", lambda: Guest(refuse)).write(BATCH)
    assert refusal.value.events[0] is EVENT

    def broken() -> Guest:
        raise ConfigError("sinks.x.key: found nothing, allowed something")

    with pytest.raises(ConfigError, match="found nothing"):
        Island("x", broken)


@pytest.mark.parametrize("leave", [lambda: sys.exit(1), lambda: asyncio.get_running_loop().stop()])
async def test_it_cannot_end_the_program_or_its_loop(leave: Callable[[], None]) -> None:
    """`sys.exit` is a failure like any other; a stopped loop goes on."""
    todo = [leave]
    island = Island("x", lambda: Guest(lambda batch: todo.pop()() if todo else None))
    async with asyncio.timeout(LIMIT_S):
        try:
            await island.write(BATCH)
        except RuntimeError as error:
            assert "SystemExit" in str(error)
        await island.write(BATCH)
        await island.close()


async def test_context_goes_along() -> None:
    """What is bound to a log line here is bound there, too."""
    variable: ContextVar[str] = ContextVar("variable", default="")
    seen: list[str] = []
    island = Island("x", lambda: Guest(lambda batch: seen.append(variable.get())))
    variable.set("here")
    await island.write(BATCH)
    assert seen == ["here"]


async def test_its_thread_ends_with_it() -> None:
    """A reload that drops a sink leaves no thread."""
    guest = Guest()
    island = Island("passing", lambda: guest)
    await island.close()
    assert any(thread.name == "sink-passing" for thread in threading.enumerate())
    del island
    gc.collect()
    await until(lambda: not any(thread.name == "sink-passing" for thread in threading.enumerate()))


SOURCE = """
import threading
from sinks.base import SinkConfig

GATE = threading.Event()

class BlockingSink:
    Config = SinkConfig
    def __init__(self, name, config, data_dir): ...
    async def open(self): ...
    async def write(self, batch):
        GATE.wait(20)
    async def close(self): ...
"""


async def test_a_server_with_a_plugin_that_blocks_serves_and_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other sink gets its events, /metrics and /readyz tell what hangs, and the stop does not wait for it."""
    site = tmp_path / "site"
    info = site / "blocky-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: blocky\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[meeting_receiver.sinks]\nblocky = blocky:BlockingSink\n")
    (site / "blocky.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(site))
    sinks = {"bad": {"type": "blocky"}, "file": {"type": "file", "fsync": False}}
    async with asyncio.timeout(2 * LIMIT_S), running(tmp_path, sinks=sinks, server={"drain_s": 0.5}) as server:
        url = server.url + "/meetstream/default"
        async with aiohttp.ClientSession() as client:
            for serial in range(5):
                stamp = f"2026-06-10T09:00:0{serial}.000Z"
                async with client.post(url, json={**JOINING, "timestamp": stamp}) as reply:
                    assert reply.status == 200
            await until(lambda: len(events_in(tmp_path)) == 5)
            book = server.ledger.sinks["bad"]
            assert (book.doing, book.failures, book.delivered) == ("write", 0, 0)
            book.doing_since_s = time.monotonic() - 73
            async with client.get(server.url + "/readyz") as reply:
                assert (await reply.json())["sinks"]["bad"].startswith("write under way for 7")
    sys.modules["blocky"].GATE.set()
