"""The connections of a meeting, and what is known to be lost on them. A fold, pure.

``stream.opened`` and ``stream.closed`` come from the receiver itself, so each opening has its closing, also after a
crash. What a recorder missed inside a stream stands in the audio chunks: only who folds these knows of it.
"""

import msgspec

from receiver.events import AudioChunk, Event, StreamChannel, StreamClosed, StreamOpened
from receiver.meetings.bounds import MOST_STREAMS


class Stream(msgspec.Struct, eq=False, array_like=True):
    """One connection. ``away_ns``: the time without any between the one that it continues and itself."""

    channel: StreamChannel
    connection: str
    opened_ns: int | None = None
    closed_ns: int | None = None
    resumes: str | None = None
    away_ns: int = 0
    closing: StreamClosed | None = None


class Losses(msgspec.Struct, eq=False, array_like=True):
    """What is known to be missing. ``gaps`` and ``gap_ms``: before audio chunks; ``None``: no chunk was folded.

    ``unclean``: streams that broke off; ``away_ns``: time between streams and those that continue them; ``damaged``:
    records that the journal's disk has spoilt; ``undecodable``: those that no decoder takes now.
    """

    gaps: int | None = None
    gap_ms: float | None = None
    unclean: int = 0
    away_ns: int = 0
    damaged: int = 0
    undecodable: int = 0


class Streams(msgspec.Struct, eq=False, array_like=True):
    """Connections in the order of their opening; of the closed ones the oldest go beyond ``bounds.MOST_STREAMS``."""

    known: dict[str, Stream] = {}
    losses: Losses = msgspec.field(default_factory=Losses)
    _open: set[str] = set()

    @property
    def open_count(self) -> int:
        """How many are open now."""
        return len(self._open)

    def has_open(self, channel: StreamChannel) -> bool:
        """Whether one of this channel is open."""
        return any(self.known[connection].channel == channel for connection in self._open)

    def opened(self, event: Event, data: StreamOpened) -> None:
        """Take a ``stream.opened``; one that is told twice is one."""
        stream = self._stream(data)
        if stream.opened_ns is not None:
            return
        stream.opened_ns = event.time_ns
        if stream.closed_ns is None:
            self._open.add(stream.connection)
        before = self.known.get(data.resumes) if data.resumes is not None else None
        stream.resumes = data.resumes
        if before is not None and before.closed_ns is not None:
            stream.away_ns = max(0, event.time_ns - before.closed_ns)
            self.losses.away_ns += stream.away_ns

    def closed(self, event: Event, data: StreamClosed) -> None:
        """Take a ``stream.closed``; one that is told twice is one."""
        stream = self._stream(data)
        if stream.closed_ns is not None:
            return
        stream.closed_ns, stream.closing = event.time_ns, data
        self._open.discard(stream.connection)
        if data.clean is False:
            self.losses.unclean += 1

    def heard(self, data: AudioChunk) -> None:
        """Take an ``audio.chunk``."""
        losses = self.losses
        losses.gaps = (losses.gaps or 0) + bool(data.gap_ms)
        losses.gap_ms = (losses.gap_ms or 0.0) + (data.gap_ms or 0.0)

    def _stream(self, data: StreamOpened | StreamClosed) -> Stream:
        stream = self.known.get(data.connection)
        if stream is None:
            if len(self.known) >= MOST_STREAMS:
                gone = next((name for name in self.known if name not in self._open), next(iter(self.known)))
                del self.known[gone]
                self._open.discard(gone)
            stream = self.known[data.connection] = Stream(data.channel, data.connection)
        return stream
