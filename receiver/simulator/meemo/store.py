"""What a Meemo service knows: meetings, webhooks, its log of deliveries; and how it writes and signs. No I/O.

Shapes: REST reference, meetings and webhooks, gdplabs/gl-sdk-gitbook, commit 06144e6.
"""

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from receiver.simulator.speech import Speech

EVENTS = (
    "meeting.created", "meeting.deleted", "meeting.transcription_completed", "meeting.transcription_failed",
    "meeting.summarization_completed",
)  # fmt: skip
_PREFIX = "whsec_"
KEYWORDS = ["incident", "rollback", "follow-up"]
SUMMARY = "## Purpose\nThe team went through the incident.\n\n## Decisions\n- The change is taken back.\n"
NOTES = "- Whoever was on call writes the report.\n"


@dataclass(frozen=True, slots=True)
class Scheme:
    """HMAC-SHA256 of the raw body in one header; event name and id in two more. Names and forms are to be chosen."""

    signature_header: str = "X-Prosa-Signature"
    prefix: str = "sha256="
    encoding: Literal["hex", "base64"] = "hex"
    key: Literal["text", "after_whsec", "base64"] = "text"
    event_header: str = "X-Prosa-Event"
    uuid_header: str = "X-Prosa-Event-UUID"

    def headers(self, body: bytes, secret: str, event: str, uuid: str) -> dict[str, str]:
        """Those of one delivery; without a secret it is not signed."""
        made = {"Content-Type": "application/json", self.event_header: event, self.uuid_header: uuid}
        if secret:
            digest = hmac.new(self._key_of(secret), body, hashlib.sha256).digest()
            text = digest.hex() if self.encoding == "hex" else base64.b64encode(digest).decode()
            made[self.signature_header] = self.prefix + text
        return made

    def _key_of(self, secret: str) -> bytes:
        if self.key == "text":
            return secret.encode()
        text = secret.removeprefix(_PREFIX)
        return text.encode() if self.key == "after_whsec" else base64.b64decode(text + "=" * (-len(text) % 4))


@dataclass(slots=True, kw_only=True)
class Hook:
    """A webhook of one organisation."""

    id: int
    organization_id: int
    target_url: str
    secret_key: str
    events: list[str]
    description: str = ""
    created_at: str = ""
    is_active: bool = True
    failure_count: int = 0
    last_failure_reason: str = ""

    def body(self, *, detail: bool = False) -> dict[str, Any]:
        """As the API shows it; failures in detail only."""
        names = [
            "id",
            "target_url",
            "secret_key",
            "events",
            "is_active",
            "description",
            "created_at",
            "organization_id",
        ]
        return {name: getattr(self, name) for name in names + ["failure_count", "last_failure_reason"] * detail}


@dataclass(slots=True, kw_only=True)
class Entry:
    """A delivery in the log."""

    id: int
    webhook_id: int
    event_uuid: str
    event_type: str
    created_at: str
    status: Literal["PENDING", "SUCCESS", "FAILED"] = "PENDING"
    response_status: int | None = None
    attempt_count: int = 0

    def body(self) -> dict[str, Any]:
        """As the API shows it."""
        names = "id webhook_id event_uuid event_type status response_status attempt_count created_at"
        return {name: getattr(self, name) for name in names.split()}


