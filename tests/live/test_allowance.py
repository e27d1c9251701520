"""What live readers may take of the loop: a share of it in the long run, and a few of them never wait."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.live.allowance import SHARE, Allowance


def test_a_few_readers_never_rest() -> None:
    """500 deliveries a second, each a turn of a tenth of a millisecond: well within the share."""
    allowance = Allowance(0.0)
    assert [allowance.spend(0.0001, n * 0.002) for n in range(1, 1000)] == [0.0] * 999


def test_what_is_too_much_is_rested_for() -> None:
    """A thousand readers take 20 ms a round: the next one is an eighth of a second away, and not more."""
    allowance = Allowance(0.0)
    assert allowance.spend(0.020, 0.020) == pytest.approx((0.020 - 0.002) / SHARE)
    assert Allowance(0.0).spend(5.0, 5.0) == 0.5


@given(st.lists(st.tuples(st.floats(0, 0.03), st.floats(0, 0.05)), min_size=1, max_size=200))
def test_in_the_long_run_it_is_the_share(turns: list[tuple[float, float]]) -> None:
    """Whoever rests as he is told has not taken more than the share and what may be taken at once."""
    now_s = taken_s = 0.0
    allowance = Allowance(now_s)
    for spent_s, idle_s in turns:
        now_s += spent_s + idle_s
        taken_s += spent_s
        now_s += allowance.spend(spent_s, now_s)
        assert taken_s <= now_s * SHARE + 0.0021
