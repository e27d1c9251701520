"""What commands and fetching ask of RealtimeKit, made of its calls."""

import contextlib
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, get_args

import aiohttp
import msgspec

from receiver.errors import VendorError, VendorNotFound, VendorPending
from receiver.redaction import redact
from receiver.rest.base import Account, Created, Fetched, Hints, Options, VendorApi, Webhook, Wiring
from receiver.rest.http import Tries
from receiver.rest.realtimekit.access import CLOUDFLARE_URL, Access, decoded, id_of
from receiver.rest.realtimekit.answers import RecordingInfo, WebhookInfo
from receiver.rest.realtimekit.meetings import MeetingCalls
from receiver.rest.realtimekit.recordings import RecordingCalls
from receiver.rest.realtimekit.requests import (
    Meeting,
    MeetingChange,
    MeetingOptions,
    Participant,
    RecordingQuery,
    SessionQuery,
    WebhookBody,
    WebhookEvent,
    checked,
    read,
)
from receiver.rest.realtimekit.sessions import SessionCalls
from receiver.rest.realtimekit.webhooks import WebhookCalls

EVENTS: tuple[str, ...] = get_args(WebhookEvent)
_WEBHOOK_NAME = "meeting-receiver"
_OWN_OPTIONS = frozenset({"preset_name", "participant_name", "custom_participant_id", "picture", "webhook"})
#: the newest session is the first; of a page of one it cannot be told which page it is
_FEW = 5
#: what never becomes anything else
_LAST = frozenset({"UPLOADED", "ERRORED"})


