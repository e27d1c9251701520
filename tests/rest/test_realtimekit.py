"""RealtimeKit's REST API: every call of the fact sheet against a stand-in of the service, over real HTTP."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from receiver.errors import VendorCannot, VendorError, VendorNotFound, VendorPending, VendorUnreachable
from receiver.rest.base import Account, Fetched, Hints, Wiring
from receiver.rest.http import Tries
from receiver.rest.realtimekit import MeetingOptions, RealtimeKitApi, SfuApi
from receiver.rest.realtimekit.api import EVENTS
from receiver.rest.realtimekit.requests import (
    AiConfig,
    AttendeeQuery,
    BucketConfig,
    Meeting,
    MeetingChange,
    MeetingQuery,
    Participant,
    ParticipantChange,
    RecordingConfig,
    RecordingQuery,
    RecordingStart,
    SessionQuery,
    StorageConfig,
    Summarization,
    TrackRecordingStart,
    Transcription,
    WebhookBody,
    WebhookChange,
)
from receiver.rest.realtimekit.sfu import InTrack, OutTrack
from receiver.simulator.realtimekit import RealtimeKitCloud
from receiver.vendors.realtimekit import decode_reply
from receiver.vendors.replies import reply_record
from tests.realtimekit_service import QUICK, Endpoint, account_of, service

WIRING = Wiring(callback="https://h.example/realtimekit/default/tok-4711")
ALL: dict[str, Any] = {
    "record_on_start": True,
    "transcribe_on_end": True,
    "summarize_on_end": True,
    "live_stream_on_start": True,
}
ALICE = Participant(custom_participant_id="alice", preset_name="group_call_host", name="Alice")


@asynccontextmanager
async def held(**behaviour: Any) -> AsyncIterator[tuple[RealtimeKitCloud, RealtimeKitApi, str, str]]:
    """A meeting that was held, of which everything was made: with its id and its session's."""
    async with service(**behaviour) as (cloud, api):
        meeting = await api.create_meeting(Meeting(title="Weekly sync", **ALL))
        cloud.hold(meeting.id)
        await cloud.idle()
        [session] = cloud.store.sessions
        yield cloud, api, meeting.id, session


@asynccontextmanager
async def answering(*answers: tuple[int, Any]) -> AsyncIterator[tuple[RealtimeKitApi, list[web.Request]]]:
    """A client of a service that gives these answers, one after the other; and what it was asked."""
    waiting, asked = list(answers), []

    async def handle(request: web.Request) -> web.StreamResponse:
        await request.read()
        asked.append(request)
        status, told = waiting.pop(0)
        return web.json_response(told, status=status, headers={"Retry-After": "7"} if status == 202 else {})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with aiohttp.ClientSession() as client:
            account = Account(vendor="realtimekit", name="default", key="cf-token-4711", id="acc/app", base_url=url)
            yield RealtimeKitApi(account, client, tries=QUICK), asked
    finally:
        await runner.cleanup()


def decoded(one: Fetched) -> list[Any]:
    """The events of an answer, as the receiver makes them."""
    record = reply_record(
        "realtimekit", "default", one.call, one.body, subject=one.subject, content_type=one.content_type, now_ns=1
    )
    return decode_reply(record).events


# Meetings and who is added to them


async def test_a_meeting_is_made_found_changed_and_replaced() -> None:
    """Meetings: create, list, get, patch, put."""
    async with service() as (_, api):
        made = await api.create_meeting(
            Meeting(
                title="Weekly sync",
                session_keep_alive_time_in_secs=120,
                ai_config=AiConfig(summarization=Summarization(word_limit=500)),
                recording_config=RecordingConfig(realtimekit_bucket_config=BucketConfig()),
            )
        )
        assert (made.title, made.status, made.session_keep_alive_time_in_secs) == ("Weekly sync", "ACTIVE", 120)
        assert made.ai_config == {"summarization": {"word_limit": 500}}
        assert made.recording_config == {"realtimekit_bucket_config": {"enabled": True}}
        await api.create_meeting(Meeting(title="Other"))
        assert [one.id async for one in api.meetings(MeetingQuery(search="weekly"))] == [made.id]
        changed = await api.update_meeting(made.id, MeetingChange(title="Weekly", status="INACTIVE"))
        assert (changed.title, changed.status) == ("Weekly", "INACTIVE")
        assert (await api.replace_meeting(made.id, Meeting(title="Again"))).title == "Again"
        assert (await api.meeting(made.id)).title == "Again"


