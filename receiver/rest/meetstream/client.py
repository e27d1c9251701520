"""MeetStream as commands and fetching see it: bots wired to this receiver, what there is of them, their own record."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import structlog

from receiver.errors import VendorCannot, VendorError, VendorNotFound, VendorPending
from receiver.redaction import redact
from receiver.rest.base import Created, Fetched, Hints, Options, Wiring
from receiver.rest.meetstream.bodies import details_of, link_in, without_own_urls
from receiver.rest.meetstream.calls import MeetStreamCalls
from receiver.rest.meetstream.options import MeetStreamOptions
from receiver.rest.meetstream.wiring import create_body

log = structlog.get_logger()
#: kind -> the calls that give it
_CALLS = {
    "summary": ("summary",),
    "audio": ("get_audio",),
    "video": ("get_video",),
    "chat": ("get_chats",),
    "participants": ("get_participants",),
    "timeline": ("get_speaker_timeline",),
    "screenshots": ("get_screenshots",),
    "streams": ("get_audio_streams", "get_recording_streams"),
    "detail": ("detail",),
}


class MeetStreamApi(MeetStreamCalls):
    """One MeetStream account. Subjects are its bot ids."""

    CREATES: ClassVar[Literal["bot", "meeting", ""]] = "bot"
    OPTIONS: ClassVar[type[Options]] = MeetStreamOptions
    OPENING = "meeting_link"
    KINDS = ("transcript", *_CALLS)
    HINTS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "bot.transcriptionready": ("transcript",),
        "bot.done": ("summary", "chat", "participants", "timeline", "screenshots", "streams", "detail"),
    }
    RECONCILES = True

    async def create(self, wiring: Wiring, options: Options) -> Created:
        """Send a bot that delivers to ``wiring``. Raises ``VendorCannot`` for an option beyond its bounds."""
        if not isinstance(options, MeetStreamOptions):
            raise VendorCannot("meetstream: options have to be MeetStreamOptions; nothing was sent")
        made = await self.create_bot(create_body(wiring, options))
        facts = {"status": made.status, "transcript_id": made.transcript_id, "meeting_url": made.meeting_url}
        told = redact({name: value for name, value in facts.items() if value})
        return Created(what="bot", subject=made.bot_id, facts=told)

    async def remove(self, subject: str) -> str:
        """Make the bot leave; what it has recorded is kept."""
        return (await self.remove_bot(subject)).message or "removed"

    async def status(self, subject: str) -> dict[str, Any]:
        """``bot_id``, ``status``, ``custom_attributes``, as the vendor says it."""
        told: dict[str, Any] = redact((await self.of_bot("GET", subject, "status")).json(dict[str, Any]))
        return told

    async def fetch(self, kind: str, subject: str, hints: Hints) -> list[Fetched]:
        """One answer, or for ``streams`` up to two. Nothing: a bot without a transcript, or streams not asked for."""
        if kind == "transcript":
            return await self._fetch_transcript(subject, hints)
        if kind not in _CALLS:
            raise self.cannot(f"has nothing of the kind {kind!r}; there are: {', '.join(self.KINDS)}")
        calls = _CALLS[kind]
        if kind == "summary":
            return await self._fetch_summary(subject)
        if len(calls) == 1:
            return [await self._fetched(subject, calls[0])]
        found, refusals = [], []
        for call in calls:
            try:
                found.append(await self._fetched(subject, call))
            except VendorNotFound as error:
                refusals.append(error)
        if not found and refusals:
            raise refusals[0]
        return found

    async def own_record(self, subject: str, hints: Hints) -> list[Fetched]:
        """``detail``, and who came and went where it only has a link to that."""
        if not subject:
            raise self.cannot("keeps a record of each bot and none of the account")
        record = await self._fetched(subject, "detail")
        link = link_in(details_of(record.body).get("participant_events"))
        if not link:
            return [record]
        try:
            people = await self.rest.download(link)
        except VendorError as error:
            log.warning("rest.record_incomplete", vendor=self.VENDOR, subject=subject, error=str(error))
            return [record]
        return [record, Fetched(call="participant_events", body=people, subject=subject)]

    async def _fetch_summary(self, subject: str) -> list[Fetched]:
        """The answer is the bot's details, with or without a summary among them: a workflow makes one, or none does."""
        answer = await self._fetched(subject, "summary")
        details = details_of(answer.body)
        if not details or any("summary" in name.lower() and value for name, value in details.items()):
            return [answer]
        asked = details.get("RequestPayload")
        if isinstance(asked, dict) and asked.get("workflow_config_ids"):
            raise VendorPending(
                f"meetstream: bots/{subject}/summary: its workflow has made none yet", vendor_status=200
            )
        return []

    async def _fetch_transcript(self, subject: str, hints: Hints) -> list[Fetched]:
        """By the id that an event told, else by the id in the bot's details; captions lie at a link of their own."""
        transcript_id, details = hints.artifact, {}
        if not transcript_id:
            details = details_of((await self.of_bot("GET", subject, "detail")).body)
            told = details.get("transcript_id")
            transcript_id = told if isinstance(told, str) else ""
        if transcript_id:
            reply = await self.transcript_reply(transcript_id, raw=False)
            return [Fetched(call="get_transcript", body=reply.body, subject=subject)]
        link = link_in(details.get("caption_file"))
        if not link:
            return []
        return [Fetched(call="caption_file", body=await self.rest.download(link), subject=subject)]

    async def _fetched(self, subject: str, call: str) -> Fetched:
        body = (await self.of_bot("GET", subject, call)).body
        if call in ("detail", "summary"):
            body = without_own_urls(body)
        return Fetched(call=call, body=body, subject=subject)
