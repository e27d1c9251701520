"""Recordings. Source: RealtimeKit, REST API reference, recordings; track recording (2026)."""

from collections.abc import AsyncIterator
from typing import Literal

import msgspec

from receiver.errors import VendorCannot
from receiver.rest.http import Reply
from receiver.rest.realtimekit.access import PER_PAGE, Access, decoded, id_of, unwrapped
from receiver.rest.realtimekit.answers import RecordingInfo
from receiver.rest.realtimekit.requests import Part, RecordingQuery, RecordingStart, TrackRecordingStart

Action = Literal["pause", "resume", "stop"]


class _Order(Part, kw_only=True):
    action: Action


class RecordingCalls:
    """The calls below ``recordings``. Every one raises ``VendorError`` and what derives from it."""

    access: Access

    async def start_recording(self, start: RecordingStart) -> RecordingInfo:
        """Record a meeting, or the page at ``start.url``."""
        if start.meeting_id is None and start.url is None:
            raise VendorCannot("realtimekit: nothing sent: found neither meeting_id nor url, allowed one of the two")
        return await self.access.ask("POST", "recordings", RecordingInfo, body=start)

    async def start_track_recording(self, start: TrackRecordingStart) -> RecordingInfo:
        """Record each participant's sound by itself."""
        reply = await self.access.call("POST", "recordings/track", body=start)
        told = unwrapped(reply, dict[str, msgspec.Raw])
        raw = told.get("recording")
        return decoded(raw, RecordingInfo, "recordings/track") if raw is not None else unwrapped(reply, RecordingInfo)

    async def change_recording(self, recording_id: str, action: Action) -> RecordingInfo:
        """``pause``, ``resume`` or ``stop``. Not sent twice: a pause may have been followed by somebody's resume."""
        path = f"recordings/{id_of(recording_id, 'recording')}"
        return await self.access.ask("PUT", path, RecordingInfo, body=_Order(action=action), harmless=False)

    async def recordings(
        self, query: RecordingQuery | None = None, *, per_page: int = PER_PAGE
    ) -> AsyncIterator[RecordingInfo]:
        """All recordings that ``query`` picks, page by page."""
        async for item in self.raw_recordings(query, per_page=per_page):
            yield decoded(item, RecordingInfo, "recordings")

    def raw_recordings(
        self, query: RecordingQuery | None = None, *, per_page: int = PER_PAGE
    ) -> AsyncIterator[msgspec.Raw]:
        """The same as the vendor wrote it."""
        return self.access.pages("recordings", query, per_page=per_page)

    async def recording(self, recording_id: str) -> RecordingInfo:
        """One recording; its links are made anew each time and live for a week."""
        return unwrapped(await self.raw_recording(recording_id), RecordingInfo)

    async def raw_recording(self, recording_id: str) -> Reply:
        """The same as the vendor wrote it."""
        return await self.access.call("GET", f"recordings/{id_of(recording_id, 'recording')}")

    async def active_recording(self, meeting_id: str) -> RecordingInfo:
        """The recording that is being made of a meeting. Raises ``VendorNotFound`` where there is none."""
        return await self.access.ask(
            "GET", f"recordings/active-recording/{id_of(meeting_id, 'meeting')}", RecordingInfo
        )
