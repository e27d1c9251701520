"""The registry of vendors, and the decoding of any record. A new vendor is one module and one word here.

Importing this package imports no vendor: a module is loaded when a config names its vendor, or a record that is there.
"""

from collections.abc import Iterable
from importlib import import_module
from typing import cast

import msgspec

from receiver.bundle import unpack
from receiver.errors import Malformed, NotFound
from receiver.events import Data, Event, StreamClosed, StreamOpened
from receiver.record import Decoded, Record, unpack_frames
from receiver.vendors import replies
from receiver.vendors.base import Session, Vendor

#: their names, which are those of their modules
VENDORS: tuple[str, ...] = ("meetstream", "realtimekit", "daily", "waterai", "meemo")
_loaded: dict[str, Vendor] = {}
_STREAM_FACTS: dict[str, type[Data]] = {"opened": StreamOpened, "closed": StreamClosed}


def vendor_named(name: str) -> Vendor:
    """The vendor module of this name. Raises ``NotFound``, naming those that there are."""
    vendor = _loaded.get(name)
    if vendor is None:
        if name not in VENDORS:
            raise NotFound(f"no vendor {name!r}; known: {', '.join(sorted(VENDORS))}")
        vendor = _loaded[name] = cast(Vendor, import_module(f"{__name__}.{name}"))
    return vendor


def every_vendor() -> list[Vendor]:
    """The modules of all vendors."""
    return [vendor_named(name) for name in VENDORS]


def decode_record(record: Record) -> Decoded:
    """Events of any journal record, the same ones whenever it is asked. Raises ``Malformed``."""
    if record.kind in _STREAM_FACTS:
        return Decoded([_stream_event(record)])
    if record.kind == "damaged":
        raise Malformed(f"the journal's disk has spoilt it: {record.reason}")
    vendor = vendor_named(record.vendor)
    if record.kind == "body":
        return replies.decode(record, vendor.decode_reply) if record.channel == replies.REST else vendor.decode(record)
    if record.kind == "bundle":
        return Decoded([event for one, frames in unpack(record) for event in _events_of(vendor.session(one), frames)])
    session = vendor.session(record)
    if record.kind == "frames":
        return Decoded(_events_of(session, unpack_frames(record.payload)))
    if record.kind == "text":
        try:
            text = record.payload.decode()
        except UnicodeDecodeError as error:
            raise Malformed("a text message has to be UTF-8", f"byte {error.start}") from None
        return session.receive(text, record.received_ns)
    return session.receive(record.payload, record.received_ns)


def _events_of(session: Session, frames: Iterable[tuple[int, bytes]]) -> list[Event]:
    events: list[Event] = []
    for arrival_ns, message in frames:
        events += session.receive(message, arrival_ns).events
    return events


def _stream_event(record: Record) -> Event:
    try:
        data = msgspec.json.decode(record.payload, type=_STREAM_FACTS[record.kind])
    except (msgspec.DecodeError, ValueError) as error:
        raise Malformed(f"stream record: {error}") from error
    return Event(
        id=f"{record.connection}/{record.kind}",
        source=f"/{record.vendor}/{record.endpoint}",
        type=f"stream.{record.kind}",
        subject=record.subject,
        time_ns=record.received_ns,
        received_ns=record.received_ns,
        data=data,
    )
