"""What RealtimeKit's calls answer, typed. The vendor leaves out what it does not know, so everything may be missing.

Links and tokens are secrets: no repr shows them. Source: RealtimeKit, REST API reference (2026).
"""

from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T")


class Paging(msgspec.Struct, frozen=True):
    """Places in the whole list, of the first and the last item of a page."""

    start_offset: int | None = None
    end_offset: int | None = None
    total_count: int | None = None


class Answer(msgspec.Struct, Generic[T], frozen=True):
    """The envelope."""

    data: T
    success: bool | None = None
    paging: Paging | None = None


class _Told(msgspec.Struct, frozen=True, kw_only=True):
    id: str = ""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id})"


class MeetingInfo(_Told, frozen=True, kw_only=True):
    """A meeting: the room, which may be used again and again."""

    title: str | None = None
    status: str | None = None
    created_at: str | None = None
    updated_at: str | None = None
    record_on_start: bool | None = None
    live_stream_on_start: bool | None = None
    persist_chat: bool | None = None
    transcribe_on_end: bool | None = None
    summarize_on_end: bool | None = None
    session_keep_alive_time_in_secs: float | None = None
    ai_config: dict[str, Any] | None = None
    recording_config: dict[str, Any] | None = None


class ParticipantInfo(_Told, frozen=True, kw_only=True):
    """Somebody who was added to a meeting. ``token``: with what to join, told when it is made."""

    token: str = ""
    name: str | None = None
    picture: str | None = None
    custom_participant_id: str | None = None
    preset_name: str | None = None
    preset_id: str | None = None
    created_at: str | None = None
    updated_at: str | None = None


class SessionInfo(_Told, frozen=True, kw_only=True):
    """One time that a meeting was held; ``associated_id`` is the meeting's."""

    associated_id: str | None = None
    meeting_display_name: str | None = None
    status: str | None = None
    type: str | None = None
    created_at: str | None = None
    started_at: str | None = None
    ended_at: str | None = None
    updated_at: str | None = None
    live_participants: int | None = None
    max_concurrent_participants: int | None = None
    minutes_consumed: float | None = None
    organization_id: str | None = None
    breakout_rooms: list[Any] | None = None
    meta: Any = None


class Attendee(_Told, frozen=True, kw_only=True):
    """One connection to a session; ``id`` is the peer's, ``duration`` minutes. The rest: where it was asked for."""

    custom_participant_id: str | None = None
    display_name: str | None = None
    user_id: str | None = None
    preset_name: str | None = None
    joined_at: str | None = None
    left_at: str | None = None
    created_at: str | None = None
    updated_at: str | None = None
    duration: float | None = None
    role: str | None = None
    peer_events: list[Any] | None = None
    peer_stats: dict[str, Any] | None = None
    peer_report: dict[str, Any] | None = None
    quality_stats: dict[str, Any] | list[Any] | None = None


class Link(msgspec.Struct, frozen=True):
    """Where a file lies, for whoever has ``url``, until ``expires_at``."""

    url: str
    expires_at: str | None = None
    session: str | None = None

    def __repr__(self) -> str:
        return f"Link({self.session})"


class LinkAnswer(msgspec.Struct, frozen=True):
    """A link in either spelling: a summary's is in camel case."""

    sessionId: str | None = None  # noqa: N815 - the vendor's spelling
    session_id: str | None = None
    transcript_download_url: str | None = None
    transcript_download_url_expiry: str | None = None
    summary_download_url: str | None = None
    summary_download_url_expiry: str | None = None
    chat_download_url: str | None = None
    chat_download_url_expiry: str | None = None
    transcriptDownloadUrl: str | None = None  # noqa: N815 - the vendor's spelling
    transcriptDownloadUrlExpiry: str | None = None  # noqa: N815 - the vendor's spelling
    summaryDownloadUrl: str | None = None  # noqa: N815 - the vendor's spelling
    summaryDownloadUrlExpiry: str | None = None  # noqa: N815 - the vendor's spelling
    chatDownloadUrl: str | None = None  # noqa: N815 - the vendor's spelling
    chatDownloadUrlExpiry: str | None = None  # noqa: N815 - the vendor's spelling

    def link(self, kind: str) -> Link | None:
        """The link to what is of ``kind``; ``None``: there is none yet."""
        for url, expiry in ((f"{kind}_download_url", f"{kind}_download_url_expiry"),
                            (f"{kind}DownloadUrl", f"{kind}DownloadUrlExpiry")):  # fmt: skip
            if found := getattr(self, url):
                return Link(found, getattr(self, expiry), self.sessionId or self.session_id)
        return None

    def __repr__(self) -> str:
        return f"LinkAnswer({self.sessionId or self.session_id})"


class TrackLink(msgspec.Struct, frozen=True):
    """Where one file of a track recording lies."""

    download_url: str | None = None

    def __repr__(self) -> str:
        return "TrackLink(…)"


class TrackLayerInfo(msgspec.Struct, frozen=True):
    """The files of one layer, by name."""

    layer_name: str | None = None
    download_urls: dict[str, TrackLink] | None = None


class StopReason(msgspec.Struct, frozen=True):
    """``API_CALL``, ``INTERNAL_ERROR`` or ``ALL_PEERS_LEFT``; ``RECORD_ON_START`` where it is why it began."""

    reason: str | None = None
    caller: dict[str, Any] | None = None


class RecordingInfo(_Told, frozen=True, kw_only=True):
    """A recording. ``download_url``: a link, or the layers of a track recording. Seconds, bytes."""

    status: str | None = None
    download_url: str | list[TrackLayerInfo] | None = None
    audio_download_url: str | None = None
    download_url_expiry: str | None = None
    file_size: float | str | None = None
    recording_duration: float | str | None = None
    output_file_name: str | None = None
    session_id: str | None = None
    invoked_time: str | None = None
    started_time: str | None = None
    stopped_time: str | None = None
    start_reason: StopReason | None = None
    stop_reason: StopReason | str | None = None
    meeting: MeetingInfo | None = None

    @property
    def files(self) -> dict[str, str]:
        """The links, by file name: of tracks each one, else of the recording and of its sound."""
        if isinstance(self.download_url, list):
            named = [pair for layer in self.download_url for pair in (layer.download_urls or {}).items()]
            return {name: link.download_url for name, link in named if link.download_url}
        found = {self.output_file_name or "recording": self.download_url, "audio": self.audio_download_url}
        return {name: url for name, url in found.items() if url}


class WebhookInfo(_Told, frozen=True, kw_only=True):
    """A webhook; its ``url`` may hold a token."""

    name: str | None = None
    url: str = ""
    events: list[str] = []
    enabled: bool | None = None
    created_at: str | None = None
    updated_at: str | None = None


class LivestreamInfo(_Told, frozen=True, kw_only=True):
    """The livestream of a session; seconds."""

    livestream_id: str | None = None
    err_message: str | None = None
    ingest_seconds: float | None = None
    viewer_seconds: float | None = None
    started_time: str | None = None
    stopped_time: str | None = None
    created_at: str | None = None
    updated_at: str | None = None


class AttendeeAnswer(msgspec.Struct, frozen=True):
    """One participant of a session."""

    participant: Attendee = Attendee()


class Kicked(msgspec.Struct, frozen=True):
    """What sending everybody out did."""

    action: str | None = None
    kicked_participants_count: int | None = None
