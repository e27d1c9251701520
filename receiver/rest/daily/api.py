"""Daily for commands and for fetching: rooms are what is created, their names are the subjects.

Its webhooks belong to the whole domain, so nothing is wired with a room: what is registered for the domain delivers.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import quote

import aiohttp

from receiver.errors import VendorError, VendorNotFound, VendorPending
from receiver.redaction import redact
from receiver.rest.base import Account, Created, Fetched, Hints, Options, VendorApi, Webhook, Wiring
from receiver.rest.checked import checked, segment
from receiver.rest.daily.answers import EVENTS, Recording, Registration, Transcript
from receiver.rest.daily.calls import PAGE, DailyCalls
from receiver.rest.daily.options import RoomOptions
from receiver.rest.http import Rest, Tries

#: the vendor's own times are that coarse, and a session may begin that long before its first event
_SLACK_S = 60
_TEXT_FORMATS = ("vtt", "txt")


class DailyApi(DailyCalls, VendorApi):
    """One domain of Daily. ``Account.key``: its API key."""

    VENDOR = "daily"
    BASE_URL = "https://api.daily.co/v1"
    CREATES = "meeting"
    OPTIONS = RoomOptions
    OPENING = "name"
    KINDS = ("transcript", "recording", "summary", "participants")
    HINTS: ClassVar[Mapping[str, tuple[str, ...]]] = {"meeting.ended": ("participants",)}
    RECONCILES = True

    def __init__(self, account: Account, client: aiohttp.ClientSession, *, tries: Tries | None = None) -> None:
        VendorApi.__init__(self, account, client)

        async def headers() -> dict[str, str]:
            return {"Authorization": f"Bearer {account.key}"}

        base_url = account.base_url or self.BASE_URL
        DailyCalls.__init__(self, Rest(client, self.VENDOR, base_url, headers, tries=tries or Tries()))

    def __repr__(self) -> str:
        return VendorApi.__repr__(self)

    async def create(self, wiring: Wiring, options: Options) -> Created:
        """Make a room. ``facts`` tell its link and whether the domain's webhook leads here."""
        if not isinstance(options, RoomOptions):
            raise VendorError("daily: a room is made from RoomOptions; nothing was sent")
        room = await self.create_room(checked(self.VENDOR, options))
        facts = {"url": room.url, "id": room.id, "privacy": room.privacy, "webhook": await self._leads_here(wiring)}
        return Created(what="meeting", subject=room.name, facts={key: text for key, text in facts.items() if text})

    async def remove(self, subject: str) -> str:
        """Delete the room."""
        gone = await self.delete_room(subject)
        return "deleted" if gone.deleted else "the vendor says that it is not deleted"

    async def status(self, subject: str) -> dict[str, Any]:
        """The room and who is in it now."""
        room, presence = await self.room(subject), await self.presence(subject)
        here = [
            {"id": one.id, "userId": one.userId, "userName": one.userName, "joinTime": one.joinTime}
            for one in presence.data
        ]
        told: dict[str, Any] = redact({
            "name": room.name, "id": room.id, "url": room.url, "privacy": room.privacy, "created_at": room.created_at,
            "config": room.config, "present": here,
        })  # fmt: skip
        return told

    async def fetch(self, kind: str, subject: str, hints: Hints) -> list[Fetched]:
        """``transcript``: WebVTT. ``recording``: its link. ``summary``: of a batch job, which ``hints.artifact`` names.

        Which sessions of the room are meant, ``hints.session`` tells, else the times; without either it is all of them.
        """
        if kind in self.KINDS and not (subject or hints.session or (hints.artifact and kind != "participants")):
            raise VendorError(f"daily: {kind}: a room, a session or an id has to be named; nothing was sent")
        if kind == "transcript":
            return await self._transcripts(subject, hints)
        if kind == "recording":
            return await self._recordings(subject, hints)
        if kind == "summary":
            return await self._summary(subject, hints)
        if kind == "participants":
            return await self._meetings(subject, hints)
        raise self.cannot(f"has nothing of the kind {kind!r}; there are {', '.join(self.KINDS)}")

    async def own_record(self, subject: str, hints: Hints) -> list[Fetched]:
        """The room's sessions with who was in them, its recordings, and the transcripts of those sessions.

        Daily keeps no log of its deliveries, so nothing can be asked of the whole account.
        """
        if not subject:
            raise self.cannot("keeps no log of deliveries; its own record is that of a room")
        fetched = await self._meetings(subject, hints)
        async for reply, page in self._pages("recordings", {"room_name": subject}, "id", PAGE):
            if any(self._within(hints, one.get("start_ts")) for one in page.data):
                fetched.append(Fetched(call="recordings", body=reply.body, subject=subject))
        for session in await self._sessions(subject, hints):
            async for reply, page in self._pages("transcript", {"mtgSessionId": session}, "transcriptId", PAGE):
                if page.data:
                    fetched.append(Fetched(call="transcripts", body=reply.body, subject=subject))
        return fetched

    async def register(self, wiring: Wiring, events: tuple[str, ...], extra: Mapping[str, Any]) -> list[Webhook]:
        """Register the domain's webhook, or change (and so wake) the one that leads here already.

        ``extra``: ``hmac`` (our own secret, base64), ``basicAuth``, ``retryType``.
        """
        if unknown := set(extra) - {"hmac", "basicAuth", "retryType"}:
            told = f"found {', '.join(sorted(unknown))}, allowed hmac, basicAuth, retryType"
            raise VendorError(f"daily: webhooks: {told}; nothing was sent")
        hmac, basic_auth, retry_type = (extra.get(name) for name in ("hmac", "basicAuth", "retryType"))
        if hmac is not None and not _is_base64(hmac):
            raise VendorError("daily: hmac: found a text that is not base64, allowed base64; nothing was sent")
        there = next((one for one in await self.registrations() if one.url == wiring.callback), None)
        options: dict[str, Any] = {"hmac": hmac, "basic_auth": basic_auth, "retry_type": retry_type}
        if there is None:
            made = await self.create_webhook(wiring.callback, events or EVENTS, **options)
        else:
            made = await self.update_webhook(there.uuid, wiring.callback, events or EVENTS, **options)
        return [_webhook(made)]

    async def webhooks(self) -> list[Webhook]:
        """What is registered for the domain, with its secret."""
        return [_webhook(one) for one in await self.registrations()]

    async def unregister(self, id_: str) -> None:
        """Take the webhook back."""
        await self.delete_webhook(id_)

    async def _leads_here(self, wiring: Wiring) -> str:
        try:
            there = next((one for one in await self.registrations() if one.url == wiring.callback), None)
        except VendorError as error:
            return f"not known ({error.words or error.vendor_status or 'no answer'})"
        if there is None:
            return "none of the domain leads here: register one, or nothing of this room is delivered"
        return there.state or "registered"

    async def _meetings(self, subject: str, hints: Hints) -> list[Fetched]:
        if hints.session:
            one = await self._rest.call("GET", f"meetings/{segment(hints.session)}")
            return [Fetched(call="meetings", body=one.body, subject=subject)]
        query = {"room": subject, **self._timeframe(hints)}
        pages = self._pages("meetings", query, "id", PAGE)
        return [Fetched(call="meetings", body=reply.body, subject=subject) async for reply, page in pages if page.data]

    async def _sessions(self, subject: str, hints: Hints) -> list[str]:
        if hints.session:
            return [hints.session]
        found = self.meetings(room=subject, no_participants=True, **self._timeframe(hints))
        return [one.id async for one in found]

    async def _transcripts(self, subject: str, hints: Hints) -> list[Fetched]:
        if hints.artifact:
            try:
                found = [await self.transcript(hints.artifact)]
            except VendorNotFound:
                return await self._job_text(hints.artifact, subject)
        else:
            found = [
                one
                for session in await self._sessions(subject, hints)
                async for one in self.transcripts(session=session)
            ]
        ready = [one for one in found if one.state == "ready"]
        if not ready and any(one.state == "running" for one in found):
            raise VendorPending("daily: the transcript is being made", vendor_status=200)
        return [await self._transcript_text(one, subject) for one in ready]

    async def _transcript_text(self, told: Transcript, subject: str) -> Fetched:
        link = await self.transcript_link(told.transcriptId)
        body = await self._rest.download(link.link)
        call = _call("transcript.vtt", told.transcriptId, told.mtgSessionId or "")
        return Fetched(call=call, body=body, subject=subject, content_type="text/vtt")

    async def _recordings(self, subject: str, hints: Hints) -> list[Fetched]:
        if hints.artifact:
            found = [await self.recording(hints.artifact)]
        else:
            all_ = self.recordings(room_name=subject)
            found = [one async for one in all_ if _of_session(one, hints) and self._within(hints, one.start_ts)]
        ready = [one for one in found if one.status.lower() == "finished"]
        if not ready and any(one.status.lower() in ("in-progress", "in_progress", "") for one in found):
            raise VendorPending("daily: the recording is being made", vendor_status=200)
        fetched = []
        for one in ready:
            reply = await self._recording_link(one.id)
            call = _call("recording.link", one.id, one.mtgSessionId or "")
            fetched.append(Fetched(call=call, body=reply.body, subject=subject))
        return fetched

    async def _summary(self, subject: str, hints: Hints) -> list[Fetched]:
        if not hints.artifact:
            return []
        links = await self.job_links(hints.artifact)
        if links.summary is None or not links.summary.link:
            return []
        body = await self._rest.download(links.summary.link)
        return [Fetched(call=_call("summary", hints.artifact), body=body, subject=subject, content_type="text/plain")]

    async def _job_text(self, job: str, subject: str) -> list[Fetched]:
        files = {one.format.lower(): one.link for one in (await self.job_links(job)).transcription or [] if one.link}
        format_ = next((name for name in _TEXT_FORMATS if name in files), "")
        if not format_:
            return []
        body = await self._rest.download(files[format_])
        call, type_ = ("transcript.vtt", "text/vtt") if format_ == "vtt" else ("transcript.text", "text/plain")
        return [Fetched(call=_call(call, job), body=body, subject=subject, content_type=type_)]

    def _timeframe(self, hints: Hints) -> dict[str, Any]:
        since, until = hints.since_s, hints.until_s
        return {
            "timeframe_start": None if since is None else int(since) - _SLACK_S,
            "timeframe_end": None if until is None else int(until) + _SLACK_S,
        }

    def _within(self, hints: Hints, moment_s: Any) -> bool:
        if not isinstance(moment_s, int | float):
            return True
        frame = self._timeframe(hints)
        start, end = frame["timeframe_start"], frame["timeframe_end"]
        return (start is None or moment_s >= start) and (end is None or moment_s < end)


def _of_session(one: Recording, hints: Hints) -> bool:
    """A recording often does not say of which session it is: then the times have to tell."""
    return not hints.session or not one.mtgSessionId or one.mtgSessionId == hints.session


def _webhook(told: Registration) -> Webhook:
    facts = {
        "retryType": told.retryType, "failedCount": str(told.failedCount), "lastMomentPushed": told.lastMomentPushed,
        "basicAuth": "set" if told.basicAuth else "",
    }  # fmt: skip
    return Webhook(
        id=told.uuid,
        url=told.url,
        events=tuple(told.eventTypes),
        state=told.state,
        facts={name: text for name, text in facts.items() if text},
        secret=told.hmac or "",
    )


def _call(name: str, *ids: str) -> str:
    """``name/id/session``: what an answer does not say of itself stands with the call."""
    return "/".join([name, *(quote(id_, safe="") for id_ in ids)]).rstrip("/")


def _is_base64(text: Any) -> bool:
    try:
        return bool(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError, TypeError):
        return False
