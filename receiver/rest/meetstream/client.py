"""The calls of MeetStream's REST API (OpenAPI and plugin reference, 2026).

Specials of this vendor: the scheme is ``Token``; 507 on a create with ``Idempotency-Key`` is the first answer again;
202 means "not yet", on runs without a transcript for ever, so the caller has the deadline; a GET removes a bot.
"""

import uuid
from collections.abc import AsyncIterator, Mapping
from typing import Any, ClassVar, Literal
from urllib.parse import quote

import aiohttp
import msgspec

from receiver.errors import VendorCannot, VendorError, VendorNotFound, VendorPending
from receiver.redaction import redact
from receiver.rest.base import Account, Created, Fetched, Hints, Options, VendorApi, Wiring
from receiver.rest.http import Reply, Rest, Tries, retry_after_s, words_of
from receiver.rest.meetstream.answers import (
    Attendee,
    Audio,
    BotCreated,
    BotPage,
    BotState,
    Chats,
    Detail,
    Said,
    Screenshots,
    SpeakerTimeline,
    Streams,
    Transcribing,
    TranscriptRuns,
    TranscriptSegment,
    Video,
)
from receiver.rest.meetstream.bodies import details_of, link_in, without_own_urls
from receiver.rest.meetstream.options import MeetStreamOptions
from receiver.rest.meetstream.wiring import create_body

POST_CALL = ("deepgram", "assemblyai", "sarvam", "jigsawstack", "meetstream")
_MOST_PAGES = 10_000
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


