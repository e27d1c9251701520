"""Water AI's routes, and what all clients share.

The vendor wraps answers as ``{"success": true, "data": …}``, as ``{"status": "success", "data": …}`` or not at all, and
does not say which route does what: each is read in every form. Its callbacks are set up elsewhere, so that nothing is
wired with a meeting; a callback is a hint, and ``fetch`` asks for what it claims.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec
import orjson

from receiver.errors import VendorError, VendorNotFound, VendorPending
from receiver.redaction import redact
from receiver.rest.base import Account, Created, Fetched, Hints, Options, VendorApi, Wiring
from receiver.rest.checked import checked, segment
from receiver.rest.http import Reply, Rest, Tries, words_of
from receiver.rest.waterai.answers import Id, Limits, Made, Meeting, Scenario, Sentences, Transcript
from receiver.rest.waterai.options import CreateOptions, DynamicOptions, MeetingOptions

T = TypeVar("T")


class WaterAiApi(VendorApi):
    """One account. ``Account.key``: an API secret (``wai_…``), which does not expire, or a JWT."""

    VENDOR = "waterai"
    BASE_URL = "https://api.waterrai.com"
    CREATES = "meeting"
    OPTIONS = CreateOptions
    OPENING = "person_name"
    KINDS = ("transcript", "detail")
    #: the vendor's names are known to callbacks in three spellings
    HINTS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        **dict.fromkeys(("meeting.ended", "meeting_ended", "meetingEnded"), ("detail", "transcript")),
        **dict.fromkeys(("analysis.completed", "analysis_completed", "analysisCompleted"), ("detail", "transcript")),
    }
    RECONCILES = True

    def __init__(self, account: Account, client: aiohttp.ClientSession, *, tries: Tries | None = None) -> None:
        super().__init__(account, client)

        async def headers() -> dict[str, str]:
            return {"Authorization": f"Bearer {account.key}"}

        base_url = account.base_url or self.BASE_URL
        self._rest = Rest(client, self.VENDOR, base_url, headers, tries=tries or Tries())
        self.limits = Limits()

    async def create_meeting(self, options: MeetingOptions) -> Made:
        """A meeting from a scenario."""
        return self._made(await self._call("POST", "meetings", checked(self.VENDOR, options)))

    async def create_dynamic_meeting(self, options: DynamicOptions) -> Made:
        """A meeting from a scenario for an end user, who is made or found."""
        return self._made(await self._call("POST", "meetings/create-dynamic-meeting", checked(self.VENDOR, options)))

    async def meeting(self, id_: Id) -> Meeting:
        """One meeting."""
        reply = await self._call("GET", f"meetings/{segment(str(id_))}")
        return _typed(_data(reply), Meeting, reply)

    async def scenario_transcripts(self, scenario: Id) -> Scenario:
        """Every transcript of a scenario, in sentences."""
        reply = await self._call("GET", f"sentenced-transcripts/scenario/{segment(str(scenario))}")
        data = _data(reply)
        return _typed({"meetings": data} if isinstance(data, list) else data, Scenario, reply)

    async def sentenced_transcript(self, transcript: Id, meeting: Id, scenario: Id) -> Sentences:
        """One transcript, in sentences."""
        reply = await self._sentenced(transcript, meeting, scenario)
        data = _data(reply)
        return _typed({"sentences": data} if isinstance(data, list) else data, Sentences, reply)

    async def meeting_transcripts(self, meeting: Id) -> list[Transcript]:
        """The transcripts of a meeting, each as one text."""
        return _typed(_listed(_data(await self._texts(meeting))), list[Transcript], None)

    # What all clients share

    async def create(self, wiring: Wiring, options: Options) -> Created:
        """A meeting, dynamic or not. ``secrets``: the room's token, and links that name a membership.

        Raises ``VendorError`` for an option of the other kind, and where a regular meeting is given no person's name.
        """
        if not isinstance(options, CreateOptions):
            raise VendorError("waterai: a meeting is made from CreateOptions; nothing was sent")
        given = msgspec.to_builtins(checked(self.VENDOR, options))
        dynamic = given.pop("dynamic", False)
        kind: type[Options] = DynamicOptions if dynamic else MeetingOptions
        if unfit := sorted(set(given) - set(kind.__struct_fields__)):
            what = "a dynamic meeting takes none" if dynamic else "only a dynamic meeting takes it (dynamic = true)"
            raise VendorError(f"waterai: {', '.join(unfit)}: {what}; nothing was sent")
        if not dynamic and "person_name" not in given:
            raise VendorError("waterai: person_name: found nothing, allowed the name of who comes; nothing was sent")
        if dynamic:
            made = await self.create_dynamic_meeting(msgspec.convert(given, DynamicOptions))
        else:
            made = await self.create_meeting(msgspec.convert(given, MeetingOptions))
        return _created(made)

    async def status(self, subject: str) -> dict[str, Any]:
        """The meeting as the vendor tells it."""
        told: dict[str, Any] = redact(msgspec.to_builtins(await self.meeting(subject)))
        return {name: value for name, value in told.items() if value is not None}

    async def fetch(self, kind: str, subject: str, hints: Hints) -> list[Fetched]:
        """``detail``: the meeting itself, which is what confirms a callback. ``transcript``: in sentences with their
        speakers where the vendor has them, else as one text."""
        if kind == "detail":
            reply = await self._call("GET", f"meetings/{segment(subject)}")
            return [Fetched(call="meeting", body=reply.body, subject=subject)]
        if kind == "transcript":
            return await self._transcript(subject)
        raise self.cannot(f"has nothing of the kind {kind!r}; there are {', '.join(self.KINDS)}")

    async def own_record(self, subject: str, hints: Hints) -> list[Fetched]:
        """The meeting itself: its status tells whether it has ended."""
        if not subject:
            raise self.cannot("keeps no log of deliveries; its own record is that of a meeting")
        return await self.fetch("detail", subject, hints)

    async def _transcript(self, subject: str) -> list[Fetched]:
        reply = await self._texts(subject)
        texts = _typed(_listed(_data(reply)), list[Transcript], reply)
        done = [one for one in texts if (one.status or "completed").lower() == "completed"]
        if done:
            return await self._with_speakers(done, subject) or [
                Fetched(call="transcripts", body=reply.body, subject=subject)
            ]
        if any((one.status or "").lower() not in ("failed", "error") for one in texts):
            raise VendorPending("waterai: the transcript is being made", vendor_status=200)
        meeting = await self.meeting(subject)
        if texts or meeting.allow_transcription is False:
            return []
        raise VendorPending("waterai: there is no transcript yet", vendor_status=200)

    async def _with_speakers(self, texts: list[Transcript], subject: str) -> list[Fetched]:
        """Each in sentences; nothing where one of them is not to be had so."""
        scenario = (await self.meeting(subject)).scenario_id
        if scenario is None or any(one.id is None for one in texts):
            return []
        fetched = []
        for one in texts:
            try:
                reply = await self._sentenced(one.id or "", subject, scenario)
            except VendorNotFound:
                return []
            call = f"sentenced-transcript/{quote(str(one.id), safe='')}"
            fetched.append(Fetched(call=call, body=reply.body, subject=subject))
        return fetched

    async def _texts(self, meeting: Id) -> Reply:
        return await self._call("GET", f"transcripts/meeting/{segment(str(meeting))}")

    async def _sentenced(self, transcript: Id, meeting: Id, scenario: Id) -> Reply:
        path = "/".join(segment(str(id_)) for id_ in (transcript, meeting, scenario))
        return await self._call("GET", f"sentenced-transcripts/{path}")

    def _made(self, reply: Reply) -> Made:
        body = orjson.loads(reply.body)
        beside = body if isinstance(body, dict) and "data" in body else {}
        facts = {name: beside.get(name) for name in ("session_minutes_info", "meeting_url", "scenario_url")}
        return _typed({"meeting": _data(reply), **facts}, Made, reply)

    async def _call(self, method: str, path: str, json: Any = None) -> Reply:
        """An answer that is no error in disguise: the vendor may say 200 and mean failure."""
        reply = await self._rest.call(method, path, json=json)
        self.limits = _limits(reply.headers)
        try:
            body = orjson.loads(reply.body)
        except orjson.JSONDecodeError:
            raise VendorError(f"{reply.what}: the answer is no JSON", vendor_status=reply.status) from None
        if isinstance(body, dict) and (body.get("status") == "error" or body.get("success") is False):
            told = f"{reply.what}: answered {reply.status}, which says error"
            raise VendorError(told, vendor_status=reply.status, words=words_of(reply.body))
        return reply


def _data(reply: Reply) -> Any:
    body = orjson.loads(reply.body)
    return body["data"] if isinstance(body, dict) and "data" in body else body


def _listed(data: Any) -> Any:
    """``data`` where it is a list; an object may hold it as ``transcripts``."""
    return data.get("transcripts", data) if isinstance(data, dict) else data


def _typed(value: Any, type_: type[T], reply: Reply | None) -> T:
    try:
        return msgspec.convert(value, type_, strict=False)
    except msgspec.ValidationError as error:
        what = reply.what if reply else "waterai"
        raise VendorError(f"{what}: the answer is not as documented ({error})") from None


def _limits(headers: Mapping[str, str]) -> Limits:
    def number(name: str) -> int | None:
        text = headers.get(f"x-ratelimit-{name}", "").strip()
        return int(text) if text.isdecimal() else None

    return Limits(
        limit=number("limit"), remaining=number("remaining"), reset=headers.get("x-ratelimit-reset", "").strip()
    )


def _created(made: Made) -> Created:
    meeting, minutes = made.meeting, made.session_minutes_info
    facts = {
        "room_url": meeting.room_url,
        "room": meeting.room,
        "status": meeting.status,
        "scenario_id": meeting.scenario_id,
        "person_name": meeting.person_name,
        "end_user_id": (meeting.end_user or {}).get("id"),
        "estimated_minutes": minutes and minutes.estimatedMinutes,
        "remaining_minutes": minutes and minutes.remainingMinutes,
    }
    secrets = {
        "room_token": meeting.room_token, "meeting_url": made.meeting_url, "scenario_url": made.scenario_url,
    }  # fmt: skip
    return Created(
        what="meeting",
        subject=str(meeting.id),
        facts={name: _text(value) for name, value in facts.items() if value not in (None, "")},
        secrets={name: text for name, text in secrets.items() if text},
    )


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
