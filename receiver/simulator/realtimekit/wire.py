"""RealtimeKit's webhooks byte by byte, in its own form and in Dyte's, which came before. Pure.

Source: RealtimeKit, webhooks, monitoring a recording; Dyte, webhook events (2026).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

Dialect = Literal["realtimekit", "dyte"]
#: names of the headers: signature, the delivery's id, the webhook's id
HEADERS: Mapping[Dialect, tuple[str, str, str]] = {
    "realtimekit": ("rtk-signature", "rtk-uuid", "rtk-webhook-id"),
    "dyte": ("dyte-signature", "dyte-uuid", "dyte-webhook-id"),
}
LINK_DAYS = 7


@dataclass(frozen=True, slots=True)
class Occasion:
    """One session of one meeting, as every webhook tells it."""

    meeting_id: str
    session_id: str
    title: str
    created: datetime
    started: datetime
    organization: Mapping[str, str]

    def at(self, seconds: float) -> datetime:
        """The moment that is so far into the session."""
        return self.started + timedelta(seconds=seconds)


@dataclass(frozen=True, slots=True)
class Guest:
    """Somebody's one connection to a session."""

    peer_id: str
    participant_id: str
    custom_id: str
    name: str
    preset: str


def instant(moment: datetime, dialect: Dialect = "realtimekit") -> str:
    """``2026-06-03T10:00:00.000Z``; Dyte's is ``2023-01-25 04:51:35.903816Z``."""
    utc = moment.astimezone(UTC)
    if dialect == "dyte":
        return utc.strftime("%Y-%m-%d %H:%M:%S.%fZ")
    return utc.strftime("%Y-%m-%dT%H:%M:%S.") + f"{utc.microsecond // 1000:03d}Z"


def compact(body: Any) -> bytes:
    """JSON without blanks, as the vendor signs and sends it."""
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def meeting(occasion: Occasion, dialect: Dialect, *, ended: datetime | None = None) -> dict[str, Any]:
    """The object that nearly every body has. ``status`` stays ``LIVE`` for ever."""
    told: dict[str, Any] = {
        "id": occasion.meeting_id,
        "sessionId": occasion.session_id,
        "title": occasion.title,
        "roomName": occasion.meeting_id,
        "status": "LIVE",
        "createdAt": instant(occasion.created, dialect),
        "startedAt": instant(occasion.started, dialect),
    }
    if dialect == "dyte":
        told["roomName"] = "-".join((occasion.session_id[:6], occasion.session_id[-6:]))
        told["endedAt"] = None
    if ended is not None:
        told["endedAt"] = instant(ended, dialect)
    return told | {"organizedBy": dict(occasion.organization)}


def started(occasion: Occasion, dialect: Dialect) -> dict[str, Any]:
    """The first one has joined."""
    return {"event": "meeting.started", "meeting": meeting(occasion, dialect)}


def ended(occasion: Occasion, dialect: Dialect, *, at_s: float, reason: str) -> dict[str, Any]:
    """``HOST_ENDED_MEETING`` or ``ALL_PARTICIPANTS_LEFT``."""
    return {"event": "meeting.ended", "meeting": meeting(occasion, dialect, ended=occasion.at(at_s)), "reason": reason}


def moved(
    occasion: Occasion, dialect: Dialect, guest: Guest, *, joined_s: float, left_s: float | None = None
) -> dict[str, Any]:
    """Somebody joins, or leaves where ``left_s`` is told."""
    who: dict[str, Any] = {"peerId": guest.peer_id, "userDisplayName": guest.name}
    if dialect == "realtimekit":
        who["customParticipantId"] = guest.custom_id
    who["clientSpecificId"] = guest.custom_id
    who["joinedAt"] = instant(occasion.at(joined_s), dialect)
    if left_s is not None:
        who["leftAt"] = instant(occasion.at(left_s), dialect)
    event = "meeting.participantJoined" if left_s is None else "meeting.participantLeft"
    return {"event": event, "meeting": meeting(occasion, dialect), "participant": who}


def recording(occasion: Occasion, dialect: Dialect, told: Mapping[str, Any]) -> dict[str, Any]:
    """``told``: a recording as the REST API has it, its times as ``datetime``."""
    body: dict[str, Any] = {
        "id": told["id"],
        "recordingId": told["id"],
        "status": told["status"],
        "meetingId": occasion.meeting_id,
        "organizationId": occasion.organization["id"],
        "roomUUID": occasion.session_id,
        "outputFileName": told["output_file_name"],
    }
    if dialect == "dyte":
        del body["meetingId"]
    for name, key in (("startedTime", "started_time"), ("stoppedTime", "stopped_time")):
        if told.get(key):
            body[name] = instant(told[key], "dyte")
    if told["status"] == "UPLOADED":
        body |= {
            "downloadUrl": told["download_url"],
            "audioDownloadUrl": told["audio_download_url"],
            "downloadUrlExpiry": instant(told["download_url_expiry"], dialect),
            "fileSize": told["file_size"] if dialect == "realtimekit" else str(told["file_size"]),
            "recordingDuration": told["recording_duration"],
        }
    if told.get("stop_reason"):
        body["stopReason"] = "{'reason':'ALL_PEERS_LEFT','caller':{'type':'INTERNAL'}}"
    return {"event": "recording.statusUpdate", "recording": body, "meeting": meeting(occasion, dialect)}


def livestream(occasion: Occasion, dialect: Dialect, *, stream_id: str, status: str, key: str) -> dict[str, Any]:
    """``key`` lets anybody send into the stream. Dyte's has next to nothing: two of them may be the same bytes."""
    body: dict[str, Any] = {"event": "livestreaming.statusUpdate", "streamId": stream_id, "status": status}
    if dialect == "dyte":
        return body
    body |= {"manualIngest": False, "playbackUrl": f"https://stream.example.net/{stream_id}/video.m3u8"}
    body |= {"ingestServer": "rtmps://live.example.net:443/live/", "streamKey": key}
    return body | {"meeting": meeting(occasion, dialect)}


def file_ready(
    occasion: Occasion, dialect: Dialect, kind: Literal["transcript", "summary"], *, url: str, at_s: float
) -> dict[str, Any]:
    """A transcript or summary can be fetched for a week."""
    return {
        "event": f"meeting.{kind}",
        "meeting": meeting(occasion, dialect, ended=occasion.at(at_s)),
        f"{kind}DownloadUrl": url,
        f"{kind}DownloadUrlExpiry": instant(occasion.at(at_s) + timedelta(days=LINK_DAYS), dialect),
    }


def chat_synced(occasion: Occasion, dialect: Dialect, *, url: str, at_s: float) -> dict[str, Any]:
    """The one body without a ``meeting``."""
    return {
        "event": "meeting.chatSynced",
        "meetingId": occasion.meeting_id,
        "sessionId": occasion.session_id,
        "title": occasion.title,
        "createdAt": instant(occasion.created, dialect),
        "startedAt": instant(occasion.started, dialect),
        "endedAt": instant(occasion.at(at_s), dialect),
        "organizedBy": dict(occasion.organization),
        "chatDownloadUrl": url,
        "chatDownloadUrlExpiry": instant(occasion.at(at_s) + timedelta(days=LINK_DAYS), dialect),
    }
