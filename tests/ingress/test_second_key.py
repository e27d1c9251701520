"""A delivery whose id changes between its tries is one delivery (RealtimeKit sheet 1.4), over real HTTP."""

import json
from pathlib import Path
from typing import Any

import pytest

from receiver.app import Receiver
from tests.ingress.test_http import call
from tests.support import drained, events_in, running

ENDPOINTS: dict[str, Any] = {"realtimekit": {"default": {}, "other": {}}}
ROOM = {"id": "m-1", "sessionId": "s-1", "startedAt": "2026-06-03T10:00:00.000Z"}
STARTED = {"event": "meeting.started", "meeting": ROOM}
#: no time and no session in it: two honest ones may be the same bytes
LIVESTREAM = {"event": "livestreaming.statusUpdate", "streamId": "st-1", "status": "IDLE"}


async def deliver(
    server: Receiver, body: dict[str, Any], uuid: str = "", webhook: str = "w-1", to: str = "default"
) -> str:
    """What became of it, as the answer says."""
    headers = {"rtk-webhook-id": webhook} | ({"rtk-uuid": uuid} if uuid else {})
    status, answer = await call(server, f"/realtimekit/{to}", json.dumps(body).encode(), headers=headers)
    assert status == 200
    return str(answer["status"])


async def test_another_id_for_the_same_body_is_a_repeat(tmp_path: Path) -> None:
    """By the second key; what was seen by its own id goes on being seen by that, and without any id as well."""
    async with running(tmp_path, endpoints=ENDPOINTS) as server:
        fates = [await deliver(server, STARTED, uuid) for uuid in ("one", "two", "three", "one", "")]
        assert fates == ["accepted", *["duplicate"] * 4]
        book = server.ledger.endpoint("realtimekit", "default")
        assert (book.received, book.journalled, book.duplicates) == (5, 1, 4) and book.balanced
        await drained(server)
    assert [event["id"] for event in events_in(tmp_path)] == ["one"]


async def test_the_second_key_outlives_the_process(tmp_path: Path) -> None:
    """It lies in the journal beside the first; both are recalled at the start."""
    async with running(tmp_path, endpoints=ENDPOINTS) as server:
        assert await deliver(server, STARTED, "one") == "accepted"
    async with running(tmp_path, endpoints=ENDPOINTS) as server:
        assert await deliver(server, STARTED, "two") == "duplicate"
        assert await deliver(server, STARTED | {"meeting": ROOM | {"sessionId": "s-2"}}, "one") == "duplicate"


@pytest.mark.parametrize("other", [{"webhook": "w-2"}, {"to": "other"}])
async def test_the_same_body_for_another_webhook_or_endpoint_is_another_delivery(
    tmp_path: Path, other: dict[str, Any]
) -> None:
    """Whoever has configured two gets both."""
    async with running(tmp_path, endpoints=ENDPOINTS) as server:
        assert await deliver(server, STARTED, "one") == "accepted"
        assert await deliver(server, STARTED, "two", **other) == "accepted"


async def test_what_may_honestly_come_again_has_its_id_only(tmp_path: Path) -> None:
    """Two states of a livestream in the older, minimal form are byte-identical."""
    async with running(tmp_path, endpoints=ENDPOINTS) as server:
        assert [await deliver(server, LIVESTREAM, uuid) for uuid in ("one", "two", "one")] == [
            "accepted", "accepted", "duplicate",
        ]  # fmt: skip
