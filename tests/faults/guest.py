"""A sink of another package, as the server sees it: it takes, raises, blocks or computes, as a file beside it says.

The server loads this module in its own process, through an entry point that ``install`` writes.
"""

import base64
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import orjson

from receiver.events import Encoder, Event
from sinks.base import Batch, SinkConfig, SinkNotConnected
from tests.plugin_site import offer

ROOT = Path(__file__).parent.parent.parent
#: a stuck guest looks again this often; it blocks its thread meanwhile
_LOOK_S = 0.05


class GuestConfig(SinkConfig, kw_only=True):
    """``mood`` names the file that holds ``ok``, ``raise``, ``block`` or ``spin``; ``marks`` is where events go."""

    mood: str
    marks: str


class GuestSink:
    """Writes so much of each event as JSON lines as ``oracle.FarSide`` needs: of a frame, the first samples."""

    Config: ClassVar[type[SinkConfig]] = GuestConfig
    portable: ClassVar[bool] = True

    def __init__(self, name: str, config: GuestConfig, data_dir: Path) -> None:
        self._mood = Path(config.mood)
        self._marks = Path(config.marks)

    async def open(self) -> None:
        """Nothing to reach."""

    async def write(self, batch: Batch) -> None:
        """Take it, once in the mood."""
        while (mood := self._mood.read_text()) != "ok":
            if mood == "raise":
                raise SinkNotConnected("not in the mood")
            if mood == "block":
                time.sleep(_LOOK_S)  # noqa: ASYNC251 - that is what it is here for
        with self._marks.open("ab") as file:
            file.write(b"".join(map(_line, batch.events)))

    async def close(self) -> None:
        """Nothing to let go."""


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """What a guest wrote."""
    with path.open("rb") as file:
        for line in file:
            yield orjson.loads(line)


def _line(event: Event) -> bytes:
    short: dict[str, object] = {"id": event.id, "subject": event.subject}
    if event.media is not None:
        short["data_base64"] = base64.b64encode(event.media[:12]).decode()
    elif event.data.attributes:
        short["data"] = {"attributes": event.data.attributes}
    return Encoder.encode(short) + b"\n"


def install(folder: Path, mood: str = "ok") -> dict[str, str]:
    """Put a distribution that offers the type ``guest`` into ``folder``, and its mood; the server's environment."""
    offer(folder, "guest", guest="tests.faults.guest:GuestSink")
    (folder / "mood").write_text(mood)
    return {"PYTHONPATH": os.pathsep.join((str(folder), str(ROOT)))}
