"""The stand-in for Daily: what it pushes is what the decoder takes, and it is as strict as the vendor is."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from receiver.errors import BadSignature
from receiver.events import Event
from receiver.record import Record
from receiver.simulator.daily import EVENTS, DailyCloud, play_meetings
from receiver.vendors import daily as decoder
from tests.simulator.recording_server import Post, Recorder, recording_server
from tests.vendors.samples import NOW_NS

SECRET = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#: what one meeting tells, in its order
MEETING = [
    "meeting.started", "participant.joined", "waiting-participant.joined", "participant.joined",
    "waiting-participant.left", "participant.joined", "recording.started", "transcript.started", "participant.left",
    "participant.left", "participant.left", "meeting.ended", "recording.ready-to-download",
    "transcript.ready-to-download", "batch-processor.job-finished",
]  # fmt: skip


def decode(post: Post) -> list[Event]:
    """What the vendor's module makes of a push, whose signature has to fit."""
    assert decoder.verify(post.headers, post.body, secrets=[SECRET], now_s=None) == "valid"
    record = Record(vendor="daily", endpoint="default", kind="body", payload=post.body, received_ns=NOW_NS)
    return decoder.decode(record).events


def pushed(receiver: Recorder) -> list[Post]:
    """All but pings."""
    return [post for post in receiver.posts if not decoder.is_ping(post.body)]


@asynccontextmanager
async def hooked(**told: Any) -> AsyncIterator[tuple[DailyCloud, Recorder, str]]:
    """A cloud whose one webhook leads to a receiver."""
    async with recording_server() as receiver:
        cloud = DailyCloud(speed=0)
        async with cloud.serve():
            hook = await cloud.register({"url": receiver.url, "eventTypes": list(EVENTS), "hmac": SECRET, **told})
            assert hook is not None
            yield cloud, receiver, hook.uuid


async def ask(cloud: DailyCloud, method: str, path: str, **options: Any) -> tuple[int, Any]:
    """Status and body of a REST call with the right key, unless ``headers`` say otherwise."""
    options.setdefault("headers", {"Authorization": f"Bearer {cloud.key}"})
    async with aiohttp.ClientSession() as client, client.request(method, cloud.url + path, **options) as answer:
        return answer.status, await answer.json() if answer.content_type == "application/json" else None


# Meetings


async def test_a_meeting_is_told_event_by_event() -> None:
    """Signed, in order, each of a type that the contract expects, about the room."""
    async with recording_server() as receiver:
        tally = await play_meetings(receiver.url, speed=0, seed=3, secret=SECRET)
        posts = pushed(receiver)
        assert [post.json["type"] for post in posts] == MEETING
        events = [event for post in posts for event in decode(post)]
        assert [event.type for event in events if event.vendorevent != "batch-processor.job-finished"] == [
            decoder.EVENT_TYPES[name] for name in MEETING[:-1]
        ]
        subjects = {event.subject for event in events}
        assert subjects == {"standin-3-1", ""}
        assert (tally.pushed, tally.accepted, len(tally.distinct)) == (15, 15, 15)


async def test_who_leaves_has_come_and_stayed_as_long_as_is_said() -> None:
    """A leave happened ``duration`` seconds after ``joined_at``."""
    async with recording_server() as receiver:
        await play_meetings(receiver.url, speed=0, secret=SECRET)
        events = [event for post in pushed(receiver) for event in decode(post)]
        joined = {event.data.participant.id: event for event in events if event.type == "participant.joined"}  # type: ignore[attr-defined]
        left = [event for event in events if event.type == "participant.left"]
        assert len(left) == len(joined) == 3
        for event in left:
            stayed_ns = event.time_ns - joined[event.data.participant.id].time_ns  # type: ignore[attr-defined]
            assert stayed_ns == pytest.approx(event.data.duration_s * 1e9, abs=2e6)  # type: ignore[attr-defined]


