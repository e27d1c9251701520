"""What a request to the stand-in for Water AI may ask for, and the vendor's words where it may not."""

import json
from typing import Any

from aiohttp import web

#: parameter -> its type and its default
PARAMETERS: dict[str, tuple[type, Any]] = {
    "person_name": (str, None), "scenario_id": (int, None), "meeting_type": (str, "regular"), "voice_id": (str, None),
    "voice_vendor": (str, None), "end_user_id": (int, None), "language": (str, "English"),
    "welcome_message": (str, None), "allow_recording": (bool, True), "allow_transcription": (bool, False),
    "allow_chat": (bool, True), "allow_screen_share": (bool, False), "allow_participant_video": (bool, False),
    "allow_participant_audio": (bool, True), "max_participants": (int, None), "waiting_room_enabled": (bool, False),
    "auto_admit": (bool, True), "meeting_duration_minutes": (int, 30), "deep_think": (bool, False),
    "is_live_llm_service": (bool, False), "use_gpt_vision": (bool, False), "allow_web_search": (bool, False),
    "use_own_keys": (bool, False),
}  # fmt: skip
DYNAMIC: dict[str, type] = {
    "scenario_id": int, "email": str, "first_name": str, "last_name": str, "person_name": str, "user_metadata": dict,
}  # fmt: skip
_CHOICES = {"meeting_type": ("regular", "end-user"), "voice_vendor": ("elevenlabs", "azure", "cartesia")}


class Refusal(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, message: str, details: str) -> None:
        super().__init__(message)
        self.status, self.details = status, details


def error_answer(status: int, message: str, details: str) -> web.Response:
    """An answer that is no success."""
    return web.json_response({"status": "error", "message": message, "details": details}, status=status)


async def fields_of(request: web.Request, known: dict[str, type]) -> dict[str, Any]:
    """The body, held against the types of what is known."""
    try:
        body = json.loads(await request.read())
    except ValueError:
        raise Refusal(400, "Invalid JSON", "the body is no JSON") from None
    if not isinstance(body, dict):
        raise Refusal(400, "Validation failed", "expected an object")
    for name, value in body.items():
        type_ = known.get(name)
        if type_ is None:
            raise Refusal(400, "Validation failed", f"{name} is not allowed")
        if not isinstance(value, type_) or (type_ is int and isinstance(value, bool)):
            raise Refusal(400, "Validation failed", f"{name} has to be of type {type_.__name__}")
        if value not in _CHOICES.get(name, (value,)):
            raise Refusal(400, "Validation failed", f"{name} has to be one of {', '.join(_CHOICES[name])}")
    return body


def whole(text: str) -> int:
    """An id of a path."""
    if not text.isdecimal():
        raise Refusal(400, "Validation failed", "an id is a whole number")
    return int(text)
