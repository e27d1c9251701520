"""Gathers the media frames of all sockets and hands them to the journal in bundles, twice in a hundredth of a second.

One timer for all sockets. Where the journal is still busy with what it got before, they wait once more: what it cannot
take yet may as well become fewer bundles. But no longer than until they are many: only what the journal has can make
sockets wait for room.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Protocol

from receiver.bundle import Part, pack
from receiver.errors import JournalUnavailable
from receiver.events import Event
from receiver.ingress.shedding import Shedding
from receiver.journal.base import MEDIA, Journal
from receiver.record import Record
from receiver.telemetry.ledger import Intake as Book

#: about that much is in one bundle, and gathered before it is handed over at once
_BUNDLE_BYTES, _MOST_BYTES = 256 << 10, 512 << 10


class HoldsFrames(Protocol):
    """A stream with frames that are not in the journal yet."""

    book: Book
    #: set where they cannot be in it
    failed: asyncio.Event

    @property
    def origin(self) -> tuple[str, str, str]:
        """Vendor, endpoint and channel: what those in one bundle have in common."""

    def give(self, frames: list[bytes], events: list[Event]) -> Part:
        """Let go of the frames and their events, to the end of these lists."""


class MediaGather:
    """``note`` a stream when it gets its first frame, ``add`` each frame. What it holds is in the journal's hands in
    ``gather_s``, or in twice that where the journal is ``busy`` then."""

    def __init__(self, gather_s: float, busy: Callable[[], bool], journal: Journal, shedding: Shedding) -> None:
        self._gather_s = gather_s
        self._busy = busy
        self._journal = journal
        self._shedding = shedding
        self._bytes = 0
        #: whether the journal had room for what comes until the next hand-over
        self._has_room = False
        #: in the order of their first frames
        self._dirty: dict[HoldsFrames, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def has_room(self) -> bool:
        """Whether frames may come. It is asked once for all that are handed over together: these are not many."""
        if not self._has_room:
            self._has_room = self._journal.has_room(MEDIA)
        return self._has_room

    def note(self, stream: HoldsFrames) -> None:
        """``stream`` is about to hold frames."""
        self._dirty[stream] = None
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._gather_s, self._due)

    def add(self, size: int) -> None:
        """One more frame is held, of so many bytes."""
        self._bytes += size
        if self._bytes >= _MOST_BYTES:
            self.flush()

    def seal(self, stream: HoldsFrames) -> None:
        """Hand over what this one holds, before anything else of it."""
        del self._dirty[stream]
        self._put([stream])

    def flush(self) -> None:
        """Hand over what all of them hold."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        dirty, self._dirty, self._bytes, self._has_room = self._dirty, {}, 0, False
        alike: dict[tuple[str, str, str], list[HoldsFrames]] = {}
        for stream in dirty:
            alike.setdefault(stream.origin, []).append(stream)
        for streams in alike.values():
            self._put(streams)

    def _put(self, streams: list[HoldsFrames]) -> None:
        """Hand over what these hold, which have one origin."""
        begin = size = 0
        parts: list[Part] = []
        frames: list[bytes] = []
        events: list[Event] = []
        for end, stream in enumerate(streams, 1):
            part = stream.give(frames, events)
            parts.append(part)
            size += sum(part.lengths)
            if size >= _BUNDLE_BYTES or end == len(streams):
                self._put_bundle(streams[begin:end], parts, frames, events)
                parts, frames, events = [], [], []
                begin, size = end, 0

    def _put_bundle(
        self, streams: list[HoldsFrames], parts: list[Part], frames: list[bytes], events: list[Event]
    ) -> None:
        vendor, endpoint, channel = streams[0].origin
        record = Record(
            vendor=vendor, endpoint=endpoint, kind="bundle", channel=channel, payload=pack(parts, frames),
            received_ns=parts[0].arrivals_ns[0], events=events,
        )  # fmt: skip
        self._journal.put(record, partial(self._ended, streams, len(frames), len(events)), MEDIA)

    def _ended(self, streams: list[HoldsFrames], frames: int, events: int, problem: JournalUnavailable | None) -> None:
        """What became of a bundle; if it is not on disk the sockets must go: their peers will not send it again."""
        book = streams[0].book
        if problem is None:
            book.journalled += frames
            book.events += events
            return
        self._shedding.failed(problem, "media", frames)
        book.failed += frames
        for stream in streams:
            stream.failed.set()

    def _due(self) -> None:
        if self._busy():
            self._timer = asyncio.get_running_loop().call_later(self._gather_s, self.flush)
        else:
            self.flush()
