"""The stand-in for Water AI: its callbacks are what the decoder takes, in each form, and its REST API is strict."""

import json
from typing import Any

import aiohttp
import pytest

from receiver.events import Event
from receiver.record import Record
from receiver.simulator.waterai import EVENTS, FORMS, WaterAiCloud, play_meetings
from receiver.vendors import waterai as decoder
from tests.simulator.recording_server import Post, recording_server
from tests.vendors.samples import NOW_NS

TOLD = {"person_name": "Ada", "scenario_id": 456, "allow_transcription": True}


def decode(post: Post) -> list[Event]:
    """What the vendor's module makes of a callback."""
    record = Record(
        vendor="waterai", endpoint="default", kind="body", payload=post.body, received_ns=NOW_NS,
        headers=tuple(post.headers.items()),
    )  # fmt: skip
    return decoder.decode(record).events


async def ask(cloud: WaterAiCloud, method: str, path: str, **options: Any) -> tuple[int, Any]:
    """Status and body of a REST call with the right key, unless ``headers`` say otherwise."""
    options.setdefault("headers", {"Authorization": f"Bearer {cloud.key}"})
    async with aiohttp.ClientSession() as client, client.request(method, cloud.url + path, **options) as answer:
        assert answer.headers["X-RateLimit-Limit"] == "100"
        return answer.status, await answer.json()


async def test_each_meeting_is_told_of_twice() -> None:
    """It has ended, and later its analysis is there; nothing is signed."""
    async with recording_server() as receiver:
        tally = await play_meetings(receiver.url, meetings=3, speed=0)
        events = [event for post in receiver.posts for event in decode(post)]
        told = sorted((event.subject, event.type) for event in events)
        assert told == [
            (str(meeting), type_) for meeting in (789, 790, 791) for type_ in ("artifact.ready", "meeting.ended")
        ]
        assert (tally.pushed, tally.accepted, len(tally.distinct)) == (6, 6, 6)
        for post in receiver.posts:
            assert decoder.verify(post.headers, post.body, secrets=["x"], now_s=None) == "unsigned"


@pytest.mark.parametrize("name", EVENTS)
async def test_every_form_means_the_same(name: str) -> None:
    """Name in the body or in a header, in three spellings; the meeting in five places; the vendor's time."""
    async with recording_server() as receiver:
        cloud = WaterAiCloud(speed=0, callback=receiver.url)
        async with cloud.serve():
            held = await cloud.make_meeting(TOLD)
            for form in range(len(FORMS)):
                await cloud.announce(name, held, form)
        assert len({post.body for post in receiver.posts}) == len(FORMS) == 5
        for post in receiver.posts:
            [event] = decode(post)
            assert (event.type, event.subject) == (decoder.EVENT_TYPES[name], "789")
            assert event.time_ns != NOW_NS


async def test_the_forms_come_in_turn() -> None:
    """A receiver that knows but one of them is found out."""
    async with recording_server() as receiver:
        await play_meetings(receiver.url, meetings=5, speed=0)
        shapes = {
            (tuple(post.json), "x-waterr-event" in post.headers, post.json.get("event", post.json.get("type")))
            for post in receiver.posts
        }
        assert len(shapes) >= len(FORMS)


async def test_nobody_is_told_where_no_address_is_known() -> None:
    """How one is registered is in no public document."""
    cloud = WaterAiCloud(speed=0)
    async with cloud.serve():
        held = await cloud.make_meeting(TOLD)
        await cloud.hold(held)
        assert (held.facts["status"], held.transcribed, cloud.tally.pushed) == ("ended", True, 0)


@pytest.mark.parametrize(("fault", "more"), [("duplicates", True), ("retries", True), ("reorder", False)])
async def test_faults_do_what_they_say(fault: str, more: bool) -> None:
    """Repeats are the same bytes; late ones come all the same; the tally balances."""
    async with recording_server() as receiver:
        tally = await play_meetings(receiver.url, meetings=10, speed=0, seed=1, faults=[fault])
        bodies = {(post.body, post.headers.get("x-waterr-event")) for post in receiver.posts}
        assert len(bodies) == 20
        assert (tally.repeated > 0, tally.reordered > 0) == (more, not more)
        assert tally.pushed == tally.accepted == len(receiver.posts) == 20 + tally.repeated


