"""``/meetings`` on a real server: what is known, its transcript as files, after a restart too, and who may ask."""

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import srt
import webvtt

from receiver.app import Receiver
from receiver.events import FetchedArtifact, Segment
from receiver.meetings.tracker import MeetingTracker
from tests.live.readers import post
from tests.live.test_access import OPERATOR, READER, bearer, guarded
from tests.meetings.stories import event
from tests.support import running, until

BOT = "bot/1"
AT = "/meetings/bot%2F1"


def said(text: str, seconds: int, *, final: bool = True) -> dict[str, Any]:
    return {
        "event": "transcript", "bot_id": BOT, "speakerName": "Ada <b>", "transcript": text, "is_final": final,
        "timestamp": f"2026-05-01T10:00:{seconds:02d}Z",
    }  # fmt: skip


DELIVERIES: tuple[dict[str, Any], ...] = (
    {"event": "bot.inmeeting", "bot_id": BOT, "bot_status": "InMeeting", "timestamp": "2026-05-01T10:00:00Z"},
    said("Good morning.", 1),
    said("Shall we --> begin?", 5),
)


async def deliver(server: Receiver, *bodies: dict[str, Any]) -> None:
    async with aiohttp.ClientSession() as client:
        for body in bodies:
            async with client.post(f"{server.url}/meetstream/default", data=json.dumps(body)) as reply:
                assert reply.status == 200, await reply.text()


async def get(server: Receiver, path: str, **options: Any) -> tuple[int, str, str]:
    """Status, media type and text."""
    async with aiohttp.ClientSession() as client, client.get(server.url + path, **options) as reply:
        return reply.status, reply.content_type, await reply.text()


async def known(server: Receiver, **options: Any) -> dict[str, Any]:
    """The meeting, once everything is in."""
    while True:
        status, _, text = await get(server, AT, **options)
        if status == 200 and (meeting := json.loads(text))["turns"] == 2:
            return dict(meeting)
        await asyncio.sleep(0.01)


async def test_a_meeting_is_told_as_it_is(tmp_path: Path) -> None:
    """In the list, and whole; it is the same after a restart, from the journal alone."""
    async with running(tmp_path) as server:
        await deliver(server, *DELIVERIES)
        meeting = await known(server)
        status, kind, text = await get(server, "/meetings")
    assert (status, kind) == (200, "application/json")
    assert [one["subject"] for one in json.loads(text)["active"]] == [BOT]
    assert (meeting["phase"], meeting["status"], meeting["source"]) == ("active", "in_meeting", "/meetstream/default")
    async with running(tmp_path) as server:
        assert await known(server) == meeting
        await until(lambda: server.live.rebuilt)
        assert "rebuilding" not in json.loads((await get(server, "/meetings"))[2])


async def test_the_transcript_comes_in_four_forms(tmp_path: Path) -> None:
    """Each as parsers of others read it; a vendor's text is neither markup nor the end of a cue."""
    async with running(tmp_path) as server:
        await deliver(server, *DELIVERIES)
        await known(server)
        forms = {form: await get(server, f"{AT}/transcript.{form}") for form in ("json", "txt", "vtt", "srt")}
    assert {form: (status, kind) for form, (status, kind, _) in forms.items()} == {
        "json": (200, "application/json"), "txt": (200, "text/plain"), "vtt": (200, "text/vtt"),
        "srt": (200, "application/x-subrip"),
    }  # fmt: skip
    assert [turn["text"] for turn in json.loads(forms["json"][2])["turns"]] == ["Good morning.", "Shall we --> begin?"]
    assert "Ada <b>: Good morning." in forms["txt"][2]
    cues = webvtt.from_string(forms["vtt"][2]).captions
    assert [cue.voice for cue in cues] == ["Ada &lt;b&gt;"] * 2
    assert len(list(srt.parse(forms["srt"][2]))) == 2


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/meetings/nobody", 404, "no meeting 'nobody'"),
        ("/meetings/nobody/transcript.txt", 404, "no meeting 'nobody'"),
        (AT + "?source=/meetstream/other", 404, "at '/meetstream/other'"),
        (AT + "/transcript.doc", 404, ".json, .txt, .vtt, .srt"),
        (AT + "/else", 404, ".json, .txt, .vtt, .srt"),
        ("/meetings?recent=many", 400, "recent"),
        ("/meetings?recent=-1", 400, "recent"),
        ("/meetings?recent=100000", 400, "recent"),
    ],
)
async def test_what_cannot_be_answered_is_said(tmp_path: Path, path: str, status: int, says: str) -> None:
    """404 for what is not there, 400 naming the parameter."""
    async with running(tmp_path) as server:
        await deliver(server, *DELIVERIES)
        await known(server)
        found, kind, text = await get(server, path)
    assert (found, kind) == (status, "application/json")
    assert says in json.loads(text)["error"]


async def test_meetings_need_their_scope(tmp_path: Path) -> None:
    """A token for events is not one for meetings, on every path."""
    async with guarded(tmp_path) as server:
        for path in ("/meetings", "/meetings/x", "/meetings/x/transcript.txt"):
            assert (await get(server, path))[0] == 401
            for token in (READER, OPERATOR):
                assert (await get(server, path, headers=bearer(token)))[0] == 403


async def test_sound_needs_its_scope(tmp_path: Path) -> None:
    """401 and 403 as for events; who may hear is told that nobody is there."""
    async with guarded(tmp_path) as server:
        path = "/live/audio/nobody.wav"
        assert (await get(server, path))[0] == 401
        assert (await get(server, path, headers=bearer(READER)))[0] == 403
        assert (await get(server, path, headers=bearer("sound-token-4712")))[0] == 404


async def test_a_transcript_is_asked_for_as_it_was_made(tmp_path: Path) -> None:
    """``source=live`` and ``source=fetched``, beside the source of the meeting."""
    async with running(tmp_path) as server:
        await deliver(server, *DELIVERIES)
        await known(server)
        fetched = FetchedArtifact(kind="transcript", segments=[Segment(text="Good morning, all.")])
        book = server.live.tracker.book if server.live.tracker is not None else None
        assert book is not None
        book.fold([event("artifact.fetched", fetched, 1, subject=BOT)])
        for query, text in (
            ("", "Good morning.\n"), ("?source=live", "Good morning.\n"),
            ("?source=fetched&source=/meetstream/default", "Good morning, all."),
            ("?source=/meetstream/default&source=fetched", "Good morning, all."),
        ):  # fmt: skip
            status, _, told = await get(server, f"{AT}/transcript.txt{query}")
            assert status == 200 and text in told
        assert json.loads((await get(server, f"{AT}/transcript.json?source=fetched"))[2])["made"] == "fetched"
        assert (await get(server, f"{AT}/transcript.txt?source=/meetstream/other&source=fetched"))[0] == 404


async def test_what_was_answered_is_there_when_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events are folded together where they come fast; whoever asks does not get to see that."""
    monkeypatch.setattr(MeetingTracker.current, "__defaults__", (60.0,))  # a busy machine may stand still for 1 s
    async with running(tmp_path) as server, aiohttp.ClientSession() as client:
        for number in range(20):
            await post(server, f"bot-{number}")
            async with client.get(f"{server.url}/meetings/bot-{number}") as reply:
                assert reply.status == 200, number
