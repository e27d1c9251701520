"""A row and its checksums: any bit that flips is told, in the number as well."""

from zlib import crc32

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.journal.row import _HEAD, decode_row, encode_row
from receiver.record import Record

#: as the clock gives them
SEQ = 1_795_953_299_687_974


def a_row(seq: int = SEQ) -> tuple[int, bytes, bytes, bytes]:
    return encode_row(Record(vendor="v", endpoint="e", kind="body", payload=b"payload", received_ns=5, seq=seq))


@pytest.mark.parametrize("bit", range(63))
def test_a_flipped_bit_of_the_number_is_told(bit: int) -> None:
    """A number beyond all others would end whatever is read in order."""
    seq, key, meta, payload = a_row()
    assert decode_row((seq, key, meta, payload)).payload == b"payload"
    with pytest.raises(msgspec.DecodeError, match="columns do not fit"):
        decode_row((seq ^ 1 << bit, key, meta, payload))


@given(st.integers(1, (1 << 63) - 1), st.data())
def test_any_flipped_bit_of_meta_or_payload_is_told(seq: int, data: st.DataObject) -> None:
    _, key, *columns = a_row(seq)
    which = data.draw(st.integers(0, 1))
    spoilt = bytearray(columns[which])
    # a mark that is another one makes it a row of the first version, which nothing stands for
    spoilt[data.draw(st.integers(1 - which, len(spoilt) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    columns[which] = bytes(spoilt)
    with pytest.raises(msgspec.DecodeError, match="fit"):
        decode_row((seq, key, columns[0], columns[1]))


@given(st.binary(max_size=3000))
def test_a_row_of_before_is_taken(payload: bytes) -> None:
    """Its checksum began with the lower half of the number, and zlib made it: whichever library makes them, they are
    the same."""
    record = Record(vendor="v", endpoint="e", kind="body", payload=payload, received_ns=5, seq=SEQ)
    seq, key, meta, _ = encode_row(record)
    packed = meta[_HEAD.size :]
    about = crc32(packed, seq & 0xFFFFFFFF)
    head = _HEAD.pack(meta[0], about, crc32(payload, about))
    assert decode_row((seq, key, head + packed, payload)) == record
