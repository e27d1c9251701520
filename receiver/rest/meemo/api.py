"""What commands and fetching want of Meemo, and what they may ask for."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

import msgspec

from receiver.errors import VendorError, VendorPending
from receiver.redaction import redact
from receiver.rest.base import Created, Fetched, Hints, Options, Webhook, Wiring
from receiver.rest.meemo import wire
from receiver.rest.meemo.calls import MeemoCalls, not_sent
from receiver.rest.meemo.wire import Page
from receiver.settings import is_loopback

EVENTS = (
    "meeting.created", "meeting.deleted", "meeting.transcription_completed", "meeting.transcription_failed",
    "meeting.summarization_completed",
)  # fmt: skip
#: the vendor tries a delivery for about three hours (sister product); older entries of its log miss nothing that
#: could still come, and the intake may no longer know them as repeats
_LOG_S = 24 * 3600.0


class _Wanted(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a registration takes beside its URL and events."""

    organization_ids: list[wire.Id] = []
    description: str | None = None


class MeemoApi(MeemoCalls):
    """Meetings are made, and what they leave is fetched; webhooks belong to organisations and not to meetings."""

    CREATES: ClassVar[Literal["bot", "meeting", ""]] = "meeting"
    OPTIONS: ClassVar[type[Options]] = wire.MeetingOptions
    OPENING = "title"
    KINDS = ("detail", "transcript", "participants", "summary", "recording")
    HINTS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "meeting.created": ("detail",),
        "meeting.transcription_completed": ("participants", "recording"),
        "meeting.transcription_failed": ("detail",),
        "meeting.summarization_completed": ("detail",),
    }
    RECONCILES = True

    async def create(self, wiring: Wiring, options: Options) -> Created:
        """A meeting. Nothing of ``wiring`` is sent: its events come by the webhook of its organisation."""
        if not isinstance(options, wire.MeetingOptions):
            raise not_sent("a meeting is created of MeetingOptions")
        made = await self.create_meeting(options)
        told = {"title": made.title, "status": made.status, "start_time": made.start_time, "language": made.language}
        facts = {name: text for name, text in told.items() if text}
        return Created(what="meeting", subject=str(made.id), facts=facts)

    async def status(self, subject: str) -> dict[str, Any]:
        """The meeting's detail."""
        found: dict[str, Any] = redact((await self.ask(subject)).json(dict[str, Any]))
        return found

    async def fetch(self, kind: str, subject: str, hints: Hints) -> list[Fetched]:
        """The answer about ``kind``; of a recording, with its URL made whole.

        Raises ``VendorPending`` for a summary that the meeting's detail does not call complete.
        """
        if kind not in self.KINDS:
            raise self.cannot(f"has nothing of the kind {kind!r}; allowed: {', '.join(self.KINDS)}")
        reply = await self.ask(subject, "" if kind == "detail" else f"{kind}/")
        body = reply.body
        if kind == "recording":
            told = reply.json(dict[str, Any])
            url = reply.json(wire.Recording).recording_url
            body = msgspec.json.encode(told | {"recording_url": self.whole(url)})
        elif kind == "summary":
            summary = reply.json(wire.Summary)
            if not (summary.summary or summary.notes or summary.keywords):
                if (await self.meeting(subject)).summary_complete:
                    return []
                raise VendorPending("meemo: there is no summary of this meeting yet", vendor_status=reply.status)
        return [Fetched(call=kind, body=body, subject=subject)]

    async def own_record(self, subject: str, hints: Hints) -> list[Fetched]:
        """The log of deliveries of the last day, or since ``hints.since_s``, each entry one answer.

        The log names no meeting: ``subject`` narrows nothing. What came is dropped where it comes in, by its key.
        """
        since_s = time.time() - _LOG_S if hints.since_s is None else hints.since_s
        found: dict[str, Fetched] = {}
        async for raw in self.pages("webhook-events/", {}, Page[msgspec.Raw]):
            body = bytes(raw)
            try:
                entry = msgspec.json.decode(body, type=wire.LogEntry, strict=False)
            except (msgspec.DecodeError, ValueError) as error:
                raise VendorError(f"meemo: an entry of the log is not as documented ({error})") from None
            if entry.event_uuid and _moment_s(entry.created_at, since_s) >= since_s:
                found.setdefault(entry.event_uuid, Fetched(call="delivery-log", body=body))
        return list(found.values())

    async def register(self, wiring: Wiring, events: tuple[str, ...], extra: Mapping[str, Any]) -> list[Webhook]:
        """One webhook, with a secret of its own, for each of ``organization_ids`` (a list, one, or text with
        commas; default: all that there are). ``description`` may be given, too."""
        given = dict(extra)
        if isinstance(named := given.get("organization_ids"), (str, int)):
            given["organization_ids"] = [part.strip() for part in str(named).split(",")]
        try:
            wanted = msgspec.convert(given, _Wanted, strict=False)
        except msgspec.ValidationError as error:
            raise not_sent(str(error)) from None
        _require_https(wiring.callback)
        organizations = wanted.organization_ids or [one.id for one in await self.organizations()]
        made = await self.create_webhooks(wiring.callback, events or EVENTS, organizations, wanted.description)
        return [_webhook(one) for one in made]

    async def webhooks(self) -> list[Webhook]:
        """What is registered; the vendor shows each secret again."""
        return [_webhook(one) async for one in self.registrations()]

    async def unregister(self, id_: str) -> None:
        """Delete a webhook."""
        await self.delete_webhook(id_)


def _require_https(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
        raise not_sent("the callback's URL is no https:// URL, and Meemo takes no other: set server.public_url")


def _moment_s(text: str | None, otherwise_s: float) -> float:
    """Seconds since the epoch; without a zone UTC is meant."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return otherwise_s
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _webhook(one: wire.Registration) -> Webhook:
    facts = {
        "organization": one.organization_id, "description": one.description, "failures": one.failure_count or None,
        "last failure": one.last_failure_reason,
    }  # fmt: skip
    return Webhook(
        id=str(one.id),
        url=one.target_url,
        events=one.events,
        state="" if one.is_active is None else "active" if one.is_active else "off",
        facts={name: str(told) for name, told in facts.items() if told},
        secret=one.secret_key,
    )
