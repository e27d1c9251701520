"""The record: one thing that was received, as the journal keeps it, and the packing of many frames into one record.

Decoding is a pure function of a record: what a socket's session knew before a message stands in ``state``.
"""

import struct
from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

from receiver.events import Event

Kind = Literal["body", "text", "binary", "frames", "bundle", "opened", "closed", "damaged"]
Channel = Literal["", "http", "audio", "video", "transcript", "control", "rest"]

_FRAME = struct.Struct("<IQ")  # length in bytes, arrival in nanoseconds since the epoch


class Record(msgspec.Struct, kw_only=True):
    """One HTTP body, one socket message, media frames of one connection or of many, or the opening or closing of a
    socket.

    ``seq`` is the sequence number of its first event; it takes ``count`` (at least one) numbers. ``payload`` holds the
    raw bytes: the body, the message, packed frames (kind ``frames``: of one connection; ``bundle``: of many of one
    endpoint and channel, see :mod:`receiver.bundle`), or JSON of our own (``opened``, ``closed``). Kind ``damaged`` is
    never written: the journal hands it out in place of a record whose payload its disk has spoilt.
    """

    vendor: str
    endpoint: str
    kind: Kind
    payload: bytes
    received_ns: int
    channel: str = ""
    connection: str = ""
    #: bot or meeting that the URL or the socket's opening named; a body that names its own outweighs it
    subject: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    #: digest of what identifies the delivery; several of them as ``journal.dedup`` joins them; empty where nothing does
    key: bytes = b""
    #: how many honest deliveries with the same key went before this one
    repeat: int = 0
    #: the session's snapshot before the first message of this record
    state: bytes = b""
    #: why it lies in quarantine; empty on any other record
    reason: str = ""
    seq: int = 0
    count: int = 1
    #: the journal's own: number of the record before this one in its lane, and how many numbers the lane has taken
    #: with this one; 0: unknown
    prev: int = 0
    place: int = 0
    #: decoded events, kept beside the record in memory and never stored
    events: list[Event] | None = None

    @property
    def last_seq(self) -> int:
        """The last sequence number that this record takes."""
        return self.seq + self.count - 1

    def lighten(self) -> None:
        """Let go of frames whose events are there: those hold the messages, and once in memory is enough."""
        if self.kind in ("bundle", "frames") and self.events is not None:
            self.payload = b""


class Decoded(msgspec.Struct, gc=False):
    """What one delivery or message means.

    ``key`` identifies the delivery (empty: nothing does). ``timed`` says whether the vendor's own clock or id is part
    of the key; where it is not, equal deliveries are repeats only within a short window. ``also`` are further keys,
    only beside a ``key``; each identifies the delivery as surely as a timed one: a vendor's own id may change from one
    try to the next.
    """

    events: list[Event]
    key: bytes = b""
    timed: bool = True
    also: tuple[bytes, ...] = ()


def pack_frames(frames: Iterable[tuple[int, bytes]]) -> bytes:
    """Pack ``(arrival_ns, message)`` pairs into one payload: length u32 LE, arrival u64 LE, bytes, and so on."""
    parts: list[bytes] = []
    for arrival_ns, message in frames:
        parts.append(_FRAME.pack(len(message), arrival_ns))
        parts.append(message)
    return b"".join(parts)


def unpack_frames(payload: bytes) -> Iterator[tuple[int, bytes]]:
    """The pairs that :func:`pack_frames` packed; stops at a torn end, which a damaged disk may leave."""
    offset, end = 0, len(payload)
    while offset + _FRAME.size <= end:
        length, arrival_ns = _FRAME.unpack_from(payload, offset)
        offset += _FRAME.size
        if offset + length > end:
            return
        yield arrival_ns, payload[offset : offset + length]
        offset += length
