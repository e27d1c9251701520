"""What ``create_bot`` takes, with its bounds (OpenAPI and plugin reference, 2026; the seed page's fields too).

Providers have only those of their settings typed whose kind is documented; each provider takes its service's others
as they are. What is ``None`` is not sent: the vendor's default holds.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from receiver.rest.base import Options

Text = Annotated[str, Meta(min_length=1)]
WebUrl = Annotated[str, Meta(pattern=r"^https?://[^/?#\s]+")]
SocketUrl = Annotated[str, Meta(pattern=r"^wss?://[^/?#\s]+")]
#: called by the vendor when the bot joins; it takes no other scheme
MintUrl = Annotated[str, Meta(pattern=r"^https://[^/?#\s]+", max_length=4096)]
Moment = Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d")]
Seconds = Annotated[int, Meta(ge=0)]
#: settings of a transcription service
Settings = dict[str, Any]
#: a live transcript needs one of these
STREAMING = frozenset({
    "deepgram_streaming", "assemblyai_streaming", "jigsawstack_streaming", "meetstream_streaming", "meeting_captions",
})  # fmt: skip


class _Part(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """An object within the body."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"


class Socket(_Part):
    """Where the bot connects to."""

    websocket_url: SocketUrl


class LiveTranscription(_Part):
    """Where live transcripts go. ``websocket_url``: of older accounts; the reference has it no more."""

    webhook_url: WebUrl | None = None
    websocket_url: SocketUrl | None = None


class Provider(_Part):
    """Exactly one transcription service. Those with ``_streaming`` and the captions are live, the others after it."""

    deepgram: Settings | None = None
    assemblyai: Settings | None = None
    sarvam: Settings | None = None
    jigsawstack: Settings | None = None
    meetstream: Settings | None = None
    deepgram_streaming: Settings | None = None
    assemblyai_streaming: Settings | None = None
    jigsawstack_streaming: Settings | None = None
    meetstream_streaming: Settings | None = None
    meeting_captions: Settings | None = None

    def __post_init__(self) -> None:
        if len(self.named()) != 1:
            raise ValueError("exactly one provider is allowed")

    def named(self) -> list[str]:
        """The services that are set."""
        return [name for name in self.__struct_fields__ if getattr(self, name) is not None]


class TranscriptConfig(_Part):
    """``provider``: who transcribes."""

    provider: Provider


class Retention(_Part, kw_only=True, omit_defaults=False):
    """How long media are kept; without it the account's default holds."""

    type: Literal["timed"] = "timed"
    hours: Annotated[int, Meta(ge=1)]


class RealtimeEndpoint(_Part, kw_only=True, omit_defaults=False):
    """Where who comes and goes is told. A URL that the vendor cannot reach makes the whole call fail."""

    type: Text = "webhook"
    url: WebUrl
    events: list[Text]


class RecordingConfig(_Part):
    """What is recorded, how it is transcribed, and how long it is kept."""

    transcript: TranscriptConfig | None = None
    retention: Retention | None = None
    realtime_endpoints: list[RealtimeEndpoint] | None = None
    video_layout: Literal["speaker_view", "grid_view"] | None = None
    audio_separate_streams: bool | None = None
    video_separate_streams: bool | None = None


class BotDetection(_Part):
    """By which names other bots are known, so that the bot does not stay with none but them."""

    using_participant_names: Any = None


class AutomaticLeave(_Part):
    """When the bot leaves by itself, in seconds. Vendor's defaults: 600, 600, 300, 100, 14400, 60 (Zoom only)."""

    waiting_room_timeout: Seconds | None = None
    no_one_joined_timeout: Seconds | None = None
    everyone_left_timeout: Seconds | None = None
    voice_inactivity_timeout: Seconds | None = None
    in_call_recording_timeout: Annotated[int, Meta(ge=600, le=18000)] | None = None
    recording_permission_denied_timeout: Annotated[int, Meta(ge=60, le=300)] | None = None
    bot_detection: BotDetection | None = None


class SignIn(_Part):
    """A bot that joins as a signed-in user of Google Meet or Teams."""

    login_required: bool | None = None
    google_login_domain: Text | None = None
    teams_login_domain: Text | None = None
    sign_in_email: Text | None = None
    strict_email: bool | None = None


class Zoom(_Part):
    """A bot that joins Zoom as a user: one URL of yours that gives the token when the bot joins."""

    zak_url: MintUrl | None = None
    obf_url: MintUrl | None = None

    def __post_init__(self) -> None:
        if self.zak_url is not None and self.obf_url is not None:
            raise ValueError("zak_url and obf_url exclude each other")


class MeetStreamOptions(Options, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Every field of ``create_bot``. ``bot_name``: ``Notetaker`` where none is given. URLs that are given outweigh the
    wiring. ``audio_required`` and ``transcription`` are of the oldest documents; today's API ignores them."""

    meeting_link: Text
    bot_name: Text | None = None
    audio_required: bool | None = None
    video_required: bool | None = None
    bot_message: Text | None = None
    bot_image_url: WebUrl | None = None
    callback_url: WebUrl | None = None
    join_at: Moment | None = None
    #: text values are safe; others were seen refused by some accounts and taken by others
    custom_attributes: dict[str, Any] | None = None
    deduplication_key: Text | None = None
    live_audio_required: Socket | None = None
    live_video_required: Socket | None = None
    live_transcription_required: LiveTranscription | None = None
    #: an object today, a bare URL in the oldest documents
    socket_connection_url: Socket | SocketUrl | None = None
    recording_config: RecordingConfig | None = None
    audio_separate_streams: bool | None = None
    video_separate_streams: bool | None = None
    automatic_leave: AutomaticLeave | None = None
    google_meet: SignIn | None = None
    teams: SignIn | None = None
    zoom: Zoom | None = None
    agent_config_id: Text | None = None
    workflow_config_ids: list[Text] | None = None
    transcription: dict[str, Any] | None = None

    def __repr__(self) -> str:
        return f"MeetStreamOptions({', '.join(sorted(msgspec.to_builtins(self)))})"
