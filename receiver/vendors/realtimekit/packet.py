"""The binary messages of the Realtime SFU's WebSocket adapter: one protobuf (proto3) ``Packet`` each, read by hand.

Bytes only; what the payload means is told elsewhere.
"""

from typing import NamedTuple

from receiver.errors import FrameInvalid, FrameTruncated

#: ``sequenceNumber`` and ``timestamp`` wrap here
UINT32 = 1 << 32
_SEQUENCE, _TIMESTAMP, _PAYLOAD = 1, 2, 5
_VARINT, _BYTES = 0, 2
#: wire type -> size in bytes, of fields that the adapter does not use
_FIXED = {1: 8, 5: 4}
_MOST_VARINT_BYTES = 10
_MOST_TAG = UINT32 - 1


class Packet(NamedTuple):
    """Sequence number and timestamp of unknown unit, both uint32 that wrap; 0 also where they are not told."""

    sequence: int
    timestamp: int
    payload: memoryview


def read_packet(message: bytes) -> Packet:
    """Read one message. The payload is a view of it: no sound is copied.

    Shape: fields in any order, tag varint = number * 8 + wire type: sequenceNumber 1 uint32, timestamp 2 uint32,
    payload 5 bytes with its length before it. A field that is left out is zero or empty; of one that comes again the
    last counts; unknown ones are skipped.
    Raises: FrameTruncated (a number, or what a length counts, lies beyond the end; ``offset`` is where that begins);
    FrameInvalid (field number 0, a number of more than ten bytes, a wire type that proto3 does not have).
    Source: Realtime SFU, WebSocket adapter (2026); protobuf, encoding.
    """
    view = memoryview(message)
    sequence = timestamp = 0
    payload = view[:0]
    at, end = 0, len(message)
    while at < end:
        begin = at
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        if not number or tag > _MOST_TAG:
            raise FrameInvalid("the number of a field is out of its range", begin)
        if kind == _VARINT:
            value, at = _varint(message, at)
            if number == _SEQUENCE:
                sequence = value % UINT32
            elif number == _TIMESTAMP:
                timestamp = value % UINT32
            continue
        size = _FIXED.get(kind, 0)
        if kind == _BYTES:
            size, at = _varint(message, at)
        elif not size:
            raise FrameInvalid(f"wire type {kind} is not of proto3", begin)
        if at + size > end:
            raise FrameTruncated(f"a field of {size} bytes goes beyond the end of the message, {end} bytes", at)
        if kind == _BYTES and number == _PAYLOAD:
            payload = view[at : at + size]
        at += size
    return Packet(sequence, timestamp, payload)


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """The LEB128 number at ``at``, and the offset behind it."""
    value = 0
    for count, byte in enumerate(message[at : at + _MOST_VARINT_BYTES]):
        value |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            return value, at + count + 1
    if at + _MOST_VARINT_BYTES <= len(message):
        raise FrameInvalid(f"a number is longer than {_MOST_VARINT_BYTES} bytes", at)
    raise FrameTruncated("the message ends inside a number", at)
