"""Sessions: the times that a meeting was held, who came, and what was made of it.

Source: RealtimeKit, REST API reference, sessions and livestreams (2026).
"""

from collections.abc import AsyncIterator

import msgspec

from receiver.errors import VendorPending
from receiver.rest.http import Query
from receiver.rest.realtimekit.access import PER_PAGE, Access, decoded, id_of, unwrapped
from receiver.rest.realtimekit.answers import Attendee, AttendeeAnswer, Link, LinkAnswer, LivestreamInfo, SessionInfo
from receiver.rest.realtimekit.requests import AttendeeQuery, PeerFilter, SessionQuery, TranscriptFormat, read


class _Filters(msgspec.Struct):
    filters: list[PeerFilter]


class _Format(msgspec.Struct):
    format: TranscriptFormat


class SessionCalls:
    """The calls below ``sessions``. Every one raises ``VendorError`` and what derives from it."""

    access: Access

    async def sessions(
        self, query: SessionQuery | None = None, *, per_page: int = PER_PAGE
    ) -> AsyncIterator[SessionInfo]:
        """All sessions that ``query`` picks, page by page."""
        async for item in self.access.pages("sessions", query, within="sessions", per_page=per_page):
            yield decoded(item, SessionInfo, "sessions")

    async def session(self, session_id: str, *, include_breakout_rooms: bool | None = None) -> SessionInfo:
        """One session."""
        query = {"include_breakout_rooms": include_breakout_rooms}
        return await self.access.ask("GET", _of(session_id), SessionInfo, query=query)

    async def attendees(
        self, session_id: str, query: AttendeeQuery | None = None, *, per_page: int = PER_PAGE
    ) -> AsyncIterator[Attendee]:
        """Who was there, each connection by itself, page by page."""
        async for item in self.raw_attendees(session_id, query, per_page=per_page):
            yield decoded(item, Attendee, "sessions/participants")

    def raw_attendees(
        self, session_id: str, query: AttendeeQuery | None = None, *, per_page: int = PER_PAGE
    ) -> AsyncIterator[msgspec.Raw]:
        """The same as the vendor wrote it."""
        return self.access.pages(f"{_of(session_id)}/participants", query, within="participants", per_page=per_page)

    async def attendee(
        self, session_id: str, peer_id: str, *, filters: list[PeerFilter] | None = None,
        include_peer_events: bool | None = None,
    ) -> Attendee:  # fmt: skip
        """One of them, with how the connection was, as far as ``filters`` ask for it."""
        path = f"{_of(session_id)}/participants/{id_of(peer_id, 'participant')}"
        query = _filters(filters) | {"include_peer_events": include_peer_events}
        return (await self.access.ask("GET", path, AttendeeAnswer, query=query)).participant

    async def peer_report(self, peer_id: str, *, filters: list[PeerFilter] | None = None) -> Attendee:
        """The same by the peer alone."""
        path = f"sessions/peer-report/{id_of(peer_id, 'peer')}"
        return (await self.access.ask("GET", path, AttendeeAnswer, query=_filters(filters))).participant

    async def livestream(self, session_id: str) -> LivestreamInfo:
        """The session's livestream. Raises ``VendorNotFound`` where there was none."""
        return await self.access.ask("GET", f"{_of(session_id)}/livestream-sessions", LivestreamInfo)

    async def transcript(self, session_id: str, format: TranscriptFormat = "CSV") -> Link:
        """Where the transcript lies. Dyte's API makes CSV whatever is asked for. Raises ``VendorPending``."""
        asked: Query = {"format": read(_Format, {"format": format}).format}
        return await self._link(session_id, "transcript", asked)

    async def summary(self, session_id: str) -> Link:
        """Where the summary lies. Raises ``VendorPending``; ``VendorNotFound`` where none was asked for, or not yet."""
        return await self._link(session_id, "summary", None)

    async def generate_summary(self, session_id: str) -> None:
        """Have a summary made of the transcript; a webhook tells when it is there."""
        await self.access.call("POST", f"{_of(session_id)}/summary")

    async def chat(self, session_id: str) -> Link:
        """Where the chat's messages lie. Raises ``VendorPending``."""
        return await self._link(session_id, "chat", None)

    async def _link(self, session_id: str, kind: str, query: Query | None) -> Link:
        reply = await self.access.call("GET", f"{_of(session_id)}/{kind}", query=query)
        answer = unwrapped(reply, LinkAnswer | None)  # type: ignore[arg-type]
        link = answer.link(kind) if answer else None
        if link is None:
            raise VendorPending(f"{reply.what}: there is no link yet", vendor_status=reply.status)
        return link


def _of(session_id: str) -> str:
    return f"sessions/{id_of(session_id, 'session')}"


def _filters(filters: list[PeerFilter] | None) -> dict[str, str | bool | None]:
    """As the vendor wants them: one text, commas between, no blanks."""
    return {"filters": ",".join(read(_Filters, {"filters": filters}).filters) if filters else None}