class RealtimeKitApi(MeetingCalls, SessionCalls, RecordingCalls, WebhookCalls, VendorApi):
    """One app at RealtimeKit. A subject is a meeting; what is fetched is of its session that ``Hints`` name, else of
    the newest."""

    VENDOR = "realtimekit"
    BASE_URL = CLOUDFLARE_URL
    CREATES: ClassVar[Literal["bot", "meeting", ""]] = "meeting"
    OPTIONS = MeetingOptions
    OPENING = "title"
    KINDS = ("transcript", "summary", "chat", "recording", "participants", "detail")
    #: the meeting's end, as webhooks and the agent's socket tell it
    HINTS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "meeting.ended": ("participants", "detail"),
        "session.ended": ("participants", "detail"),
    }
    RECONCILES = True

    def __init__(self, account: Account, client: aiohttp.ClientSession, *, tries: Tries | None = None) -> None:
        """See :class:`Access` for what ``account`` has to be. Raises ``VendorCannot``; sends nothing."""
        super().__init__(account, client)
        self.access = Access(account, client, tries)

    async def create(self, wiring: Wiring, options: Options) -> Created:
        """Make a meeting, and add one participant, whose token opens a client or the agent's socket.

        Webhooks are the app's, not the meeting's: one to ``wiring`` is made before, unless there is one.
        """
        asked = options if isinstance(options, MeetingOptions) else read(MeetingOptions, msgspec.to_builtins(options))
        fields = checked(asked)
        meeting = read(Meeting, {name: value for name, value in fields.items() if name not in _OWN_OPTIONS})
        facts: dict[str, str] = {}
        if asked.webhook and wiring.callback:
            facts["webhook"] = await self._wired(wiring)
        made = await self.create_meeting(meeting)
        if made.title:
            facts["title"] = made.title
        if not asked.preset_name:
            return Created(what="meeting", subject=made.id, facts=facts)
        participant = Participant(
            custom_participant_id=asked.custom_participant_id,
            preset_name=asked.preset_name,
            name=asked.participant_name or None,
            picture=asked.picture,
        )
        try:
            added = await self.add_participant(made.id, participant)
        except VendorError as error:
            raise type(error)(
                f"realtimekit: meeting {made.id} was made, and nobody could be added to it: set preset_name to one of"
                f" the app's presets, or leave it empty ({error})",
                vendor_status=error.vendor_status,
            ) from None
        facts["participant"] = added.id
        return Created(what="meeting", subject=made.id, facts=facts, secrets={"token": added.token})

    async def remove(self, subject: str) -> str:
        """Send everybody out and let nobody in again: a meeting cannot be deleted."""
        try:
            kicked = await self.kick_all(subject)
            said = f"{kicked.kicked_participants_count or 0} sent out"
        except VendorNotFound:
            said = "nobody was there"
        closed = await self.update_meeting(subject, MeetingChange(status="INACTIVE"))
        return f"{said}; the meeting is {closed.status or 'INACTIVE'}"

    async def status(self, subject: str) -> dict[str, Any]:
        """The meeting as the vendor tells it, and under ``active_session`` the session that goes on, if any."""
        path = f"meetings/{id_of(subject, 'meeting')}"
        told = await self.access.ask("GET", path, dict[str, Any])
        with contextlib.suppress(VendorNotFound):
            told["active_session"] = await self.access.ask("GET", f"{path}/active-session", dict[str, Any])
        clean: dict[str, Any] = redact(told)
        return clean

    async def fetch(self, kind: str, subject: str, hints: Hints) -> list[Fetched]:
        """Files are fetched from where their links lead, without the token; of recordings what is told of them, with
        links: they are large."""
        if kind not in self.KINDS:
            return await super().fetch(kind, subject, hints)
        if kind == "recording":
            return await self._recordings_of(subject, hints, wait=True)
        session = hints.session or await self._newest(subject)
        if kind == "participants":
            return [await self._attendees_of(session, subject)]
        path = f"sessions/{id_of(session, 'session')}"
        if kind == "detail":
            reply = await self.access.call("GET", path)
            return [Fetched(call=path, body=reply.body, subject=subject)]
        if kind == "transcript":
            link = await self.transcript(session, "JSON")
        else:
            link = await (self.summary(session) if kind == "summary" else self.chat(session))
        body = await self.access.rest.download(link.url)
        content_type = "text/markdown" if kind == "summary" else "text/csv"
        if kind == "transcript" and body.lstrip()[:1] == b"[":
            content_type = "application/json"
        return [Fetched(call=f"{path}/{kind}", body=body, subject=subject, content_type=content_type)]

    async def own_record(self, subject: str, hints: Hints) -> list[Fetched]:
        """Who was at the session, and when; and its recordings. There is none of the account as a whole."""
        if not subject:
            raise self.cannot("keeps a record of each session, none of the account: name a meeting")
        session = hints.session or await self._newest(subject)
        recordings = await self._recordings_of(subject, Hints(session=session), wait=False)
        return [await self._attendees_of(session, subject), *recordings]

    async def register(self, wiring: Wiring, events: tuple[str, ...], extra: Mapping[str, Any]) -> list[Webhook]:
        """``extra``: ``name`` and ``enabled``."""
        body = read(
            WebhookBody, {"name": _WEBHOOK_NAME, **extra, "url": wiring.callback, "events": list(events or EVENTS)}
        )
        return [_webhook(await self.create_webhook(body))]

    async def webhooks(self) -> list[Webhook]:
        """All of the app's."""
        return [_webhook(told) for told in await self.all_webhooks()]

    async def unregister(self, id_: str) -> None:
        """Delete one."""
        await self.delete_webhook(id_)

    async def _wired(self, wiring: Wiring) -> str:
        """The id of a webhook that delivers to ``wiring``, made now if there is none."""
        for told in await self.all_webhooks():
            if told.url == wiring.callback and told.enabled is not False:
                return told.id
        return (await self.register(wiring, (), {}))[0].id

    async def _newest(self, meeting_id: str) -> str:
        query = SessionQuery(associated_id=meeting_id, sort_by="createdAt", sort_order="DESC")
        async for session in self.sessions(query, per_page=_FEW):
            return session.id
        raise VendorNotFound(f"realtimekit: meeting {meeting_id} has had no session yet")

    async def _attendees_of(self, session: str, subject: str) -> Fetched:
        """All pages as one answer."""
        items = [item async for item in self.raw_attendees(session)]
        body = msgspec.json.encode({"success": True, "data": {"participants": items}})
        return Fetched(call=f"sessions/{session}/participants", body=body, subject=subject)

    async def _recordings_of(self, subject: str, hints: Hints, *, wait: bool) -> list[Fetched]:
        """``wait``: raise ``VendorPending`` while one of them is still being made."""
        if hints.artifact:
            reply = await self.raw_recording(hints.artifact)
            told = msgspec.json.decode(reply.body)
            raws = [msgspec.Raw(msgspec.json.encode(told.get("data", {})))]
        else:
            raws = [item async for item in self.raw_recordings(RecordingQuery(meeting_id=subject))]
        known = [(raw, decoded(raw, RecordingInfo, "recordings")) for raw in raws]
        wanted = [(raw, one) for raw, one in known if hints.session in ("", one.session_id or hints.session)]
        if wait and any((one.status or "").upper() not in _LAST for _, one in wanted):
            raise VendorPending("realtimekit: a recording is still being made or uploaded")
        if not wanted:
            return []
        body = msgspec.json.encode({"success": True, "data": [raw for raw, _ in wanted]})
        return [Fetched(call="recordings", body=body, subject=subject)]


def _webhook(told: WebhookInfo) -> Webhook:
    facts = {name: value for name, value in (("name", told.name), ("created_at", told.created_at)) if value}
    state = "" if told.enabled is None else "enabled" if told.enabled else "disabled"
    return Webhook(id=told.id, url=told.url, events=tuple(told.events), state=state, facts=facts)
