"""What RealtimeKit's calls take: a struct for each body and query, with the vendor's bounds. No I/O.

A field that keeps its default is not sent. Source: RealtimeKit, REST API reference (2026).
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, inspect

from receiver.errors import VendorCannot
from receiver.rest.base import Options

T = TypeVar("T", bound=msgspec.Struct)

WebhookEvent = Literal[
    "meeting.started", "meeting.ended", "meeting.participantJoined", "meeting.participantLeft", "meeting.chatSynced",
    "recording.statusUpdate", "livestreaming.statusUpdate", "meeting.transcript", "meeting.summary",
]  # fmt: skip
Language = Literal["en-US", "en-IN", "de", "hi", "sv", "ru", "pl", "el", "fr", "nl"]
SummaryType = Literal[
    "general", "team_meeting", "sales_call", "client_check_in", "interview", "daily_standup", "one_on_one_meeting",
    "lecture", "code_review",
]  # fmt: skip
TranscriptFormat = Literal["CSV", "JSON", "SRT", "VTT"]
Order = Literal["ASC", "DESC"]
PeerFilter = Literal["device_info", "ip_information", "precall_network_information", "events", "quality_stats"]

Text = Annotated[str, Meta(min_length=1)]
Url = Annotated[str, Meta(pattern=r"^https?://[^\s]+$")]
Rtmp = Annotated[str, Meta(pattern=r"^rtmps?://[^\s]+$")]
#: RFC 3339 in UTC, as the vendor's examples have it
Time = Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?Z$")]
#: seconds; one minute to a day
RecordingSeconds = Annotated[int, Meta(ge=60, le=86_400)]
Pixels = Annotated[int, Meta(ge=1)]


class Part(Options, kw_only=True):
    """A part of a body. Its repr shows no value: some of them are secrets."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"


class Transcription(Part, kw_only=True):
    """How the transcript is made. Without ``language`` the vendor's default counts."""

    language: Language | None = None
    keywords: list[Text] | None = None
    profanity_filter: bool | None = None


class Summarization(Part, kw_only=True):
    """How the summary is made."""

    word_limit: Annotated[int, Meta(ge=150, le=1000)] | None = None
    text_format: Literal["plain_text", "markdown"] | None = None
    summary_type: SummaryType | None = None


class AiConfig(Part, kw_only=True):
    """Transcript and summary."""

    transcription: Transcription | None = None
    summarization: Summarization | None = None


class AudioConfig(Part, kw_only=True):
    """The sound of a recording."""

    codec: Literal["MP3", "AAC"] | None = None
    channel: Literal["mono", "stereo"] | None = None
    export_file: bool | None = None


class WatermarkSize(Part, kw_only=True):
    """Pixels."""

    height: Pixels | None = None
    width: Pixels | None = None


class Watermark(Part, kw_only=True):
    """A picture in a corner of a recording."""

    url: Url | None = None
    size: WatermarkSize | None = None
    position: Literal["left top", "right top", "left bottom", "right bottom"] | None = None


class VideoConfig(Part, kw_only=True):
    """The picture of a recording, pixels."""

    codec: Literal["H264", "VP8"] | None = None
    width: Pixels | None = None
    height: Pixels | None = None
    watermark: Watermark | None = None
    export_file: bool | None = None


class BucketConfig(Part, kw_only=True, omit_defaults=False):
    """Whether a recording lies in the vendor's bucket too; without, no link to it is made."""

    enabled: bool = True


class StorageConfig(Part, kw_only=True):
    """The customer's own place for recordings."""

    type: Literal["aws", "azure", "digitalocean", "gcs", "sftp"]
    access_key: str | None = None
    secret: str | None = None
    bucket: str | None = None
    region: str | None = None
    path: str | None = None
    auth_method: Literal["KEY", "PASSWORD"] | None = None
    username: str | None = None
    password: str | None = None
    host: str | None = None
    port: Annotated[int, Meta(ge=1, le=65_535)] | None = None
    private_key: str | None = None


class RtmpConfig(Part, kw_only=True):
    """Where a recording is streamed to."""

    rtmp_url: Rtmp | None = None


class InteractiveConfig(Part, kw_only=True, omit_defaults=False):
    """Timed notes inside a recording."""

    type: Literal["ID3"] = "ID3"


class _Recorded(Part, kw_only=True):
    """What all recordings can be told."""

    max_seconds: RecordingSeconds | None = None
    file_name_prefix: str | None = None
    video_config: VideoConfig | None = None
    audio_config: AudioConfig | None = None
    storage_config: StorageConfig | None = None
    realtimekit_bucket_config: BucketConfig | None = None


class RecordingConfig(_Recorded, kw_only=True):
    """How the recordings of a meeting are made."""

    live_streaming_config: RtmpConfig | None = None


class Meeting(Part, kw_only=True):
    """The body that makes or replaces a meeting. ``session_keep_alive_time_in_secs``: after the last one has left."""

    title: Text | None = None
    record_on_start: bool | None = None
    live_stream_on_start: bool | None = None
    persist_chat: bool | None = None
    transcribe_on_end: bool | None = None
    summarize_on_end: bool | None = None
    session_keep_alive_time_in_secs: Annotated[int, Meta(ge=60, le=600)] | None = None
    ai_config: AiConfig | None = None
    recording_config: RecordingConfig | None = None


class MeetingChange(Meeting, kw_only=True):
    """The body that changes a meeting. Nobody can join one that is ``INACTIVE``."""

    status: Literal["ACTIVE", "INACTIVE"] | None = None