@pytest.mark.parametrize("speed", [0, 400])
async def test_nothing_is_told_before_it_has_happened(speed: float) -> None:
    """However fast it is played: a push is sent when its time has come, or later."""
    arrived: list[float] = []

    def note(post: Post) -> int:
        arrived.append(time.time())
        return 200

    async with recording_server(on_post=note) as receiver:
        await play_meetings(receiver.url, speed=speed, secret=SECRET)
        sent = [post.json["event_ts"] for post in receiver.posts[1:]]
        assert sent == sorted(sent)
        assert all(sent_s <= arrived_s + 0.01 for sent_s, arrived_s in zip(sent, arrived[1:], strict=True))


async def test_the_same_seed_tells_the_same_meeting() -> None:
    """Room, people and ids follow from it; another seed has others."""
    seen = []
    for seed in (1, 1, 2):
        async with recording_server() as receiver:
            await play_meetings(receiver.url, speed=0, seed=seed, secret=SECRET)
            bodies = [post.json["payload"] for post in pushed(receiver)]
            seen.append([(body.get("room"), body.get("session_id"), body.get("user_name")) for body in bodies])
    assert seen[0] == seen[1] != seen[2]


async def test_all_28_events_can_be_pushed() -> None:
    """Each once, and each known to the decoder by its name."""
    async with hooked() as (cloud, receiver, _):
        await cloud.announce_all(await cloud.open_call(cloud.make_room("standup")))
        posts = pushed(receiver)
        assert [post.json["type"] for post in posts] == list(EVENTS)
        assert len(posts) == 28
        for post in posts:
            events = decode(post)
            name = post.json["type"]
            assert decoder.EVENT_TYPES[name] in {event.type for event in events} or name == "batch-processor.error"
            assert events[0].vendorevent == name
        assert len({post.json["id"] for post in posts}) == 28


async def test_only_what_was_asked_for_is_told_and_only_of_later_sessions() -> None:
    """A session that began before the registration is not told."""
    async with hooked(eventTypes=["meeting.ended"]) as (cloud, receiver, uuid):
        call = await cloud.open_call(cloud.make_room("standup"))
        await cloud.announce_all(call)
        assert [post.json["type"] for post in pushed(receiver)] == ["meeting.ended"]
        call.hooks.remove(uuid)
        await cloud.announce_all(call)
        assert len(pushed(receiver)) == 1


# Webhooks


async def test_basic_credentials_come_with_each_push() -> None:
    """As they were given: encoded, or as ``user:password``."""
    for given in ("dXNlcjpwYXNz", "user:pass"):
        async with hooked(basicAuth=given) as (cloud, receiver, _):
            await cloud.announce("meeting.started", await cloud.open_call(cloud.make_room("standup")))
            assert {post.headers["authorization"] for post in receiver.posts} == {"Basic dXNlcjpwYXNz"}


async def test_the_key_is_what_the_secrets_base64_stands_for() -> None:
    """A signature of the text itself would not fit; nor does one for another body."""
    async with hooked() as (cloud, receiver, _):
        await cloud.announce("meeting.started", await cloud.open_call(cloud.make_room("standup")))
        [post] = pushed(receiver)
        assert len(post.headers["x-webhook-timestamp"]) == 13
        for secret, body in ((base64.b64encode(SECRET.encode()).decode(), post.body), (SECRET, post.body + b" ")):
            with pytest.raises(BadSignature):
                decoder.verify(post.headers, body, secrets=[secret], now_s=None)


async def test_three_failures_cut_the_feed_until_it_is_woken() -> None:
    """``circuit-breaker``: ``FAILED``, and no more events at all; the update pings again."""
    async with hooked() as (cloud, receiver, uuid):
        call = await cloud.open_call(cloud.make_room("standup"))
        receiver.on_post = lambda post: 503
        await cloud.announce_all(call)
        assert (cloud.hooks[uuid].state, cloud.hooks[uuid].failedCount) == ("FAILED", 3)
        assert (cloud.tally.pushed, cloud.tally.failed, cloud.tally.held_back) == (3, 3, 25)
        assert (await ask(cloud, "POST", f"/webhooks/{uuid}", json={}))[0] == 400
        receiver.on_post = lambda post: 200
        status, shown = await ask(cloud, "POST", f"/webhooks/{uuid}", json={})
        assert (status, shown["state"], shown["failedCount"], shown["hmac"]) == (200, "ACTIVE", 0, SECRET)
        await cloud.announce("meeting.ended", call)
        assert cloud.tally.accepted == 1


