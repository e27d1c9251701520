"""RTTM: who spoke when, one line a turn (NIST Rich Transcription, "SPEAKER" records). Pure, except :meth:`Turns.write`.

The last line belongs to a turn that may go on, so it is written again, at its own place, each time it grows. Where
that place is and what stands there is small enough for the owner to keep beside the audio (:class:`OpenTurn`); after
a crash the file is put right from that alone.
"""

import os
from pathlib import Path

import msgspec

from sinks.wavfile import write_at

#: pauses of one speaker up to this long do not end the turn
MERGED_PAUSE_S = 0.25
#: longest speaker label in bytes of UTF-8
LABEL_LIMIT_BYTES = 200


class OpenTurn(msgspec.Struct):
    """The last turn, in frames of the audio file, and the byte in the RTTM file where its line starts.

    An empty ``label`` means that nobody has spoken.
    """

    offset_bytes: int = 0
    start_frame: int = 0
    end_frame: int = 0
    label: str = ""


def field(text: str) -> str:
    """``text`` as one RTTM field: what is blank or invisible becomes ``_``; at most 200 bytes."""
    plain = "".join(char if char.isprintable() and char != " " else "_" for char in text.strip())
    return plain.encode(errors="replace")[:LABEL_LIMIT_BYTES].decode(errors="ignore")


class Turns:
    """The turns of one audio file."""

    def __init__(self, file: str, rate_hz: int, last: OpenTurn) -> None:
        """``file`` is the audio file's name without its ending; ``last`` is what :attr:`last` was at the last write."""
        self.last = last
        self._file = field(file)
        self._rate_hz = rate_hz
        self._finished = b""

    def add(self, start_frame: int, end_frame: int, label: str) -> None:
        """``label`` spoke in these frames; the empty label is nobody. Frames never go back."""
        if not label or end_frame <= start_frame:
            return
        last = self.last
        pause_frames = start_frame - last.end_frame
        if label == last.label and pause_frames <= MERGED_PAUSE_S * self._rate_hz:
            last.end_frame = end_frame
            return
        self._finished += self._line(last)
        self.last = OpenTurn(last.offset_bytes, start_frame, end_frame, label)

    def write(self, path: Path, *, sync: bool) -> None:
        """Bring the file up to date. Raises ``OSError``; after that the object is of no use."""
        if not self.last.label:
            return
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            # A file that somebody cut or removed starts again where it ends.
            offset_bytes = min(self.last.offset_bytes, os.fstat(descriptor).st_size)
            content = self._finished + self._line(self.last)
            write_at(descriptor, content, offset_bytes)
            os.ftruncate(descriptor, offset_bytes + len(content))
            if sync and self._finished:
                os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
        self.last.offset_bytes = offset_bytes + len(self._finished)
        self._finished = b""

    def _line(self, turn: OpenTurn) -> bytes:
        if not turn.label:
            return b""
        start_s = turn.start_frame / self._rate_hz
        duration_s = (turn.end_frame - turn.start_frame) / self._rate_hz
        line = f"SPEAKER {self._file} 1 {start_s:.3f} {duration_s:.3f} <NA> <NA> {turn.label} <NA> <NA>\n"
        return line.encode(errors="replace")
