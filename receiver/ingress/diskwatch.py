"""Looks at the free disk of the data folder, tells the shedding rule, and has failing lanes try again."""

import asyncio
import os
import time
from pathlib import Path
from typing import Protocol

import structlog

from receiver.ingress.shedding import Kind, Shedding
from receiver.journal.base import MEDIA

log = structlog.get_logger()
#: media fill a disk at hundreds of megabytes a second; where all is well and so much more is free than has to be, it is
#: looked at less often: each time wakes a thread
_EVERY_S, _AT_EASE_S = 0.2, 1.0
_AMPLE_BYTES = 4 << 30


class Watched(Protocol):
    """A journal with lanes that may be full."""

    @property
    def full(self) -> list[str]:
        """Lanes whose last commit failed for want of space."""

    @property
    def error(self) -> str | None:
        """Why the last commit of a lane failed; ``None`` while all is well."""

    def probe(self) -> None:
        """Have failing lanes try the disk by themselves."""


def free_bytes(folder: Path) -> int:
    """What may still be written below ``folder``. Raises ``OSError``."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


async def watch_disk(folder: Path, journal: Watched, shedding: Shedding) -> None:
    """For ever: shed in time, take again in time. A disk that cannot be asked is told once and not held against it."""
    told = ""
    while True:
        try:
            left_bytes, told = await asyncio.to_thread(free_bytes, folder), ""
        except OSError as problem:
            left_bytes = 1 << 62
            if str(problem) != told:
                told = str(problem)
                log.error("disk.unknown", error=told)
        full: list[Kind] = ["media" if lane == MEDIA else "callback" for lane in journal.full]
        shedding.observe(left_bytes, full, time.monotonic())
        journal.probe()
        await asyncio.sleep(_EVERY_S if journal.error or shedding.margin_bytes < _AMPLE_BYTES else _AT_EASE_S)
