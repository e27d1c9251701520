"""Meetings over the ends and beginnings of a real server: what was known is known again, without reading it all."""

import json
from pathlib import Path
from typing import Any

from structlog.testing import capture_logs

from receiver.app import Receiver
from receiver.settings import from_dict
from tests.ingress.test_door import Successor
from tests.live.test_meetings import AT, DELIVERIES, deliver, get, known, said
from tests.support import running, settings_dict, until

NAME = "meetings.snapshot"


async def in_book(server: Receiver, events: int) -> None:
    """Wait until so many events of this or an earlier server are in the book."""
    await until(lambda: server.live.tracker is not None and server.live.tracker.book.events == events)


async def answers(server: Receiver) -> list[Any]:
    """All that is told of meetings."""
    paths = ("/meetings", AT, f"{AT}/transcript.json")
    return [json.loads((await get(server, path))[2]) for path in paths]


def read_again(logs: list[Any]) -> list[int]:
    """How many meetings each start found in its file."""
    return [one["meetings"] for one in logs if one["event"] == "meetings.snapshot.read"]


async def test_a_server_that_was_stopped_knows_at_once(tmp_path: Path) -> None:
    """The file is written at a stop, and it is the whole truth then: the answers are the same."""
    async with running(tmp_path) as server:
        await deliver(server, *DELIVERIES)
        await known(server)
        before = await answers(server)
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600
    with capture_logs() as logs:
        async with running(tmp_path) as server:
            await until(lambda: server.live.rebuilt)
            assert await answers(server) == before
            tracker = server.live.tracker
            assert tracker is not None and tracker.last is None and tracker.cursor == server.journal.head
    assert read_again(logs) == [1]


async def test_without_its_file_a_server_knows_the_same(tmp_path: Path) -> None:
    """Whoever removes it loses nothing."""
    async with running(tmp_path) as server:
        await deliver(server, *DELIVERIES)
        await known(server)
        before = await answers(server)
    (tmp_path / NAME).unlink()
    with capture_logs() as logs:
        async with running(tmp_path) as server:
            await until(lambda: server.live.rebuilt)
            assert await answers(server) == before
    assert read_again(logs) == [] and (tmp_path / NAME).exists()


async def test_servers_that_follow_one_another(tmp_path: Path) -> None:
    """The second reads what the first wrote when it let go; the first, taking back, what the second did since."""
    with capture_logs() as logs:
        async with running(tmp_path) as first:
            await deliver(first, DELIVERIES[0], DELIVERIES[1])
            await in_book(first, 2)
            await first.let_go(Successor())
            second = Receiver(from_dict(settings_dict(tmp_path), {}))
            await second.start()
            await deliver(second, DELIVERIES[2])
            assert (await known(second))["events"] == 3
            await second.stop()
            await first.take_back()
            await deliver(first, said("And so on.", 9))
            await in_book(first, 4)
            whole = await answers(first)
        (tmp_path / NAME).unlink()
        async with running(tmp_path) as server:
            await until(lambda: server.live.rebuilt)
            assert await answers(server) == whole
    assert read_again(logs) == [1, 1]


async def test_an_older_file_of_a_predecessor_hides_nothing(tmp_path: Path) -> None:
    """What the journal has beyond it is read, whoever wrote it."""
    async with running(tmp_path) as server:
        await deliver(server, DELIVERIES[0])
        await in_book(server, 1)
    older = (tmp_path / NAME).read_bytes()
    async with running(tmp_path) as server:
        await deliver(server, *DELIVERIES[1:])
        await known(server)
        before = await answers(server)
    (tmp_path / NAME).write_bytes(older)
    with capture_logs() as logs:
        async with running(tmp_path) as server:
            await until(lambda: server.live.rebuilt)
            assert await answers(server) == before
    assert read_again(logs) == [1]


async def test_a_server_stops_though_nothing_can_be_written(tmp_path: Path) -> None:
    """The file only saves time; without it nothing fails but itself."""
    (tmp_path / NAME).mkdir()
    with capture_logs() as logs:
        async with running(tmp_path) as server:
            await deliver(server, *DELIVERIES)
            await known(server)
    assert [one["event"] for one in logs if one["log_level"] == "error"] == ["meetings.snapshot.failed"] * 2
