"""MeetStream's stand-in: what it pushes is what our decoder reads, signed as the vendor signs; its books balance."""

import asyncio
import hashlib
from typing import Any

import aiohttp
import pytest

from receiver.events import BotStatus, Event
from receiver.record import Record
from receiver.rest.base import Account, Hints, Wiring
from receiver.rest.meetstream import MeetStreamApi, MeetStreamOptions
from receiver.simulator import speech
from receiver.simulator.cloud import CLOUD_FAULTS
from receiver.simulator.meetstream_cloud import MeetStreamCloud, play_meetings
from receiver.vendors import decode_record, meetstream
from receiver.vendors.replies import Seen, reply_record
from tests.simulator.recording_server import Post, Recorder, recording_server

SECRET = "whsec_c2VjcmV0"
NOW_NS = 1_788_264_000_000_000_000
MEET = "https://meet.google.com/abc-defg-hij"


def decoded(post: Post) -> list[Event]:
    """What our decoder makes of a delivery."""
    return meetstream.decode(
        Record(vendor="meetstream", endpoint="default", kind="body", payload=post.body, received_ns=NOW_NS)
    ).events


def events(recorder: Recorder) -> list[Event]:
    return [event for post in recorder.posts for event in decoded(post)]


def statuses(recorder: Recorder) -> list[str]:
    return [event.data.status for event in events(recorder) if isinstance(event.data, BotStatus)]


def wired_to(recorder: Recorder) -> Wiring:
    """As the receiver's own URLs are."""
    base = "ws" + recorder.url.removeprefix("http") + "/bot/"
    return Wiring(callback=recorder.url, audio=base + "audio", video=base + "video", control=base + "control")


async def create(cloud: MeetStreamCloud, wiring: Wiring, **fields: Any) -> tuple[MeetStreamApi, str]:
    """A bot made over the API, and the client that made it."""
    api = MeetStreamApi(Account(vendor="meetstream", name="a", key=cloud.key, base_url=cloud.url), cloud.client)
    made = await api.create(wiring, MeetStreamOptions(meeting_link=MEET, **fields))
    return api, made.subject


async def test_a_bot_that_is_created_delivers_its_whole_meeting() -> None:
    """From joining to done, who came and went, what was said, sound and picture: all to the URLs that were given."""
    cloud = MeetStreamCloud(speed=0)
    async with recording_server() as recorder, cloud.serve():
        _, bot_id = await create(cloud, wired_to(recorder), custom_attributes={"team": "platform"})
        await cloud.idle()
    assert statuses(recorder) == [
        "joining", "waiting_room", "in_meeting", "recording", "leaving", "stopped", "uploading", "done",
    ]  # fmt: skip
    types = [event.type for event in events(recorder)]
    assert types.count("participant.joined") == 3 and types.count("participant.left") == 2
    assert types.count("transcript.final") == len(speech.load().utterances) and types.count("artifact.ready") == 3
    assert "vendor.event" not in types
    assert {event.subject for event in events(recorder)} == {bot_id}
    attributes = {str(event.data.attributes) for event in events(recorder) if event.type == "bot.status"}
    assert attributes == {str({"team": "platform"})}
    frames = [message for channel in ("audio", "video") for one in recorder.of(channel) for message in one.binary]
    assert cloud.tally.frames == len(frames) > 100
    assert cloud.tally.sockets == len(recorder.connections) == 3
    tally = cloud.tally
    assert tally.pushed == tally.accepted == len(tally.distinct) == len(recorder.posts)


async def test_what_is_pushed_is_what_is_asked_for() -> None:
    """A post-call provider brings a transcript and no live one; without picture none is told of; Zoom has none."""
    provider: dict[str, Any] = {"transcript": {"provider": {"deepgram": {}}}}
    cloud = MeetStreamCloud(speed=0)
    async with recording_server() as recorder, cloud.serve():
        body = {"meeting_link": "https://zoom.us/j/1", "bot_name": "N", "callback_url": recorder.url}
        sockets = {"live_video_required": {"websocket_url": wired_to(recorder).video}}
        await cloud.admit({**body, **sockets, "recording_config": provider, "video_required": False, "join_at": "x"})
        await cloud.idle()
    names = [post.json["event"] for post in recorder.posts]
    assert names[0] == "bot.scheduled" and "transcription.processed" in names and "video.processed" not in names
    assert not any("transcript" in post.json for post in recorder.posts) and recorder.connections == []


