"""Meemo's client against its stand-in, over real HTTP: every call, every documented error, tokens, and no secret."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from receiver.errors import VendorCannot, VendorError, VendorNotFound, VendorPending, VendorUnreachable
from receiver.rest.base import Hints, Options, Wiring
from receiver.rest.http import Tries
from receiver.rest.meemo import CalendarEvent, MeemoApi, Meeting, MeetingFilter, MeetingOptions, Recording
from receiver.settings import Account
from receiver.simulator.meemo import MeemoCloud

SECRET = "cs-very-secret-4711"
PERSONAL = "pt_0123456789abcdefghij"
TRIES = Tries(first_s=0.001, most_s=0.002)
LINK = "https://meet.example.com/abc"
NO_HINTS = Hints()
CALENDAR = CalendarEvent(event_id="ev-1", summary="Weekly", meeting_link=LINK)


def account(base_url: str, **facts: Any) -> Account:
    return Account(**({"vendor": "meemo", "name": "default", "key": SECRET, "id": "app", "base_url": base_url} | facts))


@asynccontextmanager
async def served(**facts: Any) -> AsyncIterator[tuple[MeemoApi, MeemoCloud]]:
    """A stand-in and a client of it."""
    cloud = MeemoCloud(client_id="app", client_secret=SECRET, speed=0, **facts)
    async with cloud.serve(), aiohttp.ClientSession() as client:
        yield MeemoApi(account(cloud.url), client, tries=TRIES), cloud


async def played(api: MeemoApi, cloud: MeemoCloud, **options: Any) -> Meeting:
    """A meeting that is over."""
    asked: dict[str, Any] = {"organization_id": 1, "title": "Weekly"} | options
    made = await api.create_meeting(MeetingOptions(**asked))
    await cloud.idle()
    return made


def calls(cloud: MeemoCloud, name: str) -> int:
    return cloud.tally.calls[name]


# Tokens

TOKEN, REVOKE = "POST /api/auth/token/ 200", "POST /api/auth/revoke-token/ 200"


async def test_many_callers_share_one_token() -> None:
    """One of them gets it, the others wait for it."""
    async with served() as (api, cloud):
        await asyncio.gather(*(api.topics() for _ in range(20)))
        assert calls(cloud, TOKEN) == 1 and calls(cloud, "GET /api/v1/external/topics/ 200") == 20


async def test_a_token_is_renewed_a_minute_before_its_end() -> None:
    """Authentication, 1: it lasts three hours; the vendor's own client renews it 60 s early."""
    now_s = [1000.0]
    cloud = MeemoCloud(client_id="app", client_secret=SECRET)
    async with cloud.serve(), aiohttp.ClientSession() as client:
        api = MeemoApi(account(cloud.url), client, tries=TRIES, clock=lambda: now_s[0])
        for moment_s, tokens in ((1000.0, 1), (11_739.0, 1), (11_740.0, 2), (22_479.0, 2), (22_480.0, 3)):
            now_s[0] = moment_s
            await api.topics()
            assert calls(cloud, TOKEN) == tokens, moment_s


async def test_a_short_token_is_not_renewed_for_each_call() -> None:
    """One that lasts a minute or less is used for half of that."""
    async with served(token_s=60) as (api, cloud):
        await api.topics()
        await api.topics()
        assert calls(cloud, TOKEN) == 1


async def test_a_refused_token_is_renewed_once_for_all() -> None:
    """A 401 means that nothing was done: the call is made again, also where it creates something."""
    async with served() as (api, cloud):
        await api.topics()
        cloud.api.expire()
        await asyncio.gather(*(api.topics() for _ in range(10)))
        assert calls(cloud, TOKEN) == 2
        cloud.api.expire()
        assert (await api.create_meeting(MeetingOptions(organization_id=1))).id == 123
        assert calls(cloud, TOKEN) == 3 and len(cloud.store.meetings) == 1


async def test_a_token_that_is_refused_twice_is_an_error() -> None:
    """No endless renewal."""
    async with served(token_s=0) as (api, cloud):
        with pytest.raises(VendorError, match="401: The access token is not valid") as caught:
            await api.topics()
        assert caught.value.vendor_status == 401 and calls(cloud, TOKEN) <= 4