async def test_nothing_but_200_is_a_success_and_a_success_closes_the_breaker() -> None:
    """204 counts as failure."""
    answers = iter([200, 204, 204, 200, 204, 204, 200])
    async with recording_server(on_post=lambda post: next(answers)) as receiver:
        cloud = DailyCloud(speed=0)
        async with cloud.serve():
            hook = await cloud.register({"url": receiver.url, "eventTypes": list(EVENTS)})
            assert hook is not None
            call = await cloud.open_call(cloud.make_room("standup"))
            counts = []
            for name in list(EVENTS)[:6]:
                await cloud.announce(name, call)
                counts.append(hook.failedCount)
            assert counts == [1, 2, 0, 1, 2, 0]
            assert hook.state == "ACTIVE"


async def test_exponential_tries_each_message_five_times() -> None:
    """It never trips, and every try bears the signature of the first."""
    async with hooked(retryType="exponential") as (cloud, receiver, uuid):
        call = await cloud.open_call(cloud.make_room("standup"))
        receiver.on_post = lambda post: 500
        await cloud.announce("meeting.started", call)
        await cloud.idle()
        tries = pushed(receiver)
        assert len(tries) == 5
        assert len({(post.body, post.headers["x-webhook-signature"]) for post in tries}) == 1
        assert (cloud.hooks[uuid].state, cloud.tally.repeated, cloud.tally.failed) == ("ACTIVE", 4, 5)
        answers = iter([500, 200])
        receiver.on_post = lambda post: next(answers)
        await cloud.announce("meeting.ended", call)
        await cloud.idle()
        assert (cloud.tally.accepted, len(pushed(receiver))) == (1, 7)


async def test_who_does_not_answer_the_ping_is_told_nothing() -> None:
    """The vendor would register nothing."""
    said: list[str] = []
    async with recording_server(on_post=lambda post: 404) as receiver:
        tally = await play_meetings(receiver.url, speed=0, progress=lambda subject, what: said.append(what))
        assert (tally.pushed, len(receiver.posts)) == (0, 1)
        assert said == ["the ping was not answered 200: the vendor would register nothing"]


# Faults


@pytest.mark.parametrize("fault", ["duplicates", "retries"])
async def test_repeats_are_the_same_bytes(fault: str) -> None:
    """Body, signature and all; each is counted."""
    async with recording_server() as receiver:
        tally = await play_meetings(receiver.url, meetings=3, speed=0, seed=5, faults=[fault], secret=SECRET)
        bodies = [post.body for post in pushed(receiver)]
        assert tally.repeated > 0
        assert (len(bodies), len(set(bodies))) == (45 + tally.repeated, 45)
        assert (tally.pushed, tally.accepted, len(tally.distinct)) == (len(bodies), len(bodies), 45)


async def test_reordered_events_all_come() -> None:
    """Late, and none lost."""
    async with recording_server() as receiver:
        tally = await play_meetings(receiver.url, speed=0, seed=2, faults=["reorder"], secret=SECRET)
        names = [post.json["type"] for post in pushed(receiver)]
        assert tally.reordered > 0
        assert names != MEETING
        assert sorted(names) == sorted(MEETING)


async def test_a_receiver_that_is_down_is_counted() -> None:
    """Everything that was pushed was accepted, refused or failed; the rest the breaker holds back."""
    async with recording_server(on_post=lambda post: 200 if decoder.is_ping(post.body) else 401) as receiver:
        tally = await play_meetings(receiver.url, speed=0, secret=SECRET)
        assert (tally.pushed, tally.refused, tally.held_back) == (3, 3, 12)


async def test_what_is_pending_is_never_ready() -> None:
    """The meeting ends, and what was made of it stays in the making."""
    cloud = DailyCloud(speed=0, faults=["pending"])
    async with cloud.serve():
        await cloud.hold(cloud.make_room("standup"))
        [call] = cloud.calls.values()
        assert (call.ended_s is not None, call.recording, call.transcript) == (True, "in-progress", "t_in_progress")
        assert (await ask(cloud, "GET", f"/transcript/{call.transcript_id}/access-link"))[0] == 400


