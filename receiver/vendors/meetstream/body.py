"""Tells MeetStream's JSON apart by shape, whatever way it came: any URL of a bot may point anywhere.

What is known nowhere becomes ``vendor.event``; what is known and does not keep to its types is malformed.
"""

from typing import Any

from receiver.errors import Malformed
from receiver.events import VendorBody
from receiver.record import Decoded, Record
from receiver.vendors.meetstream.callback import NAMES, decode_callback
from receiver.vendors.meetstream.participant import CHANGES, decode_participant
from receiver.vendors.meetstream.transcript import decode_transcript, transcript_layers
from receiver.vendors.wire import Delivery, delivery_of, read_object, require_shallow

#: keys that may hold a name, the most specific first; MeetStream's bodies use the first two, its sockets the others
_NAME_KEYS = ("bot_event", "event", "type", "command")


def decode(record: Record) -> Decoded:
    """Events of one HTTP body. Raises ``Malformed`` with the path or byte of what is wrong."""
    delivery = delivery_of(record)
    body = read_object(record.payload)
    return decode_object(body, delivery) or unknown(body, delivery)


def decode_object(body: dict[str, Any], delivery: Delivery) -> Decoded | None:
    """The event of a participant webhook, transcript or callback; ``None`` where ``body`` is none of them.

    Raises ``Malformed`` where it is one and a known key has the wrong type. A body with a name of its own that nobody
    knows is taken for a transcript only if it keeps to the types of one.
    """
    event = body.get("event")
    if isinstance(event, str) and event in CHANGES:
        return decode_participant(body, delivery)
    specific = body.get("bot_event")
    if (isinstance(event, str) and event in NAMES) or (isinstance(specific, str) and specific in NAMES):
        return decode_callback(body, delivery)
    named = bool(name_of(body))
    if layers := transcript_layers(body):
        try:
            return decode_transcript(layers, delivery)
        except Malformed:
            if not named:
                raise
    return None if named else decode_callback(body, delivery)


def unknown(body: dict[str, Any], delivery: Delivery) -> Decoded:
    """``vendor.event``: the body itself, with name, subject and time as far as they can be told."""
    require_shallow(body)
    subject = bot_id_of(body) or delivery.subject
    timestamp = body.get("timestamp")
    if not isinstance(timestamp, str):
        timestamp = None
    decoded = delivery.decoded(
        "vendor.event", VendorBody(body=body), subject=subject, timestamp=timestamp, name=name_of(body)
    )
    # Nobody knows what else identifies it, so the whole body does; with a time in it, equal bodies are one delivery.
    decoded.timed = bool(timestamp)
    return decoded


def name_of(body: dict[str, Any]) -> str:
    """The most specific name that the body gives itself; empty where it gives none."""
    return next((body[key] for key in _NAME_KEYS if isinstance(body.get(key), str) and body[key]), "")


def bot_id_of(body: dict[str, Any]) -> str:
    """The bot that a body names: ``bot_id``, ``data.bot_id`` or ``data.bot.id``; empty where it names none."""
    data = body.get("data")
    inner = data if isinstance(data, dict) else {}
    bot = inner.get("bot")
    told = (body.get("bot_id"), inner.get("bot_id"), bot.get("id") if isinstance(bot, dict) else None)
    return next((id_ for id_ in told if isinstance(id_, str) and id_), "")
