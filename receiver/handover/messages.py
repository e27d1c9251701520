"""What two processes tell each other: length u32 LE, then msgpack. No logic."""

import asyncio
import socket
import struct

import msgspec

from receiver.record import Record

_LENGTH = struct.Struct("<I")


class Prepared(msgspec.Struct, tag=True):
    """New to old: the config is right, and nothing but the journal is missing."""


class Problem(msgspec.Struct, tag=True):
    """New to old: it will not be, and it ends. ``config``: what is wrong is in the config."""

    text: str
    config: bool = False


class Go(msgspec.Struct, tag=True):
    """Old to new: the journal is yours."""


class Serving(msgspec.Struct, tag=True):
    """New to old: it has the journal and accepts connections."""


class Take(msgspec.Struct, tag=True):
    """Old to new: a delivery that came on one of its connections. ``reason``: it belongs into quarantine."""

    number: int
    vendor: str
    endpoint: str
    payload: bytes
    received_ns: int
    subject: str
    headers: tuple[tuple[str, str], ...]
    reason: str = ""

    def record(self) -> Record:
        """As it came in."""
        return Record(
            vendor=self.vendor,
            endpoint=self.endpoint,
            kind="body",
            channel="http",
            payload=self.payload,
            received_ns=self.received_ns,
            subject=self.subject,
            headers=self.headers,
        )


class Answer(msgspec.Struct, tag=True):
    """New to old: what became of a ``Take``: an outcome, or why it is to come again."""

    number: int
    fate: str = ""
    reason: str = ""
    failed: str = ""


Message = Prepared | Problem | Go | Serving | Take | Answer
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Message).decode


class Line:
    """One end of the socket between the two."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, end: socket.socket) -> "Line":
        """Speak over ``end``, which is closed with the line."""
        end.setblocking(False)
        return cls(*await asyncio.open_unix_connection(sock=end))

    def say(self, message: Message) -> None:
        """Send, without waiting; whoever is gone does not hear it."""
        if self._writer.is_closing():
            return
        packed = _encode(message)
        self._writer.write(_LENGTH.pack(len(packed)) + packed)

    async def hear(self) -> Message | None:
        """The next message; ``None`` when the other end is gone."""
        try:
            (length,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
            message: Message = _decode(await self._reader.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        return message

    async def flush(self) -> None:
        """Wait until what was said has left this process."""
        try:
            await self._writer.drain()
        except ConnectionError:
            return

    def deafen(self) -> None:
        """Hear no more; what is said still goes out."""
        self._reader.feed_eof()

    def close(self) -> None:
        """Hang up, after what was said."""
        self._writer.close()
