"""Water AI (WaterrAI): a callback of which little is known, and transcripts to be fetched.

``callback`` decodes the push, ``transcripts`` the replies of the transcript routes, ``replies`` makes events of what
the REST API answers. Pure: no asyncio, socket, clock or file.
"""

from receiver.vendors.base import no_ping
from receiver.vendors.waterai.callback import EVENT_TYPES, decode, session, verify
from receiver.vendors.waterai.replies import decode_reply

NAME = "waterai"
PING_BYTES, is_ping = 0, no_ping

__all__ = ["EVENT_TYPES", "NAME", "PING_BYTES", "decode", "decode_reply", "is_ping", "session", "verify"]