async def test_somebody_is_added_changed_given_a_new_token_and_removed() -> None:
    """Participants: add, list, get, patch, token, delete."""
    async with service() as (cloud, api):
        meeting = (await api.create_meeting(Meeting())).id
        alice = await api.add_participant(meeting, ALICE)
        assert cloud.store.holder_of(alice.token) == (meeting, alice.id)
        changed = await api.update_participant(meeting, alice.id, ParticipantChange(name="Alice B."))
        assert (changed.name, changed.custom_participant_id) == ("Alice B.", "alice")
        token = await api.refresh_token(meeting, alice.id)
        assert token != alice.token
        assert cloud.store.holder_of(token) == (meeting, alice.id)
        assert [one.name async for one in api.participants(meeting)] == ["Alice B."]
        assert (await api.participant(meeting, alice.id)).preset_name == "group_call_host"
        await api.remove_participant(meeting, alice.id)
        with pytest.raises(VendorNotFound, match="Participant not found"):
            await api.participant(meeting, alice.id)


@pytest.mark.parametrize("first_page", [0, 1])
@pytest.mark.parametrize("count", [0, 1, 3, 4, 7])
async def test_a_list_is_read_to_its_end_each_item_once(first_page: int, count: int) -> None:
    """Paging, whether the vendor counts pages from 0 or from 1."""
    async with service(first_page=first_page) as (_, api):
        made = {(await api.create_meeting(Meeting(title=f"m{number}"))).id for number in range(count)}
        found = [one.id async for one in api.meetings(per_page=3)]
        assert (len(found), set(found)) == (count, made)


async def test_a_list_without_a_count_ends_with_a_page_that_is_not_full() -> None:
    """``paging`` may be missing."""
    full, rest = {"data": [{"id": "a"}, {"id": "b"}]}, {"data": [{"id": "c"}]}
    async with answering((200, full), (200, rest)) as (api, asked):
        assert [one.id async for one in api.meetings(per_page=2)] == ["a", "b", "c"]
    assert [request.query["page_no"] for request in asked] == ["1", "2"]


async def test_webhooks_are_made_listed_changed_replaced_and_deleted() -> None:
    """Webhooks: every call."""
    async with service() as (_, api):
        made = await api.create_webhook(WebhookBody(name="w", url="https://h.example/a", events=["meeting.ended"]))
        assert (made.enabled, made.events) == (True, ["meeting.ended"])
        assert (await api.update_webhook(made.id, WebhookChange(enabled=False))).enabled is False
        body = WebhookBody(name="w2", url="https://h.example/b", events=["meeting.started"], enabled=True)
        assert (await api.replace_webhook(made.id, body)).url == "https://h.example/b"
        assert (await api.webhook(made.id)).name == "w2"
        assert [one.id for one in await api.all_webhooks()] == [made.id]
        assert await api.event_types() == list(EVENTS)
        await api.delete_webhook(made.id)
        assert await api.all_webhooks() == []


# Sessions and recordings


async def test_a_session_tells_who_was_there() -> None:
    """Sessions: list, get, participants, one of them, peer report, livestream."""
    async with held() as (_, api, meeting, session):
        query = SessionQuery(associated_id=meeting, status="ENDED", sort_by="createdAt", sort_order="DESC")
        assert [one.id async for one in api.sessions(query)] == [session]
        told = await api.session(session, include_breakout_rooms=True)
        assert (told.associated_id, told.status, told.meeting_display_name) == (meeting, "ENDED", "Weekly sync")
        there = [one async for one in api.attendees(session, AttendeeQuery(sort_by="joinedAt"), per_page=2)]
        assert len({one.id for one in there}) == 3
        assert all(one.joined_at and one.left_at and one.display_name for one in there)
        one = await api.attendee(session, there[0].id, filters=["events", "device_info"])
        assert (one.display_name, one.peer_stats) == (there[0].display_name, {"events": {}, "device_info": {}})
        assert (await api.peer_report(there[1].id)).id == there[1].id
        assert (await api.livestream(session)).livestream_id


