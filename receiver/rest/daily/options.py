"""What Daily takes: the fields of a room with their bounds, and those of a transcription (docs.daily.co, rooms, create
and configuration; rooms, transcription, start; 2026)."""

from typing import Annotated, Any, Literal

import msgspec

from receiver.rest.base import Options

_Whole = Annotated[int, msgspec.Meta(ge=0)]
_Moment = Annotated[int, msgspec.Meta(gt=0, lt=100_000_000_000, description="Unix time in seconds, not milliseconds")]
_Template = Annotated[
    str, msgspec.Meta(max_length=1024, pattern=r"^[0-9A-Za-z./{}_-]*\{epoch_time\}[0-9A-Za-z./{}_-]*$")
]
_Region = Literal[
    "af-south-1", "ap-northeast-2", "ap-southeast-1", "ap-southeast-2", "ap-south-1", "eu-central-1", "eu-west-2",
    "sa-east-1", "us-east-1", "us-west-2",
]  # fmt: skip
_Language = Literal[
    "da", "de", "en", "es", "fi", "fr", "it", "jp", "ka", "nl", "no", "pt", "pt-BR", "pl", "ru", "sv", "tr", "user",
]  # fmt: skip


class Bucket(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """An S3 bucket of the customer's."""

    bucket_name: str
    bucket_region: str
    assume_role_arn: str
    allow_api_access: bool | None = None
    allow_streaming_from_bucket: bool | None = None


class Dialout(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How a room dials out. ``max_idle_timeout_sec``: how long somebody who was called may be alone."""

    allow_room_start: bool | None = None
    dialout_geo: _Region | None = None
    max_idle_timeout_sec: Annotated[float, msgspec.Meta(ge=0)] | None = None


class Transcription(Options, kw_only=True):
    """How a transcription runs; ``extra`` is anything that the recogniser takes."""

    language: str | None = None
    model: str | None = None
    tier: str | None = None
    profanity_filter: bool | None = None
    punctuate: bool | None = None
    endpointing: bool | float | None = None
    redact: bool | list[str] | None = None
    extra: dict[str, Any] | None = None
    includeRawResponse: bool | None = None  # noqa: N815 - the vendor's spelling
    instanceId: str | None = None  # noqa: N815 - the vendor's spelling
    participants: list[str] | None = None


class RoomOptions(Options, kw_only=True):
    """A room. ``name`` and ``privacy`` stand beside the rest, which the vendor calls its properties. What is not given
    is as the domain has it; without a name the vendor makes one up."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_-]+$")] | None = None
    privacy: Literal["public", "private"] | None = None
    nbf: _Moment | None = None
    exp: _Moment | None = None
    max_participants: Annotated[int, msgspec.Meta(ge=1, le=100_000)] | None = None
    enable_people_ui: bool | None = None
    enable_pip_ui: bool | None = None
    enable_emoji_reactions: bool | None = None
    enable_hand_raising: bool | None = None
    enable_prejoin_ui: bool | None = None
    enable_live_captions_ui: bool | None = None
    enable_network_ui: bool | None = None
    enable_noise_cancellation_ui: bool | None = None
    enable_breakout_rooms: bool | None = None
    enable_knocking: bool | None = None
    enable_screenshare: bool | None = None
    enable_video_processing_ui: bool | None = None
    enable_chat: bool | None = None
    enable_shared_chat_history: bool | None = None
    enable_advanced_chat: bool | None = None
    enable_hidden_participants: bool | None = None
    enable_mesh_sfu: bool | None = None
    enable_adaptive_simulcast: bool | None = None
    enable_multiparty_adaptive_simulcast: bool | None = None
    enable_terse_logging: bool | None = None
    enable_recording: Literal["cloud", "cloud-audio-only", "local", "raw-tracks"] | None = None
    enable_transcription_storage: bool | None = None
    enable_dialout: bool | None = None
    start_video_off: bool | None = None
    start_audio_off: bool | None = None
    owner_only_broadcast: bool | None = None
    eject_at_room_exp: bool | None = None
    eject_after_elapsed: _Whole | None = None
    sfu_switchover: Annotated[float, msgspec.Meta(gt=0)] | None = None
    enforce_unique_user_ids: bool | None = None
    experimental_optimize_large_calls: bool | None = None
    lang: _Language | None = None
    meeting_join_hook: Annotated[str, msgspec.Meta(max_length=255)] | None = None
    geo: _Region | None = None
    rtmp_geo: Literal["us-west-2", "eu-central-1", "ap-south-1"] | None = None
    disable_rtmp_geo_fallback: bool | None = None
    recordings_bucket: Bucket | None = None
    recordings_template: _Template | None = None
    transcription_bucket: Bucket | None = None
    transcription_template: _Template | None = None
    auto_start_transcription: bool | None = None
    auto_transcription_settings: Transcription | None = None
    dialout_config: Dialout | None = None
    streaming_endpoints: list[dict[str, Any]] | None = None
    permissions: dict[str, Any] | None = None

    def __repr__(self) -> str:
        return "RoomOptions(…)"

    def body(self, *, with_name: bool = True) -> dict[str, Any]:
        """As the vendor takes it. ``with_name``: a room that is there keeps its name."""
        told: dict[str, Any] = msgspec.to_builtins(self)
        body: dict[str, Any] = {key: told.pop(key) for key in ("name", "privacy") if key in told}
        if not with_name:
            body.pop("name", None)
        return {**body, "properties": told} if told else body
