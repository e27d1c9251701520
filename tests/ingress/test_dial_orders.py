"""Which sockets are dialled: the config's, and those that somebody has ordered; across a stop, a reload, a restart."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from receiver.app import Receiver
from receiver.ingress.intake import Offered, Outcome, Takes
from receiver.record import Record
from receiver.running import changes
from receiver.settings import Settings, from_dict
from receiver.telemetry.ledger import Intake
from tests.agent_server import MEETING, TOKEN, AgentServer, Refusal, said
from tests.ingress.dialling import (
    ENDPOINTS,
    ENVIRON,
    attached,
    ended,
    everything_in,
    hasten,
    post,
    sections,
    spoken,
    taken,
)
from tests.ingress.sockets import of_type
from tests.support import drained, running, settings_dict, until

ADMIN = {"admin": {"token_env": "ADMIN"}}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    hasten(monkeypatch)


def order(agent: AgentServer, **keys: Any) -> dict[str, Any]:
    return {"vendor": "realtimekit", "endpoint": "default", "token": TOKEN, "url": agent.url} | keys


def settings_of(data_dir: Path, agent: AgentServer, *names: str, **keys: Any) -> Settings:
    """A config in which these are dialled, each with a token of its own."""
    tokens = {"first": "AGENT_TOKEN", "second": "OTHER_TOKEN"}
    dials = {name: {"token_env": tokens[name], "url": agent.url} | keys for name in names}
    return from_dict(settings_dict(data_dir, endpoints=ENDPOINTS, dial=dials), ENVIRON)


async def reload(server: Receiver, settings: Settings) -> None:
    """What a reload in place does."""
    names = [name.removeprefix("dial.") for name in changes(server.settings, settings)]
    await server.use(settings, [], names)


def shown_tokens(agent: AgentServer) -> list[str]:
    return [upgrade.authorization.removeprefix("Bearer ") for upgrade in agent.upgrades]


# By order


async def test_an_order_is_dialled_and_answered_when_it_is_open(tmp_path: Path) -> None:
    """POST /api/dial: what creates a meeting can have the server listen to it. Its events are those of any dial."""
    async with AgentServer.serving() as agent, running(tmp_path, endpoints=ENDPOINTS) as server:
        status, answer = await post(server, "/api/dial", order(agent))
        assert status == 200 and answer["state"] == "open" and answer["dial"] in server.dialler.calls
        await attached(agent)
        await agent.tell(said("Hello"))
        await taken(server, 3)
        await drained(server)
    (opened,) = of_type(tmp_path, "stream.opened")
    assert opened["subject"] == MEETING and opened["source"] == "/realtimekit/default"
    assert shown_tokens(agent) == [TOKEN]


async def test_the_subject_of_an_order_counts_until_the_socket_tells_its_own(tmp_path: Path) -> None:
    """What comes before the session is told is about the meeting that whoever ordered it has created."""
    async with AgentServer.serving() as agent, running(tmp_path, endpoints=ENDPOINTS) as server:
        agent.says_nothing = True
        assert (await post(server, "/api/dial", order(agent, subject="m-77")))[0] == 200
        await attached(agent)
        await agent.tell(said("Hello"))
        await taken(server, 2)
        await drained(server)
    assert {event["subject"] for event in of_type(tmp_path, "stream.opened", "transcript.final")} == {"m-77"}


async def test_an_order_needs_an_admin_token(tmp_path: Path) -> None:
    """As every order does; nothing is dialled without."""
    async with (
        AgentServer.serving() as agent,
        running(tmp_path, {"ADMIN": "adm-4711"}, endpoints=ENDPOINTS, **ADMIN) as server,
    ):
        for path, body in (("/api/dial", order(agent)), ("/api/dial/end", {"dial": "x"})):
            assert (await post(server, path, body, token="wrong"))[0] == 401
        assert agent.upgrades == []
        assert (await post(server, "/api/dial", order(agent), token="adm-4711"))[0] == 200


@pytest.mark.parametrize(
    ("keys", "status", "named"),
    [
        ({"vendor": "zoom"}, 400, "vendor"),
        ({"endpoint": "nobody"}, 404, "there are: default"),
        ({"token": ""}, 400, "$.token"),
        ({"token": "with a space"}, 400, "$.token"),
        ({"token": "line\nbreak"}, 400, "$.token"),
        ({"token": "x" * 8193}, 400, "$.token"),
        ({"token": 5}, 400, "$.token"),
        ({"url": "ws://agents.example.org/v1"}, 400, "$.url"),
        ({"url": "https://agents.example.org/v1"}, 400, "$.url"),
        ({"url": "wss://:443"}, 400, "$.url"),
        ({"subject": "a b"}, 400, "$.subject"),
        ({"password": "x"}, 400, "password"),
    ],
)
async def test_a_wrong_order_says_what_is_wrong(tmp_path: Path, keys: dict[str, Any], status: int, named: str) -> None:
    """And never quotes the token. A token goes over TLS, or stays on this machine."""
    async with AgentServer.serving() as agent, running(tmp_path, endpoints=ENDPOINTS) as server:
        found, answer = await post(server, "/api/dial", order(agent) | keys)
        assert (found, agent.upgrades) == (status, []) and named in answer["error"], answer
        token = keys.get("token")
        assert not isinstance(token, str) or not token or token not in answer["error"]
        assert server.dialler.calls == {}


async def test_an_order_that_the_vendor_does_not_let_in_is_told_at_once(tmp_path: Path) -> None:
    """401: whoever has ordered it learns why, and it is forgotten."""
    async with AgentServer.serving() as agent, running(tmp_path, endpoints=ENDPOINTS) as server:
        agent.refusals.append(Refusal(401, "UNAUTHENTICATED"))
        status, answer = await post(server, "/api/dial", order(agent))
        assert status == 400 and "401 UNAUTHENTICATED" in answer["error"] and TOKEN not in answer["error"]
        assert server.dialler.calls == {} and len(agent.upgrades) == 1


async def test_an_order_that_cannot_be_carried_out_yet_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The vendor is down: answered after a while, with the reason; it is dialled until it succeeds."""
    monkeypatch.setattr("receiver.ingress.dial._ANSWER_S", 0.05)
    async with AgentServer.serving() as agent, running(tmp_path, endpoints=ENDPOINTS) as server:
        agent.refusals += [Refusal(503)] * 1000
        status, answer = await post(server, "/api/dial", order(agent))
        assert status == 200 and (answer["state"], answer["problem"]) == ("dialling", "the upgrade was answered 503")
        agent.refusals.clear()
        await attached(agent)


