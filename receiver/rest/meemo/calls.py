"""The calls of Meemo's external API, each with a method of its own."""

import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import quote, urljoin

import aiohttp
import msgspec

from receiver.errors import VendorCannot, VendorError
from receiver.rest.base import Account, VendorApi
from receiver.rest.http import Query, Reply, Rest, Tries, origin
from receiver.rest.meemo import wire
from receiver.rest.meemo.token import Token
from receiver.rest.meemo.wire import Page

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)
_PREFIX = "api/v1/external"
_ANY_MEETING = wire.MeetingFilter()


class MeemoCalls(VendorApi):
    """An external application: ``account.id`` is its client id, ``account.key`` its client secret.

    It sees the organisations that an administrator has linked it to. Meetings are given as their id, number or text.
    What the vendor does not find raises ``VendorNotFound``: no such meeting, or, right after an event, not yet.
    """

    VENDOR = "meemo"
    BASE_URL = "https://api-meemo.glair.ai"

    def __init__(
        self,
        account: Account,
        client: aiohttp.ClientSession,
        *,
        tries: Tries = Tries(),  # noqa: B008 - frozen
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``clock``: seconds, never backwards; what a token's life is measured with."""
        super().__init__(account, client)
        base_url = (account.base_url or self.BASE_URL).rstrip("/")
        self._token = Token(Rest(client, self.VENDOR, base_url, _no_headers, tries=tries), account, clock)
        self._rest = Rest(client, self.VENDOR, f"{base_url}/{_PREFIX}", self._token.headers, tries=tries)
        self._host = f"{base_url}/"

    async def revoke(self) -> None:
        """Take this client's token back; the next call gets another."""
        await self._token.revoke()

    # Meetings

    async def meetings(self, wanted: wire.MeetingFilter = _ANY_MEETING) -> AsyncIterator[wire.MeetingSummary]:
        """Meetings, the newest start first; page after page from ``wanted.page`` on."""
        good = checked(wanted, wire.MeetingFilter)
        query: dict[str, Any] = msgspec.to_builtins(good)
        if good.participants:
            query["participants"] = ",".join(map(str, good.participants))
        async for one in self.pages("meeting/", query, Page[wire.MeetingSummary]):
            yield one

    async def meeting(self, meeting: int | str) -> wire.Meeting:
        """A meeting in detail."""
        return (await self.ask(meeting)).json(wire.Meeting)

    async def create_meeting(self, options: wire.MeetingOptions) -> wire.Meeting:
        """Create a meeting, which is ``scheduled`` then. Raises ``VendorCannot`` where ``options`` cannot be."""
        good = checked(options, wire.MeetingOptions)
        if good.bot_join_at is not None and good.bot_join_at <= datetime.now(UTC):
            raise not_sent("bot_join_at is past; allowed a time to come")
        return (await self.call("POST", "meeting/", json=good)).json(wire.Meeting)

    async def transcript(self, meeting: int | str) -> wire.Transcript:
        """What was said, in order of time."""
        return (await self.ask(meeting, "transcript/")).json(wire.Transcript)

    async def summary(self, meeting: int | str) -> wire.Summary:
        """Summary, notes and keywords; null where there are none, or none yet."""
        return (await self.ask(meeting, "summary/")).json(wire.Summary)

    async def participants(self, meeting: int | str) -> wire.Participants:
        """Who belongs to it."""
        return (await self.ask(meeting, "participants/")).json(wire.Participants)

    async def recording(self, meeting: int | str) -> wire.Recording:
        """Where the sound is, as a whole URL."""
        told = (await self.ask(meeting, "recording/")).json(wire.Recording)
        return msgspec.structs.replace(told, recording_url=self.whole(told.recording_url))

    async def download(self, recording: wire.Recording) -> bytes:
        """The sound itself. Another host than the API's own sees no token."""
        url = self.whole(recording.recording_url)
        if origin(url) != origin(self._host):
            return await self._rest.download(url)
        return (await self.call("GET", url)).body

    # Organisations

    async def topics(self, organization_id: int | None = None) -> list[wire.Topic]:
        """What meetings may be about."""
        return (await self.call("GET", "topics/", query={"organization_id": organization_id})).json(list[wire.Topic])

    async def usage(
        self, organization_id: int | None = None, start_date: str | None = None, end_date: str | None = None
    ) -> list[wire.Usage]:
        """What each capability has cost. Days as ``YYYY-MM-DD``."""
        query: Query = {"organization_id": organization_id, "start_date": start_date, "end_date": end_date}
        reply = await self.call("GET", "usage/", query=query)
        return reply.json(list[wire.Usage]) if reply.body.lstrip()[:1] == b"[" else reply.json(Page[wire.Usage]).results

    async def organizations(self) -> list[wire.Organization]:
        """Those that webhooks can be registered for."""
        return (await self.call("GET", "webhooks/available-organizations/")).json(list[wire.Organization])

    # Webhooks

    async def create_webhooks(
        self, target_url: str, events: tuple[str, ...], organization_ids: list[int], description: str | None = None
    ) -> list[wire.Registration]:
        """Register ``target_url`` once for each organisation; each has a secret of its own."""
        body: dict[str, Any] = {"target_url": target_url, "events": events, "organization_ids": organization_ids}
        if description is not None:
            body["description"] = description
        return (await self.call("POST", "webhooks/", json=body)).json(list[wire.Registration])

    async def registrations(self) -> AsyncIterator[wire.Registration]:
        """Every webhook, secrets included."""
        async for one in self.pages("webhooks/", {}, Page[wire.Registration]):
            yield one

    async def registration(self, id_: int | str) -> wire.Registration:
        """One webhook, with how often it has failed of late."""
        return (await self.call("GET", f"webhooks/{segment(id_)}/")).json(wire.Registration)

    async def delete_webhook(self, id_: int | str) -> None:
        """Take it back. A URL is changed by that and a new one, which has a new secret."""
        await self.call("DELETE", f"webhooks/{segment(id_)}/")

    async def log(self, webhook_id: int | None = None) -> AsyncIterator[wire.LogEntry]:
        """The log of deliveries, of one webhook or of all."""
        async for one in self.pages("webhook-events/", {"webhook_id": webhook_id}, Page[wire.LogEntry]):
            yield one

    async def log_entry(self, id_: int | str) -> wire.LogEntry:
        """One delivery in the log."""
        return (await self.call("GET", f"webhook-events/{segment(id_)}/")).json(wire.LogEntry)

    # How calls are made

    async def ask(self, meeting: int | str, what: str = "") -> Reply:
        """What there is of a meeting: ``what`` is empty, or a part of it such as ``summary/``."""
        return await self.call("GET", f"meeting/{segment(meeting)}/{what}")

    async def call(self, method: str, path: str, *, query: Query | None = None, json: Any = None) -> Reply:
        """A token that is refused is renewed once: it may have been revoked, or the vendor's clock runs ahead."""
        await self._token.headers()
        number = self._token.number
        try:
            return await self._rest.call(method, path, query=query, json=json)
        except VendorError as error:
            if error.vendor_status != 401:
                raise
        self._token.refused(number)
        return await self._rest.call(method, path, query=query, json=json)

    async def pages(self, path: str, query: Query, kind: type[Page[T]]) -> AsyncIterator[T]:
        """What is on this page and on all behind it. A link to another host is not followed: ``VendorError``."""
        reply = await self.call("GET", path, query=query)
        been: set[str] = set()
        while True:
            page = reply.json(kind)
            for one in page.results:
                yield one
            if not page.next:
                return
            url = urljoin(f"{self._rest.base_url}/{path}", page.next)
            if url in been:
                raise VendorError(f"{reply.what}: its pages go in a circle")
            been.add(url)
            reply = await self.call("GET", url)

    def whole(self, url: str) -> str:
        """A recording's URL, which is relative to the host mostly. Raises ``VendorError``."""
        whole = urljoin(self._host, url.strip())
        if not whole.startswith(("http://", "https://")):
            raise VendorError("meemo: recording_url is not as documented: neither a path nor an http URL")
        return whole


async def _no_headers() -> dict[str, str]:
    return {}


def checked(value: msgspec.Struct, kind: type[S]) -> S:
    """``value`` with its bounds checked, which a struct made by hand is not."""
    try:
        return msgspec.convert(msgspec.to_builtins(value), kind)
    except msgspec.ValidationError as error:
        raise not_sent(str(error)) from None


def not_sent(what: str) -> VendorCannot:
    """The error for what cannot be meant."""
    return VendorCannot(f"meemo: {what}; nothing was sent")


def segment(id_: int | str) -> str:
    """An id as one part of a path, whatever is in it."""
    text = quote(str(id_), safe="")
    if text in ("", ".", ".."):
        raise not_sent("an id is empty, or no id")
    return text
