"""What a server sends, as the bytes of a connection, past aiohttp's writers. Pure."""

from collections.abc import Iterable
from struct import Struct

#: the first byte of a message in one frame (RFC 6455, 5.2), and what follows by its length
TEXT, BINARY = 0x81, 0x82
_HEAD_7, _HEAD_16, _HEAD_64 = Struct(">BB"), Struct(">BBH"), Struct(">BBQ")


def chunk(data: bytes) -> bytes:
    """One chunk of HTTP/1.1 (RFC 9112, 7.1). Not of nothing: that would be the last one."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def messages(kind: int, contents: Iterable[bytes]) -> bytes:
    """Whole unmasked messages of a WebSocket, all ``TEXT`` or all ``BINARY``."""
    parts: list[bytes] = []
    for content in contents:
        size = len(content)
        if size < 126:
            parts.append(_HEAD_7.pack(kind, size))
        elif size < 1 << 16:
            parts.append(_HEAD_16.pack(kind, 126, size))
        else:
            parts.append(_HEAD_64.pack(kind, 127, size))
        parts.append(content)
    return b"".join(parts)