async def test_an_order_can_be_ended(tmp_path: Path) -> None:
    """POST /api/dial/end: closed with 1000, its closing journalled, not dialled again; an unknown name is 404."""
    async with AgentServer.serving() as agent, running(tmp_path, endpoints=ENDPOINTS) as server:
        _, answer = await post(server, "/api/dial", order(agent))
        await attached(agent)
        assert await post(server, "/api/dial/end", {"dial": answer["dial"]}) == (200, {"ended": answer["dial"]})
        assert server.dialler.calls == {}
        await ended(agent, (1000, "done"))
        assert (await post(server, "/api/dial/end", {"dial": answer["dial"]}))[0] == 404
        await drained(server)
        assert of_type(tmp_path, "stream.closed")[0]["data"]["code"] == 1000


async def test_orders_have_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is a connection and its memory: beyond it 503."""
    monkeypatch.setattr("receiver.ingress.dial._MOST_CALLS", 1)
    async with AgentServer.serving() as agent, running(tmp_path, endpoints=ENDPOINTS) as server:
        assert (await post(server, "/api/dial", order(agent)))[0] == 200
        assert (await post(server, "/api/dial", order(agent)))[0] == 503 and len(agent.upgrades) == 1


async def test_an_order_is_forgotten_with_the_process(tmp_path: Path) -> None:
    """Its token is in no file; after a restart only the config's are dialled."""
    async with AgentServer.serving() as agent:
        async with running(tmp_path, ENVIRON, **sections(agent)) as server:
            await attached(agent)
            assert (await post(server, "/api/dial", order(agent, token="order-token-1")))[0] == 200
            await attached(agent, 2)
            assert b"order-token-1" not in everything_in(tmp_path)
        before = len(agent.upgrades)
        async with running(tmp_path, ENVIRON, **sections(agent)):
            await attached(agent, before + 1)
        assert shown_tokens(agent)[before:] == [TOKEN]
        assert b"order-token-1" not in everything_in(tmp_path)


# The end of a server


async def test_a_stop_closes_what_was_dialled(tmp_path: Path) -> None:
    """1001, read to the end, told as closed in the journal; nobody dials afterwards."""
    async with AgentServer.serving() as agent:
        async with running(tmp_path, ENVIRON, **sections(agent)) as server:
            await attached(agent)
            await taken(server, 2)
        await ended(agent, (1001, "server is shutting down"))
        assert len(agent.upgrades) == 1
    (closed,) = of_type(tmp_path, "stream.closed")
    assert (closed["data"]["code"], closed["data"]["clean"]) == (1001, True)


