"""Tells Daily's JSON apart: webhooks, pings, pinless dial-ins, and live text that a bridge forwards.

What is known nowhere becomes ``vendor.event``; what is known and does not keep to its types is malformed.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from receiver.errors import Malformed
from receiver.record import Decoded, Record
from receiver.vendors.daily.artifacts import read_artifact, read_batch, read_recording_started
from receiver.vendors.daily.meeting import read_meeting, read_participant, read_plain
from receiver.vendors.daily.ping import is_ping
from receiver.vendors.daily.transcription import decode_transcription, is_transcription
from receiver.vendors.daily.wire import Moment, News, decoded, is_uuid, moment_ns
from receiver.vendors.wire import Delivery, delivery_of, read_object, require_shallow, timed_key, typed

_Reader = Callable[[str, str, dict[str, Any]], News]

PINLESS = "pinless.dialin"
#: webhook event -> type of the contract, and what reads its payload
WEBHOOKS: dict[str, tuple[str, _Reader]] = {
    "meeting.started": ("meeting.started", read_meeting),
    "meeting.ended": ("meeting.ended", read_meeting),
    "participant.joined": ("participant.joined", read_participant),
    "participant.left": ("participant.left", read_participant),
    "waiting-participant.joined": ("vendor.event", read_participant),
    "waiting-participant.left": ("vendor.event", read_participant),
    "recording.started": ("recording.status", read_recording_started),
    "recording.ready-to-download": ("artifact.ready", read_artifact),
    "recording.error": ("artifact.failed", read_artifact),
    "transcript.started": ("vendor.event", read_plain),
    "transcript.ready-to-download": ("artifact.ready", read_artifact),
    "transcript.error": ("artifact.failed", read_artifact),
    "streaming.started": ("vendor.event", read_plain),
    "streaming.updated": ("vendor.event", read_plain),
    "streaming.ended": ("vendor.event", read_plain),
    "streaming.error": ("artifact.failed", read_artifact),
    "batch-processor.job-finished": ("artifact.ready", read_batch),
    "batch-processor.error": ("artifact.failed", read_batch),
    "dialin.ready": ("vendor.event", read_plain),
    "dialin.connected": ("vendor.event", read_plain),
    "dialin.stopped": ("vendor.event", read_plain),
    "dialin.warning": ("vendor.event", read_plain),
    "dialin.error": ("vendor.event", read_plain),
    "dialout.connected": ("vendor.event", read_plain),
    "dialout.answered": ("vendor.event", read_plain),
    "dialout.stopped": ("vendor.event", read_plain),
    "dialout.warning": ("vendor.event", read_plain),
    "dialout.error": ("vendor.event", read_plain),
}
_NAME_KEYS = ("type", "action", "event")
_ROOM_KEYS = ("room", "room_name")


class _Envelope(msgspec.Struct):
    id: str | None = None
    event_ts: Moment | None = None
    payload: dict[str, Any] | None = None


class _Pinless(msgspec.Struct):
    """A telephone call that waits for a room."""

    To: str | None = None
    From: str | None = None
    callId: str | None = None  # noqa: N815 - the vendor's spelling
    callDomain: str | None = None  # noqa: N815 - the vendor's spelling


def decode(record: Record) -> Decoded:
    """Events of one HTTP body; none of a ping. Raises ``Malformed`` with the path or byte of what is wrong."""
    if is_ping(record.payload):
        return Decoded([])
    delivery = delivery_of(record)
    body = read_object(record.payload)
    name = body.get("type")
    if isinstance(name, str) and name in WEBHOOKS:
        return _webhook(name, body, delivery)
    if is_transcription(body):
        return decode_transcription(body, delivery)
    if name is not None and not isinstance(name, str):
        raise Malformed("expected the name of an event", "$.type")
    if name is None and body.get("callId") is not None and ("To" in body or "From" in body):
        return _pinless(body, delivery)
    return _unknown(body, delivery)


def _webhook(name: str, body: dict[str, Any], delivery: Delivery) -> Decoded:
    """The events of a webhook whose name is known; the envelope's time stands in where the payload tells none."""
    envelope = typed(body, _Envelope)
    if envelope.payload is None:
        return _unknown(body, delivery)
    type_, read = WEBHOOKS[name]
    news = read(name, type_, envelope.payload)
    if news.time_ns is None:
        news.time_ns = moment_ns(envelope.event_ts)
    if news.rest or not news.events:
        require_shallow(body)
    return decoded(news, body, delivery, name=name, id_=envelope.id or "")


def _pinless(body: dict[str, Any], delivery: Delivery) -> Decoded:
    told = typed(body, _Pinless)
    require_shallow(body)
    key = timed_key("pinless", told.callId, told.callDomain, told.From, told.To)
    return decoded(News([]), body, delivery, name=PINLESS, key=key)


def _unknown(body: dict[str, Any], delivery: Delivery) -> Decoded:
    """``vendor.event``: the body itself, with name, id, room and time as far as they can be told."""
    require_shallow(body)
    payload = body.get("payload")
    inner = payload if isinstance(payload, dict) else {}
    rooms = [holder.get(key) for holder in (inner, body) for key in _ROOM_KEYS]
    rooms += [id_ for id_ in (inner.get("room_id"), body.get("room_id")) if isinstance(id_, str) and not is_uuid(id_)]
    moments = (_moment(value) for value in (inner.get("timestamp"), body.get("event_ts"), body.get("timestamp")))
    news = News(
        [],
        subject=next((room for room in rooms if isinstance(room, str) and room), ""),
        time_ns=next((moment for moment in moments if moment is not None), None),
    )
    id_ = body.get("id") if isinstance(body.get("type"), str) else ""
    return decoded(news, body, delivery, name=_name_of(body), id_=id_ if isinstance(id_, str) else "")


def _name_of(body: dict[str, Any]) -> str:
    return next((body[key] for key in _NAME_KEYS if isinstance(body.get(key), str) and body[key]), "")


def _moment(value: Any) -> int | None:
    return moment_ns(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else None
