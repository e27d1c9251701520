"""What a journal offers. Nothing outside this package may know which kind it is.

One sequence numbers everything in order of arrival; a record takes one number for each of its events. Readers ask
for what comes after a number, so a consumer's whole state is one integer: its cursor.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from receiver.errors import JournalUnavailable
from receiver.record import Record

#: told once what became of a record: ``None`` when it is on disk
Ended = Callable[[JournalUnavailable | None], None]

EVENTS = "events"
MEDIA = "media"
QUARANTINE = "quarantine"


class Journal(Protocol):
    """Append, read after a cursor, wait for more."""

    def put(self, record: Record, ended: Ended, lane: str = EVENTS) -> None:
        """Number ``record`` and hand it to the writer. ``ended`` is called when it is on disk (lane ``media``: written,
        synced by time), or cannot be; on the event loop, later than this returns. It must not raise."""

    def submit(self, record: Record, lane: str = EVENTS) -> "asyncio.Future[None]":
        """The same with a future, which raises ``JournalUnavailable``. Do not cancel it: shield it."""

    def has_room(self, lane: str = EVENTS) -> bool:
        """Whether there is room that nobody who awaits ``room`` was promised."""

    async def room(self, lane: str = EVENTS, frames_bytes: Callable[[], int] | None = None) -> None:
        """Return when the lane has room for more, in order of asking: what a socket awaits before it reads on.
        ``frames_bytes``: what it would hand over now; all of that comes then, before the loop does anything else."""

    def ask_room(self, lane: str, let_in: Callable[[], bool], frames_bytes: Callable[[], int]) -> None:
        """Have ``let_in`` called where ``room`` would return: it brings what it has, or false where that is nothing
        any more."""

    async def read(
        self, after: int, *, media: bool, limit_bytes: int, reader: str = ""
    ) -> tuple[Sequence[Record], int]:
        """Records behind the number ``after`` in order, from memory or disk, and the number up to which that is all.
        ``media``: with those of the media lane. A reader's next ``after`` is the second value. For a ``reader`` with a
        name what comes next is kept in memory, as far as there is room."""

    def in_memory(self, after: int, *, media: bool) -> bool:
        """Whether ``read`` behind this number asks no disk."""

    async def reread(self, after: int, upto: int, *, media: bool, limit_bytes: int) -> tuple[Sequence[Record], int]:
        """Like ``read``, as far as ``upto``, and from disk: the records come without events, with their raw bytes."""

    async def since(self, received_ns: int, *, media: bool) -> int:
        """A number before everything that was received since ``received_ns`` (nanoseconds since the epoch), as near to
        it as can be told without reading the journal."""

    async def wait(self, after: int, *, media: bool) -> None:
        """Return when there is something behind ``after``, which may turn out to be nothing for this reader."""

    def alert(self, event: asyncio.Event, after: int, *, media: bool) -> None:
        """Have ``event`` set when ``wait`` would return, once; it may be set for other reasons as well. A call with the
        same event takes the place of the one before."""

    async def backlog(self, cursor: int, *, media: bool) -> int:
        """What to add to the sequence numbers committed since start, in the lanes that a reader wants, to know how many
        are taken behind ``cursor``."""

    def visible(self, *, media: bool) -> int:
        """Up to where a reader can read now."""

    @property
    def head(self) -> int:
        """The last number given out."""
