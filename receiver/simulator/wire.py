"""MeetStream's messages, byte by byte, as its documents and captures show them (state: autumn 2026). Pure.

Callbacks are of the third generation. Live transcription is in the style of the raw AssemblyAI stream. Key order,
spacing and escapes follow Python's ``json``, which is what the captures look like.
"""

import hashlib
import hmac
import json
import struct
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

FRAME_SAMPLES = 960  # 20 ms
PCM_TAG = 1

#: name -> bot_status (None: the vendor sends null), message for people
_LIFECYCLE: dict[str, tuple[str | None, str]] = {
    "bot.joining": ("Joining", "Bot is joining the meeting"),
    "bot.in_waiting_room": ("InWaitingRoom", "Bot is waiting to be admitted"),
    "bot.inmeeting": ("InMeeting", "Bot joined the meeting"),
    "bot.recording": ("Recording", "Recording started"),
    "bot.leaving": ("Leaving", "Bot is leaving the meeting"),
    "bot.stopped": ("Stopped", "Bot left the meeting"),
    "bot.uploading": (None, "Uploading media"),
    "bot.done": ("Done", "All processing finished"),
}
_AFTER_CALL: dict[str, tuple[str, str]] = {
    "manifest.completed": ("manifest_status", "Manifest is ready"),
    "audio.processed": ("audio_status", "Audio is ready"),
    "transcription.processed": ("transcript_status", "Transcript is ready"),
    "video.processed": ("video_status", "Video is ready"),
}
_WITHOUT_BOT_EVENT = frozenset({"bot.uploading", "manifest.completed"})