async def test_a_stop_does_not_wait_for_an_answer_to_an_upgrade(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A far end that takes the connection and says nothing holds up nobody."""
    monkeypatch.setattr("receiver.ingress.dial._CLOSE_WAIT_S", 60.0)
    async with AgentServer.serving() as agent:
        agent.open.clear()
        async with running(tmp_path, ENVIRON, server={"drain_s": 180.0}, **sections(agent)):
            await until(lambda: agent.upgrades)
            begun_s = time.monotonic()
        assert time.monotonic() - begun_s < 30


async def test_a_stop_does_not_wait_for_one_that_does_not_close(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most a third of the drain limit; told as closed all the same, not clean."""
    monkeypatch.setattr("receiver.ingress.dial._CLOSE_WAIT_S", 60.0)
    async with AgentServer.serving() as agent:
        async with running(tmp_path, ENVIRON, server={"drain_s": 0.9}, **sections(agent)) as server:
            await attached(agent)
            await taken(server, 2)
            agent.deafen()
            begun_s = time.monotonic()
        assert time.monotonic() - begun_s < 30
    (closed,) = of_type(tmp_path, "stream.closed")
    assert (closed["data"]["code"], closed["data"]["clean"]) == (1001, False)


class Nobody(Takes):
    """A successor that is never given anything."""

    def ready(self) -> bool:
        return False

    def begin(self, offered: Sequence[Offered]) -> list[bool]:
        raise AssertionError

    async def room(self) -> None:
        raise AssertionError

    async def accept(self, record: Record, book: Intake) -> Outcome:
        raise AssertionError

    async def quarantine(self, record: Record, reason: str, book: Intake) -> Outcome:
        raise AssertionError


async def test_a_process_that_gives_up_the_journal_dials_no_more_until_it_takes_it_back(tmp_path: Path) -> None:
    """Two would take each other's place for ever (4409). Orders are dialled again as well: they are still known."""
    async with AgentServer.serving() as agent, running(tmp_path, ENVIRON, **sections(agent)) as server:
        await attached(agent)
        await server.let_go(Nobody())
        await ended(agent, (1001, "server is shutting down"))
        assert not server.dialler._running
        await server.take_back()
        await attached(agent, 2)
        await agent.tell(said("Hello"))
        await until(lambda: spoken(tmp_path) == ["Hello"])
    first, second = of_type(tmp_path, "stream.opened")
    assert second["data"]["resumes"] == first["data"]["connection"]
    assert agent.upgrades[1].connection_id == "conn_1"


# A reload


async def test_a_reload_dials_and_hangs_up_what_has_changed_and_nothing_else(tmp_path: Path) -> None:
    """A new section is dialled, one that is gone is closed with 1000, one that has changed both; the others stay, and
    so do orders."""
    async with AgentServer.serving() as agent, AgentServer.serving() as other:
        server = Receiver(settings_of(tmp_path, agent, "first"))
        await server.start()
        try:
            await attached(agent)
            ordered = (await post(server, "/api/dial", order(other)))[1]["dial"]
            await attached(other)
            await reload(server, settings_of(tmp_path, other, "second", quiet_s=100.0))
            assert sorted(server.dialler.calls) == [ordered, "second"]
            await ended(agent, (1000, "done"))
            await attached(other, 2)
            await reload(server, settings_of(tmp_path, other, "second", quiet_s=200.0))
            await attached(other, 3)
            assert server.dialler.calls["second"].dial.quiet_s == 200.0
            await reload(server, settings_of(tmp_path, other, "second", quiet_s=200.0))
            assert len(other.upgrades) == 3
        finally:
            await server.stop()
    assert shown_tokens(other) == [TOKEN, "other-token-4711", "other-token-4711"]


async def test_a_dial_that_has_stopped_is_dialled_again_when_its_section_changes(tmp_path: Path) -> None:
    """A token that has expired is replaced, and a reload is all that it takes."""
    async with AgentServer.serving() as agent:
        agent.refusals.append(Refusal(401, "UNAUTHENTICATED"))
        server = Receiver(settings_of(tmp_path, agent, "first"))
        await server.start()
        try:
            await until(lambda: agent.upgrades and not server.dialler.calls)
            await reload(server, settings_of(tmp_path, agent, "first"))
            assert len(agent.upgrades) == 1
            await reload(server, settings_of(tmp_path, agent, "first", subject="m-1"))
            await attached(agent, 2)
        finally:
            await server.stop()


# What it looks like from outside


async def test_metrics_tell_how_many_are_dialled_and_how_many_are_open(tmp_path: Path) -> None:
    """Two gauges of their own; the socket counts among its endpoint's."""
    async with AgentServer.serving() as agent, running(tmp_path, ENVIRON, **sections(agent)) as server:
        await attached(agent)
        told = {name: value for name, _, labels, value in server._gauges() if not labels or "endpoint" in labels}
        assert (told["receiver_dials"], told["receiver_dials_open"], told["receiver_sockets_open"]) == (1, 1, 1)
        agent.open.clear()
        await agent.drop()
        await until(lambda: dict(one[::3] for one in server._gauges())["receiver_dials_open"] == 0)