class MeetingOptions(Meeting, kw_only=True):
    """What ``create`` takes: a meeting, and the participant whose token it gives.

    ``preset_name``: one of the app's presets; empty: nobody is added. ``webhook``: have the app's events delivered here
    where they are not yet.
    """

    preset_name: str = "group_call_participant"
    participant_name: str = "Meeting Receiver"
    custom_participant_id: Text = "meeting-receiver"
    picture: Url | None = None
    webhook: bool = True


class Participant(Part, kw_only=True):
    """The body that adds a participant. ``custom_participant_id``: who that is to the customer."""

    custom_participant_id: Text
    preset_name: Text
    name: str | None = None
    picture: Url | None = None


class ParticipantChange(Part, kw_only=True):
    """The body that changes a participant."""

    name: str | None = None
    picture: Url | None = None
    preset_name: Text | None = None


class MeetingQuery(Part, kw_only=True):
    """Which meetings; ``search``: in id and title."""

    search: Text | None = None
    start_time: Time | None = None
    end_time: Time | None = None


class SessionQuery(Part, kw_only=True):
    """Which sessions; ``associated_id``: the meeting's."""

    associated_id: Text | None = None
    status: Literal["LIVE", "ENDED"] | None = None
    start_time: Time | None = None
    end_time: Time | None = None
    participants: Text | None = None
    search: Text | None = None
    sort_by: Literal["minutesConsumed", "createdAt"] | None = None
    sort_order: Order | None = None


class AttendeeQuery(Part, kw_only=True):
    """Who of a session. ``view``: of one with breakout rooms, each room by itself or all together."""

    search: Text | None = None
    sort_by: Literal["joinedAt", "duration"] | None = None
    sort_order: Order | None = None
    view: Literal["raw", "consolidated"] | None = None
    include_peer_events: bool | None = None


class RecordingQuery(Part, kw_only=True):
    """Which recordings."""

    meeting_id: Text | None = None
    status: list[Literal["INVOKED", "RECORDING", "UPLOADING", "UPLOADED"]] | None = None
    expired: bool | None = None
    search: Text | None = None
    start_time: Time | None = None
    end_time: Time | None = None
    sort_by: Literal["invokedTime"] | None = None
    sort_order: Order | None = None


class RecordingStart(_Recorded, kw_only=True):
    """The body that starts a recording, of a meeting or of whatever page ``url`` is."""

    meeting_id: Text | None = None
    url: Url | None = None
    allow_multiple_recordings: bool | None = None
    rtmp_out_config: RtmpConfig | None = None
    interactive_config: InteractiveConfig | None = None


class TrackLayer(Part, kw_only=True):
    """One layer of a track recording."""

    file_name_prefix: str | None = None
    media_kind: Literal["audio"] | None = None


class TrackRecordingStart(Part, kw_only=True):
    """The body that starts a recording of each participant's track."""

    meeting_id: Text
    layers: dict[str, TrackLayer] | None = None
    user_ids: list[Text] | None = None


class WebhookBody(Part, kw_only=True):
    """The body that makes or replaces a webhook."""

    name: Text
    url: Url
    events: Annotated[list[WebhookEvent], Meta(min_length=1)]
    enabled: bool | None = None


class WebhookChange(Part, kw_only=True):
    """The body that changes a webhook."""

    name: Text | None = None
    url: Url | None = None
    events: Annotated[list[WebhookEvent], Meta(min_length=1)] | None = None
    enabled: bool | None = None


def checked(value: T) -> dict[str, Any]:
    """The fields of ``value`` that are to be sent. Raises ``VendorCannot`` that names the field and what is allowed."""
    built = msgspec.to_builtins(value)
    read(type(value), built)
    fields: dict[str, Any] = built
    return {name: field for name, field in fields.items() if field is not None}


def read(shape: type[T], values: Mapping[str, Any]) -> T:
    """``values`` as ``shape``. Raises ``VendorCannot`` that names the field and what is allowed, and no value."""
    try:
        return msgspec.convert(values, shape)
    except msgspec.ValidationError as error:
        problem, _, path = str(error).partition(" - at `$")
        where = path.removesuffix("`").removeprefix(".")
        if problem.startswith("Invalid enum value"):
            problem = f"found another value, allowed {', '.join(_choices(shape, where))}"
        told = problem.partition(", got")[0]
        raise VendorCannot(f"realtimekit: nothing sent: {where + ': ' if where else ''}{told}") from None


def _choices(shape: type[msgspec.Struct], where: str) -> list[str]:
    """What is allowed at a path such as ``ai_config.transcription.language`` or ``events[0]``."""
    level: list[inspect.Type] = [inspect.type_info(shape)]
    for name in re.findall(r"\w+|\[\d+\]|\[\.\.\.\]", where):
        if name.startswith("["):
            level = [one.item_type for one in _plain(level) if isinstance(one, inspect.ListType)]
        else:
            structs = [one for one in _plain(level) if isinstance(one, inspect.StructType)]
            level = [field.type for one in structs for field in one.fields if field.encode_name == name]
    return [str(value) for one in _plain(level) if isinstance(one, inspect.LiteralType) for value in one.values]


def _plain(types: list[inspect.Type]) -> list[inspect.Type]:
    """Each alternative of unions by itself."""
    found: list[inspect.Type] = []
    for one in types:
        found += _plain(list(one.types)) if isinstance(one, inspect.UnionType) else [one]
    return found
