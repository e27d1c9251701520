"""A WebSocket of a vendor that opens none by itself: a bridge, which sends the bodies of its webhooks as text."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from receiver.errors import Malformed
from receiver.record import Decoded, Record
from receiver.vendors.base import receive_each


class TextSession:
    """See :class:`receiver.vendors.base.Session`. Knows nothing of one message for the next."""

    def __init__(self, record: Record, decode: Callable[[Record], Decoded]) -> None:
        """``decode``: the vendor's own, of one HTTP body."""
        self.subject = record.subject
        self.channel = record.channel
        self.track = ""
        self._record = msgspec.structs.replace(record, kind="body", payload=b"", state=b"", key=b"", events=None)
        self._decode = decode

    def learn(self, message: bytes | str) -> None:
        """No message tells what the next one is about."""

    def snapshot(self) -> bytes:
        """Empty: there is nothing to know."""
        return b""

    def adopt(self, state: bytes) -> None:
        """Nothing to continue."""

    def receive(self, message: bytes | str, now_ns: int) -> Decoded:
        """What the same body would mean by HTTP. Raises ``Malformed``, also for a binary message."""
        if not isinstance(message, str):
            raise Malformed(f"{self._record.vendor} sends no binary messages")
        payload = message.encode("utf-8", "surrogatepass")
        return self._decode(msgspec.structs.replace(self._record, payload=payload, received_ns=now_ns))

    #: none is ever taken
    receive_frames = receive_each

    def replies(self) -> list[bytes | str]:
        """None."""
        return []

    def close_expected(self) -> bool:
        """Nothing says so."""
        return False

    def command(self, name: str, arguments: Mapping[str, Any]) -> list[str]:
        """Raises ``Malformed``: there is nobody to command."""
        raise Malformed(f"{self._record.vendor} takes no commands")
