"""Daily's REST client against a stand-in of its cloud, over real HTTP. Sections 1 and 8 of the fact sheet."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from receiver.errors import VendorCannot, VendorError, VendorNotFound, VendorPending, VendorUnreachable
from receiver.rest.base import Hints, Wiring
from receiver.rest.daily import EVENTS, DailyApi, RoomOptions, Transcription
from receiver.rest.http import Tries
from receiver.settings import Account
from receiver.simulator.daily import DailyCloud
from receiver.simulator.daily.call import Call
from receiver.vendors import daily as decoder
from receiver.vendors.replies import Seen, reply_record
from tests.simulator.recording_server import recording_server
from tests.vendors.samples import NOW_NS

KEY = "daily-key-that-nobody-may-see-1"
SECRET = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
FAST = Tries(first_s=0.0, most_s=0.0, timeout_s=10.0)


@asynccontextmanager
async def domain(*, key: str = KEY, **options: Any) -> AsyncIterator[tuple[DailyCloud, DailyApi]]:
    """A stand-in and a client of it; meetings are played at once."""
    cloud = DailyCloud(speed=0, key=KEY, **options)
    async with cloud.serve(), aiohttp.ClientSession() as client:
        account = Account(vendor="daily", name="default", key=key, base_url=cloud.url)
        yield cloud, DailyApi(account, client, tries=FAST)


@asynccontextmanager
async def met(**options: Any) -> AsyncIterator[tuple[DailyCloud, DailyApi, Call]]:
    """A domain whose room ``standup`` has held a meeting."""
    async with domain(**options) as (cloud, api):
        await api.create_room(RoomOptions(name="standup"))
        await cloud.idle()
        yield cloud, api, next(iter(cloud.calls.values()))


def events_of(body: bytes, call: str, *, subject: str = "standup", seen: Seen | None = None) -> list[Any]:
    """What the decoder makes of what was fetched."""
    record = reply_record("daily", "default", call, body, subject=subject, content_type="", now_ns=NOW_NS, seen=seen)
    return decoder.decode_reply(record).events


# Rooms


async def test_a_room_is_made_changed_and_deleted() -> None:
    """Name and privacy stand beside the properties; a room keeps its name."""
    async with domain(plays=False) as (_cloud, api):
        made = await api.create_room(RoomOptions(name="standup", privacy="private", max_participants=12))
        assert (made.name, made.privacy, made.config) == ("standup", "private", {"max_participants": 12})
        changed = await api.update_room("standup", RoomOptions(privacy="public", enable_chat=True))
        assert changed.config == {"max_participants": 12, "enable_chat": True}
        assert (await api.room("standup")).privacy == "public"
        assert (await api.delete_room("standup")).deleted
        with pytest.raises(VendorNotFound, match="room standup not found"):
            await api.room("standup")


async def test_a_room_without_a_name_gets_one() -> None:
    """The vendor makes it up."""
    async with domain(plays=False) as (_, api):
        made = await api.create_room()
        assert made.name
        assert (await api.room(made.name)).id == made.id


async def test_rooms_are_listed_over_pages() -> None:
    """Newest first; each page asks for what comes after the last room."""
    async with domain(plays=False) as (cloud, api):
        names = [cloud.make_room(f"room-{number}").name for number in range(7)]
        assert [room.name async for room in api.rooms(limit=3)] == names[::-1]
        assert cloud.tally.calls["GET /v1/rooms 200"] == 3


async def test_a_list_that_is_just_full_ends() -> None:
    """The page behind it is empty."""
    async with domain(plays=False) as (cloud, api):
        for number in range(4):
            cloud.make_room(f"room-{number}")
        assert len([room async for room in api.rooms(limit=2)]) == 4
        assert cloud.tally.calls["GET /v1/rooms 200"] == 3


async def test_who_is_in_a_room_now() -> None:
    """A snapshot, which can be narrowed to one person."""
    async with domain(plays=False) as (cloud, api):
        call = await cloud.open_call(cloud.make_room("standup"))
        for guest in call.guests:
            guest.joined_s = call.started_s
        assert [one.id for one in (await api.presence("standup")).data] == [one.session_id for one in call.guests]
        alone = await api.presence("standup", limit=1, user_name=call.guests[1].name)
        assert [one.userName for one in alone.data] == [call.guests[1].name]


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (RoomOptions(name="no blanks"), "name"),
        (RoomOptions(name="x" * 129), "name"),
        (RoomOptions(name=""), "name"),
        (RoomOptions(privacy="secret"), "privacy"),  # type: ignore[arg-type]
        (RoomOptions(max_participants=0), "max_participants"),
        (RoomOptions(exp=1_788_264_000_000), "exp"),
        (RoomOptions(sfu_switchover=0.0), "sfu_switchover"),
        (RoomOptions(recordings_template="{room_name}.mp4"), "recordings_template"),
        (RoomOptions(eject_after_elapsed=-1), "eject_after_elapsed"),
        (RoomOptions(enable_recording="tape"), "enable_recording"),  # type: ignore[arg-type]
        (RoomOptions(meeting_join_hook="https://" + "x" * 248), "meeting_join_hook"),
        (RoomOptions(geo="mars-1"), "geo"),  # type: ignore[arg-type]
    ],
)
async def test_a_wrong_value_is_refused_before_anything_is_sent(options: RoomOptions, field: str) -> None:
    """The error names the field."""
    async with domain() as (cloud, api):
        with pytest.raises(VendorError, match=f"^daily: {field}: .*nothing was sent"):
            await api.create_room(options)
        assert not cloud.tally.calls


async def test_a_name_is_one_segment_of_a_path() -> None:
    """Whatever it holds, it leads to no other route."""
    async with domain() as (cloud, api):
        for name in ("../meetings", "a/presence", "..", ""):
            with pytest.raises(VendorNotFound):
                await api.room(name)
        assert cloud.tally.calls == {"GET /v1/rooms/{name} 404": 2}


# Creating


async def test_create_makes_a_room_and_tells_whether_its_events_come_here() -> None:
    """Webhooks belong to the domain: with none that leads here, nothing of the room is delivered."""
    async with recording_server() as receiver, domain(plays=False) as (_, api):
        wiring = Wiring(callback=f"{receiver.url}?token=t")
        before = await api.create(wiring, RoomOptions(name="one"))
        assert (before.what, before.subject, before.secrets) == ("meeting", "one", {})
        assert before.facts["url"] == "https://standin.daily.co/one"
        assert "none of the domain leads here" in before.facts["webhook"]
        await api.register(wiring, (), {})
        assert (await api.create(wiring, RoomOptions(name="two"))).facts["webhook"] == "ACTIVE"


async def test_a_name_that_is_taken_is_refused_in_the_vendors_words() -> None:
    """400 with ``error`` and ``info``."""
    async with domain(plays=False) as (cloud, api):
        cloud.make_room("standup")
        with pytest.raises(VendorError, match="invalid-request-error: a room named standup already exists") as caught:
            await api.create(Wiring(callback="https://x.example/"), RoomOptions(name="standup"))
        assert caught.value.vendor_status == 400


async def test_status_and_remove() -> None:
    """What the vendor says of the room; afterwards it is gone."""
    async with domain(plays=False) as (cloud, api):
        cloud.make_room("standup", config={"enable_chat": True})
        told = await api.status("standup")
        assert (told["name"], told["config"], told["present"]) == ("standup", {"enable_chat": True}, [])
        assert await api.remove("standup") == "deleted"
        with pytest.raises(VendorNotFound):
            await api.remove("standup")


# Meetings, recordings, transcripts, jobs


async def test_sessions_of_a_room_and_of_a_time() -> None:
    """``timeframe_start`` includes, ``timeframe_end`` does not; participants come along unless they are not wanted."""
    async with met() as (_cloud, api, call):
        start = int(call.started_s)
        [one] = [meeting async for meeting in api.meetings(room="standup")]
        assert (one.id, one.ongoing, len(one.participants or [])) == (call.id, False, 3)
        assert [m.id async for m in api.meetings(timeframe_start=start, timeframe_end=start + 1)] == [call.id]
        assert [m.id async for m in api.meetings(timeframe_end=start)] == []
        assert [m.id async for m in api.meetings(ongoing=True)] == []
        [bare] = [meeting async for meeting in api.meetings(no_participants=True)]
        assert not bare.participants
        assert (await api.meeting(call.id)).room == "standup"


async def test_participants_come_in_pages_that_end_with_404() -> None:
    """The vendor says 404 behind the last page; of a session that is not there it is an error."""
    async with met() as (cloud, api, call):
        people = [one async for one in api.participants(call.id, limit=1)]
        assert [one.participant_id for one in people] == [guest.session_id for guest in call.guests]
        assert cloud.tally.calls["GET /v1/meetings/{id}/participants 404"] == 1
        with pytest.raises(VendorNotFound):
            [one async for one in api.participants("nobody")]


async def test_recordings_and_their_links() -> None:
    """A link lasts an hour, or as long as is asked for, at most twelve."""
    async with met() as (cloud, api, call):
        [one] = [recording async for recording in api.recordings(room_name="standup")]
        assert (one.id, one.status, one.mtgSessionId) == (call.recording_id, "finished", call.id)
        assert (await api.recording(one.id)).share_token
        link = await api.recording_link(one.id, valid_for_secs=60)
        assert "/files/" in link.download_link
        for wrong in (0, 43_201):
            with pytest.raises(VendorError, match="valid_for_secs: found"):
                await api.recording_link(one.id, valid_for_secs=wrong)
        assert cloud.tally.calls["GET /v1/recordings/{id}/access-link 200"] == 1
        assert (await api.delete_recording(one.id)).deleted
        with pytest.raises(VendorNotFound):
            await api.recording(one.id)


async def test_transcripts_and_their_links() -> None:
    """By the room's UUID or by session."""
    async with met() as (_, api, call):
        by_room = [one async for one in api.transcripts(room_id=call.room.id)]
        by_session = [one async for one in api.transcripts(session=call.id)]
        assert by_room == by_session
        assert (await api.transcript(call.transcript_id)).state == "ready"
        assert (await api.transcript_link(call.transcript_id)).link.startswith("http://127.0.0.1")


