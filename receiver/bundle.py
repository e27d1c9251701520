"""A record of kind ``bundle``: what the sockets of one endpoint and channel have sent in a moment, in one row.

A meeting sends fifty frames a second, and a row costs as much as some frames do: with one for each connection, a
thousand meetings take a whole core. The payload: length u32 LE of its head; the head, MessagePack, which tells of each
connection what a record of kind ``frames`` has in its own columns, and arrival and length of each frame; the frames.
"""

import struct
from collections.abc import Iterator, Sequence
from itertools import groupby

import msgspec

from receiver.errors import Malformed
from receiver.events import Event
from receiver.record import Record, pack_frames

_LENGTH = struct.Struct("<I")


class Part(msgspec.Struct, array_like=True):
    """Frames of one connection. New fields go to the end, with a default: old files stay readable."""

    connection: str
    subject: str
    #: the session's snapshot before the first of them
    state: bytes
    #: sequence numbers that they take
    count: int
    #: of each frame, in nanoseconds since the epoch and in bytes
    arrivals_ns: list[int]
    lengths: list[int]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Part]).decode


def pack(parts: Sequence[Part], frames: Sequence[bytes]) -> bytes:
    """The payload of a bundle. ``frames``: those of all ``parts``, in their order."""
    head = _encode(parts)
    return b"".join((_LENGTH.pack(len(head)), head, *frames))


def unpack(record: Record) -> Iterator[tuple[Record, Sequence[tuple[int, bytes]]]]:
    """For each connection of a bundle a record of kind ``frames``, still without payload, and the frames with their
    arrival. Raises ``Malformed``."""
    payload, seq = record.payload, record.seq
    try:
        (length,) = _LENGTH.unpack_from(payload)
        offset = _LENGTH.size + length
        parts = _decode(memoryview(payload)[_LENGTH.size : offset])
    except (struct.error, msgspec.MsgspecError, UnicodeDecodeError) as problem:
        raise Malformed(f"the head of a bundle cannot be read: {problem}") from None
    for part in parts:
        if len(part.arrivals_ns) != len(part.lengths) or min(part.lengths, default=0) < 0:
            raise Malformed(f"a bundle of which it is not clear how many frames {part.connection!r} has")
        frames = []
        for arrival_ns, size in zip(part.arrivals_ns, part.lengths, strict=True):
            frames.append((arrival_ns, payload[offset : offset + size]))
            offset += size
        if offset > len(payload):
            raise Malformed("a bundle that ends before its frames do", f"byte {len(payload)}")
        yield _of_part(record, part, seq), frames
        seq += part.count


def single(record: Record) -> list[Record]:
    """``record``; of a bundle, a record of kind ``frames`` for each connection, with its own events if the bundle has
    some. One that cannot be taken apart stays as it is."""
    if record.kind != "bundle":
        return [record]
    if record.events is not None:
        return [_of_events(record, list(events)) for _, events in groupby(record.events, _connection)]
    found = []
    try:
        for one, frames in unpack(record):
            one.payload = pack_frames(frames)
            found.append(one)
    except Malformed:
        return [record]
    return found


def _of_part(record: Record, part: Part, seq: int) -> Record:
    received_ns = part.arrivals_ns[0] if part.arrivals_ns else record.received_ns
    one = _frames(record, part.connection, part.subject, received_ns, seq, part.count)
    one.state = part.state
    return one


def _of_events(record: Record, events: list[Event]) -> Record:
    first = events[0]
    one = _frames(record, _connection(first), first.subject, first.received_ns, first.sequence, len(events))
    one.events = events
    return one


def _frames(record: Record, connection: str, subject: str, received_ns: int, seq: int, count: int) -> Record:
    """What one connection has in ``record``, as a record of its own."""
    return Record(
        vendor=record.vendor, endpoint=record.endpoint, kind="frames", channel=record.channel, payload=b"",
        connection=connection, subject=subject, received_ns=received_ns, seq=seq, count=count,
    )  # fmt: skip


def _connection(event: Event) -> str:
    return event.id.rpartition("/")[0]  # as every session makes the ids of frames
