"""A meeting of the stand-in for Water AI, and the forms in which a callback may tell of it. No I/O."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from receiver.simulator.speech import Speech


@dataclass(slots=True, kw_only=True)
class Held:
    """A meeting. ``facts``: as REST shows it."""

    id: int
    scenario_id: int
    transcript_id: int
    facts: dict[str, Any]
    transcribed: bool = False
    sentences: list[dict[str, Any]]


Form = Callable[[str, Held, str], tuple[dict[str, str], dict[str, Any]]]


def _flat(name: str, held: Held, at: str) -> tuple[dict[str, str], dict[str, Any]]:
    return {}, {"event": name, "meeting_id": held.id, "timestamp": at}


def _in_data(name: str, held: Held, at: str) -> tuple[dict[str, str], dict[str, Any]]:
    data = {"id": held.id, "status": held.facts["status"], "room_url": held.facts["room_url"]}
    return {}, {"type": name, "data": data, "timestamp": at}


def _in_data_by_name(name: str, held: Held, at: str) -> tuple[dict[str, str], dict[str, Any]]:
    return {}, {"event": name.replace(".", "_"), "data": {"meeting_id": str(held.id)}, "timestamp": at}


def _in_meeting(name: str, held: Held, at: str) -> tuple[dict[str, str], dict[str, Any]]:
    meeting = {"id": held.id, "person_name": held.facts["person_name"], "updated_at": at}
    return {"X-Waterr-Event": name}, {"meeting": meeting}


def _in_payload(name: str, held: Held, at: str) -> tuple[dict[str, str], dict[str, Any]]:
    first, last = name.split(".")
    return {}, {"type": first + last.capitalize(), "payload": {"meeting_id": held.id, "occurred_at": at}}


#: what a callback may look like
FORMS: tuple[Form, ...] = (_flat, _in_data, _in_data_by_name, _in_meeting, _in_payload)


def sentences_of(content: Speech) -> list[dict[str, Any]]:
    """What was said: the vendor knows one person, the user, and its own parts."""
    roles = list(content.names)
    return [
        {
            "id": 1001 + number,
            "speaker": "user" if said.role == roles[0] else "assistant",
            "message": said.text,
            "start_duration": f"{int(said.start_s) // 60:02d}:{int(said.start_s) % 60:02d}",
            "sequence_number": number + 1,
        }
        for number, said in enumerate(content.utterances)
    ]
