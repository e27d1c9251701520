"""Deliveries signed and named as an endpoint's ``scheme`` says: admitted, kept, and decoded without it later."""

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest

from receiver.app import Receiver
from receiver.ingress.quarantine import quarantined
from receiver.journal.base import EVENTS
from receiver.simulator.meemo import Scheme, play_meetings
from receiver.vendors import decode_record, meemo
from tests.ingress.test_http import call
from tests.support import drained, events_in, running

KEY = b"a key of organisation 12"
SECRET, OTHER = ("whsec_" + base64.b64encode(key).decode() for key in (KEY, b"a key of organisation 13"))
TOKEN = "tok-4711-secret"
ENVIRON = {"S": SECRET, "O": OTHER, "T": TOKEN}
SCHEME: dict[str, Any] = {
    "signature_header": "X-Hook-Digest", "prefix": "v1,", "encoding": "base64", "key": "base64",
    "event_header": "X-Webhook-Key", "uuid_header": "Meemo-Delivery",
}  # fmt: skip
BODY = json.dumps({"meeting_id": 124, "organization_id": 12}).encode()
CREATED = {"X-Webhook-Key": "meeting.created", "Meemo-Delivery": "evt_77"}


def endpoints(scheme: dict[str, Any] | None = None, **keys: Any) -> dict[str, Any]:
    made = {"secret_env": ["O", "S"]} | keys
    return {"meemo": {"default": made | ({} if scheme is None else {"scheme": scheme})}}


def digest(body: bytes = BODY, key: bytes = KEY) -> str:
    """Written down a second time on purpose."""
    return "v1," + base64.b64encode(hmac.new(key, body, hashlib.sha256).digest()).decode()


def signed(body: bytes = BODY) -> dict[str, str]:
    return CREATED | {"X-Hook-Digest": digest(body)}


def kept(server: Receiver) -> list[dict[str, str]]:
    """The headers of each record in the journal."""
    return [dict(reversed(record.headers)) for record in server.journal.lanes[EVENTS].newest(1 << 20)]


async def test_a_delivery_by_its_endpoints_scheme(tmp_path: Path) -> None:
    """Signature, name and id stand in the headers that the config names; a repeat is known by that id."""
    async with running(tmp_path, ENVIRON, endpoints=endpoints(SCHEME)) as server:
        assert await call(server, "/meemo/default", BODY, headers=signed()) == (200, {"status": "accepted"})
        longer = BODY + b" "
        assert await call(server, "/meemo/default", longer, headers=signed(longer)) == (200, {"status": "duplicate"})
        await drained(server)
    (event,) = events_in(tmp_path)
    assert (event["type"], event["id"], event["subject"]) == ("meeting.created", "evt_77", "124")


async def test_any_of_the_organisations_secrets_fits(tmp_path: Path) -> None:
    """One URL, a secret for each organisation."""
    async with running(tmp_path, ENVIRON, endpoints=endpoints(SCHEME)) as server:
        for number, key in enumerate((KEY, b"a key of organisation 13")):
            headers = CREATED | {"Meemo-Delivery": f"evt_{number}", "X-Hook-Digest": digest(BODY, key)}
            assert (await call(server, "/meemo/default", BODY, headers=headers))[1] == {"status": "accepted"}


@pytest.mark.parametrize(
    ("headers", "word"),
    [
        ({}, "missing signature"),
        ({"X-Prosa-Signature": "sha256=" + "0" * 64}, "missing signature"),
        ({"X-Some-Signature": digest()}, "missing signature"),
        ({"X-Hook-Digest": digest(b"other")}, "does not fit"),
        ({"X-Hook-Digest": digest(key=SECRET.encode())}, "does not fit"),
        ({"X-Hook-Digest": "v1,00"}, "x-hook-digest is not"),
    ],
)
async def test_who_shows_another_signature_is_refused(tmp_path: Path, headers: dict[str, str], word: str) -> None:
    """Only the scheme's own header counts, and nothing of the secret is told."""
    async with running(tmp_path, ENVIRON, endpoints=endpoints(SCHEME)) as server:
        status, answer = await call(server, "/meemo/default", BODY, headers=CREATED | headers)
        assert status == 401 and word in answer["error"] and "whsec" not in answer["error"]
        book = server.ledger.endpoint("meemo", "default")
        assert (book.received, book.refused, book.journalled) == (1, 1, 0)


async def test_without_a_scheme_all_is_as_it_was(tmp_path: Path) -> None:
    """The default's headers, and no others."""
    async with running(tmp_path, ENVIRON, endpoints=endpoints()) as server:
        assert (await call(server, "/meemo/default", BODY, headers=signed()))[0] == 401
        good = meemo.sign(BODY, [SECRET], 0.0) | {"X-Prosa-Event": "meeting.created"}
        assert (await call(server, "/meemo/default", BODY, headers=good))[0] == 200


