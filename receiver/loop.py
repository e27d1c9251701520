"""The event loop that our processes run on."""

import asyncio
from typing import Any

from receiver.errors import ReceiverError


def run_loop(main: Any) -> int:
    """Run a coroutine on uvloop where it is installed."""
    try:
        import uvloop
    except ImportError:
        factory = None
    else:
        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        try:
            status: int = runner.run(main)
        except BaseExceptionGroup as group:
            first = next(iter(_leaves(group)))
            raise first if isinstance(first, ReceiverError) else group from None
        return status


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
