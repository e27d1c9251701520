"""What the REST API answers about recordings, one or a list of them. It means what a webhook with the same facts would.

Source: RealtimeKit, REST API, recordings; track recording (2026).
"""

from typing import Any

import msgspec

from receiver.errors import Malformed
from receiver.events import Artifact, Event, FetchedArtifact
from receiver.record import Record
from receiver.vendors.realtimekit.recording import Meaning, Recording, recording_meanings
from receiver.vendors.realtimekit.tracks import track_files
from receiver.vendors.realtimekit.wire import Number, number
from receiver.vendors.replies import Seen, reply_event, seen_of
from receiver.vendors.wire import not_blank, read_object, require_shallow, typed


class _Meeting(msgspec.Struct):
    id: str | None = None


class _Recording(msgspec.Struct):
    id: str | None = None
    status: str | None = None
    download_url: str | list[Any] | None = None
    audio_download_url: str | None = None
    download_url_expiry: str | None = None
    file_size: Number | None = None
    recording_duration: Number | None = None
    output_file_name: str | None = None
    session_id: str | None = None
    started_time: str | None = None
    stopped_time: str | None = None
    stop_reason: Any = None
    meeting: _Meeting | None = None


def recording_events(record: Record) -> list[Event] | None:
    """Each file of each recording that was uploaded; of one that was not, what the answer says of it.

    Of the vendor's own record: only what was not told as ready or failed. ``None``: it tells of no recording. Raises
    ``Malformed``.
    """
    body = read_object(record.payload)
    require_shallow(body)
    data = body.get("data")
    items = data if isinstance(data, list) else [data] if isinstance(data, dict) else []
    if not items:
        return None
    seen = seen_of(record)
    events: list[Event] = []
    for index, item in enumerate(items):
        at = f"$.data[{index}]" if isinstance(data, list) else "$.data"
        if not isinstance(item, dict):
            raise Malformed("expected a JSON object", at)
        told = typed(item, _Recording, at)
        events += _files(record, told, item, _meanings(told, at), seen)
    return events


def _meanings(told: _Recording, at: str) -> list[Meaning]:
    """What a webhook with the same facts would mean; errors name the place in this answer."""
    size, duration = (
        number(told.file_size, f"{at}.file_size"),
        number(told.recording_duration, f"{at}.recording_duration"),
    )
    if isinstance(told.download_url, list):
        track_files(told.download_url, f"{at}.download_url")
    reason = told.stop_reason.get("reason") if isinstance(told.stop_reason, dict) else told.stop_reason
    return recording_meanings(
        Recording(
            id=told.id,
            status=told.status,
            startedTime=told.started_time,
            stoppedTime=told.stopped_time,
            downloadUrl=told.download_url,
            audioDownloadUrl=told.audio_download_url,
            downloadUrlExpiry=told.download_url_expiry,
            fileSize=size,
            recordingDuration=duration,
            stopReason=reason,
        )
    )


def _files(
    record: Record, told: _Recording, item: dict[str, Any], meanings: list[Meaning], seen: Seen | None
) -> list[Event]:
    subject = not_blank((told.meeting or _Meeting()).id) or ""
    session = not_blank(told.session_id)
    events = []
    for meaning in meanings:
        file, suffix = meaning.data, f"{told.id or ''}/{meaning.part}"
        if not isinstance(file, Artifact):
            continue
        if seen is not None:
            if f"{file.kind}/{meaning.type.partition('.')[2]}" not in seen.artifacts:
                file.session, file.reconciled = session, True
                events.append(
                    reply_event(
                        record, file, type_=meaning.type, suffix=suffix, vendorevent="recording.statusUpdate",
                        subject=subject,
                    )
                )  # fmt: skip
        elif meaning.type == "artifact.ready":
            name = file.message if isinstance(told.download_url, list) else not_blank(told.output_file_name)
            data = FetchedArtifact(
                kind="audio" if file.kind == "audio" else "recording",
                id=file.id,
                title=None if file.kind == "audio" else name,
                url=file.url,
                expires_at=file.expires_at,
                duration_s=file.duration_s,
                size_bytes=file.size_bytes,
                session=session,
            )
            events.append(reply_event(record, data, suffix=suffix, subject=subject))
    if not events and seen is None:
        data = FetchedArtifact(
            kind="recording", id=not_blank(told.id), title=not_blank(told.output_file_name), body=item, session=session
        )
        events.append(reply_event(record, data, suffix=told.id or "", subject=subject))
    return events
