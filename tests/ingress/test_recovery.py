"""Streams across restarts: an orderly stop, and a server that was killed (its data folder as it was at that moment)."""

import asyncio
import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from websockets.asyncio.client import ClientConnection, connect

from receiver.app import Receiver
from receiver.ingress.note import StreamNote
from receiver.ingress.recovery import close_lost_streams
from receiver.ingress.streams import StreamBook
from receiver.journal.state import State
from receiver.record import Record
from receiver.settings import from_dict
from tests.ingress.sockets import SAMPLES, book_of, dialled, of_type, ready, received, sound, url
from tests.ingress.test_streams import assert_gap_is_told
from tests.support import DEADLINE_S, drained, running, settings_dict, until
from tests.vendors.meetstream_wire import frame

AUDIO = "/meetstream/default/bot-1/audio"


async def play(server: Receiver, socket: ClientConnection, frames: int = 3, bot: str = "bot-1") -> None:
    """Ready and some frames, all of them in the journal and in the file at return."""
    before = book_of(server).received
    await socket.send(ready(bot))
    await socket.recv()
    for _ in range(frames):
        await socket.send(sound())
    await received(server, before + frames + 1)
    await until(lambda: book_of(server).balanced, "everything journalled")
    await drained(server)


async def kill(live: Path, dead: Path, *, flushed: bool = True) -> None:
    """Play into a server at ``live``, and leave in ``dead`` what ``kill -9`` would leave."""
    async with running(live) as server:
        await play(server, await connect(url(server, AUDIO)))
        if flushed:
            await server.state.flush()
        await asyncio.to_thread(shutil.copytree, live, dead)


async def test_a_stream_goes_on_after_an_orderly_restart(tmp_path: Path) -> None:
    """Stop closes sockets with 1001; whoever redials afterwards continues its stream, gap and sample clock included."""
    for _ in range(3):
        async with running(tmp_path) as server:
            socket = await connect(url(server, AUDIO))
            await play(server, socket)
        await asyncio.wait_for(socket.wait_closed(), DEADLINE_S)
        assert socket.close_code == 1001
    opened, closed = of_type(tmp_path, "stream.opened"), of_type(tmp_path, "stream.closed")
    names = [event["data"]["connection"] for event in opened]
    assert [event["data"].get("resumes") for event in opened] == [None, *names[:-1]]
    assert [(event["data"]["code"], event["data"]["clean"]) for event in closed] == [(1001, True)] * 3
    chunks = of_type(tmp_path, "audio.chunk")
    assert ["gapms" in chunk for chunk in chunks] == [False] * 3 + [True, False, False] * 2
    assert_gap_is_told(chunks[2], chunks[3])
    assert_gap_is_told(chunks[5], chunks[6])


async def test_a_stream_that_was_continued_is_not_continued_twice(tmp_path: Path) -> None:
    """After a takeover the older socket may be closed last; a restart still knows which one was the newest."""
    async with running(tmp_path) as server:
        old = await connect(url(server, AUDIO))
        await play(server, old)
        new = await connect(url(server, AUDIO))
        await play(server, new)
        await new.close()
        await until(lambda: book_of(server).sockets_open == 1)
        await old.close()
        await until(lambda: book_of(server).sockets_open == 0)
    async with running(tmp_path) as server, dialled(server, AUDIO) as socket:
        await play(server, socket)
    first, second, third = of_type(tmp_path, "stream.opened")
    assert second["data"]["resumes"] == first["data"]["connection"]
    assert third["data"]["resumes"] == second["data"]["connection"]


@pytest.mark.parametrize("flushed", [True, False])
async def test_after_a_kill_open_streams_are_told_as_closed_and_can_be_continued(tmp_path: Path, flushed: bool) -> None:
    """Next start: `stream.closed`, 1006, not clean; the redialling bot goes on with a right `first_sample`. Also where
    the kill came before the note of the open socket was on disk."""
    live, dead = tmp_path / "live", tmp_path / "dead"
    await kill(live, dead, flushed=flushed)
    async with running(dead) as server, dialled(server, AUDIO) as socket:
        await play(server, socket)
    opened, reopened = of_type(dead, "stream.opened")
    closed, _ = of_type(dead, "stream.closed")
    name = opened["data"]["connection"]
    assert closed["data"].pop("duration_s") < 20 and closed["subject"] == "bot-1"
    assert closed["data"] == {"channel": "audio", "connection": name, "code": 1006, "clean": False}
    assert int(opened["sequence"]) < int(closed["sequence"]) < int(reopened["sequence"])
    assert reopened["data"]["resumes"] == name
    chunks = of_type(dead, "audio.chunk")
    assert_gap_is_told(chunks[2], chunks[3])
    assert chunks[4]["firstsample"] == chunks[3]["firstsample"] + SAMPLES


