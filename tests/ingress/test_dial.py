"""The agent's socket, which we dial, over a real socket: RealtimeKit sheet 4, rule by rule."""

import asyncio
import logging
import time
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from receiver.app import Receiver
from tests.agent_server import MEETING, SESSION, SUBPROTOCOL, TOKEN, AgentServer, Refusal, joined, said, session_ended
from tests.ingress.dialling import ENVIRON, attached, book_of, ended, hasten, sections, spoken, taken
from tests.ingress.sockets import of_type
from tests.support import drained, events_in, running, until

#: for a ping's result, where a test holds it up
_PATIENCE_S = 1.0


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    hasten(monkeypatch)


async def over(server: Receiver) -> None:
    """Wait until nothing is dialled any more."""
    await until(lambda: not server.dialler.calls, "the dial is over")


# The upgrade, and what comes on it


async def test_what_the_upgrade_shows(tmp_path: Path) -> None:
    """Path, three subscriptions, bearer token, subprotocol; no connection id at first. Then the id is asked for."""
    async with AgentServer.serving() as agent, running(tmp_path, ENVIRON, **sections(agent)):
        await attached(agent)
        (upgrade,) = agent.upgrades
        assert (upgrade.path, upgrade.query) == (
            "/agent-ws/v1", {"subscriptions": "transcript,participant,broadcast"},
        )  # fmt: skip
        assert (upgrade.authorization, upgrade.subprotocol) == (f"Bearer {TOKEN}", SUBPROTOCOL)
        (request,) = agent.connection.requests
        assert request == {
            "category": "request", "request_id": request["request_id"], "name": "connection.get", "data": {},
        }  # fmt: skip


async def test_what_happens_becomes_events_of_one_stream(tmp_path: Path) -> None:
    """Opened and closed like any vendor's socket, about the meeting that the socket has told; the books balance. With
    the session's end it is over: nobody dials again."""
    async with AgentServer.serving() as agent:
        with capture_logs() as lines:
            async with running(tmp_path, ENVIRON, **sections(agent)) as server:
                await attached(agent)
                await agent.tell(joined("peer-1", "Ann"), said("Hel", final=False), said("Hello"), session_ended())
                await agent.close(1000, "session_ended")
                await over(server)
                book = book_of(server)
                assert (book.received, book.journalled, book.sockets_open, book.sockets_total) == (6, 6, 0, 1)
        assert len(agent.upgrades) == 1
    events = events_in(tmp_path)
    assert [event["type"] for event in events] == [
        "stream.opened", "meeting.started", "participant.joined", "transcript.partial", "transcript.final",
        "meeting.ended", "stream.closed",
    ]  # fmt: skip
    assert {(event["subject"], event["source"]) for event in events} == {(MEETING, "/realtimekit/default")}
    assert events[3]["data"]["session"] == SESSION and events[4]["data"]["start_s"] == 1.0
    assert events[0]["data"]["channel"] == "transcript"
    closed = events[-1]["data"]
    assert (closed["code"], closed["clean"], closed["messages"]) == (1000, True, 6)
    assert [line["reason"] for line in lines if line["event"] == "dial.ended"] == ["the session has ended"]


async def test_a_message_that_means_nothing_goes_to_quarantine_and_the_socket_stays(tmp_path: Path) -> None:
    """What holds for sockets that are dialled by vendors holds here: no JSON, a wrong type, a binary message."""
    async with AgentServer.serving() as agent, running(tmp_path, ENVIRON, **sections(agent)) as server:
        await attached(agent)
        await agent.tell("no JSON", said("Hello").replace("0.9", '"much"'), b"\x00\x01", said("Bye"))
        await taken(server, 6)
        assert book_of(server).quarantined == 3 and len(agent.upgrades) == 1 and agent.attached
        await drained(server)
        assert spoken(tmp_path) == ["Bye"]


async def test_a_message_beyond_the_limit_ends_the_connection_and_not_the_dial(tmp_path: Path) -> None:
    """`server.max_message_bytes`: 1009, and dialled again."""
    limits = {"max_message_bytes": 10_000, "max_inflight_message_bytes": 20_000}
    async with AgentServer.serving() as agent, running(tmp_path, ENVIRON, server=limits, **sections(agent)) as server:
        await attached(agent)
        await agent.tell(said("x" * 11_000))
        await attached(agent, 2)
        await until(lambda: agent.endings)
        assert agent.endings[0][0] == 1009
        await agent.tell(said("Hello", second=2))
        await taken(server, 4)
        await drained(server)
    assert spoken(tmp_path) == ["Hello"] and of_type(tmp_path, "stream.closed")[0]["data"]["code"] == 1009


