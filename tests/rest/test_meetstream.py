"""MeetStream's REST API: every call of the fact sheet against a stand-in of the service, over real HTTP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, get_args

import aiohttp
import msgspec
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from receiver.errors import VendorCannot, VendorError, VendorNotFound, VendorPending, VendorUnreachable
from receiver.events import FetchedKind
from receiver.rest.base import Account, Fetched, Hints, Wiring
from receiver.rest.http import Tries
from receiver.rest.meetstream import MeetStreamApi, MeetStreamOptions
from receiver.rest.meetstream.options import Provider, Zoom
from receiver.rest.meetstream.wiring import create_body
from receiver.simulator.meetstream_cloud import MeetStreamCloud
from receiver.vendors import meetstream

KEY = "ms_live_4711abcdef"
LINK = "https://meet.google.com/abc-defg-hij"
QUICK = Tries(count=3, first_s=0.0, most_s=0.0)
WIRING = Wiring(
    callback="https://h.example/meetstream/default/tok-4711",
    audio="wss://h.example/meetstream/default/tok-4711/audio",
    video="wss://h.example/meetstream/default/tok-4711/video",
    transcript="wss://h.example/meetstream/default/tok-4711/transcript",
    control="wss://h.example/meetstream/default/tok-4711/control",
)


def account(base_url: str, key: str = KEY) -> Account:
    return Account(vendor="meetstream", name="default", key=key, base_url=base_url)


def options(**fields: Any) -> MeetStreamOptions:
    """As a command makes them of what a person wrote."""
    return msgspec.convert({"meeting_link": LINK, **fields}, MeetStreamOptions)


def body(**fields: Any) -> dict[str, Any]:
    """A bot that delivers to nobody."""
    return {"meeting_link": LINK, "bot_name": "Notetaker", **fields}


@asynccontextmanager
async def service(**behaviour: Any) -> AsyncIterator[tuple[MeetStreamCloud, MeetStreamApi]]:
    """The stand-in, as fast as it goes, and a client of it."""
    cloud = MeetStreamCloud(key=KEY, **{"speed": 0, **behaviour})
    async with cloud.serve(), aiohttp.ClientSession() as client:
        yield cloud, MeetStreamApi(account(cloud.url), client, tries=QUICK)


@asynccontextmanager
async def answering(
    *answers: tuple[int, Any, dict[str, str]],
) -> AsyncIterator[tuple[MeetStreamApi, list[web.Request]]]:
    """A client of a service that gives these answers, one after the other; and what it was asked."""
    waiting, asked = list(answers), []

    async def handle(request: web.Request) -> web.StreamResponse:
        await request.read()
        asked.append(request)
        status, told, headers = waiting.pop(0)
        return web.json_response(told, status=status, headers=headers)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with aiohttp.ClientSession() as client:
            yield MeetStreamApi(account(url), client, tries=QUICK), asked
    finally:
        await runner.cleanup()


async def finished(cloud: MeetStreamCloud, api: MeetStreamApi, **fields: Any) -> str:
    """The id of a bot whose meeting is over."""
    bot_id = (await api.create_bot(body(**fields))).bot_id
    await cloud.idle()
    return bot_id


def test_what_is_announced_is_what_the_vendor_tells() -> None:
    """Hints are MeetStream's event names; kinds are those that the contract and the config know."""
    assert set(MeetStreamApi.HINTS) <= set(meetstream.EVENT_TYPES)
    assert set(MeetStreamApi.KINDS) <= set(get_args(FetchedKind))
    assert {kind for kinds in MeetStreamApi.HINTS.values() for kind in kinds} <= set(MeetStreamApi.KINDS)


# Creating


def test_everything_is_wired_to_this_receiver() -> None:
    """Create-bot reference: callback, participants, live transcript, audio, video and control, each at its URL."""
    assert create_body(WIRING, options()) == {
        "meeting_link": LINK,
        "bot_name": "Notetaker",
        "callback_url": WIRING.callback,
        "recording_config": {
            "transcript": {"provider": {"meetstream_streaming": {}}},
            "realtime_endpoints": [
                {
                    "type": "webhook",
                    "url": WIRING.callback,
                    "events": ["participant_events.join", "participant_events.leave"],
                }
            ],
        },
        "live_transcription_required": {"webhook_url": WIRING.callback},
        "live_audio_required": {"websocket_url": WIRING.audio},
        "live_video_required": {"websocket_url": WIRING.video},
        "socket_connection_url": {"websocket_url": WIRING.control},
    }


