"""The books: what came in, what became of it, what each sink did. Plain integers, so that counting costs nothing.

They balance: received = journalled + duplicates + refused + quarantined + failed (deliveries and socket messages), and
for each sink positions = delivered + filtered + dead + expired + undecodable + pending.
"""

import msgspec

#: a sink's call that takes longer is told
_LONG_S = 10.0


class Intake(msgspec.Struct):
    """Deliveries and socket messages of one endpoint since start."""

    received: int = 0
    journalled: int = 0
    duplicates: int = 0
    refused: int = 0
    quarantined: int = 0
    #: told to come again: the journal could not take them (HTTP 503, close code 1013)
    failed: int = 0
    #: events that the journalled ones mean
    events: int = 0
    bytes: int = 0
    sockets_open: int = 0
    sockets_total: int = 0

    @property
    def balanced(self) -> bool:
        """Whether each thing received is accounted for."""
        return self.received == self.journalled + self.duplicates + self.refused + self.quarantined + self.failed


class SinkBook(msgspec.Struct):
    """Sequence numbers behind a sink since start. ``backlog``: those that waited for it at start."""

    delivered: int = 0
    filtered: int = 0
    dead: int = 0
    #: trimmed by retention before the sink took them
    expired: int = 0
    #: in the journal, but no decoder takes them any more
    undecodable: int = 0
    backlog: int = 0
    #: events that were written on somebody's order (retry, replay), beside the balance
    repeated: int = 0
    #: attempts that failed: since start, and since the last one that went well
    retries: int = 0
    failures: int = 0
    batches: int = 0
    connected: bool = False
    #: why the last attempt failed; empty while all is well
    error: str = ""
    #: arrival of the newest event that the far side has, ns since the epoch
    delivered_ns: int = 0
    #: what the sink is doing now (``open``, ``write`` or ``close``; empty: nothing) and since when, monotonic seconds
    doing: str = ""
    doing_since_s: float = 0.0

    def busy_s(self, now_s: float) -> float:
        """How long the call that is under way has taken so far; 0 where there is none."""
        return max(0.0, now_s - self.doing_since_s) if self.doing else 0.0

    def long_busy(self, now_s: float) -> str:
        """What is told of a call that takes long; empty where none does."""
        busy_s = self.busy_s(now_s)
        return f"{self.doing} under way for {busy_s:.0f} s" if busy_s >= _LONG_S else ""

    @property
    def done(self) -> int:
        """Sequence numbers that this sink is finished with."""
        return self.delivered + self.filtered + self.dead + self.expired + self.undecodable


class Ledger:
    """All books of a server."""

    def __init__(self) -> None:
        self.intake: dict[str, Intake] = {}
        self.sinks: dict[str, SinkBook] = {}
        #: of what failed: for want of disk space, by kind (``receiver.ingress.shedding``)
        self.shed: dict[str, int] = {"media": 0, "transcript": 0, "callback": 0}

    def endpoint(self, vendor: str, name: str) -> Intake:
        """The book of an endpoint, opened at first use."""
        return self.intake.setdefault(f"{vendor}/{name}", Intake())

    def sink(self, name: str) -> SinkBook:
        """The book of a sink, opened at first use."""
        return self.sinks.setdefault(name, SinkBook())
