"""What MeetStream answers (OpenAPI and plugin reference, 2026). Nothing is promised, so every key may be missing.

Links carry their own permission: no ``repr`` shows one.
"""

from typing import Any

import msgspec


def _camel(name: str) -> str:
    """The vendor writes one key of its participants with an underscore."""
    first, *others = name.split("_")
    return name if name == "humanized_status" else first + "".join(map(str.capitalize, others))


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Unknown keys are let be."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"


class BotCreated(_Answer, frozen=True, kw_only=True):
    """``create_bot``. ``transcript_id``: none where the provider is live."""

    bot_id: str
    transcript_id: str | None = None
    meeting_url: str | None = None
    status: str | None = None


class BotState(_Answer, frozen=True, kw_only=True):
    """``status``: as in callbacks, and ``MediaProcessing``, ``Scheduled``, ``MediaExpired``."""

    bot_id: str | None = None
    status: str | None = None
    custom_attributes: dict[str, Any] | None = None


class Stage(_Answer, frozen=True, kw_only=True):
    """One of ``StatusTimeline``; ``status``: whether it was reached."""

    message: str | None = None
    status: bool | None = None
    timestamp: str | int | float | None = None


class BotDetails(_Answer, frozen=True, kw_only=True):
    """Keys of ``detail`` and ``summary`` that are of use. ``caption_file`` and ``participant_events`` may be links."""

    BotID: str | None = None
    MeetingLink: str | None = None
    Platform: str | None = None
    Status: str | None = None
    StatusTimeline: dict[str, Stage | bool | str | None] | None = None
    AudioStatus: str | None = None
    TranscriptStatus: str | None = None
    ManifestStatus: str | None = None
    transcript_id: str | None = None
    caption_file: Any = None
    participant_events: Any = None
    custom_attributes: dict[str, Any] | None = None
    RequestPayload: dict[str, Any] | None = None


class Detail(_Answer, frozen=True, kw_only=True):
    """``detail`` and ``summary``."""

    bot_details: BotDetails = BotDetails()


class Audio(_Answer, frozen=True, kw_only=True):
    """``get_audio``; the link holds for an hour."""

    audio_url: str | None = None


class Video(_Answer, frozen=True, kw_only=True):
    """``get_video``; the link holds for ten minutes."""

    video_url: str | None = None
    video_info: dict[str, Any] | None = None


class StreamSegment(_Answer, frozen=True, kw_only=True):
    """A file of one participant: WebM with Opus or VP8; the link holds for ten minutes."""

    segment_index: int | None = None
    url: str | None = None
    filename: str | None = None
    duration_seconds: float | None = None
    sample_rate: int | None = None
    channels: int | None = None
    width: int | None = None
    height: int | None = None
    codec: str | None = None


class Stream(_Answer, frozen=True, kw_only=True):
    """What one device sent."""

    stream_id: str | None = None
    segments: list[StreamSegment] = []


class StreamsOfOne(_Answer, frozen=True, kw_only=True):
    """What one participant sent."""

    participant_name: str | None = None
    streams: list[Stream] = []


class Streams(_Answer, frozen=True, kw_only=True):
    """``get_audio_streams`` and ``get_recording_streams``; only the latter has ``screenshares``."""

    bot_id: str | None = None
    audio_status: str | None = None
    video_status: str | None = None
    participants: list[StreamsOfOne] = []
    screenshares: list[StreamsOfOne] = []
    message: str | None = None


class TimelineChunk(_Answer, frozen=True, kw_only=True, rename="camel"):
    """Who spoke in which bytes of the audio file."""

    chunk_index: int | None = None
    timestamp: str | None = None
    sample_rate: int | None = None
    speaker_id: str | None = None
    speaker_name: str | None = None
    start_byte: int | None = None
    end_byte: int | None = None


class SpeakerTimeline(_Answer, frozen=True, kw_only=True, rename="camel"):
    """``get_speaker_timeline``."""

    chunks: list[TimelineChunk] = []
    last_updated: str | None = None
    audio_file_path: str | None = None
    total_file_size: int | None = None


class Attendee(_Answer, frozen=True, kw_only=True, rename=_camel):
    """One of ``get_participants``. ``parent_device_id``: on a person's further devices only."""

    device_id: str | None = None
    display_name: str | None = None
    full_name: str | None = None
    profile_picture: str | None = None
    status: int | None = None
    humanized_status: str | None = None
    stream_ids: list[str] | None = None
    last_updated: str | None = None
    parent_device_id: str | None = None


class ChatLine(_Answer, frozen=True, kw_only=True, rename="camel"):
    """One of ``get_chats``."""

    message_id: str | None = None
    device_id: str | None = None
    timestamp: str | None = None
    text: str | None = None
    speaker_name: str | None = None
    speaker_display_name: str | None = None


class Chats(_Answer, frozen=True, kw_only=True, rename="camel"):
    """``get_chats``."""

    metadata: dict[str, Any] | None = None
    speakers: list[dict[str, Any]] = []
    chat_messages: list[ChatLine] = []


class Screenshots(_Answer, frozen=True, kw_only=True):
    """``get_screenshots``; nobody documents what one looks like."""

    bot_id: str | None = None
    screenshots_count: int | None = None
    screenshots: list[Any] = []


class TranscriptSegment(_Answer, frozen=True, kw_only=True):
    """One of ``get_transcript``; seconds from the beginning. The text is ``transcript``."""

    speaker: str | int | None = None
    transcript: str | None = None
    start_time: float | None = None
    end_time: float | None = None
    absolute_start_time: str | None = None
    absolute_end_time: str | None = None
    words: list[dict[str, Any]] | None = None


class TranscriptRun(_Answer, frozen=True, kw_only=True):
    """One of ``transcriptions``: ``Success``, ``Processing`` or ``Failed``. Links hold for an hour."""

    transcript_id: str | None = None
    provider: str | None = None
    status: str | None = None
    created_at: str | None = None
    download_urls: dict[str, str | None] | None = None


class TranscriptRuns(_Answer, frozen=True, kw_only=True):
    """``transcriptions``."""

    bot_id: str | None = None
    transcriptions: list[TranscriptRun] = []


class Transcribing(_Answer, frozen=True, kw_only=True):
    """``transcribe``: begun; its one callback follows."""

    bot_id: str | None = None
    transcript_id: str | None = None
    message: str | None = None


class Said(_Answer, frozen=True, kw_only=True):
    """``remove_bot``, ``delete``, ``send_…``, ``pause_recording`` and the like: what was done."""

    bot_id: str | None = None
    status: str | None = None
    command: str | None = None
    message: str | None = None
    deleted_objects: int | None = None


class BotPage(_Answer, frozen=True, kw_only=True, rename="camel"):
    """``GET /bots``."""

    bots: list[dict[str, Any]] = []
    has_next_page: bool = False
    next_cursor: str | None = None
