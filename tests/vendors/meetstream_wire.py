"""What the MeetStream tests share: frames built by hand from the fact sheet, records, and a way to play messages."""

import json
import struct
from collections.abc import Iterable
from typing import Any

from hypothesis import HealthCheck, settings

from receiver.events import Event
from receiver.record import Channel, Decoded, Record
from receiver.vendors import meetstream
from receiver.vendors.meetstream.stream import MeetStreamSession
from tests.vendors.samples import NOW_NS
from tests.vendors.samples import SAMPLES as ALL_SAMPLES

SAMPLES = ALL_SAMPLES / "meetstream"
BOT = "0b3c1f5e-7c41-4a0e-9a55-2f1d8f6b7a10"
READY = json.dumps({"type": "ready", "bot_id": BOT, "message": "ready"})
#: for property tests: a busy machine is no failure
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def frame(speaker_id: bytes = b"spk_1", name: bytes = b"Ada Lovelace", pcm: bytes = b"\x01\x00\x02\x00") -> bytes:
    """One audio frame: kind, id with its length, name with its length, samples."""
    return struct.pack("<BH", 1, len(speaker_id)) + speaker_id + struct.pack("<H", len(name)) + name + pcm


def body_record(body: bytes | dict[str, Any], *, subject: str = "", repeat: int = 0) -> Record:
    """The record of one HTTP body."""
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Record(
        vendor="meetstream", endpoint="default", kind="body", payload=payload, received_ns=NOW_NS, subject=subject,
        repeat=repeat,
    )  # fmt: skip


def decode(body: bytes | dict[str, Any], *, subject: str = "", repeat: int = 0) -> Decoded:
    """What one HTTP body means."""
    return meetstream.decode(body_record(body, subject=subject, repeat=repeat))


def socket(
    channel: Channel | str = "", *, subject: str = "", state: bytes = b"", connection: str = "c1"
) -> MeetStreamSession:
    """A session as the ingress opens it, or restores it from ``state``."""
    return meetstream.session(
        Record(
            vendor="meetstream", endpoint="default", kind="opened", payload=b"", received_ns=NOW_NS, channel=channel,
            subject=subject, state=state, connection=connection,
        )
    )  # fmt: skip


def play(session: MeetStreamSession, messages: Iterable[bytes | str], now_ns: int = NOW_NS) -> list[Event]:
    """The events of messages that arrive all at once."""
    return [event for message in messages for event in session.receive(message, now_ns).events]
