"""When to try again: one table, and what holds for every attempt."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.delivery.retry import Backoff

PLAIN = Backoff(first_s=0.1, most_s=30.0, jitter=0.5)


@pytest.mark.parametrize(
    ("attempt", "chance", "asked_s", "wait_s"),
    [
        (1, 0.0, None, 0.1),
        (2, 0.0, None, 0.2),
        (3, 0.0, None, 0.4),
        (9, 0.0, None, 25.6),
        (10, 0.0, None, 30.0),
        (10_000_000, 0.0, None, 30.0),
        (1, 1.0, None, 0.05),
        (10, 1.0, None, 15.0),
        (1, 0.5, None, 0.075),
        (1, 0.0, 5.0, 5.0),
        (1, 1.0, 5.0, 5.0),
        (10, 0.0, 5.0, 30.0),
        (1, 0.0, 0.0, 0.1),
        (1, 0.0, 3600.0, 3600.0),
    ],
)
def test_the_wait(attempt: int, chance: float, asked_s: float | None, wait_s: float) -> None:
    """Doubles up to the most; the jitter takes away at most its share; what was asked for is never undercut."""
    assert PLAIN.wait_s(attempt, chance, asked_s) == pytest.approx(wait_s)


@given(st.integers(1, 10**9), st.floats(0, 1), st.none() | st.floats(0, 1e6))
def test_every_wait_is_bounded(attempt: int, chance: float, asked_s: float | None) -> None:
    """Never zero, so that a dead sink takes no processor; never above the most, unless the far side asks for it."""
    wait_s = PLAIN.wait_s(attempt, chance, asked_s)
    assert 0.05 <= wait_s <= max(30.0, asked_s or 0)
