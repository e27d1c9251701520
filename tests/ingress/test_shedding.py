"""A disk that runs full: media go first, transcripts next, callbacks last. Counted, told, and recovered from."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from receiver.app import Receiver
from receiver.errors import ConfigError, DiskFull, JournalUnavailable, Shed
from receiver.ingress.shedding import KINDS, Kind, Marks, Shedding, decide
from receiver.settings import from_dict
from tests.disk import SmallDisk, small_disk
from tests.ingress.sockets import book_of, dialled, received, sound
from tests.ingress.test_http import call
from tests.support import JOINING, drained, events_in, running, until

MIB = 1 << 20
MARKS = Marks(media=200, transcript=100)
TRANSCRIPT = {
    "event": "transcript", "bot_id": "bot-1", "transcript": "words", "speakerName": "A", "is_final": True,
}  # fmt: skip


# ---- the rule


@pytest.mark.parametrize(
    ("free", "shed", "full", "wanted"),
    [
        (200, "", None, ""),
        (199, "", None, "media"),
        (249, "media", None, "media"),
        (250, "media", None, ""),
        (100, "media", None, "media"),
        (99, "media", None, "media transcript"),
        (124, "media transcript", None, "media transcript"),
        (125, "media transcript", None, "media"),
        (0, "", None, "media transcript"),
        (10_000, "", "media", "media"),
        (10_000, "", "transcript", "media transcript"),
        (10_000, "", "callback", "media transcript callback"),
        (150, "", "callback", "media transcript callback"),
    ],
)
def test_what_is_shed(free: int, shed: str, full: Kind | None, wanted: str) -> None:
    """Below its mark a kind goes; it comes back at a quarter more; who fails takes along all that weighs less."""
    before: Any = shed.split()
    assert decide(free, MARKS, before, full) == set(wanted.split())


def test_callbacks_are_tried_whatever_the_disk_says() -> None:
    """Only a commit knows whether there is space; refusing them unseen would lose what could have been kept."""
    shedding = Shedding(MARKS, dict.fromkeys(KINDS, 0))
    shedding.observe(0, ["callback"], 1.0)
    assert shedding.kinds == set(KINDS) and not shedding.refuses("callback")
    shedding.require("callback")
    for kind in ("media", "transcript"):
        with pytest.raises(Shed):
            shedding.require(kind)


def test_a_disk_that_flickers_makes_nobody_flicker() -> None:
    """After a commit that failed nothing lesser is taken for five seconds, however much space the disk says it has."""
    shedding = Shedding(MARKS, dict.fromkeys(KINDS, 0))
    shedding.observe(10_000, [], 100.0)
    assert shedding.status() == "ok"
    shedding.failed(DiskFull("quota"), "callback")
    assert shedding.kinds == set(KINDS), "at once"
    for now_s in (100.2, 104.9):
        shedding.observe(10_000, [], now_s)
        assert shedding.refuses("media") and shedding.refuses("transcript")
    shedding.observe(10_000, [], 105.1)
    assert shedding.status() == "ok"


def test_what_is_shed_does_not_keep_itself_shed() -> None:
    """Only commits that failed count against the disk, not what was refused because of them."""
    counts: dict[str, int] = dict.fromkeys(KINDS, 0)
    shedding = Shedding(MARKS, counts)
    shedding.failed(JournalUnavailable("broken"), "callback")
    assert not shedding.kinds and not any(counts.values()), "a broken disk is not a full one"
    shedding.observe(10_000, ["media"], 100.0)
    shedding.failed(Shed("no media"), "media", 7)
    shedding.observe(10_000, [], 105.1)
    assert not shedding.kinds and counts == {"media": 7, "transcript": 0, "callback": 0}


def test_marks_are_in_order() -> None:
    """Media go first."""
    with pytest.raises(ConfigError, match=r"journal.min_free_transcript_bytes: found 6, allowed at most .* = 5"):
        from_dict({"journal": {"min_free_media_bytes": 5, "min_free_transcript_bytes": 6}})


# ---- the server


@asynccontextmanager
async def tight(
    folder: Path, media: int = 6 * MIB, transcript: int = 3 * MIB
) -> AsyncIterator[tuple[Receiver, SmallDisk]]:
    """A server whose whole data folder lies on a disk of 16 MiB, with small files: little is laid out of their logs."""
    journal: dict[str, Any] = {"min_free_bytes": 0, "events": {"segment_bytes": MIB}}
    journal |= {"min_free_media_bytes": media, "min_free_transcript_bytes": transcript}
    with small_disk(folder / "disk", 16 * MIB) as disk:
        async with running(disk.folder / "data", journal=journal) as server:
            yield server, disk


async def readyz(server: Receiver) -> tuple[int, dict[str, Any]]:
    async with aiohttp.ClientSession() as client, client.get(server.url + "/readyz") as reply:
        return reply.status, await reply.json()


async def post(server: Receiver, body: dict[str, Any], number: int) -> tuple[int, str]:
    """The status and ``Retry-After``; ``number`` makes it new."""
    content = {**body, "timestamp": f"2026-06-10T09:00:00.{number:03d}Z"}
    url = server.url + "/meetstream/default"
    async with aiohttp.ClientSession() as client, client.post(url, json=content) as reply:
        return reply.status, reply.headers.get("Retry-After", "")


async def shed(server: Receiver, *kinds: str) -> None:
    await until(lambda: server.shedding.kinds == set(kinds), f"shed: {kinds}")


async def test_kinds_go_in_order_and_come_back(tmp_path: Path) -> None:
    """Media below the first mark, transcripts below the second, callbacks when it is full; then all of it again."""
    async with tight(tmp_path) as (server, disk):
        assert (await readyz(server))[0] == 200
        async with dialled(server, "/meetstream/default/audio/bot-1") as audio:
            await audio.send(sound())
            await received(server, 1)
            disk.fill(5 * MIB)
            await shed(server, "media")
            await audio.send(sound())
            with pytest.raises(ConnectionClosed):
                await audio.recv()
            assert audio.close_code == 1013
        with pytest.raises(InvalidStatus) as refused:
            async with dialled(server, "/meetstream/default/audio/bot-1"):
                pass
        assert refused.value.response.status_code == 503 and refused.value.response.headers["Retry-After"]
        async with dialled(server, "/meetstream/default/transcript/bot-1") as words:
            await words.send(json.dumps(TRANSCRIPT | {"timestamp": "2026-06-10T09:00:00Z"}))
            await until(lambda: book_of(server).received == 4)
            assert (await post(server, TRANSCRIPT, 1), await post(server, JOINING, 2)) == ((200, ""), (200, ""))
            disk.fill(2 * MIB)
            await shed(server, "media", "transcript")
            await words.send(json.dumps(TRANSCRIPT | {"timestamp": "2026-06-10T09:00:01Z"}))
            with pytest.raises(ConnectionClosed):
                await words.recv()
            assert words.close_code == 1013
        assert (await post(server, TRANSCRIPT, 1))[0] == 200, "a repeat needs no space"
        assert await post(server, TRANSCRIPT, 3) == (503, "5")
        assert await post(server, JOINING, 4) == (200, "")
        status, told = await readyz(server)
        assert status == 503 and told["checks"]["shedding"].startswith("media (2), transcript (2): ")
        disk.fill()
        # what is laid out of the log would take a small one yet
        status, _ = answer = await post(server, JOINING | {"message": "x" * 200_000}, 5)
        assert answer == (503, "5")
        assert server.shedding.kinds == set(KINDS)
        assert "callback (1)" in (await readyz(server))[1]["checks"]["shedding"]
        disk.free()
        await until(lambda: not server.shedding.kinds and server.journal.error is None, "recovered")
        assert (await readyz(server))[0] == 200
        assert (await post(server, TRANSCRIPT, 6), await post(server, JOINING, 7)) == ((200, ""), (200, ""))
        async with dialled(server, "/meetstream/default/audio/bot-1") as audio:
            await audio.send(sound())
        await until(lambda: book_of(server).balanced)
        await drained(server)
        assert server.ledger.shed == {"media": 2, "transcript": 2, "callback": 1}
        assert book_of(server).failed == 5
        types = [event["type"] for event in events_in(server.settings.data_dir)]
    counted = {name: types.count(name) for name in ("audio.chunk", "transcript.final", "bot.status")}
    assert counted == {"audio.chunk": 2, "transcript.final": 3, "bot.status": 3}
    assert types.count("stream.opened") == types.count("stream.closed") == 3


async def test_a_socket_without_a_channel_is_told_at_its_first_frame(tmp_path: Path) -> None:
    """It may be a control socket, so it is let in; it leaves no trace in the journal, however often it comes."""
    async with tight(tmp_path) as (server, disk):
        disk.fill(5 * MIB)
        await shed(server, "media")
        head = server.journal.head
        for _ in range(3):
            async with dialled(server) as socket:
                await socket.send(sound())
                with pytest.raises(ConnectionClosed):
                    await socket.recv()
                assert socket.close_code == 1013
        assert server.journal.head == head and server.ledger.shed["media"] == 3
        async with dialled(server) as socket:
            await socket.send(json.dumps({"type": "ready", "bot_id": "bot-1", "message": "ready"}))
            assert json.loads(await socket.recv())["type"] == "ack", "control goes on"


@pytest.mark.parametrize("made", [lambda: sound(), lambda: b"\x07nothing"])
async def test_frames_that_the_disk_has_no_space_for_are_counted(tmp_path: Path, made: Callable[[], bytes]) -> None:
    """Without marks the first commit that fails decides; frames and what means nothing are media, the books balance."""
    async with tight(tmp_path, media=0, transcript=0) as (server, disk):
        async with dialled(server, "/meetstream/default/audio/bot-1") as audio:
            await audio.send(sound())
            await until(lambda: book_of(server).journalled == 1)
            disk.fill()
            with pytest.raises(ConnectionClosed):
                for _ in range(2000):
                    await audio.send(made())
                    await asyncio.sleep(0.001)
            assert audio.close_code == 1013
        book = book_of(server)
        await until(lambda: not book.sockets_open and book.balanced)
        assert server.ledger.shed["media"] == book.failed > 0
        assert server.shedding.refuses("media")
        disk.free()
        await until(lambda: not server.shedding.kinds)
        await drained(server)


async def test_state_and_sinks_recover_by_themselves(tmp_path: Path) -> None:
    """Cursors, dead letters, files: what could not be written on a full disk is written when there is space."""
    async with tight(tmp_path, media=0, transcript=0) as (server, disk):
        assert await call(server, body=json.dumps(JOINING).encode()) == (200, {"status": "accepted"})
        await drained(server)
        disk.fill()
        statuses = [(await post(server, JOINING | {"message": os.urandom(300).hex()}, n))[0] for n in range(1, 61)]
        assert 503 in statuses
        disk.free()
        await until(lambda: server.journal.error is None and not server.shedding.kinds)
        assert (await post(server, JOINING, 999))[0] == 200
        await drained(server)
        await server.state.flush()
        assert server.state._dirty == {}
        assert len(events_in(server.settings.data_dir)) == statuses.count(200) + 2