@dataclass(slots=True, kw_only=True)
class Meeting:
    """A meeting and how far it has come. ``asked``: what it was created with."""

    id: int
    asked: dict[str, Any]
    created: datetime
    names: dict[str, str]  # by role
    status: str = "scheduled"
    end: datetime | None = None
    transcribed: bool = False
    summarized: bool = False

    @property
    def title(self) -> str:
        """Made up where none was given."""
        return self.asked.get("title") or "New External Meeting"

    @property
    def organization_id(self) -> int:
        """Whose it is."""
        number: int = self.asked["organization_id"]
        return number

    def item(self) -> dict[str, Any]:
        """As a list shows it."""
        return {
            "id": self.id,
            "title": self.title,
            "start_time": self.asked.get("start_time") or instant(self.created),
            "end_time": self.end and instant(self.end),
            "created_at": instant(self.created),
            "status": self.status,
            "summary_complete": self.summarized,
            "host_name": next(iter(self.names.values())),
            "calendar_event": self.asked.get("calendar_event"),
        }

    def detail(self, speech: Speech) -> dict[str, Any]:
        """As it is shown by itself."""
        body = self.item()
        host = body.pop("host_name")
        return body | {
            "location": None,
            "host": {"id": 1, "name": host, "email": _mail(host)},
            "language": "en",
            "keywords": KEYWORDS if self.summarized else [],
            "participant_count": len(self.names),
            "duration_seconds": speech.duration_s if self.end else None,
            "num_cluster": self.asked.get("speaker_count") or len(self.names),
        }

    def transcript(self, speech: Speech) -> dict[str, Any]:
        """What is said."""
        segments = [
            {"speaker": self.names[one.role], "text": one.text, "start_time": one.start_s, "end_time": one.end_s}
            for one in speech.utterances
        ]
        return self._about() | {"total_segments": len(segments), "transcripts": segments}

    def summary(self) -> dict[str, Any]:
        """Null before it is made."""
        told = (SUMMARY, NOTES, KEYWORDS) if self.summarized else (None, None, [])
        return self._about() | dict(zip(("summary", "notes", "keywords"), told, strict=True))

    def participants(self) -> dict[str, Any]:
        """Whoever speaks, and who was invited by mail."""
        people = [
            {"id": number, "name": name, "email": _mail(name), "position": "Engineer", "department": "Operations"}
            for number, name in enumerate(self.names.values(), start=1)
        ]
        known = {one["email"] for one in people}
        invited = [mail for mail in self.asked.get("participants") or [] if mail not in known]
        people += [{"id": None, "name": None, "email": m, "position": None, "department": None} for m in invited]
        return self._about() | {"total_participants": len(people), "participants": people}

    def recording(self, speech: Speech) -> dict[str, Any]:
        """Where the sound is: a path on this host."""
        path = f"/media/meeting_records/{self.id}/recording.wav"
        return self._about() | {"recording_url": path, "duration": speech.duration_s, "format": "wav"}

    def _about(self) -> dict[str, Any]:
        return {"meeting_id": self.id, "title": self.title}


@dataclass(slots=True, kw_only=True)
class Store:
    """Everything, by id. Numbers begin where the vendor's samples do."""

    meetings: dict[int, Meeting] = field(default_factory=dict)
    hooks: dict[int, Hook] = field(default_factory=dict)
    log: dict[int, Entry] = field(default_factory=dict)

    def listening(self, organization_id: int, event: str) -> list[Hook]:
        """Webhooks that want ``event``."""
        return [
            one
            for one in self.hooks.values()
            if one.is_active and one.organization_id == organization_id and event in one.events
        ]

    def enter(self, hook: Hook, uuid: str, event: str) -> Entry:
        """A new line in the log."""
        number = 501 + len(self.log)
        entry = Entry(id=number, webhook_id=hook.id, event_uuid=uuid, event_type=event, created_at=instant())
        self.log[number] = entry
        return entry


def callback(event: str, uuid: str, meeting: Meeting) -> bytes:
    """The body of a delivery."""
    told = {
        "event_uuid": uuid,
        "event_type": event,
        "organization_id": meeting.organization_id,
        "timestamp": instant(),
        "data": {"meeting_id": meeting.id, "title": meeting.title, "status": meeting.status},
    }
    return json.dumps(told, separators=(",", ":")).encode()


def instant(moment: datetime | None = None) -> str:
    """ISO 8601 with Z; without a moment, now."""
    return (moment or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _mail(name: str) -> str:
    return f"{'.'.join(name.lower().split())}@example.com"