async def test_large_messages_are_counted_with_those_of_all_sockets(tmp_path: Path) -> None:
    """`server.max_inflight_message_bytes`: one that has begun holds a share, and gives it back when it is complete."""
    go_on = asyncio.Event()
    async with AgentServer.serving() as agent, running(tmp_path, ENVIRON, **sections(agent)) as server:
        await attached(agent)
        await taken(server, 2)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(agent.tell_in_pieces(said("x" * 900_000), go_on))
            await until(lambda: server.sockets.inflow.held_bytes > 900_000, "a share is held")
            go_on.set()
        await taken(server, 3)
        assert server.sockets.inflow.held_bytes == 0 and book_of(server).bytes > 900_000


# How it ends, and what follows


@pytest.mark.parametrize(
    ("code", "reason", "resumes"),
    [
        (1013, "queue_overflow", False),
        (1013, "upstream_lost", True),
        (1013, "upstream_unavailable", True),
        (1013, "", True),
        (1013, "something_new", True),
        (1000, "", True),
        (1001, "", True),
        (1011, "internal", True),
        (4400, "whatever", True),
    ],
)
async def test_closings_after_which_it_is_dialled_again(tmp_path: Path, code: int, reason: str, resumes: bool) -> None:
    """With the connection's id, so that nothing of the meanwhile is lost; where its queue has overflowed, without."""
    async with AgentServer.serving() as agent, running(tmp_path, ENVIRON, **sections(agent)) as server:
        await attached(agent)
        await taken(server, 2)
        await agent.close(code, reason)
        await attached(agent, 2)
        assert agent.upgrades[1].connection_id == ("conn_1" if resumes else "")
        await agent.tell(said("Still here"))
        await until(lambda: server.dialler.calls["weekly"].state == "open")
        await taken(server, 4 if resumes else 5)
        await drained(server)
        assert spoken(tmp_path) == ["Still here"]
    first, second = of_type(tmp_path, "stream.opened")
    assert second["data"]["resumes"] == first["data"]["connection"]
    closed = of_type(tmp_path, "stream.closed")[0]["data"]
    assert (closed["code"], closed["clean"]) == (code, True)


@pytest.mark.parametrize(
    ("code", "reason"), [(4403, "upstream_rejected"), (4409, "replaced"), (4403, ""), (1000, "session_ended")]
)
async def test_closings_after_which_it_is_over(tmp_path: Path, code: int, reason: str) -> None:
    """4403 and 4409: it would happen again, so it stops, and the log says so as an error. 1000: all is well."""
    async with AgentServer.serving() as agent:
        with capture_logs() as lines:
            async with running(tmp_path, ENVIRON, **sections(agent)) as server:
                await attached(agent)
                await agent.close(code, reason)
                await over(server)
        assert len(agent.upgrades) == 1
    told = [(line["log_level"], line["event"]) for line in lines if line["event"].startswith("dial.")]
    assert told == [("info", "dial.ended") if code == 1000 else ("error", "dial.stopped")]


async def test_what_happens_while_it_is_away_is_not_lost(tmp_path: Path) -> None:
    """A lost connection is asked for by its id, and what was queued comes: as the same stream, with the meeting and
    session that a transcript's own message does not tell, and no event twice."""
    async with AgentServer.serving() as agent, running(tmp_path, ENVIRON, **sections(agent)) as server:
        await attached(agent)
        await agent.tell(said("one", second=1))
        await taken(server, 3)
        agent.open.clear()
        agent.repeats = 1
        await agent.drop()
        await agent.tell(*(said(f"number {number}", second=number) for number in range(2, 40)))
        agent.open.set()
        await attached(agent, 2)
        await taken(server, 3 + 1 + 38 + 1)
        assert agent.upgrades[1].connection_id == "conn_1"
        assert book_of(server).duplicates == 1
        await drained(server)
    assert spoken(tmp_path) == ["one", *(f"number {number}" for number in range(2, 40))]
    finals = of_type(tmp_path, "transcript.final")
    assert {(event["subject"], event["data"]["session"]) for event in finals} == {(MEETING, SESSION)}
    assert [event["data"]["end_s"] for event in finals] == [number + 0.9 for number in range(1, 40)]
    first, second = of_type(tmp_path, "stream.opened")
    assert second["data"]["resumes"] == first["data"]["connection"] and "resumes" not in first["data"]
    lost = of_type(tmp_path, "stream.closed")[0]["data"]
    assert (lost["code"], lost["clean"]) == (1006, False)