def test_channels_without_a_url_are_not_asked_for() -> None:
    """Sockets are there where the wiring has them."""
    made = create_body(Wiring(callback=WIRING.callback), options())
    assert not {"live_audio_required", "live_video_required", "socket_connection_url"} & set(made)


def test_options_outweigh_the_wiring_and_leave_the_rest_of_it() -> None:
    """``recording_config`` is laid over key by key: who asks for retention keeps the participants."""
    made = create_body(
        WIRING,
        options(
            bot_name="Scribe",
            callback_url="https://other.example/cb",
            socket_connection_url="wss://other.example/control",
            recording_config={"retention": {"type": "timed", "hours": 24}, "video_layout": "grid_view"},
        ),
    )
    assert (made["bot_name"], made["callback_url"]) == ("Scribe", "https://other.example/cb")
    assert made["socket_connection_url"] == "wss://other.example/control"
    assert made["recording_config"]["retention"] == {"type": "timed", "hours": 24}
    assert made["recording_config"]["realtime_endpoints"][0]["url"] == WIRING.callback


def test_a_provider_that_works_after_the_call_brings_no_live_transcript() -> None:
    """Live transcription without a streaming provider is answered 400, so it is not asked for."""
    provider = {"transcript": {"provider": {"deepgram": {"model": "nova-3"}}}}
    made = create_body(WIRING, options(recording_config=provider))
    assert "live_transcription_required" not in made
    with pytest.raises(VendorCannot, match="live_transcription_required"):
        create_body(
            WIRING,
            options(recording_config=provider, live_transcription_required={"webhook_url": "https://a.example"}),
        )


@pytest.mark.parametrize("link", ["https://us02web.zoom.us/j/1?pwd=x", "https://zoom.us/j/1"])
def test_zoom_has_no_live_video(link: str) -> None:
    """Live video is for Meet and Teams only."""
    assert "live_video_required" not in create_body(WIRING, options(meeting_link=link))
    assert "live_video_required" in create_body(WIRING, options(meeting_link="https://zoom.us.example.org/a"))


BEYOND: dict[str, tuple[dict[str, Any], str]] = {
    "no link": ({"meeting_link": ""}, "meeting_link"),
    "name": ({"bot_name": ""}, "bot_name"),
    "callback": ({"callback_url": "ftp://x"}, "callback_url"),
    "socket": ({"live_audio_required": {"websocket_url": "https://x"}}, "live_audio_required.websocket_url"),
    "time": ({"join_at": "tomorrow"}, "join_at"),
    "recording too short": ({"automatic_leave": {"in_call_recording_timeout": 599}},
                            "automatic_leave.in_call_recording_timeout"),
    "recording too long": ({"automatic_leave": {"in_call_recording_timeout": 18001}},
                           "automatic_leave.in_call_recording_timeout"),
    "permission too short": ({"automatic_leave": {"recording_permission_denied_timeout": 59}},
                             "automatic_leave.recording_permission_denied_timeout"),
    "permission too long": ({"automatic_leave": {"recording_permission_denied_timeout": 301}},
                            "automatic_leave.recording_permission_denied_timeout"),
    "negative": ({"automatic_leave": {"waiting_room_timeout": -1}}, "automatic_leave.waiting_room_timeout"),
    "layout": ({"recording_config": {"video_layout": "spiral"}}, "recording_config.video_layout"),
    "retention": ({"recording_config": {"retention": {"hours": 0}}}, "recording_config.retention.hours"),
    "two providers": ({"recording_config": {"transcript": {"provider": {"deepgram": {}, "sarvam": {}}}}},
                      "recording_config.transcript.provider"),
    "no provider": ({"recording_config": {"transcript": {"provider": {}}}}, "recording_config.transcript.provider"),
    "unknown provider": ({"recording_config": {"transcript": {"provider": {"acme": {}}}}},
                         "recording_config.transcript.provider"),
    "both zoom links": ({"zoom": {"zak_url": "https://a.example", "obf_url": "https://b.example"}}, "zoom"),
    "zoom over http": ({"zoom": {"zak_url": "http://a.example"}}, "zoom.zak_url"),
    "unknown field": ({"bot_nmae": "x"}, ""),
}  # fmt: skip


@pytest.mark.parametrize("case", BEYOND)
def test_a_value_beyond_its_bounds_names_its_field(case: str) -> None:
    """Whoever converts options is told the field before anything is sent."""
    fields, path = BEYOND[case]
    with pytest.raises(msgspec.ValidationError) as caught:
        options(**fields)
    assert f"$.{path}`" in str(caught.value) if path else "bot_nmae" in str(caught.value)


