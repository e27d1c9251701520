"""WebSocket frames as a client sends them (RFC 6455, 5.2), byte by byte: for what no library does in that way."""

import struct


def client_frame(head: int, payload: bytes) -> bytes:
    """``head``: 0x80 | opcode. At most 65,535 bytes. The mask is zeros: it costs nothing here, and what is inside stays
    to be seen."""
    if len(payload) < 126:
        return struct.pack("!BB4x", head, 0x80 | len(payload)) + payload
    return struct.pack("!BBH4x", head, 0xFE, len(payload)) + payload