async def test_the_newest_id_of_a_connection_counts(tmp_path: Path) -> None:
    """A connection that comes back may be called otherwise: the id is asked for each time."""
    async with AgentServer.serving() as agent, running(tmp_path, ENVIRON, **sections(agent)) as server:
        agent.renames = True
        for upgrades in range(1, 4):
            await attached(agent, upgrades)
            await taken(server, upgrades + 1)
            await agent.drop()
        await attached(agent, 4)
        assert [one.connection_id for one in agent.upgrades] == ["", "conn_1", "conn_2", "conn_3"]


async def test_a_connection_that_is_not_known_any_more_is_dialled_anew(tmp_path: Path) -> None:
    """404 CONNECTION_NOT_FOUND: without the id, at once; what is new comes, and the stream goes on."""
    async with AgentServer.serving() as agent, running(tmp_path, ENVIRON, **sections(agent)) as server:
        await attached(agent)
        await taken(server, 2)
        agent.resume_s = -1.0
        await agent.drop()
        await attached(agent, 3)
        asked = [(one.connection_id, one.status) for one in agent.upgrades]
        assert asked == [("", 101), ("conn_1", 404), ("", 101)]
        await agent.tell(said("Hello"))
        await taken(server, 5)
        assert book_of(server).duplicates == 1  # the same session is told as started
    assert spoken(tmp_path) == ["Hello"]


async def test_an_id_is_not_asked_for_longer_than_the_vendor_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Resume within 5 s: whoever comes later dials anew, without a try that cannot succeed."""
    hasten(monkeypatch, resume_s=0.0)
    async with AgentServer.serving() as agent, running(tmp_path, ENVIRON, **sections(agent)) as server:
        await attached(agent)
        await taken(server, 2)
        await agent.drop()
        await attached(agent, 2)
        assert [one.connection_id for one in agent.upgrades] == ["", ""]


async def test_a_connection_is_gone_on_with_after_a_restart(tmp_path: Path) -> None:
    """Where the config names the meeting, the journal tells which connection it was: what happened between the two
    processes comes."""
    async with AgentServer.serving() as agent:
        agent.resume_s = 60.0
        for number in range(2):
            async with running(tmp_path, ENVIRON, **sections(agent, subject=MEETING)) as server:
                await attached(agent, number + 1)
                await taken(server, 2)
            await agent.tell(said(f"between {number}", second=number))
        assert [one.connection_id for one in agent.upgrades] == ["", "conn_1"]
    assert spoken(tmp_path) == ["between 0"]
    first, second = of_type(tmp_path, "stream.opened")
    assert second["data"]["resumes"] == first["data"]["connection"]


# Pings


async def test_it_is_pinged_and_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each ping has an id of its own and is answered: nothing else comes of it."""
    hasten(monkeypatch, ping_every_s=0.01, ping_wait_s=20.0)
    async with AgentServer.serving() as agent, running(tmp_path, ENVIRON, **sections(agent)):
        await attached(agent)
        await until(lambda: agent.asked("connection.ping") >= 5)
        assert len({request["request_id"] for request in agent.connection.requests}) == len(agent.connection.requests)
        assert len(agent.upgrades) == 1
    assert [event["type"] for event in events_in(tmp_path)] == ["stream.opened", "meeting.started", "stream.closed"]


async def test_a_ping_without_result_means_that_the_connection_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No result within 10 s: dialled again with the id, without waiting for a peer that is not there."""
    hasten(monkeypatch, ping_every_s=0.01, ping_wait_s=0.5)
    async with AgentServer.serving() as agent:
        with capture_logs() as lines:
            async with running(tmp_path, ENVIRON, **sections(agent)) as server:
                await attached(agent)
                await taken(server, 2)
                agent.answers_pings = False
                await attached(agent, 2)
                agent.answers_pings = True
                await until(lambda: agent.endings)
        assert agent.upgrades[1].connection_id == "conn_1" and agent.endings[0] == (1006, "")
        assert "dial.silent" in {line["event"] for line in lines}


async def test_a_far_end_is_not_blamed_while_the_journal_is_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answer lies unread: the socket is read no faster than the journal takes it, and goes on afterwards."""
    hasten(monkeypatch, ping_every_s=0.05, ping_wait_s=_PATIENCE_S)
    async with AgentServer.serving() as agent, running(tmp_path, ENVIRON, **sections(agent)) as server:
        await attached(agent)
        await taken(server, 2)
        lane, released = server.journal.lanes["events"], asyncio.Event()
        room = lane.room

        async def full(_frames_bytes: object) -> None:
            await released.wait()
            await room()

        monkeypatch.setattr(lane, "room", full)
        book, number = book_of(server), 0
        await agent.tell(said("held up", second=99))
        await until(lambda: spoken(tmp_path) == ["held up"], "it is on disk, and nothing is read behind it")
        before, begun_s = book.received, time.monotonic()
        while time.monotonic() < begun_s + 2 * _PATIENCE_S:
            number += 1
            await agent.tell(said(f"number {number}", second=number))
            await asyncio.sleep(0.02)
        assert (book.received, len(agent.upgrades)) == (before, 1)
        monkeypatch.setattr(lane, "room", room)
        released.set()
        await until(lambda: spoken(tmp_path)[-1:] == [f"number {number}"], "all of it came")
        assert len(agent.upgrades) == 1
    assert spoken(tmp_path) == ["held up", *(f"number {one}" for one in range(1, number + 1))]


