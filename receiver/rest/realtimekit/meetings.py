"""Meetings, who was added to them, and what goes on in them now.

Source: RealtimeKit, REST API reference, meetings and active session (2026).
"""

from collections.abc import AsyncIterator

from receiver.rest.realtimekit.access import PER_PAGE, Access, decoded, id_of
from receiver.rest.realtimekit.answers import Kicked, MeetingInfo, ParticipantInfo, SessionInfo
from receiver.rest.realtimekit.requests import Meeting, MeetingChange, MeetingQuery, Participant, ParticipantChange


class MeetingCalls:
    """The calls below ``meetings``. Every one raises ``VendorError`` and what derives from it."""

    access: Access

    async def create_meeting(self, meeting: Meeting) -> MeetingInfo:
        """Make a meeting."""
        return await self.access.ask("POST", "meetings", MeetingInfo, body=meeting)

    async def meetings(
        self, query: MeetingQuery | None = None, *, per_page: int = PER_PAGE
    ) -> AsyncIterator[MeetingInfo]:
        """All meetings that ``query`` picks, page by page."""
        async for item in self.access.pages("meetings", query, per_page=per_page):
            yield decoded(item, MeetingInfo, "meetings")

    async def meeting(self, meeting_id: str, *, name: str | None = None) -> MeetingInfo:
        """One meeting."""
        path = f"meetings/{id_of(meeting_id, 'meeting')}"
        return await self.access.ask("GET", path, MeetingInfo, query={"name": name})

    async def update_meeting(self, meeting_id: str, change: MeetingChange) -> MeetingInfo:
        """Change what ``change`` says, and nothing else."""
        return await self.access.ask("PATCH", f"meetings/{id_of(meeting_id, 'meeting')}", MeetingInfo, body=change)

    async def replace_meeting(self, meeting_id: str, meeting: Meeting) -> MeetingInfo:
        """Put ``meeting`` in place of what there was."""
        return await self.access.ask("PUT", f"meetings/{id_of(meeting_id, 'meeting')}", MeetingInfo, body=meeting)

    async def add_participant(self, meeting_id: str, participant: Participant) -> ParticipantInfo:
        """Add somebody; the answer has the token to join with, which is good for 100 days."""
        return await self.access.ask("POST", _of(meeting_id), ParticipantInfo, body=participant)

    async def participants(self, meeting_id: str, *, per_page: int = PER_PAGE) -> AsyncIterator[ParticipantInfo]:
        """Who was added, page by page; not who came: that is a session's."""
        path = _of(meeting_id)
        async for item in self.access.pages(path, None, per_page=per_page):
            yield decoded(item, ParticipantInfo, path)

    async def participant(self, meeting_id: str, participant_id: str) -> ParticipantInfo:
        """One who was added."""
        return await self.access.ask("GET", _of(meeting_id, participant_id), ParticipantInfo)

    async def update_participant(
        self, meeting_id: str, participant_id: str, change: ParticipantChange
    ) -> ParticipantInfo:
        """Change somebody's name, picture or preset."""
        return await self.access.ask("PATCH", _of(meeting_id, participant_id), ParticipantInfo, body=change)

    async def remove_participant(self, meeting_id: str, participant_id: str) -> ParticipantInfo:
        """Take somebody off the list; the token joins no more."""
        return await self.access.ask("DELETE", _of(meeting_id, participant_id), ParticipantInfo)

    async def refresh_token(self, meeting_id: str, participant_id: str) -> str:
        """A new token for one who was added. Secret."""
        return (await self.access.ask("POST", f"{_of(meeting_id, participant_id)}/token", ParticipantInfo)).token

    async def active_session(self, meeting_id: str) -> SessionInfo:
        """The session that goes on now. Raises ``VendorNotFound`` where nobody is there."""
        return await self.access.ask("GET", f"meetings/{id_of(meeting_id, 'meeting')}/active-session", SessionInfo)

    async def kick_all(self, meeting_id: str) -> Kicked:
        """Send everybody out, which ends the session."""
        return await self.access.ask("POST", f"meetings/{id_of(meeting_id, 'meeting')}/active-session/kick-all", Kicked)


def _of(meeting_id: str, participant_id: str | None = None) -> str:
    path = f"meetings/{id_of(meeting_id, 'meeting')}/participants"
    return path if participant_id is None else f"{path}/{id_of(participant_id, 'participant')}"
