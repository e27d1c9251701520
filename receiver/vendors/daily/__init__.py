"""Daily (daily.co): webhooks of a domain, pinless dial-in calls, and live transcription that a bridge forwards, by HTTP
or as text on a WebSocket. Daily itself opens no socket.

``verify`` checks a signature, ``ping`` knows the body that tries an address, ``body`` tells bodies apart, ``replies``
decodes what the REST API answers.
Pure: no asyncio, socket, clock or file.
"""

from collections.abc import Mapping

from receiver.record import Record
from receiver.vendors.base import Session
from receiver.vendors.daily.body import PINLESS, WEBHOOKS, decode
from receiver.vendors.daily.ping import PING_BYTES, is_ping
from receiver.vendors.daily.replies import decode_reply
from receiver.vendors.daily.transcription import NAME as _LIVE_TEXT
from receiver.vendors.daily.verify import sign, verify
from receiver.vendors.texts import TextSession

NAME = "daily"

#: vendor event name -> event type. A batch job whose status is ``error`` has failed, whatever its name; one whose
#: output or preset the contract has no kind for is ``vendor.event``.
EVENT_TYPES: Mapping[str, str] = {
    **{name: type_ for name, (type_, _) in WEBHOOKS.items()},
    PINLESS: "vendor.event",
    _LIVE_TEXT: "transcript.final",
}


def session(record: Record) -> Session:
    """A session with the endpoint, channel and subject of ``record``: a bridge sends as text what it could POST."""
    return TextSession(record, decode)


__all__ = ["EVENT_TYPES", "NAME", "PING_BYTES", "decode", "decode_reply", "is_ping", "session", "sign", "verify"]
