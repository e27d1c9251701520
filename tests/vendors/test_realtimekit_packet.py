"""The SFU adapter's packets: proto3 as the fact sheet, section 5.3, has it. Messages are written out by hand."""

import contextlib
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.errors import FrameInvalid, FrameTruncated, ReceiverError
from receiver.vendors.realtimekit.packet import read_packet
from tests.vendors.realtimekit_wire import PATIENT, packet, varint

WORKED: dict[str, tuple[str, int, int, str]] = {
    "vendor's test suite": ("08 2A 10 E8 07 2A 02 AA BB", 42, 1000, "AA BB"),
    "empty message": ("", 0, 0, ""),
    "no payload": ("08 2A 10 E8 07", 42, 1000, ""),
    "zeros left out": ("2A 02 AA BB", 0, 0, "AA BB"),
    "sequence left out": ("10 01 2A 00", 0, 1, ""),
    "128": ("08 80 01", 128, 0, ""),
    "300": ("08 AC 02", 300, 0, ""),
    "3840": ("10 80 1E", 0, 3840, ""),
    "largest uint32": ("08 FF FF FF FF 0F 10 FF FF FF FF 0F", 4294967295, 4294967295, ""),
    "zeros written out": ("08 00 10 00 2A 00", 0, 0, ""),
    "a zero in more bytes": ("08 80 80 00", 0, 0, ""),
    "any order": ("2A 01 AA 10 02 08 01", 1, 2, "AA"),
    "the last counts": ("08 01 2A 01 AA 08 02 2A 02 BB CC", 2, 0, "BB CC"),
    "the last counts, empty": ("2A 01 AA 2A 00", 0, 0, ""),
    "more than 32 bits": ("08 81 80 80 80 10", 1, 0, ""),
    "a negative number": ("08 FF FF FF FF FF FF FF FF FF 01", 4294967295, 0, ""),
    "unknown varint": ("18 AC 02 08 01", 1, 0, ""),
    "unknown bytes": ("22 03 08 09 2A 08 01", 1, 0, ""),
    "unknown fixed32": ("1D 01 02 03 04 08 01", 1, 0, ""),
    "unknown fixed64": ("19 01 02 03 04 05 06 07 08 08 01", 1, 0, ""),
    "large field number": ("F8 FF FF FF 0F 05 08 01", 1, 0, ""),
    "known number, other wire type": ("0A 01 08 15 01 02 03 04 28 07 08 01", 1, 0, ""),
}


@pytest.mark.parametrize("case", WORKED)
def test_worked_vectors(case: str) -> None:
    """Left-out fields are zero, unknown ones skipped, any order, the last wins, uint32 wraps."""
    message, sequence, timestamp, payload = WORKED[case]
    told = read_packet(bytes.fromhex(message))
    assert (told.sequence, told.timestamp, bytes(told.payload)) == (sequence, timestamp, bytes.fromhex(payload))


@pytest.mark.parametrize(
    ("message", "offset"),
    [("08", 1), ("08 80", 1), ("80", 0), ("08 01 10", 3), ("08 01 10 FF FF", 3), ("2A", 1), ("2A 02", 2),
     ("2A 02 AA", 2), ("2A 80", 1), ("08 01 2A 05 AA BB", 4), ("1D 01 02 03", 1), ("19 01", 1), ("22 FF FF 03 00", 4)],
)  # fmt: skip
def test_where_a_message_is_cut(message: str, offset: int) -> None:
    """The offset is that of the number that is cut, or of what a length counts."""
    with pytest.raises(FrameTruncated) as caught:
        read_packet(bytes.fromhex(message))
    assert (caught.value.offset, caught.value.where) == (offset, f"byte {offset}")


@pytest.mark.parametrize(
    ("message", "offset"),
    [("00", 0), ("02 00", 0), ("08 01 07", 2), ("0B 0C", 0), ("0E", 0), ("08" + " FF" * 10 + " 01", 1),
     ("FF FF FF FF 1F 00", 0)],
)  # fmt: skip
def test_what_proto3_does_not_have_is_invalid(message: str, offset: int) -> None:
    """Field number 0 or too large, groups and unknown wire types, numbers without end."""
    with pytest.raises(FrameInvalid) as caught:
        read_packet(bytes.fromhex(message))
    assert caught.value.offset == offset


def test_every_shorter_prefix_is_truncated_or_ends_between_two_fields() -> None:
    """A message that is cut gives only whole fields, or an error with an offset in it."""
    whole = packet(b"\x01\x02\x03\x04", 300, 3840)
    borders = {0: (0, 0), 3: (300, 0), 6: (300, 3840)}
    for length in range(len(whole)):
        if length in borders:
            told = read_packet(whole[:length])
            assert (told.sequence, told.timestamp, bytes(told.payload)) == (*borders[length], b"")
        else:
            with pytest.raises(FrameTruncated) as caught:
                read_packet(whole[:length])
            assert caught.value.offset <= length


def test_the_payload_is_a_view_of_the_message() -> None:
    """No sound is copied."""
    message = packet(bytes(3840), 7, 9)
    payload = read_packet(message).payload
    assert payload.obj is message and len(payload) == 3840


UINT32 = st.integers(0, 2**32 - 1)
UNKNOWN = st.one_of(
    st.builds(lambda number, value: varint(number * 8) + varint(value), st.integers(6, 2**29 - 1), UINT32),
    st.builds(lambda data: b"\x22" + varint(len(data)) + data, st.binary(max_size=20)),
    st.binary(min_size=4, max_size=4).map(lambda data: b"\x1d" + data),
    st.binary(min_size=8, max_size=8).map(lambda data: b"\x19" + data),
)


@PATIENT
@given(UINT32, UINT32, st.binary(max_size=300), st.lists(UNKNOWN, max_size=3), st.randoms(use_true_random=False))
def test_fields_in_any_order_with_unknown_ones_between(
    sequence: int, timestamp: int, payload: bytes, unknown: list[bytes], shuffler: Random
) -> None:
    """Whatever the order and whatever stands between, the three fields are read."""
    fields = [packet(sequence=sequence), packet(timestamp=timestamp), packet(payload), *unknown]
    shuffler.shuffle(fields)
    told = read_packet(b"".join(fields))
    assert (told.sequence, told.timestamp, bytes(told.payload)) == (sequence, timestamp, payload)


@PATIENT
@given(st.binary(max_size=60))
def test_only_our_errors_escape(message: bytes) -> None:
    """Any bytes give a packet within the ranges of its fields, or one of our errors."""
    with contextlib.suppress(ReceiverError):
        told = read_packet(message)
        assert 0 <= told.sequence < 2**32 and 0 <= told.timestamp < 2**32 and len(told.payload) <= len(message)
