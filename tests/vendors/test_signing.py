"""The helpers that every vendor's signature uses."""

import pytest

from receiver.vendors.signing import fits_any, hmac_sha256, strict_hex, within_window


def test_hmac_of_a_published_vector() -> None:
    """RFC 4231, test case 2."""
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert hmac_sha256("Jefe", b"what do ya want for nothing?").hex() == expected


def test_one_of_several_digests_may_fit() -> None:
    """While a secret is being rotated, both are right; none is wrong."""
    assert fits_any(b"b", [b"a", b"b"]) and fits_any(b"b", [b"b", b"a"])
    assert not fits_any(b"c", [b"a", b"b"]) and not fits_any(b"c", []) and not fits_any(b"a", [b"ab"])


@pytest.mark.parametrize("text", ["0a1", "0a1b2c", "0x1b", "0 1b", "0a1é", "٣٣٣٣", ""])
def test_hex_is_strict(text: str) -> None:
    """Exactly the digits that were asked for, in ASCII, nothing else."""
    assert strict_hex(text, 2) is None


def test_hex_in_either_case() -> None:
    """Upper-case digits mean the same."""
    assert strict_hex("0aFf", 2) == b"\x0a\xff"


def test_the_window_has_two_sides() -> None:
    """Too old and too new are alike; the edge is inside."""
    assert within_window(100.0, 400.0, 300.0) and within_window(400.0, 100.0, 300.0)
    assert not within_window(100.0, 400.1, 300.0) and not within_window(400.1, 100.0, 300.0)