async def test_transcription_is_started_and_stopped() -> None:
    """400 where it goes on already, 404 where no call is held."""
    async with domain(plays=False) as (cloud, api):
        room = cloud.make_room("standup")
        with pytest.raises(VendorNotFound, match="hosting a call"):
            await api.start_transcription("standup")
        call = await cloud.open_call(room)
        await api.start_transcription("standup", Transcription(language="en", punctuate=True))
        with pytest.raises(VendorError, match="active stream"):
            await api.start_transcription("standup")
        with pytest.raises(VendorPending):
            await api.fetch("transcript", "standup", Hints(session=call.id))
        await api.stop_transcription("standup", instance="one")
        assert call.transcript == "t_finished"
        with pytest.raises(VendorError, match="daily: endpointing: "):
            await api.start_transcription("standup", Transcription(endpointing="long"))  # type: ignore[arg-type]


async def test_a_batch_job_and_its_links() -> None:
    """400 while it is at work is no error but a matter of time; 404 is unknown."""
    async with met() as (_, api, call):
        assert (await api.job(call.job_id)).status == "finished"
        links = await api.job_links(call.job_id)
        assert links.summary is not None
        assert [one.format for one in links.transcription or []] == ["vtt"]
        call.job = "processing"
        with pytest.raises(VendorPending, match="the batch job is processing"):
            await api.job_links(call.job_id)
        with pytest.raises(VendorNotFound):
            await api.job_links("unknown")


