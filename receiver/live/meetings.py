"""``GET /meetings``, ``/meetings/{subject}`` and ``/meetings/{subject}/transcript.json|.txt|.vtt|.srt``.

Query: ``source`` (``/vendor/endpoint``), where one subject is known at several; ``recent``, how many of the meetings
that have ended are listed. Of a transcript ``source=live`` is what was said while it went on, ``source=fetched`` what
the vendor made of it; it may stand beside the other.
"""

import asyncio
from collections.abc import Callable
from urllib.parse import unquote

import msgspec
from aiohttp import web

from receiver.errors import Malformed, NotFound, Overloaded
from receiver.live.access import Access
from receiver.live.masking import Mask
from receiver.meetings.formats import transcript_json, transcript_srt, transcript_txt, transcript_vtt
from receiver.meetings.show import transcript_view
from receiver.meetings.state import Meeting
from receiver.meetings.tracker import MeetingTracker
from receiver.meetings.views import Made, TranscriptView

PREFIX = "/meetings"
_MOST_RECENT = 1000
_RECENT = 100
_MADE: dict[str, Made] = {"live": "live", "fetched": "fetched"}
_encode = msgspec.json.Encoder().encode
Form = Callable[[TranscriptView], str | bytes]
_FORMS: dict[str, tuple[str, Form]] = {
    "json": ("application/json", transcript_json),
    "txt": ("text/plain", transcript_txt),
    "vtt": ("text/vtt", transcript_vtt),
    "srt": ("application/x-subrip", transcript_srt),
}


class Meetings:
    """Answers from the book that ``tracker`` keeps; give it one before the first request."""

    def __init__(self, access: Access) -> None:
        self.tracker: MeetingTracker | None = None
        self._access = access

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Its paths."""
        router.add_get(PREFIX, self._list, allow_head=False)
        router.add_get(PREFIX + "/{path:.+}", self._one, allow_head=False)

    async def _list(self, request: web.Request) -> web.Response:
        mask = self._mask(request)
        text = request.query.get("recent", str(_RECENT))
        recent = int(text) if text.isascii() and text.isdigit() and len(text) < 5 else -1
        if not 0 <= recent <= _MOST_RECENT:
            raise Malformed(f"found {text[:20]!r}, allowed a whole number from 0 to {_MOST_RECENT}", "recent")
        tracker = self._tracker()
        await tracker.current()
        view = tracker.book.meetings(most_recent=recent)
        view.rebuilding = not tracker.caught_up.is_set()
        return _answer(_encode(view if mask is None else mask.apply(view)), "application/json")

    async def _one(self, request: web.Request) -> web.Response:
        mask = self._mask(request)
        # as it came: an id may hold a slash, written %2F
        raw = request.rel_url.raw_path.removeprefix(PREFIX + "/")
        subject, slash, rest = raw.partition("/")
        sources = request.query.getall("source", [])
        subject, source = unquote(subject), next((one for one in sources if one not in _MADE), None)
        await self._tracker().current()
        book = self._tracker().book
        if not slash:
            view = book.meeting(subject, source)
            if view is None:
                raise self._unknown(subject, source)
            return _answer(_encode(view if mask is None else mask.apply(view)), "application/json")
        form = _FORMS.get(rest.removeprefix("transcript.")) if rest.startswith("transcript.") else None
        if form is None:
            raise NotFound(f"no such path: /meetings/ID/transcript has one of {', '.join('.' + one for one in _FORMS)}")
        # of a day it takes the tenth of a second: not on the loop
        meeting = book.find(subject, source)
        if meeting is None:
            raise self._unknown(subject, source)
        made = next((_MADE[one] for one in sources if one in _MADE), None)
        return _answer(await asyncio.to_thread(_written, meeting, form[1], mask, made), form[0])

    def _mask(self, request: web.Request) -> Mask | None:
        """Of who asks. Raises where he may not."""
        return self._access.mask(self._access.require(request, "meetings"))

    def _tracker(self) -> MeetingTracker:
        if self.tracker is None:
            raise Overloaded("the server is starting: ask again")
        return self.tracker

    def _unknown(self, subject: str, source: str | None) -> NotFound | Overloaded:
        if not self._tracker().caught_up.is_set():
            return Overloaded("meetings are being made again from the journal: ask again")
        at = f" at {source!r}" if source else ""
        return NotFound(f"no meeting {subject!r}{at} is known: GET /meetings lists those that are")


def _written(meeting: Meeting, form: Form, mask: Mask | None, made: Made | None) -> bytes:
    view = transcript_view(meeting, made)
    text = form(view if mask is None else mask.apply(view))
    return text if isinstance(text, bytes) else text.encode(errors="replace")


def _answer(body: bytes, kind: str) -> web.Response:
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return web.Response(body=body, content_type=kind, charset="utf-8", headers=headers)
