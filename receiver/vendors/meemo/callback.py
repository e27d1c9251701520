"""Meemo's five webhook events. What a delivery looks like is in no public document (fact sheet, section 3).

Name, event id, meeting and organisation are taken from wherever they may stand. It is a hint: the transcript or summary
that it announces is fetched. A failed transcript tells no reason here; the meeting's detail may.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from receiver.events import Artifact, ArtifactKind, Data, MeetingInfo, VendorBody
from receiver.record import Decoded, Record
from receiver.vendors.base import Session
from receiver.vendors.hints import (
    EVENT_HEADER,
    MEETING_IDS,
    UUID_HEADER,
    first_texts,
    header_like,
    header_named,
    told_id,
    told_moment,
)
from receiver.vendors.meemo.verify import DEFAULT, Scheme
from receiver.vendors.texts import TextSession
from receiver.vendors.wire import Layers, delivery_of, read_object, require_shallow, timed_key, typed_layers

#: vendor event name -> event type (REST reference, webhooks, gdplabs/gl-sdk-gitbook, commit 06144e6)
EVENT_TYPES: Mapping[str, str] = {
    "meeting.created": "meeting.created",
    "meeting.deleted": "meeting.deleted",
    "meeting.transcription_completed": "artifact.ready",
    "meeting.transcription_failed": "artifact.failed",
    "meeting.summarization_completed": "artifact.ready",
}
#: asks whether somebody listens, as the sister product does; means nothing
PING = "webhook.ping"

_ARTIFACTS: dict[str, ArtifactKind] = {
    "meeting.transcription_completed": "transcript",
    "meeting.transcription_failed": "transcript",
    "meeting.summarization_completed": "summary",
}
_NAME_KEYS = ("event_type", "event", "type")
_UUID_PREFIX = "evt_"
_TIMES = {"meeting.created": ("created_at",), "meeting.deleted": ("deleted_at",)}


class _Told(msgspec.Struct):
    title: str | None = None
    event_uuid: str | None = None
    organization_id: int | str | None = None


def decode(record: Record) -> Decoded:
    """:func:`decode_with` the default scheme."""
    return decode_with(DEFAULT, record)


def decode_with(scheme: Scheme, record: Record) -> Decoded:
    """The event of one delivery; a ping has none. Raises ``Malformed``.

    The name stands in the scheme's event header, or else in any ``X-…-Event``, or below ``event_type``, ``event`` or
    ``type``; one that is known outweighs one that is not. The event id stands in the scheme's header, or else in any
    ``X-…-Event-UUID``, below ``event_uuid``, or below ``id`` where it begins with ``evt_``. A delivery without one is
    identified by its body.
    """
    header = header_named(record, scheme.event_header) or header_like(record, EVENT_HEADER)
    if header == PING:  # whatever its body is
        return Decoded([])
    body = read_object(record.payload)
    names = [name for name in (header, *first_texts(body, _NAME_KEYS)) if name]
    name = next((name for name in names if name in EVENT_TYPES or name == PING), names[0] if names else "")
    if name == PING:
        return Decoded([])
    delivery = delivery_of(record)
    layers = _layers(body)
    data = known(name, layers) if name in EVENT_TYPES else _unknown(body)
    subject = _meeting(body, strict=name in EVENT_TYPES) or delivery.subject
    timestamp = told_moment(body, _TIMES.get(name, ()))
    uuid = header_named(record, scheme.uuid_header) or header_like(record, UUID_HEADER) or _uuid(layers)
    type_ = EVENT_TYPES.get(name, "vendor.event")
    if uuid:
        event = delivery.event(uuid, type_, data, subject=subject, timestamp=timestamp, name=name)
        return Decoded([event], timed_key("event", uuid))
    # The name may stand in a header only: equal bodies of two events are two deliveries.
    key = timed_key("callback", name, subject, delivery.body_key(subject).hex())
    decoded = delivery.decoded(type_, data, subject=subject, timestamp=timestamp, name=name, key=key)
    decoded.timed = timestamp is not None
    return decoded


def session(record: Record) -> Session:
    """A bridge's socket, on which each text message is a delivery's body."""
    return TextSession(record, decode)


def known(name: str, layers: Layers) -> Data:
    """What an event of ``EVENT_TYPES`` tells beside its meeting. Raises ``Malformed``."""
    told = typed_layers(layers, _Told)
    absent = told.organization_id is None or told.organization_id == ""
    attributes = None if absent else {"organization_id": told.organization_id}
    if name in _ARTIFACTS:
        return Artifact(kind=_ARTIFACTS[name], attributes=attributes)
    return MeetingInfo(title=told.title or None, attributes=attributes)


def _unknown(body: dict[str, Any]) -> Data:
    require_shallow(body)
    return VendorBody(body=body)


def _meeting(body: dict[str, Any], *, strict: bool) -> str:
    id_ = told_id(body, MEETING_IDS, strict=strict)
    return "" if id_.startswith(_UUID_PREFIX) else id_


def _layers(body: dict[str, Any]) -> Layers:
    """The body, and over it the objects that may hold the meeting."""
    layers: Layers = [("$", body)]
    for key in ("payload", "data"):
        holder = body.get(key)
        if isinstance(holder, dict):
            layers.append((f"$.{key}", holder))
            if isinstance(holder.get("meeting"), dict):
                layers.append((f"$.{key}.meeting", holder["meeting"]))
    if isinstance(body.get("meeting"), dict):
        layers.append(("$.meeting", body["meeting"]))
    return layers


def _uuid(layers: Layers) -> str:
    """The event id that the body tells, outermost first; empty where it tells none."""
    uuids = [text for _, layer in layers for text in first_texts(layer, ("event_uuid",))]
    ids = [text for _, layer in layers for text in first_texts(layer, ("id",)) if text.startswith(_UUID_PREFIX)]
    return next(iter([*uuids, *ids]), "")
