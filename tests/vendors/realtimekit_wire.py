"""What the RealtimeKit tests share: packets built by hand from the fact sheet, records, and a way to play messages."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from hypothesis import HealthCheck, settings

from receiver.events import Event
from receiver.record import Decoded, Record
from receiver.vendors import realtimekit
from receiver.vendors.realtimekit.stream import RealtimeKitSession
from tests.vendors.samples import NOW_NS

MS = 1_000_000
MEETING = "6f1d9c34-0b7e-4b43-9d55-3f0a8b1c2d4e"
SESSION = "b8c5a0d2-91f3-4e6a-8c47-5d2e1f0a9b3c"
UUID = "7d0e6a52-0000-4000-8000-0000000000aa"
WEBHOOK = "0f4c2b9e-5d1a-4c0b-9a77-6c1e2f3a4b5c"
#: for property tests: a busy machine is no failure
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def varint(value: int) -> bytes:
    """LEB128: seven bits a byte, the lowest first, the highest bit set on all but the last."""
    digits = []
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])


def packet(payload: bytes = b"", sequence: int = 0, timestamp: int = 0) -> bytes:
    """One message of the adapter, as proto3 writes it: what is zero or empty is left out."""
    message = b""
    if sequence:
        message += b"\x08" + varint(sequence)
    if timestamp:
        message += b"\x10" + varint(timestamp)
    if payload:
        message += b"\x2a" + varint(len(payload)) + payload
    return message


def pcm(frames: int, value: int = 1) -> bytes:
    """So many frames of two samples each."""
    return value.to_bytes(2, "little") * (2 * frames)


def body_record(
    body: bytes | dict[str, Any], headers: Mapping[str, str] | None = None, *, subject: str = "", repeat: int = 0
) -> Record:
    """The record of one HTTP body."""
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Record(
        vendor="realtimekit", endpoint="default", kind="body", payload=payload, received_ns=NOW_NS, subject=subject,
        headers=tuple((headers or {}).items()), repeat=repeat,
    )  # fmt: skip


def decode(
    body: bytes | dict[str, Any], headers: Mapping[str, str] | None = None, *, subject: str = "", repeat: int = 0
) -> Decoded:
    """What one HTTP body means."""
    return realtimekit.decode(body_record(body, headers, subject=subject, repeat=repeat))


def socket(
    channel: str = "", *, subject: str = "", state: bytes = b"", connection: str = "c1", repeat: int = 0
) -> RealtimeKitSession:
    """A session as the ingress opens it, or restores it from ``state``."""
    return realtimekit.session(
        Record(
            vendor="realtimekit", endpoint="default", kind="opened", payload=b"", received_ns=NOW_NS, channel=channel,
            subject=subject, state=state, connection=connection, repeat=repeat,
        )
    )  # fmt: skip


def play(session: RealtimeKitSession, messages: Iterable[bytes | str], now_ns: int = NOW_NS) -> list[Event]:
    """The events of messages that arrive all at once."""
    return [event for message in messages for event in session.receive(message, now_ns).events]
