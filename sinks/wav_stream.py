"""Which file a chunk belongs to: the path template, and the recordings of one stream (source, subject, track).

The newest recording of a stream goes on as long as its sample clock runs forward, across lost connections and
restarts of the receiver. Where the clock starts again, a new stream of the same name has begun and gets a file of its
own: ``name.wav``, ``name-2.wav``, ``name-3.wav``. Nothing that exists is ever written over: each file bears a digest
of the stream that it belongs to.
"""

import hashlib
import itertools
import re
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from pathlib import Path

from receiver.errors import ConfigError
from receiver.events import AudioChunk, Event
from sinks.filepath import DAY_NS, component, date_text, plain
from sinks.pcm import Chunk, Mark
from sinks.recording import Options, Recording

#: older recordings of a stream that still take chunks, where two connections of one stream overlap
_RECENT_FILES = 8
_RECENT_NS = 10 * 10**9
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
#: placeholder -> longest component that a value makes, in bytes
_LIMITS = {"subject": 100, "track": 60, "date": 10, "vendor": 40}
#: what a file system takes, less the ending and the number of a later stream
_MOST_NAME_BYTES = 255 - 15

StreamKey = tuple[str, str, str]


def stream_key(event: Event) -> StreamKey:
    """Source, subject and track of an ``audio.chunk``."""
    track = event.data.track if isinstance(event.data, AudioChunk) else None
    return event.source, event.subject, track or ""


class WavPaths:
    """The path template of a wav sink. Raises ``ConfigError``; ``key`` is how it calls itself there."""

    def __init__(self, template: str, data_dir: Path, key: str) -> None:
        _check(template, key)
        self._template = template
        self._data_dir = data_dir
        #: the folder that all files lie below
        self.root = data_dir / template.split("{")[0].rpartition("/")[0]

    def path(self, key: StreamKey, day: int) -> Path:
        """The first file of a stream; ``day`` counts from the epoch. Every value becomes one safe path component."""
        source, subject, track = key
        vendor = source.lstrip("/").split("/")[0]
        values = {"subject": subject, "track": track, "vendor": vendor, "date": date_text(day)}
        filled = _PLACEHOLDER.sub(lambda found: component(values[found[1]], _LIMITS[found[1]]), self._template)
        return self._data_dir / filled

    def candidates(self, key: StreamKey, received_ns: int) -> list[Path]:
        """Where a stream that goes on may have begun, yesterday's path first; the last one is where it begins now."""
        day = received_ns // DAY_NS
        return list(dict.fromkeys(self.path(key, each) for each in (day - 1, day)))