async def test_after_a_kill_each_of_those_whose_frames_lay_together_goes_on_at_its_own_clock(tmp_path: Path) -> None:
    """Frames of several bots are one row of the journal; what the last one of each was is found in it."""
    live, dead = tmp_path / "live", tmp_path / "dead"
    names = ["bot-1", "bot-2", "bot-3"]
    async with running(live) as server:
        sockets = [await connect(url(server, AUDIO.replace("bot-1", name))) for name in names]
        for said, (name, socket) in enumerate(zip(names, sockets, strict=True), 1):
            await play(server, socket, said, name)
        server.engine.rim.media._gather_s = 0.5  # so long that they are together
        before = server.journal.lanes["media"].positions
        for socket in sockets:
            await socket.send(sound())
        await until(lambda: server.journal.lanes["media"].positions == before + 3)
        (*_, last) = server.journal.lanes["media"].newest(1 << 20)
        assert (last.kind, last.count) == ("bundle", 3)
        await asyncio.to_thread(shutil.copytree, live, dead)
    async with running(dead) as server:
        for name in reversed(names):
            async with dialled(server, AUDIO.replace("bot-1", name)) as socket:
                await play(server, socket, 3, name)
    for said, name in enumerate(names, 1):
        chunks = [event for event in of_type(dead, "audio.chunk") if event["subject"] == name]
        assert len(chunks) == said + 1 + 3
        assert_gap_is_told(chunks[said], chunks[said + 1])


async def test_a_kill_is_told_once(tmp_path: Path) -> None:
    """Two starts after a kill: one closing; and the stream can still be continued after the second."""
    live, dead = tmp_path / "live", tmp_path / "dead"
    await kill(live, dead)
    for _ in range(2):
        async with running(dead) as server:
            await drained(server)
    assert len(of_type(dead, "stream.closed")) == 1
    async with running(dead) as server, dialled(server, AUDIO) as socket:
        await play(server, socket)
    opened, reopened = of_type(dead, "stream.opened")
    assert reopened["data"]["resumes"] == opened["data"]["connection"]


async def test_a_closing_that_was_journalled_before_the_kill_is_not_told_again(tmp_path: Path) -> None:
    """The note of an open socket may outlive its closing by a moment; the journal knows better."""
    live, dead = tmp_path / "live", tmp_path / "dead"
    async with running(live) as server:
        socket = await connect(url(server, AUDIO))
        await play(server, socket)
        await server.state.flush()
        shutil.copytree(live / "journal", tmp_path / "early")
        await socket.close()
        await until(lambda: book_of(server).sockets_open == 0)
        await drained(server)
        await asyncio.to_thread(shutil.copytree, live, dead)
    for file in (tmp_path / "early").glob("state.db*"):
        shutil.copy(file, dead / "journal")
    async with running(dead) as server:
        await drained(server)
    assert [event["data"]["code"] for event in of_type(dead, "stream.closed")] == [1000]


async def test_quiet_sockets_of_a_killed_server_are_told_too(tmp_path: Path) -> None:
    """A control socket that said `ready` and no more, on a path that names it, was open as well."""
    live, dead = tmp_path / "live", tmp_path / "dead"
    async with running(live) as server:
        quiet = await connect(url(server, "/meetstream/default/bot-1/control"))
        await quiet.send(ready("bot-1"))
        await quiet.recv()
        await drained(server)
        await server.state.flush()
        await asyncio.to_thread(shutil.copytree, live, dead)
    async with running(dead) as server:
        await drained(server)
    (closed,) = of_type(dead, "stream.closed")
    assert closed["data"]["channel"] == "control" and closed["data"]["code"] == 1006


