"""Sinks that note when each event is at their far side, and what they noted. They run within the server.

``ours_metered`` among the peers is our server with these types beside its own: ``meter`` takes events and does nothing,
``metered_file`` and ``metered_kafka`` are the real ones. ``portable_meter`` is another package's, laid out by
``install``, so that the helper finds it, too. Audio frames begin with the moment when they were sent, see ``voices``.
"""

import asyncio
import time
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import numpy as np

from receiver.events import Event
from sinks.base import Batch, Sink, SinkConfig
from tests.plugin_site import offer

#: of so many events one is noted: all of them would weigh as much as what is measured
STRIDE = 16
_SHUT_S = 0.02
#: whoever is no further behind is live
LIVE_S = 0.5
STAMP_BYTES = 8


class Noted(msgspec.Struct):
    """What a sink wrote down at its end: all events, those of them with media, and three numbers for each sample."""

    events: int
    media: int
    samples: bytes

    def columns(self) -> tuple[Any, Any, Any]:
        """Of each sample, nanoseconds since the epoch: at the far side, received, sent (0: it does not tell)."""
        table = np.frombuffer(self.samples, np.int64).reshape(-1, 3)
        return table[:, 0], table[:, 1], table[:, 2]


def read_noted(data_dir: Path, sink: str) -> Noted:
    """What ``sink`` noted, here and in the helper, in its order. Raises: OSError where the server did not end it."""
    paths = sorted(data_dir.glob(f"{sink}.*.noted"))
    if not paths:
        raise FileNotFoundError(f"{data_dir / sink}.*.noted: no sink wrote down what it noted")
    parts = [msgspec.msgpack.decode(path.read_bytes(), type=Noted) for path in paths]
    table = np.concatenate([np.frombuffer(part.samples, np.int64).reshape(-1, 3) for part in parts])
    table = table[np.argsort(table[:, 0], kind="stable")]
    return Noted(sum(part.events for part in parts), sum(part.media for part in parts), table.tobytes())


def caught_up_mark(gate: Path) -> Path:
    """The file that is there once a sink with this gate is live again."""
    return gate.with_suffix(".live")


class Notes:
    """Counts all events and samples some, evenly."""

    def __init__(self, name: str, data_dir: Path) -> None:
        self._path = data_dir / f"{name}.{time.time_ns()}.noted"
        self._skip = self._events = self._media = 0
        self._samples = array("q")

    def take(self, events: Sequence[Event]) -> None:
        """``events`` are at the far side now."""
        now_ns = time.time_ns()
        self._events += len(events)
        self._media += sum(event.media is not None for event in events)
        for event in events[self._skip :: STRIDE]:
            media = event.media
            sent_ns = 0 if media is None else int.from_bytes(media[:STAMP_BYTES], "little")
            self._samples.extend((now_ns, event.received_ns, sent_ns))
        self._skip = (self._skip - len(events)) % STRIDE

    def save(self) -> None:
        """Write down what was noted so far."""
        noted = Noted(self._events, self._media, self._samples.tobytes())
        self._path.write_bytes(msgspec.msgpack.encode(noted))


class Noting:
    """Around a real sink: notes what that has written."""

    def __init__(self, sink: Sink, name: str, data_dir: Path) -> None:
        self._sink = sink
        self._notes = Notes(name, data_dir)

    async def open(self) -> None:
        """The sink's."""
        await self._sink.open()

    async def write(self, batch: Batch) -> None:
        """Write, then note."""
        await self._sink.write(batch)
        self._notes.take(batch.events)

    async def close(self) -> None:
        """Write the notes down, too."""
        self._notes.save()
        await self._sink.close()


class MeterConfig(SinkConfig, kw_only=True):
    """``gate``: while there is a file of this name, the far side hangs. Once it has caught up, there is another one,
    see ``caught_up_mark``."""

    batch_events: int = 4000
    gate: str = ""


class MeterSink:
    """Takes everything at once, unless its gate is shut."""

    Config: ClassVar[type[SinkConfig]] = MeterConfig

    def __init__(self, name: str, config: MeterConfig, data_dir: Path) -> None:
        self._gate = Path(config.gate) if config.gate else None
        self._behind = False
        self._notes = Notes(name, data_dir)

    async def open(self) -> None:
        """Nothing to reach."""

    async def write(self, batch: Batch) -> None:
        """Take it, once the gate is open."""
        while self._gate is not None and self._gate.exists():
            self._behind = True
            await asyncio.sleep(_SHUT_S)
        self._notes.take(batch.events)
        if self._behind and self._gate is not None:
            self._behind = time.time_ns() - batch.events[-1].received_ns > LIVE_S * 1e9
            if not self._behind:
                caught_up_mark(self._gate).touch()

    async def close(self) -> None:
        """Write the notes down."""
        self._notes.save()


class PortableMeterSink(MeterSink):
    """The same for the helper, which has notes of its own."""

    portable: ClassVar[bool] = True


def install(folder: Path) -> dict[str, str]:
    """Put a distribution that offers the type ``portable_meter`` into ``folder``; the server's environment."""
    offer(folder, "meter", portable_meter=f"{__name__}:{PortableMeterSink.__name__}")
    return {"PYTHONPATH": str(folder)}
