"""Water AI (WaterrAI): a callback of which little is known, and transcripts to be fetched.

``callback`` decodes the push, ``transcripts`` the replies of the transcript routes; ``hints`` finds names, ids and
times in a body that no document shows. Pure: no asyncio, socket, clock or file.
"""

from receiver.vendors.waterai.callback import EVENT_TYPES, decode, session, verify

NAME = "waterai"

__all__ = ["EVENT_TYPES", "NAME", "decode", "session", "verify"]
