"""One session of a meeting as it goes: who comes, what is said, what is made of it afterwards.

What is told to webhooks and what to agents' sockets are two lists of the same things.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from receiver.simulator.realtimekit import wire
from receiver.simulator.realtimekit.agents import Agents
from receiver.simulator.realtimekit.files import Note, Sentence
from receiver.simulator.realtimekit.rest import RestApi
from receiver.simulator.realtimekit.store import Session, Store, Visit
from receiver.simulator.realtimekit.wire import Dialect, Guest, Occasion
from receiver.simulator.speech import Speech, Utterance

_PRESET = "group_call_participant"
_FIRST_S, _APART_S = 0.0, 0.2
_TAIL_S = 0.5
#: how long after the end what is made of a session is there
_MADE_S = 1.0


class Stage(Protocol):
    """What a performance needs of its stand-in."""

    store: Store
    api: RestApi
    agents: Agents
    progress: Callable[[str, str], None]

    async def pause(self, seconds: float) -> None:
        """Let ``seconds`` of the meeting's time pass."""

    async def deliver(self, session: Session, make: Callable[[Dialect], dict[str, Any]]) -> None:
        """Push a body to every webhook that wants it, in the webhook's form."""

    def link(self, path: str) -> str:
        """The whole URL of a link."""


@dataclass(frozen=True, slots=True)
class _Step:
    at_s: float
    do: Callable[[], Awaitable[None]]


