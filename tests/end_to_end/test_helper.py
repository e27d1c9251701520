"""The helper as a process: a server that starts with much to catch up, and all that may end either of the two."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest

from receiver.journal.base import EVENTS, MEDIA, QUARANTINE
from receiver.journal.lane import LaneLimits
from receiver.journal.sqlite import SqliteJournal
from receiver.record import Record
from receiver.vendors import decode_record
from sinks.base import Batch, SinkConfig
from tests.end_to_end.process import PATIENCE_S, Server, read_events, until
from tests.plugin_site import offer
from tests.support import JOINING

#: an hour ago, so that it is far behind
_AGO_NS = 3600 * 10**9
_MANY = 12_000
#: each batch waits for the disk, so that all of it takes some seconds
_SLOW = '[sinks.file]\ntype = "file"\nbatch_events = 4\n'
_KEYS = "helper_after_s = 0.5"
_ROOT = Path(__file__).parent.parent.parent


async def fill(data_dir: Path, count: int = _MANY) -> None:
    """A journal in which so many callbacks of four bots wait."""
    lanes = dict.fromkeys((EVENTS, MEDIA, QUARANTINE), LaneLimits())
    journal = SqliteJournal(data_dir / "journal", lanes)
    begin_ns = time.time_ns() - _AGO_NS
    for number in range(count):
        payload = msgspec.json.encode(JOINING | {"bot_id": f"bot-{number % 4}", "message": f"this is number {number}"})
        record = Record(
            vendor="meetstream", endpoint="default", kind="body", channel="http", payload=payload,
            received_ns=begin_ns + number * 1000, key=number.to_bytes(16),
        )  # fmt: skip
        record.events = decode_record(record).events
        last = journal.submit(record)
    await last
    await journal.close()


@asynccontextmanager
async def behind(folder: Path, count: int = _MANY) -> AsyncIterator[Server]:
    """A server that is about to start there."""
    server = Server(folder, _SLOW, keys=_KEYS)
    await fill(server.data_dir, count)
    try:
        yield server
    finally:
        await server.kill()


def written(server: Server) -> list[str]:
    """What the file sink has, in its order."""
    return [event["data"]["message"] for event in read_events(server.data_dir / "events")]


async def written_so_far(server: Server, least: int) -> None:
    """In whole lines: the next one may be half written at that moment."""
    files = server.data_dir / "events"
    await until(
        lambda: sum(path.read_bytes().count(b"\n") for path in files.glob("*.jsonl")) >= least, "some of it is done"
    )


def messages(count: int = _MANY) -> list[str]:
    return [f"this is number {number}" for number in range(count)]


async def helper_of(server: Server) -> int:
    """The process, once it delivers."""
    await until(lambda: server.said("sink.away"), "the sink is away")
    pid: int = server.said("helper.started")[-1]["pid"]
    return pid


async def send(server: Server, sent: signal.Signals) -> None:
    """To the helper that delivers: on a busy machine, one that has just come in another's place."""
    while True:
        try:
            os.kill(await helper_of(server), sent)
        except ProcessLookupError:
            continue
        return


async def alive(pid: int) -> bool:
    """Whether there is such a process, and not only what is left of one."""
    try:
        return "\nState:\tZ" not in await asyncio.to_thread(Path(f"/proc/{pid}/status").read_text)
    except FileNotFoundError:
        return False


async def gone(pid: int) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while await alive(pid):
        assert time.monotonic() < deadline_s, "the helper outlives its server"
        await asyncio.sleep(0.002)


async def test_it_delivers_what_was_missed_while_the_server_serves(tmp_path: Path) -> None:
    """Each event once and in order, the books balance, the sink is up all the while, and the helper goes in the end."""
    async with behind(tmp_path) as server:
        await server.start()
        pid = await helper_of(server)
        metrics = await server.metrics()
        assert metrics["receiver_sink_away{sink=file}"] == metrics["receiver_sink_up{sink=file}"] == 1
        assert os.getpriority(os.PRIO_PROCESS, server.pid) == 0
        metrics = await server.caught_up("file")
        await until(lambda: server.said("sink.back"), "the sink is back")
        assert metrics["receiver_sink_delivered_total{sink=file}"] == _MANY
        assert written(server) == messages()
        metrics = await server.metrics()
        assert metrics["receiver_sink_away{sink=file}"] == 0 and metrics["receiver_sink_up{sink=file}"] == 1
        await until(lambda: server.said("helper.done"), "the helper is not needed any more")
        await gone(pid)
        assert await server.stop() == 0 and not server.errors()


