"""Water AI's REST client against a stand-in of its cloud, over real HTTP. Sections 9 to 12 of the fact sheet."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from receiver.errors import VendorCannot, VendorError, VendorNotFound, VendorPending
from receiver.rest.base import Hints, Wiring
from receiver.rest.http import Tries
from receiver.rest.waterai import CreateOptions, DynamicOptions, MeetingOptions, WaterAiApi
from receiver.settings import Account
from receiver.simulator.waterai import WaterAiCloud
from receiver.vendors import waterai as decoder
from receiver.vendors.replies import Seen, reply_record
from tests.vendors.samples import NOW_NS

KEY = "wai_key_that_nobody_may_see_1"
WIRING = Wiring(callback="https://receiver.example/waterai/default?token=secret")
FAST = Tries(first_s=0.0, most_s=0.0, timeout_s=10.0)
TRANSCRIBED = {"person_name": "Ada", "scenario_id": 456, "allow_transcription": True}


@asynccontextmanager
async def account(*, key: str = KEY, **options: Any) -> AsyncIterator[tuple[WaterAiCloud, WaterAiApi]]:
    """A stand-in and a client of it; meetings take place at once."""
    cloud = WaterAiCloud(speed=0, key=KEY, **options)
    async with cloud.serve(), aiohttp.ClientSession() as client:
        yield cloud, client_of(cloud.url, client, key)


@asynccontextmanager
async def answering(*answers: Any, status: int = 200) -> AsyncIterator[WaterAiApi]:
    """A client of a server that gives these answers in turn, and then the last one for ever."""
    left = list(answers)

    async def answer(request: web.Request) -> web.Response:
        body = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(body, bytes):
            return web.Response(status=status, body=body)
        return web.json_response(body, status=status)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with aiohttp.ClientSession() as client:
            yield client_of(f"http://127.0.0.1:{runner.addresses[0][1]}", client, KEY)
    finally:
        await runner.cleanup()


def client_of(url: str, client: aiohttp.ClientSession, key: str) -> WaterAiApi:
    """A client that does not wait between tries."""
    return WaterAiApi(Account(vendor="waterai", name="default", key=key, base_url=url), client, tries=FAST)


def events_of(body: bytes, call: str, *, subject: str = "789", seen: Seen | None = None) -> list[Any]:
    """What the decoder makes of what was fetched."""
    record = reply_record("waterai", "default", call, body, subject=subject, content_type="", now_ns=NOW_NS, seen=seen)
    return decoder.decode_reply(record).events


# Creating


async def test_a_meeting_from_a_scenario() -> None:
    """Name and scenario are all that it needs; the vendor's defaults are not sent."""
    async with account(plays=False) as (cloud, api):
        made = await api.create_meeting(MeetingOptions(person_name="Ada", scenario_id=456))
        assert (made.meeting.id, made.meeting.status, made.meeting.meeting_type) == (789, "created", "regular")
        assert made.meeting.room == "standin-0-789"
        assert made.session_minutes_info is not None
        assert (made.session_minutes_info.estimatedMinutes, made.session_minutes_info.remainingMinutes) == (35, 265)
        assert cloud.meetings[789].facts["language"] == "English"


async def test_every_parameter_of_a_meeting_is_taken() -> None:
    """The stand-in refuses a name or a type that it does not know."""
    async with account(plays=False) as (cloud, api):
        given = MeetingOptions(
            person_name="Ada", scenario_id=456, meeting_type="end-user", voice_id="v1", voice_vendor="cartesia",
            end_user_id=123, language="German", welcome_message="Hallo", allow_recording=False,
            allow_transcription=True, allow_chat=False, allow_screen_share=True, allow_participant_video=True,
            allow_participant_audio=False, max_participants=2, waiting_room_enabled=True, auto_admit=False,
            meeting_duration_minutes=15, deep_think=True, is_live_llm_service=True, use_gpt_vision=True,
            allow_web_search=True, use_own_keys=True,
        )  # fmt: skip
        told = msgspec.to_builtins(given)
        assert len(told) == len(MeetingOptions.__struct_fields__)
        await api.create_meeting(given)
        assert {name: cloud.meetings[789].facts[name] for name in told} == told