class Performance:
    """``run`` plays it. ``over``: set to end it early, with ``reason``."""

    def __init__(self, stage: Stage, meeting_id: str, dialect: Dialect, speech: Speech, rng: random.Random) -> None:
        store, meeting = stage.store, stage.store.meetings[meeting_id]
        self._stage, self._meeting, self._speech, self._rng = stage, meeting, speech, rng
        now = datetime.now(UTC)
        title = meeting["title"] or "Meeting"
        occasion = Occasion(meeting_id, store.id(), title, now, now, store.organization)
        self.session = Session(occasion, dialect)
        self.over = asyncio.Event()
        self.reason = "ALL_PARTICIPANTS_LEFT"
        self._cast: dict[str, Visit] = {}
        self._recording: dict[str, Any] | None = None
        self._stream = store.id(), store.secret()

    async def run(self) -> None:
        """From the first guest to the last file."""
        store, session = self._stage.store, self.session
        store.sessions[session.occasion.session_id] = session
        self._stage.agents.begin(session.occasion.meeting_id)
        now_s = 0.0
        for step in self._steps():
            if self.over.is_set():
                break
            await self._stage.pause(step.at_s - now_s)
            now_s = max(now_s, step.at_s)
            await step.do()
        await self._end(now_s)

    def _steps(self) -> list[_Step]:
        steps = [_Step(_FIRST_S, self._begin)]
        for number, (role, names) in enumerate(self._speech.names.items()):
            steps.append(_Step(_FIRST_S + number * _APART_S, self._joining(role, self._rng.choice(names))))
        for number, line in enumerate(self._speech.utterances):
            steps += self._saying(line, number)
        steps.append(_Step(self._speech.duration_s * 0.6, self._writing))
        last_s = self._speech.duration_s + _TAIL_S
        for number, role in enumerate(reversed(self._speech.names)):
            steps.append(_Step(last_s + number * _APART_S, self._leaving(role, last_s + number * _APART_S)))
        return sorted(steps, key=lambda step: step.at_s)

    async def _begin(self) -> None:
        occasion = self.session.occasion
        self._tell("meeting.started")
        await self._stage.deliver(self.session, lambda dialect: wire.started(occasion, dialect))
        if self._meeting["live_stream_on_start"]:
            stream_id, _ = self._stream
            self.session.livestream = {
                "id": stream_id, "livestream_id": stream_id, "started_time": wire.instant(occasion.started),
                "ingest_seconds": 0, "viewer_seconds": 0, "err_message": "LIVE",
            }  # fmt: skip
            await self._streaming("LIVE")
        if self._meeting["record_on_start"]:
            self._recording = self._stage.api.new_recording(self.session)
            self._recording["start_reason"] = {"reason": "RECORD_ON_START"}
            await self.recorded(self._recording)
            await self._advance("RECORDING", started_time=occasion.at(0.5))

    def _joining(self, role: str, name: str) -> Callable[[], Awaitable[None]]:
        async def do() -> None:
            occasion, store = self.session.occasion, self._stage.store
            custom_id = f"customer-{role}"
            fields = {"name": name, "custom_participant_id": custom_id, "preset_name": _PRESET}
            person = store.add_person(occasion.meeting_id, fields)
            guest = Guest(store.id(), person.body["id"], custom_id, name, _PRESET)
            visit = Visit(guest, joined_s=len(self._cast) * _APART_S)
            self._cast[role] = visit
            self.session.visits.append(visit)
            self._tell("meeting.participantJoined")
            await self._hear("participant.join", {"participant": self._who(guest) | {"preset_name": _PRESET}})
            await self._stage.deliver(
                self.session, lambda dialect: wire.moved(occasion, dialect, guest, joined_s=visit.joined_s)
            )

        return do

    def _leaving(self, role: str, at_s: float) -> Callable[[], Awaitable[None]]:
        return lambda: self._leave(self._cast[role], at_s)

    async def _leave(self, visit: Visit, at_s: float) -> None:
        visit.left_s = at_s
        occasion = self.session.occasion
        self._tell("meeting.participantLeft")
        await self._hear("participant.leave", {"participant": self._who(visit.guest)})
        await self._stage.deliver(
            self.session,
            lambda dialect: wire.moved(occasion, dialect, visit.guest, joined_s=visit.joined_s, left_s=at_s),
        )

    def _saying(self, line: Utterance, number: int) -> list[_Step]:
        """Half of it as a partial, then all of it as the final."""
        half = " ".join(word.text for word in line.words[: max(1, len(line.words) // 2)])

        async def partly() -> None:
            await self._hear("transcript.received", self._said(line, half, final=False))

        async def wholly() -> None:
            guest = self._cast[line.role].guest
            self.session.said.append(Sentence(guest, line.text, line.start_s, line.end_s))
            await self._hear("transcript.received", self._said(line, line.text, final=True))
            if number == 0:
                created_at = wire.instant(self.session.occasion.at(line.end_s))
                data = {"type": "reactions", "payload": {"reaction": "👍", "peerId": guest.peer_id}}
                await self._hear("broadcast.received", data | {"created_at": created_at})

        return [_Step((line.start_s + line.end_s) / 2, partly), _Step(line.end_s, wholly)]

    def _said(self, line: Utterance, text: str, *, final: bool) -> dict[str, Any]:
        """Times are to the second, and of the vendor's own receiving."""
        guest, at = self._cast[line.role].guest, self.session.occasion.at
        speaker = {
            "peer_id": guest.peer_id, "participant_id": guest.participant_id, "custom_participant_id": guest.custom_id,
            "display_name": guest.name,
        }  # fmt: skip
        return {
            "text": text, "is_final": final, "started_at": wire.instant(at(line.start_s).replace(microsecond=0)),
            "ended_at": wire.instant(at(line.end_s).replace(microsecond=0)), "confidence": 0.94 if final else 0.7,
            "speaker": speaker,
        }  # fmt: skip

    async def _writing(self) -> None:
        at_s = self._speech.duration_s * 0.6
        first, second = list(self._cast.values())[:2]
        picture = self._stage.link(self._stage.store.add_link(b"\xff\xd8\xff\xd9", "image/jpeg"))
        self.session.written += [
            Note(self._stage.store.id(), first.guest, 'The dashboard, "new" and old', at_s),
            Note(self._stage.store.id(), second.guest, picture, at_s + 0.5, kind="IMAGE_MESSAGE"),
        ]

    async def _end(self, now_s: float) -> None:
        occasion, session, stage = self.session.occasion, self.session, self._stage
        if self.reason == "HOST_ENDED_MEETING":
            await self._hear("participant.kick_all", {})
        for visit in session.visits:
            if visit.left_s is None:
                await self._leave(visit, now_s)
        session.length_s = now_s
        if session.livestream:
            session.livestream |= {"err_message": "IDLE", "stopped_time": wire.instant(occasion.at(now_s))}
            await self._streaming("OFFLINE")
        self._tell("meeting.ended")
        ended_at = wire.instant(occasion.at(now_s))
        reason = "host_ended_meeting" if self.reason == "HOST_ENDED_MEETING" else "all_participants_left"
        await self._hear("session.ended", {"session": self.told() | {"ended_at": ended_at}, "reason": reason})
        for one in stage.agents.of(occasion.meeting_id):
            await stage.agents.end(one, 1000, "session_ended")
        await stage.deliver(session, lambda dialect: wire.ended(occasion, dialect, at_s=now_s, reason=self.reason))
        await stage.pause(_MADE_S)
        await self._make(now_s)

    async def _make(self, now_s: float) -> None:
        occasion, session, stage = self.session.occasion, self.session, self._stage
        recordings = [one for one in stage.store.recordings.values() if one["session_id"] == occasion.session_id]
        for told in recordings:
            if told["status"] in ("INVOKED", "RECORDING", "PAUSED"):
                told["stopped_time"] = occasion.at(now_s)
                told["stop_reason"] = {"reason": "ALL_PEERS_LEFT", "caller": {}}
                told["status"] = "UPLOADING"
                await self.recorded(told)
            await self._upload(told, now_s)
        session.made.add("chat")
        url = stage.link(stage.api.link_to(session, "chat"))
        await stage.deliver(session, lambda dialect: wire.chat_synced(occasion, dialect, url=url, at_s=now_s))
        for kind, wanted in (("transcript", "transcribe_on_end"), ("summary", "summarize_on_end")):
            if self._meeting[wanted]:
                session.made.add(kind)
                await self._announce(kind, now_s)
        self._tell("done")

    async def _announce(self, kind: Any, now_s: float) -> None:
        occasion, stage = self.session.occasion, self._stage
        url = stage.link(stage.api.link_to(self.session, kind))
        await stage.deliver(self.session, lambda dialect: wire.file_ready(occasion, dialect, kind, url=url, at_s=now_s))

    async def _upload(self, told: dict[str, Any], now_s: float) -> None:
        """A recording of tracks has a file for each guest."""
        stage, store = self._stage, self._stage.store
        video, sound = b"\x1aE\xdf\xa3 not really a film", b"ID3 not really sound"
        if told["tracks"]:
            files = {
                f"standup_{visit.guest.participant_id}_{visit.guest.peer_id}_peer_audio_"
                f"{round(self.session.occasion.at(visit.joined_s).timestamp() * 1000)}.webm": visit
                for visit in self.session.visits
            }
            links = {name: {"download_url": stage.link(store.add_link(video, "video/webm"))} for name in files}
            told["download_url"] = [{"layer_name": "default", "download_urls": links}]
        else:
            told["download_url"] = stage.link(store.add_link(video, "video/mp4"))
            told["audio_download_url"] = stage.link(store.add_link(sound, "audio/mpeg"))
        told |= {
            "status": "UPLOADED", "download_url_expiry": store.expiry(), "file_size": len(video),
            "recording_duration": round(now_s),
        }  # fmt: skip
        await self.recorded(told)

    async def recorded(self, told: dict[str, Any]) -> None:
        """Tell webhooks how a recording stands."""
        occasion, now = self.session.occasion, dict(told)
        self._tell(f"recording {now['status']}")
        await self._stage.deliver(self.session, lambda dialect: wire.recording(occasion, dialect, now))

    async def _advance(self, status: str, **times: datetime) -> None:
        if self._recording is not None:
            self._recording |= {"status": status, **times}
            await self.recorded(self._recording)

    async def _streaming(self, status: str) -> None:
        stream_id, key = self._stream
        occasion = self.session.occasion
        await self._stage.deliver(
            self.session,
            lambda dialect: wire.livestream(occasion, dialect, stream_id=stream_id, status=status, key=key),
        )

    async def _hear(self, name: str, data: dict[str, Any]) -> None:
        await self._stage.agents.tell(self.session.occasion.meeting_id, name, data)

    def told(self) -> dict[str, Any]:
        """The session as the agent's socket tells it."""
        occasion = self.session.occasion
        return {
            "id": occasion.session_id, "meeting_id": occasion.meeting_id,
            "started_at": wire.instant(occasion.started), "ended_at": None,
        }  # fmt: skip

    def _who(self, guest: Guest) -> dict[str, Any]:
        return {
            "peer_id": guest.peer_id, "participant_id": guest.participant_id,
            "meeting_id": self.session.occasion.meeting_id, "custom_participant_id": guest.custom_id,
            "display_name": guest.name, "picture_url": None, "preset_id": None, "waitlisted": False,
        }  # fmt: skip

    def _tell(self, what: str) -> None:
        self._stage.progress(self.session.occasion.meeting_id, what)
