"""Frames of many connections in one record: packed, taken apart, decoded."""

import struct
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.bundle import Part, pack, single, unpack
from receiver.errors import Malformed
from receiver.record import Record, pack_frames
from receiver.vendors import decode_record, vendor_named
from tests.vendors.meetstream_wire import frame

NOW_NS = 1_790_000_000_123_456_789
FRAMES = [(NOW_NS, b"first"), (NOW_NS + 1, b""), (2**64 - 1, bytes(range(256)))]


def part(name: str, frames: list[tuple[int, bytes]], *, count: int = 1, state: bytes = b"") -> Part:
    arrivals_ns, messages = [at for at, _ in frames], [message for _, message in frames]
    return Part(name, f"bot of {name}", state, count, arrivals_ns, list(map(len, messages)))


def bundle(*of: tuple[str, list[tuple[int, bytes]]], **facts: Any) -> Record:
    """As the ingress makes it, numbered 7 and up, with one number a connection."""
    payload = pack([part(*one) for one in of], [message for _, frames in of for _, message in frames])
    return Record(**{
        "vendor": "meetstream", "endpoint": "e", "kind": "bundle", "channel": "audio", "payload": payload,
        "received_ns": NOW_NS, "seq": 7, "count": max(1, len(of)), **facts,
    })  # fmt: skip


def test_it_has_the_documented_layout() -> None:
    """Length u32 LE of the head, the head in MessagePack, the frames."""
    payload = bundle(("c", FRAMES)).payload
    (length,) = struct.unpack("<I", payload[:4])
    head = msgspec.msgpack.decode(payload[4 : 4 + length])
    assert head == [["c", "bot of c", b"", 1, [at for at, _ in FRAMES], [5, 0, 256]]]
    assert payload[4 + length :] == b"first" + bytes(range(256))


@given(st.lists(st.tuples(st.text(max_size=9), st.lists(st.tuples(st.integers(0, 2**64 - 1), st.binary(max_size=64))))))
def test_unpacking_gives_what_was_packed(of: list[tuple[str, list[tuple[int, bytes]]]]) -> None:
    """Each connection with its own columns, numbers and frames, in order."""
    found = [(one, list(frames)) for one, frames in unpack(bundle(*of))]
    assert [(one.connection, one.subject, frames) for one, frames in found] == [
        (name, f"bot of {name}", frames) for name, frames in of
    ]
    assert [(one.seq, one.count) for one, _ in found] == [(7 + number, 1) for number in range(len(of))]


@given(st.binary(max_size=200))
def test_damage_is_told(payload: bytes) -> None:
    """Whatever it is: ``Malformed``, or frames that lie within it."""
    record = bundle(payload=payload)
    try:
        found = list(unpack(record))
    except Malformed:
        assert single(record) == [record]
    else:
        assert sum(len(message) for _, frames in found for _, message in frames) <= len(payload)


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda whole: whole[:3], "head of a bundle"),
        (lambda whole: b"\xff" * 4 + whole[4:], "head of a bundle"),
        (lambda whole: whole[:-1], "ends before its frames"),
    ],
)
def test_what_is_torn_is_told(spoil: Any, problem: str) -> None:
    """A frame is never shorter than it was."""
    record = bundle(("c", FRAMES), payload=spoil(bundle(("c", FRAMES)).payload))
    with pytest.raises(Malformed, match=problem):
        list(unpack(record))


@pytest.mark.parametrize("lengths", [[5], [5, 0, -1], [5, 0, 255, 1]])
def test_counts_that_do_not_fit_are_told(lengths: list[int]) -> None:
    """As many arrivals as frames, and none of less than nothing."""
    one = part("c", FRAMES)
    one.lengths = lengths
    with pytest.raises(Malformed, match="how many frames 'c' has"):
        list(unpack(bundle(payload=pack([one], [message for _, message in FRAMES]))))


def spoken(name: str, *at: int) -> tuple[str, list[tuple[int, bytes]]]:
    """Frames of one bot."""
    return name, [(NOW_NS + number, frame(bytes([number, 0, number, 0]))) for number in at]


def test_it_decodes_as_its_parts_do() -> None:
    """Each with a session of its own: ids, subjects and sample clocks are those of the connection."""
    of = [spoken("a", 1, 2), spoken("b", 3), spoken("c", 4)]
    alone = []
    for name, frames in of:
        one = bundle(kind="frames", payload=pack_frames(frames), connection=name, subject=f"bot of {name}")
        alone += decode_record(one).events
    events = decode_record(bundle(*of)).events
    assert events == alone
    assert [event.id for event in events] == ["a/1", "a/2", "b/1", "c/1"]
    assert [event.subject for event in events] == ["bot of a", "bot of a", "bot of b", "bot of c"]


def test_a_part_goes_on_where_its_session_was() -> None:
    """The snapshot before it is its own."""
    before = bundle(kind="frames", connection="a", subject="bot of a", payload=b"")
    session = vendor_named("meetstream").session(before)
    for at_ns, message in spoken("a", 1, 2)[1]:
        session.receive(message, at_ns)
    _, frames = spoken("a", 3)
    payload = pack([part("a", frames, state=session.snapshot())], [message for _, message in frames])
    (event,) = decode_record(bundle(payload=payload)).events
    assert event.id == "a/3" and event.data == msgspec.structs.replace(event.data, first_sample=4)


def test_taken_apart_it_is_what_each_would_have_been() -> None:
    """With or without the events that the whole has."""
    record = bundle(spoken("a", 1), spoken("b", 3), spoken("c", 4))
    raw = single(record)
    record.events = decode_record(record).events
    for offset, event in enumerate(record.events):
        event.sequence = 7 + offset
    ready = single(record)
    for parts in (raw, ready):
        assert [(part.kind, part.connection, part.subject, part.seq, part.last_seq) for part in parts] == [
            ("frames", name, f"bot of {name}", number, number) for number, name in enumerate("abc", 7)
        ]
    for one in raw:
        one.events = decode_record(one).events
        one.events[0].sequence = one.seq
    assert [one.events for one in raw] == [one.events for one in ready]


def test_others_are_left_as_they_are() -> None:
    """Of one connection already, or of none."""
    record = bundle(kind="frames")
    assert single(record) == [record]
