"""Meemo (GL Meemo): five webhook events as hints, and what is fetched for them.

``callback`` decodes the push, ``verify`` checks it by a scheme that can be configured, ``replies`` reads what REST
answers and ``fetched`` makes events of it. Pure: no asyncio, socket, clock or file.
"""

from receiver.vendors.base import no_ping
from receiver.vendors.meemo.callback import EVENT_TYPES, decode, decode_with, session
from receiver.vendors.meemo.fetched import decode_reply
from receiver.vendors.meemo.verify import Scheme, sign, sign_with, verify, verify_with

NAME = "meemo"
SCHEME = Scheme
PING_BYTES, is_ping = 0, no_ping

__all__ = [
    "EVENT_TYPES",
    "NAME",
    "PING_BYTES",
    "SCHEME",
    "Scheme",
    "decode",
    "decode_reply",
    "decode_with",
    "is_ping",
    "session",
    "sign",
    "sign_with",
    "verify",
    "verify_with",
]
