"""The ``file`` sink, with notes of when each event was in its file."""

from pathlib import Path

from sinks.base import Batch
from sinks.file import FileConfig, FileSink
from tests.benchmarks.meter import Notes


class MeteredFileSink(FileSink):
    """See :class:`FileSink`."""

    def __init__(self, name: str, config: FileConfig, data_dir: Path) -> None:
        super().__init__(name, config, data_dir)
        self._notes = Notes(name, data_dir)

    async def write(self, batch: Batch) -> None:
        """Write, then note."""
        await super().write(batch)
        self._notes.take(batch.events)

    async def close(self) -> None:
        """Write the notes down, too."""
        self._notes.save()
        await super().close()
