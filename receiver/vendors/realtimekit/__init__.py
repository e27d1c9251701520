"""Cloudflare RealtimeKit, formerly Dyte: webhooks by HTTP; tracks that its SFU sends, and the agent's socket, by
WebSocket. The vendor dials for tracks, the receiver dials the agent's socket.

``verify`` checks a signature, ``webhook`` and ``recording`` read bodies, ``stream`` is a socket's session, ``calling``
tells how the agent's socket is dialled, ``replies`` reads answers of the REST API, ``artefacts`` the files that links
lead to. Pure: no asyncio, socket, clock or file.
"""

from collections.abc import Mapping

from receiver.vendors.base import no_ping
from receiver.vendors.realtimekit import agent, webhook
from receiver.vendors.realtimekit.agent import connection_get, ping
from receiver.vendors.realtimekit.replies import decode_reply
from receiver.vendors.realtimekit.stream import session
from receiver.vendors.realtimekit.verify import verify
from receiver.vendors.realtimekit.webhook import decode

NAME = "realtimekit"
PING_BYTES, is_ping = 0, no_ping

#: vendor event name -> event type. ``recording.statusUpdate`` is ``artifact.ready`` or ``artifact.failed`` at the end.
EVENT_TYPES: Mapping[str, str] = {**webhook.NAMES, **agent.NAMES}

# ``sign`` stays in its module: it needs the vendor's private key, which no installation has.
__all__ = [
    "EVENT_TYPES", "NAME", "PING_BYTES", "connection_get", "decode", "decode_reply", "is_ping", "ping", "session",
    "verify",
]  # fmt: skip