async def test_a_token_is_revoked() -> None:
    """Nothing is sent where there is none; the call after it gets another."""
    async with served() as (api, cloud):
        await api.revoke()
        assert calls(cloud, REVOKE) == 0
        await api.topics()
        await api.revoke()
        await api.revoke()
        assert calls(cloud, REVOKE) == 1 and cloud.api.issued == {}
        await api.topics()
        assert calls(cloud, TOKEN) == 2


@pytest.mark.parametrize(("facts", "words"), [({"key": "wrong"}, "invalid_client"), ({"id": ""}, "set id beside")])
async def test_wrong_credentials_are_told(facts: dict[str, str], words: str) -> None:
    """In the vendor's words; without a client id nothing is sent."""
    async with served() as (_, cloud), aiohttp.ClientSession() as client:
        with pytest.raises(VendorError, match=words):
            await MeemoApi(account(cloud.url, **facts), client, tries=TRIES).topics()
        assert calls(cloud, "GET /api/v1/external/topics/ 401") == 0


# Meetings


async def test_meetings_come_page_after_page() -> None:
    """List: newest start first, ``next`` until it is null."""
    async with served() as (api, cloud):
        for _ in range(23):
            await api.create_meeting(MeetingOptions(organization_id=1))
        listed = [one.id async for one in api.meetings()]
        assert listed == sorted(cloud.store.meetings, reverse=True) and len(listed) == 23
        assert calls(cloud, "GET /api/v1/external/meeting/ 200") == 3
        assert [one.id async for one in api.meetings(MeetingFilter(page=3, size=11))] == [123]


@pytest.mark.parametrize(
    ("wanted", "titles"),
    [
        (MeetingFilter(organization_id=2), ["Other"]),
        (MeetingFilter(title="WEEK"), ["Weekly"]),
        (MeetingFilter(participants=(3, 99)), ["Other", "Weekly"]),
        (MeetingFilter(participants=(99,)), []),
        (MeetingFilter(created_after="2999-01-01"), []),
        (MeetingFilter(created_before="2999-01-01"), ["Other", "Weekly"]),
        (MeetingFilter(summary_complete=True), ["Other", "Weekly"]),
        (MeetingFilter(summary_complete=False), []),
        (MeetingFilter(from_calendar=True), ["Weekly"]),
        (MeetingFilter(from_calendar=False), ["Other"]),
        (MeetingFilter(size=1), ["Other", "Weekly"]),
    ],
)  # fmt: skip
async def test_each_filter(wanted: MeetingFilter, titles: list[str]) -> None:
    """List, query parameters."""
    async with served() as (api, cloud):
        await played(api, cloud, calendar_event=CALENDAR)
        await played(api, cloud, organization_id=2, title="Other")
        assert sorted([str(one.title) async for one in api.meetings(wanted)]) == titles


async def test_what_a_meeting_leaves() -> None:
    """Detail, transcript, summary, participants, recording and the sound itself."""
    async with served() as (api, cloud):
        made = await played(api, cloud, participants=["guest@example.org"], calendar_event=CALENDAR)
        assert (made.id, made.title, made.status) == (123, "Weekly", "scheduled")
        detail = await api.meeting(123)
        assert (detail.status, detail.summary_complete, detail.language) == ("past", True, "en")
        assert detail.calendar_event and detail.calendar_event["event_id"] == "ev-1" and detail.host
        transcript = await api.transcript("123")
        assert transcript.total_segments == len(transcript.transcripts) > 3 and transcript.transcripts[0].text
        summary = await api.summary(123)
        assert str(summary.summary).startswith("## Purpose") and summary.keywords
        participants = await api.participants(123)
        assert participants.participants[-1].email == "guest@example.org"
        recording = await api.recording(123)
        assert recording.recording_url == f"{cloud.url}/media/meeting_records/123/recording.wav"
        assert (await api.download(recording))[:4] == b"RIFF"


async def test_topics_and_usage() -> None:
    """Topics are a bare list; a quota of null or -1 is none."""
    async with served() as (api, _):
        assert [one.language for one in await api.topics(1)] == ["id", "en"]
        usage = await api.usage(2, "2026-01-01", "2026-01-31")
        assert [(one.capability_name, one.limited) for one in usage] == [
            ("speech-to-text", True), ("summarization", False), ("translation", False),
        ]  # fmt: skip
        assert len(await api.usage()) == 6


