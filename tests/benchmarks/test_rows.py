"""What the benchmarks' page says of the values that were measured."""

from tests.benchmarks.rows import Book, Figure, Row, ratio


def test_a_ratio_is_the_median_of_the_rounds_and_not_the_ratio_of_medians() -> None:
    """Values of one round belong together: what slowed both of them down does not count."""
    assert ratio([10, 100, 60], [10, 25, 20]) == 3


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


def test_a_figure_tells_its_median_and_its_spread() -> None:
    """Large ones without decimals."""
    assert Figure("ours", "/s", [1200, 99.5, 3400]).text() == "1,200 /s  (99.50 … 3,400)"


def test_a_row_tells_its_goal_each_figure_with_its_ratio_and_what_to_know() -> None:
    """In columns."""
    row = Row("frames", [Figure("ours", "/s", [2]), Figure("others", "/s", [1])], {"others": 2.0}, ">= 1", ["a remark"])
    assert row.text() == (
        "frames   goal: >= 1\n"
        "  ours    2.00 /s  (2.00 … 2.00)\n"
        "  others  1.00 /s  (1.00 … 1.00)   ours x 2.00\n"
        "  a remark\n"
    )