async def test_a_dynamic_meeting_makes_or_finds_its_end_user() -> None:
    """The same address is the same person; without one it is nobody in particular."""
    async with account(plays=False) as (_, api):
        ada = DynamicOptions(
            scenario_id=456, email="ada@example.org", first_name="Ada", last_name="L", person_name="Ada L",
            user_metadata={"team": "a"},
        )  # fmt: skip
        first, again = await api.create_dynamic_meeting(ada), await api.create_dynamic_meeting(ada)
        nobody = await api.create_dynamic_meeting(DynamicOptions(scenario_id=456))
        users = [(made.meeting.end_user or {})["id"] for made in (first, again, nobody)]
        assert users[0] == users[1] != users[2]
        assert first.meeting_url is not None
        assert "membership_id=456" in first.meeting_url


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (MeetingOptions(person_name="", scenario_id=1), "person_name"),
        (MeetingOptions(person_name="Ada", scenario_id=0), "scenario_id"),
        (MeetingOptions(person_name="Ada", scenario_id=1, voice_vendor="acme"), "voice_vendor"),  # type: ignore[arg-type]
        (MeetingOptions(person_name="Ada", scenario_id=1, meeting_type="odd"), "meeting_type"),  # type: ignore[arg-type]
        (MeetingOptions(person_name="Ada", scenario_id=1, max_participants=0), "max_participants"),
        (MeetingOptions(person_name="Ada", scenario_id=1, meeting_duration_minutes=0), "meeting_duration_minutes"),
        (MeetingOptions(person_name="Ada", scenario_id=1, allow_chat="yes"), "allow_chat"),  # type: ignore[arg-type]
    ],
)
async def test_a_wrong_value_is_refused_before_anything_is_sent(options: MeetingOptions, field: str) -> None:
    """The error names the field."""
    async with account() as (cloud, api):
        with pytest.raises(VendorError, match=f"^waterai: {field}: .*nothing was sent"):
            await api.create_meeting(options)
        with pytest.raises(VendorError, match=r"^waterai: email: "):
            await api.create_dynamic_meeting(DynamicOptions(scenario_id=1, email="nobody"))
        assert not cloud.tally.calls


async def test_create_keeps_what_opens_the_room_among_the_secrets() -> None:
    """The token, and links that name a membership; what is left may be shown."""
    async with account(plays=False) as (cloud, api):
        plain = await api.create(WIRING, CreateOptions(person_name="Ada", scenario_id=456))
        assert (plain.subject, set(plain.secrets)) == ("789", {"room_token"})
        assert plain.facts == {
            "room_url": "https://waterrai.daily.co/standin-0-789", "room": "standin-0-789", "status": "created",
            "scenario_id": "456", "person_name": "Ada", "estimated_minutes": "35", "remaining_minutes": "265",
        }  # fmt: skip
        dynamic = await api.create(WIRING, CreateOptions(scenario_id=456, dynamic=True, email="ada@example.org"))
        assert set(dynamic.secrets) == {"room_token", "meeting_url", "scenario_url"}
        assert dynamic.facts["end_user_id"] == "123"
        for secret in (*plain.secrets.values(), *dynamic.secrets.values()):
            assert secret not in f"{plain!r} {plain.facts} {dynamic!r} {dynamic.facts}"
        assert cloud.tally.calls == {"POST /meetings 201": 1, "POST /meetings/create-dynamic-meeting 201": 1}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (CreateOptions(scenario_id=456), "person_name: found nothing"),
        (CreateOptions(scenario_id=456, person_name="Ada", email="a@b.c"), r"email: only a dynamic meeting"),
        (CreateOptions(scenario_id=456, dynamic=True, allow_chat=True), "allow_chat: a dynamic meeting takes none"),
        (CreateOptions(scenario_id=456, dynamic=True, email="nobody"), "email: "),
    ],
)
async def test_options_of_the_other_kind_are_refused(options: CreateOptions, said: str) -> None:
    """Nothing that was asked for is dropped in silence."""
    async with account() as (cloud, api):
        with pytest.raises(VendorError, match=said):
            await api.create(WIRING, options)
        assert not cloud.tally.calls


# Reading


async def test_status_of_a_meeting() -> None:
    """As the vendor tells it, without the token."""
    async with account() as (cloud, api):
        await api.create_meeting(MeetingOptions(person_name="Ada", scenario_id=456))
        await cloud.idle()
        told = await api.status("789")
        assert (told["status"], told["room_token"]) == ("ended", "[redacted]")
        assert (await api.meeting(789)).updated_at
        with pytest.raises(VendorNotFound, match="Meeting not found: no meeting 790"):
            await api.status("790")


