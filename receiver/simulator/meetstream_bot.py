"""One bot of MeetStream's stand-in: what was asked of it, how far it is, and what there is of it. No I/O.

Shapes: OpenAPI and plugin reference, 2026.
"""

import asyncio
import uuid
from typing import Any

from receiver.simulator.channels import Channels
from receiver.simulator.script import Meeting
from receiver.simulator.speech import Speech
from receiver.simulator.tally import MeetingTally, Tally

POST_CALL = frozenset({"deepgram", "assemblyai", "sarvam", "jigsawstack", "meetstream"})
STREAMING = frozenset({
    "deepgram_streaming", "assemblyai_streaming", "jigsawstack_streaming", "meetstream_streaming", "meeting_captions",
})  # fmt: skip
#: event name -> stage of the timeline, state of the bot
_STAGES = {
    "bot.scheduled": ("Scheduled", "Scheduled"),
    "bot.joining": ("Joining", "Joining"),
    "bot.in_waiting_room": ("WaitingRoom", "InWaitingRoom"),
    "bot.inmeeting": ("InMeeting", "InMeeting"),
    "bot.recording": ("Recording", "Recording"),
    "bot.leaving": ("Leaving", "Leaving"),
    "bot.stopped": ("Stopped", "Stopped"),
    "bot.uploading": ("", "MediaProcessing"),
    "audio.processed": ("AudioProcessing", ""),
    "video.processed": ("VideoProcessing", ""),
    "transcription.processed": ("TranscriptionReady", ""),
    "bot.done": ("Done", "Done"),
}
_NEVER = ("Scheduled", "Error", "BotNotAllowed", "BotRejected", "MediaExpired")
_MADE = {"audio.processed": "audio", "video.processed": "video", "transcription.processed": "transcript",
         "manifest.completed": "manifest"}  # fmt: skip
_LINK = "?X-Amz-Expires={seconds}&X-Amz-Signature=0123456789abcdef"


