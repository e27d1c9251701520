"""The embedded journal as another process sees it: reads from disk what it is told to be there, and writes nothing."""

import asyncio
import heapq
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from receiver.journal.base import EVENTS, MEDIA
from receiver.journal.chain import Link
from receiver.journal.recent import Recent
from receiver.journal.shelf import Shelf
from receiver.record import Record

#: of each lane, for readers who are near to each other
_KEPT_BYTES = 8 << 20


class Mark(msgspec.Struct, frozen=True):
    """How far a journal can be read at a moment: without the media lane and with it, and each lane's newest record."""

    events: int
    media: int
    newest: dict[str, Link]

    def visible(self, *, media: bool) -> int:
        """The number up to which everything is on disk that such a reader wants."""
        return self.media if media else self.events

    def packed(self) -> bytes:
        """For the other process."""
        return _pack(self)


_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(Mark).decode


class View:
    """Reads as far as the last ``see`` said. Built and used on an event loop."""

    def __init__(self, folder: Path) -> None:
        self._lanes = {name: (Shelf(name, folder / name), Recent(_KEPT_BYTES)) for name in (EVENTS, MEDIA)}
        self._mark = Mark(0, 0, {})
        self._more = asyncio.Event()
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="journal-read")

    def see(self, packed: bytes) -> None:
        """Read as far as ``SqliteJournal.mark`` says from now on."""
        mark = _unpack(packed)
        for name, (shelf, recent) in self._lanes.items():
            if shelf.look(mark.newest[name]):
                recent.forget()
        self._mark = mark
        self._more.set()

    async def wait(self) -> None:
        """Return at the next ``see``."""
        self._more.clear()
        await self._more.wait()

    async def read(self, after: int, *, media: bool, limit_bytes: int) -> tuple[Sequence[Record], int]:
        """Like :meth:`receiver.journal.base.Journal.read`, always from disk. Raises ``sqlite3.Error``."""
        upto = self._mark.visible(media=media)
        if upto <= after:
            return (), after
        lanes = [self._lanes[name] for name in wanted(media=media)]
        return merged([await recent.read(after, upto, limit_bytes, self._in_reader(shelf)) for shelf, recent in lanes])

    def close(self) -> None:
        """End the thread."""
        self._reader.shutdown(wait=False)

    def _in_reader(self, shelf: Shelf) -> Callable[[int, int, int], "asyncio.Future[tuple[list[Record], int]]"]:
        def read(after: int, upto: int, limit_bytes: int) -> "asyncio.Future[tuple[list[Record], int]]":
            loop = asyncio.get_running_loop()
            return loop.run_in_executor(self._reader, shelf.read_disk, after, upto, limit_bytes)

        return read


def wanted(*, media: bool) -> tuple[str, ...]:
    """Names of the lanes that a reader wants."""
    return (EVENTS, MEDIA) if media else (EVENTS,)


def merged(parts: list[tuple[list[Record], int]]) -> tuple[Sequence[Record], int]:
    """One reading out of one of each lane, as far as all of them are complete."""
    if len(parts) == 1:
        return parts[0]
    complete = min(part[1] for part in parts)
    both = heapq.merge(*(part[0] for part in parts), key=lambda record: record.seq)
    return [record for record in both if record.last_seq <= complete], complete
