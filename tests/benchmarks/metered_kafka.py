"""The ``kafka`` sink, with notes of when the broker had each event."""

from pathlib import Path

from sinks.base import Batch
from sinks.kafka import KafkaConfig, KafkaSink
from tests.benchmarks.meter import Notes


class MeteredKafkaSink(KafkaSink):
    """See :class:`KafkaSink`."""

    def __init__(self, name: str, config: KafkaConfig, data_dir: Path) -> None:
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