@pytest.mark.parametrize(
    ("made", "field"),
    [
        (MeetStreamOptions(meeting_link=""), "meeting_link"),
        (MeetStreamOptions(meeting_link=LINK, custom_attributes=5), "custom_attributes"),  # type: ignore[arg-type]
        (MeetStreamOptions(meeting_link=LINK, zoom=Zoom(zak_url="http://a.example/secret")), "zoom.zak_url"),
        (MeetStreamOptions(meeting_link=LINK, workflow_config_ids=[""]), "workflow_config_ids"),
    ],
)
async def test_options_made_by_hand_are_checked_before_anything_is_sent(made: MeetStreamOptions, field: str) -> None:
    """Python checks no bounds: the client does. No URL is in the text."""
    async with answering() as (api, asked):
        with pytest.raises(VendorCannot, match=field) as caught:
            await api.create(WIRING, made)
        assert asked == [] and "secret" not in str(caught.value)


def test_providers_made_by_hand_are_exactly_one() -> None:
    """One key for one service."""
    with pytest.raises(ValueError, match="exactly one"):
        Provider(deepgram={}, sarvam={})
    assert Provider(meeting_captions={}).named() == ["meeting_captions"]


async def test_every_field_reaches_the_vendor() -> None:
    """The sheet's fields, of all generations, as they were given; what was not given is not sent."""
    given: dict[str, Any] = {
        "meeting_link": LINK, "bot_name": "Scribe", "audio_required": True, "video_required": False,
        "bot_message": "Hello", "bot_image_url": "https://p.example/a.png", "callback_url": "https://c.example/cb",
        "join_at": "2026-12-01T09:30:00Z", "custom_attributes": {"team": "platform"}, "deduplication_key": "d1",
        "live_audio_required": {"websocket_url": "wss://c.example/a"},
        "live_video_required": {"websocket_url": "wss://c.example/v"},
        "live_transcription_required": {"webhook_url": "https://c.example/t", "websocket_url": "wss://c.example/t"},
        "socket_connection_url": {"websocket_url": "wss://c.example/c"},
        "recording_config": {
            "transcript": {"provider": {"assemblyai_streaming": {"vad_threshold": "0.4"}}},
            "retention": {"type": "timed", "hours": 720},
            "realtime_endpoints": [
                {"type": "webhook", "url": "https://c.example/p", "events": ["participant_events.join"]},
            ],
            "video_layout": "speaker_view", "audio_separate_streams": True, "video_separate_streams": True,
        },
        "audio_separate_streams": True, "video_separate_streams": False,
        "automatic_leave": {
            "waiting_room_timeout": 600, "no_one_joined_timeout": 600, "everyone_left_timeout": 300,
            "voice_inactivity_timeout": 100, "in_call_recording_timeout": 14400,
            "recording_permission_denied_timeout": 60, "bot_detection": {"using_participant_names": ["bot"]},
        },
        "google_meet": {"login_required": True, "google_login_domain": "a.example", "sign_in_email": "b@a.example",
                        "strict_email": True},
        "teams": {"login_required": True, "teams_login_domain": "a.example"},
        "zoom": {"zak_url": "https://c.example/zak"},
        "agent_config_id": "a1", "workflow_config_ids": ["w1"], "transcription": {"provider": "x"},
    }  # fmt: skip
    assert set(given) == set(MeetStreamOptions.__struct_fields__)
    async with answering((201, {"bot_id": "b1"}, {})) as (api, asked):
        await api.create(WIRING, options(**given))
        assert await asked[0].json() == given


async def test_create_tells_the_bot_and_what_to_show() -> None:
    """201: ``bot_id`` is the subject of all that follows; a link with a passcode is not shown whole."""
    told = {"bot_id": "b1", "transcript_id": None, "meeting_url": "https://zoom.us/j/1?pwd=s3cret", "status": "Active"}
    async with answering((201, told, {})) as (api, _):
        made = await api.create(WIRING, options())
    assert (made.what, made.subject, made.secrets) == ("bot", "b1", {})
    assert made.facts == {"status": "Active", "meeting_url": "[redacted]"}
    assert "s3cret" not in repr(made)


async def test_a_transcript_that_comes_after_the_call_has_an_id_from_the_start() -> None:
    """``transcript_id``: with a post-call provider; null with a streaming one."""
    post_call: dict[str, Any] = {"recording_config": {"transcript": {"provider": {"deepgram": {}}}}}
    async with service() as (_, api):
        assert (await api.create_bot(body(**post_call))).transcript_id
        assert (await api.create_bot(body())).transcript_id is None


