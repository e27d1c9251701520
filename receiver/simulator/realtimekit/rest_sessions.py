"""Calls about sessions. Source: RealtimeKit, REST API reference, sessions (2026)."""

from collections.abc import Iterable
from typing import Any

from aiohttp import web

from receiver.simulator.realtimekit import files
from receiver.simulator.realtimekit.answers import Answers, Handler, Refusal, data
from receiver.simulator.realtimekit.store import Session
from receiver.simulator.realtimekit.wire import Dialect, instant


class SessionAnswers(Answers):
    """Sessions, who was there, and links to what was made of them."""

    async def _list_sessions(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        query = request.query
        found = [session.body() for session in self._store.sessions.values()]
        for name in ("associated_id", "status"):
            found = [one for one in found if query.get(name) in (None, one[name])]
        if query.get("sort_order") == "DESC":
            found.reverse()
        return self._page(request, found, "sessions")

    async def _get_session(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        return data(self._session(request).body())

    async def _list_attendees(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        session = self._session(request)
        return self._page(request, [session.attendee(visit) for visit in session.visits], "participants")

    async def _get_attendee(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        return self._attendee(request, [self._session(request)])

    async def _peer_report(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        return self._attendee(request, self._store.sessions.values())

    def _attendee(self, request: web.Request, sessions: Iterable[Session]) -> web.StreamResponse:
        for session in sessions:
            for visit in session.visits:
                if visit.guest.peer_id == request.match_info["participant"]:
                    asked = filter(None, request.query.get("filters", "").split(","))
                    stats: dict[str, dict[str, Any]] = {name: {} for name in asked if name != "quality_stats"}
                    return data({"participant": session.attendee(visit) | ({"peer_stats": stats} if stats else {})})
        raise Refusal(404, "Participant not found")

    async def _livestream(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        told = self._session(request).livestream
        if told is None:
            raise Refusal(404, "Livestream not found")
        return data(told)

    def _file(self, kind: str) -> Handler:
        async def handle(request: web.Request, dialect: Dialect) -> web.StreamResponse:
            session = self._session(request)
            if kind not in session.made or self._pending():
                raise Refusal(404, f"{kind.capitalize()} not found")
            format_ = request.query.get("format", "CSV") if dialect == "realtimekit" else "CSV"
            if format_ not in files.FORMATS:
                raise Refusal(400, f"format: must be one of {', '.join(files.FORMATS)}")
            names = ("summaryDownloadUrl", "summaryDownloadUrlExpiry")
            if kind != "summary":
                names = (f"{kind}_download_url", f"{kind}_download_url_expiry")
            link = self._origin() + self.link_to(session, kind, format_)
            told = {"sessionId": session.occasion.session_id, names[0]: link, names[1]: instant(self._store.expiry())}
            return data(told)

        return handle

    def link_to(self, session: Session, kind: str, format_: str = "CSV") -> str:
        """Path and query of a new link to a transcript, a summary or the chat."""
        if kind == "transcript":
            content = files.transcript(session.occasion, session.said, format_, session.dialect)
            return self._store.add_link(content, files.FORMATS[format_])
        if kind == "summary":
            return self._store.add_link(files.summary(session.occasion, session.said), "text/plain")
        return self._store.add_link(files.chat(session.occasion, session.written), "text/csv")

    async def _summarize(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        session = self._session(request)
        if session.length_s is None:
            raise Refusal(400, "The session is not over")
        session.made.add("summary")
        return data({}, status=202)