class OpenFiles:
    """Keeps at most ``limit`` recordings open; the one that was used longest ago is let go first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open: OrderedDict[Recording, None] = OrderedDict()

    def use(self, recording: Recording) -> None:
        """Open ``recording`` if need be."""
        recording.open()
        self._open[recording] = None
        self._open.move_to_end(recording)
        while len(self._open) > self._limit:
            oldest, _ = self._open.popitem(last=False)
            oldest.flush(sync=True)
            oldest.release()

    def release(self, recordings: Iterable[Recording]) -> None:
        """Let go of these."""
        for recording in recordings:
            self._open.pop(recording, None)
            recording.release()

    def release_all(self) -> None:
        """Let go of every file."""
        self.release(list(self._open))


class Stream:
    """The recordings of one stream. Not safe for use by several threads at once."""

    def __init__(self, owner: bytes, paths: Sequence[Path], rate_hz: int, options: Options, files: OpenFiles) -> None:
        """``paths`` as :meth:`WavPaths.candidates` gives them; finds the recordings that exist there. ``rate_hz`` of
        new files, 0: that of their first chunk. ``owner``: 16 bytes, see :func:`owner_digest`."""
        self._owner = owner
        self._path = paths[-1]
        self._rate_hz = rate_hz
        self._options = options
        self._files = files
        #: sequence number of the last ``stream.opened`` that resumes nothing; the owner of the table sets it
        self.opened_sequence = 0
        found = (self._existing(path) for path in paths)
        self.recordings = list(itertools.chain.from_iterable(found))[-_RECENT_FILES:]

    @property
    def mark(self) -> Mark:
        """How far the stream has come."""
        return max((each.mark for each in self.recordings), key=lambda mark: mark.received_ns, default=Mark())

    def write(self, chunks: Iterable[Chunk]) -> None:
        """Write chunks that are new, in order. Returns when the files have them; no use after an error."""
        touched: dict[Recording, None] = {}
        last: Recording | None = None
        for chunk in chunks:
            recording = self._recording(chunk)
            if recording is not last:
                if last is not None:
                    # What the headers say must grow in order of sequence, or a repetition could not be told apart.
                    last.flush(sync=False)
                self._files.use(recording)
            recording.add(chunk)
            touched[recording] = None
            last = recording
        for recording in touched:
            self._files.use(recording)
            recording.flush(sync=True)

    def close(self) -> None:
        """Let go of all files."""
        self._files.release(self.recordings)

    def _recording(self, chunk: Chunk) -> Recording:
        """The recording for ``chunk``, a new one where none takes it."""
        newest = self.recordings[-1] if self.recordings else None
        for recording in reversed(self.recordings):
            quiet_ns = chunk.mark.received_ns - recording.mark.received_ns
            if (recording is newest or quiet_ns <= _RECENT_NS) and recording.continues(chunk):
                return recording
        if newest is not None and newest.takes(chunk) and not self._begins(chunk, newest):
            return newest
        recording = self._create(chunk)
        self.recordings = [*self.recordings[1 - _RECENT_FILES :], recording]
        return recording

    def _begins(self, chunk: Chunk, newest: Recording) -> bool:
        """Whether ``chunk``, which tells no position, is the first of a new stream."""
        return chunk.first_sample is None and newest.mark.sequence < self.opened_sequence < chunk.mark.sequence

    def _existing(self, first: Path) -> Iterable[Recording]:
        for path in _numbered(first):
            try:
                recording = Recording.load(path, self._owner, self._options)
            except FileNotFoundError:
                return
            if recording is not None:
                yield recording

    def _create(self, chunk: Chunk) -> Recording:
        for path in _numbered(self._path):
            try:
                return Recording.create(path, self._owner, chunk, self._rate_hz or chunk.rate_hz, self._options)
            except FileExistsError:
                continue
        raise AssertionError  # the numbers never end


def owner_digest(sink: str, key: StreamKey) -> bytes:
    """16 bytes that tell whose a file is: two sinks with the same template do not write into each other's files."""
    return hashlib.blake2b("\0".join((sink, *key)).encode(errors="surrogatepass"), digest_size=16).digest()


def _check(template: str, key: str) -> None:
    """Raise ``ConfigError`` where ``template`` is no path of known placeholders, or where a name could be too long."""
    unknown = [name for name in _PLACEHOLDER.findall(template) if name not in _LIMITS]
    if unknown:
        allowed = ", ".join(f"{{{name}}}" for name in _LIMITS)
        raise ConfigError(*(f"{key}: found {{{plain(name)}}}, allowed {allowed}" for name in unknown))
    fixed = _PLACEHOLDER.sub("", template)
    if not template.endswith(".wav") or re.search(r"[{}\0]|(^|/)\.\.(/|$)", fixed):
        raise ConfigError(f"{key}: found {template!r}, allowed a path like 'audio/{{subject}}.wav', without '..'")
    for part in template.split("/"):
        placeholders = _PLACEHOLDER.findall(part)
        longest = len(_PLACEHOLDER.sub("", part).encode()) + sum(_LIMITS[name] for name in placeholders)
        if longest > _MOST_NAME_BYTES:
            raise ConfigError(f"{key}: found {part!r}, up to {longest} bytes long, allowed {_MOST_NAME_BYTES}")


def _numbered(first: Path) -> Iterable[Path]:
    yield first
    for number in itertools.count(2):
        yield first.with_name(f"{first.stem}-{number}.wav")