class Bot:
    """``removed``: told to leave. ``made``: what can be fetched. ``orders``: what it was told to do, oldest first."""

    def __init__(self, body: dict[str, Any], meeting: Meeting, *, media_url: str) -> None:
        self.body, self.meeting, self.id = body, meeting, meeting.bot_id
        self._media_url = media_url
        config = body.get("recording_config") or {}
        self.provider = next(iter((config.get("transcript") or {}).get("provider") or {}), "")
        transcript_id = str(uuid.uuid5(uuid.NAMESPACE_OID, self.id))
        self.transcript_id = transcript_id if self.provider in POST_CALL else None
        self.runs: dict[str, dict[str, str]] = {}
        if self.transcript_id:
            self.runs[transcript_id] = {"provider": self.provider, "status": "Processing"}
        self.status = "Active"
        self.timeline: dict[str, dict[str, Any]] = {
            stage: {"message": "", "status": False, "timestamp": None} for stage in _NEVER
        }
        self.participant_events: list[dict[str, Any]] = []
        self.made: set[str] = set()
        self.removed = asyncio.Event()
        self.is_deleted = False
        self.orders: list[dict[str, Any]] = []
        self.pauses_s: list[float] = []
        self.speech: Speech | None = None
        by_socket = bool(self.urls.transcript_socket) and not self.urls.transcript
        self.tally = MeetingTally(bot_id=self.id, transport="websocket" if by_socket else "webhook", whole=Tally())

    @property
    def callback_url(self) -> str:
        """Where lifecycle and post-call deliveries go."""
        return str(self.body.get("callback_url") or "")

    @property
    def urls(self) -> Channels:
        """Where each channel goes; empty: nowhere."""
        endpoints = (self.body.get("recording_config") or {}).get("realtime_endpoints") or [{}]
        live = self.body.get("live_transcription_required") or {}
        return Channels(
            callback=self.callback_url,
            participant=str(endpoints[0].get("url", "")),
            transcript=str(live.get("webhook_url") or ""),
            audio=self._socket("live_audio_required"),
            video="" if self.platform == "Zoom" else self._socket("live_video_required"),
            control=self._socket("socket_connection_url"),
            transcript_socket=str(live.get("websocket_url") or ""),
        )

    @property
    def platform(self) -> str:
        """By the meeting's link."""
        link = self.body["meeting_link"]
        return "Zoom" if "zoom" in link else "Teams" if "teams" in link else "GMeet"

    @property
    def attributes(self) -> dict[str, Any]:
        """``custom_attributes``, echoed on nearly everything."""
        told = self.body.get("custom_attributes")
        return told if isinstance(told, dict) else {}

    @property
    def has_video(self) -> bool:
        """On unless it was refused."""
        return self.body.get("video_required") is not False

    @property
    def is_in_meeting(self) -> bool:
        """Between admission and leaving."""
        return self.status in ("InMeeting", "Recording")

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes but what is asked for."""
        return self.status in ("Done", "MediaExpired")

    def note(self, name: str, timestamp: str, message: str) -> None:
        """An event has happened, whether or not anybody takes its delivery."""
        stage, status = _STAGES.get(name, ("", ""))
        if stage:
            self.timeline[stage] = {"message": message, "status": True, "timestamp": timestamp}
        self.status = status or self.status
        if name in _MADE:
            self.made.add(_MADE[name])
        if name == "transcription.processed" and self.transcript_id:
            self.runs[self.transcript_id]["status"] = "Success"

    def delete(self) -> int:
        """Forget media and transcripts; how many objects they were."""
        count = len(self.made)
        self.made.clear()
        self.runs.clear()
        self.is_deleted, self.status = True, "MediaExpired"
        return count

    def created(self) -> dict[str, Any]:
        """The answer to ``create_bot``."""
        link = self.body["meeting_link"]
        return {"bot_id": self.id, "transcript_id": self.transcript_id, "meeting_url": link, "status": "Active"}

    def listed(self) -> dict[str, Any]:
        """One of ``GET /bots``."""
        return {
            "BotID": self.id,
            "Status": self.status,
            "Platform": self.platform,
            "BotUsername": self.body["bot_name"],
        }

    def details(self) -> dict[str, Any]:
        """``bot_details``; the body that created the bot is echoed."""
        captions = self.provider == "meeting_captions" and self.is_over
        return {
            "BotID": self.id,
            "BotUsername": self.body["bot_name"],
            "MeetingLink": self.body["meeting_link"],
            "Platform": self.platform,
            "Status": self.status,
            "CreatedAt": self.meeting.started.isoformat(),
            "LastUpdatedAt": int(self.meeting.started.timestamp()),
            "RequestPayload": self.body,
            "StatusTimeline": self.timeline,
            "ManifestStatus": "Success" if "manifest" in self.made else None,
            "AudioStatus": "Success" if "audio" in self.made else None,
            "TranscriptStatus": "Success" if "transcript" in self.made else None,
            "transcript_id": self.transcript_id,
            "caption_file": self.link("captions.txt", 3600) if captions else {"available": False},
            "participant_events": self.participant_events,
            "custom_attributes": self.attributes,
        }

    def link(self, name: str, seconds: int) -> str:
        """A link that carries its own permission."""
        return f"{self._media_url}/{self.id}/{name}{_LINK.format(seconds=seconds)}"

    def people(self) -> list[dict[str, Any]]:
        """``get_participants``."""
        return [
            {
                "deviceId": person.device, "displayName": person.name.split()[0], "fullName": person.name, "status": 1,
                "humanized_status": "in_meeting", "streamIds": [], "lastUpdated": self.meeting.started.isoformat(),
            }
            for person in self.meeting.people.values()
        ]  # fmt: skip

    def transcript(self) -> list[dict[str, Any]]:
        """``get_transcript``: what was said, in segments."""
        return [
            {
                "speaker": self.meeting.people[line.role].name,
                "transcript": line.text,
                "start_time": line.start_s,
                "end_time": line.end_s,
                "absolute_start_time": "1970-01-01T00:00:00",
                "absolute_end_time": "1970-01-01T00:00:00",
                "words": [
                    {"word": word.text.lower(), "punctuated_word": word.text, "start": word.start_s, "end": word.end_s,
                     "confidence": 0.97, "speaker": 0, "speaker_confidence": 0.9}
                    for word in line.words
                ],
            }
            for line in (self.speech.utterances if self.speech else ())
        ]  # fmt: skip

    def raw_transcript(self, transcript_id: str) -> dict[str, Any]:
        """The same as its service gave it."""
        text = " ".join(line["transcript"] for line in self.transcript())
        return {"id": transcript_id, "status": "completed", "text": text, "language_code": "en_us", "words": []}

    def _socket(self, field: str) -> str:
        told = self.body.get(field) or ""
        return str(told.get("websocket_url") or "") if isinstance(told, dict) else str(told)