@pytest.mark.parametrize(
    ("act", "status", "words"),
    [
        (lambda api: api.meeting(999), 404, "Not found"),
        (lambda api: api.transcript(999), 404, "Not found"),
        (lambda api: api.meeting("../webhooks"), 404, ""),
        (lambda api: api.registration(999), 404, "Not found"),
        (lambda api: api.delete_webhook(999), 404, "Not found"),
        (lambda api: api.log_entry(999), 404, "Not found"),
        (lambda api: api.topics(77), 403, "not one of yours"),
        (lambda api: api.create_meeting(MeetingOptions(organization_id=77)), 403, "not one of yours"),
        (lambda api: api.usage(None, "soon"), 400, "start_date: Enter a date"),
        (lambda api: api.create_webhooks("http://example.com", ("meeting.created",), [1]), 400, "target_url: Enter an"),
        (lambda api: api.create_webhooks("https://example.com", ("x",), [1]), 400, "x is no event"),
        (lambda api: api.create_webhooks("https://example.com", ("meeting.created",), [77]), 403, "not one of yours"),
    ],
)
async def test_each_documented_error(act: Callable[[MeemoApi], Any], status: int, words: str) -> None:
    """400, 403 and 404, in the vendor's words."""
    async with served() as (api, _):
        with pytest.raises(VendorNotFound if status == 404 else VendorError) as caught:
            await act(api)
        assert caught.value.vendor_status == status and words in str(caught.value)


PAST = datetime.now(UTC) - timedelta(minutes=1)
SOON = datetime.now(UTC) + timedelta(days=1)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"organization_id": 0}, "organization_id"),
        ({"organization_id": True}, "organization_id"),
        ({"title": ""}, "title"),
        ({"user_token": ""}, "user_token"),
        ({"topic_id": 0}, "topic_id"),
        ({"participants": [""]}, "participants"),
        ({"bot_meeting_url": "meet"}, "bot_meeting_url"),
        ({"file_url": "file"}, "file_url"),
        ({"speaker_count": 0}, "speaker_count"),
        ({"start_time": datetime(2026, 1, 1)}, "start_time"),
        ({"bot_meeting_url": LINK, "bot_join_at": PAST}, "bot_join_at"),
        ({"calendar_event": CalendarEvent(event_id="")}, "event_id"),
    ],
)
async def test_a_wrong_option_is_refused_before_anything_is_sent(options: dict[str, Any], named: str) -> None:
    """Create: the bounds of each field, by its name."""
    async with served() as (api, cloud):
        with pytest.raises(VendorCannot, match=named):
            await api.create_meeting(MeetingOptions(**({"organization_id": 1} | options)))
        assert not cloud.tally.calls


@pytest.mark.parametrize(
    "second", [{"file_url": LINK, "bot_meeting_url": LINK}, {"file_url": LINK, "bot_join_at": SOON}]
)
def test_a_bot_and_a_file_exclude_each_other(second: dict[str, Any]) -> None:
    """Create: one of the two; also where options come as JSON."""
    with pytest.raises(ValueError, match="file_url"):
        MeetingOptions(organization_id=1, **second)
    with pytest.raises(msgspec.ValidationError, match="file_url"):
        msgspec.convert({"organization_id": 1} | second, MeetingOptions)


@pytest.mark.parametrize(
    "options",
    [
        {"bot_meeting_url": LINK},
        {"bot_meeting_url": LINK, "bot_join_at": SOON, "user_token": PERSONAL, "topic_id": 2, "speaker_count": 2},
        {"file_url": "https://files.example.com/a.mp3", "start_time": PAST, "participants": ["a@example.com"]},
        {"calendar_event": CALENDAR},
    ],
)
async def test_each_way_to_create(options: dict[str, Any]) -> None:
    """A bot now or later, a file, an event of a calendar: what is sent is what was given, and no more."""
    async with served() as (api, cloud):
        created = await api.create(
            Wiring(callback=f"{cloud.url}/x"), MeetingOptions(organization_id=1, title="T", **options)
        )
        assert (created.what, created.subject) == ("meeting", "123")
        assert created.facts["title"] == "T" and created.facts["status"] == "scheduled"
        assert set(cloud.store.meetings[123].asked) == {"organization_id", "title", *options}


