"""The ``file`` sink, with notes of when each event was in its file."""

from pathlib import Path
from typing import ClassVar

from sinks.base import SinkConfig
from sinks.file import FileConfig, FileSink
from tests.benchmarks.meter import Noting


class MeteredFileSink(Noting):
    """See :class:`FileSink`."""

    Config: ClassVar[type[SinkConfig]] = FileConfig

    def __init__(self, name: str, config: FileConfig, data_dir: Path) -> None:
        super().__init__(FileSink(name, config, data_dir), name, data_dir)
