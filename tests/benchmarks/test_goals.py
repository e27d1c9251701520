"""A goal is met or missed, and by how much."""

import math

import pytest

from tests.benchmarks.goals import at_least, at_most, short


@pytest.mark.parametrize(
    ("value", "met", "by"),
    [(3.0, True, 0.5), (2.0, True, 0.0), (1.5, False, -0.25), (0.0, False, -1.0)],
)
def test_a_goal_that_asks_for_much_is_missed_below_its_limit(value: float, met: bool, by: float) -> None:
    """``by`` is a share of the limit; exactly the limit is enough."""
    (verdict,) = at_least("ours / (a)", value, 2)
    assert (verdict.met, verdict.by, verdict.value) == (met, by, value)


@pytest.mark.parametrize(
    ("value", "met", "by"),
    [(3.0, False, -0.5), (2.0, True, 0.0), (1.5, True, 0.25)],
)
def test_a_goal_that_asks_for_little_is_missed_above_its_limit(value: float, met: bool, by: float) -> None:
    """The other way round."""
    (verdict,) = at_most("p99", value, 2, unit="ms")
    assert (verdict.met, verdict.by, verdict.value) == (met, by, value)


def test_each_limit_has_a_verdict_of_its_own() -> None:
    """The first goal may be met and the one after it missed."""
    first, then = at_least("ours / (a)", 2.5, 2, then=3)
    assert (first.met, first.then) == (True, False)
    assert (then.met, then.then) == (False, True)


def test_a_value_that_is_no_number_misses_every_goal() -> None:
    """A contender that did nothing has no ratio; that is no success."""
    for verdict in (*at_least("x", math.nan, 2), *at_most("x", math.nan, 2), *at_most("x", math.inf, 2)):
        assert verdict.met is False
        assert verdict.by == -math.inf


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    """It says why."""
    (verdict,) = at_most("kafka sink, p99", None, 50, unit="ms", why="there is no broker")
    assert verdict.met is None
    assert verdict.text() == "goal  kafka sink, p99 <= 50 ms: not measured, there is no broker"


@pytest.mark.parametrize(
    ("verdict", "text"),
    [
        (at_least("ours / (a)", 2.9, 2, then=3)[0], "goal  ours / (a) >= 2: 2.90, met by 45 %"),
        (at_least("ours / (a)", 2.9, 2, then=3)[1], "then  ours / (a) >= 3: 2.90, missed by 3 %"),
        (at_least("frames", 120_000.4, 100_000, unit="/s")[0], "goal  frames >= 100,000 /s: 120,000 /s, met by 20 %"),
        (at_most("p99", 110.0, 5, unit="ms")[0], "goal  p99 <= 5 ms: 110 ms, missed, it is 22 times that"),
        (at_most("p99", 5, 5, unit="ms")[0], "goal  p99 <= 5 ms: 5 ms, met"),
        (at_most("frames lost", 0, 0)[0], "goal  frames lost <= 0: 0, met"),
        (at_most("frames lost", 7, 0)[0], "goal  frames lost <= 0: 7, missed by 7"),
    ],
)
def test_a_verdict_tells_the_goal_the_value_and_the_distance(verdict: object, text: str) -> None:
    """In a line; where percents say nothing any more, as a multiple."""
    assert verdict.text() == text  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (3, "3"), (0.126, "0.13"), (99.994, "99.99"), (1234.5, "1,234"), (math.inf, "inf"), (math.nan, "nan")],
)
def test_a_figure_has_as_many_digits_as_anybody_reads(value: float, text: str) -> None:
    """Large ones and whole ones without decimals."""
    assert short(value) == text