async def test_the_time_for_a_result_begins_when_this_side_reads_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Held up for most of it by the journal, this side has hardly looked: an answer that comes a bit later counts."""
    hasten(monkeypatch, ping_every_s=0.05, ping_wait_s=2.0)
    async with AgentServer.serving() as agent:
        agent.open.clear()
        async with running(tmp_path, ENVIRON, **sections(agent)) as server:
            lane, released = server.journal.lanes["events"], asyncio.Event()
            agent.answers_pings = False
            with monkeypatch.context() as patch:
                # from the first message on, and so before the first ping
                patch.setattr(lane, "room", lambda _frames_bytes: released.wait())
                agent.open.set()
                await attached(agent)
                await until(lambda: agent.asked("connection.ping") == 1, "asked while held up")
                await asyncio.sleep(1.6)
            released.set()
            await asyncio.sleep(0.6)
            agent.answers_pings = True
            await agent.answer_late()
            await until(lambda: agent.asked("connection.ping") >= 3, "it goes on")
            assert len(agent.upgrades) == 1


# Upgrades that are refused


@pytest.mark.parametrize(
    ("refusal", "told"),
    [
        (Refusal(401, "UNAUTHENTICATED"), "401 UNAUTHENTICATED"),
        (Refusal(401, "UNAUTHENTICATED", retryable=True), "401 UNAUTHENTICATED"),
        (Refusal(400, "INVALID_QUERY"), "400 INVALID_QUERY"),
        (Refusal(400, "BAD_REQUEST", retryable=True), "400 BAD_REQUEST"),
        (Refusal(403, "<script>"), "403"),
        (Refusal(404, "CONNECTION_NOT_FOUND"), "404 CONNECTION_NOT_FOUND"),
        (Refusal(302, headers={"Location": "ws://127.0.0.1:9/elsewhere"}), "302"),
    ],
)
async def test_refusals_after_which_it_is_over(tmp_path: Path, refusal: Refusal, told: str) -> None:
    """What would be answered the same again is asked once, and the log says why. A redirect is not followed: the token
    goes to the place that the config names and to no other."""
    async with AgentServer.serving() as agent:
        agent.refusals.append(refusal)
        with capture_logs() as lines:
            async with running(tmp_path, ENVIRON, **sections(agent)) as server:
                await over(server)
        assert len(agent.upgrades) == 1
    (stopped,) = [line for line in lines if line["event"] == "dial.stopped"]
    assert stopped["log_level"] == "error" and stopped["dial"] == "weekly"
    assert stopped["reason"].startswith(f"the upgrade was answered {told}")


@pytest.mark.parametrize(
    "refusal",
    [
        Refusal(500), Refusal(503, "UNAVAILABLE"), Refusal(429), Refusal(429, headers={"Retry-After": "0"}),
        Refusal(409, "SOON", retryable=True),
    ],
    ids=lambda refusal: str(refusal.status),
)  # fmt: skip
async def test_refusals_that_pass(tmp_path: Path, refusal: Refusal) -> None:
    """The vendor is busy or down: asked again, with growing pauses."""
    async with AgentServer.serving() as agent:
        agent.refusals += [refusal] * 3
        async with running(tmp_path, ENVIRON, **sections(agent)):
            await attached(agent, 4)
        assert [one.status for one in agent.upgrades] == [refusal.status] * 3 + [101]


async def test_the_pause_that_the_vendor_asks_for_is_kept(tmp_path: Path) -> None:
    """Retry-After: longer than the test waits for; and a stop does not wait for it."""
    async with AgentServer.serving() as agent:
        agent.refusals.append(Refusal(429, headers={"Retry-After": "3600"}))
        with capture_logs() as lines:
            async with running(tmp_path, ENVIRON, **sections(agent)):
                await until(lambda: any(line["event"] == "dial.redialling" for line in lines))
        assert [line["pause_s"] for line in lines if line["event"] == "dial.redialling"] == [300.0]
        assert len(agent.upgrades) == 1


# Not for ever


async def test_it_gives_up(tmp_path: Path) -> None:
    """`give_up_s` without a connection that has lasted: nothing is dialled for ever."""
    async with AgentServer.serving() as agent:
        agent.refusals += [Refusal(503)] * 10_000
        with capture_logs() as lines:
            async with running(tmp_path, ENVIRON, **sections(agent, give_up_s=1.0)) as server:
                await over(server)
        (stopped,) = [line for line in lines if line["event"] == "dial.stopped"]
        assert stopped["reason"] == ("no connection has lasted for 1 s; the last: the upgrade was answered 503")
        assert len(agent.upgrades) > 2


async def test_connections_that_end_at_once_are_no_connections(tmp_path: Path) -> None:
    """A meeting that is dead may still let the agent in: that does not count."""
    async with AgentServer.serving() as agent:
        agent.closes_with = 1013, "upstream_unavailable"
        async with running(tmp_path, ENVIRON, **sections(agent, give_up_s=1.0)) as server:
            await over(server)
        assert len(agent.upgrades) > 2 and {one.status for one in agent.upgrades} == {101}


async def test_it_hangs_up_where_nothing_happens_any_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`quiet_s`: an attached agent keeps the session alive, and billed. Answers to our own pings are nothing."""
    hasten(monkeypatch, ping_every_s=0.01)
    async with AgentServer.serving() as agent:
        with capture_logs() as lines:
            async with running(tmp_path, ENVIRON, **sections(agent, quiet_s=1.0)) as server:
                await over(server)
        assert agent.asked("connection.ping") > 1 and len(agent.upgrades) == 1
        assert [line["event"] for line in lines if line["event"].startswith("dial.")] == ["dial.ended"]
        await ended(agent, (1000, "nothing happens any more"))
    assert of_type(tmp_path, "stream.closed")[0]["data"]["clean"] is True


