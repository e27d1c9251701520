"""The record: its place in the journal, and the packing of many frames into one payload."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.record import Record, pack_frames, unpack_frames

FRAMES = [(1_790_000_000_123_456_789, b"first"), (0, b""), (2**64 - 1, bytes(range(256)))]


@pytest.mark.parametrize(("seq", "count", "last"), [(7, 1, 7), (7, 3, 9), (0, 1, 0)])
def test_record_takes_as_many_numbers_as_it_has_events(seq: int, count: int, last: int) -> None:
    """``seq`` is the number of its first event, ``last_seq`` of its last."""
    record = Record(vendor="v", endpoint="e", kind="body", payload=b"", received_ns=1, seq=seq, count=count)
    assert record.last_seq == last


def test_packed_frames_have_the_documented_layout() -> None:
    """Length u32 LE, arrival u64 LE, bytes; read here with ``struct`` alone."""
    packed = pack_frames(FRAMES)
    assert packed[:12] == struct.pack("<I", 5) + struct.pack("<Q", 1_790_000_000_123_456_789)
    assert packed[12:17] == b"first"
    assert len(packed) == sum(12 + len(message) for _, message in FRAMES)


@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.binary(max_size=64)), max_size=8))
def test_unpacking_gives_what_was_packed(frames: list[tuple[int, bytes]]) -> None:
    """Arrival and bytes of each frame come back, in order."""
    assert list(unpack_frames(pack_frames(frames))) == frames


def test_torn_end_is_passed_over() -> None:
    """Cut anywhere, the payload still gives every frame that is whole, and no part of another."""
    packed = pack_frames(FRAMES)
    ends = [sum(12 + len(message) for _, message in FRAMES[:count]) for count in range(len(FRAMES) + 1)]
    for length in range(len(packed) + 1):
        whole = sum(end <= length for end in ends) - 1
        assert list(unpack_frames(packed[:length])) == FRAMES[:whole]


@given(st.binary(max_size=200))
def test_damage_never_raises(payload: bytes) -> None:
    """Whatever a damaged disk gives back: frames that lie within it, and an end."""
    assert sum(12 + len(message) for _, message in unpack_frames(payload)) <= len(payload)