async def test_other_options_are_none() -> None:
    """Options of another vendor."""
    async with served() as (api, _):
        with pytest.raises(VendorCannot, match="MeetingOptions"):
            await api.create(Wiring(callback=""), Options())


# Webhooks


async def test_webhooks() -> None:
    """One for each organisation, each with a secret of its own, which list and detail show again; deleting ends it."""
    async with served() as (api, cloud):
        made = await api.register(Wiring(callback=f"{cloud.url}/hook"), (), {"description": "ours"})
        assert [(one.id, one.facts["organization"], one.state) for one in made] == [
            ("101", "1", "active"), ("102", "2", "active"),
        ]  # fmt: skip
        assert len({one.secret for one in made}) == 2 and made[0].secret.startswith("whsec_")
        assert len(made[0].events) == 5
        (other,) = await api.register(
            Wiring(callback="https://example.com/h"), ("meeting.created",), {"organization_ids": 2}
        )
        assert other.events == ("meeting.created",) and other.facts == {"organization": "2"}
        assert [one.secret for one in await api.webhooks()] == [one.secret for one in (*made, other)]
        assert (await api.registration(101)).failure_count == 0
        await api.unregister("101")
        assert [one.id for one in await api.webhooks()] == ["102", "103"]
        assert [one.name for one in await api.organizations()] == ["Operations", "Research"]


@pytest.mark.parametrize(
    ("url", "extra", "named"),
    [
        ("http://example.com/h", {}, "https"),
        ("https://example.com/h", {"organisation": 1}, "organisation"),
        ("https://example.com/h", {"organization_ids": "one"}, "organization_ids"),
        ("https://example.com/h", {"organization_ids": [0]}, "organization_ids"),
    ],
)
async def test_a_registration_that_cannot_be_is_not_sent(url: str, extra: dict[str, Any], named: str) -> None:
    """Meemo takes HTTPS only; a wrong key or id is named."""
    async with served() as (api, cloud):
        with pytest.raises(VendorCannot, match=named):
            await api.register(Wiring(callback=url), (), extra)
        assert not cloud.tally.calls


# What commands and fetching want


async def test_what_an_event_announces_is_fetched() -> None:
    """Each kind is one answer, byte for byte; a recording's path becomes a URL."""
    async with served() as (api, cloud):
        await played(api, cloud)
        for kind in api.KINDS:
            (fetched,) = await api.fetch(kind, "123", NO_HINTS)
            assert (fetched.call, fetched.subject) == (kind, "123")
            told = msgspec.json.decode(fetched.body)
            assert told["title"] == "Weekly"
        assert told["recording_url"].startswith(cloud.url)
        with pytest.raises(VendorCannot, match="chat"):
            await api.fetch("chat", "123", NO_HINTS)
        status = await api.status("123")
        assert status["status"] == "past" and status["id"] == 123


async def test_what_is_not_there_yet_may_come() -> None:
    """404 is no such meeting, or not yet; a summary of null is not yet, until the detail calls it complete."""
    async with served(faults=["pending"]) as (api, cloud):
        await played(api, cloud)
        for kind in ("transcript", "recording"):
            with pytest.raises(VendorNotFound):
                await api.fetch(kind, "123", NO_HINTS)
        with pytest.raises(VendorPending, match="no summary"):
            await api.fetch("summary", "123", NO_HINTS)


async def test_the_log_of_deliveries() -> None:
    """Of all webhooks or of one; one entry by its number."""
    async with served() as (api, cloud):
        first, second = cloud.add_hook("http://127.0.0.1:9/", 1), cloud.add_hook("http://127.0.0.1:9/", 1)
        await played(api, cloud)
        assert len([one async for one in api.log()]) == 6
        entries = [one async for one in api.log(first.id)]
        assert {one.webhook_id for one in entries} == {first.id} and second.id != first.id
        assert [one.event_type for one in entries][-1] == "meeting.created" and entries[0].status == "FAILED"
        assert entries[0].id is not None and (await api.log_entry(entries[0].id)) == entries[0]


