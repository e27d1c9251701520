"""The 28 webhook events of Daily, from what a call tells (webhook events, docs.daily.co, 2026). No I/O."""

import json
from collections.abc import Callable
from typing import Any

from receiver.simulator.daily.call import Call, Guest

#: their envelope is of version 1.1.0
_LATER = ("transcript.", "dialin.", "dialout.")
_PREFIXES = {
    "meeting.started": "met-sta", "meeting.ended": "met-end", "participant.joined": "ptcpt-join",
    "participant.left": "ptcpt-left", "waiting-participant.joined": "wait-join",
    "waiting-participant.left": "wait-left", "recording.started": "rec-sta",
    "recording.ready-to-download": "rec-rtd", "recording.error": "rec-err", "transcript.started": "tra-sta",
    "transcript.ready-to-download": "tra-rtd", "transcript.error": "tra-err", "streaming.started": "str-sta",
    "streaming.updated": "str-upd", "streaming.ended": "str-end", "streaming.error": "str-err",
    "batch-processor.job-finished": "bp-jf", "batch-processor.error": "bp-err",
}  # fmt: skip
_Payload = dict[str, Any]


def body(name: str, call: Call, at_s: float, guest: Guest | None = None) -> bytes:
    """One webhook, sent at ``at_s``; compact, as the vendor signs it. ``guest``: whom it is about."""
    who = guest or call.guests[0]
    payload = EVENTS[name](call, at_s, who)
    about = who.session_id if "participant." in name else call.id
    envelope = {
        "version": "1.1.0" if name.startswith(_LATER) else "1.0.0",
        "type": name,
        "id": f"{_PREFIXES.get(name, name.replace('.', '-'))}-{about}-{round(at_s * 1000)}",
        "payload": payload,
        "event_ts": round(at_s, 3),
    }
    return json.dumps(envelope, separators=(",", ":"), ensure_ascii=False).encode()


def _meeting(call: Call, at_s: float, who: Guest) -> _Payload:
    return {"start_ts": call.started_s, "meeting_id": call.id, "room": call.room.name}


def _meeting_ended(call: Call, at_s: float, who: Guest) -> _Payload:
    return {**_meeting(call, at_s, who), "end_ts": at_s if call.ended_s is None else call.ended_s}


def _participant(call: Call, at_s: float, who: Guest) -> _Payload:
    return {
        "room": call.room.name,
        "session_id": who.session_id,
        "user_id": who.user_id,
        "user_name": who.name,
        "joined_at": at_s if who.joined_s is None else who.joined_s,
        "will_eject_at": None,
        "owner": who.owner,
        "networkQualityState": "good",
        "permissions": {"hasPresence": True, "canSend": True, "canReceive": {"base": True}, "canAdmin": who.owner},
    }


def _participant_left(call: Call, at_s: float, who: Guest) -> _Payload:
    joined_s = at_s if who.joined_s is None else who.joined_s
    return {**_participant(call, at_s, who), "duration": round(at_s - joined_s, 3)}


def _recording_started(call: Call, at_s: float, who: Guest) -> _Payload:
    return {
        "recording_id": call.recording_id,
        "action": "start-cloud-recording",
        "layout": {"preset": "default"},
        "started_by": who.session_id,
        "instance_id": call.instance_id,
        "start_ts": int(at_s),
    }


def _recording_ready(call: Call, at_s: float, who: Guest) -> _Payload:
    return {
        "type": "cloud",
        "recording_id": call.recording_id,
        "room_name": call.room.name,
        "start_ts": int(call.started_s),
        "status": "finished",
        "max_participants": len(call.guests),
        "duration": int((call.ended_s or at_s) - call.started_s),
        "s3_key": f"{call.room.name}/{int(call.started_s * 1000)}",
        "share_token": f"share-{call.recording_id[:8]}",
        "tracks": None,
    }


def _recording_error(call: Call, at_s: float, who: Guest) -> _Payload:
    return {
        "action": "cloud-recording-error",
        "error_msg": "the recording could not be written",
        "instance_id": call.instance_id,
        "room_name": call.room.name,
        "timestamp": str(int(at_s)),
    }