@pytest.mark.parametrize("format_", ["CSV", "JSON", "SRT", "VTT"])
async def test_a_transcript_of_every_format_says_the_same(format_: Any) -> None:
    """What the link leads to is fetched without the token, and decodes."""
    async with held() as (_, api, meeting, session):
        body = await api.access.rest.download((await api.transcript(session, format_)).url)
        [event] = decoded(Fetched(call=f"sessions/{session}/transcript", body=body, subject=meeting))
        said = [(one.text, one.speaker.name) for one in event.data.segments]
        assert len(said) == 10
        assert said[0][0].startswith("Good morning.")
        assert all(name for _, name in said)


async def test_summary_and_chat_lead_to_files() -> None:
    """A summary's link is in camel case, the others are not; one may be asked for."""
    async with held() as (_, api, _, session):
        assert b"Weekly sync" in await api.access.rest.download((await api.summary(session)).url)
        assert b"payloadType" in await api.access.rest.download((await api.chat(session)).url)
        await api.generate_summary(session)


async def test_a_recording_is_started_paused_resumed_stopped_and_listed() -> None:
    """Recordings: start, pause, resume, stop, get, active, list; two at once are refused."""
    async with service(speed=0.001) as (cloud, api):
        meeting = (await api.create_meeting(Meeting())).id
        cloud.hold(meeting)
        made = await until(lambda: api.start_recording(RecordingStart(meeting_id=meeting, max_seconds=60)))
        assert made.status == "INVOKED"
        with pytest.raises(VendorError, match="already running") as refusal:
            await api.start_recording(RecordingStart(meeting_id=meeting))
        assert refusal.value.vendor_status == 409
        cloud.store.recordings[made.id]["status"] = "RECORDING"
        assert (await api.change_recording(made.id, "pause")).status == "PAUSED"
        with pytest.raises(VendorError, match="PAUSED cannot pause"):
            await api.change_recording(made.id, "pause")
        assert (await api.active_recording(meeting)).id == made.id
        assert (await api.change_recording(made.id, "resume")).status == "RECORDING"
        stopped = await api.change_recording(made.id, "stop")
        assert (stopped.status, stopped.stop_reason.reason) == ("UPLOADING", "API_CALL")  # type: ignore[union-attr]
        assert (await api.recording(made.id)).session_id == next(iter(cloud.store.sessions))
        query = RecordingQuery(meeting_id=meeting, status=["UPLOADING", "UPLOADED"])
        assert [one.id async for one in api.recordings(query)] == [made.id]
        tracks = await api.start_track_recording(TrackRecordingStart(meeting_id=meeting))
        assert tracks.status == "INVOKED"
        with pytest.raises(VendorCannot, match="neither meeting_id nor url"):
            await api.start_recording(RecordingStart())


async def test_tracks_have_a_file_for_each_guest() -> None:
    """``download_url`` is a list of layers then; every file is fetched by its own link, and is an event."""
    joined: list[bytes] = []

    async def record_when_all_are_there(body: bytes) -> None:
        joined.append(body)
        if len(joined) == 3:
            made = await api.start_track_recording(TrackRecordingStart(meeting_id=meeting))
            assert made.status == "INVOKED"

    async with service() as (cloud, api), Endpoint(on_post=record_when_all_are_there).serve() as endpoint:
        cloud.add_webhook(endpoint.url, ["meeting.participantJoined"])
        meeting = (await api.create_meeting(Meeting())).id
        cloud.hold(meeting)
        await cloud.idle()
        [recording] = [one async for one in api.recordings()]
        assert len(recording.files) == 3
        for url in recording.files.values():
            assert (await api.access.rest.download(url)).startswith(b"\x1aE")
        [answer] = await api.fetch("recording", meeting, Hints())
        assert {event.data.title for event in decoded(answer)} == set(recording.files)


async def until(attempt: Callable[[], Awaitable[Any]]) -> Any:
    """What ``attempt`` gives once the session has begun."""
    while True:
        try:
            return await attempt()
        except VendorNotFound:
            continue


# What commands and fetching ask for


async def test_create_makes_a_meeting_a_token_and_a_webhook_once() -> None:
    """The token opens a client or the agent's socket; webhooks are the app's, so there is one however many meetings."""
    async with service() as (cloud, api):
        first = await api.create(WIRING, MeetingOptions(title="Weekly sync"))
        second = await api.create(WIRING, MeetingOptions(title="Other", preset_name="agent"))
        assert (first.what, first.facts["title"]) == ("meeting", "Weekly sync")
        assert cloud.store.holder_of(first.secrets["token"]) == (first.subject, first.facts["participant"])
        [webhook] = await api.webhooks()
        assert (webhook.url, set(webhook.events), webhook.state) == (WIRING.callback, set(EVENTS), "enabled")
        assert first.facts["webhook"] == second.facts["webhook"] == webhook.id
        alone = await api.create(WIRING, MeetingOptions(preset_name="", webhook=False))
        assert (alone.secrets, set(alone.facts)) == ({}, set())
        await api.unregister(webhook.id)
        assert await api.webhooks() == []