@pytest.mark.parametrize(("sent", "told"), [(signal.SIGKILL, "helper.failed"), (signal.SIGSTOP, "helper.silent")])
async def test_a_helper_that_is_killed_or_stuck_costs_nothing(sent: signal.Signals, told: str, tmp_path: Path) -> None:
    """The server's own worker goes on behind what was said to be done. A helper says each second that it lives; where
    it does not for ten of them, it is ended."""
    async with behind(tmp_path) as server:
        await server.start()
        await helper_of(server)
        await written_so_far(server, _MANY // 4)
        await send(server, sent)
        metrics = await server.caught_up("file")
        assert metrics["receiver_sink_delivered_total{sink=file}"] == _MANY
        assert written(server) == messages() and server.said(told)
        assert await server.stop() == 0 and not server.errors()


@pytest.fixture
def busy() -> Iterator[None]:
    """There is one core, for this process and those that it starts, and somebody else wants it all the time."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
        other.kill()
        other.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="needs a scheduler that can be asked")
@pytest.mark.usefixtures("busy")
async def test_a_helper_that_others_leave_no_time_is_given_some(tmp_path: Path) -> None:
    """It takes a core only when nobody wants it. Where somebody always does, another one comes that is given its share;
    the first one ends its write, so that each event is there once."""
    async with behind(tmp_path) as server:
        await server.start()
        metrics = await server.caught_up("file")
        assert metrics["receiver_sink_delivered_total{sink=file}"] == _MANY
        assert written(server) == messages() and server.said("helper.starves")
        assert len(server.said("helper.started")) == 2 and not server.said("helper.failed")
        assert await server.stop() == 0 and not server.errors()


async def test_a_server_that_is_killed_takes_its_helper_along(tmp_path: Path) -> None:
    """Wherever they are, also while it starts: the next server can begin at once, and the file has each event once."""
    async with behind(tmp_path) as server:
        await server.start()
        await until(lambda: server.said("helper.started"), "there is a helper")
        for enough in (_MANY // 8, _MANY // 4, _MANY // 2):
            pid: int = server.said("helper.started")[0]["pid"]
            await server.kill()
            await server.start()
            await gone(pid)
            await helper_of(server)
            await written_so_far(server, enough)
        await server.caught_up("file")
        assert written(server) == messages()
        assert await server.stop() == 0 and not server.errors()


@pytest.mark.parametrize("count", [_MANY, 10 * _MANY])
async def test_a_stop_finishes_or_leaves_the_rest_to_the_next_start(count: int, tmp_path: Path) -> None:
    """As far as there is time; the helper writes no longer than the server is there, and ends with a whole line."""
    server = Server(tmp_path, _SLOW, keys=_KEYS, drain_s=PATIENCE_S if count == _MANY else 2.0)
    await fill(server.data_dir, count)
    try:
        await server.start()
        pid = await helper_of(server)
        assert await server.stop() == 0
        assert not await alive(pid)
        found = written(server)
        assert found == messages(len(found)) and (len(found) == count) == (count == _MANY)
    finally:
        await server.kill()


async def test_a_server_that_takes_over_goes_on_where_the_helper_was(tmp_path: Path) -> None:
    """`receiver reload --restart`: the data folder is not given away before the helper is gone."""
    async with behind(tmp_path) as server:
        await server.start()
        pid = await helper_of(server)
        reload = await asyncio.create_subprocess_exec(*server.command("reload", "--restart"))
        assert await asyncio.wait_for(reload.wait(), PATIENCE_S) == 0
        assert not await alive(pid)
        await server.caught_up("file")
        assert written(server) == messages() and not server.errors()


class Slow:
    """A sink that tells in the file ``TOLD`` when a write begins and when it ends: in the helper, a while later."""

    Config: ClassVar[type[SinkConfig]] = SinkConfig
    portable: ClassVar[bool] = True

    def __init__(self, name: str, config: SinkConfig, data_dir: Path) -> None:
        self._told = Path(os.environ["TOLD"])

    async def open(self) -> None:
        """Nothing to reach."""

    async def write(self, batch: Batch) -> None:
        """Nothing is kept."""
        self._tell("begin")
        await asyncio.sleep(0.2 if "helping" in sys.argv[0] else 0)
        self._tell("end")

    async def close(self) -> None:
        """Nothing to let go."""

    def _tell(self, what: str) -> None:
        with self._told.open("a") as file:
            file.write(f"{what}\n")


async def test_a_stop_without_time_for_all_lets_the_write_under_way_end(tmp_path: Path) -> None:
    """The helper is not killed in the midst of it."""
    offer(tmp_path, "slow", slow=f"{__name__}:{Slow.__name__}")
    told = tmp_path / "told"
    environ = {"PYTHONPATH": os.pathsep.join((str(tmp_path), str(_ROOT))), "TOLD": str(told)}
    section = '[sinks.slow]\ntype = "slow"\nbatch_events = 1\n'
    server = Server(tmp_path, section, keys=_KEYS, drain_s=2.0, environ=environ)
    await fill(server.data_dir, 1000)
    try:
        await server.start()
        await helper_of(server)
        assert await server.stop() == 0
        (late,) = server.said("server.drain.incomplete")
        assert late["sinks"] == ["slow"]
        lines = told.read_text().splitlines()
        assert lines == ["begin", "end"] * (len(lines) // 2)
    finally:
        await server.kill()
