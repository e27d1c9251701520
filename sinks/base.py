"""What a sink is: three coroutines, and the batch that it is given.

A sink may import ``receiver.events``, ``receiver.errors`` and its client library, nothing else of ours. It never
retries, sleeps, queues or logs payloads: the engine in front of it does. Success means that the far side said yes.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

import msgspec

from receiver.errors import ReceiverError
from receiver.events import Event, batch_json


class SinkNotConnected(ReceiverError):
    """The far side is gone: the engine calls ``close`` and ``open`` again, then repeats the batch."""

    retryable = True


class SinkRejected(ReceiverError):
    """The far side refuses for good. ``events`` are the refused ones (empty: the whole batch); they become dead letters
    and the rest of the batch is taken as delivered."""

    def __init__(self, message: str, events: Sequence[Event] = ()) -> None:
        super().__init__(message)
        self.events = tuple(events)


class SinkOverloaded(ReceiverError):
    """The far side asks for a pause of ``retry_after_s`` seconds before the same batch may come again."""

    retryable = True

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class SinkConfig(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Keys that every sink takes; a sink adds its own in a subclass. Unknown keys are refused at start."""

    #: the sink's type in the registry, or an entry point of group ``meeting_receiver.sinks``
    type: str
    #: event types to pass on, with ``*`` as wildcard: ``["transcript.*", "bot.status"]``
    types: list[str] = msgspec.field(default_factory=lambda: ["*"])
    #: subjects (bot or meeting ids) to pass on, with ``*`` as wildcard
    subjects: list[str] = msgspec.field(default_factory=lambda: ["*"])
    #: pass the vendor's own body beside ``data``, byte for byte
    raw: bool = False
    #: pass signed URLs, tokens and stream keys
    secrets: bool = False
    #: most events that ``write`` is given at once
    batch_events: int = 500


class Batch(msgspec.Struct, frozen=True):
    """Events in journal order, already filtered, with the sink's wishes for their form.

    ``late``: dead letters that are tried again. A sink that skips events behind those that it has must not skip these
    in silence, for they would be gone: it refuses them (:class:`SinkRejected`).
    """

    events: Sequence[Event]
    raw: bool = False
    secrets: bool = False
    late: bool = False

    def json(self, event: Event) -> bytes:
        """One event as a CloudEvents JSON object, no line breaks."""
        return event.json(secrets=self.secrets, raw=self.raw)

    def json_lines(self) -> bytes:
        """One JSON object a line."""
        return b"".join([self.json(event) + b"\n" for event in self.events])

    def json_bytes(self) -> bytes:
        """A CloudEvents JSON batch."""
        return batch_json(self.events, secrets=self.secrets, raw=self.raw)


class Sink(Protocol):
    """Where events go.

    ``write`` returns only when the far side has the whole batch (or raises: :class:`SinkNotConnected`,
    :class:`SinkRejected`, :class:`SinkOverloaded`; anything else is retried with back-off). One call at a time. After
    a crash the same events may come again, with the same ``id`` and ``sequence``. Cancelled at shutdown only after the
    drain limit.

    A class that says ``portable = True`` agrees to be somewhere else for a while: when it is far behind, its object is
    closed, one in another process is made of the same config, opened, written to and closed, and then this one is
    opened again. So ``close`` leaves nothing behind in memory that ``open`` relies on.
    """

    #: the config type; ``Config.type`` is the name in the registry
    Config: ClassVar[type[SinkConfig]]

    def __init__(self, name: str, config: Any, data_dir: Path) -> None:
        """``config`` is a ``Config``; relative paths in it are below ``data_dir``. Touches nothing yet."""

    async def open(self) -> None:
        """Connect. Called before the first ``write`` and after :class:`SinkNotConnected`. Also what ``receiver check``
        calls, followed by ``close``, to see whether the far side can be reached."""

    async def write(self, batch: Batch) -> None:
        """Deliver ``batch``."""

    async def close(self) -> None:
        """Flush and let go. May be called without ``open`` and twice."""
