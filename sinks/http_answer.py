"""What the answer to a POST means for the events in it. Pure: status, headers and the time in, a verdict out.

Decides between "delivered", "refused for good because of its content", and "not now". Whatever concerns the endpoint,
the way to it or the credential is "not now": an operator can mend it and nothing must be lost meanwhile.
"""

from email.utils import parsedate_to_datetime

from receiver.errors import ReceiverError
from sinks.base import SinkOverloaded

#: longest pause in seconds that an endpoint can ask for
MAX_PAUSE_S = 3600.0
#: 4xx that speak of the endpoint, the credential or the moment, not of the content
_NOT_NOW = frozenset({401, 402, 403, 404, 405, 407, 408, 410, 421, 423, 425, 426, 429})


class NotAccepted(ReceiverError):
    """The far side answered, and not with yes; the same request may succeed later."""

    retryable = True


def is_success(status: int) -> bool:
    """The far side has it."""
    return 200 <= status < 300


def is_refusal(status: int) -> bool:
    """The far side will never take this content."""
    return 400 <= status < 500 and status not in _NOT_NOW


def not_now(place: str, status: int, retry_after: str | None, now_s: float) -> ReceiverError:
    """The error for any other answer of ``place``: :class:`SinkOverloaded` where it tells when to come back."""
    text = f"{place} answered {status}"
    if 300 <= status < 400:
        text += "; redirects are not followed, the URL in the config must be the final one"
    pause_s = parse_retry_after(retry_after, now_s)
    return NotAccepted(text) if pause_s is None else SinkOverloaded(text, pause_s)


def parse_retry_after(value: str | None, now_s: float) -> float | None:
    """``Retry-After`` as seconds from now, 0 to 3600: a number of seconds or an HTTP date. ``None``: nothing told."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return MAX_PAUSE_S if len(text) > 9 else min(float(text), MAX_PAUSE_S)
    try:
        moment_s = parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, moment_s - now_s), MAX_PAUSE_S)