# A journal that cannot take what comes


async def test_nothing_is_dialled_for_what_would_not_be_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the disk has no space for transcripts nobody dials, and that is not the far end's fault; then it is."""
    async with AgentServer.serving() as agent, running(tmp_path, ENVIRON, **sections(agent, give_up_s=0.5)) as server:
        await attached(agent)
        await taken(server, 2)
        shedding = server.shedding
        monkeypatch.setattr(shedding, "observe", lambda *_: None)  # the disk has space
        shedding.kinds = frozenset({"media", "transcript"})
        shedding._begun = dict.fromkeys(shedding.kinds, (0.0, 0))
        await agent.tell(said("lost"))
        await until(lambda: agent.endings, "hung up")
        assert agent.endings == [(1013, "the journal cannot take more now, come back later")]
        assert book_of(server).failed == 1 and book_of(server).balanced
        held_s = time.monotonic()
        with capture_logs() as lines:
            await until(lambda: sum(line["event"] == "dial.redialling" for line in lines) > 5)
            await until(lambda: time.monotonic() - held_s > 1.0, "longer than anybody is dialled in vain")
        assert len(agent.upgrades) == 1 and "weekly" in server.dialler.calls
        await agent.tell(said("meanwhile", second=2))
        shedding.kinds = frozenset()
        await attached(agent, 2)
        await until(lambda: spoken(tmp_path) == ["meanwhile"])


# Secrets


async def test_the_token_is_nowhere_but_in_the_upgrade(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither in logs, also those of the library at their most talkative, nor in a file, nor in what is shown."""
    caplog.set_level(logging.DEBUG)
    async with AgentServer.serving() as agent:
        agent.refusals += [Refusal(503), Refusal(500)]
        async with running(tmp_path, ENVIRON, **sections(agent)) as server:
            await attached(agent, 3)
            await agent.drop()
            await attached(agent, 4)
            shown: list[Any] = [server.settings, server.settings.dials, server.dialler.calls["weekly"].dial]
            assert TOKEN not in repr(shown)
            await agent.close(4403, "upstream_rejected")
            await over(server)
    assert all(one.authorization == f"Bearer {TOKEN}" for one in agent.upgrades)
    from_receiver = [record.getMessage() for record in caplog.records if "server" not in record.name]
    assert not any(TOKEN in text for text in from_receiver)
    out = capsys.readouterr()
    assert "dial.stopped" in out.out + out.err and TOKEN not in out.out + out.err
    assert not any(TOKEN.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