async def test_a_journal_that_cannot_write_does_not_stop_the_start(tmp_path: Path) -> None:
    """A full disk at the start: the closing is told at a later one."""
    live, dead = tmp_path / "live", tmp_path / "dead"
    await kill(live, dead)
    server = Receiver(from_dict(settings_dict(dead, sinks={}), {}))
    async with server.at_rest():
        segment = server.journal.lanes["events"]._segment
        assert segment is not None
        segment._db.execute("PRAGMA query_only = ON")
        notes = dict(server.state.open_streams)
        await close_lost_streams(server.state, server.journal, StreamBook(600.0))
        assert notes and server.state.open_streams == notes


async def test_what_an_earlier_version_left_does_not_stop_the_start(tmp_path: Path) -> None:
    """A socket of a vendor that nobody knows any more: told as closed like any other."""
    state = State(tmp_path / "journal" / "state.db")
    note = StreamNote("former", "default", "bot-1", "audio", "c-1", 1_788_264_000_000_000_000)
    state.stream_opened(note.connection, msgspec.msgpack.encode(note))
    await state.close()
    async with running(tmp_path) as server:
        await drained(server)
        assert not server.state.open_streams
    (closed,) = of_type(tmp_path, "stream.closed")
    assert closed["source"] == "/former/default" and closed["data"]["connection"] == "c-1"


async def test_no_frame_is_on_disk_before_the_opening_that_it_belongs_to(tmp_path: Path) -> None:
    """Opening and frames lie in different lanes: a kill between their commits leaves no frame without a stream, and no
    note from which a closing would be told of what nobody was told of."""
    release, entered = threading.Event(), threading.Event()
    async with running(tmp_path) as server:
        events, media = server.journal.lanes["events"], server.journal.lanes["media"]
        commit = events._commit

        def stalled(records: list[Record]) -> None:
            entered.set()
            assert release.wait(DEADLINE_S)
            commit(records)

        events._commit = stalled  # type: ignore[method-assign]
        async with dialled(server, "/meetstream/default/bot-1/audio") as socket:
            for _ in range(5):
                await socket.send(frame(pcm=sound()))
            await until(entered.is_set)
            await asyncio.sleep(0.1)  # ten times as long as frames are gathered
            assert media.positions == 0 and server.state.open_streams == {}
            release.set()
            await until(lambda: media.positions == 5)
            assert len(server.state.open_streams) == 1


async def test_a_continuation_killed_before_its_first_message_loses_nothing_of_the_clock(tmp_path: Path) -> None:
    """Only its opening is on disk. Whoever redials goes on where the connection before it ended, not at 0."""
    live, dead = tmp_path / "live", tmp_path / "dead"
    async with running(live) as server:
        async with dialled(server, AUDIO) as socket:
            await play(server, socket)
        await until(lambda: book_of(server).sockets_open == 0)
        async with dialled(server, AUDIO) as socket:
            await play(server, socket)
            await server.state.flush()
            await asyncio.to_thread(shutil.copytree, live, dead)
    first, second = of_type(dead, "stream.opened")
    for path in (dead / "journal").glob("*/*.db"):
        with closing(sqlite3.connect(path)) as db, db:
            db.execute("DELETE FROM record WHERE seq > ?", (int(second["sequence"]),))
    async with running(dead) as server, dialled(server, AUDIO) as socket:
        await play(server, socket)
    assert of_type(dead, "stream.opened")[2]["data"]["resumes"] == second["data"]["connection"]
    assert second["data"]["resumes"] == first["data"]["connection"]
    chunks = of_type(dead, "audio.chunk")
    assert_gap_is_told(chunks[2], chunks[-3])


async def test_cursors_reach_the_disk_by_themselves(tmp_path: Path) -> None:
    """Again and again: a crash repeats what was delivered in the last moment, and no more."""
    async with running(tmp_path) as server:
        path = server.settings.data_dir / "journal" / "state.db"
        for _ in range(2):
            async with dialled(server, AUDIO) as socket:
                await play(server, socket)
            await until(lambda: cursor_of(path, "file") == server.state.cursors["file"] == server.journal.head)


def cursor_of(path: Path, sink: str) -> int:
    """As it is on disk."""
    with closing(sqlite3.connect(path)) as database:
        ((seq,),) = database.execute("SELECT seq FROM cursor WHERE sink = ?", (sink,)).fetchall() or ((0,),)
    return int(seq)
