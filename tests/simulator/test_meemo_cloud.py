"""The stand-in of Meemo: the vendor module understands what it pushes, its books balance, faults do what they say."""

import base64
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from receiver.events import Event
from receiver.record import Record
from receiver.simulator.meemo import MeemoCloud, Scheme, play_meetings
from receiver.vendors import meemo
from tests.simulator.recording_server import Post, Recorder, recording_server
from tests.vendors.samples import NOW_NS

SECRET = "whsec_" + base64.b64encode(b"a key of twenty-four byte").decode()
OTHER: dict[str, Any] = {"signature_header": "Meemo-Signature", "prefix": "v1=", "encoding": "base64", "key": "base64",
         "event_header": "Meemo-Event", "uuid_header": "Meemo-Delivery"}  # fmt: skip
BOT = {"organization_id": 1, "title": "Weekly", "bot_meeting_url": "https://meet.example.com/a"}
STORY = ["meeting.created", "meeting.transcription_completed", "meeting.summarization_completed"]


def events_of(post: Post) -> list[Event]:
    """What the vendor module makes of a push."""
    headers = tuple(post.headers.items())
    record = Record(
        vendor="meemo", endpoint="default", kind="body", received_ns=NOW_NS, payload=post.body, headers=headers
    )
    return meemo.decode(record).events


def names(server: Recorder) -> list[str]:
    return [event.vendorevent for post in server.posts for event in events_of(post)]


@asynccontextmanager
async def clouded(server: Recorder, **facts: Any) -> AsyncIterator[MeemoCloud]:
    """A stand-in with one webhook at ``server``, of organisation 1."""
    cloud = MeemoCloud(speed=0, **facts)
    async with cloud.serve():
        cloud.add_hook(server.url, 1, secret=SECRET)
        yield cloud


async def test_a_meeting_is_told_from_beginning_to_end() -> None:
    """Three events of one meeting, signed, each with its own id; a bot's meeting takes its time."""
    async with recording_server() as server, clouded(server) as cloud:
        meeting = cloud.add_meeting(BOT)
        await cloud.idle()
    assert names(server) == STORY and meeting.status == "past" and meeting.summarized
    for post in server.posts:
        assert meemo.verify(post.headers, post.body, secrets=[SECRET], now_s=None) == "valid"
        (event,) = events_of(post)
        assert event.subject == "123" and event.data.attributes == {"organization_id": 1}
    assert len({event.id for post in server.posts for event in events_of(post)}) == 3
    assert [(one.status, one.attempt_count) for one in cloud.store.log.values()] == [("SUCCESS", 1)] * 3


async def test_every_event_of_the_vendor_is_played() -> None:
    """Of four meetings one is deleted in the end and one cannot be transcribed; the whole is one endpoint's."""
    progress: list[tuple[str, str]] = []
    async with recording_server() as server:
        tally = await play_meetings(
            server.url, meetings=4, speed=0, seed=3, secret=SECRET, progress=lambda *what: progress.append(what)
        )
    assert set(names(server)) == set(meemo.EVENT_TYPES)
    assert (tally.pushed, tally.accepted, len(tally.distinct)) == (12, 12, 12) == (len(server.posts),) * 3
    assert {subject for subject, _ in progress} == {"123", "124", "125", "126"}
    assert {type(event.data).__name__ for post in server.posts for event in events_of(post)} == {
        "Artifact",
        "MeetingInfo",
    }


@pytest.mark.parametrize("secret", [SECRET, ""])
async def test_another_scheme(secret: str) -> None:
    """Header names, prefix, encoding and key are to be chosen; without a secret nothing is signed."""
    async with recording_server() as server:
        await play_meetings(server.url, speed=0, secret=secret, scheme=Scheme(**OTHER))
    scheme = meemo.Scheme(**OTHER)
    for post in server.posts:
        assert ("meemo-signature" in post.headers) == bool(secret)
        assert not any("prosa" in name for name in post.headers)
        if secret:
            assert scheme.verify(post.headers, post.body, secrets=[secret], now_s=None) == "valid"
        assert dict(scheme.named(tuple(post.headers.items())))["x-prosa-event"] in STORY
    assert len(server.posts) == 3