def instant(started: datetime, at_s: float) -> str:
    """The moment ``at_s`` seconds into the meeting, with ``Z`` and milliseconds."""
    moment = (started + timedelta(seconds=at_s)).astimezone(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def instant_with_offset(started: datetime, at_s: float) -> str:
    """The same with ``+00:00`` and microseconds: the form of the events after the call."""
    return (started + timedelta(seconds=at_s)).astimezone(UTC).isoformat(timespec="microseconds")


def callback(
    name: str, *, bot_id: str, started: datetime, at_s: float, attributes: Mapping[str, str], exit_name: str = ""
) -> bytes:
    """One lifecycle or post-call delivery. ``exit_name``: the ``bot_event`` of ``bot.stopped``, e.g. ``bot.kicked``."""
    body: dict[str, Any] = {"event": name}
    if name not in _WITHOUT_BOT_EVENT:
        body["bot_event"] = exit_name or name
    body["bot_id"] = bot_id
    if name in _LIFECYCLE:
        status, message = _LIFECYCLE[name]
        body |= {"bot_status": status, "message": message, "status_code": 200}
        body["timestamp"] = instant(started, at_s)
    else:
        status_key, message = _AFTER_CALL[name]
        body |= {"status": "success", status_key: "Success", "message": message, "status_code": 200}
        body["timestamp"] = instant_with_offset(started, at_s)
    body["custom_attributes"] = dict(attributes)
    return json.dumps(body).encode()


def data_deletion(*, bot_id: str, started: datetime, at_s: float, objects: int) -> bytes:
    """What follows a deletion request; the only callback without ``custom_attributes``."""
    body = {
        "event": "data_deletion",
        "bot_event": "data_deletion",
        "bot_id": bot_id,
        "status": "success",
        "deleted_objects": objects,
        "message": "Bot data deleted",
        "status_code": 200,
        "timestamp": instant_with_offset(started, at_s),
    }
    return json.dumps(body).encode()


def participant(
    action: str,
    *,
    bot_id: str,
    started: datetime,
    at_s: float,
    device: str,
    name: str,
    full_name: str,
    attributes: Mapping[str, str],
) -> bytes:
    """One ``participant_events.join`` or ``.leave``; ``at_s`` is on the bot's own clock too."""
    timestamp = instant(started, at_s)
    person = {"id": device, "name": name, "full_name": full_name, "platform": "gmeet"}
    moment = {"relative": round(at_s, 3), "absolute": timestamp}
    body = {
        "event": f"participant_events.{action}",
        "timestamp": timestamp,
        "data": {
            "data": {"action": action, "participant": person, "timestamp": moment},
            "bot": {"id": bot_id, "metadata": {}},
        },
        "custom_attributes": dict(attributes),
    }
    return json.dumps(body).encode()


def transcript(
    *,
    bot_id: str,
    started: datetime,
    at_s: float,
    speaker: str,
    words: Sequence[Mapping[str, Any]],
    turn_order: int,
    utterance: str = "",
    end_of_turn: bool = False,
) -> bytes:
    """One update of a turn; ``transcript`` holds the final ones of ``words`` (made by ``word``) only."""
    body = {
        "bot_id": bot_id,
        "speakerName": speaker,
        "timestamp": instant(started, at_s),
        "transcript": " ".join(word["word"] for word in words if word["word_is_final"]),
        "utterance": utterance,
        "words": [{**word, "speaker": speaker} for word in words],
        "is_final": False,
        "end_of_turn": end_of_turn,
        "turn_is_formatted": False,
        "turn_order": turn_order,
        "end_of_turn_confidence": 1 if end_of_turn else 2.8e-05,
        "transcription_mode": "raw",
    }
    return json.dumps(body, ensure_ascii=False).encode()


def word(text: str, punctuated: str, start_s: float, end_s: float, *, confidence: float, final: bool) -> dict[str, Any]:
    """One word object; whole seconds are integers, as in the captures."""
    return {
        "word": text,
        "punctuated_word": punctuated,
        "start": _number(start_s),
        "end": _number(end_s),
        "confidence": confidence,
        "speech_confidence": confidence,
        "word_is_final": final,
    }


def ready(bot_id: str) -> str:
    """The first message on the audio and control sockets."""
    return json.dumps({"type": "ready", "bot_id": bot_id, "message": "Bot is ready"})


def audio_header(speaker_id: str, speaker_name: str) -> bytes:
    """What stands before the samples of a frame: tag | id length u16 LE | id | name length u16 LE | name."""
    identity, name = speaker_id.encode(), speaker_name.encode()
    return struct.pack("<BH", PCM_TAG, len(identity)) + identity + struct.pack("<H", len(name)) + name


def user_message(bot_id: str, speaker: str, text: str, timestamp: str) -> str:
    """``usermsg`` on the control socket."""
    fields = {"command": "usermsg", "message": text, "speakerName": speaker, "timestamp": timestamp, "bot_id": bot_id}
    return json.dumps(fields, ensure_ascii=False)


def interrupt() -> str:
    """``interrupt`` on the control socket; needs no more keys."""
    return json.dumps({"command": "interrupt"})


def video_start(bot_id: str, video: Mapping[str, Any]) -> str:
    """First message on the video socket; ``video`` has width, height, framerate, audio_sample_rate, audio_bitrate."""
    fields = {"type": "video_stream_start", "bot_id": bot_id, "codec": "h264", "audio_codec": "aac"}
    fields |= {"container": "fmp4"}
    names = ("width", "height", "framerate", "audio_sample_rate", "audio_bitrate")
    return json.dumps(fields | {name: video[name] for name in names})


def video_ping(bot_id: str, sequence: int, sent_at_ms: int) -> str:
    """Latency ping of the video socket."""
    return json.dumps({"type": "video_latency_ping", "bot_id": bot_id, "seq": sequence, "sent_at_ms": sent_at_ms})


def video_end(bot_id: str, duration_s: float) -> str:
    """Last message on the video socket."""
    return json.dumps({"type": "video_stream_end", "bot_id": bot_id, "duration_seconds": duration_s})


def signature(secret: str, body: bytes) -> str:
    """``X-MeetStream-Signature`` of a callback to a workspace endpoint."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def _number(seconds: float) -> int | float:
    value = round(seconds, 3)
    return int(value) if value == int(value) else value
