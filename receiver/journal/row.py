"""A record as a row of a segment, and its checksums: a bit that flipped on disk is told, never delivered.

The ``meta`` column is msgpack behind nine bytes: a mark that msgpack never begins with, the CRC-32 of number and meta,
and the CRC-32 of the payload, wherever that lies. The key has none: where it is damaged, a repeat is not recognised, no
more. Rows of the first version have no such head and are taken as they are.
"""

import struct

import msgspec

try:
    from isal.isal_zlib import crc32
except ImportError:  # a platform that it is not made for
    from zlib import crc32

from receiver.journal.payloads import PayloadReader
from receiver.record import Kind, Record

#: seq, key, meta, payload
Row = tuple[int, bytes, bytes, bytes]
_MARK = 0xC1
_HEAD = struct.Struct("<BII")
_LOW = 0xFFFFFFFF


class _Meta(msgspec.Struct, array_like=True):
    """The small columns of a record in one. New fields go to the end, with a default: old files stay readable."""

    vendor: str
    endpoint: str
    kind: Kind
    received_ns: int
    count: int
    channel: str
    connection: str
    subject: str
    headers: tuple[tuple[str, str], ...]
    repeat: int
    state: bytes
    reason: str
    prev: int = 0
    place: int = 0
    #: of a payload that lies beside the segment, where it begins there and how long it is; 0 bytes: it is in the row
    payload_at: int = 0
    payload_bytes: int = 0


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Meta).decode


def encode_row(record: Record, payload_at: int | None = None) -> Row:
    """A record as a row of the table. ``payload_at``: where its payload lies beside the segment."""
    seq, key, payload = record.seq, record.key, record.payload
    meta = _Meta(
        record.vendor, record.endpoint, record.kind, record.received_ns, record.count, record.channel,
        record.connection, record.subject, record.headers, record.repeat, record.state, record.reason,
        record.prev, record.place,
    )  # fmt: skip
    if payload_at is not None:
        meta.payload_at, meta.payload_bytes = payload_at, len(payload)
    try:
        packed = _encode(meta)
    except UnicodeEncodeError:
        packed = _encode(_sendable(meta))
    about = crc32(packed, _begin_of(seq))
    head = _HEAD.pack(_MARK, about, crc32(payload, about)) + packed
    return seq, key, head, payload if payload_at is None else b""


def _sendable(meta: _Meta) -> _Meta:
    """With ``?`` for each lone surrogate: a stranger's text, which must not cost the record, nor those beside it."""

    def clean(text: str) -> str:
        return text.encode(errors="replace").decode()

    headers = tuple((clean(name), clean(value)) for name, value in meta.headers)
    names = ("channel", "connection", "subject", "reason")
    return msgspec.structs.replace(meta, headers=headers, **{name: clean(getattr(meta, name)) for name in names})


def decode_row(row: Row, payloads: PayloadReader | None = None) -> Record:
    """The record of a row. Raises ``msgspec.MsgspecError`` on damaged bytes. ``payloads``: those beside the segment."""
    seq, key, packed, payload = row
    meta = _meta(seq, packed)
    if not (isinstance(key, bytes) and isinstance(payload, bytes)):
        raise msgspec.DecodeError("a column that is no bytes")
    if meta.payload_bytes:
        if payloads is None:
            raise msgspec.DecodeError("its payload lies beside a segment")
        payload = payloads.read(meta.payload_at, meta.payload_bytes)
    if packed[0] == _MARK:
        _, about, whole = _HEAD.unpack_from(packed)
        if crc32(payload, about) != whole:
            raise msgspec.DecodeError("the payload does not fit its checksum")
    return _record(meta, seq, key, payload)


def damaged_row(row: Row, problem: str) -> Record | None:
    """What stands for a row that cannot be delivered: kind ``damaged``, the reason, and the numbers that it takes.

    ``None`` where the small columns are damaged too: then its own number cannot be trusted.
    """
    seq, key, packed, _ = row
    try:
        record = _record(_meta(seq, packed), seq, key, b"")
    except msgspec.MsgspecError:
        return None
    record.kind, record.reason, record.key = "damaged", problem, b""
    return record


def key_facts(seq: int, packed: bytes) -> tuple[int, int]:
    """``(received_ns, repeat)`` of a row. Raises ``msgspec.MsgspecError`` on damaged bytes."""
    meta = _meta(seq, packed)
    return meta.received_ns, meta.repeat


def payload_bytes(row: Row) -> int:
    """How long the payload of a row is that lies beside the segment; 0 where it does not, or where nobody can tell."""
    try:
        return _meta(row[0], row[2]).payload_bytes
    except msgspec.MsgspecError:
        return 0


def _meta(seq: int, packed: bytes) -> _Meta:
    if not isinstance(packed, bytes):
        raise msgspec.DecodeError("a column that is no bytes")
    if packed[:1] != bytes((_MARK,)):
        return _unpack(packed)
    if len(packed) < _HEAD.size:
        raise msgspec.DecodeError("a column that is cut off")
    _, about, _ = _HEAD.unpack_from(packed)
    rest = packed[_HEAD.size :]
    if crc32(rest, _begin_of(seq)) != about and crc32(rest, seq & _LOW) != about:  # as it once was
        raise msgspec.DecodeError("the columns do not fit their checksum")
    return _unpack(rest)


def _begin_of(seq: int) -> int:
    """What a checksum begins with: any bit of a number makes it another one."""
    return (seq ^ seq >> 32) & _LOW


def _unpack(packed: bytes) -> _Meta:
    try:
        return _decode(packed)
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError(f"a text that is none: {error.reason}") from error


def _record(meta: _Meta, seq: int, key: bytes, payload: bytes) -> Record:
    return Record(
        vendor=meta.vendor, endpoint=meta.endpoint, kind=meta.kind, payload=payload, received_ns=meta.received_ns,
        channel=meta.channel, connection=meta.connection, subject=meta.subject, headers=meta.headers, key=key,
        repeat=meta.repeat, state=meta.state, reason=meta.reason, seq=seq, count=meta.count,
        prev=meta.prev, place=meta.place,
    )  # fmt: skip