def _transcript(status: str) -> Callable[[Call, float, Guest], _Payload]:
    def payload(call: Call, at_s: float, who: Guest) -> _Payload:
        length_s = int((call.ended_s or at_s) - call.started_s)
        told: _Payload = {
            "id": call.transcript_id,
            "room_id": call.room.id,
            "room_name": call.room.name,
            "mtg_session_id": call.id,
            "duration": 0 if status == "t_in_progress" else length_s,
            "participant_minutes": 0 if status == "t_in_progress" else length_s * len(call.guests) // 60,
            "status": status,
            "out_params": {"s3": {"key": call.transcript_id, "bucket": "standin-transcripts", "region": "us-west-2"}},
        }
        if status == "t_in_progress":
            return {**told, "info": {"instanceId": call.instance_id}, "max_participants": len(call.guests)}
        if status == "t_error":
            info = {"instanceId": call.instance_id, "startTs": int(call.started_s), "endTs": int(at_s)}
            return {**told, "info": info, "error": "the recogniser went away"}
        return {**told, "domain_id": call.domain_id}

    return payload


def _streaming(call: Call, at_s: float, who: Guest) -> _Payload:
    return {
        "timestamp": int(at_s),
        "instance_id": call.instance_id,
        "domain_id": call.domain_id,
        "layout": {"preset": "active-participant"},
    }


def _streaming_ended(call: Call, at_s: float, who: Guest) -> _Payload:
    return {"timestamp": int(at_s), "instance_id": call.instance_id, "domain_id": call.domain_id}


def _streaming_error(call: Call, at_s: float, who: Guest) -> _Payload:
    told = _streaming_ended(call, at_s, who)
    return {**told, "error_message": "the endpoint does not answer", "room_name": call.room.name}


def _job(status: str) -> Callable[[Call, float, Guest], _Payload]:
    def payload(call: Call, at_s: float, who: Guest) -> _Payload:
        source = {"sourceType": "recordingId", "recordingId": call.recording_id, "language": "en"}
        told: _Payload = {"id": call.job_id, "preset": "summarize", "status": status, "input": source}
        if status == "error":
            return {**told, "error": "no speech found", "output": {}}
        place = {"bucket": "standin-batch", "region": "us-west-2"}
        return {
            **told,
            "output": {
                "transcription": [{"format": "vtt", "s3Config": {**place, "key": f"{call.job_id}/transcript.vtt"}}],
                "summary": {"format": "txt", "s3Config": {**place, "key": f"{call.job_id}/summary.txt"}},
            },
        }

    return payload


def _dial(*keys: str) -> Callable[[Call, float, Guest], _Payload]:
    def payload(call: Call, at_s: float, who: Guest) -> _Payload:
        known: _Payload = {
            "session_id": who.session_id,
            "user_id": who.user_id,
            "sip_from": "+15550100",
            "display_name": "Caller",
            "sip_headers": {"x-call": "1"},
            "sip_endpoint": f"{call.instance_id[:8]}@standin.sip.daily.co",
            "destination": "+15550123",
            "caller_id": "+15550100",
            "error_msg": "no answer",
        }
        common = {"timestamp": int(at_s), "domain_id": call.domain_id, "room": call.room.name}
        return {**common, **{key: known[key] for key in keys}}

    return payload


_IN = ("session_id", "sip_from", "display_name", "sip_headers")
_OUT = ("session_id", "user_id", "destination", "caller_id")

#: event -> what makes its payload
EVENTS: dict[str, Callable[[Call, float, Guest], _Payload]] = {
    "meeting.started": _meeting,
    "meeting.ended": _meeting_ended,
    "participant.joined": _participant,
    "participant.left": _participant_left,
    "waiting-participant.joined": _participant,
    "waiting-participant.left": _participant_left,
    "recording.started": _recording_started,
    "recording.ready-to-download": _recording_ready,
    "recording.error": _recording_error,
    "transcript.started": _transcript("t_in_progress"),
    "transcript.ready-to-download": _transcript("t_finished"),
    "transcript.error": _transcript("t_error"),
    "streaming.started": _streaming,
    "streaming.updated": _streaming,
    "streaming.ended": _streaming_ended,
    "streaming.error": _streaming_error,
    "batch-processor.job-finished": _job("finished"),
    "batch-processor.error": _job("error"),
    "dialin.ready": _dial("sip_endpoint"),
    "dialin.connected": _dial(*_IN),
    "dialin.stopped": _dial(*_IN),
    "dialin.warning": _dial("session_id", "error_msg"),
    "dialin.error": _dial("session_id", "error_msg"),
    "dialout.connected": _dial(*_OUT),
    "dialout.answered": _dial(*_OUT),
    "dialout.stopped": _dial(*_OUT),
    "dialout.warning": _dial(*_OUT),
    "dialout.error": _dial("session_id", "user_id", "error_msg"),
}