@pytest.mark.parametrize("key", ["text", "after_whsec", "base64"])
@pytest.mark.parametrize("encoding", ["hex", "base64"])
async def test_both_sides_agree_on_each_form(key: Any, encoding: Any) -> None:
    """Two programs, one recipe."""
    body, secret = b"{}", SECRET.rstrip("=")
    headers = Scheme(key=key, encoding=encoding).headers(body, secret, "meeting.created", "evt_1")
    lower = {name.lower(): value for name, value in headers.items()}
    assert meemo.verify_with(meemo.Scheme(key=key, encoding=encoding), lower, body, [secret], None) == "valid"


async def test_each_organisation_is_told_of_its_own_with_its_own_secret() -> None:
    """One URL, one secret for each organisation; a webhook gets the events that it asked for."""
    async with recording_server() as server:
        cloud = MeemoCloud(speed=0)
        async with cloud.serve():
            hooks = [cloud.add_hook(server.url, number, ["meeting.created"]) for number in (1, 2)]
            for number in (1, 2):
                cloud.add_meeting(BOT | {"organization_id": number})
            await cloud.idle()
    assert names(server) == ["meeting.created"] * 2
    secrets = [hook.secret_key for hook in hooks]
    for post in server.posts:
        assert meemo.verify(post.headers, post.body, secrets=secrets, now_s=None) == "valid"
    assert secrets[0] != secrets[1]


async def test_what_is_not_taken_is_tried_again() -> None:
    """At once, then after a minute, five, thirty, two hours; the log counts, the webhook remembers."""
    answers = iter([500, 503, 404])
    async with recording_server(on_post=lambda post: next(answers, 200)) as server, clouded(server) as cloud:
        cloud.add_meeting(BOT)
        await cloud.idle()
    assert Counter(names(server)).total() == 6 and len({post.body for post in server.posts}) == 3
    assert {one.status for one in cloud.store.log.values()} == {"SUCCESS"}
    assert sum(one.attempt_count for one in cloud.store.log.values()) == 6 == cloud.tally.pushed
    assert (cloud.tally.accepted, cloud.tally.failed, cloud.tally.refused) == (3, 2, 1)


async def test_after_five_tries_it_gives_up() -> None:
    """The log calls it failed, the detail of the webhook says why."""
    async with recording_server(on_post=lambda post: 500) as server, clouded(server, retries_s=(1, 2)) as cloud:
        cloud.add_meeting(BOT)
        await cloud.idle()
        (hook,) = cloud.store.hooks.values()
    assert {(one.status, one.response_status, one.attempt_count) for one in cloud.store.log.values()} == {
        ("FAILED", 500, 3)
    }
    assert (hook.failure_count, hook.last_failure_reason, cloud.tally.failed) == (9, "answered 500", 9)


async def test_accidents_and_a_balance() -> None:
    """Repeats are byte for byte the same; what is held back comes later; nothing is lost."""
    async with recording_server() as server:
        tally = await play_meetings(
            server.url, meetings=12, speed=0, seed=1, secret=SECRET, faults=["duplicates", "reorder"]
        )
    bodies = Counter(post.body for post in server.posts)
    assert tally.repeated == sum(count - 1 for count in bodies.values()) > 0 < tally.reordered
    assert tally.pushed == tally.accepted == len(server.posts) == len(bodies) + tally.repeated
    assert len(bodies) == len(tally.distinct) == 36 and names(server) != STORY * 12


async def test_the_breaker_opens() -> None:
    """After three failures in a row the webhook is off; what is under way then is all that still comes."""
    async with recording_server(on_post=lambda post: 500) as server, clouded(server, faults=["breaker"]) as cloud:
        cloud.add_meeting(BOT)
        await cloud.idle()
        (hook,) = cloud.store.hooks.values()
    tries = 5 * len(cloud.store.log)
    assert not hook.is_active and 3 <= len(server.posts) == cloud.tally.pushed < tries
    assert {entry.status for entry in cloud.store.log.values()} == {"FAILED"}


async def test_what_somebody_deletes_is_gone() -> None:
    """``meeting.deleted``, and 404 from then on."""
    async with recording_server() as server, clouded(server) as cloud:
        meeting = cloud.add_meeting(BOT)
        await cloud.idle()
        await cloud.delete(meeting)
        assert names(server)[-1] == "meeting.deleted" and cloud.store.meetings == {}