async def test_the_three_routes_of_transcripts() -> None:
    """Of a meeting as one text, of one transcript and of a scenario in sentences."""
    async with account(plays=False) as (cloud, api):
        held = await cloud.make_meeting(TRANSCRIBED)
        await cloud.hold(held)
        [text] = await api.meeting_transcripts(789)
        assert (text.id, text.status, text.language) == (301, "completed", "en")
        one = await api.sentenced_transcript(301, 789, 456)
        assert one.sentences[0].start_duration == "00:00"
        assert [said.sequence_number for said in one.sentences] == list(range(1, len(one.sentences) + 1))
        [meeting] = (await api.scenario_transcripts(456)).meetings
        assert (meeting.meeting_id, meeting.transcripts[0].sentences) == (789, one.sentences)
        with pytest.raises(VendorNotFound, match="Transcript not found"):
            await api.sentenced_transcript(302, 789, 456)


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda data: {"success": True, "data": data},
        lambda data: {"status": "success", "data": data},
        lambda data: data,
    ],
)
async def test_each_route_may_be_wrapped_in_each_way(wrapped: Any) -> None:
    """The vendor's envelopes differ from route to route."""
    text = {"id": 1, "content": "hello"}
    sentences = [{"message": "hello"}]
    async with answering(
        wrapped({"id": 789, "status": "ended"}), wrapped([text]), wrapped({"transcripts": [text]}), wrapped(sentences),
        wrapped({"sentences": sentences}), wrapped([{"meeting_id": 789}]),
    ) as api:  # fmt: skip
        assert (await api.meeting("789")).status == "ended"
        assert [one.content for one in await api.meeting_transcripts(789)] == ["hello"]
        assert [one.content for one in await api.meeting_transcripts(789)] == ["hello"]
        for _ in range(2):
            told = await api.sentenced_transcript(1, 2, 3)
            assert [one.message for one in told.sentences] == ["hello"]
        assert [one.meeting_id for one in (await api.scenario_transcripts(3)).meetings] == [789]


async def test_what_the_rate_headers_say() -> None:
    """Of the last answer; the unit of the reset is not documented, so it stays a text."""
    async with account() as (cloud, api):
        before = api.limits
        await cloud.make_meeting(TRANSCRIBED)
        await api.meeting(789)
        await api.meeting(789)
        after = api.limits
        assert (before.limit, before.remaining, before.reset) == (None, None, "")
        assert (after.limit, after.remaining) == (100, 98)
        assert after.reset.isdecimal()


# Fetching


async def test_a_callback_is_confirmed_by_the_meeting_itself() -> None:
    """Whoever forged it learns nothing: the API tells whether it has ended."""
    async with account(plays=False) as (cloud, api):
        held = await cloud.make_meeting(TRANSCRIBED)
        [before] = await api.fetch("detail", "789", Hints())
        [event] = events_of(before.body, before.call)
        assert (event.data.kind, event.data.body["status"]) == ("detail", "created")
        assert event.data.without_secrets().body["room_token"] == "[redacted]"
        assert events_of(before.body, before.call, seen=Seen()) == []
        await cloud.hold(held)
        [after] = await api.own_record("789", Hints())
        [ended] = events_of(after.body, after.call, seen=Seen())
        assert (ended.type, ended.subject, ended.data.reconciled) == ("meeting.ended", "789", True)
        assert events_of(after.body, after.call, seen=Seen(statuses=frozenset({"meeting.ended"}))) == []


async def test_every_hint_that_a_callback_gives_is_known() -> None:
    """In each form in which the stand-in sends it."""
    for kinds in WaterAiApi.HINTS.values():
        assert set(kinds) <= set(WaterAiApi.KINDS)
    assert {"meeting.ended", "meeting_ended", "meetingEnded", "analysis.completed"} <= set(WaterAiApi.HINTS)


async def test_a_transcript_is_fetched_with_its_speakers() -> None:
    """In sentences, whose clock is coarse."""
    async with account(plays=False) as (cloud, api):
        await cloud.hold(await cloud.make_meeting(TRANSCRIBED))
        [got] = await api.fetch("transcript", "789", Hints())
        assert got.call == "sentenced-transcript/301"
        [event] = events_of(got.body, got.call)
        assert (event.data.kind, event.data.id, event.subject) == ("transcript", "301", "789")
        assert {one.speaker.name for one in event.data.segments} == {"user", "assistant"}
        assert event.data.segments[0].text.startswith("Good morning.")


@pytest.mark.parametrize("lacks", ["sentences", "scenario"])
async def test_without_sentences_the_text_is_fetched(lacks: str) -> None:
    """Where the vendor has the sentences nowhere, or does not say of which scenario it is."""
    async with account(plays=False) as (cloud, api):
        held = await cloud.make_meeting(TRANSCRIBED)
        await cloud.hold(held)
        if lacks == "sentences":
            held.scenario_id = 457
        else:
            held.facts["scenario_id"] = None
        [got] = await api.fetch("transcript", "789", Hints())
        assert got.call == "transcripts"
        [event] = events_of(got.body, got.call)
        assert (event.data.id, event.data.language) == ("301", "en")
        assert event.data.text.startswith("user: Good morning.")


