"""The binary frames of MeetStream's live audio, and what tells them from pieces of fragmented MP4. Bytes only."""

import struct
from functools import lru_cache

from receiver.errors import FrameInvalid, FrameTruncated
from receiver.events import Person
from receiver.vendors.meetstream.wire import person

RATE_HZ = 48_000
SAMPLE_BYTES = 2
PCM_KIND = 0x01

_U16 = struct.Struct("<H")
#: of heads that are remembered; a stranger's may have 128 KiB
_SHORT_BYTES = 256
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


def speaker_of(head: bytes) -> Person | None:
    """Who speaks in a frame that begins so, up to its :func:`pcm_offset`. Bytes that are no UTF-8 become U+FFFD."""
    return _known_speaker(head) if len(head) <= _SHORT_BYTES else _speaker(head)


def _speaker(head: bytes) -> Person | None:
    name_at = _skip_text(head, 1, "id")
    id_bytes, name_bytes = head[1 + _U16.size : name_at], head[name_at + _U16.size :]
    return person(id_bytes.decode(errors="replace"), name_bytes.decode(errors="replace"))


#: rows from disk begin anew each time, with the few speakers that there are
_known_speaker = lru_cache(maxsize=1024)(_speaker)


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