async def test_the_same_seed_gives_the_same_ids() -> None:
    """Of events and of secrets."""
    seen = []
    for _ in range(2):
        async with recording_server() as server:
            cloud = MeemoCloud(speed=0, seed=7)
            async with cloud.serve():
                hook = cloud.add_hook(server.url, 1)
                cloud.add_meeting(BOT)
                await cloud.idle()
            seen.append((hook.secret_key, [event.id for post in server.posts for event in events_of(post)]))
    assert seen[0] == seen[1]


# Its API, asked by hand: the client is not the only one that it must be strict with

API = "/api/v1/external"


@pytest.mark.parametrize(
    ("method", "path", "sent", "status"),
    [
        ("POST", "/api/auth/token/", {"data": {"grant_type": "password"}}, 400),
        ("POST", "/api/auth/token/", {"data": {"grant_type": "client_credentials", "client_id": "x"}}, 401),
        ("POST", "/api/auth/token/", {"json": {"grant_type": "client_credentials"}}, 400),
        ("POST", "/api/auth/revoke-token/", {"data": {"client_id": "x"}}, 401),
        ("GET", f"{API}/meeting/", {}, 401),
        ("GET", f"{API}/meeting/", {"headers": {"Authorization": "Bearer x"}}, 401),
        ("GET", f"{API}/meeting/", {"headers": {"Authorization": "Basic eDp5"}}, 401),
        ("GET", "/media/meeting_records/123/recording.wav", {}, 401),
        ("GET", f"{API}/meeting", {}, 404),
    ],
)
async def test_without_a_token_nothing_is_told(method: str, path: str, sent: dict[str, Any], status: int) -> None:
    """Form-encoded credentials, and a bearer that was granted."""
    cloud = MeemoCloud(speed=0)
    async with (
        cloud.serve(),
        aiohttp.ClientSession() as client,
        client.request(method, cloud.url + path, **sent) as answer,
    ):
        assert answer.status == status


@pytest.mark.parametrize(
    ("method", "path", "sent", "status", "word"),
    [
        ("GET", "/meeting/?page=2", None, 404, "Invalid page"),
        ("GET", "/meeting/?page=x", None, 400, "page"),
        ("GET", "/meeting/?created_after=today", None, 400, "created_after"),
        ("GET", "/meeting/?organization_id=9", None, 403, "not one of yours"),
        ("GET", "/meeting/x/", None, 404, "Not found"),
        ("POST", "/meeting/", {}, 400, "organization_id"),
        ("POST", "/meeting/", BOT | {"file_url": "https://x/a.mp3"}, 400, "file_url"),
        ("POST", "/meeting/", BOT | {"bot_join_at": "2020-01-01T00:00:00Z"}, 400, "future"),
        ("POST", "/meeting/", BOT | {"bot_join_at": "soon"}, 400, "no time"),
        ("POST", "/meeting/", BOT | {"speaker_count": 0}, 400, "speaker_count"),
        ("POST", "/meeting/", BOT | {"calendar_event": {}}, 400, "event_id"),
        ("POST", "/meeting/", [], 400, "JSON"),
        ("POST", "/webhooks/", {"target_url": "https://x"}, 400, "events"),
        ("POST", "/webhooks/", {"target_url": "https://x", "events": ["meeting.created"]}, 400, "organization_ids"),
    ],
)
async def test_a_wrong_request_is_refused(method: str, path: str, sent: Any, status: int, word: str) -> None:
    """With the field and a word about it."""
    cloud = MeemoCloud(speed=0)
    async with cloud.serve(), aiohttp.ClientSession() as client:
        form = {"grant_type": "client_credentials", "client_id": "simulated-client",
                "client_secret": "simulated-client-secret"}  # fmt: skip
        async with client.post(f"{cloud.url}/api/auth/token/", data=form) as answer:
            granted = await answer.json()
        assert (granted["token_type"], granted["expires_in"], granted["scope"]) == ("Bearer", 10_800, "read write")
        bearer = {"Authorization": f"Bearer {granted['access_token']}"}
        async with client.request(method, cloud.url + API + path, json=sent, headers=bearer) as answer:
            assert answer.status == status and word in await answer.text()
        assert not cloud.store.meetings and not cloud.store.hooks
