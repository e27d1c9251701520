"""The WAV container: 16-bit PCM behind a header of fixed size that is true at every moment.

Knows bytes of one file, nothing of events, streams or clocks. Order of writing: samples first, then the whole header
in one write, so that a killed process leaves a file that plays as far as its header says. What lies beyond that is
the rest of a write that was never finished; it is cut off when the file is opened again.

Layout, 512 bytes: ``RIFF`` | ``JUNK`` (room for ``ds64``) | ``fmt `` | ``rcvr`` (the owner's own bytes) | ``data``.
Past 4 GiB the header turns into RF64, where ``ds64`` holds the sizes (EBU Tech 3306). Players skip chunks whose name
they do not know, so ``rcvr`` troubles nobody.
"""

import os
import struct
from pathlib import Path

import msgspec

HEADER_BYTES = 512
#: most bytes that a file keeps for its owner
STATE_LIMIT_BYTES = 422
_LAYOUT = struct.Struct("<4sI4s 4sIQQQI 4sIHHIIHH 4sIH422s 4sI")
_SAMPLE_BYTES = 2
_LIMIT_32 = 0xFFFFFFFF


class Header(msgspec.Struct, frozen=True):
    """What a header says. ``frames`` are samples per channel; ``state`` is the owner's."""

    rate_hz: int
    channels: int
    frames: int = 0
    state: bytes = b""

    @property
    def block_bytes(self) -> int:
        """Bytes of one frame."""
        return self.channels * _SAMPLE_BYTES

    def pack(self) -> bytes:
        """The 512 bytes. Raises ``struct.error`` where ``state`` or a number is too large."""
        if len(self.state) > STATE_LIMIT_BYTES:
            raise struct.error(f"state of {len(self.state)} bytes, at most {STATE_LIMIT_BYTES}")
        data_bytes = self.frames * self.block_bytes
        riff_bytes = data_bytes + HEADER_BYTES - 8
        large = riff_bytes > _LIMIT_32
        sizes = (riff_bytes, data_bytes, self.frames, 0) if large else (0, 0, 0, 0)
        return _LAYOUT.pack(
            *(b"RF64" if large else b"RIFF", _LIMIT_32 if large else riff_bytes, b"WAVE"),
            *(b"ds64" if large else b"JUNK", 28, *sizes),
            *(b"fmt ", 16, 1, self.channels, self.rate_hz, self.rate_hz * self.block_bytes, self.block_bytes, 16),
            *(b"rcvr", 2 + STATE_LIMIT_BYTES, len(self.state), self.state),
            *(b"data", _LIMIT_32 if large else data_bytes),
        )

    @classmethod
    def unpack(cls, packed: bytes) -> "Header | None":
        """The header that :meth:`pack` made; ``None`` for any other bytes."""
        if len(packed) < HEADER_BYTES:
            return None
        fields = _LAYOUT.unpack(packed[:HEADER_BYTES])
        riff, wave, large_bytes, channels, rate_hz = fields[0], fields[2], fields[6], fields[12], fields[13]
        own, state_bytes, state, data, data_bytes = fields[17], fields[19], fields[20], fields[21], fields[22]
        if riff not in (b"RIFF", b"RF64") or (wave, own, data) != (b"WAVE", b"rcvr", b"data") or not channels:
            return None
        size = large_bytes if riff == b"RF64" else data_bytes
        return cls(rate_hz, channels, size // (channels * _SAMPLE_BYTES), state[:state_bytes])


def read_header(path: Path) -> Header | None:
    """The header of a file that this module wrote; ``None`` for any other file. Raises ``OSError``."""
    with path.open("rb") as file:
        return Header.unpack(file.read(HEADER_BYTES))


class WavFile:
    """One file, open for writing. Not safe for use by several threads at once."""

    def __init__(self, path: Path, header: Header) -> None:
        """``header`` is what the file says by now; use :func:`read_header`, or :meth:`create` for a new file."""
        self.path = path
        self.header = header
        self._descriptor = -1

    @classmethod
    def create(cls, path: Path, header: Header) -> "WavFile":
        """A new file with no samples. Raises ``FileExistsError`` where the path is taken.

        A file of no bytes is one whose creator was killed before its header: it is taken over.
        """
        file = cls(path, header)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            file._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError:
            if path.stat().st_size:
                raise
            file._descriptor = os.open(path, os.O_RDWR)
        file.commit(header)
        return file

    @property
    def is_open(self) -> bool:
        """Whether a descriptor is held."""
        return self._descriptor >= 0

    def open(self) -> None:
        """Open an existing file and cut it, or stretch it with silence, to what its header says."""
        if not self.is_open:
            self._descriptor = os.open(self.path, os.O_RDWR)
            os.ftruncate(self._descriptor, HEADER_BYTES + self.header.frames * self.header.block_bytes)

    def write(self, frame: int, samples: bytes) -> None:
        """Put ``samples`` at ``frame``. Frames that were skipped are a hole in the file: silence that costs no disk."""
        write_at(self._descriptor, samples, HEADER_BYTES + frame * self.header.block_bytes)

    def commit(self, header: Header) -> None:
        """Make what was written part of the recording."""
        write_at(self._descriptor, header.pack(), 0)
        self.header = header

    def sync(self) -> None:
        """Wait until the disk has it all."""
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Let go of the descriptor; :meth:`open` takes it again."""
        if self.is_open:
            os.close(self._descriptor)
            self._descriptor = -1


def write_at(descriptor: int, content: bytes, offset: int) -> None:
    """Write all of ``content`` at ``offset``. Raises ``OSError``."""
    view = memoryview(content)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def sync_folder(path: Path) -> None:
    """Wait until the disk has the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
