"""One session of a room as Daily keeps it: who was there, what was recorded, what REST tells of it. No I/O.

Times are Unix seconds.
"""

import random
import uuid
from dataclasses import dataclass, field
from typing import Any

from receiver.simulator.speech import Speech


@dataclass(slots=True, kw_only=True)
class Guest:
    """One connection to the session. ``user_id`` is the connection's own where no token names another."""

    session_id: str
    user_id: str
    name: str
    owner: bool
    joined_s: float | None = None
    left_s: float | None = None


@dataclass(slots=True, kw_only=True)
class Room:
    """A room; ``config``: the properties that it was made with."""

    id: str
    name: str
    privacy: str
    created_at: str
    config: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Call:
    """A session. ``hooks``: of those registered when it began, who is told."""

    room: Room
    id: str
    domain_id: str
    started_s: float
    guests: list[Guest]
    instance_id: str
    recording_id: str
    transcript_id: str
    job_id: str
    hooks: list[str] = field(default_factory=list)
    ended_s: float | None = None
    recording: str = ""  # status of the recording, empty: none
    transcript: str = ""
    job: str = ""
    transcribing: bool = False

    def meeting(self, now_s: float, *, participants: bool = True) -> dict[str, Any]:
        """As ``GET /meetings`` shows it; whole seconds, which the vendor calls granular."""
        end_s = now_s if self.ended_s is None else self.ended_s
        told: dict[str, Any] = {
            "id": self.id,
            "room": self.room.name,
            "start_time": int(self.started_s),
            "duration": max(0, int(end_s - self.started_s)),
            "ongoing": self.ended_s is None,
            "max_participants": sum(guest.joined_s is not None for guest in self.guests),
        }
        if participants:
            told["participants"] = self.participants(now_s)
        return told

    def participants(self, now_s: float) -> list[dict[str, Any]]:
        """Who has come, in that order."""
        return [
            {
                "participant_id": guest.session_id,
                "user_id": guest.user_id,
                "user_name": guest.name,
                "join_time": int(guest.joined_s),
                "duration": max(0, int((now_s if guest.left_s is None else guest.left_s) - guest.joined_s)),
            }
            for guest in self.guests
            if guest.joined_s is not None
        ]

    def presence(self, now_s: float) -> list[dict[str, Any]]:
        """Who is there now."""
        return [
            {
                "room": self.room.name,
                "id": guest.session_id,
                "userId": guest.user_id,
                "userName": guest.name,
                "joinTime": int(guest.joined_s),
                "duration": max(0, int(now_s - guest.joined_s)),
            }
            for guest in self.guests
            if guest.joined_s is not None and guest.left_s is None and self.ended_s is None
        ]

    def recorded(self) -> dict[str, Any]:
        """As ``GET /recordings`` shows it."""
        told = {
            "id": self.recording_id,
            "room_name": self.room.name,
            "start_ts": int(self.started_s),
            "status": self.recording,
            "max_participants": len(self.guests),
            "s3key": f"{self.room.name}/{int(self.started_s * 1000)}",
            "mtgSessionId": self.id,
        }
        if self.recording == "finished" and self.ended_s is not None:
            told |= {"duration": int(self.ended_s - self.started_s), "share_token": f"share-{self.recording_id[:8]}"}
        return told

    def transcribed(self) -> dict[str, Any]:
        """As ``GET /transcript`` shows it."""
        ready = self.transcript == "t_finished"
        return {
            "transcriptId": self.transcript_id,
            "domainId": self.domain_id,
            "roomId": self.room.id,
            "mtgSessionId": self.id,
            "status": self.transcript,
            "isVttAvailable": ready,
            "duration": int((self.ended_s or self.started_s) - self.started_s),
            "participantMinutes": len(self.guests),
            "outParams": {"bucket": "standin-transcripts", "key": f"{self.transcript_id}.vtt"},
            "error": None,
        }


def make_call(room: Room, rng: random.Random, speech: Speech, *, domain_id: str, started_s: float) -> Call:
    """A session that nobody has joined yet: the cast and all ids follow from ``rng``."""
    guests = []
    for number, names in enumerate(speech.names.values()):
        session_id = make_id(rng)
        user_id = f"staff-{rng.randint(100, 999)}" if number == 0 else session_id
        guests.append(Guest(session_id=session_id, user_id=user_id, name=rng.choice(names), owner=number == 0))
    return Call(
        room=room,
        id=make_id(rng),
        domain_id=domain_id,
        started_s=started_s,
        guests=guests,
        instance_id=make_id(rng),
        recording_id=make_id(rng),
        transcript_id=make_id(rng),
        job_id=make_id(rng),
    )


def make_id(rng: random.Random) -> str:
    """A UUID that the seed decides."""
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def webvtt(call: Call, speech: Speech, offset_s: float) -> bytes:
    """The stored transcript. ``offset_s``: of the first sample from the beginning."""
    names = dict(zip(speech.names, (guest.name for guest in call.guests), strict=True))
    cues = [
        f"transcript:{number}\n{_clock(offset_s + said.start_s)} --> {_clock(offset_s + said.end_s)}\n"
        f"<v>{names[said.role]}:</v>{said.text}\n"
        for number, said in enumerate(speech.utterances)
    ]
    return "\n".join(["WEBVTT\n", f"NOTE\nTranscript of {call.room.name}\n", *cues]).encode()


def _clock(at_s: float) -> str:
    minutes, seconds = divmod(at_s, 60)
    return f"{int(minutes) // 60:02d}:{int(minutes) % 60:02d}:{seconds:06.3f}"
