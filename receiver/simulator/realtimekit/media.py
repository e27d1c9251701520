"""What the Realtime SFU's adapters send: protobuf packets with sound or a picture. Pure.

Source: Realtime SFU, WebSocket adapter (2026); protobuf, encoding; ITU-T T.81.
"""

import struct
from collections.abc import Iterator

import numpy as np

RATE_HZ = 48_000
FRAME_S = 0.02
_FRAME_BYTES = round(RATE_HZ * FRAME_S) * 2
_SEQUENCE, _TIMESTAMP, _PAYLOAD = 0x08, 0x10, 0x2A
_UINT32 = 1 << 32
#: numbers begin so near to their end that they begin anew within seconds
FIRST_NUMBER = _UINT32 - 100
_FIRST_TIMESTAMP = _UINT32 - 48_000
_BLOCK = 8


def packet(sequence: int, timestamp: int, payload: bytes) -> bytes:
    """One message. proto3 leaves out what is zero or empty."""
    parts = [bytes((tag,)) + _varint(value) for tag, value in ((_SEQUENCE, sequence), (_TIMESTAMP, timestamp)) if value]
    if payload:
        parts.append(bytes((_PAYLOAD,)) + _varint(len(payload)) + payload)
    return b"".join(parts)


def audio_packets(pcm: bytes) -> Iterator[tuple[float, bytes]]:
    """``pcm`` (48 kHz, mono) as messages of 20 ms of stereo, each with the second at which it is sent."""
    for index in range(len(pcm) // _FRAME_BYTES):
        mono = np.frombuffer(pcm, "<i2", _FRAME_BYTES // 2, index * _FRAME_BYTES)
        sequence = (FIRST_NUMBER + index) % _UINT32
        timestamp = (_FIRST_TIMESTAMP + index * _FRAME_BYTES // 2) % _UINT32
        yield index * FRAME_S, packet(sequence, timestamp, np.repeat(mono, 2).tobytes())


def video_packets(seconds: float, *, width: int = 64, height: int = 48) -> Iterator[tuple[float, bytes]]:
    """A picture each second, neither numbered nor timed; it gets lighter."""
    for second in range(max(1, int(seconds))):
        yield float(second), packet(0, 0, jpeg(width, height, second * 16 % 256))


def jpeg(width: int, height: int, shade: int) -> bytes:
    """A grey picture of one ``shade`` (0 to 255), baseline, one component: each block is its mean and nothing else."""
    tables = b"\xff\xdb" + struct.pack(">HB", 67, 0) + b"\x01" * 64
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 11, 8, height, width, 1) + b"\x01\x11\x00"
    # twelve sizes of differences, four bits each; one code for "nothing but the mean", one bit
    mean = b"\xff\xc4" + struct.pack(">HB", 31, 0x00) + bytes([0, 0, 0, 12, *[0] * 12]) + bytes(range(12))
    rest = b"\xff\xc4" + struct.pack(">HB", 20, 0x10) + bytes([1, *[0] * 15]) + b"\x00"
    scan = b"\xff\xda" + struct.pack(">HB", 8, 1) + b"\x01\x00\x00\x3f\x00"
    blocks = -(-width // _BLOCK) * -(-height // _BLOCK)
    level = (shade - 128) * _BLOCK
    bits = _difference(level) + "0" + (_difference(0) + "0") * (blocks - 1)
    bits += "1" * (-len(bits) % 8)
    data = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\x00")
    return b"\xff\xd8" + tables + frame + mean + rest + scan + data + b"\xff\xd9"


def _difference(value: int) -> str:
    """The size of a difference in four bits, then its bits; a negative one is written as its complement."""
    size = abs(value).bit_length()
    shown = value if value > 0 else value + (1 << size) - 1
    return f"{size:04b}" + (f"{shown:0{size}b}" if size else "")


def _varint(value: int) -> bytes:
    digits = bytearray()
    while value >= 0x80:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    digits.append(value)
    return bytes(digits)
