"""Runs of whole binary frames in what was read from a WebSocket: what a stream of sound consists of (RFC 6455, 5.2).

Taken out here, a frame costs a fraction of what a reader costs that can stop at every byte. Everything else is told
apart by its first bytes only, and is for such a reader.
"""

from collections.abc import Callable
from functools import cache

#: the last frame of a binary message, and no bit that stands for an extension
BINARY = 0x82
_MASKED, _TWO_BYTES = 0x80, 0xFE
_CONTROL, _LAST = 0x08, 0x80


@cache
def unmask() -> Callable[[bytes | memoryview, bytes], bytes]:
    """What takes the mask off a payload. Loading it takes a twentieth of a second, which a server that has no sockets
    does not need."""
    try:
        from websockets.speedups import apply_mask
    except ImportError:  # a platform that it is not compiled for
        from websockets.utils import apply_mask
    return apply_mask


def take_run(data: bytes, at: int, most_bytes: int, most_frames: int = 1 << 30) -> tuple[list[bytes], int]:
    """The payloads of the masked binary messages of one frame that ``data`` has from ``at`` on without a break, and
    where they end. One longer than ``most_bytes`` or 64 KiB is none of them."""
    frames: list[bytes] = []
    view, size, apply_mask = memoryview(data), len(data), unmask()
    for _ in range(most_frames):
        if size - at < 6 or data[at] != BINARY:
            break
        length = data[at + 1]
        if length == _TWO_BYTES:
            begin, length = at + 8, data[at + 2] << 8 | data[at + 3]
        elif _MASKED <= length < _TWO_BYTES:
            begin, length = at + 6, length - _MASKED
        else:
            break
        end = begin + length
        if end > size or length > most_bytes:
            break
        frames.append(apply_mask(view[begin:end], data[begin - 4 : begin]))
        at = end
    return frames, at


def only_frame(data: bytes, most_bytes: int) -> bytes | None:
    """The payload, where ``data`` is a run of one frame and nothing else: what is read at once of sound in real time.
    One of less than 126 bytes is left to :func:`take_run`."""
    length = len(data) - 8
    if length < 0 or data[1] != _TWO_BYTES or data[0] != BINARY or data[2] << 8 | data[3] != length:
        return None
    return unmask()(data[8:], data[4:8]) if length <= most_bytes else None


def may_become_one(data: bytes, at: int, most_bytes: int) -> bool:
    """Whether the frame at ``at``, of which ``data`` has a part, can be in a run once all of it is there."""
    if data[at] != BINARY:
        return False
    if len(data) - at < 2:
        return True
    length = data[at + 1]
    if length == _TWO_BYTES:
        return len(data) - at < 4 or data[at + 2] << 8 | data[at + 3] <= most_bytes
    return _MASKED <= length < _TWO_BYTES and length - _MASKED <= most_bytes


class Others:
    """Knows where the frames end that are in no run, and whether a message of several frames is under way."""

    __slots__ = ("begun", "owed")

    def __init__(self) -> None:
        #: what is still to come of the frame that was passed last
        self.owed = 0
        #: whether a message has begun of which more frames are to come: a binary one now is none of a run
        self.begun = False

    def passed(self, data: bytes, at: int) -> int:
        """Where those end that follow one another in ``data`` from ``at`` on, or the one that is under way there.
        ``at``: not enough of one is there."""
        size = len(data)
        if self.owed:
            end = at + self.owed
            self.owed = max(0, end - size)
            return min(size, end)
        while at < size and (end := _end(data, at)):
            if not data[at] & _CONTROL:
                self.begun = not data[at] & _LAST
            at, self.owed = min(size, end), max(0, end - size)
            if at < size and data[at] == BINARY and not self.begun:
                break
        return at


def _end(data: bytes, at: int) -> int:
    """Where the frame at ``at`` ends; 0: not enough of it is there to know."""
    left = len(data) - at
    if left < 2:
        return 0
    length = data[at + 1] & 0x7F
    head = 6 if data[at + 1] & _MASKED else 2
    if length == 126:
        if left < 4:
            return 0
        return at + head + 2 + int.from_bytes(data[at + 2 : at + 4])
    if length == 127:
        if left < 10:
            return 0
        return at + head + 8 + int.from_bytes(data[at + 2 : at + 10])
    return at + head + length
