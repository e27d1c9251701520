"""The wav sink: one playable WAV file a stream, on the stream's own clock, with an RTTM file beside it.

Only the sink is here: its configuration, the table of streams, and the one thread that all file work happens in. What
a file looks like is in ``wavfile``, which file a chunk goes to in ``wav_stream``, how it gets there in ``recording``.
"""

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar, TypeVar

import msgspec

from receiver.errors import ConfigError
from receiver.events import Event, StreamOpened
from sinks.base import Batch, SinkConfig, SinkNotConnected, SinkRejected
from sinks.pcm import MAX_RATE_HZ, Chunk, decode_chunk
from sinks.recording import Options
from sinks.wav_stream import OpenFiles, Stream, StreamKey, WavPaths, owner_digest, stream_key

T = TypeVar("T")
_REMEMBERED_OPENINGS = 10_000


class WavConfig(SinkConfig, kw_only=True, forbid_unknown_fields=True):
    """Keys of ``type = "wav"``."""

    types: list[str] = msgspec.field(default_factory=lambda: ["audio.*", "stream.*"])
    #: relative paths are below the data folder; placeholders {subject}, {track}, {date}, {vendor}
    path: str = "audio/{subject}.wav"
    #: sample rate of the files in hertz; 0 = as the stream has it
    rate_hz: int = 0
    #: write who spoke when into a file of the same name with the ending .rttm
    rttm: bool = True
    #: close the files of a stream that has been silent for so many seconds
    close_idle_s: float = 600
    #: most WAV files held open at once; more streams than that are fine, only slower
    max_open_files: int = 64
    #: the longest silence in seconds that is written as such; after a longer one a new file begins
    max_gap_s: float = 43_200
    #: wait for the disk before a batch counts as delivered; false is faster and loses seconds of audio at a power cut
    fsync: bool = True
    batch_events: int = 4000


class WavSink:
    """Audio into files. Keeps order; a repeated event is written once, also after ``kill -9``; drops nothing silently.

    Other events than ``audio.chunk`` and ``stream.opened`` are ignored. A chunk that is no 16-bit or mu-law PCM is
    rejected. After a power cut in the middle of a batch, the last batch of a file may be silence.
    """

    Config: ClassVar[type[SinkConfig]] = WavConfig
    portable: ClassVar[bool] = True

    def __init__(self, name: str, config: WavConfig, data_dir: Path) -> None:
        _check(name, config)
        self._name = name
        self._config = config
        self._paths = WavPaths(config.path, data_dir, f"sinks.{name}.path")
        self._options = Options(rttm=config.rttm, fsync=config.fsync, max_gap_s=config.max_gap_s)
        self._files = OpenFiles(config.max_open_files)
        self._streams: dict[StreamKey, Stream] = {}
        self._used_s: dict[StreamKey, float] = {}
        #: source and subject -> sequence number of the last opening that resumes nothing
        self._opened: dict[tuple[str, str], int] = {}
        self._thread: ThreadPoolExecutor | None = None

    async def open(self) -> None:
        """Make the folder. Raises ``SinkNotConnected`` where that, or writing into it, is impossible."""
        await self._in_thread(self._prepare)

    async def write(self, batch: Batch) -> None:
        """Write the audio of ``batch``. Raises ``SinkRejected`` for what is no PCM, ``OSError`` from the disk."""
        refused = await self._in_thread(lambda: self._write(batch.events, late=batch.late))
        if refused:
            reasons = sorted({reason for _, reason in refused})
            raise SinkRejected(f"{len(refused)} events: {'; '.join(reasons[:3])}", [event for event, _ in refused])

    async def close(self) -> None:
        """Close all files; each is complete and playable."""
        if self._thread is not None:
            await self._in_thread(self._forget_all)
            self._thread.shutdown(wait=False)
            self._thread = None

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"sink-{self._name}")
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _prepare(self) -> None:
        root = self._paths.root
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SinkNotConnected(f"cannot make the folder {root}: {error.strerror}") from error
        if not os.access(root, os.W_OK | os.X_OK):
            raise SinkNotConnected(f"may not write into the folder {root}")

    def _write(self, events: Sequence[Event], *, late: bool) -> list[tuple[Event, str]]:
        """Write; return the refused events with reasons. Of ``late`` ones, those that the files have gone past, too."""
        refused: list[tuple[Event, str]] = []
        chunks: dict[StreamKey, list[Chunk]] = {}
        for event in events:
            if event.type == "audio.chunk":
                if self._sort_in(event, chunks, refused) and late:
                    refused.append((event, "its file goes on behind it already"))
            elif isinstance(event.data, StreamOpened) and event.data.channel == "audio" and not event.data.resumes:
                self._remember_opening(event)
        for key, new in chunks.items():
            self._streams[key].opened_sequence = self._opened.get(key[:2], 0)
            try:
                self._streams[key].write(new)
            except BaseException:
                # The file knows how far it has come; memory does not any more.
                self._forget(key)
                raise
        self._forget_idle()
        return refused

    def _sort_in(self, event: Event, chunks: dict[StreamKey, list[Chunk]], refused: list[tuple[Event, str]]) -> bool:
        """Whether the stream's file has the chunk, or has gone past it: then it is left out."""
        key = stream_key(event)
        try:
            chunk = decode_chunk(event)
        except ValueError as error:
            refused.append((event, str(error)))
            return False
        if key not in self._streams:
            paths = self._paths.candidates(key, event.received_ns)
            owner = owner_digest(self._name, key)
            self._streams[key] = Stream(owner, paths, self._config.rate_hz, self._options, self._files)
        self._used_s[key] = time.monotonic()
        if self._streams[key].mark.covers(event):
            return True
        if len(chunk.samples):
            chunks.setdefault(key, []).append(chunk)
        return False

    def _remember_opening(self, event: Event) -> None:
        before = self._opened.pop((event.source, event.subject), 0)
        self._opened[event.source, event.subject] = max(before, event.sequence)
        if len(self._opened) > _REMEMBERED_OPENINGS:
            del self._opened[next(iter(self._opened))]

    def _forget(self, key: StreamKey) -> None:
        self._used_s.pop(key, None)
        if (stream := self._streams.pop(key, None)) is not None:
            stream.close()

    def _forget_idle(self) -> None:
        before_s = time.monotonic() - self._config.close_idle_s
        for key in [key for key, used_s in self._used_s.items() if used_s < before_s]:
            self._forget(key)

    def _forget_all(self) -> None:
        for key in list(self._streams):
            self._forget(key)
        self._files.release_all()


def _check(name: str, config: WavConfig) -> None:
    """Raise ``ConfigError`` for numbers out of range."""
    problems = []
    if config.rate_hz and not 1000 <= config.rate_hz <= MAX_RATE_HZ:
        problems.append(f"sinks.{name}.rate_hz: found {config.rate_hz}, allowed 0 and 1000 to {MAX_RATE_HZ}")
    for key in ("close_idle_s", "max_open_files", "max_gap_s"):
        if not getattr(config, key) > 0:
            problems.append(f"sinks.{name}.{key}: found {getattr(config, key)}, allowed more than 0")
    if problems:
        raise ConfigError(*problems)
