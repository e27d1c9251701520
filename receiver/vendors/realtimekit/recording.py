"""What ``recording.statusUpdate`` tells: a status, or, once it is uploaded or has failed, an artifact.

Source: RealtimeKit, webhooks and monitoring a recording's status; Dyte, webhook events (2026).
"""

from typing import Any

import msgspec

from receiver.events import Artifact, Data, RecordingStatus
from receiver.vendors.realtimekit.tracks import TrackFile, track_files
from receiver.vendors.realtimekit.wire import Number, moment, number, seconds_between
from receiver.vendors.wire import not_blank

_STATUSES: dict[str, Any] = {
    "INVOKED": "requested",
    "RECORDING": "recording",
    "PAUSED": "paused",
    "UPLOADING": "uploading",
    "STOPPED": "stopped",
}
_AT = "$.recording"


class Recording(msgspec.Struct):
    """The keys that are read; ``id`` and ``recordingId`` are the same, all may be missing or null."""

    id: str | None = None
    recordingId: str | None = None  # noqa: N815 - the vendor's spelling
    status: str | None = None
    meetingId: str | None = None  # noqa: N815 - the vendor's spelling
    roomUUID: str | None = None  # noqa: N815 - the vendor's spelling
    startedTime: str | None = None  # noqa: N815 - the vendor's spelling
    stoppedTime: str | None = None  # noqa: N815 - the vendor's spelling
    downloadUrl: str | list[Any] | None = None  # noqa: N815 - the vendor's spelling
    audioDownloadUrl: str | None = None  # noqa: N815 - the vendor's spelling
    downloadUrlExpiry: str | None = None  # noqa: N815 - the vendor's spelling
    fileSize: Number | None = None  # noqa: N815 - the vendor's spelling
    recordingDuration: Number | None = None  # noqa: N815 - the vendor's spelling
    #: single-quoted, looks like JSON and is none: a text; of any other type it is not read
    stopReason: Any = None  # noqa: N815 - the vendor's spelling


class Meaning(msgspec.Struct):
    """What becomes one event. ``part`` tells it from the others of its delivery; ``once``: it cannot happen again."""

    type: str
    data: Data
    timestamp: str | None = None
    once: bool = True
    part: str = ""


def recording_meanings(told: Recording) -> list[Meaning]:
    """The events of one update; none where its status is unknown. Raises ``Malformed``.

    An upload to the customer's own bucket has no URL. A recording of tracks has a list of files: one event each. The
    vendor tells when a recording began and stopped, never when it was asked for, uploaded or given up.
    """
    status = (told.status or "").upper()
    if status == "UPLOADED":
        return _uploaded(told)
    if status == "ERRORED":
        return [Meaning("artifact.failed", Artifact(kind="recording", id=_id(told), message=_stop_reason(told)))]
    if status not in _STATUSES:
        return []
    data = RecordingStatus(status=_STATUSES[status], recording=_id(told))
    when = {"RECORDING": told.startedTime, "UPLOADING": told.stoppedTime}.get(status)
    return [Meaning("recording.status", data, when, once=False)]


def _uploaded(told: Recording) -> list[Meaning]:
    duration_s = _duration_s(told)
    size = number(told.fileSize, f"{_AT}.fileSize")
    expires_at = moment(told.downloadUrlExpiry)
    whole = Artifact(
        kind="recording",
        id=_id(told),
        url=not_blank(told.downloadUrl) if isinstance(told.downloadUrl, str) else None,
        expires_at=expires_at,
        message=_stop_reason(told),
        duration_s=duration_s,
        size_bytes=None if size is None else int(size),
    )
    files: list[TrackFile] = []
    if isinstance(told.downloadUrl, list):
        files = track_files(told.downloadUrl, f"{_AT}.downloadUrl")
    if files:
        found = [_of_track(file, _id(told), expires_at) for file in files]
    else:
        found = [Meaning("artifact.ready", whole, part="recording")]
    if audio_url := not_blank(told.audioDownloadUrl):
        sound = Artifact(kind="audio", id=_id(told), url=audio_url, expires_at=expires_at, duration_s=duration_s)
        found.append(Meaning("artifact.ready", sound, part="audio"))
    return found


def _of_track(file: TrackFile, recording: str | None, expires_at: str | None) -> Meaning:
    data = Artifact(kind="recording", id=recording, url=file.url or None, expires_at=expires_at, message=file.name)
    return Meaning("artifact.ready", data, part=f"{file.layer}/{file.name}")


def _id(told: Recording) -> str | None:
    return not_blank(told.id) or not_blank(told.recordingId)


def _duration_s(told: Recording) -> float | None:
    """A duration of 0 stands on recordings that have one; then the times tell it."""
    duration_s = number(told.recordingDuration, f"{_AT}.recordingDuration")
    return float(duration_s) if duration_s else seconds_between(told.startedTime, told.stoppedTime)


def _stop_reason(told: Recording) -> str | None:
    return not_blank(told.stopReason) if isinstance(told.stopReason, str) else None
