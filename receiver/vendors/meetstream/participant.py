"""MeetStream's participant webhooks: ``participant_events.join`` and ``.leave`` of the realtime endpoints.

Another shape than the callbacks: everything lies below ``data``, and the bot id is ``data.bot.id``.
"""

from typing import Any

import msgspec

from receiver.events import Participant, ParticipantChange
from receiver.record import Decoded
from receiver.vendors.meetstream.wire import attributes, real
from receiver.vendors.wire import Delivery, timed_key, typed

#: event name -> type of the event
CHANGES = {
    "participant_events.join": "participant.joined",
    "participant_events.leave": "participant.left",
}


class _Who(msgspec.Struct):
    id: str | None = None
    name: str | None = None
    full_name: str | None = None
    platform: str | None = None


class _When(msgspec.Struct):
    relative: float | None = None
    absolute: str | None = None


class Change(msgspec.Struct):
    """Who came or left, and when: ``relative`` in seconds on the bot's clock."""

    action: str | None = None
    participant: _Who | None = None
    timestamp: _When | None = None


class _Bot(msgspec.Struct):
    id: str | None = None


class _Data(msgspec.Struct):
    data: Change | None = None
    bot: _Bot | None = None


class _Body(msgspec.Struct):
    event: str | None = None
    timestamp: str | None = None
    data: _Data | None = None
    bot_id: str | None = None
    custom_attributes: dict[str, Any] | None = None


def decode_participant(body: dict[str, Any], delivery: Delivery) -> Decoded | None:
    """The event of somebody who came or left; ``None`` where ``data.data.participant`` is missing.

    The name is the display name where there is one; placeholders are left out. Raises ``Malformed``.
    """
    told = typed(body, _Body)
    change = told.data.data if told.data else None
    who = change.participant if change else None
    if told.event is None or change is None or who is None:
        return None
    when = change.timestamp or _When()
    timestamp = told.timestamp or when.absolute
    subject = (told.data.bot.id if told.data and told.data.bot else None) or told.bot_id or delivery.subject
    id_, name = real(who.id), real(who.full_name) or real(who.name)
    data = ParticipantChange(
        participant=Participant(id=id_, name=name, platform=real(who.platform)),
        offset_s=when.relative,
        attributes=attributes(told.custom_attributes),
    )
    key = timed_key("participant", subject, told.event, id_, name, timestamp) if timestamp else None
    return delivery.decoded(CHANGES[told.event], data, subject=subject, timestamp=timestamp, name=told.event, key=key)
