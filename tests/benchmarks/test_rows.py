"""What the benchmarks' page says of the values that were measured."""

import math

import msgspec
import pytest

from tests.benchmarks.goals import at_least
from tests.benchmarks.rows import WIDTH, Book, Figure, Row, ratio


def test_a_ratio_is_the_median_of_the_rounds_and_not_the_ratio_of_medians() -> None:
    """Values of one round belong together: what slowed both of them down does not count."""
    assert ratio([10, 100, 60], [10, 25, 20]) == 3


def test_rounds_that_do_not_match_have_no_ratio() -> None:
    """One contender was measured more often than the other: a mistake, and no number hides it."""
    with pytest.raises(ValueError, match="shorter"):
        ratio([10, 100], [10])


def test_ours_is_compared_with_others_of_the_same_unit_only() -> None:
    """A rate has no ratio to a time."""
    book = Book()
    for name, unit, value in (("ours", "/s", 30), ("other", "/s", 10), ("slow", "ms", 5)):
        book.add(name, unit, value)
    assert book.ratios("ours", "/s") == {"other": 3}


def test_a_contender_that_did_nothing_in_a_round_has_no_ratio() -> None:
    """There is no number for it."""
    book = Book()
    book.add("ours", "/s", 30)
    book.add("other", "/s", 0)
    assert book.ratios("ours", "/s") == {}
    assert math.isnan(book.ratio("ours", "other", "/s"))


def test_figures_keep_the_rounds_apart_and_have_median_and_spread() -> None:
    """Also in JSON, so that nobody has to work them out again."""
    book = Book()
    for value, load in ((10.0, 0.5), (40.0, 0.7), (20.0, 0.6)):
        book.add("ours", "/s", value, load)
    (figure,) = book.figures()
    told = msgspec.json.decode(msgspec.json.encode(figure))
    assert told == {
        "name": "ours", "unit": "/s", "values": [10, 40, 20], "load": [0.5, 0.7, 0.6],
        "median": 20, "least": 10, "most": 40,
    }  # fmt: skip
    assert book.median("ours", "/s") == 20


def test_a_figure_tells_its_median_its_spread_and_the_senders_share() -> None:
    """Large ones without decimals."""
    assert Figure("ours", "/s", [1200, 99.5, 3400]).text() == "1,200 /s  (99.50 … 3,400)"
    assert Figure("ours", "/s", [1200, 1300], [0.5, 0.3]).text() == "1,250 /s  (1,200 … 1,300)  sender 40 %"


def test_one_round_has_no_spread() -> None:
    """The same number three times would look like a very steady one."""
    assert Figure("ours", "/s", [1200]).text() == "1,200 /s"


@pytest.mark.parametrize(("load", "told"), [([], False), ([0.6, 0.95, 0.7], False), ([0.6, 0.95, 0.92], True)])
def test_a_sender_that_was_busy_most_of_the_time_is_told(load: list[float], told: bool) -> None:
    """By the median: the figure may be the sender's own."""
    remarks = Figure("ours", "/s", [1.0, 2.0, 3.0], load).remarks()
    assert bool(remarks) is told
    assert all("sender" in remark for remark in remarks)


def test_a_row_tells_each_figure_with_its_ratio_the_goals_and_what_to_know() -> None:
    """In columns."""
    figures = [Figure("ours", "/s", [2.5]), Figure("others", "/s", [1.25])]
    row = Row("frames", figures, {"others": 2.0}, at_least("ours / others", 2.0, 1), ["a remark"])
    assert row.text() == (
        "frames\n"
        "  ours    2.50 /s\n"
        "  others  1.25 /s  ours x 2.00\n"
        "  goal  ours / others >= 1: 2, met by 100 %\n"
        "  a remark\n"
    )


def test_long_lines_are_wrapped_to_the_width_of_the_page() -> None:
    """It is pasted where nothing scrolls."""
    row = Row("r", [], verdicts=at_least("goal " * 40, 2.0, 1), remarks=["remark " * 50])
    lines = row.text().splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert row.text().count("remark") == 50
