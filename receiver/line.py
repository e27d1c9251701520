"""A socket between two processes of ours: length u32 LE, then msgpack. Knows no message."""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

M = TypeVar("M", bound=msgspec.Struct)
_LENGTH = struct.Struct("<I")
_encode = msgspec.msgpack.Encoder().encode


class Line(Generic[M]):
    """One end of it. ``M``: what is heard there."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, decode: Callable[[bytes], M]
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._decode = decode

    @classmethod
    async def over(cls, end: socket.socket, decode: Callable[[bytes], M]) -> "Line[M]":
        """Speak over ``end``, which is closed with the line."""
        end.setblocking(False)
        return cls(*await asyncio.open_unix_connection(sock=end), decode)

    def say(self, message: msgspec.Struct) -> None:
        """Send, without waiting; whoever is gone does not hear it."""
        if self._writer.is_closing():
            return
        packed = _encode(message)
        self._writer.write(_LENGTH.pack(len(packed)) + packed)

    async def hear(self) -> M | None:
        """The next message; ``None`` when the other end is gone."""
        try:
            (length,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
            return self._decode(await self._reader.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

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
