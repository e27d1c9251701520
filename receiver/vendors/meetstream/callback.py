"""MeetStream's lifecycle and post-call callbacks, all three generations of the envelope, and ``data_deletion``.

Generation 1 (oldest docs) names nothing but a status, generation 2 (docs Feb-May 2026) has ``event``, generation 3
(from June 2026) ``event`` and ``bot_event``. ``status_code`` decides nothing: 500 stands on clean exits too.
"""

from typing import Any

import msgspec

from receiver.events import Artifact, ArtifactKind, BotStatus, BotStatusName, Data, DataDeleted, ExitReason
from receiver.record import Decoded
from receiver.vendors.meetstream.wire import attributes
from receiver.vendors.wire import Delivery, timed_key, typed

#: event name -> status. Every exit is ``stopped``; its name may tell the reason.
STATUSES: dict[str, BotStatusName] = {
    "bot.scheduled": "scheduled",
    "bot.joining": "joining",
    "bot.in_waiting_room": "waiting_room",
    "bot.inmeeting": "in_meeting",
    "bot.recording_permission_allowed": "recording_permission_allowed",
    "bot.recording_permission_denied": "recording_permission_denied",
    "bot.recording": "recording",
    "bot.error": "error",
    "bot.leaving": "leaving",
    "bot.stopped": "stopped",
    "bot.kicked": "stopped",
    "bot.notallowed": "stopped",
    "bot.denied": "stopped",
    "bot.failed": "stopped",
    "bot.uploading": "uploading",
    "bot.done": "done",
}
#: event name -> kind of the artifact, type of the event, and the key that may say ``Failed`` all the same
ARTIFACTS: dict[str, tuple[ArtifactKind, str, str]] = {
    "manifest.completed": ("manifest", "artifact.ready", "manifest_status"),
    "manifest.skipped": ("manifest", "artifact.skipped", ""),
    "audio.processed": ("audio", "artifact.ready", "audio_status"),
    "audio.skipped": ("audio", "artifact.skipped", ""),
    "audio.failed": ("audio", "artifact.failed", ""),
    "transcription.processed": ("transcript", "artifact.ready", "transcript_status"),
    "transcription.failed": ("transcript", "artifact.failed", ""),
    "transcription.skipped": ("transcript", "artifact.skipped", ""),
    "bot.transcriptionready": ("transcript", "artifact.ready", "transcript_status"),
    "video.processed": ("video", "artifact.ready", "video_status"),
    "video.failed": ("video", "artifact.failed", ""),
}
DATA_DELETION = "data_deletion"
NAMES = frozenset({*STATUSES, *ARTIFACTS, DATA_DELETION})

_REASON_OF_NAME: dict[str, ExitReason] = {
    "bot.kicked": "kicked",
    "bot.notallowed": "not_admitted",
    "bot.denied": "denied",
    "bot.failed": "failed",
}
_REASON_OF_STATUS: dict[str, ExitReason] = {
    "notallowed": "not_admitted",
    "denied": "denied",
    "failed": "failed",
    "error": "failed",
}
_FAILED = frozenset({"failed", "error"})
#: generation 1 names no event: what its ``bot_status`` stands for, in lower case
_NAME_OF_STATUS = {
    "scheduled": "bot.scheduled",
    "joining": "bot.joining",
    "inwaitingroom": "bot.in_waiting_room",
    "inmeeting": "bot.inmeeting",
    "recordingpermissionallowed": "bot.recording_permission_allowed",
    "recordingpermissiondenied": "bot.recording_permission_denied",
    "recording": "bot.recording",
    "leaving": "bot.leaving",
    "stopped": "bot.stopped",
    "notallowed": "bot.stopped",
    "denied": "bot.stopped",
    "failed": "bot.stopped",
    "error": "bot.stopped",
    "done": "bot.done",
}
_NAME_OF_KEY = {
    "audio_status": "audio.processed",
    "transcript_status": "transcription.processed",
    "video_status": "video.processed",
    "manifest_status": "manifest.completed",
}


class Callback(msgspec.Struct):
    """The keys of a callback that are read; all may be missing or null."""

    event: str | None = None
    bot_event: str | None = None
    bot_id: str | None = None
    bot_status: str | None = None
    message: str | None = None
    status_code: int | None = None
    timestamp: str | None = None
    custom_attributes: dict[str, Any] | None = None
    status: str | None = None
    manifest_status: str | None = None
    audio_status: str | None = None
    transcript_status: str | None = None
    video_status: str | None = None
    deleted_objects: int | None = None


def resolve(callback: Callback) -> str:
    """The known name that says what happened: the generic one, else the specific one, else inferred; empty if none."""
    for name in (callback.event, callback.bot_event):
        if name in NAMES:
            return name
    if callback.event or callback.bot_event:
        return ""
    for key, name in _NAME_OF_KEY.items():
        if getattr(callback, key):
            return name
    return _NAME_OF_STATUS.get((callback.bot_status or "").lower(), "")


def decode_callback(body: dict[str, Any], delivery: Delivery) -> Decoded | None:
    """The event of a callback; ``None`` where no name is known and none can be inferred. Raises ``Malformed``."""
    callback = typed(body, Callback)
    name = resolve(callback)
    if not name:
        return None
    type_, data = _meaning(name, callback)
    data.attributes = attributes(callback.custom_attributes)
    subject = callback.bot_id or delivery.subject
    specific = callback.bot_event or callback.event or ""
    key = None
    if callback.timestamp:
        told = (callback.event, callback.bot_event) if specific else (name, callback.bot_status)
        key = timed_key("callback", subject, *told, callback.timestamp)
    return delivery.decoded(type_, data, subject=subject, timestamp=callback.timestamp, name=specific, key=key)


def _meaning(name: str, callback: Callback) -> tuple[str, Data]:
    if name == DATA_DELETION:
        ok = None if callback.status is None else callback.status.lower() == "success"
        return "data.deleted", DataDeleted(objects=callback.deleted_objects, ok=ok)
    if name in ARTIFACTS:
        kind, type_, key = ARTIFACTS[name]
        if key and ((getattr(callback, key) or callback.status or "").lower() in _FAILED):
            type_ = "artifact.failed"
        return type_, Artifact(kind=kind, message=callback.message or None)
    status = STATUSES[name]
    return "bot.status", BotStatus(
        status=status,
        reason=_exit_reason(callback) if status == "stopped" else None,
        final=status in ("stopped", "done"),
        message=callback.message or None,
        code=callback.status_code,
    )


def _exit_reason(callback: Callback) -> ExitReason:
    """The specific name decides where it tells a reason, else ``bot_status`` in any case of its letters."""
    specific = callback.bot_event or callback.event or ""
    return _REASON_OF_NAME.get(specific) or _REASON_OF_STATUS.get((callback.bot_status or "").lower(), "left")
