"""Targets: what vendors' bodies and messages, snapshots, packed frames and rows of the journal are decoded with."""

import json
import struct
from collections.abc import Iterator

import msgspec

from receiver.bundle import single
from receiver.errors import Malformed
from receiver.events import Event
from receiver.journal.row import decode_row, encode_row
from receiver.record import Decoded, Record, pack_frames, unpack_frames
from receiver.vendors import VENDORS, decode_record, vendor_named
from receiver.vendors.base import Session
from receiver.vendors.replies import Seen, reply_record
from tests.fuzz.promises import (
    CANARY,
    NOW_NS,
    SIGNED_URL,
    check_events,
    check_no_secret,
    check_record,
    outcome,
    record_of,
)

CHANNELS = ("", "audio", "video", "transcript", "control", "nonsense")
#: all but the one whose targets are its own
OTHERS = tuple(one for one in VENDORS if one != "meetstream")
HEADERS = (
    (), ("rtk-signature",), ("dyte-signature",), ("x-webhook-signature", "x-webhook-timestamp"),
    ("x-pinless-signature", "x-pinless-timestamp"), ("x-prosa-signature",),
)  # fmt: skip
_PUBLIC_KEY = """-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDVWz/RyOFsUHPbao0aw5VgRRVb
3ZTDZPPq/iBEdwL218ooijhSXclbVCXNgReEztpEwppyMf73U7Ann9tE9b9HNtgy
hfO+0OQVmz7kuiQWSohYNA6DH3RjJJmOYWwBdFXh1N8ySRmhLGZU3ndtMpyB7UpM
TF0kztrrV5l3Tr+h2wIDAQAB
-----END PUBLIC KEY-----"""
SECRETS = {"realtimekit": _PUBLIC_KEY, "daily": "c2VjcmV0", "waterai": "x", "meemo": "whsec_x"}
_FRAME_NS = 20_000_000
_U16 = struct.Struct("<H")
_PROBES: tuple[bytes | str, ...] = (
    b"\x01\x02\x00p1\x03\x00Ada\x01\x00\x02\x00",
    '{"type":"ready","bot_id":"bot-2"}',
    '{"new":"thing"}',
)


def body(data: bytes) -> None:
    """One HTTP body: a repeat at another time has the same ids and key; planted secrets do not come out."""
    decoded = check_record(lambda: record_of(data, subject="hint"))
    if decoded is None:
        return
    assert len(decoded.events) == 1 and decoded.key
    later = decode_record(record_of(data, subject="hint", received_ns=NOW_NS + 10**10))
    assert later.key == decoded.key and [one.id for one in later.events] == [one.id for one in decoded.events]
    _check_planted(data)


def vendors(data: bytes) -> None:
    """A byte that chooses a vendor, then one HTTP body, one text message and one binary message of it."""
    vendor = OTHERS[data[0] % len(OTHERS)] if data else OTHERS[0]
    for kind in ("body", "text", "binary"):
        for channel in ("http",) if kind == "body" else ("", "audio", "transcript"):
            decoded = check_record(
                lambda kind=kind, channel=channel: record_of(  # type: ignore[misc]
                    data[1:], kind, vendor=vendor, channel=channel, subject="hint"
                )
            )
            if decoded is not None and kind == "body":
                later = record_of(data[1:], vendor=vendor, channel="http", subject="hint", received_ns=NOW_NS + 10**10)
                again = decode_record(later)
                assert again.key == decoded.key and [one.id for one in again.events] == [
                    one.id for one in decoded.events
                ]
    secrets = [SECRETS[vendor]]
    for headers in HEADERS:
        shown = {name: data[1:200].decode("latin-1") for name in headers}
        told = outcome(lambda shown=shown: vendor_named(vendor).verify(shown, data[1:], secrets=secrets, now_s=None))
        assert told == "unsigned" or (told != "valid" and told.startswith(("BadSignature", "Unauthorized"))), told
    vendor_named(vendor).is_ping(data[1:])


def replies(data: bytes) -> None:
    """A byte that chooses a vendor, a line that names a call, then the answer: as it is, and as a record to compare
    with where nothing, or something, was seen."""
    vendor = VENDORS[data[0] % len(VENDORS)] if data else VENDORS[0]
    call, _, answer = data[1:].partition(b"\n")
    for seen in (None, Seen(), Seen(statuses=frozenset({"recording"}), joined=frozenset({"Ada"}))):
        check_record(
            lambda seen=seen: reply_record(  # type: ignore[misc]
                vendor, "default", call.decode("latin-1"), answer, subject="hint", content_type="", now_ns=NOW_NS,
                seen=seen,
            )
        )  # fmt: skip


def text(data: bytes) -> None:
    """One text message on a socket of each kind, decoded live and from its record."""
    for channel in CHANNELS:
        check_record(lambda channel=channel: record_of(data, "text", channel=channel))  # type: ignore[misc]


def frame(data: bytes) -> None:
    """One binary message on a socket of each kind."""
    for channel in CHANNELS:
        decoded = check_record(lambda channel=channel: record_of(data, "binary", channel=channel))  # type: ignore[misc]
        if decoded is not None:
            (event,) = decoded.events
            assert event.media is not None and len(event.media) <= len(data) and event.raw == data


