"""What MeetStream's own record of a bot tells that no push has told: the events to make up for it.

The record is ``bot_details`` of ``GET /bots/{id}/detail`` (plugin reference, May 2026): a timeline of stages, each
with message, whether it was reached, and when; states of what was made; who came and went. A stage has no event name:
the name is the one that the push would have had.
"""

from typing import Any

import msgspec

from receiver.errors import Malformed
from receiver.events import (
    Artifact,
    ArtifactKind,
    BotStatus,
    BotStatusName,
    Data,
    Event,
    ExitReason,
    Participant,
    ParticipantChange,
    parse_time,
)
from receiver.record import Record
from receiver.vendors.hints import moment
from receiver.vendors.meetstream.callback import STATUSES
from receiver.vendors.meetstream.participant import CHANGES, Change
from receiver.vendors.meetstream.wire import attributes, real
from receiver.vendors.replies import Seen, reply_event
from receiver.vendors.wire import typed

#: stage of the timeline -> event name of the push; exits are told by ``_EXITS``
_NAME_OF_STAGE = {
    "Scheduled": "bot.scheduled",
    "Joining": "bot.joining",
    "WaitingRoom": "bot.in_waiting_room",
    "InWaitingRoom": "bot.in_waiting_room",
    "InMeeting": "bot.inmeeting",
    "RecordingPermissionAllowed": "bot.recording_permission_allowed",
    "RecordingPermissionDenied": "bot.recording_permission_denied",
    "Recording": "bot.recording",
    "Leaving": "bot.leaving",
    "Uploading": "bot.uploading",
    "Done": "bot.done",
}
#: The most telling one first: a bot has one exit, whichever stages stand for it. ``Error`` is one where the bot is over
#: and nothing else ended it; trouble at the transcription service ends nothing.
_EXITS: dict[str, tuple[str, ExitReason]] = {
    "BotRejected": ("bot.denied", "denied"),
    "Denied": ("bot.denied", "denied"),
    "BotNotAllowed": ("bot.notallowed", "not_admitted"),
    "NotAllowed": ("bot.notallowed", "not_admitted"),
    "Stopped": ("bot.stopped", "left"),
    "Error": ("bot.failed", "failed"),
}
#: kind -> key of its state, stage of the timeline, names of its events by outcome
_MADE: dict[ArtifactKind, tuple[str, str, dict[str, str]]] = {
    "manifest": ("ManifestStatus", "", {"ready": "manifest.completed", "skipped": "manifest.skipped"}),
    "audio": ("AudioStatus", "AudioProcessing", {
        "ready": "audio.processed", "failed": "audio.failed", "skipped": "audio.skipped",
    }),
    "transcript": ("TranscriptStatus", "TranscriptionReady", {
        "ready": "transcription.processed", "failed": "transcription.failed", "skipped": "transcription.skipped",
    }),
    "video": ("VideoStatus", "VideoProcessing", {"ready": "video.processed", "failed": "video.failed"}),
}  # fmt: skip
_OUTCOMES = {"success": "ready", "failed": "failed", "error": "failed", "skipped": "skipped"}


class _Stage(msgspec.Struct):
    message: str | None = None
    status: bool | None = None
    timestamp: str | int | float | None = None


class _Details(msgspec.Struct):
    """The keys of ``bot_details`` that are read. ``participant_events`` may be a list, an object or a link."""

    BotID: str | None = None
    Status: str | None = None
    StatusTimeline: dict[str, _Stage | bool | str | None] | None = None
    AudioStatus: str | None = None
    TranscriptStatus: str | None = None
    VideoStatus: str | None = None
    ManifestStatus: str | None = None
    transcript_id: str | None = None
    custom_attributes: dict[str, Any] | None = None


def details_of(value: Any) -> dict[str, Any]:
    """The record inside an answer of ``detail``: below ``bot_details``, or bare; empty where there is none."""
    if not isinstance(value, dict):
        return {}
    inner = value.get("bot_details")
    return inner if isinstance(inner, dict) else value


def missed(record: Record, call: str, value: Any, seen: Seen) -> list[Event]:
    """The events that ``seen`` lacks, oldest first. ``call``: ``detail`` or ``participant_events``. Raises
    ``Malformed``."""
    if call == "participant_events":
        found = _people(record, value, "$", seen)
    elif call == "detail":
        found = _of_details(record, value, seen)
    else:
        raise Malformed(f"the answer to {call} is no record to compare with", "$")
    return sorted(found, key=lambda event: event.time_ns)


def _of_details(record: Record, value: Any, seen: Seen) -> list[Event]:
    if not isinstance(value, dict):
        raise Malformed("expected a JSON object", "$")
    details = details_of(value)
    at = "$.bot_details" if details is not value else "$"
    told = typed(details, _Details, at)
    stages = {name: stage for name, entry in (told.StatusTimeline or {}).items() if (stage := _reached(entry))}
    record = msgspec.structs.replace(record, subject=record.subject or told.BotID or "")
    found = [*_statuses(record, told, stages, seen), *_artifacts(record, told, stages, seen)]
    found += _people(record, details.get("participant_events"), f"{at}.participant_events", seen)
    common = attributes(told.custom_attributes)
    for event in found:
        event.data.attributes = common
    return found