# Fetching


async def test_a_transcript_is_fetched_by_its_signed_link() -> None:
    """The link's host sees no API key; the segments name who said what."""
    async with met() as (_, api, call):
        [got] = await api.fetch("transcript", "standup", Hints(artifact=call.transcript_id))
        assert (got.call, got.content_type) == (f"transcript.vtt/{call.transcript_id}/{call.id}", "text/vtt")
        [event] = events_of(got.body, got.call)
        assert (event.type, event.data.id, event.data.session) == ("artifact.fetched", call.transcript_id, call.id)
        assert {segment.speaker.name for segment in event.data.segments} == {guest.name for guest in call.guests}
        assert event.data.segments[0].text.startswith("Good morning.")


async def test_without_an_id_the_session_or_the_time_tells_which_transcript_is_meant() -> None:
    """Participant events name no session: room and time do."""
    async with met() as (cloud, api, call):
        second = await cloud.open_call(call.room, started_s=call.started_s - 86_400)
        second.transcript, second.ended_s = "t_finished", second.started_s + 60
        by_session = await api.fetch("transcript", "standup", Hints(session=call.id))
        now = Hints(since_s=call.started_s + 1, until_s=call.started_s + 40)
        assert await api.fetch("transcript", "standup", now) == by_session
        assert len(await api.fetch("transcript", "standup", Hints())) == 2
        assert await api.fetch("transcript", "standup", Hints(until_s=call.started_s - 172_800)) == []