async def test_a_meeting_that_nobody_could_be_added_to_is_named() -> None:
    """It is there all the same: who asked has to know."""
    async with service() as (cloud, api):
        with pytest.raises(VendorNotFound, match=r"preset_name.*No preset found") as error:
            await api.create(WIRING, MeetingOptions(preset_name="nobody"))
        assert next(iter(cloud.store.meetings)) in str(error.value)


async def test_remove_sends_everybody_out_and_closes_the_meeting() -> None:
    """A meeting cannot be deleted; whether or not somebody is there."""
    async with service(speed=0.001) as (cloud, api):
        meeting = (await api.create_meeting(Meeting())).id
        assert await api.remove(meeting) == "nobody was there; the meeting is INACTIVE"
        cloud.hold(meeting)
        await until(lambda: api.active_session(meeting))
        told = await api.status(meeting)
        assert (told["status"], told["active_session"]["status"]) == ("INACTIVE", "LIVE")
        assert (await api.remove(meeting)).endswith("sent out; the meeting is INACTIVE")


@pytest.mark.parametrize("dyte", [False, True])
async def test_everything_of_a_session_is_fetched_and_decodes(dyte: bool) -> None:
    """``fetch`` of every kind, with either API; the session is the newest where none is named."""
    async with held(dyte=dyte) as (_, api, meeting, session):
        kinds = {kind: [event for one in await api.fetch(kind, meeting, Hints()) for event in decoded(one)]
                 for kind in api.KINDS}  # fmt: skip
        assert [[event.data.kind for event in kinds[kind]] for kind in api.KINDS] == [
            ["transcript"], ["summary"], ["chat"], ["recording", "audio"], ["participants"], ["detail"],
        ]  # fmt: skip
        events = [event for found in kinds.values() for event in found]
        assert {(event.type, event.subject, event.data.session) for event in events} == {
            ("artifact.fetched", meeting, session)
        }
        assert len(kinds["transcript"][0].data.segments) == 10
        assert [one.text for one in kinds["chat"][0].data.messages][1:] == ["IMAGE_MESSAGE"]
        recording = kinds["recording"][0].data
        assert (await api.access.rest.download(recording.url)).startswith(b"\x1aE")
        [named] = await api.fetch("recording", meeting, Hints(artifact=recording.id))
        assert [event.data.id for event in decoded(named)] == [recording.id] * 2


async def test_the_own_record_is_who_was_there_and_what_was_recorded() -> None:
    """``own_record`` of a meeting; there is none of the account."""
    async with held() as (_, api, meeting, session):
        attendees, recordings = await api.own_record(meeting, Hints(session=session))
        assert (attendees.call, recordings.call) == (f"sessions/{session}/participants", "recordings")
        assert len(json.loads(attendees.body)["data"]["participants"]) == 3
        with pytest.raises(VendorCannot, match="none of the account"):
            await api.own_record("", Hints())


async def test_what_is_not_there_yet_may_come() -> None:
    """404 before a session or a file is there; pending while a recording is under way, or the vendor answers 202."""
    async with service(faults=["pending"], speed=0) as (cloud, api):
        meeting = (await api.create_meeting(Meeting(**ALL))).id
        with pytest.raises(VendorNotFound, match="no session yet"):
            await api.fetch("transcript", meeting, Hints())
        cloud.hold(meeting)
        await cloud.idle()
        for kind in ("transcript", "summary", "chat"):
            with pytest.raises(VendorNotFound, match="not found"):
                await api.fetch(kind, meeting, Hints())
        [told] = cloud.store.recordings.values()
        told["status"] = "UPLOADING"
        with pytest.raises(VendorPending, match="still being made"):
            await api.fetch("recording", meeting, Hints())
        assert await api.fetch("recording", meeting, Hints(session="another")) == []
    async with answering((202, {}), (200, {"success": True, "data": {"summaryDownloadUrl": None}})) as (api, _):
        with pytest.raises(VendorPending) as pending:
            await api.summary("s1")
        assert pending.value.retry_after_s == 7.0
        with pytest.raises(VendorPending, match="no link yet"):
            await api.summary("s1")


