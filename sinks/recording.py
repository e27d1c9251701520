"""One WAV file with its RTTM file: takes chunks in order, puts each at its place, and can go on after a crash.

Positions are frames of the file. Where its frame 0 lies on the stream's clock, how far it has come and which turn is
open stands in the WAV header, which is written last.
"""

import struct
from pathlib import Path

import msgspec
import numpy as np

from receiver.audio.pcm import Samples
from sinks.pcm import Chunk, Mark
from sinks.resample import Resampler
from sinks.rttm import OpenTurn, Turns
from sinks.wavfile import Header, WavFile, read_header, sync_folder

#: owner's digest | frame 0 on the stream's clock | mark: sequence, arrival | turn: offset, start, end, label
_STATE = struct.Struct("<16sQQqQQQB")
#: a chunk that begins this little before the end of what is written goes right behind it
_OVERLAP_S = 0.02


class Options(msgspec.Struct, frozen=True):
    """What the sink's configuration says about every recording."""

    rttm: bool
    fsync: bool
    max_gap_s: float


class Recording:
    """One file of one stream. ``add`` collects, ``flush`` writes; a failed ``flush`` leaves an object of no use."""

    def __init__(
        self, file: WavFile, owner: bytes, base_frame: int, mark: Mark, turn: OpenTurn, options: Options
    ) -> None:
        self.mark = mark
        self.end_frame = file.header.frames
        self._file = file
        self._owner = owner
        self._base_frame = base_frame
        self._turns = Turns(file.path.stem, file.header.rate_hz, turn)
        self._options = options
        self._resampler: Resampler | None = None
        self._run_frame = 0
        self._next_sample: int | None = None
        self._waiting: list[Samples] = []
        self._waiting_count = 0
        self._dirty = False

    @classmethod
    def create(cls, path: Path, owner: bytes, first: Chunk, rate_hz: int, options: Options) -> "Recording":
        """A new file that begins where the stream does. Raises ``FileExistsError`` where ``path`` is taken.

        Where ``first`` is further into its stream than ``max_gap_s``, the file begins with ``first`` instead.
        """
        at_frame = _scale(first.first_sample or 0, first.rate_hz, rate_hz)
        base_frame = at_frame if at_frame > options.max_gap_s * rate_hz else 0
        header = Header(rate_hz, first.channels, 0, _pack_state(owner, base_frame, Mark(), OpenTurn()))
        file = WavFile.create(path, header)
        if options.fsync:
            sync_folder(path.parent)
        return cls(file, owner, base_frame, Mark(), OpenTurn(), options)

    @classmethod
    def load(cls, path: Path, owner: bytes, options: Options) -> "Recording | None":
        """The recording in an existing file, not opened yet; ``None`` where the file is somebody else's."""
        header = read_header(path)
        if header is None or len(header.state) < _STATE.size or header.state[: len(owner)] != owner:
            return None
        _, base_frame, sequence, received_ns, offset, start, end, length = _STATE.unpack_from(header.state)
        label = header.state[_STATE.size : _STATE.size + length].decode(errors="replace")
        turn = OpenTurn(offset, start, end, label)
        return cls(WavFile(path, header), owner, base_frame, Mark(sequence, received_ns), turn, options)

    @property
    def path(self) -> Path:
        """The WAV file."""
        return self._file.path

    @property
    def is_open(self) -> bool:
        """Whether a file descriptor is held."""
        return self._file.is_open

    def open(self) -> None:
        """Take a file descriptor, and drop what a killed process wrote without finishing."""
        self._file.open()

    def continues(self, chunk: Chunk) -> bool:
        """Whether ``chunk`` begins exactly where this recording has got to."""
        if chunk.channels != self._file.header.channels or chunk.first_sample is None:
            return False
        return chunk.first_sample == self._next_sample or abs(self._distance(chunk)) <= 1

    def takes(self, chunk: Chunk) -> bool:
        """Whether ``chunk`` can stand here: its format, not before the end, and not too long after it.

        Position 0 is a stream's beginning, however short the recording is by now.
        """
        begins = chunk.first_sample == 0 and (self.end_frame > 0 or self._base_frame > 0)
        if begins or chunk.channels != self._file.header.channels:
            return False
        rate_hz = self._file.header.rate_hz
        return -_OVERLAP_S * rate_hz <= self._distance(chunk) <= self._options.max_gap_s * rate_hz

    def add(self, chunk: Chunk) -> None:
        """Collect ``chunk``, which this recording takes; writes only where a run of samples ends."""
        follows = chunk.first_sample == self._next_sample if chunk.first_sample is not None else not chunk.gap_ms
        if self._resampler is None or self._resampler.rate_in_hz != chunk.rate_hz or not follows:
            self._write_run()
            self._start_run(chunk)
        assert self._resampler is not None  # noqa: S101 - set by _start_run; for the type checker
        start_frame = self.end_frame
        self._waiting.append(chunk.samples)
        self._waiting_count += len(chunk.samples)
        taken = self._resampler.taken + self._waiting_count
        self.end_frame = self._run_frame + self._resampler.frames_out(taken)
        self._turns.add(start_frame, self.end_frame, chunk.label)
        self._next_sample = chunk.next_sample
        self.mark = Mark(chunk.mark.sequence, max(chunk.mark.received_ns, self.mark.received_ns))
        self._dirty = True

    def flush(self, *, sync: bool) -> None:
        """Write what was collected: samples, turns, and the header at last. With ``sync`` the disk has it on return."""
        if self._dirty:
            self._write_run()
            if self._options.rttm:
                self._turns.write(self.path.with_suffix(".rttm"), sync=self._options.fsync)
            state = _pack_state(self._owner, self._base_frame, self.mark, self._turns.last)
            self._file.commit(msgspec.structs.replace(self._file.header, frames=self.end_frame, state=state))
            self._dirty = False
        if sync and self._options.fsync and self.is_open:
            self._file.sync()

    def release(self) -> None:
        """Let go of the file; what was not flushed stays in memory."""
        self._file.close()

    def _distance(self, chunk: Chunk) -> int:
        """Frames between the end of what is written and the place of ``chunk``; negative: it comes too early."""
        if chunk.first_sample is None:
            return round(chunk.gap_ms * self._file.header.rate_hz / 1000)
        rate_hz = self._file.header.rate_hz
        return _scale(chunk.first_sample, chunk.rate_hz, rate_hz) - self._base_frame - self.end_frame

    def _start_run(self, chunk: Chunk) -> None:
        """Begin a run of samples at the place of ``chunk``."""
        header = self._file.header
        distance = self._distance(chunk)
        rounding = 1 if chunk.rate_hz != header.rate_hz else 0
        self._run_frame = self.end_frame + (distance if distance > rounding else 0)
        self.end_frame = self._run_frame
        self._resampler = Resampler(chunk.rate_hz, header.rate_hz, header.channels)

    def _write_run(self) -> None:
        if self._resampler is None or not self._waiting:
            return
        offset, samples = self._resampler.push(np.concatenate(self._waiting))
        self._waiting, self._waiting_count = [], 0
        self._file.write(self._run_frame + offset, samples.tobytes())


def _scale(position: int, rate_in_hz: int, rate_out_hz: int) -> int:
    """A position on one sample clock as the nearest on another."""
    return (2 * position * rate_out_hz + rate_in_hz) // (2 * rate_in_hz)


def _pack_state(owner: bytes, base_frame: int, mark: Mark, turn: OpenTurn) -> bytes:
    label = turn.label.encode(errors="replace")
    numbers = (base_frame, mark.sequence, mark.received_ns, turn.offset_bytes, turn.start_frame, turn.end_frame)
    return _STATE.pack(owner, *numbers, len(label)) + label