def test_a_secret_that_is_no_base64_is_refused() -> None:
    """It could sign nothing."""
    with pytest.raises(ValueError, match="base64"):
        asyncio.run(play_meetings("http://127.0.0.1:1/", secret="not base64!"))


# REST


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "word"),
    [
        ("GET", "/rooms", {"headers": {}}, 400, "authorization-header-error"),
        ("GET", "/rooms", {"headers": {"Authorization": "Basic x"}}, 400, "authorization-header-error"),
        ("GET", "/rooms", {"headers": {"Authorization": "Bearer x"}}, 401, "authentication-error"),
        ("POST", "/rooms", {"data": b"{"}, 400, "json-parsing-error"),
        ("POST", "/rooms", {"json": []}, 400, "invalid-request-error"),
        ("POST", "/rooms", {"json": {"name": "no blanks"}}, 400, "invalid-request-error"),
        ("POST", "/rooms", {"json": {"colour": 1}}, 400, "invalid-request-error"),
        ("POST", "/rooms", {"json": {"privacy": "org"}}, 400, "invalid-request-error"),
        ("POST", "/rooms", {"json": {"properties": {"exp": "soon"}}}, 400, "invalid-request-error"),
        ("GET", "/rooms?limit=101", {}, 400, "invalid-request-error"),
        ("GET", "/rooms?starting_after=nobody", {}, 400, "invalid-request-error"),
        ("GET", "/meetings?timeframe_start=soon", {}, 400, "invalid-request-error"),
        ("GET", "/rooms/nobody", {}, 404, "not-found"),
        ("GET", "/recordings/nobody", {}, 404, "not-found"),
        ("POST", "/webhooks", {"json": {"url": "https://x.example"}}, 400, "invalid-request-error"),
        (
            "POST",
            "/webhooks",
            {"json": {"url": "ftp://x", "eventTypes": list(EVENTS)}},
            400,
            "invalid-request-error",
        ),
        ("POST", "/webhooks/nobody", {"json": {}}, 404, "not-found"),
    ],
)
async def test_a_wrong_call_is_refused_in_the_vendors_words(
    method: str, path: str, options: dict[str, Any], status: int, word: str
) -> None:
    """``{error, info}`` with the documented word."""
    cloud = DailyCloud(speed=0)
    async with cloud.serve():
        told, body = await ask(cloud, method, path, **options)
        assert (told, body["error"]) == (status, word)
        assert body["info"]


async def test_pages_go_both_ways() -> None:
    """``ending_before`` gives what is newer; the total counts all of it."""
    cloud = DailyCloud(speed=0)
    async with cloud.serve():
        rooms = [cloud.make_room(f"room-{number}") for number in range(3)]
        _, after = await ask(cloud, "GET", f"/rooms?limit=1&starting_after={rooms[2].id}")
        _, before = await ask(cloud, "GET", f"/rooms?ending_before={rooms[1].id}")
        assert ([room["name"] for room in after["data"]], after["total_count"]) == (["room-1"], 3)
        assert [room["name"] for room in before["data"]] == ["room-2"]


async def test_a_file_is_for_its_link_and_not_for_a_key() -> None:
    """Who shows the API key to the host of files has given it away."""
    cloud = DailyCloud(speed=0)
    async with cloud.serve():
        await cloud.hold(cloud.make_room("standup"))
        [call] = cloud.calls.values()
        _, told = await ask(cloud, "GET", f"/transcript/{call.transcript_id}/access-link")
        async with aiohttp.ClientSession() as client:
            for link, headers, status in (
                (told["link"], {}, 200),
                (told["link"], {"Authorization": f"Bearer {cloud.key}"}, 403),
                (told["link"].partition("?")[0], {}, 403),
            ):
                async with client.get(link, headers=headers) as answer:
                    assert answer.status == status
                    assert (await answer.read()).startswith(b"WEBVTT" if status == 200 else b"<Error>")


async def test_bodies_are_compact_json() -> None:
    """The vendor signs a re-serialised body; raw bytes fit only if those are the same."""
    async with hooked() as (cloud, receiver, _):
        await cloud.announce_all(await cloud.open_call(cloud.make_room("standup")))
        for post in pushed(receiver):
            assert json.dumps(post.json, separators=(",", ":"), ensure_ascii=False).encode() == post.body
