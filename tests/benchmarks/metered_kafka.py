"""The ``kafka`` sink, with notes of when the broker had each event."""

from pathlib import Path
from typing import ClassVar

from sinks.base import SinkConfig
from sinks.kafka import KafkaConfig, KafkaSink
from tests.benchmarks.meter import Noting


class MeteredKafkaSink(Noting):
    """See :class:`KafkaSink`."""

    Config: ClassVar[type[SinkConfig]] = KafkaConfig

    def __init__(self, name: str, config: KafkaConfig, data_dir: Path) -> None:
        super().__init__(KafkaSink(name, config, data_dir), name, data_dir)
