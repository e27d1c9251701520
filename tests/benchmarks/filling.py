"""Fills a journal: a day of callbacks and audio, written through the journal itself as fast as it takes them."""

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from receiver.bundle import Part, pack
from receiver.journal.base import EVENTS, MEDIA, QUARANTINE
from receiver.journal.lane import LaneLimits
from receiver.journal.sqlite import SqliteJournal
from receiver.journal.state import State
from receiver.record import Record
from tests.benchmarks.frames import PCM_BYTES
from tests.faults.load import body
from tests.vendors.meetstream_wire import frame

_DAY_NS = 86_400 * 10**9
#: of all bytes so many are callbacks, each of them a row and a key; at most so many, twice what is remembered of them
_CALLBACKS, _MOST_CALLBACKS_BYTES = 0.1, 100_000_000
_FRAMES = 32
_KEY_BYTES = 16
#: nobody reads while it is filled; nothing is deleted
_LIMITS = LaneLimits(sync_every_ms=1000, tail_bytes=0, max_bytes=1 << 50)
#: while a file is folded it is there twice
_SPARE = 0.5


def affordable_bytes(wanted_bytes: int, folder: Path) -> int:
    """``wanted_bytes``, or half of what is free where that is less."""
    return min(wanted_bytes, int(shutil.disk_usage(folder).free * _SPARE))


def callback_bytes(wanted_bytes: int) -> int:
    """Of a journal so many bytes are callbacks; the rest is audio."""
    return min(int(_CALLBACKS * wanted_bytes), _MOST_CALLBACKS_BYTES)


async def fill_journal(folder: Path, wanted_bytes: int, sinks: Iterable[str]) -> int:
    """Write about ``wanted_bytes`` into a new journal in ``folder``, received over the day until now; each of ``sinks``
    has had all of it. Bytes on disk."""
    folder.mkdir(parents=True)
    journal = SqliteJournal(folder, dict.fromkeys((EVENTS, MEDIA, QUARANTINE), _LIMITS))
    try:
        callbacks = callback_bytes(wanted_bytes)
        for lane, size, make in ((EVENTS, callbacks, _callback), (MEDIA, wanted_bytes - callbacks, _audio())):
            await _fill(journal, lane, size, make)
        await journal.settle()
        if journal.error:
            raise RuntimeError(f"the journal cannot be filled: {journal.error}")
        state = State(folder / "state.db")
        for sink in sinks:
            state.move(sink, journal.head)
        await state.close()
    finally:
        await journal.close()
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def forget_pages(folder: Path) -> None:
    """Have the kernel read what lies in ``folder`` from disk the next time (posix_fadvise(2))."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


async def _fill(journal: SqliteJournal, lane: str, wanted_bytes: int, make: Callable[[int, int], Record]) -> None:
    begin_ns = time.time_ns() - _DAY_NS
    size = number = 0
    while size < wanted_bytes:
        record = make(number, begin_ns + int(_DAY_NS * size / wanted_bytes))
        size += len(record.payload)
        number += 1
        if not journal.has_room(lane):
            await journal.room(lane)
        journal.submit(record, lane)


def _callback(number: int, received_ns: int) -> Record:
    """Bot after bot has a hundred of them."""
    key = hashlib.blake2b(number.to_bytes(8, "big"), digest_size=_KEY_BYTES).digest()
    subject = f"bot-{number // 100}"
    return Record(
        vendor="meetstream", endpoint="default", kind="body", payload=body(subject, number), received_ns=received_ns,
        channel="http", key=key,
    )  # fmt: skip


def _audio() -> Callable[[int, int], Record]:
    """Makes bundles of ``_FRAMES`` frames. Only their arrival differs."""
    message = frame(pcm=os.urandom(PCM_BYTES))

    def make(number: int, received_ns: int) -> Record:
        subject = f"bot-{number // 1000}"
        part = Part(
            f"connection-{subject}", subject, b"", _FRAMES, [received_ns] * _FRAMES, [len(message)] * _FRAMES
        )  # fmt: skip
        return Record(
            vendor="meetstream", endpoint="default", kind="bundle", payload=pack([part], [message] * _FRAMES),
            received_ns=received_ns, channel="audio",
        )  # fmt: skip

    return make