async def test_the_own_record_is_the_log_of_the_last_day() -> None:
    """Fact sheet, advice 5. The log names no meeting, so neither does an answer; older entries are left out."""
    async with served() as (api, cloud):
        cloud.add_hook("http://127.0.0.1:9/", 1)
        for _ in range(4):
            await played(api, cloud)
        found = await api.own_record("", NO_HINTS)
        assert {one.call for one in found} == {"delivery-log"} and {one.subject for one in found} == {""}
        told = [msgspec.json.decode(one.body) for one in found]
        assert {one["event_uuid"] for one in told} == {one.event_uuid for one in cloud.store.log.values()}
        assert len(told) == 12  # two pages
        cloud.store.log[501].created_at = "2020-01-01T00:00:00Z"
        cloud.store.log[502].created_at = "no time"
        assert len(await api.own_record("123", NO_HINTS)) == 11
        assert len(await api.own_record("123", Hints(since_s=0.0))) == 12


# A vendor that is not as documented, or overloaded


Answers = list[tuple[int, dict[str, str], Any]]


class Odd:
    """Answers as a test says: ``answers[path]`` is a list of (status, headers, body), the last one for good."""

    def __init__(self, **answers: Answers) -> None:
        granted: Answers = [(200, {}, {"access_token": "t-secret", "expires_in": 10800})]
        self.answers = {"token": granted} | answers
        self.asked: list[tuple[str, dict[str, str]]] = []

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        name = request.path.rstrip("/").rpartition("/")[2]
        self.asked.append((name, dict(request.headers)))
        waiting = self.answers[name]
        status, headers, body = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        if isinstance(body, bytes):
            return web.Response(status=status, headers=headers, body=body)
        return web.json_response(body, status=status, headers=headers)


@asynccontextmanager
async def odd(**answers: Answers) -> AsyncIterator[tuple[MeemoApi, Odd]]:
    vendor = Odd(**answers)
    async with vendor.serving() as url, aiohttp.ClientSession() as client:
        yield MeemoApi(account(url), client, tries=TRIES), vendor


async def test_told_to_wait_it_waits() -> None:
    """429 with Retry-After: not done, so it is done again, whatever it was."""
    busy = (429, {"Retry-After": "0"}, {"detail": "slow down"})
    async with odd(meeting=[busy, busy, (201, {}, {"id": 5})]) as (api, vendor):
        assert (await api.create_meeting(MeetingOptions(organization_id=1))).id == 5
        assert len(vendor.asked) == 4
    async with odd(meeting=[busy]) as (api, _):
        with pytest.raises(VendorUnreachable, match="429: slow down"):
            await api.create_meeting(MeetingOptions(organization_id=1))


async def test_a_meeting_is_not_created_twice() -> None:
    """What failed may have been done: only what does no harm is tried again."""
    async with odd(meeting=[(500, {}, b"<html>")], topics=[(500, {}, b""), (200, {}, [])]) as (api, vendor):
        with pytest.raises(VendorUnreachable):
            await api.create_meeting(MeetingOptions(organization_id=1))
        assert [name for name, _ in vendor.asked].count("meeting") == 1
        assert await api.topics() == []


@pytest.mark.parametrize("next_", ["https://elsewhere.example.com/api/v1/external/meeting/?page=2", "//elsewhere/x"])
async def test_a_next_page_elsewhere_is_not_followed(next_: str) -> None:
    """The token stays on the configured host."""
    async with odd(meeting=[(200, {}, {"results": [{"id": 1}], "next": next_})]) as (api, vendor):
        with pytest.raises(VendorError, match="another host"):
            assert [one.id async for one in api.meetings()] == []
        assert len(vendor.asked) == 2


async def test_pages_in_a_circle_end() -> None:
    """Also a relative ``next`` is taken, once."""
    async with odd(meeting=[(200, {}, {"results": [{"id": 1}], "next": "?page=2"})]) as (api, vendor):
        with pytest.raises(VendorError, match="circle"):
            assert [one.id async for one in api.meetings()] == []
        assert len(vendor.asked) == 3