def _reached(entry: _Stage | bool | str | None) -> _Stage | None:
    """The stage, where it was reached; some are told by the bare fact or time."""
    if isinstance(entry, _Stage):
        return entry if entry.status or (entry.status is None and entry.timestamp) else None
    if isinstance(entry, str):
        return _Stage(timestamp=entry) if moment(entry) else None
    return _Stage() if entry else None


def _statuses(record: Record, told: _Details, stages: dict[str, _Stage], seen: Seen) -> list[Event]:
    found = []
    for stage_name, name in _NAME_OF_STAGE.items():
        status = STATUSES[name]
        if stage_name in stages and not {name, status} & seen.statuses:
            data = BotStatus(status=status, final=status == "done", message=stages[stage_name].message or None)
            found.append(_event(record, data, name, stages[stage_name], status))
    over = "Done" in stages or (told.Status or "").lower() in ("failed", "error")
    exits = [name for name in _EXITS if name in stages and (name != "Error" or over)]
    if exits and not _names_of("stopped") & seen.statuses:
        name, reason = _exit(exits[0], told.Status)
        stage = stages[exits[0]]
        data = BotStatus(status="stopped", reason=reason, final=True, message=stage.message or None)
        found.append(_event(record, data, name, stage, "stopped"))
    if "Error" in stages and exits[:1] != ["Error"] and not {"bot.error", "error"} & seen.statuses:
        data = BotStatus(status="error", message=stages["Error"].message or None)
        found.append(_event(record, data, "bot.error", stages["Error"], "error"))
    return found


def _names_of(status: BotStatusName) -> set[str]:
    """A status and all event names that stand for it."""
    return {status, *(name for name, meant in STATUSES.items() if meant == status)}


def _exit(stage: str, status: str | None) -> tuple[str, ExitReason]:
    """Name and reason of an exit; ``Stopped`` is any, and the bot's status may say which."""
    told = {"denied": "BotRejected", "notallowed": "BotNotAllowed", "failed": "Error", "error": "Error"}
    return _EXITS[told.get((status or "").lower(), stage) if stage == "Stopped" else stage]


def _artifacts(record: Record, told: _Details, stages: dict[str, _Stage], seen: Seen) -> list[Event]:
    """A stage of processing says that it began: it counts as its end where the state says so, or the bot is done."""
    found = []
    for kind, (key, stage_name, names) in _MADE.items():
        stage = stages.get(stage_name)
        state = (getattr(told, key) or "").lower()
        outcome = _OUTCOMES.get(state, "")
        if not state and stage is not None and (kind == "transcript" or "Done" in stages):
            outcome = "ready"
        if outcome and f"{kind}/{outcome}" not in seen.artifacts:
            id_ = told.transcript_id or None if kind == "transcript" else None
            data = Artifact(kind=kind, id=id_, message=(stage.message or None) if stage else None)
            name = names.get(outcome, names["ready"])
            found.append(_event(record, data, name, stage, kind, type_=f"artifact.{outcome}"))
    return found


def _people(record: Record, value: Any, at: str, seen: Seen) -> list[Event]:
    """Who came and went. Each is a whole webhook, or one without its outer layers; a link is fetched by itself."""
    if isinstance(value, dict):
        at, value = next(
            (
                (f"{at}.{key}", value[key])
                for key in ("events", "participant_events")
                if isinstance(value.get(key), list)
            ),
            (at, None),
        )
    if not isinstance(value, list):
        return []
    found = []
    for number, item in enumerate(value):
        if event := _person(record, item, f"{at}[{number}]", number, seen):
            found.append(event)
    return found


def _person(record: Record, item: Any, at: str, number: int, seen: Seen) -> Event | None:
    layers: list[dict[str, Any]] = []
    while isinstance(item, dict) and len(layers) < 3:
        layers.append(item)
        if "participant" in item:
            break
        item, at = item.get("data"), f"{at}.data"
    if not layers or "participant" not in layers[-1]:
        return None
    change = typed(layers[-1], Change, at)
    names = [layer.get("event") for layer in layers] + [f"participant_events.{change.action}"]
    name = next((one for one in names if isinstance(one, str) and one in CHANGES), "")
    who = change.participant
    if not name or who is None:
        return None
    id_, full_name = real(who.id), real(who.full_name) or real(who.name)
    known = seen.joined if name.endswith("join") else seen.left
    told = id_ or full_name
    if told is None or told in known:
        return None
    when = change.timestamp
    data = ParticipantChange(
        participant=Participant(id=id_, name=full_name, platform=real(who.platform)),
        offset_s=when.relative if when else None,
    )
    stage = _Stage(timestamp=(when.absolute if when else None) or layers[0].get("timestamp"))
    return _event(record, data, name, stage, f"{name}/{number}", type_=CHANGES[name])


def _event(
    record: Record, data: Data, name: str, stage: _Stage | None, suffix: str, *, type_: str = "bot.status"
) -> Event:
    data.reconciled = True
    told = moment(stage.timestamp) if stage else None
    return reply_event(
        record, data, type_=type_, time_ns=(parse_time(told) or 0) if told else 0, suffix=suffix, vendorevent=name
    )
