"""What a simulation sent and what came back: the counts that a balance or a test compares with. No I/O.

Garbage that was injected on purpose is counted apart from the meetings' own messages, so that each sum can be checked
by itself.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

#: ``malformed``: a receiver puts it into quarantine. ``unknown``: well-formed, a receiver passes it on as it is.
Nature = Literal["malformed", "unknown"]
FRAME_BYTES = 1920
PCM_BYTES_PER_S = 96_000


@dataclass(slots=True, kw_only=True)
class Counts:
    """Counts of the meetings' own messages; repeats are in ``posts_*`` as well, garbage is not."""

    posts_sent: int = 0
    posts_accepted: int = 0  # answered 2xx
    posts_refused: int = 0  # answered 3xx or 4xx
    posts_failed: int = 0  # answered 5xx, or not at all
    duplicates_sent: int = 0  # among posts_sent
    reordered: int = 0  # out of their natural order, POSTs and transcript messages
    frames_sent: int = 0  # audio, 20 ms each
    frames_lost: int = 0  # never sent: no connection at that moment
    text_messages_sent: int = 0  # on all sockets
    text_messages_lost: int = 0
    video_pieces_sent: int = 0
    video_pieces_lost: int = 0
    pings_sent: int = 0  # latency pings of the video channel
    pongs_received: int = 0
    pongs_wrong: int = 0  # not an echo of a ping that was sent
    sockets_opened: int = 0
    sockets_cut: int = 0  # on purpose, without a close frame
    sockets_lost: int = 0  # by the other side
    sockets_unreachable: int = 0  # failed attempts to connect
    sockets_refused: int = 0  # answered 4xx: the bot gives this channel up
    garbage_accepted: int = 0  # POSTs only
    garbage_refused: int = 0
    garbage_failed: int = 0

    @property
    def audio_s(self) -> float:
        """Seconds of sound that were sent."""
        return self.frames_sent * FRAME_BYTES / PCM_BYTES_PER_S


@dataclass(frozen=True, slots=True)
class Delivery:
    """One POST that was answered 2xx. Repeats of the same bytes are equal."""

    bot_id: str
    name: str
    digest: str  # SHA-256 of the body, hex
    nature: Nature | None = None  # of garbage


@dataclass(frozen=True, slots=True)
class Turn:
    """One committed line: ``text`` as a person writes it, ``raw_text`` as the transcription service commits it."""

    speaker: str
    text: str
    raw_text: str
    at_s: float  # on the meeting's clock


@dataclass(slots=True, kw_only=True)
class MeetingTally(Counts):
    """One bot's part. ``commands`` are the receiver's messages on the control socket, oldest first."""

    bot_id: str
    transport: Literal["webhook", "websocket"]
    whole: "Tally"
    #: seconds from the first audio frame that was sent to the end of the last, lost ones included
    audio_span_s: float = 0.0
    turns: list[Turn] = field(default_factory=list)
    commands: list[dict[str, Any]] = field(default_factory=list)

    def add(self, **increments: int) -> None:
        """Add to counts by name, here and in the whole."""
        for counts in (self, self.whole):
            for name, increment in increments.items():
                setattr(counts, name, getattr(counts, name) + increment)


@dataclass(slots=True, kw_only=True)
class Tally(Counts):
    """All meetings together."""

    meetings: list[MeetingTally] = field(default_factory=list)
    accepted: list[Delivery] = field(default_factory=list)
    #: messages injected on purpose, by kind (``post.cut_short``, ``audio.unknown_tag``, …), POSTs and sockets
    garbage: Counter[str] = field(default_factory=Counter)
    natures: dict[str, Nature] = field(default_factory=dict)

    @property
    def garbage_sent(self) -> int:
        """All injected messages."""
        return sum(self.garbage.values())

    @property
    def malformed_sent(self) -> int:
        """Injected messages that a receiver should put into quarantine."""
        return self._of_nature("malformed")

    @property
    def unknown_sent(self) -> int:
        """Injected messages that are well-formed but mean nothing that is documented."""
        return self._of_nature("unknown")

    @property
    def distinct_accepted(self) -> int:
        """How many of the meetings' own deliveries a receiver should hold: each that got a 2xx, repeats merged."""
        return len({delivery for delivery in self.accepted if delivery.nature is None})

    def expected(self, natures: Iterable[Nature | None] = (None, "unknown")) -> set[Delivery]:
        """The distinct deliveries that got a 2xx and are of one of ``natures``: None = the meetings' own."""
        wanted = set(natures)
        return {delivery for delivery in self.accepted if delivery.nature in wanted}

    @property
    def ok(self) -> bool:
        """Whether each POST got a 2xx and no socket was refused; malformed garbage may be answered 4xx."""
        own = self.posts_accepted == self.posts_sent
        posts = {kind: count for kind, count in self.garbage.items() if kind.startswith("post.")}
        malformed = sum(count for kind, count in posts.items() if self.natures[kind] == "malformed")
        return own and not self.sockets_refused and not self.garbage_failed and self.garbage_refused <= malformed

    def _of_nature(self, nature: Nature) -> int:
        return sum(count for kind, count in self.garbage.items() if self.natures[kind] == nature)