async def test_the_oldest_answer_has_nothing_but_the_id() -> None:
    """Seed page: only ``bot_id``."""
    async with answering((200, {"bot_id": "b1"}, {})) as (api, _):
        made = await api.create(WIRING, options())
    assert (made.subject, made.facts) == ("b1", {})


async def test_a_replayed_create_is_success() -> None:
    """507 with ``Idempotency-Key``: the original body, and no second bot."""
    async with service() as (cloud, api):
        first = await api.create_bot(body(), idempotency_key="k1")
        again = await api.create_bot(body(bot_name="Other"), idempotency_key="k1")
        assert first == again and len(cloud.bots) == 1
        assert cloud.tally.calls["POST /api/v1/bots/create_bot 507"] == 1


async def test_a_create_whose_answer_was_lost_makes_one_bot() -> None:
    """A create is tried again, with the same key each time."""
    async with answering((502, {}, {}), (507, {"bot_id": "b1"}, {})) as (api, asked):
        assert (await api.create(WIRING, options())).subject == "b1"
    keys = {request.headers["Idempotency-Key"] for request in asked}
    assert len(asked) == 2 and len(keys) == 1 and len(keys.pop()) >= 16


async def test_two_creates_have_two_keys() -> None:
    """Or the second would be taken for a replay of the first."""
    async with service() as (cloud, api):
        await api.create_bot(body())
        await api.create_bot(body())
        assert len(cloud.bots) == 2


async def test_507_is_success_of_create_only() -> None:
    """Elsewhere it is what it says: the vendor's disk is full."""
    async with answering(*[(507, {"message": "full"}, {})] * 3) as (api, _):
        with pytest.raises(VendorUnreachable, match="answered 507: full"):
            await api.detail("b1")


async def test_a_deduplication_key_gives_the_same_bot_or_409() -> None:
    """200 for the same meeting, 409 for another."""
    async with service() as (cloud, api):
        first = await api.create_bot(body(deduplication_key="d"))
        assert (await api.create_bot(body(deduplication_key="d"))).bot_id == first.bot_id
        with pytest.raises(VendorError, match="another meeting") as caught:
            await api.create_bot(body(deduplication_key="d", meeting_link="https://meet.google.com/x"))
        assert caught.value.vendor_status == 409 and len(cloud.bots) == 1


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"bot_name": ""}, "bot_name is required"),
        ({"live_transcription_required": {"webhook_url": "https://h.example"}}, "streaming transcription provider"),
        ({"automatic_leave": {"in_call_recording_timeout": 10}}, "must be at least 600 seconds"),
        ({"automatic_leave": {"recording_permission_denied_timeout": 900}}, "must not exceed 300 seconds"),
        ({"zoom": {"zak_url": "https://a", "obf_url": "https://b"}}, "mutually exclusive"),
        ({"recording_config": {"realtime_endpoints": [{"url": "http://127.0.0.1:9/x"}]}}, "cannot be reached"),
    ],
)
async def test_a_400_has_the_vendors_words(wrong: dict[str, Any], words: str) -> None:
    """``message`` of a bad field, once: it is not tried again."""
    async with service() as (cloud, api):
        with pytest.raises(VendorError, match=words) as caught:
            await api.create_bot(body(**wrong))
        assert (caught.value.vendor_status, caught.value.retryable) == (400, False)
        assert cloud.bots == {} and sum(cloud.tally.calls.values()) == 1


# Who may


async def test_keys_and_schemes() -> None:
    """401 for another scheme, 403 for a bad key, and for one that may only write."""
    async with service(write_only_key="ms_write_only") as (cloud, _), aiohttp.ClientSession() as client:
        async with client.get(f"{cloud.url}/bots", headers={"Authorization": f"Bearer {KEY}"}) as bearer:
            assert bearer.status == 401
        writer = MeetStreamApi(account(cloud.url, "ms_write_only"), client, tries=QUICK)
        made = await writer.create_bot(body())
        with pytest.raises(VendorError, match="may not") as caught:
            await writer.status(made.bot_id)
        assert caught.value.vendor_status == 403
        with pytest.raises(VendorError, match="answered 403"):
            await MeetStreamApi(account(cloud.url, "ms_bad_key"), client, tries=QUICK).create_bot(body())
        with pytest.raises(VendorError, match="credentials"):
            await MeetStreamApi(account(cloud.url, ""), client, tries=QUICK).status("b1")