async def test_a_batch_jobs_transcript_and_summary() -> None:
    """What was announced may be a job's: then its id is no transcript's."""
    async with met() as (_, api, call):
        [got] = await api.fetch("transcript", "", Hints(artifact=call.job_id))
        assert got.call == f"transcript.vtt/{call.job_id}"
        [summary] = await api.fetch("summary", "", Hints(artifact=call.job_id))
        [event] = events_of(summary.body, summary.call)
        assert (event.data.kind, event.data.id) == ("summary", call.job_id)
        assert "checkout incident" in event.data.text
        assert await api.fetch("summary", "standup", Hints()) == []


async def test_a_recording_is_fetched_as_a_link() -> None:
    """The link is a secret and says until when it is good."""
    async with met() as (_, api, call):
        for hints in (Hints(artifact=call.recording_id), Hints(session=call.id), Hints(since_s=call.started_s)):
            [got] = await api.fetch("recording", "standup", hints)
            [event] = events_of(got.body, got.call)
            assert event.data.url is not None
            assert event.data.expires_at is not None
            assert event.data.without_secrets().url is None
            assert (event.data.id, event.data.session) == (call.recording_id, call.id)
        assert await api.fetch("recording", "standup", Hints(session="another")) == []


async def test_participants_are_those_of_each_session() -> None:
    """One answer for a page of sessions, one event for each of them."""
    async with met() as (_, api, call):
        [got] = await api.fetch("participants", "standup", Hints())
        [event] = events_of(got.body, got.call)
        assert [one.name for one in event.data.participants] == [guest.name for guest in call.guests]
        [same] = await api.fetch("participants", "standup", Hints(session=call.id))
        assert [one.data.participants for one in events_of(same.body, same.call)] == [event.data.participants]


async def test_what_is_never_ready_is_pending() -> None:
    """It is there, and not yet finished."""
    async with met(faults=["pending"]) as (_, api, _call):
        for kind in ("transcript", "recording"):
            with pytest.raises(VendorPending):
                await api.fetch(kind, "standup", Hints())


async def test_what_nobody_knows_cannot_be_fetched() -> None:
    """No such kind, nothing that is named, no log of the account: nothing is sent."""
    async with domain() as (cloud, api):
        with pytest.raises(VendorCannot, match="nothing of the kind 'chat'"):
            await api.fetch("chat", "standup", Hints())
        for kind in api.KINDS:
            with pytest.raises(VendorError, match="has to be named"):
                await api.fetch(kind, "", Hints())
        with pytest.raises(VendorCannot, match="no log of deliveries"):
            await api.own_record("", Hints())
        assert not cloud.tally.calls


# The vendor's own record