async def test_a_transcript_that_is_not_there_yet_is_pending() -> None:
    """The vendor answers with an empty list; where transcription was not allowed it stays empty."""
    async with account(plays=False) as (cloud, api):
        await cloud.make_meeting(TRANSCRIBED)
        await cloud.make_meeting({**TRANSCRIBED, "allow_transcription": False})
        with pytest.raises(VendorPending, match="no transcript yet"):
            await api.fetch("transcript", "789", Hints())
        assert await api.fetch("transcript", "790", Hints()) == []


async def test_a_transcript_in_the_making_is_pending_and_a_failed_one_is_none() -> None:
    """By its status; one without a status is done."""
    async with answering([{"id": 1, "status": "processing"}]) as api:
        with pytest.raises(VendorPending, match="being made"):
            await api.fetch("transcript", "789", Hints())
    async with answering([{"id": 1, "status": "failed"}], {"id": 789}) as api:
        assert await api.fetch("transcript", "789", Hints()) == []
    async with answering([{"content": "hello"}], {"id": 789}) as api:
        assert [got.call for got in await api.fetch("transcript", "789", Hints())] == ["transcripts"]


async def test_what_is_pending_for_ever_stays_so() -> None:
    """Who asks has the deadline."""
    async with account(plays=False, faults=["pending"]) as (cloud, api):
        await cloud.hold(await cloud.make_meeting(TRANSCRIBED))
        with pytest.raises(VendorPending):
            await api.fetch("transcript", "789", Hints())


async def test_what_this_vendor_does_not_offer() -> None:
    """Nothing is sent."""
    async with account() as (cloud, api):
        for call in (
            api.fetch("recording", "789", Hints()), api.own_record("", Hints()), api.remove("789"), api.webhooks(),
            api.register(WIRING, (), {}),
        ):  # fmt: skip
            with pytest.raises(VendorCannot):
                await call
        assert not cloud.tally.calls


# What goes wrong


@pytest.mark.parametrize(
    "body",
    [
        {"status": "error", "message": "Meeting expired", "details": "long ago"},
        {"success": False, "message": "Meeting expired", "details": "long ago"},
    ],
)
async def test_200_may_mean_failure(body: Any) -> None:
    """The envelope outweighs the status."""
    async with answering(body) as api:
        with pytest.raises(VendorError, match="answered 200, which says error: Meeting expired: long ago"):
            await api.meeting(789)


@pytest.mark.parametrize(
    ("answer", "said"),
    [(b"<html>", "no JSON"), ({"data": {"id": []}}, r"not as documented .*\$\.id"), ([1], "not as documented")],
)
async def test_an_answer_that_is_not_as_documented(answer: Any, said: str) -> None:
    """The error names the call and the field."""
    async with answering(answer) as api:
        with pytest.raises(VendorError, match=rf"GET meetings/789: .*{said}"):
            await api.meeting(789)


async def test_a_refusal_is_told_in_the_vendors_words() -> None:
    """A message and details; a wrong token is shown nowhere."""
    wrong = "wai_another_key_that_nobody_may_see_2"
    async with account(key=wrong) as (_, api):
        with capture_logs() as logs, pytest.raises(VendorError, match="Unauthorized: the token is") as caught:
            await api.meeting(789)
        assert caught.value.vendor_status == 401
        assert wrong not in f"{caught.value} {caught.value!r} {api!r} {api.account!r} {logs}"


async def test_secrets_are_in_no_repr() -> None:
    """Of meetings, and of what was made."""
    async with account(plays=False) as (_, api):
        made = await api.create_dynamic_meeting(DynamicOptions(scenario_id=456))
        shown = f"{made!r} {made.meeting!r} {await api.meeting(789)!r}"
        assert (made.meeting.room_token or "none") not in shown
        assert "membership" not in shown


async def test_throttled_calls_are_made_again() -> None:
    """429 says that nothing was done."""
    async with account(plays=False, faults=["throttle"]) as (cloud, api):
        for _ in range(6):
            await api.create_meeting(MeetingOptions(person_name="Ada", scenario_id=456))
        assert len(cloud.meetings) == 6
        assert cloud.tally.calls["POST /meetings 429"] >= 2


async def test_a_meeting_is_made_once_where_the_answer_is_an_error() -> None:
    """A failure may come after the meeting was made: it is not asked for again."""
    asked = 0

    async def failing(request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.json_response({"status": "error", "message": "oops"}, status=500)

    app = web.Application()
    app.router.add_post("/meetings", failing)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with aiohttp.ClientSession() as client:
            api = client_of(f"http://127.0.0.1:{runner.addresses[0][1]}", client, KEY)
            with pytest.raises(VendorError, match="oops"):
                await api.create_meeting(MeetingOptions(person_name="Ada", scenario_id=456))
        assert asked == 1
    finally:
        await runner.cleanup()
