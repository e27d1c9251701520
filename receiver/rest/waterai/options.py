"""What Water AI takes: the fields of a meeting with their bounds (docs.waterr.ai, API reference, meetings, 2026)."""

from typing import Annotated, Any, Literal

import msgspec

from receiver.rest.base import Options

_Id = Annotated[int, msgspec.Meta(ge=1)]
_Name = Annotated[str, msgspec.Meta(min_length=1)]
_Email = Annotated[str, msgspec.Meta(pattern=r"^[^@\s]+@[^@\s]+$")]


class MeetingOptions(Options, kw_only=True):
    """What ``POST /meetings`` takes. The defaults in these comments are the vendor's, which are not sent."""

    person_name: _Name
    scenario_id: _Id
    meeting_type: Literal["regular", "end-user"] | None = None
    voice_id: str | None = None
    voice_vendor: Literal["elevenlabs", "azure", "cartesia"] | None = None
    end_user_id: _Id | None = None
    language: _Name | None = None  # English
    welcome_message: str | None = None
    allow_recording: bool | None = None  # true
    allow_transcription: bool | None = None  # false: then there is never a transcript
    allow_chat: bool | None = None
    allow_screen_share: bool | None = None
    allow_participant_video: bool | None = None  # false
    allow_participant_audio: bool | None = None  # true
    max_participants: Annotated[int, msgspec.Meta(ge=1)] | None = None  # no limit
    waiting_room_enabled: bool | None = None
    auto_admit: bool | None = None
    meeting_duration_minutes: Annotated[int, msgspec.Meta(ge=1)] | None = None  # the scenario's, else 30
    deep_think: bool | None = None
    is_live_llm_service: bool | None = None
    use_gpt_vision: bool | None = None
    allow_web_search: bool | None = None
    use_own_keys: bool | None = None


class DynamicOptions(Options, kw_only=True):
    """What ``POST /meetings/create-dynamic-meeting`` takes: it makes or finds the end user, who is nobody without an
    address."""

    scenario_id: _Id
    email: _Email | None = None
    first_name: str | None = None
    last_name: str | None = None
    person_name: _Name | None = None
    user_metadata: dict[str, Any] | None = None


class CreateOptions(MeetingOptions, kw_only=True):
    """Either of them: a dynamic meeting where ``dynamic`` says so."""

    person_name: _Name | None = None  # type: ignore[assignment]
    dynamic: bool = False
    email: _Email | None = None
    first_name: str | None = None
    last_name: str | None = None
    user_metadata: dict[str, Any] | None = None