async def test_older_accounts_have_live_transcripts_by_socket() -> None:
    """``live_transcription_required.websocket_url`` alone: text messages in place of POSTs."""
    cloud = MeetStreamCloud(speed=0)
    async with recording_server() as recorder, cloud.serve():
        url = wired_to(recorder).audio.replace("/audio", "/transcript")
        live = {"live_transcription_required": {"websocket_url": url}}
        provider: dict[str, Any] = {"recording_config": {"transcript": {"provider": {"meetstream_streaming": {}}}}}
        await cloud.admit({"meeting_link": MEET, "bot_name": "N", **provider, **live})
        await cloud.idle()
    (socket,) = recorder.of("transcript")
    assert len(socket.texts) == cloud.tally.messages > 50 and recorder.posts == []


async def test_a_removed_bot_leaves_at_once() -> None:
    """What it still would have heard is not sent; leaving, stopped and done follow; the sockets are closed properly."""
    recording = asyncio.Event()

    def watch(subject: str, what: str) -> None:
        if what == "audio socket open":
            recording.set()

    cloud = MeetStreamCloud(speed=1.0, progress=watch)
    async with recording_server() as recorder, cloud.serve():
        api, bot_id = await create(cloud, wired_to(recorder))
        await asyncio.wait_for(recording.wait(), 20)
        assert "Stop signal" in await api.remove(bot_id)
        await asyncio.wait_for(cloud.idle(), 20)
    assert statuses(recorder)[-4:] == ["leaving", "stopped", "uploading", "done"]
    stopped = next(post.json for post in recorder.posts if post.json.get("event") == "bot.stopped")
    assert stopped["bot_event"] == "bot.stopped"
    assert cloud.tally.frames < 500


async def test_callbacks_are_signed_and_nothing_else() -> None:
    """Workspace endpoints sign: callbacks. Participants and transcripts are unsigned."""
    async with recording_server() as recorder:
        await play_meetings(recorder.url, speed=0, secret=SECRET)
    told = {"valid": 0, "unsigned": 0}
    for post in recorder.posts:
        proof = meetstream.verify(post.headers, post.body, secrets=[SECRET], now_s=None)
        told[proof] += 1
        assert (proof == "valid") == ("bot_id" in post.json and "event" in post.json)
    assert told["valid"] >= 11 and told["unsigned"] > 50


async def test_the_same_seed_plays_the_same_meetings() -> None:
    """Ids and cast follow from the seed; several bots are several."""
    subjects = []
    for seed in (3, 3, 4):
        async with recording_server() as recorder:
            await play_meetings(recorder.url, meetings=2, speed=0, seed=seed)
        subjects.append({event.subject for event in events(recorder)})
    assert subjects[0] == subjects[1] and len(subjects[0]) == 2 and not subjects[0] & subjects[2]


@pytest.mark.parametrize("fault", ["duplicates", "retries", "reorder"])
async def test_a_fault_does_what_it_says(fault: str) -> None:
    """Repeats are byte by byte the same; what is held back comes later; nothing is lost."""
    async with recording_server() as recorder:
        plain = await play_meetings(recorder.url, speed=0, seed=1)
    async with recording_server() as recorder:
        tally = await play_meetings(recorder.url, speed=0, seed=1, faults=[fault])
    digests = [hashlib.sha256(post.body).hexdigest() for post in recorder.posts]
    assert tally.pushed == tally.accepted == len(digests) == plain.pushed + tally.repeated
    assert len(set(digests)) == len(tally.distinct) == len(plain.distinct)
    assert (tally.reordered if fault == "reorder" else tally.repeated) > 5


async def test_a_breaker_holds_back_what_comes_after_three_failures() -> None:
    """The sum of what was pushed and held back is the whole."""
    async with recording_server() as recorder:
        plain = await play_meetings(recorder.url, speed=0, seed=1)
    async with recording_server(on_post=lambda post: 503) as recorder:
        tally = await play_meetings(recorder.url, speed=0, seed=1, faults=["breaker"])
    assert (tally.pushed, tally.failed, tally.accepted) == (3, 3, 0)
    assert tally.held_back == plain.pushed - 3


