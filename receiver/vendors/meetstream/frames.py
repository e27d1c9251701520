"""The binary frames of MeetStream's live audio, and what tells them from pieces of fragmented MP4. Bytes only."""

import struct

from receiver.errors import FrameInvalid, FrameTruncated
from receiver.events import Person
from receiver.vendors.meetstream.wire import person

RATE_HZ = 48_000
SAMPLE_BYTES = 2
PCM_KIND = 0x01

_U16 = struct.Struct("<H")
_BOX_TYPES = frozenset({b"ftyp", b"styp", b"moof", b"moov", b"mdat", b"sidx", b"free", b"emsg"})


def pcm_offset(message: bytes) -> int:
    """Where the samples of an audio frame begin; between byte 1 and there stands who speaks.

    Shape: kind u8 = 1 | id length u16 LE | id | name length u16 LE | name | PCM s16le, 48,000 Hz, mono.
    Raises: FrameInvalid (another kind); FrameTruncated (a length or what it counts lies beyond the end; ``offset``
    is where that begins). Source: real-time-audio-streaming and bridge-server-architecture, docs.meetstream.ai, 2026.
    """
    if not message:
        raise FrameTruncated("the frame is empty", 0)
    if message[0] != PCM_KIND:
        raise FrameInvalid(f"frame kind 0x{message[0]:02x} is not defined, only 0x{PCM_KIND:02x} is", 0)
    return _skip_text(message, _skip_text(message, 1, "id"), "name")


def speaker_of(message: bytes) -> Person | None:
    """Who speaks in a frame that :func:`pcm_offset` accepts. Bytes that are no UTF-8 become U+FFFD."""
    name_at = _skip_text(message, 1, "id")
    id_bytes = message[1 + _U16.size : name_at]
    name_bytes = message[name_at + _U16.size : _skip_text(message, name_at, "name")]
    return person(id_bytes.decode(errors="replace"), name_bytes.decode(errors="replace"))


def is_mp4_piece(message: bytes) -> bool:
    """Whether a message begins with a box of fragmented MP4.

    A box that begins with byte 0x01 would be 16 MB or more: that is an audio frame whose speaker id looks like one.
    """
    return message[4:8] in _BOX_TYPES and message[0] != PCM_KIND


def _skip_text(message: bytes, at: int, what: str) -> int:
    """The offset behind a text with its length before it."""
    begin = at + _U16.size
    if begin > len(message):
        raise FrameTruncated(f"the frame ends before the length of the speaker's {what}", at)
    end = begin + int(_U16.unpack_from(message, at)[0])
    if end > len(message):
        raise FrameTruncated(f"the speaker's {what} goes beyond the end of the frame, {len(message)} bytes", begin)
    return end