async def test_no_secret_in_repr_log_or_error() -> None:
    """Neither the key, which a vendor may repeat, nor the tokens of this receiver's URLs, nor links."""
    refusals = [(401, {"detail": f"Invalid token {KEY}."}, {}), (429, {"message": KEY}, {"Retry-After": "0"})]
    async with answering(*refusals, *[(503, {"error": KEY}, {"Retry-After": "0"})] * 2) as (api, _):
        with capture_logs() as logs:
            with pytest.raises(VendorError) as refused:
                await api.status("b1")
            with pytest.raises(VendorUnreachable) as gone:
                await api.create(WIRING, options())
        told = [str(refused.value), str(gone.value), repr(api), repr(api.rest), repr(api.account), str(logs)]
        told += [repr(WIRING), repr(options(callback_url=WIRING.callback)), repr(Zoom(zak_url="https://tok-4711"))]
    assert "Invalid token [redacted]" in told[0] and len(logs) == 2
    assert not any(KEY in text or "tok-4711" in text for text in told)


# What it says of a bot


async def test_status_and_detail() -> None:
    """``status`` as it is said; ``bot_details`` with timeline, states and transcript."""
    async with service() as (cloud, api):
        bot_id = await finished(
            cloud, api, custom_attributes={"a": "b"}, recording_config={"transcript": {"provider": {"sarvam": {}}}}
        )
        assert await api.status(bot_id) == {"bot_id": bot_id, "status": "Done", "custom_attributes": {"a": "b"}}
        assert (await api.bot_status(bot_id)).status == "Done"
        details = (await api.detail(bot_id)).bot_details
        assert (details.BotID, details.Platform, details.AudioStatus) == (bot_id, "GMeet", "Success")
        assert details.transcript_id == cloud.bots[bot_id].transcript_id
        assert details.StatusTimeline is not None and len(details.StatusTimeline) > 10
        assert (await api.summary(bot_id)).bot_details.BotID == bot_id
        assert LINK not in repr(details)


async def test_what_was_collected() -> None:
    """Participants (a bare array), chat, screenshots, who spoke when."""
    async with service() as (cloud, api):
        bot_id = await finished(cloud, api)
        people = await api.participants(bot_id)
        assert len(people) == 3 and all(one.device_id and one.full_name and one.humanized_status for one in people)
        assert (await api.chats(bot_id)).chat_messages[0].text == "Here is the dashboard."
        assert (await api.screenshots(bot_id)).screenshots_count == 1
        chunk = (await api.speaker_timeline(bot_id)).chunks[0]
        assert chunk.start_byte is not None and chunk.end_byte is not None and chunk.start_byte < chunk.end_byte


async def test_media_by_links_that_need_no_key() -> None:
    """Audio and video; the storage service would refuse a credential, so none is shown."""
    async with service() as (cloud, api):
        bot_id = await finished(cloud, api)
        audio, video = await api.audio(bot_id), await api.video(bot_id)
        assert audio.audio_url and video.video_url and video.video_info
        assert await api.download(audio.audio_url) == b"media of audio.wav"
        assert await api.download(video.video_url) == b"media of video.mp4"
        assert "X-Amz" not in repr(audio) + repr(video)
        with pytest.raises(VendorError, match="answered 400"):
            await api.download(audio.audio_url.partition("?")[0])


async def test_streams_of_each_participant() -> None:
    """WebM with Opus and VP8, where they were asked for."""
    async with service() as (cloud, api):
        bot_id = await finished(cloud, api, audio_separate_streams=True, video_separate_streams=True)
        sound, pictures = await api.audio_streams(bot_id), await api.recording_streams(bot_id)
        assert [one.streams[0].segments[0].codec for one in sound.participants] == ["opus"] * 3
        assert pictures.participants[0].streams[0].segments[0].width == 640
        silent = await finished(cloud, api)
        assert (await api.audio_streams(silent)).participants == []


async def test_a_transcript_and_the_same_raw() -> None:
    """``get_transcript``: segments with words; ``raw=true``: as the service gave it."""
    async with service() as (cloud, api):
        bot_id = await finished(cloud, api, recording_config={"transcript": {"provider": {"deepgram": {}}}})
        run = (await api.transcriptions(bot_id)).transcriptions[0]
        assert run.status == "Success" and run.transcript_id and run.download_urls
        segments = await api.transcript(run.transcript_id)
        assert segments[0].transcript and segments[0].words and segments[0].speaker
        assert (await api.raw_transcript(run.transcript_id))["id"] == run.transcript_id


