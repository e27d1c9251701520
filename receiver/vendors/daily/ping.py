"""The body with which Daily tries an address when a webhook or a pinless dial-in is set up (docs.daily.co, 2026).

Anything but a prompt 200 makes the set-up fail. It comes before the vendor's secret can be known.
"""

from receiver.errors import Malformed
from receiver.vendors.wire import read_object

_PINGS = ({"test": "test"}, {"Test": "test"})
#: White space inside is allowed, but not without end.
PING_BYTES = 64


def is_ping(body: bytes) -> bool:
    """Whether ``body`` is ``{"test":"test"}`` or ``{"Test":"test"}`` and nothing else; never raises.

    It means nothing: answer 200, write nothing, also where no signature is shown or it does not fit.
    """
    if len(body) > PING_BYTES:
        return False
    try:
        return read_object(body) in _PINGS
    except Malformed:
        return False
