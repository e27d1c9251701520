"""What is no longer taken while the disk runs full: media first, transcripts next, callbacks last.

The rule is :func:`decide`; :class:`Shedding` remembers what it said, counts and tells. No clock, disk or socket here:
the time and the free bytes come as arguments.
"""

from collections.abc import Collection, Iterable
from typing import Literal, get_args

import msgspec
import structlog

from receiver.errors import DiskFull, Shed
from receiver.events import Event

log = structlog.get_logger()
Kind = Literal["media", "transcript", "callback"]
#: in the order in which they are shed
KINDS: tuple[Kind, ...] = get_args(Kind)
#: what is shed is taken again at so many times its mark, and not before so many seconds have passed without a commit
#: that failed for want of space: it must not flap
_RESUME = 1.25
_HOLD_S = 5.0
_CHANNELS: dict[str, Kind] = {"audio": "media", "video": "media", "transcript": "transcript"}


class Marks(msgspec.Struct, frozen=True):
    """Free disk, bytes, below which a kind is shed. Callbacks have none: they are tried as long as there is any."""

    media: int
    transcript: int
    callback: int = 0


def decide(free_bytes: int, marks: Marks, shed: Collection[Kind], full: Kind | None) -> frozenset[Kind]:
    """Kinds to shed from now on, where ``shed`` are shed already.

    ``full``: the weightiest kind whose commits fail for want of space. It goes, and all that weighs less: a quota or a
    reserve may make a disk full that says it has space.
    """
    failing = KINDS.index(full) if full is not None else -1
    return frozenset(
        kind
        for rank, kind in enumerate(KINDS)
        if rank <= failing or free_bytes < getattr(marks, kind) * (_RESUME if kind in shed else 1)
    )


def kind_of(events: Iterable[Event]) -> Kind:
    """What a delivery is: a transcript where it means nothing else; when in doubt a callback, which is kept longest."""
    kinds = {_CHANNELS.get(event.type.partition(".")[0], "callback") for event in events}
    return kinds.pop() if len(kinds) == 1 else "callback"


def kind_of_channel(channel: str) -> Kind:
    """What a socket carries; a callback where that is not known."""
    return _CHANNELS.get(channel, "callback")


class Shedding:
    """``require`` before something is journalled, ``failed`` when it could not be, ``observe`` now and then."""

    def __init__(self, marks: Marks, counts: dict[str, int]) -> None:
        """``counts``: items shed, by kind; added to."""
        #: shed now. Callbacks are tried all the same: that is how one finds out
        self.kinds: frozenset[Kind] = frozenset()
        self._marks = marks
        self._counts = counts
        self._begun: dict[Kind, tuple[float, int]] = {}
        self._full_s: dict[Kind, float] = {}
        self._free_bytes = 1 << 62
        self._now_s = 0.0

    @property
    def margin_bytes(self) -> int:
        """How much more is free than the mark of media, which go first; 0 where something is shed."""
        return 0 if self.kinds else self._free_bytes - self._marks.media

    def refuses(self, kind: Kind) -> bool:
        """Whether nothing of this kind is taken now."""
        return kind in self.kinds and kind != "callback"

    def require(self, kind: Kind) -> None:
        """Raises ``Shed`` where :meth:`refuses` says so."""
        if self.refuses(kind):
            raise Shed(f"the disk is nearly full: no {kind} is taken now, come back later")

    def failed(self, problem: BaseException | None, kind: Kind, items: int = 1) -> None:
        """``items`` of a kind were not made safe. Counted where that is for want of space; nothing that weighs less is
        taken from then on."""
        if isinstance(problem, DiskFull):
            self._full_s[kind] = self._now_s
            kinds = self.kinds | decide(self._free_bytes, self._marks, self.kinds, kind)
            self._change(kinds, f"no space for a {kind}")
        if isinstance(problem, (DiskFull, Shed)):
            self._counts[kind] += items

    def observe(self, free_bytes: int, full: Collection[Kind], now_s: float) -> None:
        """Decide anew. ``full``: kinds whose commits fail for want of space; ``now_s``: monotonic."""
        self._free_bytes, self._now_s = free_bytes, now_s
        for kind in full:
            self._full_s[kind] = now_s
        failing = [kind for kind in KINDS if now_s - self._full_s.get(kind, -_HOLD_S) < _HOLD_S]
        kinds = decide(free_bytes, self._marks, self.kinds, failing[-1] if failing else None)
        self._change(kinds, f"no space for a {failing[-1]}" if failing else f"{free_bytes} bytes free")

    def status(self) -> str:
        """For people: ``ok``, or what is shed."""
        told = [f"{kind} ({self._counts[kind] - self._begun[kind][1]})" for kind in KINDS if kind in self.kinds]
        return f"{', '.join(told)}: {self._free_bytes} bytes free" if told else "ok"

    def _change(self, kinds: frozenset[Kind], why: str) -> None:
        for kind in KINDS:
            if kind in kinds and kind not in self.kinds:
                self._begun[kind] = self._now_s, self._counts[kind]
                log.error("shedding.begun", kind=kind, reason=why)
            elif kind in self.kinds and kind not in kinds:
                since_s, before = self._begun.pop(kind)
                seconds = round(self._now_s - since_s, 1)
                log.warning("shedding.ended", kind=kind, items=self._counts[kind] - before, seconds=seconds)
        self.kinds = kinds