class MeetStreamApi(VendorApi):
    """One MeetStream account. Ids are MeetStream's bot ids, which are the subjects of its events."""

    VENDOR = "meetstream"
    BASE_URL = "https://api.meetstream.ai/api/v1"
    CREATES: ClassVar[Literal["bot", "meeting", ""]] = "bot"
    OPTIONS: ClassVar[type[Options]] = MeetStreamOptions
    OPENING = "meeting_link"
    KINDS = ("transcript", *_CALLS)
    HINTS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "bot.transcriptionready": ("transcript",),
        "bot.done": ("summary", "chat", "participants", "timeline", "screenshots", "streams", "detail"),
    }
    RECONCILES = True

    def __init__(self, account: Account, client: aiohttp.ClientSession, *, tries: Tries | None = None) -> None:
        """``tries``: how often and how patiently, else as for every vendor."""
        super().__init__(account, client)
        base_url, tries = account.base_url or self.BASE_URL, tries or Tries()
        self._rest = Rest(client, self.VENDOR, base_url, self._headers, tries=tries)
        self._creating = Rest(client, self.VENDOR, base_url, self._headers, tries=tries, accepted=frozenset({507}))

    async def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Token {self.account.key}"}

    # Bots

    async def create(self, wiring: Wiring, options: Options) -> Created:
        """Send a bot that delivers to ``wiring``. Raises ``VendorCannot`` for an option beyond its bounds."""
        if not isinstance(options, MeetStreamOptions):
            raise VendorCannot("meetstream: options have to be MeetStreamOptions; nothing was sent")
        made = await self.create_bot(create_body(wiring, options))
        facts = {"status": made.status, "transcript_id": made.transcript_id, "meeting_url": made.meeting_url}
        told = redact({name: value for name, value in facts.items() if value})
        return Created(what="bot", subject=made.bot_id, facts=told)

    async def create_bot(self, body: Mapping[str, Any], *, idempotency_key: str = "") -> BotCreated:
        """POST ``/bots/create_bot``. One key for all tries (of its own where none is given): never two bots."""
        headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        reply = await self._creating.call("POST", "bots/create_bot", json=body, headers=headers, harmless=True)
        return reply.json(BotCreated)

    async def remove(self, subject: str) -> str:
        """Make the bot leave; what it has recorded is kept."""
        return (await self.remove_bot(subject)).message or "removed"

    async def remove_bot(self, bot_id: str) -> Said:
        """GET ``/bots/{id}/remove_bot``: it acts, although it is a GET."""
        return (await self._of_bot("GET", bot_id, "remove_bot")).json(Said)

    async def delete(self, bot_id: str) -> Said:
        """DELETE ``/bots/{id}/delete``: media and transcripts, for good; ``data_deletion`` is pushed after it."""
        return (await self._of_bot("DELETE", bot_id, "delete")).json(Said)

    async def bots(self, **query: str | int | bool) -> AsyncIterator[dict[str, Any]]:
        """All bots of the account, page by page. ``query``: ``status``, ``platform`` (``GMeet``, ``Zoom``, ``Teams``),
        ``from`` and ``to`` as YYYY-MM-DD, ``custom_attr[NAME]``. The name of the cursor is not documented: where the
        vendor passes it over and the same page comes again, it is the last."""
        cursors: set[str] = set()
        cursor: str | None = None
        for _ in range(_MOST_PAGES):
            asked: dict[str, str | int | float | bool | list[str] | None] = {**query, "cursor": cursor}
            page = (await self._rest.call("GET", "bots", query=asked)).json(BotPage)
            for bot in page.bots:
                yield bot
            cursor = page.next_cursor
            if not page.has_next_page or not cursor or cursor in cursors:
                return
            cursors.add(cursor)

    # What it says of a bot

    async def status(self, subject: str) -> dict[str, Any]:
        """``bot_id``, ``status``, ``custom_attributes``, as the vendor says it."""
        told: dict[str, Any] = redact((await self._of_bot("GET", subject, "status")).json(dict[str, Any]))
        return told

    async def bot_status(self, bot_id: str) -> BotState:
        """GET ``/bots/{id}/status``."""
        return (await self._of_bot("GET", bot_id, "status")).json(BotState)

    async def detail(self, bot_id: str) -> Detail:
        """GET ``/bots/{id}/detail``."""
        return (await self._of_bot("GET", bot_id, "detail")).json(Detail)

    async def summary(self, bot_id: str) -> Detail:
        """GET ``/bots/{id}/summary``: the same shape."""
        return (await self._of_bot("GET", bot_id, "summary")).json(Detail)

    async def participants(self, bot_id: str) -> list[Attendee]:
        """GET ``/bots/{id}/get_participants``: a bare array."""
        return (await self._of_bot("GET", bot_id, "get_participants")).json(list[Attendee])

    async def chats(self, bot_id: str) -> Chats:
        """GET ``/bots/{id}/get_chats``."""
        return (await self._of_bot("GET", bot_id, "get_chats")).json(Chats)

    async def speaker_timeline(self, bot_id: str) -> SpeakerTimeline:
        """GET ``/bots/{id}/get_speaker_timeline``."""
        return (await self._of_bot("GET", bot_id, "get_speaker_timeline")).json(SpeakerTimeline)

    async def screenshots(self, bot_id: str) -> Screenshots:
        """GET ``/bots/{id}/get_screenshots``."""
        return (await self._of_bot("GET", bot_id, "get_screenshots")).json(Screenshots)

    # Media

    async def audio(self, bot_id: str) -> Audio:
        """GET ``/bots/{id}/get_audio``."""
        return (await self._of_bot("GET", bot_id, "get_audio")).json(Audio)

    async def video(self, bot_id: str) -> Video:
        """GET ``/bots/{id}/get_video``."""
        return (await self._of_bot("GET", bot_id, "get_video")).json(Video)

    async def audio_streams(self, bot_id: str) -> Streams:
        """GET ``/bots/{id}/get_audio_streams``: a track a participant; Meet and Zoom."""
        return (await self._of_bot("GET", bot_id, "get_audio_streams")).json(Streams)

    async def recording_streams(self, bot_id: str) -> Streams:
        """GET ``/bots/{id}/get_recording_streams``: the same with pictures."""
        return (await self._of_bot("GET", bot_id, "get_recording_streams")).json(Streams)

    async def download(self, url: str) -> bytes:
        """What lies at a link of an answer; the key is not shown there."""
        return await self._rest.download(url)

    # Transcripts

    async def transcript(self, transcript_id: str) -> list[TranscriptSegment]:
        """GET ``/transcript/{id}/get_transcript``: an array; some answers have it below ``message``."""
        reply = await self._transcript(transcript_id, raw=False)
        told = reply.json(list[TranscriptSegment] | dict[str, Any])
        if isinstance(told, list):
            return told
        inner = next((told[key] for key in ("message", "transcript") if isinstance(told.get(key), list)), None)
        try:
            return msgspec.convert(inner, list[TranscriptSegment])
        except msgspec.ValidationError as error:
            raise VendorError(f"{reply.what}: the answer is not as documented ({error})") from None

    async def raw_transcript(self, transcript_id: str) -> Any:
        """The same with ``raw=true``: as the transcription service gave it."""
        return (await self._transcript(transcript_id, raw=True)).json(Any)

    async def transcriptions(self, bot_id: str) -> TranscriptRuns:
        """GET ``/bots/{id}/transcriptions``: every run."""
        return (await self._of_bot("GET", bot_id, "transcriptions")).json(TranscriptRuns)

    async def transcribe(self, bot_id: str, provider: Mapping[str, Any], *, callback_url: str = "") -> Transcribing:
        """POST ``/bots/{id}/transcribe``: once more, from the stored audio. ``provider``: exactly one of
        ``POST_CALL`` with its settings."""
        if len(provider) != 1 or set(provider) - set(POST_CALL):
            found = ", ".join(sorted(provider)) or "none"
            raise VendorCannot(f"meetstream: provider: found {found}, allowed exactly one of {', '.join(POST_CALL)}")
        body = {"provider": dict(provider)} | ({"callback_url": callback_url} if callback_url else {})
        return (await self._of_bot("POST", bot_id, "transcribe", json=body)).json(Transcribing)

    # Orders to a bot in its meeting

    async def send_message(self, bot_id: str, message: str, *, message_type: str = "text") -> Said:
        """POST ``/bots/{id}/send_message``: into the meeting's chat."""
        body = {"message": message, "metadata": {"message_type": message_type}}
        return (await self._of_bot("POST", bot_id, "send_message", json=body)).json(Said)

    async def send_image(self, bot_id: str, img_url: str, *, display_duration: int | None = None) -> Said:
        """POST ``/bots/{id}/send_image``: a public picture into the chat, shown for so many seconds."""
        body: dict[str, Any] = {"img_url": img_url, "metadata": {"message_type": "image"}}
        if display_duration is not None:
            body["display_duration"] = display_duration
        return (await self._of_bot("POST", bot_id, "send_image", json=body)).json(Said)

    async def pause_recording(self, bot_id: str) -> Said:
        """POST ``/bots/{id}/pause_recording``: Meet only; may be asked twice; 30 a minute for each bot."""
        return (await self._of_bot("POST", bot_id, "pause_recording", json={}, harmless=True)).json(Said)

    async def resume_recording(self, bot_id: str) -> Said:
        """POST ``/bots/{id}/resume_recording``: the same."""
        return (await self._of_bot("POST", bot_id, "resume_recording", json={}, harmless=True)).json(Said)

    # What the receiver fetches by itself

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
        people = await self._rest.download(link)
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
            details = details_of((await self._of_bot("GET", subject, "detail")).body)
            told = details.get("transcript_id")
            transcript_id = told if isinstance(told, str) else ""
        if transcript_id:
            reply = await self._transcript(transcript_id, raw=False)
            return [Fetched(call="get_transcript", body=reply.body, subject=subject)]
        link = link_in(details.get("caption_file"))
        if not link:
            return []
        return [Fetched(call="caption_file", body=await self._rest.download(link), subject=subject)]

    async def _fetched(self, subject: str, call: str) -> Fetched:
        body = (await self._of_bot("GET", subject, call)).body
        if call in ("detail", "summary"):
            body = without_own_urls(body)
        return Fetched(call=call, body=body, subject=subject)

    async def _transcript(self, transcript_id: str, *, raw: bool) -> Reply:
        path = f"transcript/{quote(transcript_id, safe='')}/get_transcript"
        reply = _ready(await self._rest.call("GET", path, query={"raw": True} if raw else None))
        told = reply.json(Any)
        if isinstance(told, dict) and set(told) == {"message"} and isinstance(told["message"], str):
            raise VendorPending(f"{reply.what}: not there yet", vendor_status=reply.status, words=words_of(reply.body))
        return reply

    async def _of_bot(
        self, method: str, bot_id: str, call: str, *, json: Any = None, harmless: bool | None = None
    ) -> Reply:
        path = f"bots/{quote(bot_id, safe='')}/{call}"
        return _ready(await self._rest.call(method, path, json=json, harmless=harmless))


def _ready(reply: Reply) -> Reply:
    """Raises ``VendorPending`` for 202."""
    if reply.status == 202:
        wait_s = retry_after_s(reply.headers) or 0.0
        raise VendorPending(f"{reply.what}: not there yet", words=words_of(reply.body), retry_after_s=wait_s)
    return reply
