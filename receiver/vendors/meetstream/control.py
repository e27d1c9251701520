"""What a MeetStream bot says over its control socket: ``usermsg``, ``interrupt``, and spellings that labs expect."""

from typing import Any

import msgspec

from receiver.errors import Malformed
from receiver.events import ControlMessage
from receiver.record import Decoded
from receiver.vendors.meetstream.wire import attributes, person
from receiver.vendors.wire import Delivery, timed_key, typed

#: commands that the documents name; any other is passed on the same way
COMMANDS = ("usermsg", "interrupt", "transcript", "transcription.final")


class _Control(msgspec.Struct):
    command: str = ""
    bot_id: str | None = None
    message: str | None = None
    text: str | None = None
    transcript: str | None = None
    msg: str | None = None
    speakerName: str | None = None  # noqa: N815 - the vendor's spelling
    speaker_name: str | None = None
    speakerId: str | None = None  # noqa: N815 - the vendor's spelling
    speaker_id: str | None = None
    timestamp: str | None = None
    event_id: str | int | None = None
    id: str | int | None = None
    is_final: bool | None = None
    final: bool | None = None
    custom_attributes: dict[str, Any] | None = None


def decode_control(body: dict[str, Any], delivery: Delivery, number_id: str) -> Decoded | None:
    """The event of one command. Its id is ``number_id`` where the bot gives none itself.

    Raises ``Malformed`` on a wrong type; ``None`` instead for a command that nobody knows: its keys may mean anything.
    """
    try:
        told = typed(body, _Control)
    except Malformed:
        if isinstance(body["command"], str) and body["command"] not in COMMANDS:
            return None
        raise
    subject = told.bot_id or delivery.subject
    data = ControlMessage(
        command=told.command,
        text=told.message or told.text or told.transcript or told.msg or None,
        speaker=person(told.speakerId or told.speaker_id, told.speakerName or told.speaker_name),
        attributes=attributes(told.custom_attributes),
    )
    name, own_id = told.command, told.event_id if told.event_id is not None else told.id
    if own_id is None or own_id == "":
        event = delivery.event(number_id, "control.message", data, subject=subject, timestamp=told.timestamp, name=name)
        return Decoded([event])
    # Updates of one utterance may share an id: what they say tells them apart.
    key = timed_key("control", subject, name, own_id, data.text, bool(told.is_final or told.final))
    return delivery.decoded("control.message", data, subject=subject, timestamp=told.timestamp, name=name, key=key)
