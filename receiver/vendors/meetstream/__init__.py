"""MeetStream AI: callbacks, participant webhooks and live transcripts by HTTP; audio, video, transcript and control by
WebSocket. The vendor is always the client.

``verify`` checks a signature, ``body`` tells HTTP bodies and text messages apart, ``stream`` is a socket's session,
``replies`` reads what the REST API answers. Pure: no asyncio, socket, clock or file.
"""

from collections.abc import Mapping

from receiver.vendors.base import no_ping
from receiver.vendors.meetstream.body import decode
from receiver.vendors.meetstream.callback import ARTIFACTS, DATA_DELETION, STATUSES
from receiver.vendors.meetstream.control import COMMANDS
from receiver.vendors.meetstream.participant import CHANGES
from receiver.vendors.meetstream.replies import decode_reply
from receiver.vendors.meetstream.stream import session
from receiver.vendors.meetstream.verify import sign, verify

NAME = "meetstream"

#: vendor event name -> event type. A ``.processed`` whose status key says ``Failed`` is ``artifact.failed``.
EVENT_TYPES: Mapping[str, str] = {
    **dict.fromkeys(STATUSES, "bot.status"),
    **{name: type_ for name, (_, type_, _) in ARTIFACTS.items()},
    DATA_DELETION: "data.deleted",
    **CHANGES,
    **dict.fromkeys(COMMANDS, "control.message"),
}

PING_BYTES, is_ping = 0, no_ping

__all__ = ["EVENT_TYPES", "NAME", "PING_BYTES", "decode", "decode_reply", "is_ping", "session", "sign", "verify"]