@pytest.mark.parametrize("status", [400, 503])
async def test_refusals_are_counted_and_stop_nothing(status: int) -> None:
    """4xx apart from 5xx; the meeting goes on."""
    async with recording_server(on_post=lambda post: status) as recorder:
        tally = await play_meetings(recorder.url, speed=0, seed=1)
    assert tally.pushed == len(recorder.posts) == (tally.refused if status == 400 else tally.failed)
    assert tally.distinct == set()


async def test_unknown_faults_and_bad_urls_are_refused() -> None:
    """Before anything is played."""
    with pytest.raises(ValueError, match=", ".join(CLOUD_FAULTS)):
        await play_meetings("http://127.0.0.1:9/x", faults=["gremlins"])
    with pytest.raises(ValueError, match="http"):
        await play_meetings("ftp://x")


async def test_what_was_missed_is_found_in_the_bots_record() -> None:
    """A receiver that was away for the whole meeting learns from ``detail`` all that the callbacks had told."""
    cloud = MeetStreamCloud(speed=0)
    async with recording_server() as recorder, cloud.serve():
        api, bot_id = await create(cloud, wired_to(recorder))
        await cloud.idle()
        (record,) = await api.own_record(bot_id, Hints())

    def missed(seen: Seen) -> list[Event]:
        kept = reply_record(
            "meetstream", "default", record.call, record.body,
            subject=bot_id, content_type=record.content_type, now_ns=NOW_NS, seen=seen,
        )  # fmt: skip
        return decode_record(kept).events

    def told(found: list[Event]) -> set[tuple[str, str, int]]:
        return {
            (event.type, event.vendorevent, event.time_ns)
            for event in found
            if not event.type.startswith("transcript")
            and event.vendorevent not in ("bot.uploading", "manifest.completed")
        }

    found = [event for event in missed(Seen()) if event.vendorevent != "manifest.completed"]
    assert told(found) == told(events(recorder))
    assert all(event.data.reconciled for event in found)
    seen = Seen(
        statuses=frozenset(event.vendorevent for event in found if event.type == "bot.status"),
        joined=frozenset(
            post.json["data"]["data"]["participant"]["id"] for post in recorder.posts if "data" in post.json
        ),
        left=frozenset(
            post.json["data"]["data"]["participant"]["id"] for post in recorder.posts if "data" in post.json
        ),
        artifacts=frozenset({"audio/ready", "video/ready", "manifest/ready"}),
    )
    assert missed(seen) == []


async def test_a_second_transcription_is_told_once_and_without_attributes() -> None:
    """Exactly one event at the URL that was given, no ``bot.done``; deletion is told without attributes too."""
    cloud = MeetStreamCloud(speed=0)
    async with recording_server() as recorder, cloud.serve():
        api, bot_id = await create(cloud, Wiring(callback=recorder.url), custom_attributes={"team": "platform"})
        await cloud.idle()
        before = len(recorder.posts)
        await api.transcribe(bot_id, {"deepgram": {}}, callback_url=recorder.url)
        await cloud.idle()
        await api.delete(bot_id)
        await cloud.idle()
    again, deletion = (post.json for post in recorder.posts[before:])
    assert (again["event"], deletion["event"]) == ("transcription.processed", "data_deletion")
    assert "custom_attributes" not in again and "custom_attributes" not in deletion


async def test_rest_calls_are_counted_by_route_and_status() -> None:
    """``METHOD /path/{id} status``: a test can hold them against what a client says that it did."""
    cloud = MeetStreamCloud(speed=0)
    async with cloud.serve(), aiohttp.ClientSession(headers={"Authorization": f"Token {cloud.key}"}) as client:
        for _ in range(2):
            await client.get(f"{cloud.url}/bots/nobody/status")
        answer = await client.post(f"{cloud.url}/bots/create_bot", data=b"[]")
        assert (answer.status, await answer.json()) == (400, {"message": "The body has to be an object"})
        answer = await client.post(f"{cloud.url}/bots/create_agent", data=b"{")
        assert answer.status == 400
    assert dict(cloud.tally.calls) == {
        "GET /api/v1/bots/{bot_id}/status 404": 2,
        "POST /api/v1/bots/create_bot 400": 1,
        "POST /api/v1/bots/create_agent 400": 1,
    }
