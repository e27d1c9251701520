"""The files that RealtimeKit makes of a session: transcript in four formats, summary, chat. Pure.

Source: RealtimeKit, transcription, summary, chat; Dyte, AI (2026).
"""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass

from receiver.simulator.realtimekit.wire import Dialect, Guest, Occasion, instant

#: format -> media type
FORMATS = {"CSV": "text/csv", "JSON": "application/json", "SRT": "application/x-subrip", "VTT": "text/vtt"}
_CHAT_HEADINGS = (
    "id", "participantId", "sessionId", "meetingId", "displayName", "pinned", "isEdited", "payloadType", "payload",
    "createdAt",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sentence:
    """What somebody said, seconds from the beginning of the session."""

    guest: Guest
    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Note:
    """What somebody wrote; of an ``IMAGE_MESSAGE`` or ``FILE_MESSAGE`` ``text`` is a link."""

    id: str
    guest: Guest
    text: str
    at_s: float
    kind: str = "TEXT_MESSAGE"


def transcript(occasion: Occasion, said: Sequence[Sentence], format_: str, dialect: Dialect) -> bytes:
    """All that was said, in one of ``FORMATS``."""
    if format_ == "JSON":
        return json.dumps([_json_line(occasion, line) for line in said], ensure_ascii=False).encode()
    if format_ in ("SRT", "VTT"):
        return _cues(said, format_)
    rows = []
    for line in said:
        when = instant(occasion.at(line.start_s), "realtimekit") if dialect == "dyte" else str(_ms(line.start_s))
        guest = line.guest
        rows.append((when, guest.peer_id, guest.participant_id, guest.custom_id, guest.name, line.text))
    return _csv(rows)


def summary(occasion: Occasion, said: Sequence[Sentence]) -> bytes:
    """Markdown."""
    names = ", ".join(dict.fromkeys(line.guest.name for line in said))
    points = "\n".join(f"- {line.guest.name}: {line.text}" for line in said[:3])
    return f"# {occasion.title}\n\nThere were {names}.\n\n## Points\n{points}\n".encode()


def chat(occasion: Occasion, written: Sequence[Note]) -> bytes:
    """CSV with headings."""
    rows: list[tuple[str, ...]] = [_CHAT_HEADINGS]
    for note in written:
        rows.append(
            (
                note.id, note.guest.participant_id, occasion.session_id, occasion.meeting_id, note.guest.name, "false",
                "false", note.kind, note.text, instant(occasion.at(note.at_s)),
            )
        )  # fmt: skip
    return _csv(rows)


def _json_line(occasion: Occasion, line: Sentence) -> dict[str, object]:
    peer = {
        "id": line.guest.peer_id,
        "userId": line.guest.participant_id,
        "displayName": line.guest.name,
        "cpi": line.guest.custom_id,
        "joinedAt": instant(occasion.started),
        "leftAt": "",
    }
    return {"startTime": _ms(line.start_s), "endTime": _ms(line.end_s), "sentence": line.text, "peerData": peer}


def _cues(said: Sequence[Sentence], format_: str) -> bytes:
    mark = "," if format_ == "SRT" else "."
    parts = ["WEBVTT\n"] if format_ == "VTT" else []
    for number, line in enumerate(said, start=1):
        times = f"{_clock(line.start_s, mark)} --> {_clock(line.end_s, mark)}"
        parts.append(f"{number}\n{times}\n{line.guest.name}: {line.text}\n")
    return "\n".join(parts).encode()


def _clock(seconds: float, mark: str) -> str:
    minutes, ms = divmod(_ms(seconds), 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{ms // 1000:02d}{mark}{ms % 1000:03d}"


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _csv(rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()
