"""What MeetStream's API says of a bot, call by call. No I/O. Shapes: OpenAPI and plugin reference, 2026."""

from datetime import UTC, datetime
from typing import Any

from receiver.simulator.meetstream_bot import Bot
from receiver.simulator.script import MEDIA_S


def answer_of(bot: Bot, call: str) -> tuple[int, Any]:
    """Status and body of one of the calls that only ask."""
    if call == "status":
        return 200, {"bot_id": bot.id, "status": bot.status, "custom_attributes": bot.attributes}
    if call in ("detail", "summary"):
        details = bot.details()
        if call == "summary" and bot.body.get("workflow_config_ids") and bot.is_over:
            details["Summary"] = "The incident is understood, and who does what is settled."
        return 200, {"bot_details": details}
    if call == "transcriptions":
        links = {"processed_transcript": bot.link("transcript.json", 3600)}
        return 200, {
            "bot_id": bot.id,
            "transcriptions": [
                {"transcript_id": id_, **run, "download_urls": links if run["status"] == "Success" else None}
                for id_, run in bot.runs.items()
            ],
        }
    if bot.is_deleted:
        return 404, {"message": "The data of this bot were deleted"}
    return _collected(bot, call)


def _collected(bot: Bot, call: str) -> tuple[int, Any]:
    if call == "get_participants":
        return 200, bot.people()
    if call == "get_chats":
        return 200, _chats(bot)
    if call == "get_screenshots":
        shots = [{"timestamp": bot.meeting.started.isoformat(), "url": bot.link("1.png", 600)}]
        return 200, {"bot_id": bot.id, "screenshots_count": 1, "screenshots": shots}
    if call == "get_video" and not bot.has_video:
        return 404, {"message": "No video was recorded"}
    if call in ("get_audio_streams", "get_recording_streams"):
        return _streams(bot, call)
    if ("video" if call == "get_video" else "audio") not in bot.made:
        return 202, {"message": "Processing"}
    if call == "get_audio":
        return 200, {"audio_url": bot.link("audio.wav", 3600)}
    if call == "get_video":
        info = {"duration": 20, "size_mb": 1.5, "resolution": "1280x720", "fps": 25, "corrupted_frames": 0}
        return 200, {"video_url": bot.link("video.mp4", 600), "video_info": info}
    return 200, _speaker_timeline(bot)


def _streams(bot: Bot, call: str) -> tuple[int, Any]:
    kind = "audio" if call == "get_audio_streams" else "video"
    config = bot.body.get("recording_config") or {}
    asked = bot.body.get(f"{kind}_separate_streams") or config.get(f"{kind}_separate_streams")
    if not bot.is_over:
        return 202, {f"{kind}_status": "in_progress", "message": "The bot is still in the meeting"}
    available = "audio_streams_available" if kind == "audio" else "recording_streams_available"
    told: dict[str, Any] = {"bot_id": bot.id, f"{kind}_status": "Success", available: bool(asked), "participants": []}
    if kind == "video":
        told["screenshares"] = []
    if not asked:
        return 200, {**told, "message": "No separate streams were recorded"}
    form = {"codec": "opus", "sample_rate": 48000, "channels": 1} if kind == "audio" else {"codec": "vp8", "width": 640}
    for number, person in enumerate(bot.meeting.people.values()):
        segment = {"segment_index": 0, "url": bot.link(f"{number}.webm", 600), "duration_seconds": 20.0, **form}
        stream = {"stream_id": f"s{number}", "segments": [segment]}
        told["participants"].append({"participant_name": person.name, "streams": [stream]})
    return 200, told


def _chats(bot: Bot) -> dict[str, Any]:
    person = bot.meeting.people["a"]
    message = {
        "messageId": "m1", "deviceId": person.device, "timestamp": bot.meeting.started.isoformat(),
        "text": "Here is the dashboard.", "speakerName": person.name.split()[0], "speakerDisplayName": person.name,
    }  # fmt: skip
    return {"metadata": {"botId": bot.id, "totalMessages": 1}, "speakers": [], "chatMessages": [message]}


def _speaker_timeline(bot: Bot) -> dict[str, Any]:
    lines = bot.speech.utterances if bot.speech else ()
    chunks = [
        {
            "chunkIndex": index, "timestamp": bot.meeting.started.isoformat(), "sampleRate": 48000,
            "speakerId": bot.meeting.people[line.role].device, "speakerName": bot.meeting.people[line.role].name,
            "startByte": round((MEDIA_S + line.start_s) * 96_000), "endByte": round((MEDIA_S + line.end_s) * 96_000),
        }
        for index, line in enumerate(lines)
    ]  # fmt: skip
    return {"chunks": chunks, "lastUpdated": datetime.now(UTC).isoformat(), "audioFilePath": "audio.wav"}
