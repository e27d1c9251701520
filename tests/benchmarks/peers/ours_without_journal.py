"""Our own server with its journal switched off: what it takes is kept nowhere. Only to show what safety costs.

Takes the arguments of ``receiver``.
"""

import asyncio

from receiver import cli
from receiver.journal.base import EVENTS, Ended
from receiver.journal.sqlite import SqliteJournal
from receiver.record import Record


def _forget(journal: SqliteJournal, record: Record, ended: Ended, _lane: str = EVENTS) -> None:
    """Everything is safe at once, and nothing is kept."""
    record.seq = journal._last + 1
    journal._last += record.count
    asyncio.get_running_loop().call_soon(ended, None)


if __name__ == "__main__":
    SqliteJournal.put = _forget  # type: ignore[method-assign,assignment]
    raise SystemExit(cli.main())