def socket(data: bytes) -> None:
    """A whole socket. Each message decodes from its own record, with the snapshot before it, as it did live; frames in
    a row decode from one packed record; what follows a malformed message is decoded as if it had not been there."""
    channel = CHANNELS[data[0] % len(CHANNELS)] if data else ""
    opening = record_of(b"", "opened", channel=channel, subject="hint" if data[:1] > b"\x7f" else "")
    live: Session = vendor_named("meetstream").session(opening)
    packed: list[tuple[int, bytes]] = []
    packed_events: list[Event] = []
    packed_state = b""
    for number, message in enumerate(messages_in(data[1:])):
        now_ns = NOW_NS + number * _FRAME_NS
        live.learn(message)
        state = live.snapshot()
        told = outcome(live.receive, message, now_ns)
        assert told == outcome(decode_record, _message_record(live, message, state, now_ns)), "live and from its record"
        if isinstance(message, bytes) and isinstance(told, Decoded):
            packed_state = packed_state if packed else state
            packed.append((now_ns, message))
            packed_events += told.events
        else:
            _check_packed(packed, packed_state, packed_events)
            packed, packed_events = [], []
        if isinstance(told, Decoded):
            check_events(told.events)
        for reply in live.replies():
            assert isinstance(json.loads(reply), dict)
    _check_packed(packed, packed_state, packed_events)
    live.close_expected()


def snapshot(data: bytes) -> None:
    """The state of a session, from a damaged disk or an earlier version: understood or malformed, never a fault."""
    vendor = vendor_named("meetstream")
    for restore in (lambda: vendor.session(record_of(b"", "text", state=data)), lambda: _adopted(data)):
        session = outcome(restore)
        if isinstance(session, str):
            continue
        for probe in _PROBES:
            told = outcome(session.receive, probe, NOW_NS)
            if isinstance(told, Decoded):
                check_events(told.events)
        session.replies()
        again = vendor.session(record_of(b"", "text", state=session.snapshot()))
        assert again.snapshot() == session.snapshot(), "a snapshot is the whole state"


def frames(data: bytes) -> None:
    """Packed frames, as a torn or damaged page may give them back."""
    pairs = list(unpack_frames(data))
    assert data.startswith(pack_frames(pairs)), "nothing but what is there"
    check_record(lambda: record_of(data, "frames", channel="audio"))


def bundle(data: bytes) -> None:
    """Frames of many connections, likewise. Taken apart it means what it means as a whole."""
    whole = check_record(lambda: record_of(data, "bundle", channel="audio"))
    if whole is not None:
        parts = single(record_of(data, "bundle", channel="audio"))
        assert [event for one in parts for event in decode_record(one).events] == whole.events


def row(data: bytes) -> None:
    """A row of the journal: two bytes of length, the packed columns, the payload. It decodes as the same again.

    Seeds are rows of the first version, without checksums: with them, next to nothing would get past the first check.
    """
    (size,) = _U16.unpack(data[:2].ljust(2, b"\0"))
    try:
        record = decode_row((7, b"key", data[2 : 2 + size], data[2 + size :]))
    except msgspec.MsgspecError:
        return
    assert decode_row(encode_row(record)) == record
    check_record(lambda: record)


def messages_in(data: bytes) -> Iterator[bytes | str]:
    """The messages of a socket as inputs hold them: kind (odd: text), length u16 LE, bytes; at most 50."""
    at = 0
    for _ in range(50):
        if at + 3 > len(data):
            return
        (size,) = _U16.unpack_from(data, at + 1)
        message = data[at + 3 : at + 3 + size]
        yield message.decode(errors="replace") if data[at] & 1 else message
        at += 3 + size


def packed_messages(messages: list[bytes | str]) -> bytes:
    """The form that :func:`messages_in` reads, for seeds."""
    parts = []
    for message in messages:
        content = message.encode() if isinstance(message, str) else message
        parts.append(bytes((isinstance(message, str),)) + _U16.pack(len(content)) + content)
    return b"".join(parts)


def _check_planted(data: bytes) -> None:
    value = msgspec.json.decode(data)
    value["zz"] = [{"api_key": CANARY, "note": f"see {SIGNED_URL} (an hour)"}, f"Bearer {CANARY}"]
    for also in ({}, {"message": SIGNED_URL}, {"custom_attributes": {"token": CANARY}}):
        decoded = outcome(decode_record, record_of(msgspec.json.encode(value | also)))
        if isinstance(decoded, Decoded):
            for event in decoded.events:
                check_no_secret(event)


def _message_record(live: Session, message: bytes | str, state: bytes, now_ns: int) -> Record:
    kind = "text" if isinstance(message, str) else "binary"
    payload = message.encode("utf-8", "surrogatepass") if isinstance(message, str) else message
    return record_of(payload, kind, state=state, received_ns=now_ns)


def _check_packed(pairs: list[tuple[int, bytes]], state: bytes, live_events: list[Event]) -> None:
    if pairs:
        record = record_of(pack_frames(pairs), "frames", state=state)
        assert decode_record(record).events == live_events, "packed frames decode as they did live"


def _adopted(state: bytes) -> Session:
    session = vendor_named("meetstream").session(record_of(b"", "opened"))
    try:
        session.adopt(state)
    except Malformed:
        assert session.snapshot() == vendor_named("meetstream").session(record_of(b"", "opened")).snapshot()
        raise
    return session
