"""What a fetcher is given, and what it tells of its work. Types only."""

from collections.abc import Awaitable, Callable
from typing import Literal, Protocol

import msgspec

from receiver.delivery.retry import Backoff
from receiver.fetching.known import Known
from receiver.record import Record


class Book(msgspec.Struct):
    """What an account did since start. ``done``: wishes fulfilled; ``given_up``; ``retries``: calls that came to
    nothing and were repeated; ``running``: calls under way."""

    done: int = 0
    given_up: int = 0
    retries: int = 0
    running: int = 0


Fate = Literal["accepted", "duplicate", "quarantined"]


class Takes(Protocol):
    """Makes a record safe as any delivery is, and tells what became of it. Raises ``JournalUnavailable``."""

    def __call__(self, record: Record) -> Awaitable[Fate]: ...


Knows = Callable[[str, str, int], Known | None]


class Pacing(msgspec.Struct, frozen=True, kw_only=True):
    """How hard a vendor and this machine are driven. ``backoff``: between tries of one thing. ``at_once``: calls of an
    account. ``gather_s``: between reads while more comes in all the time. ``move_s``: the cursor, which costs a look at
    all jobs, moves no more often meanwhile. ``trouble``: while the journal can neither be read nor written."""

    backoff: Backoff = Backoff(first_s=5.0, most_s=300.0)
    at_once: int = 4
    calls_per_s: float = 5.0
    gather_s: float = 0.1
    move_s: float = 0.5
    trouble: Backoff = Backoff(first_s=0.5, most_s=30.0)
