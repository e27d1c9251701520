"""Daily's webhooks about recordings, stored transcripts, live streams and batch jobs (webhook events, docs.daily.co,
2026).

None of them holds a link that can be followed: ``s3_key`` is a place in a bucket, and ``share_token``, which opens a
recording, does not get into the event. What is ready became so when the webhook was sent, not when the recording began.
"""

from typing import Any

import msgspec

from receiver.events import Artifact, ArtifactKind, Data, RecordingStatus
from receiver.vendors.daily.meeting import PAYLOAD
from receiver.vendors.daily.wire import Moment, News, Number, Payload, finite, moment_ns
from receiver.vendors.wire import typed

_FAILED_STATUSES = frozenset({"error", "failed", "t_error", "t_failed"})
#: first part of the event name -> kind
_KINDS: dict[str, ArtifactKind] = {"recording": "recording", "transcript": "transcript", "streaming": "livestream"}
#: key of a job's output -> kind; the contract has none for ``soap`` and ``concept``
_KIND_OF_OUTPUT: dict[str, ArtifactKind] = {"transcription": "transcript", "summary": "summary"}
_KIND_OF_PRESET: dict[str, ArtifactKind] = {"transcript": "transcript", "summarize": "summary"}


class _Track(msgspec.Struct):
    size: Number | None = None


class _Info(msgspec.Struct):
    endTs: Moment | None = None  # noqa: N815 - the vendor's spelling


class _Made(Payload):
    id: str | None = None
    recording_id: str | None = None
    status: str | None = None
    duration: Number | None = None
    tracks: list[_Track] | None = None
    info: _Info | None = None
    error: str | None = None
    error_msg: str | None = None
    error_message: str | None = None


class _Output(msgspec.Struct):
    transcription: list[dict[str, Any]] | None = None
    summary: dict[str, Any] | None = None


class _Job(Payload):
    id: str | None = None
    preset: str | None = None
    status: str | None = None
    output: dict[str, Any] | None = None
    error: str | None = None


def read_recording_started(_name: str, type_: str, payload: dict[str, Any]) -> News:
    """``recording.started``, which names no room. Raises ``Malformed``."""
    told = typed(payload, _Made, PAYLOAD)
    data = RecordingStatus(status="recording", recording=told.recording_id or None, session=told.session)
    return News([(type_, data)], subject=told.subject, session=told.session, time_ns=moment_ns(told.start_ts))


def read_artifact(name: str, type_: str, payload: dict[str, Any]) -> News:
    """A recording, transcript or live stream that is ready or failed. Raises ``Malformed``.

    ``id`` is what the REST API calls it. A status that tells of failure outweighs the name. The size is that of all
    tracks, where each has one.
    """
    told = typed(payload, _Made, PAYLOAD)
    failed = type_ == "artifact.failed" or _is_failure(told.status)
    moment = told.timestamp if told.timestamp is not None or told.info is None else told.info.endTs
    data = Artifact(
        kind=_KINDS[name.partition(".")[0]],
        id=told.recording_id or told.id or None,
        message=told.error_msg or told.error_message or told.error or None,
        duration_s=finite(told.duration),
        size_bytes=_size_bytes(told.tracks),
        session=told.session,
    )
    return News(
        [("artifact.failed" if failed else type_, data)],
        subject=told.subject,
        session=told.session,
        time_ns=moment_ns(moment) if failed else None,
    )


def read_batch(_name: str, type_: str, payload: dict[str, Any]) -> News:
    """A batch job that is done: an event for each output; or that failed: one for what its preset should have made.

    One page of the vendor gives both the same name, so the status counts too. Raises ``Malformed``.
    """
    told = typed(payload, _Job, PAYLOAD)
    events: list[tuple[str, Data]] = []
    rest = False
    if type_ == "artifact.failed" or _is_failure(told.status):
        kind = _KIND_OF_PRESET.get(told.preset or "")
        if kind is not None:
            data = Artifact(kind=kind, id=told.id or None, message=told.error or None, session=told.session)
            events.append(("artifact.failed", data))
    else:
        output = told.output or {}
        typed(output, _Output, f"{PAYLOAD}.output")
        made = [key for key, value in output.items() if value]
        events += [
            (type_, Artifact(kind=kind, id=told.id or None, session=told.session))
            for key, kind in _KIND_OF_OUTPUT.items()
            if key in made
        ]
        rest = any(key not in _KIND_OF_OUTPUT for key in made)
    return News(events, subject=told.subject, session=told.session, rest=rest)


def _is_failure(status: str | None) -> bool:
    return (status or "").lower() in _FAILED_STATUSES


def _size_bytes(tracks: list[_Track] | None) -> int | None:
    sizes = [finite(track.size) for track in tracks or []]
    known = [size for size in sizes if size is not None and size >= 0]
    total = finite(sum(known)) if len(known) == len(sizes) else None
    return int(total) if total else None
