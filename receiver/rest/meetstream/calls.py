"""The calls of MeetStream's REST API, each as its document has it (OpenAPI and plugin reference, 2026).

Specials of this vendor: the scheme is ``Token``; 507 on a create with ``Idempotency-Key`` is the first answer again;
202 means "not yet", on runs without a transcript for ever, so the caller has the deadline; a GET removes a bot.
"""

import uuid
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec

from receiver.errors import VendorCannot, VendorError, VendorPending
from receiver.rest.base import Account, VendorApi
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

POST_CALL = ("deepgram", "assemblyai", "sarvam", "jigsawstack", "meetstream")
_MOST_PAGES = 10_000


class MeetStreamCalls(VendorApi):
    """One MeetStream account. Everything raises ``VendorPending`` for 202."""

    VENDOR = "meetstream"
    BASE_URL = "https://api.meetstream.ai/api/v1"

    def __init__(self, account: Account, client: aiohttp.ClientSession, *, tries: Tries | None = None) -> None:
        """``tries``: how often and how patiently, else as for every vendor."""
        super().__init__(account, client)
        base_url, tries = account.base_url or self.BASE_URL, tries or Tries()
        self.rest = Rest(client, self.VENDOR, base_url, self._headers, tries=tries)
        self._creating = Rest(client, self.VENDOR, base_url, self._headers, tries=tries, accepted=frozenset({507}))

    async def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Token {self.account.key}"}

    # Bots

    async def create_bot(self, body: Mapping[str, Any], *, idempotency_key: str = "") -> BotCreated:
        """POST ``/bots/create_bot``. One key for all tries (of its own where none is given): never two bots."""
        headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        reply = await self._creating.call("POST", "bots/create_bot", json=body, headers=headers, harmless=True)
        return reply.json(BotCreated)

    async def remove_bot(self, bot_id: str) -> Said:
        """GET ``/bots/{id}/remove_bot``: it acts, although it is a GET."""
        return (await self.of_bot("GET", bot_id, "remove_bot")).json(Said)

    async def delete(self, bot_id: str) -> Said:
        """DELETE ``/bots/{id}/delete``: media and transcripts, for good; ``data_deletion`` is pushed after it."""
        return (await self.of_bot("DELETE", bot_id, "delete")).json(Said)

    async def bots(self, **query: str | int | bool) -> AsyncIterator[dict[str, Any]]:
        """All bots of the account, page by page. ``query``: ``status``, ``platform`` (``GMeet``, ``Zoom``, ``Teams``),
        ``from`` and ``to`` as YYYY-MM-DD, ``custom_attr[NAME]``. The name of the cursor is not documented: where the
        vendor passes it over and the same page comes again, it is the last."""
        cursors: set[str] = set()
        cursor: str | None = None
        for _ in range(_MOST_PAGES):
            asked: dict[str, str | int | float | bool | list[str] | None] = {**query, "cursor": cursor}
            page = (await self.rest.call("GET", "bots", query=asked)).json(BotPage)
            for bot in page.bots:
                yield bot
            cursor = page.next_cursor
            if not page.has_next_page or not cursor or cursor in cursors:
                return
            cursors.add(cursor)

    # What it says of a bot

    async def bot_status(self, bot_id: str) -> BotState:
        """GET ``/bots/{id}/status``."""
        return (await self.of_bot("GET", bot_id, "status")).json(BotState)

    async def detail(self, bot_id: str) -> Detail:
        """GET ``/bots/{id}/detail``."""
        return (await self.of_bot("GET", bot_id, "detail")).json(Detail)

    async def summary(self, bot_id: str) -> Detail:
        """GET ``/bots/{id}/summary``: the same shape."""
        return (await self.of_bot("GET", bot_id, "summary")).json(Detail)

    async def participants(self, bot_id: str) -> list[Attendee]:
        """GET ``/bots/{id}/get_participants``: a bare array."""
        return (await self.of_bot("GET", bot_id, "get_participants")).json(list[Attendee])

    async def chats(self, bot_id: str) -> Chats:
        """GET ``/bots/{id}/get_chats``."""
        return (await self.of_bot("GET", bot_id, "get_chats")).json(Chats)

    async def speaker_timeline(self, bot_id: str) -> SpeakerTimeline:
        """GET ``/bots/{id}/get_speaker_timeline``."""
        return (await self.of_bot("GET", bot_id, "get_speaker_timeline")).json(SpeakerTimeline)

    async def screenshots(self, bot_id: str) -> Screenshots:
        """GET ``/bots/{id}/get_screenshots``."""
        return (await self.of_bot("GET", bot_id, "get_screenshots")).json(Screenshots)

    # Media

    async def audio(self, bot_id: str) -> Audio:
        """GET ``/bots/{id}/get_audio``."""
        return (await self.of_bot("GET", bot_id, "get_audio")).json(Audio)

    async def video(self, bot_id: str) -> Video:
        """GET ``/bots/{id}/get_video``."""
        return (await self.of_bot("GET", bot_id, "get_video")).json(Video)

    async def audio_streams(self, bot_id: str) -> Streams:
        """GET ``/bots/{id}/get_audio_streams``: a track a participant; Meet and Zoom."""
        return (await self.of_bot("GET", bot_id, "get_audio_streams")).json(Streams)

    async def recording_streams(self, bot_id: str) -> Streams:
        """GET ``/bots/{id}/get_recording_streams``: the same with pictures."""
        return (await self.of_bot("GET", bot_id, "get_recording_streams")).json(Streams)

    async def download(self, url: str) -> bytes:
        """What lies at a link of an answer; the key is not shown there."""
        return await self.rest.download(url)

    # Transcripts

    async def transcript(self, transcript_id: str) -> list[TranscriptSegment]:
        """GET ``/transcript/{id}/get_transcript``: an array; some answers have it below ``message``."""
        reply = await self.transcript_reply(transcript_id, raw=False)
        told: Any = reply.json(Any)
        if isinstance(told, dict):
            told = next((told[key] for key in ("message", "transcript") if isinstance(told.get(key), list)), None)
        try:
            return msgspec.convert(told, list[TranscriptSegment], strict=False)
        except msgspec.ValidationError as error:
            raise VendorError(f"{reply.what}: the answer is not as documented ({error})") from None

    async def raw_transcript(self, transcript_id: str) -> Any:
        """The same with ``raw=true``: as the transcription service gave it."""
        return (await self.transcript_reply(transcript_id, raw=True)).json(Any)

    async def transcriptions(self, bot_id: str) -> TranscriptRuns:
        """GET ``/bots/{id}/transcriptions``: every run."""
        return (await self.of_bot("GET", bot_id, "transcriptions")).json(TranscriptRuns)

    async def transcribe(self, bot_id: str, provider: Mapping[str, Any], *, callback_url: str = "") -> Transcribing:
        """POST ``/bots/{id}/transcribe``: once more, from the stored audio. ``provider``: exactly one of
        ``POST_CALL`` with its settings."""
        if len(provider) != 1 or set(provider) - set(POST_CALL):
            found = ", ".join(sorted(provider)) or "none"
            raise VendorCannot(f"meetstream: provider: found {found}, allowed exactly one of {', '.join(POST_CALL)}")
        body = {"provider": dict(provider)} | ({"callback_url": callback_url} if callback_url else {})
        return (await self.of_bot("POST", bot_id, "transcribe", json=body)).json(Transcribing)

    # Orders to a bot in its meeting

    async def send_message(self, bot_id: str, message: str, *, message_type: str = "text") -> Said:
        """POST ``/bots/{id}/send_message``: into the meeting's chat."""
        body = {"message": message, "metadata": {"message_type": message_type}}
        return (await self.of_bot("POST", bot_id, "send_message", json=body)).json(Said)

    async def send_image(self, bot_id: str, img_url: str, *, display_duration: int | None = None) -> Said:
        """POST ``/bots/{id}/send_image``: a public picture into the chat, shown for so many seconds."""
        body: dict[str, Any] = {"img_url": img_url, "metadata": {"message_type": "image"}}
        if display_duration is not None:
            body["display_duration"] = display_duration
        return (await self.of_bot("POST", bot_id, "send_image", json=body)).json(Said)

    async def pause_recording(self, bot_id: str) -> Said:
        """POST ``/bots/{id}/pause_recording``: Meet only; may be asked twice; 30 a minute for each bot."""
        return (await self.of_bot("POST", bot_id, "pause_recording", json={}, harmless=True)).json(Said)

    async def resume_recording(self, bot_id: str) -> Said:
        """POST ``/bots/{id}/resume_recording``: the same."""
        return (await self.of_bot("POST", bot_id, "resume_recording", json={}, harmless=True)).json(Said)

    async def transcript_reply(self, transcript_id: str, *, raw: bool) -> Reply:
        """The answer of ``get_transcript`` as it came. A bare sentence in it says that there is nothing yet."""
        path = f"transcript/{quote(transcript_id, safe='')}/get_transcript"
        reply = _ready(await self.rest.call("GET", path, query={"raw": True} if raw else None))
        told = reply.json(Any)
        if isinstance(told, dict) and set(told) == {"message"} and isinstance(told["message"], str):
            raise VendorPending(f"{reply.what}: not there yet", vendor_status=reply.status, words=words_of(reply.body))
        return reply

    async def of_bot(
        self, method: str, bot_id: str, call: str, *, json: Any = None, harmless: bool | None = None
    ) -> Reply:
        """The answer to ``/bots/{id}/{call}`` as it came."""
        path = f"bots/{quote(bot_id, safe='')}/{call}"
        return _ready(await self.rest.call(method, path, json=json, harmless=harmless))


def _ready(reply: Reply) -> Reply:
    """Raises ``VendorPending`` for 202."""
    if reply.status == 202:
        wait_s = retry_after_s(reply.headers) or 0.0
        raise VendorPending(f"{reply.what}: not there yet", words=words_of(reply.body), retry_after_s=wait_s)
    return reply
