"""The book of meetings as bytes, and back. Pure: reading and writing the file is the keeper's.

A file is ``MEETINGS``, 16 bytes that name the program which made it, 16 bytes of BLAKE2b over all that follows, then
frames: length u32 LE and msgpack. The first frame is the :class:`Head`; each meeting is a frame, with its answers and
turns behind it in frames of their own, so that none takes long. Structs are arrays of their fields: another program,
which may have other fields or decode otherwise, does not read them.
"""

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from hashlib import blake2b
from typing import Any

import msgspec

from receiver.events import FetchedKind
from receiver.meetings.fetched import Answer
from receiver.meetings.state import Meeting
from receiver.meetings.turn import Turn
from receiver.record import Record

MADE_BY_BYTES = 16
_MAGIC = b"MEETINGS"
_DIGEST_BYTES = 16
_BEGIN = len(_MAGIC) + MADE_BY_BYTES + _DIGEST_BYTES
_LENGTH = struct.Struct("<I")
#: of one frame; they take about half a millisecond
_TURNS = 256
_PLAIN, _WIDE = b"\0", b"\1"
#: codes of msgpack extensions for what msgpack has no form of
_INTEGER, _TEXT, _PAIRS = 1, 2, 3
_LEAST, _MOST = -(1 << 63), (1 << 64) - 1


class SnapshotUnusable(Exception):
    """It tells nothing that can be used; the text says why. The journal has it all."""


class Anchor(msgspec.Struct, array_like=True, frozen=True):
    """The last record that is in the book, as its journal knows it. Two journals have no such record in common."""

    seq: int
    count: int
    received_ns: int
    vendor: str
    endpoint: str
    place: int

    @classmethod
    def of(cls, record: Record) -> "Anchor":
        """What identifies ``record``."""
        return cls(record.seq, record.count, record.received_ns, record.vendor, record.endpoint, record.place)

    @property
    def last_seq(self) -> int:
        """The last number whose events are in the book."""
        return self.seq + self.count - 1


class Counters(msgspec.Struct, array_like=True, frozen=True):
    """What a book counts, under the names of its attributes."""

    events: int
    unassigned: int
    faults: int
    damaged: int
    undecodable: int
    evicted: int
    texts_dropped: int


class Head(msgspec.Struct, array_like=True, frozen=True):
    """``settings``: on which the content of a book depends beside the journal; ``meetings``: how many follow."""

    settings: tuple[float, int, int, float]
    anchor: Anchor
    counters: Counters
    meetings: int


class _MeetingPart(msgspec.Struct, array_like=True, tag="m"):
    meeting: Meeting


class _AnswerPart(msgspec.Struct, array_like=True, tag="a"):
    key: tuple[FetchedKind, str]
    answer: Answer


class _TurnsPart(msgspec.Struct, array_like=True, tag="t"):
    turns: list[Turn]
    marks: bytes


_Part = _MeetingPart | _AnswerPart | _TurnsPart
#: makes one frame
Make = Callable[[], bytes]
#: what a value raises that the program lets be in a book and not in its types
_MISFITS = (msgspec.MsgspecError, ValueError, TypeError, IndexError, RecursionError)
_encode = msgspec.msgpack.Encoder().encode
_decode_head = msgspec.msgpack.Decoder(Head).decode
_decode_part: Callable[[memoryview], _Part] = msgspec.msgpack.Decoder(_Part).decode


def frames_of(head: Head, meetings: Iterable[Meeting]) -> Iterator[Make]:
    """What makes the frames of a book, one after another. The book must stay as it is until the last is made."""
    yield partial(_encode, head)
    for meeting in meetings:
        yield partial(_meeting_frame, meeting)
        for key, answer in meeting.fetched.answers.items():
            yield partial(_packed, _AnswerPart(key, answer))
        for begin in range(0, len(meeting.transcript.turns), _TURNS):
            yield partial(_turns_frame, meeting, begin)


def sealed(frames: Sequence[bytes], made_by: bytes) -> list[bytes]:
    """The pieces of a file that holds ``frames``."""
    digest = blake2b(digest_size=_DIGEST_BYTES)
    pieces = [b""]
    for frame in frames:
        for piece in (_LENGTH.pack(len(frame)), frame):
            digest.update(piece)
            pieces.append(piece)
    pieces[0] = _MAGIC + made_by + digest.digest()
    return pieces