# Who may ask, and what is refused


@pytest.mark.parametrize("dyte", [False, True])
async def test_a_wrong_key_is_refused_in_the_vendors_words(dyte: bool) -> None:
    """401, and 403 for another app's; both generations."""
    async with service() as (cloud, _), aiohttp.ClientSession() as client:
        wrong = RealtimeKitApi(account_of(cloud, dyte=dyte, key="wrong-4711"), client, tries=QUICK)
        with pytest.raises(VendorError, match="answered 401: Authentication error") as error:
            await wrong.create_meeting(Meeting())
        assert "wrong-4711" not in str(error.value)
        if not dyte:
            other = account_of(cloud, id=f"{cloud.credentials['account']}/other")
            with pytest.raises(VendorError, match="answered 403"):
                await RealtimeKitApi(other, client, tries=QUICK).create_meeting(Meeting())


@pytest.mark.parametrize(
    ("id_", "key", "problem"),
    [("acc/app", "", "no key"), ("a b/c", "k", "no pair of ids"), ("acc/", "k", "no pair"), ("", "k", "names no app")],
)
async def test_an_account_that_is_of_neither_kind_is_refused(id_: str, key: str, problem: str) -> None:
    """What is missing is said, before anything is sent."""
    async with aiohttp.ClientSession() as client:
        with pytest.raises(VendorCannot, match=problem):
            RealtimeKitApi(Account(vendor="realtimekit", name="default", key=key, id=id_), client)


@pytest.mark.parametrize(("id_", "key"), [("org", "key-4711"), ("", "org:key-4711")])
async def test_dytes_key_is_basic_authorisation(id_: str, key: str) -> None:
    """The organisation in the id, or before the key."""
    async with service() as (cloud, _), aiohttp.ClientSession() as client:
        cloud.credentials |= {"organization": "org", "key": "key-4711"}
        account = account_of(cloud, dyte=True, id=id_, key=key)
        assert (await RealtimeKitApi(account, client, tries=QUICK).create_meeting(Meeting())).id


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (
            lambda api: api.create_meeting(Meeting(session_keep_alive_time_in_secs=59)),
            "session_keep_alive_time_in_secs",
        ),
        (lambda api: api.create_meeting(Meeting(session_keep_alive_time_in_secs=601)), "session_keep_alive"),
        (lambda api: api.create_meeting(Meeting(title="")), "title"),
        (
            lambda api: api.create_meeting(Meeting(ai_config=AiConfig(summarization=Summarization(word_limit=1001)))),
            "ai_config.summarization.word_limit",
        ),
        (
            lambda api: api.create_meeting(Meeting(recording_config=RecordingConfig(max_seconds=86_401))),
            "recording_config.max_seconds",
        ),
        (
            lambda api: api.update_meeting("m", MeetingChange(status="GONE")),  # type: ignore[arg-type]
            "status: .* allowed ACTIVE, INACTIVE",
        ),
        (
            lambda api: api.create_meeting(
                Meeting(ai_config=AiConfig(transcription=Transcription(language="tlh")))  # type: ignore[arg-type]
            ),
            "ai_config.transcription.language: .* allowed de, ",
        ),
        (lambda api: api.update_participant("m", "p", ParticipantChange(picture="ftp://x")), "picture"),
        (lambda api: api.start_recording(RecordingStart(meeting_id="m", max_seconds=59)), "max_seconds"),
        (
            lambda api: api.create_webhook(WebhookBody(name="w", url="https://x", events=[])),
            "events",
        ),
        (
            lambda api: api.register(WIRING, ("meeting.levitated",), {}),
            r"events\[0\]: .* meeting.started, meeting.summary",
        ),
        (lambda api: api.register(WIRING, (), {"secret": "x"}), "secret"),
        (lambda api: api.transcript("s", "PDF"), "format: found another value, allowed CSV, JSON, SRT, VTT"),
        (lambda api: api.attendee("s", "p", filters=["weather"]), r"filters\[0\]"),
        (lambda api: api.change_recording("r", "delete"), "action"),
        (lambda api: api.create(WIRING, MeetingOptions(custom_participant_id="")), "custom_participant_id"),
        (lambda api: api.meeting("../webhooks"), "as meeting"),
        (lambda api: api.session(".."), "as session"),
        (lambda api: api.fetch("polls", "m", Hints()), "polls"),
        (lambda api: anext(api.sessions(SessionQuery(start_time="yesterday"))), "start_time"),
        (lambda api: anext(api.meetings(per_page=0)), "per_page"),
    ],
)
async def test_what_is_out_of_bounds_is_refused_before_anything_is_sent(call: Any, field: str) -> None:
    """The field is named, and nobody was asked."""
    async with answering() as (api, asked):
        with pytest.raises(VendorCannot, match=field):
            await call(api)
        assert asked == []


