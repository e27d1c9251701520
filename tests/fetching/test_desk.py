"""Fetching in a real server: from a vendor's push to sinks and /meetings; orders over HTTP, metrics, reload."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from receiver.app import Receiver
from receiver.errors import VendorError, VendorPending
from receiver.rest import APIS
from receiver.running import changes
from receiver.secretfiles import read_runtime
from receiver.settings import from_dict
from tests.fetching.fakes import KEY, FakeApi, answer
from tests.fetching.test_fetcher import READY
from tests.support import drained, events_in, running, settings_dict, until

ENVIRON = {"MS_KEY": KEY}


def accounts(**keys: Any) -> dict[str, Any]:
    """Sections of a config with one account."""
    return {
        "endpoints": {"meetstream": {"default": {}, "b": {}}},
        "accounts": {"meetstream": {"default": {"key_env": "MS_KEY", **keys}}},
    }


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[FakeApi]]:
    """Every client that is made."""
    made: list[FakeApi] = []

    class Api(FakeApi):
        def __init__(self, account: Any, client: Any) -> None:
            super().__init__(account, client)
            self.answers = {
                "transcript": [lambda subject: [answer("transcript", subject=subject)]],
                "summary": [VendorPending("meetstream: no summary yet")],
                "participants": [VendorError("meetstream: answered 402", vendor_status=402, words="no credit")],
            }
            made.append(self)

    monkeypatch.setitem(APIS, "meetstream", lambda: Api)
    yield made


async def push(server: Receiver, body: dict[str, Any]) -> None:
    url = f"{server.url}/meetstream/default"
    async with aiohttp.ClientSession() as client, client.post(url, json=body) as reply:
        assert reply.status == 200


async def order(server: Receiver, body: Any, token: str | None = None) -> tuple[int, list[dict[str, Any]]]:
    """Status and lines of ``POST /api/fetch``."""
    runtime = read_runtime(server.settings.data_dir)
    assert runtime is not None
    headers = {"Authorization": f"Bearer {runtime.token if token is None else token}"}
    url = f"{server.url}/api/fetch"
    async with aiohttp.ClientSession(headers=headers) as client, client.post(url, json=body) as reply:
        lines = [json.loads(line) for line in (await reply.text()).splitlines()]
        return reply.status, [line for line in lines if line]


async def text_of(server: Receiver, path: str) -> str:
    async with aiohttp.ClientSession() as client, client.get(server.url + path) as reply:
        return await reply.text()


async def test_from_the_push_to_sinks_and_meetings(tmp_path: Path, vendor: list[FakeApi]) -> None:
    """What a push announces comes as an event of its own, once; books and metrics tell of it."""
    async with running(tmp_path, ENVIRON, **accounts(fetch=["transcript"])) as server:
        await push(server, READY)
        fetcher = server.engine.desk.fetchers["meetstream/default"]
        await until(lambda: fetcher.book.done == 1)
        await drained(server)
        metrics = await text_of(server, "/metrics")
        assert server.ledger.endpoint("meetstream", "default").balanced
        await until(lambda: server.live.tracker is not None and server.live.tracker.cursor == server.journal.head)
        meeting = json.loads(await text_of(server, "/meetings/bot-1"))
    fetched = [one for one in events_in(tmp_path) if one["type"] == "artifact.fetched"]
    assert len(fetched) == 1 and fetched[0]["source"] == "/meetstream/default" and fetched[0]["subject"] == "bot-1"
    assert 'receiver_fetch_done{endpoint="default",vendor="meetstream"} 1.0' in metrics
    assert 'receiver_fetch_pending{endpoint="default",vendor="meetstream"} 0.0' in metrics
    assert {one["state"] for one in meeting["artifacts"]} == {"ready", "fetched"}
    assert KEY not in metrics + json.dumps(meeting) + repr(fetched)


async def test_without_wishes_nothing_is_done(tmp_path: Path, vendor: list[FakeApi]) -> None:
    """No client, no task, no cursor: with no account, and with one that commands use only."""
    for sections in ({}, accounts()):
        async with running(tmp_path / str(len(sections)), ENVIRON, **sections) as server:
            await push(server, READY)
            assert vendor == [] and server.engine.desk.fetchers == {}
            assert not [name for name in server.state.cursors if name.startswith("fetch/")]


async def test_an_order_is_tried_once_and_told_line_by_line(tmp_path: Path, vendor: list[FakeApi]) -> None:
    """What came, what was there already, what is not ready, what the vendor refused in its own words."""
    async with running(tmp_path, ENVIRON, **accounts()) as server:
        status, lines = await order(server, {"subject": "bot-7", "kinds": ["transcript", "summary", "participants"]})
        assert (status, lines[-1]) == (200, {"done": True})
        assert [(one["kind"], one["outcome"]) for one in lines[:-1]] == [
            ("transcript", "accepted"), ("summary", "pending"), ("participants", "failed"),
        ]  # fmt: skip
        assert "no credit" in lines[2]["error"] and lines[0]["bytes"] > 0
        _, lines = await order(server, {"subject": "bot-7", "kinds": ["transcript"]})
        assert lines[0]["outcome"] == "duplicate"
        await drained(server)
        assert server.ledger.endpoint("meetstream", "default").balanced
    assert [one["subject"] for one in events_in(tmp_path)] == ["bot-7"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"subject": "bot-1", "kinds": ["video"]}, "found 'video', allowed with meetstream: transcript, summary"),
        ({"subject": "bot-1", "vendor": "daily"}, "no account daily is configured; there are: meetstream/default"),
        ({"subject": "", "kinds": []}, "$.subject"),
        ({"subjekt": "bot-1"}, "subjekt"),
    ],
)
async def test_a_wrong_order_is_answered_with_what_is_allowed(
    tmp_path: Path, vendor: list[FakeApi], body: Any, told: str
) -> None:
    """Whether it is refused at once or in the last line."""
    async with running(tmp_path, ENVIRON, **accounts()) as server:
        _, lines = await order(server, body)
    assert told in lines[-1]["error"]


async def test_an_order_needs_the_admins_token(tmp_path: Path, vendor: list[FakeApi]) -> None:
    """The vendor is not asked for anybody else."""
    async with running(tmp_path, ENVIRON, **accounts()) as server:
        status, _ = await order(server, {"subject": "bot-1"}, token="guessed")
    assert status == 401 and vendor == []


async def test_of_several_accounts_one_has_to_be_named(tmp_path: Path, vendor: list[FakeApi]) -> None:
    """By vendor and endpoint."""
    sections = accounts()
    sections["accounts"]["meetstream"]["b"] = {"key_env": "MS_KEY"}
    async with running(tmp_path, ENVIRON, **sections) as server:
        _, lines = await order(server, {"subject": "bot-1", "kinds": ["transcript"]})
        assert "meetstream/default, meetstream/b" in lines[-1]["error"]
        _, lines = await order(server, {"subject": "bot-1", "kinds": ["transcript"], "endpoint": "b"})
        assert lines[-1] == {"done": True}
        await drained(server)
    assert [one["source"] for one in events_in(tmp_path)] == ["/meetstream/b"]


async def test_a_reload_changes_only_the_account_that_changed(tmp_path: Path, vendor: list[FakeApi]) -> None:
    """Its jobs go on with the new one; the others' clients stay, and so does the server."""
    sections = accounts(fetch=["summary"])
    sections["accounts"]["meetstream"]["b"] = {"key_env": "MS_KEY", "fetch": ["transcript"]}
    async with running(tmp_path, ENVIRON, **sections) as server:
        desk, before = server.engine.desk, dict(server.engine.desk.fetchers)
        await push(server, {**READY, "event": "bot.stopped", "bot_status": "Stopped"})
        sections["accounts"]["meetstream"]["default"] = {"key_env": "MS_KEY", "fetch": ["transcript"]}
        settings = from_dict(settings_dict(tmp_path, **sections), ENVIRON)
        assert changes(server.settings, settings) == ["accounts.meetstream.default"]
        await server.use(settings, [])
        assert desk.fetchers["meetstream/b"] is before["meetstream/b"]
        assert desk.fetchers["meetstream/default"] is not before["meetstream/default"]
        await push(server, READY)
        await until(lambda: desk.fetchers["meetstream/default"].book.done == 1)
        del sections["accounts"]
        await server.use(from_dict(settings_dict(tmp_path, **sections), ENVIRON), [])
        assert desk.fetchers == {}