async def test_after_three_failures_the_breaker_opens() -> None:
    """On demand: the vendor documents no tries at all."""
    async with recording_server(on_post=lambda post: 500) as receiver:
        cloud = WaterAiCloud(speed=0, faults=["breaker"], callback=receiver.url)
        async with cloud.serve():
            held = await cloud.make_meeting(TOLD)
            for _ in range(5):
                await cloud.announce("meeting.ended", held)
        assert (cloud.tally.pushed, cloud.tally.failed, cloud.tally.held_back) == (3, 3, 2)


async def test_a_secret_is_refused() -> None:
    """There is nothing to sign with."""
    with pytest.raises(ValueError, match="no signature of Water AI is known"):
        await play_meetings("http://127.0.0.1:1/", secret="x")


async def test_transcripts_are_there_only_where_they_were_allowed() -> None:
    """The default of ``allow_transcription`` is false."""
    cloud = WaterAiCloud(speed=0)
    async with cloud.serve():
        for allowed in (False, True):
            await cloud.hold(await cloud.make_meeting({**TOLD, "allow_transcription": allowed}))
        assert await ask(cloud, "GET", "/transcripts/meeting/789") == (200, [])
        status, [text] = await ask(cloud, "GET", "/transcripts/meeting/790")
        assert (status, text["id"], text["meeting_id"]) == (200, 302, 790)
        _, scenario = await ask(cloud, "GET", "/sentenced-transcripts/scenario/456")
        assert [meeting["meeting_id"] for meeting in scenario["data"]["meetings"]] == [790]


async def test_envelopes_differ_as_the_vendors_do() -> None:
    """``success`` where something is made, ``status`` where it is read, none for texts."""
    cloud = WaterAiCloud(speed=0, plays=False)
    async with cloud.serve():
        status, made = await ask(cloud, "POST", "/meetings", json={"person_name": "Ada", "scenario_id": 456})
        assert (status, made["success"], made["data"]["status"]) == (201, True, "created")
        assert made["session_minutes_info"] == {"estimatedMinutes": 35, "remainingMinutes": 265}
        assert (await ask(cloud, "GET", "/meetings/789"))[1]["status"] == "success"
        assert isinstance((await ask(cloud, "GET", "/transcripts/meeting/789"))[1], list)


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "details"),
    [
        ("GET", "/meetings/789", {"headers": {}}, 401, "token"),
        ("GET", "/meetings/789", {}, 404, "no meeting 789"),
        ("GET", "/meetings/x", {}, 400, "whole number"),
        ("POST", "/meetings", {"data": b"{"}, 400, "no JSON"),
        ("POST", "/meetings", {"json": []}, 400, "object"),
        ("POST", "/meetings", {"json": {"scenario_id": 1}}, 400, "person_name is required"),
        ("POST", "/meetings", {"json": {"person_name": "Ada"}}, 400, "scenario_id is required"),
        ("POST", "/meetings", {"json": {"scenario_id": "1"}}, 400, "scenario_id has to be of type int"),
        ("POST", "/meetings", {"json": {"scenario_id": True}}, 400, "scenario_id has to be of type int"),
        ("POST", "/meetings", {"json": {"colour": "red"}}, 400, "colour is not allowed"),
        ("POST", "/meetings", {"json": {"voice_vendor": "acme"}}, 400, "one of elevenlabs, azure, cartesia"),
        ("POST", "/meetings/create-dynamic-meeting", {"json": {}}, 400, "scenario_id is required"),
        ("GET", "/sentenced-transcripts/1/789/456", {}, 404, "no meeting 789"),
    ],
)
async def test_a_wrong_call_is_refused_in_the_vendors_words(
    method: str, path: str, options: dict[str, Any], status: int, details: str
) -> None:
    """``{status, message, details}``."""
    cloud = WaterAiCloud(speed=0)
    async with cloud.serve():
        told, body = await ask(cloud, method, path, **options)
        assert (told, body["status"]) == (status, "error")
        assert body["message"]
        assert details in body["details"]


async def test_bodies_are_json_objects() -> None:
    """Whatever their form."""
    async with recording_server() as receiver:
        await play_meetings(receiver.url, meetings=3, speed=0)
        assert all(isinstance(json.loads(post.body), dict) for post in receiver.posts)
