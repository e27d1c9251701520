"""Our own server with its journal switched off: what it takes is kept nowhere. Only to show what safety costs.

Takes the arguments of ``receiver``.
"""

import asyncio

from receiver import cli
from receiver.journal.sqlite import SqliteJournal
from receiver.record import Record


def _forget(journal: SqliteJournal, record: Record, lane: str) -> "asyncio.Future[None]":
    """Everything is safe at once, and nothing is kept."""
    record.seq = journal._last + 1
    journal._last += record.count
    safe: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    safe.set_result(None)
    return safe


if __name__ == "__main__":
    SqliteJournal.submit = _forget  # type: ignore[method-assign,assignment]
    raise SystemExit(cli.main())