def unsealed(content: bytes, made_by: bytes) -> list[memoryview]:
    """The frames of a file, its head first. Raises ``SnapshotUnusable``."""
    if len(content) < _BEGIN or not content.startswith(_MAGIC):
        raise SnapshotUnusable(f"damaged: found {len(content)} bytes that do not begin with {_MAGIC.decode()}")
    if not content.startswith(made_by, len(_MAGIC)):
        raise SnapshotUnusable("made by another version of this program")
    rest = memoryview(content)[_BEGIN:]
    if blake2b(rest, digest_size=_DIGEST_BYTES).digest() != content[_BEGIN - _DIGEST_BYTES : _BEGIN]:
        raise SnapshotUnusable("damaged: its bytes do not fit their checksum")
    frames, offset = [], 0
    while offset < len(rest):
        (length,) = _LENGTH.unpack_from(rest, offset)
        offset += _LENGTH.size + length
        frames.append(rest[offset - length : offset])
    return frames


class Restored:
    """Meetings out of frames: ``take`` each in order, then ``all``. Each raises ``SnapshotUnusable``."""

    def __init__(self, head: memoryview) -> None:
        try:
            self.head = _decode_head(head)
        except _MISFITS as problem:
            raise _misfit(problem) from None
        self._meetings: list[Meeting] = []

    def take(self, frame: memoryview) -> None:
        """The next frame behind the head."""
        try:
            part = _unpacked(frame)
            if isinstance(part, _MeetingPart):
                self._meetings.append(part.meeting)
            elif isinstance(part, _AnswerPart):
                self._meetings[-1].fetched.answers[part.key] = part.answer
            else:
                self._meetings[-1].transcript.take_back(part.turns, part.marks)
        except _MISFITS as problem:
            raise _misfit(problem) from None

    def all(self) -> list[Meeting]:
        """Every meeting, in the order of the book."""
        if len(self._meetings) != self.head.meetings:
            raise SnapshotUnusable(f"damaged: found {len(self._meetings)} meetings, announced {self.head.meetings}")
        return self._meetings


def _misfit(problem: Exception) -> SnapshotUnusable:
    return SnapshotUnusable(f"what it holds is not of this program's types: {type(problem).__name__}")


def _meeting_frame(meeting: Meeting) -> bytes:
    return _packed(_MeetingPart(meeting.bare()))


def _turns_frame(meeting: Meeting, begin: int) -> bytes:
    turns = meeting.transcript.turns[begin : begin + _TURNS]
    return _packed(_TurnsPart(turns, meeting.transcript.marks(turns)))


def _packed(part: _Part) -> bytes:
    try:
        return _PLAIN + _encode(part)
    except (OverflowError, UnicodeEncodeError):  # a vendor's number or a stranger's text, seldom
        return _WIDE + _encode(_widened(msgspec.to_builtins(part, builtin_types=(bytes,))))


def _unpacked(frame: memoryview) -> _Part:
    if frame[:1] == _PLAIN:
        return _decode_part(frame[1:])
    part: _Part = msgspec.convert(_decode_wide(frame[1:]), _Part, builtin_types=(bytes,))
    return part


def _widened(value: Any) -> Any:
    """Plain values with extensions for integers beyond 64 bits, for texts with lone surrogates, and for mappings."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return msgspec.msgpack.Ext(_TEXT, value.encode(errors="surrogatepass"))
    elif isinstance(value, int) and not _LEAST <= value <= _MOST:
        return msgspec.msgpack.Ext(_INTEGER, b"%d" % value)
    elif isinstance(value, (list, tuple, set)):
        return [_widened(one) for one in value]
    elif isinstance(value, dict):
        return msgspec.msgpack.Ext(_PAIRS, _encode([[_widened(key), _widened(one)] for key, one in value.items()]))
    return value


def _narrowed(code: int, data: memoryview) -> Any:
    if code == _INTEGER:
        return int(bytes(data))
    if code == _TEXT:
        return bytes(data).decode(errors="surrogatepass")
    return {_hashable(key): value for key, value in _decode_wide(data)}


def _hashable(key: Any) -> Any:
    return tuple(key) if isinstance(key, list) else key


_decode_wide = msgspec.msgpack.Decoder(ext_hook=_narrowed).decode