async def test_a_vendor_without_client_and_an_unknown_kind_are_said(
    tmp_path: Path, vendor: list[FakeApi], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest of the server does not care."""
    with capture_logs() as lines:
        async with running(tmp_path / "a", ENVIRON, **accounts(fetch=["video", "transcript"])) as server:
            await push(server, READY)
            await until(lambda: server.engine.desk.fetchers["meetstream/default"].book.done == 1)
        monkeypatch.delitem(APIS, "meetstream")
        async with running(tmp_path / "b", ENVIRON, **accounts(fetch=["transcript"])) as server:
            await push(server, READY)
    told = {line["event"]: line for line in lines}
    assert told["fetch.kind.unknown"]["kinds"] == ["video"] and "no REST client" in told["fetch.no_client"]["error"]


async def test_a_stop_waits_for_no_vendor(tmp_path: Path, vendor: list[FakeApi]) -> None:
    """A call that hangs is cut; it is made again after the next start."""
    async with running(tmp_path, ENVIRON, server={"drain_s": 60.0}, **accounts(fetch=["transcript"])) as server:
        vendor[0].open.clear()
        await push(server, READY)
        await until(lambda: vendor[0].calls)
        begun_s = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - begun_s < 30.0
    async with running(tmp_path, ENVIRON, **accounts(fetch=["transcript"])) as server:
        await until(lambda: server.engine.desk.fetchers["meetstream/default"].book.done == 1)
    assert vendor[1].calls == [("transcript", "bot-1")]
