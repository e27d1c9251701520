"""An event as it was sent, made an event again: for readers of ours. Pure."""

import base64
import binascii
from typing import Any

import msgspec

from receiver.errors import Malformed
from receiver.events import DATA_TYPES, Event, VendorBody, media_attributes, parse_time
from receiver.live.frames import GAP, POSITION, Gap


class Position(msgspec.Struct, frozen=True):
    """Everything up to this number has been passed."""

    sequence: int


class _Gap(msgspec.Struct):
    missed: int
    first: str = msgspec.field(name="from")
    last: str = msgspec.field(name="to")
    reason: Any = "expired"


def read_message(text: str | bytes) -> Event | Gap | Position:
    """What a message of ``/live/events`` says. Raises ``Malformed`` for what no receiver sends.

    An event of a type that a newer receiver knows keeps its data as it is, like one of ``vendor.event``.
    """
    try:
        members = msgspec.json.decode(text, type=dict[str, Any])
        kind = members["type"]
        if kind == POSITION:
            return Position(int(members["sequence"]))
        if kind == GAP:
            gap = msgspec.convert(members, _Gap)
            return Gap(gap.missed, int(gap.first), int(gap.last), gap.reason)
        return _event(kind, members)
    except (KeyError, ValueError, TypeError, msgspec.MsgspecError, binascii.Error) as error:
        raise Malformed(f"no event of a receiver ({type(error).__name__}: {error})") from error


def _event(kind: Any, members: dict[str, Any]) -> Event:
    if not isinstance(kind, str):
        raise TypeError("the type is no text")
    data_type = DATA_TYPES.get(kind, VendorBody)
    media = base64.b64decode(members["data_base64"]) if "data_base64" in members else None
    if media is not None:
        data = msgspec.convert(_media_fields(media_attributes(data_type), members), data_type)
    elif data_type is VendorBody:
        data = VendorBody(body=members.get("data"))
    else:
        data = msgspec.convert(members["data"], data_type)
    return Event(
        id=members["id"], source=members["source"], type=kind, subject=members.get("subject", ""),
        time_ns=parse_time(members["time"]) or 0, received_ns=parse_time(members["receivedtime"]) or 0,
        sequence=int(members["sequence"]), vendorevent=members.get("vendorevent", ""), data=data, media=media,
        media_type=members["datacontenttype"] if media is not None else "",
    )  # fmt: skip


def _media_fields(names: dict[str, tuple[str, str]], members: dict[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, (field, inner) in names.items():
        if name in members and inner:
            fields.setdefault(field, {})[inner] = members[name]
        elif name in members:
            fields[field] = members[name]
    return fields