async def test_a_recording_elsewhere_sees_no_token() -> None:
    """Recording: the bearer goes to the API's own host only."""
    sound: Answers = [(200, {}, b"sound")]
    elsewhere = Odd(**{"a.mp3": sound})
    async with (
        elsewhere.serving() as other,
        odd(recording=[(200, {}, {"recording_url": f"{other}/a.mp3"})]) as (api, _),
    ):
        recording = await api.recording(1)
        assert await api.download(recording) == b"sound"
        ((_, headers),) = elsewhere.asked
        assert "Authorization" not in headers


@pytest.mark.parametrize("url", ["file:///etc/passwd", "javascript:1"])
async def test_a_recording_that_is_no_url_is_an_error(url: str) -> None:
    """Neither a path nor http."""
    async with odd(recording=[(200, {}, {"recording_url": url})]) as (api, _):
        with pytest.raises(VendorError, match="recording_url"):
            await api.recording(1)


async def test_summaries_of_every_kind() -> None:
    """Text, an object where the meeting is old, or null: not made, and never will be, once it is complete."""
    none: dict[str, Any] = {"summary": None, "notes": "", "keywords": []}
    old: Answers = [(200, {}, {"summary": {"points": ["a"]}})]
    detail: Answers = [(200, {}, {"id": 7, "summary_complete": True})]
    async with odd(summary=[*old, (200, {}, none)], **{"7": detail}) as (api, _):
        assert (await api.summary(7)).summary == {"points": ["a"]}
        assert (await api.summary(7)).summary is None
        assert await api.fetch("summary", "7", NO_HINTS) == []


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html>", "not as documented"),
        ({"results": [{"id": "x"}]}, "id"),
        ({"count": 0}, "results"),
        (b"", "documented"),
    ],
)
async def test_an_answer_that_is_not_as_documented_is_an_error(body: Any, words: str) -> None:
    """It names the field."""
    async with odd(meeting=[(200, {}, body)]) as (api, _):
        with pytest.raises(VendorError, match=words):
            assert [one async for one in api.meetings()] == []


async def test_a_log_without_links_is_one_page() -> None:
    """Its sample shows neither ``next`` nor ``previous``; an entry without an event id cannot have been missed."""
    entries = [{"id": 501, "event_uuid": "evt_1"}, {"id": 502}, {"id": 503, "event_uuid": "evt_1"}]
    log: Answers = [(200, {}, {"count": 3, "results": entries})]
    async with odd(**{"webhook-events": log}) as (api, _):
        assert [one.id async for one in api.log()] == [501, 502, 503]
        (only,) = await api.own_record("", NO_HINTS)
        assert msgspec.json.decode(only.body) == entries[0]
    log = [(200, {}, {"results": [{"event_uuid": 1.5, "id": []}]})]
    async with odd(**{"webhook-events": log}) as (api, _):
        with pytest.raises(VendorError, match="entry of the log"):
            await api.own_record("", NO_HINTS)


async def test_the_vendor_throttles() -> None:
    """One call in three is told to come back; all is done all the same."""
    async with served(faults=["throttle"]) as (api, cloud):
        made = await played(api, cloud)
        assert (await api.transcript(made.id)).transcripts
        assert any(name.endswith("429") for name in cloud.tally.calls)


# Secrets


async def test_no_secret_is_told() -> None:
    """Neither in a ``repr``, nor in an error, nor in a log: client secret, tokens, secrets of webhooks."""
    with capture_logs() as logs:
        async with served(faults=["throttle"]) as (api, cloud):
            told: list[Any] = [api, api._token, api._rest, account(cloud.url)]
            hook, _ = await api.register(Wiring(callback=f"{cloud.url}/hook"), (), {})
            options = MeetingOptions(organization_id=77, user_token=PERSONAL)
            told += [hook, options, await api.registration(hook.id)]
            with pytest.raises(VendorError) as caught:
                await api.create_meeting(options)
            told += [str(caught.value), caught.value.words]
            await played(api, cloud)
            told.append(await api.recording(123))
            (token,) = cloud.api.issued
    text = repr(told) + repr(logs)
    assert logs and not any(secret in text for secret in (SECRET, token, PERSONAL, hook.secret, "recording.wav"))


def test_a_recording_shows_no_url() -> None:
    """Whoever has it may have the sound."""
    recording = Recording(recording_url="https://x/y?sig=1", meeting_id=5)
    assert "https" not in repr(recording)
