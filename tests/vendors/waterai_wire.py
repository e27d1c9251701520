"""What the Water AI tests share: records, samples, and what fuzzing is made of."""

import json
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from receiver.record import Decoded, Record
from receiver.vendors import waterai
from tests.vendors.samples import NOW_NS

#: for property tests: a busy machine is no failure
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def record(
    body: bytes | dict[str, Any], headers: dict[str, str] | None = None, *, subject: str = "", repeat: int = 0
) -> Record:
    """The record of one HTTP body."""
    return Record(
        vendor="waterai", endpoint="default", kind="body", received_ns=NOW_NS, subject=subject, repeat=repeat,
        payload=body if isinstance(body, bytes) else json.dumps(body).encode(),
        headers=tuple((headers or {}).items()),
    )  # fmt: skip


def decode(
    body: bytes | dict[str, Any], headers: dict[str, str] | None = None, *, subject: str = "", repeat: int = 0
) -> Decoded:
    """What one HTTP body means."""
    return waterai.decode(record(body, headers, subject=subject, repeat=repeat))


NAMES = st.sampled_from(
    ["event", "type", "meeting_id", "id", "data", "payload", "meeting", "timestamp", "time", "ended_at", "created_at",
     "updated_at", "event_ts", "room_url", "room_token", "status"]
)  # fmt: skip
VALUES = st.sampled_from(
    ["meeting.ended", "analysis.completed", "meetingStarted", "meeting_created", "789", "", " ", "1787218500",
     "2026-08-20T09:00:00Z", "0001-01-01T00:00:00+23:00", "9" * 400]
)  # fmt: skip
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4) | VALUES
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=6))
OBJECTS = st.dictionaries(NAMES | st.text(max_size=3), JSON, max_size=8)
#: what a server makes of any bytes in a header
HEADER_TEXTS = st.binary(max_size=12).map(lambda raw: raw.decode("utf-8", "surrogateescape")) | VALUES
HEADERS = st.dictionaries(st.sampled_from(["x-event", "x-waterr-event", "x-other"]), HEADER_TEXTS, max_size=2)
