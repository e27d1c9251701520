"""Spans of time. The wall clock may be set, back or forward, at any moment; the monotonic clock may not.

What is written down bears the wall clock's time. How long ago something was is asked here.
"""

import time

_START_NS = time.time_ns() - time.monotonic_ns()


def steady_ns(wall_ns: int) -> int:
    """A moment of the past, given by the wall clock, on the monotonic clock. One in the future is now."""
    return time.monotonic_ns() - max(0, time.time_ns() - wall_ns)


def cautious_ns() -> int:
    """The wall clock's now, or less: never further on than this process has really lived. For the deletion of what is
    old: a clock that is set forward makes nothing old."""
    return min(time.time_ns(), _START_NS + time.monotonic_ns())