async def test_what_was_missed_is_found_in_the_vendors_record() -> None:
    """Nothing was delivered: the record tells all of it, each once, with the vendor's names and times."""
    async with met() as (_, api, call):
        answers = await api.own_record("standup", Hints())
        events = [event for got in answers for event in events_of(got.body, got.call, seen=Seen())]
        people = [guest.session_id for guest in call.guests]
        assert sorted((event.type, event.data.participant.id) for event in events if "part" in event.type) == sorted(
            (f"participant.{what}", id_) for id_ in people for what in ("joined", "left")
        )
        rest = sorted(event.vendorevent for event in events if "part" not in event.type)
        assert rest == [
            "meeting.ended",
            "meeting.started",
            "recording.ready-to-download",
            "transcript.ready-to-download",
        ]
        assert all(event.data.reconciled and event.data.session == call.id for event in events)
        joined = next(event for event in events if event.type == "participant.joined")
        assert joined.time_ns == int(call.guests[0].joined_s or 0) * 10**9
        assert len({event.id for event in events}) == len(events)


async def test_what_had_come_is_not_told_again() -> None:
    """All of it had come but one person's leave."""
    async with met() as (_, api, call):
        ids = frozenset(guest.session_id for guest in call.guests)
        seen = Seen(
            statuses=frozenset({"meeting.started", "meeting.ended"}), joined=ids,
            left=ids - {call.guests[1].session_id}, artifacts=frozenset({"recording/ready", "transcript/ready"}),
        )  # fmt: skip
        answers = await api.own_record("standup", Hints(session=call.id))
        [event] = [event for got in answers for event in events_of(got.body, got.call, seen=seen)]
        assert (event.type, event.data.participant.id) == ("participant.left", call.guests[1].session_id)


# Webhooks


async def test_a_webhook_is_registered_after_a_ping() -> None:
    """All events unless some are named; the answer tells the secret. The ping may come before anybody knows it."""
    async with recording_server() as receiver, domain() as (_, api):
        [made] = await api.register(Wiring(callback=receiver.url), (), {})
        assert (made.events, made.state, made.url) == (EVENTS, "ACTIVE", receiver.url)
        [ping] = receiver.posts
        assert decoder.is_ping(ping.body)
        assert "x-webhook-signature" not in ping.headers
        assert await api.webhooks() == [made]
        assert (await api.registration(made.id)).hmac == made.secret


async def test_all_events_are_those_that_are_decoded() -> None:
    """Two lists of 28, written apart."""
    declared = set(decoder.EVENT_TYPES) - {"pinless.dialin", "transcription-message"}
    assert set(EVENTS) == declared
    assert len(EVENTS) == 28


async def test_a_secret_of_our_own_signs_the_ping() -> None:
    """``hmac``, ``basicAuth`` and ``retryType`` may be given."""
    async with recording_server() as receiver, domain() as (_, api):
        extra = {"hmac": SECRET, "basicAuth": "user:pass", "retryType": "exponential"}
        [made] = await api.register(Wiring(callback=receiver.url), ("meeting.started",), extra)
        assert (made.secret, made.events) == (SECRET, ("meeting.started",))
        assert (made.facts["retryType"], made.facts["basicAuth"]) == ("exponential", "set")
        [ping] = receiver.posts
        assert decoder.verify(ping.headers, ping.body, secrets=[SECRET], now_s=None) == "valid"
        assert ping.headers["authorization"] == "Basic dXNlcjpwYXNz"


async def test_a_url_that_does_not_answer_200_is_not_registered() -> None:
    """204 is not 200 either."""
    async with recording_server() as receiver, domain() as (_cloud, api):
        receiver.on_post = lambda post: 204
        with pytest.raises(VendorError, match="did not answer 200"):
            await api.register(Wiring(callback=receiver.url), (), {})
        assert await api.webhooks() == []


async def test_registering_again_wakes_what_has_failed() -> None:
    """The breaker cuts a feed for good; the same URL is changed and pinged, not registered twice."""
    async with recording_server() as receiver, domain() as (cloud, api):
        [made] = await api.register(Wiring(callback=receiver.url), (), {})
        cloud.hooks[made.id].state = "FAILED"
        assert [one.state for one in await api.webhooks()] == ["FAILED"]
        [again] = await api.register(Wiring(callback=receiver.url), (), {})
        assert (again.id, again.state, again.secret) == (made.id, "ACTIVE", made.secret)
        cloud.hooks[made.id].state = "FAILED"
        assert (await api.update_webhook(made.id)).state == "ACTIVE"
        assert len(receiver.posts) == 3
        await api.unregister(made.id)
        assert await api.webhooks() == []