@pytest.mark.parametrize("key", ["message", "transcript"])
async def test_a_transcript_in_an_object(key: str) -> None:
    """Also seen as an object with ``message`` or ``transcript``."""
    async with answering((200, {key: [{"speaker": "Ada", "transcript": "Hi"}]}, {})) as (api, _):
        assert [one.transcript for one in await api.transcript("t1")] == ["Hi"]


async def test_a_transcript_in_no_known_form_is_an_error() -> None:
    """What the client cannot read is not an empty transcript."""
    async with answering((200, {"results": {}}, {})) as (api, _):
        with pytest.raises(VendorError, match="not as documented"):
            await api.transcript("t1")


async def test_transcribing_again() -> None:
    """A new run with an id of its own, which the bot's details show from then on."""
    async with service() as (cloud, api):
        bot_id = await finished(cloud, api)
        begun = await api.transcribe(bot_id, {"deepgram": {"model": "nova-3"}})
        await cloud.idle()
        assert begun.transcript_id and (await api.detail(bot_id)).bot_details.transcript_id == begun.transcript_id
        assert await api.transcript(begun.transcript_id)


@pytest.mark.parametrize("provider", [{}, {"deepgram": {}, "sarvam": {}}, {"meeting_captions": {}}])
async def test_transcribing_takes_one_provider_that_works_after_the_call(provider: dict[str, Any]) -> None:
    """Refused before anything is sent."""
    async with answering() as (api, asked):
        with pytest.raises(VendorCannot, match="provider: found"):
            await api.transcribe("b1", provider)
        assert asked == []


async def test_a_list_over_several_pages() -> None:
    """``hasNextPage`` and ``nextCursor``, page by page, each bot once; filters go along."""
    async with service(page_size=2) as (cloud, api):
        made = [(await api.create_bot(body())).bot_id for _ in range(5)]
        await cloud.idle()
        assert [bot["BotID"] async for bot in api.bots()] == made
        assert cloud.tally.calls["GET /api/v1/bots 200"] == 3
        assert [bot async for bot in api.bots(status="Joining")] == []


async def test_a_vendor_that_passes_the_cursor_over_ends_the_list() -> None:
    """The cursor's name is not documented: the same page for ever would never end."""
    page = {"bots": [{"BotID": "b1"}], "hasNextPage": True, "nextCursor": "c1"}
    async with answering((200, page, {}), (200, page, {})) as (api, asked):
        assert len([bot async for bot in api.bots()]) == 2
        assert [request.query.get("cursor") for request in asked] == [None, "c1"]


# Orders


@pytest.fixture
async def in_meeting() -> AsyncIterator[tuple[MeetStreamCloud, MeetStreamApi, str]]:
    """A bot that is in its meeting and stays there."""
    recording = asyncio.Event()

    def watch(subject: str, what: str) -> None:
        if what == "bot.recording":
            recording.set()

    async with service(speed=2.0, progress=watch) as (cloud, api):
        bot_id = (await api.create_bot(body())).bot_id
        await asyncio.wait_for(recording.wait(), 20)
        yield cloud, api, bot_id


async def test_orders_to_a_bot_in_its_meeting(in_meeting: tuple[MeetStreamCloud, MeetStreamApi, str]) -> None:
    """Chat, picture, pause, resume, and at last to leave."""
    cloud, api, bot_id = in_meeting
    assert (await api.send_message(bot_id, "Hello")).status == "accepted"
    await api.send_image(bot_id, "https://p.example/a.png", display_duration=5)
    await api.pause_recording(bot_id)
    await api.pause_recording(bot_id)
    assert (await api.resume_recording(bot_id)).command == "resume_recording"
    with pytest.raises(VendorPending):
        await api.audio(bot_id)
    assert "Stop signal" in await api.remove(bot_id)
    await cloud.idle()
    orders = cloud.bots[bot_id].orders
    assert orders[:2] == [
        {"command": "sendmsg", "message": "Hello", "metadata": {"message_type": "text"}},
        {"command": "sendimg_url", "img_url": "https://p.example/a.png", "display_duration": 5,
         "metadata": {"message_type": "image"}},
    ]  # fmt: skip
    assert [order["command"] for order in orders[2:]] == ["pause_recording", "pause_recording", "resume_recording"]
    assert await api.status(bot_id) == {"bot_id": bot_id, "status": "Done", "custom_attributes": {}}


