"""Who is connected, and what a socket that comes back continues. Bounded memory; no I/O."""

import time
from collections import OrderedDict
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from receiver.ingress.stream import Stream

_MOST_ENDED = 10_000
Key = tuple[str, str, str, str, str]


class Ended(msgspec.Struct, frozen=True):
    """A stream's last connection: its name, its session's last snapshot, when it ended (monotonic seconds)."""

    connection: str
    state: bytes
    at_s: float


class StreamBook:
    """Streams by (vendor, endpoint, subject, channel, track): open ones, and those that ended within ``resume_s``."""

    def __init__(self, resume_s: float) -> None:
        self._resume_s = resume_s
        self._open: dict[Key, Stream] = {}
        self._ended: OrderedDict[Key, Ended] = OrderedDict()
        #: in order of arrival
        self._connected: dict[Stream, None] = {}

    def connect(self, stream: "Stream") -> None:
        """A socket was accepted; what it carries may not be known yet."""
        self._connected[stream] = None

    def bind(self, key: Key, stream: "Stream") -> Ended | None:
        """``stream`` is now the live one for ``key``. Returns what it continues: a connection that is still open and
        whose place it takes, or one that ended a while ago."""
        previous = self._open.get(key)
        self._open[key] = stream
        if previous is not None and previous is not stream:
            previous.seal()  # what it holds goes before what continues it
            return Ended(previous.connection, previous.session.snapshot(), time.monotonic())
        ended = self._ended.pop(key, None)
        return ended if ended is not None and time.monotonic() - ended.at_s <= self._resume_s else None

    def ended(self, key: Key) -> Ended | None:
        """The last connection of a stream that nobody has continued yet, however long ago it ended."""
        return self._ended.get(key)

    def remember(self, key: Key, ended: Ended) -> None:
        """A stream whose socket is gone; it may come back."""
        self._ended[key] = ended
        self._ended.move_to_end(key)
        while len(self._ended) > _MOST_ENDED:
            self._ended.popitem(last=False)

    def disconnect(self, stream: "Stream", key: Key | None) -> None:
        """The socket is gone. Nothing is remembered of one whose place was taken meanwhile."""
        self._connected.pop(stream, None)
        if key is not None and self._open.get(key) is stream:
            del self._open[key]
            self.remember(key, Ended(stream.connection, stream.session.snapshot(), time.monotonic()))

    def control_of(self, subject: str) -> "Stream | None":
        """The socket that takes commands for a bot: its control socket, or one that has told nothing else yet. The
        newest counts: one from before may be dead without anybody knowing."""
        candidates = [one for one in reversed(self._connected) if one.session.subject == subject]
        return next(
            (one for wanted in ("control", "") for one in candidates if one.session.channel == wanted),
            None,
        )

    @property
    def controllable(self) -> list[str]:
        """Bots that can be sent a command now."""
        return sorted({one.session.subject for one in self._connected if one.session.channel in ("control", "")} - {""})
