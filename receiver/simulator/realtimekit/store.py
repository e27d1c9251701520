"""What a stand-in knows: meetings, who was added, sessions, recordings, webhooks. No I/O."""

import random
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from receiver.simulator.realtimekit import files
from receiver.simulator.realtimekit.wire import LINK_DAYS, Dialect, Guest, Occasion, instant


@dataclass(slots=True)
class Person:
    """Somebody who was added to a meeting; ``tokens``: with which one may join as them."""

    body: dict[str, Any]
    tokens: list[str]


@dataclass(slots=True)
class Visit:
    """One guest's stay, seconds into the session."""

    guest: Guest
    joined_s: float
    left_s: float | None = None


@dataclass(slots=True)
class Session:
    """One time that a meeting was held."""

    occasion: Occasion
    dialect: Dialect
    visits: list[Visit] = field(default_factory=list)
    said: list[files.Sentence] = field(default_factory=list)
    written: list[files.Note] = field(default_factory=list)
    length_s: float | None = None
    #: transcript, summary, chat: what has been made
    made: set[str] = field(default_factory=set)
    livestream: dict[str, Any] | None = None

    def body(self) -> dict[str, Any]:
        """As the REST API tells it."""
        occasion, now = self.occasion, self.occasion.at(self.length_s or 0.0)
        told: dict[str, Any] = {
            "id": occasion.session_id,
            "associated_id": occasion.meeting_id,
            "meeting_display_name": occasion.title,
            "status": "LIVE" if self.length_s is None else "ENDED",
            "type": "meeting",
            "created_at": instant(occasion.started),
            "started_at": instant(occasion.started),
            "updated_at": instant(now),
            "live_participants": sum(visit.left_s is None for visit in self.visits),
            "max_concurrent_participants": len(self.visits),
            "minutes_consumed": round((self.length_s or 0.0) * len(self.visits) / 60, 2),
            "organization_id": occasion.organization["id"],
        }
        return told if self.length_s is None else told | {"ended_at": instant(now)}

    def attendee(self, visit: Visit) -> dict[str, Any]:
        """One guest as the REST API tells them; ``duration`` in minutes."""
        at, guest = self.occasion.at, visit.guest
        told: dict[str, Any] = {
            "id": guest.peer_id,
            "custom_participant_id": guest.custom_id,
            "display_name": guest.name,
            "user_id": guest.participant_id,
            "preset_name": guest.preset,
            "joined_at": instant(at(visit.joined_s)),
            "created_at": instant(at(visit.joined_s)),
            "updated_at": instant(at(visit.left_s or visit.joined_s)),
            "duration": round(((visit.left_s or visit.joined_s) - visit.joined_s) / 60, 3),
        }
        return told if visit.left_s is None else told | {"left_at": instant(at(visit.left_s))}


class Store:
    """Everything by id. Ids follow from ``rng`` alone, tokens too: they open nothing but this stand-in."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.meetings: dict[str, dict[str, Any]] = {}
        self.people: dict[str, dict[str, Person]] = {}
        self.sessions: dict[str, Session] = {}
        self.recordings: dict[str, dict[str, Any]] = {}
        self.webhooks: dict[str, dict[str, Any]] = {}
        self.dialects: dict[str, Dialect] = {}  # of webhooks
        #: content and media type of what links lead to
        self.links: dict[str, tuple[bytes, str]] = {}
        self.organization = {"id": self.id(), "name": "Example Org"}

    def id(self) -> str:
        """A new one."""
        return str(uuid.UUID(int=self._rng.getrandbits(128), version=4))

    def secret(self) -> str:
        """A token, a key, a part of a link."""
        return f"{self._rng.getrandbits(256):064x}"

    def add_meeting(self, fields: dict[str, Any]) -> dict[str, Any]:
        """With the vendor's defaults for what ``fields`` leave out."""
        now = instant(datetime.now(UTC))
        meeting = {
            "id": self.id(), "title": None, "status": "ACTIVE", "created_at": now, "updated_at": now,
            "record_on_start": False, "live_stream_on_start": False, "persist_chat": False, "summarize_on_end": False,
            "transcribe_on_end": False, "session_keep_alive_time_in_secs": 60, **fields,
        }  # fmt: skip
        self.meetings[meeting["id"]] = meeting
        self.people[meeting["id"]] = {}
        return meeting

    def add_person(self, meeting_id: str, fields: dict[str, Any]) -> Person:
        """Somebody new on the list, with a token."""
        now = instant(datetime.now(UTC))
        body = {"name": None, "picture": None, **fields, "id": self.id(), "created_at": now, "updated_at": now}
        person = Person(body, [self.secret()])
        self.people[meeting_id][body["id"]] = person
        return person

    def holder_of(self, token: str) -> tuple[str, str] | None:
        """The meeting and participant that a token is good for."""
        for meeting_id, people in self.people.items():
            for id_, person in people.items():
                if token in person.tokens:
                    return meeting_id, id_
        return None

    def live_session(self, meeting_id: str) -> Session | None:
        """The one that goes on."""
        found = (one for one in self.sessions.values() if one.occasion.meeting_id == meeting_id)
        return next((session for session in found if session.length_s is None), None)

    def add_link(self, content: bytes, media_type: str) -> str:
        """The path and query at which ``content`` lies for whoever knows them."""
        name = self.secret()[:32]
        self.links[name] = content, media_type
        return f"/files/{name}?X-Amz-Expires=604800&X-Amz-Signature={self.secret()}"

    def expiry(self) -> datetime:
        """When a link that is made now ends."""
        return datetime.now(UTC) + timedelta(days=LINK_DAYS)