async def test_pauses_are_30_a_minute(in_meeting: tuple[MeetStreamCloud, MeetStreamApi, str]) -> None:
    """429 with a Retry-After that is longer than anybody should wait here: told, not waited for."""
    cloud, api, bot_id = in_meeting
    cloud.bots[bot_id].pauses_s = [asyncio.get_running_loop().time()] * 30
    patient = MeetStreamApi(api.account, cloud.client, tries=Tries(count=3, first_s=0.0, most_s=0.0, most_wait_s=1.0))
    with pytest.raises(VendorUnreachable, match="told to wait 60 s") as caught:
        await patient.pause_recording(bot_id)
    assert caught.value.vendor_status == 429


async def test_orders_to_a_bot_that_has_left_are_refused() -> None:
    """409 in the vendor's words; a message without text 400; an unknown bot 404."""
    async with service() as (cloud, api):
        bot_id = await finished(cloud, api)
        with pytest.raises(VendorError, match="not currently in the meeting"):
            await api.send_message(bot_id, "Hello")
        with pytest.raises(VendorError, match="message is required"):
            await api.send_message(bot_id, "")
        with pytest.raises(VendorNotFound, match="Bot not found"):
            await api.send_message("nobody", "Hello")
        with pytest.raises(VendorNotFound):
            await api.detail("../bots")


async def test_deleting_is_for_good() -> None:
    """How many objects went; afterwards there is nothing."""
    async with service() as (cloud, api):
        bot_id = await finished(cloud, api)
        assert (await api.delete(bot_id)).deleted_objects == 3
        with pytest.raises(VendorNotFound, match="were deleted"):
            await api.audio(bot_id)


# Not yet, and too often


async def test_202_is_not_yet_and_tells_when_to_come_back() -> None:
    """With Retry-After where the vendor gives one; then it is there."""
    answers = [(202, {"message": "in progress"}, {"Retry-After": "7"}), (202, {}, {}), (200, {"audio_url": "u"}, {})]
    async with answering(*answers) as (api, _):
        with pytest.raises(VendorPending, match="in progress") as caught:
            await api.audio("b1")
        assert caught.value.retry_after_s == 7.0 and caught.value.retryable
        with pytest.raises(VendorPending) as caught:
            await api.audio("b1")
        assert caught.value.retry_after_s == 0.0
        assert (await api.audio("b1")).audio_url == "u"


async def test_a_sentence_in_place_of_a_transcript_is_not_yet() -> None:
    """200 with nothing but a text ``message`` is no transcript."""
    async with answering((200, {"message": "Transcript is processing"}, {})) as (api, _):
        with pytest.raises(VendorPending, match="Transcript is processing"):
            await api.transcript("t1")


@pytest.mark.parametrize("kind", ["audio", "video", "chat", "participants", "timeline", "screenshots", "streams"])
async def test_what_is_never_ready_stays_pending(kind: str) -> None:
    """The caller has the deadline."""
    async with service(faults=["pending"]) as (cloud, api):
        bot_id = await finished(cloud, api)
        with pytest.raises(VendorPending):
            await api.fetch(kind, bot_id, Hints())


async def test_a_throttled_client_comes_back() -> None:
    """One call in three is told 429; all are done in the end."""
    async with service(faults=["throttle"]) as (cloud, api):
        bot_id = await finished(cloud, api)
        for _ in range(6):
            await api.status(bot_id)
        assert sum(count for name, count in cloud.tally.calls.items() if name.endswith(" 429")) >= 2


# What the receiver fetches by itself


async def test_everything_is_fetched_by_kind() -> None:
    """One answer for each kind, two for streams; each names its call."""
    async with service() as (cloud, api):
        bot_id = await finished(
            cloud, api, workflow_config_ids=["w1"], recording_config={"transcript": {"provider": {"deepgram": {}}}}
        )
        found = {kind: await api.fetch(kind, bot_id, Hints()) for kind in api.KINDS}
    assert {kind: [one.call for one in answers] for kind, answers in found.items()} == {
        "transcript": ["get_transcript"], "summary": ["summary"], "audio": ["get_audio"], "video": ["get_video"],
        "chat": ["get_chats"], "participants": ["get_participants"], "timeline": ["get_speaker_timeline"],
        "screenshots": ["get_screenshots"], "streams": ["get_audio_streams", "get_recording_streams"],
        "detail": ["detail"],
    }  # fmt: skip
    assert all(one.subject == bot_id for answers in found.values() for one in answers)


