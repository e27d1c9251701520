"""A method for each of Daily's routes (docs.daily.co, REST reference, 2026). Everything raises ``VendorError``.

Lists are pages of at most 100 objects, newest first: the iterators here ask for the next page as it is needed.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Literal, TypeVar

import msgspec

from receiver.errors import VendorError, VendorNotFound, VendorPending
from receiver.rest.checked import checked, segment, within
from receiver.rest.daily.answers import (
    Deleted,
    Job,
    JobLinks,
    Meeting,
    MeetingParticipant,
    PresenceList,
    Recording,
    RecordingLink,
    Registration,
    Room,
    Transcript,
    TranscriptLink,
)
from receiver.rest.daily.options import RoomOptions, Transcription
from receiver.rest.http import Query, Reply, Rest

T = TypeVar("T")
PAGE = 100
#: seconds that a recording's link is good for, at most: twelve hours
MOST_VALID_S = 43_200
RetryType = Literal["circuit-breaker", "exponential"]


class _Page(msgspec.Struct, frozen=True):
    data: list[dict[str, Any]] = []
    total_count: int | None = None


class DailyCalls:
    """The routes. ``rest`` knows where and who."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._rest!r})"

    # Rooms

    async def create_room(self, options: RoomOptions | None = None) -> Room:
        """Make a room; 400 where there is one of this name."""
        body = checked("daily", options or RoomOptions()).body()
        return (await self._rest.call("POST", "rooms", json=body)).json(Room)

    def rooms(self, *, limit: int = PAGE) -> AsyncIterator[Room]:
        """All rooms of the domain. ``limit``: of a page."""
        return self._each("rooms", {}, "id", Room, limit)

    async def room(self, name: str) -> Room:
        """One room."""
        return (await self._rest.call("GET", f"rooms/{segment(name)}")).json(Room)

    async def update_room(self, name: str, options: RoomOptions) -> Room:
        """Change a room; what is not given stays. A room keeps its name."""
        if options.name is not None:
            raise VendorError("daily: name: a room cannot be renamed; nothing was sent")
        body = checked("daily", options).body(with_name=False)
        return (await self._rest.call("POST", f"rooms/{segment(name)}", json=body, harmless=True)).json(Room)

    async def delete_room(self, name: str) -> Deleted:
        """Delete a room: nobody can join it any more."""
        return (await self._rest.call("DELETE", f"rooms/{segment(name)}")).json(Deleted)

    async def presence(
        self, name: str, *, limit: int | None = None, user_id: str | None = None, user_name: str | None = None
    ) -> PresenceList:
        """Who is in a room now."""
        query = {"limit": limit, "userId": user_id, "userName": user_name}
        return (await self._rest.call("GET", f"rooms/{segment(name)}/presence", query=query)).json(PresenceList)

    # Meetings

    def meetings(
        self,
        *,
        room: str | None = None,
        timeframe_start: int | None = None,
        timeframe_end: int | None = None,
        ongoing: bool | None = None,
        no_participants: bool | None = None,
        limit: int = PAGE,
    ) -> AsyncIterator[Meeting]:
        """Sessions, of one room or of all, that began from ``timeframe_start`` on and before ``timeframe_end``."""
        query: Query = {
            "room": room, "timeframe_start": timeframe_start, "timeframe_end": timeframe_end, "ongoing": ongoing,
            "no_participants": no_participants,
        }  # fmt: skip
        return self._each("meetings", query, "id", Meeting, limit)

    async def meeting(self, id_: str) -> Meeting:
        """One session."""
        return (await self._rest.call("GET", f"meetings/{segment(id_)}")).json(Meeting)

    async def participants(self, meeting: str, *, limit: int = PAGE) -> AsyncIterator[MeetingParticipant]:
        """Who was in a session. Raises ``VendorNotFound`` where there is no such session; behind the last page the
        vendor says 404 too, which ends it."""
        path, last = f"meetings/{segment(meeting)}/participants", ""
        within("daily", "limit", limit, 1, PAGE)
        while True:
            query: Query = {"limit": limit, "joined_after": last or None}
            try:
                page = (await self._rest.call("GET", path, query=query)).json(_Page)
            except VendorNotFound:
                if last:
                    return
                raise
            people = [_typed(one, MeetingParticipant, path) for one in page.data]
            for one in people:
                yield one
            before, last = last, next((one.participant_id for one in reversed(people) if one.participant_id), "")
            if not last or last == before:
                return

    # Recordings

    def recordings(self, *, room_name: str | None = None, limit: int = PAGE) -> AsyncIterator[Recording]:
        """Recordings, of one room or of all. The vendor takes about two such calls a second."""
        return self._each("recordings", {"room_name": room_name}, "id", Recording, limit)

    async def recording(self, id_: str) -> Recording:
        """One recording."""
        return (await self._rest.call("GET", f"recordings/{segment(id_)}")).json(Recording)

    async def recording_link(self, id_: str, *, valid_for_secs: int | None = None) -> RecordingLink:
        """Where to get a recording: for an hour, or for ``valid_for_secs``, at most ``MOST_VALID_S``."""
        return (await self._recording_link(id_, valid_for_secs)).json(RecordingLink)

    async def delete_recording(self, id_: str) -> Deleted:
        """Delete a recording for good."""
        return (await self._rest.call("DELETE", f"recordings/{segment(id_)}")).json(Deleted)

    # Transcripts

    def transcripts(
        self, *, room_id: str | None = None, session: str | None = None, limit: int = PAGE
    ) -> AsyncIterator[Transcript]:
        """Stored transcripts. ``room_id`` is the room's UUID, not its name; ``session``: a meeting's id."""
        query: Query = {"roomId": room_id, "mtgSessionId": session}
        return self._each("transcript", query, "transcriptId", Transcript, limit)

    async def transcript(self, id_: str) -> Transcript:
        """One transcript, without its text."""
        return (await self._rest.call("GET", f"transcript/{segment(id_)}")).json(Transcript)

    async def transcript_link(self, id_: str) -> TranscriptLink:
        """Where to get its WebVTT, for an hour."""
        return (await self._rest.call("GET", f"transcript/{segment(id_)}/access-link")).json(TranscriptLink)

    async def start_transcription(self, room: str, options: Transcription | None = None) -> None:
        """Transcribe the call that goes on in ``room``: 404: there is none; 400: it is transcribed already."""
        body = checked("daily", options or Transcription())
        await self._rest.call("POST", f"rooms/{segment(room)}/transcription/start", json=body)

    async def stop_transcription(self, room: str, *, instance: str | None = None) -> None:
        """Transcribe no more. ``instance``: of several."""
        body = {} if instance is None else {"instanceId": instance}
        await self._rest.call("POST", f"rooms/{segment(room)}/transcription/stop", json=body)

    # Batch jobs

    async def job(self, id_: str) -> Job:
        """One job of the batch processor."""
        return (await self._rest.call("GET", f"batch-processor/{segment(id_)}")).json(Job)

    async def job_links(self, id_: str) -> JobLinks:
        """The files of a job. Raises ``VendorPending`` where it is not finished, which the vendor answers with 400."""
        try:
            return (await self._rest.call("GET", f"batch-processor/{segment(id_)}/access-link")).json(JobLinks)
        except VendorError as error:
            if error.vendor_status != 400:
                raise
            job = await self.job(id_)
            if job.status in ("finished", "error"):
                raise
            told = f"daily: the batch job is {job.status or 'not finished'}"
            raise VendorPending(told, vendor_status=400, words=error.words) from None

    # Webhooks

    async def create_webhook(
        self,
        url: str,
        events: tuple[str, ...],
        *,
        hmac: str | None = None,
        basic_auth: str | None = None,
        retry_type: RetryType | None = None,
    ) -> Registration:
        """Register ``url``, which is pinged at once and has to answer 200. ``hmac``: a secret of our own, in base64."""
        body = _webhook(url, events, hmac, basic_auth, retry_type)
        return (await self._rest.call("POST", "webhooks", json=body)).json(Registration)

    async def registrations(self) -> list[Registration]:
        """What is registered; in practice one for the domain."""
        reply = await self._rest.call("GET", "webhooks")
        if reply.body.lstrip()[:1] == b"{":
            return [_typed(one, Registration, "webhooks") for one in reply.json(_Page).data]
        return reply.json(list[Registration])

    async def registration(self, uuid: str) -> Registration:
        """One webhook."""
        return (await self._rest.call("GET", f"webhooks/{segment(uuid)}")).json(Registration)

    async def update_webhook(
        self,
        uuid: str,
        url: str | None = None,
        events: tuple[str, ...] = (),
        *,
        hmac: str | None = None,
        basic_auth: str | None = None,
        retry_type: RetryType | None = None,
    ) -> Registration:
        """Change a webhook, or just wake one that is ``FAILED``: either pings its URL, which has to answer 200."""
        body = _webhook(url, events, hmac, basic_auth, retry_type)
        return (await self._rest.call("POST", f"webhooks/{segment(uuid)}", json=body, harmless=True)).json(Registration)

    async def delete_webhook(self, uuid: str) -> None:
        """Take a webhook back."""
        await self._rest.call("DELETE", f"webhooks/{segment(uuid)}")

    async def _recording_link(self, id_: str, valid_for_secs: int | None = None) -> Reply:
        if valid_for_secs is not None:
            within("daily", "valid_for_secs", valid_for_secs, 1, MOST_VALID_S)
        query = {"valid_for_secs": valid_for_secs}
        return await self._rest.call("GET", f"recordings/{segment(id_)}/access-link", query=query)

    async def _pages(self, path: str, query: Query, id_key: str, limit: int) -> AsyncIterator[tuple[Reply, _Page]]:
        """Answers of a list, until one is not full or leads nowhere."""
        within("daily", "limit", limit, 1, PAGE)
        last = None
        while True:
            reply = await self._rest.call("GET", path, query={**query, "limit": limit, "starting_after": last})
            page = reply.json(_Page)
            if page.data or last is None:
                yield reply, page
            before, last = last, page.data[-1].get(id_key) if page.data else None
            if len(page.data) < limit or not isinstance(last, str) or last == before:
                return

    async def _each(
        self, path: str, query: Mapping[str, Any], id_key: str, type_: type[T], limit: int
    ) -> AsyncIterator[T]:
        async for _, page in self._pages(path, query, id_key, limit):
            for one in page.data:
                yield _typed(one, type_, path)


def _webhook(
    url: str | None, events: tuple[str, ...], hmac: str | None, basic_auth: str | None, retry_type: RetryType | None
) -> dict[str, Any]:
    if retry_type not in (None, "circuit-breaker", "exponential"):
        told = f"found {retry_type!r}, allowed circuit-breaker or exponential"
        raise VendorError(f"daily: retryType: {told}; nothing was sent")
    body = {
        "url": url, "eventTypes": list(events) or None, "hmac": hmac, "basicAuth": basic_auth, "retryType": retry_type,
    }  # fmt: skip
    return {key: value for key, value in body.items() if value is not None}


def _typed(value: Any, type_: type[T], path: str) -> T:
    try:
        return msgspec.convert(value, type_, strict=False)
    except msgspec.ValidationError as error:
        raise VendorError(f"daily: GET {path}: the answer is not as documented ({error})") from None
