"""What RealtimeKit's bodies and messages share: numbers that may be texts, times of two shapes.

Times are ``2026-06-03T10:00:00.000Z`` or ``2023-01-25 04:51:35.903816Z`` (RealtimeKit and Dyte webhook pages); both are
read by ``receiver.events.parse_time``.
"""

import re

from receiver.errors import Malformed
from receiver.events import format_time, parse_time
from receiver.vendors.wire import not_blank

Number = int | float | str
_NUMBER = re.compile(r"[0-9]{1,15}(\.[0-9]{1,15})?")
#: beyond, nothing that is counted here can be
_MOST = 1e15


def number(value: Number | None, at: str) -> float | int | None:
    """What ``value`` at the path ``at`` counts, also where it is written as a text; ``None`` where it counts nothing.

    Raises ``Malformed`` on a text that is no plain number.
    """
    if isinstance(value, str):
        text = value.strip()
        if not text:
            return None
        if not _NUMBER.fullmatch(text):
            raise Malformed("expected a number", at)
        value = float(text) if "." in text else int(text)
    return value if value is not None and 0 <= value <= _MOST else None


def moment(text: str | None) -> str | None:
    """A time as events write it, RFC 3339 in UTC; as it was told where it cannot be read."""
    if text is None or not_blank(text) is None:
        return None
    time_ns = parse_time(text)
    return text if time_ns is None else format_time(time_ns)


def seconds_between(begin: str | None, end: str | None) -> float | None:
    """Seconds from one time to another; ``None`` where one is missing or unreadable, or they go backwards."""
    begin_ns, end_ns = parse_time(begin or ""), parse_time(end or "")
    if begin_ns is None or end_ns is None or end_ns < begin_ns:
        return None
    return (end_ns - begin_ns) / 1e9