async def test_a_hinted_transcript_is_fetched_at_once() -> None:
    """Who knows the transcript's id need not ask for the details."""
    async with answering((200, [], {})) as (api, asked):
        assert await api.fetch("transcript", "b1", Hints(artifact="t 1")) == [
            Fetched(call="get_transcript", body=b"[]", subject="b1")
        ]
        assert asked[0].raw_path == "/transcript/t%201/get_transcript"


async def test_a_bot_without_a_transcript_has_none() -> None:
    """Streaming only: ``transcript_id`` is null, and nothing will come."""
    async with service() as (cloud, api):
        assert await api.fetch("transcript", await finished(cloud, api), Hints()) == []


async def test_captions_lie_at_a_link_of_their_own() -> None:
    """``meeting_captions``: ``caption_file`` in the details."""
    async with service() as (cloud, api):
        bot_id = await finished(cloud, api, recording_config={"transcript": {"provider": {"meeting_captions": {}}}})
        (captions,) = await api.fetch("transcript", bot_id, Hints())
    assert captions.call == "caption_file" and b": " in captions.body


async def test_a_summary_is_what_a_workflow_makes() -> None:
    """Without a workflow there is none; with one it may come yet."""
    details: dict[str, Any] = {"BotID": "b1", "RequestPayload": {"workflow_config_ids": ["w1"]}}
    answers = [{"bot_details": {"BotID": "b1"}}, {"bot_details": details}, {"summary": "Settled."}]
    async with answering(*((200, told, {}) for told in answers)) as (api, _):
        assert await api.fetch("summary", "b1", Hints()) == []
        with pytest.raises(VendorPending):
            await api.fetch("summary", "b1", Hints())
        assert [one.body for one in await api.fetch("summary", "b1", Hints())] == [b'{"summary": "Settled."}']


async def test_streams_are_what_there_is_of_two_kinds() -> None:
    """404 for one of them leaves the other; for both it is told."""
    missing: tuple[int, Any, dict[str, str]] = (404, {"message": "none"}, {})
    async with answering(missing, (200, {"participants": []}, {}), missing, missing) as (api, _):
        assert [one.call for one in await api.fetch("streams", "b1", Hints())] == ["get_recording_streams"]
        with pytest.raises(VendorNotFound):
            await api.fetch("streams", "b1", Hints())


async def test_an_unknown_kind_is_refused() -> None:
    """The kinds that there are stand in the text."""
    async with answering() as (api, asked):
        with pytest.raises(VendorCannot, match="transcript, summary"):
            await api.fetch("recording", "b1", Hints())
        assert asked == []


async def test_the_echo_of_our_own_urls_is_not_kept() -> None:
    """``RequestPayload`` repeats the create body with this receiver's tokens."""
    echo = {"callback_url": WIRING.callback, "list": [{"url": WIRING.audio}], "bot_name": "Notetaker"}
    for told in ({"bot_details": {"BotID": "b1", "RequestPayload": echo}}, {"RequestPayload": echo}):
        async with answering((200, told, {})) as (api, _):
            (record,) = await api.own_record("b1", Hints())
            assert b"tok-4711" not in record.body and b"Notetaker" in record.body


async def test_the_own_record_brings_who_came_and_went() -> None:
    """In the details, or at a link in them; a link that leads nowhere costs the people and not the record."""
    async with service() as (cloud, api):
        bot_id = await finished(cloud, api)
        assert [one.call for one in await api.own_record(bot_id, Hints())] == ["detail"]
        link = cloud.bots[bot_id].link("people.json", 600)
        for told in (link, {"url": link}):
            cloud.bots[bot_id].participant_events = told  # type: ignore[assignment]
            calls = [(one.call, one.subject) for one in await api.own_record(bot_id, Hints())]
            assert calls == [("detail", bot_id), ("participant_events", bot_id)]
        cloud.bots[bot_id].participant_events = link.partition("?")[0]  # type: ignore[assignment]
        with capture_logs() as logs:
            assert [one.call for one in await api.own_record(bot_id, Hints())] == ["detail"]
        assert [entry["event"] for entry in logs] == ["rest.record_incomplete"]


async def test_what_meetstream_does_not_offer() -> None:
    """No record of the account, no webhooks over the API: nothing is sent."""
    async with answering() as (api, asked):
        with pytest.raises(VendorCannot, match="none of the account"):
            await api.own_record("", Hints())
        with pytest.raises(VendorCannot, match="webhooks"):
            await api.register(WIRING, (), {})
        assert asked == []