@pytest.mark.parametrize(
    ("extra", "field"),
    [({"hmac": "not base64!"}, "hmac"), ({"retryType": "never"}, "retryType"), ({"colour": "red"}, "colour")],
)
async def test_wrong_extras_are_refused(extra: dict[str, str], field: str) -> None:
    """Nothing is registered."""
    async with domain() as (cloud, api):
        with pytest.raises(VendorError, match=field):
            await api.register(Wiring(callback="https://x.example/"), (), extra)
        assert not [name for name in cloud.tally.calls if name.startswith("POST")]


async def test_an_event_that_is_none_is_refused_by_the_vendor() -> None:
    """The vendor knows its own list better than a client that is older."""
    async with domain() as (_, api):
        with pytest.raises(VendorError, match=r"no such event type: meeting\.paused"):
            await api.register(Wiring(callback="https://x.example/"), ("meeting.paused",), {})


# What goes wrong


async def test_a_wrong_key_is_told_in_the_vendors_words_and_not_shown() -> None:
    """401; neither the error, nor a repr, nor a log line holds a key."""
    wrong = "another-key-that-nobody-may-see"
    async with domain(key=wrong) as (_, api):
        with capture_logs() as logs, pytest.raises(VendorError, match="authentication-error") as caught:
            await api.room("standup")
        assert caught.value.vendor_status == 401
        assert wrong not in f"{caught.value} {caught.value!r} {api!r} {api.account!r} {logs}"


async def test_secrets_are_in_no_repr() -> None:
    """Links, tokens and secrets of what is answered."""
    async with recording_server() as receiver, met() as (_, api, call):
        [made] = await api.register(Wiring(callback=receiver.url), (), {"hmac": SECRET})
        link = await api.recording_link(call.recording_id)
        shown = f"{made!r} {await api.registration(made.id)!r} {link!r} {await api.recording(call.recording_id)!r}"
        shown += f"{await api.transcript_link(call.transcript_id)!r} {await api.job_links(call.job_id)!r} {api!r}"
        assert SECRET not in shown
        assert "Signature" not in shown
        assert "share-" not in shown


async def test_throttled_calls_are_made_again() -> None:
    """429 with Retry-After says that nothing was done."""
    async with domain(plays=False, faults=["throttle"]) as (cloud, api):
        with capture_logs() as logs:
            for number in range(6):
                await api.create_room(RoomOptions(name=f"room-{number}"))
        assert len(cloud.rooms) == 6
        assert cloud.tally.calls["POST /v1/rooms 429"] >= 2
        assert KEY not in str(logs)


async def test_an_answer_that_is_not_as_documented_names_the_field() -> None:
    """A list whose objects have another form."""

    async def odd(request: web.Request) -> web.Response:
        return web.json_response({"total_count": 1, "data": [{"id": 7, "name": "x"}]})

    async with other_server(odd) as api:
        with pytest.raises(VendorError, match=r"GET rooms: the answer is not as documented .*\$\.id"):
            [room async for room in api.rooms()]


async def test_a_cursor_that_does_not_move_ends_the_pages() -> None:
    """A server that gives the same page for ever is asked twice."""
    asked = 0

    async def same(request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.json_response({"data": [{"id": "r1", "name": "x"}]})

    async with other_server(same) as api:
        assert len([room async for room in api.rooms(limit=1)]) == 2
        assert asked == 2


async def test_a_vendor_that_is_down_is_unreachable() -> None:
    """Harmless calls are tried again, and then it is said."""

    async def down(request: web.Request) -> web.Response:
        return web.json_response({"error": "server-error"}, status=500)

    async with other_server(down) as api:
        with pytest.raises(VendorUnreachable, match="server-error"):
            await api.room("standup")


@asynccontextmanager
async def other_server(handler: Any) -> AsyncIterator[DailyApi]:
    """A client of a server that answers everything with ``handler``."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        async with aiohttp.ClientSession() as client:
            yield DailyApi(Account(vendor="daily", name="default", key=KEY, base_url=base_url), client, tries=FAST)
    finally:
        await runner.cleanup()