async def test_the_journal_keeps_what_decoding_needs_and_no_secret(tmp_path: Path) -> None:
    """A header with a secret's name that holds the event's is kept under the decoder's name; a signature stays."""
    more = {"Authorization": f"Bearer {TOKEN}", "X-Api-Key": "k-4711", "X-Auth-Token": "t-4711", "X-Plain": "yes"}
    async with running(tmp_path, ENVIRON, endpoints=endpoints(SCHEME, token_env="T")) as server:
        assert (await call(server, "/meemo/default", BODY, headers=signed() | more))[0] == 200
        (headers,) = kept(server)
    assert headers["x-prosa-event"] == "meeting.created" and headers["x-prosa-event-uuid"] == "evt_77"
    assert headers["x-hook-digest"] == digest() and headers["x-plain"] == "yes"
    assert not {"x-webhook-key", "authorization", "x-api-key", "x-auth-token"} & set(headers)
    assert "4711" not in repr(headers)


async def test_what_the_scheme_names_outweighs_the_default_names(tmp_path: Path) -> None:
    """A proxy's or relay's own header of the default's name comes second."""
    async with running(tmp_path, ENVIRON, endpoints=endpoints(SCHEME)) as server:
        headers = signed() | {"X-Prosa-Event": "meeting.deleted", "X-Prosa-Event-UUID": "evt_0"}
        assert (await call(server, "/meemo/default", BODY, headers=headers))[0] == 200
        await drained(server)
    (event,) = events_in(tmp_path)
    assert (event["type"], event["id"]) == ("meeting.created", "evt_77")


@pytest.mark.parametrize("later", [None, SCHEME | {"event_header": "X-Other", "uuid_header": "X-Another"}])
async def test_decoding_asks_for_no_scheme(tmp_path: Path, later: dict[str, Any] | None) -> None:
    """After a restart, whatever the config says by then, the journal means the same, repeats included."""
    async with running(tmp_path, ENVIRON, endpoints=endpoints(SCHEME)) as server:
        assert (await call(server, "/meemo/default", BODY, headers=signed()))[0] == 200
        await drained(server)
    first = events_in(tmp_path)
    sinks = {"again": {"type": "file", "fsync": False, "path": "events/again.jsonl"}}
    async with running(tmp_path, ENVIRON, endpoints=endpoints(later, token_env="T"), sinks=sinks) as server:
        named = {"Authorization": f"Bearer {TOKEN}", "X-Prosa-Event": "meeting.created", "X-Prosa-Event-UUID": "evt_77"}
        assert await call(server, "/meemo/default", BODY, headers=named) == (200, {"status": "duplicate"})
        await drained(server)
        (record,) = server.journal.lanes[EVENTS].newest(1 << 20)
        assert [event.id for event in decode_record(record).events] == ["evt_77"]
    assert first == events_in(tmp_path)[: len(first)] and events_in(tmp_path) == first * 2


async def test_what_lies_in_quarantine_keeps_its_name(tmp_path: Path) -> None:
    """A token fits and the signature does not: the secret may have been rotated; tried again it is the same event."""
    async with running(tmp_path, ENVIRON, endpoints=endpoints(SCHEME, token_env="T")) as server:
        headers = signed(b"other") | {"Authorization": f"Bearer {TOKEN}"}
        assert (await call(server, "/meemo/default", BODY, headers=headers))[0] == 401
        (record,) = quarantined(tmp_path / "journal")
    (event,) = decode_record(record).events
    assert (event.type, event.id) == ("meeting.created", "evt_77") and TOKEN not in repr(record.headers)


@pytest.mark.parametrize("secret", [SECRET, OTHER])
async def test_the_stand_in_by_a_scheme(tmp_path: Path, secret: str) -> None:
    """Meetings of a vendor that signs so: everything is taken once, and both books agree."""
    async with running(tmp_path, ENVIRON, endpoints=endpoints(SCHEME)) as server:
        url = f"{server.url}/meemo/default"
        tally = await play_meetings(
            url, meetings=4, speed=0, secret=secret, scheme=Scheme(**SCHEME), faults=["duplicates", "reorder"]
        )
        await drained(server)
        book = server.ledger.endpoint("meemo", "default")
        assert (book.received, book.journalled, book.duplicates) == (tally.pushed, 12, tally.repeated)
        assert tally.accepted == tally.pushed and book.balanced
    assert {event["vendorevent"] for event in events_in(tmp_path)} == set(meemo.EVENT_TYPES)