async def test_options_of_a_command_are_read_strictly() -> None:
    """What a person wrote: an unknown field and a wrong language are named."""
    for fields in ({"titel": "x"}, {"ai_config": {"transcription": {"language": "tlh"}}}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(fields, MeetingOptions)


async def test_the_vendor_refuses_what_it_refuses_in_its_own_words() -> None:
    """422 with the field, 404 with what is missing."""
    async with service() as (_, api):
        with pytest.raises(VendorError, match="custom_participant_id is required") as error:
            await api.access.call("POST", f"meetings/{(await api.create_meeting(Meeting())).id}/participants",
                                  body=ParticipantChange(name="x"))  # fmt: skip
        assert error.value.vendor_status == 422
        with pytest.raises(VendorNotFound, match="Meeting not found"):
            await api.meeting("nowhere")


async def test_calls_that_are_told_to_come_back_are_made_again() -> None:
    """429 with Retry-After: nothing was done, so it is asked for again."""
    async with service(faults=["throttle"]) as (cloud, api):
        made = [(await api.create_meeting(Meeting(title=f"m{number}"))).id for number in range(6)]
        assert list(cloud.store.meetings) == made
        assert sum(count for name, count in cloud.tally.calls.items() if name.endswith("429")) >= 2


async def test_one_call_too_many_is_told_how_long_to_wait() -> None:
    """The vendor's rate limit; a wait that is longer than the caller has is an error that says so."""
    async with service() as (cloud, _), aiohttp.ClientSession() as client:
        hasty = RealtimeKitApi(account_of(cloud), client, tries=Tries(first_s=0.0, most_wait_s=1.0))
        cloud.api.most_calls = 2
        await hasty.create_meeting(Meeting())
        await hasty.create_meeting(Meeting())
        with pytest.raises(VendorUnreachable, match=r"told to wait 10 s: answered 429: Please wait") as error:
            await hasty.create_meeting(Meeting())
        assert error.value.vendor_status == 429
        assert len(cloud.store.meetings) == 2


async def test_what_may_not_be_done_twice_is_not_sent_twice() -> None:
    """A 500 to a POST, and to the PUT that pauses a recording, is final; a GET is asked for again."""
    failed, ok = (500, {"errors": [{"code": 7, "message": "broken"}]}), (200, {"data": {"id": "m"}})
    async with answering(failed, failed, failed, ok) as (api, asked):
        with pytest.raises(VendorUnreachable, match="broken"):
            await api.create_meeting(Meeting())
        with pytest.raises(VendorUnreachable):
            await api.change_recording("r", "pause")
        assert (await api.meeting("m")).id == "m"
        assert [request.method for request in asked] == ["POST", "PUT", "GET", "GET"]


async def test_an_answer_that_is_not_as_documented_names_the_field() -> None:
    """Whatever the vendor comes to say, it is our own error."""
    odd = [{"data": {"id": 7}}, {"data": [{"id": "a", "title": 7}]}, {"success": False, "data": {"id": "m"}}]
    async with answering(*((200, told) for told in odd)) as (api, _):
        with pytest.raises(VendorError, match=r"data\.id"):
            await api.meeting("m")
        with pytest.raises(VendorError, match="title"):
            await anext(api.meetings())
        with pytest.raises(VendorError, match="without success"):
            await api.meeting("m")


async def test_a_list_ends_with_an_empty_page_whatever_its_count_says() -> None:
    """A vendor that counts wrongly costs one page too many."""
    page = (200, {"data": [{"id": "a"}], "paging": {"start_offset": 1, "end_offset": 1, "total_count": 99}})
    async with answering(page, (200, {"data": [], "paging": {"total_count": 99}})) as (api, asked):
        assert [one.id async for one in api.meetings(per_page=1)] == ["a"]
        assert len(asked) == 2


async def test_no_secret_is_in_a_repr_a_log_line_or_an_error() -> None:
    """Neither the key nor a token, a link or a storage's secret."""
    with capture_logs() as logs:
        async with held(faults=["throttle"]) as (cloud, api, meeting, session):
            alice = await api.add_participant(meeting, ALICE)
            link = await api.transcript(session)
            recording = await anext(api.recordings())
            storage = StorageConfig(type="aws", secret="s3cr3t-4711")
            config = RecordingConfig(storage_config=storage)
            webhook = await api.create_webhook(
                WebhookBody(name="w", url="https://h/tok-4711", events=["meeting.ended"])
            )
            told = [repr(one) for one in (api, api.access, alice, link, recording, storage, config, webhook, WIRING)]
            told.append(repr(await api.create(WIRING, MeetingOptions())))
            with pytest.raises(VendorNotFound) as error:
                await api.access.rest.call("GET", f"{api.access.prefix}meetings/x?token=tok-4711")
            told += [str(error.value), str(logs)]
            secrets = [cloud.credentials["token"], cloud.credentials["key"], alice.token, link.url, "4711", "Signature"]
            assert [secret for secret in secrets if any(secret in text for text in told)] == []
    assert any(line["event"] == "rest.retry" for line in logs)


async def test_a_link_that_is_over_is_an_error_without_the_link() -> None:
    """403 from the object store: ask for a new link."""
    async with held() as (cloud, api, _, session):
        url = (await api.transcript(session)).url
        cloud.store.links.clear()
        with pytest.raises(VendorError, match="answered 403") as error:
            await api.access.rest.download(url)
        assert "Signature" not in str(error.value)


# The SFU's adapters


async def test_adapters_are_started_and_closed() -> None:
    """A batch: one that is reached, and one that is not, is a success with an error in it."""
    async with service(speed=0.01) as (cloud, _), Endpoint().serve() as endpoint, aiohttp.ClientSession() as client:
        sfu = SfuApi(cloud.credentials["sfu_app"], cloud.credentials["sfu_secret"], client, base_url=cloud.sfu_url, tries=QUICK)  # fmt: skip  # noqa: E501
        url = endpoint.url.replace("http", "ws")
        good = OutTrack(sessionId="s", trackName="microphone", endpoint=f"{url}/m:microphone/audio")
        bad = OutTrack(sessionId="s", trackName="camera", endpoint=f"{url}/nowhere", outputCodec="jpeg")
        told, failed = await sfu.start([good, bad])
        assert (told.trackName, told.adapterId in cloud.sfu.adapters) == ("microphone", True)
        assert (failed.adapterId, failed.errorCode) == (None, "websocket_handshake_failed")
        with pytest.raises(VendorUnreachable, match="websocket_handshake_failed"):
            await sfu.start([bad])
        local = OutTrack(sessionId="s", trackName="t", endpoint="ws://localhost:9/x")
        with pytest.raises(VendorUnreachable, match="websocket_localhost_not_allowed"):
            await sfu.start([local])
        [closed] = await sfu.stop([told.adapterId or ""])
        assert closed.bytesProcessed is not None
        with pytest.raises(VendorUnreachable, match="adapter_not_found"):
            await sfu.stop([told.adapterId or ""])


async def test_the_sfu_takes_its_own_secret_and_four_tracks() -> None:
    """Bounds are checked before anything is sent; the other direction is a track of another kind."""
    async with service() as (cloud, _), aiohttp.ClientSession() as client:
        sfu = SfuApi(cloud.credentials["sfu_app"], "wrong", client, base_url=cloud.sfu_url, tries=QUICK)
        track = OutTrack(sessionId="s", trackName="t", endpoint="wss://h.example/x")
        for tracks in ([], [track] * 5):
            with pytest.raises(VendorCannot, match="allowed 1 to 4"):
                await sfu.start(tracks)
        with pytest.raises(VendorCannot, match="endpoint"):
            await sfu.start([InTrack(trackName="t", endpoint="https://h.example")])
        with pytest.raises(VendorError, match="answered 401"):
            await sfu.start([track])
        assert "wrong" not in repr(sfu)
        with pytest.raises(VendorCannot, match="no secret"):
            SfuApi("app", "", client)
