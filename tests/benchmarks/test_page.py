"""The page as a whole, and the command that makes it."""

from pathlib import Path

import msgspec
import pytest

from tests.benchmarks.__main__ import MEASUREMENTS, Extent, Measurement, measure, parser
from tests.benchmarks.goals import Verdict, at_least
from tests.benchmarks.page import Machine, Page, machine, versions
from tests.benchmarks.rows import WIDTH, Figure, Row

_MUCH = Extent(quick=True, journal_bytes=1)


def page(**changes: object) -> Page:
    """One with nothing on it yet."""
    made = Page(
        "a processor, 2 cores", "2026-11-28 06:00 +0000", {"Python": "3.11.7"}, "nothing is pinned", quick=False
    )
    return msgspec.structs.replace(made, **changes)


def row(*verdicts: Verdict) -> Row:
    return Row("frames", [Figure("ours", "/s", [1.5])], verdicts=list(verdicts))


def test_the_head_tells_machine_date_versions_and_pinning() -> None:
    """Without them no figure means anything."""
    assert page().head() == "a processor, 2 cores\n2026-11-28 06:00 +0000\nPython 3.11.7\nnothing is pinned\n"


def test_a_quick_run_says_that_it_is_one() -> None:
    """Its figures are not those of the README."""
    assert "quick" in page(quick=True).head()


def test_head_and_tail_fit_the_width() -> None:
    """With all versions of this machine, and an error of any length."""
    whole = page(machine=machine() * 5, versions=versions() | {f"library-{n}": "1.2.3" for n in range(20)},
                 skipped={"frames": "why " * 100})  # fmt: skip
    assert max(map(len, (whole.head() + whole.tail()).splitlines())) <= WIDTH


def test_the_tail_counts_goals_and_tells_what_is_missing_and_who_else_used_the_machine() -> None:
    """A goal that was not measured is neither met nor missed."""
    verdicts = (*at_least("x", 2.0, 1, then=3), *at_least("y", None, 1, why="no"))
    told = page(rows=[row(*verdicts)], skipped={"callbacks": "there is no wrk"}, others=0.07).tail()
    assert told.startswith("3 goals: 1 met, 1 missed, 1 not measured\n7 % of all cores' time went to others")
    assert told.endswith("callbacks: not measured, there is no wrk\n")


def test_json_has_everything_of_the_page() -> None:
    """And can be read back."""
    whole = page(rows=[row(*at_least("x", 2.0, 1))], skipped={"frames": "why"}, others=0.5)
    assert msgspec.json.decode(whole.json(), type=Page) == whole


def test_a_share_of_others_is_a_share() -> None:
    """However little time has gone by."""
    assert 0 <= Machine().others() <= 1


def test_a_measurement_puts_its_rows_on_the_page_and_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    """Progress is no part of the page."""
    whole = page()
    measure(whole, "frames", Measurement("about", lambda much: [row()]), _MUCH)
    told = capsys.readouterr()
    assert whole.rows == [row()]
    assert told.out == row().text() + "\n"
    assert "measuring frames" in told.err


def failing(error: Exception) -> Measurement:
    def run(much: Extent) -> list[Row]:
        raise error

    return Measurement("about", run)


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (failing(RuntimeError("it does not answer")), "it does not answer"),
        (failing(OSError(28, "No space left on device")), "OSError: [Errno 28] No space left on device"),
        (failing(ExceptionGroup("of tasks", [ExceptionGroup("", [RuntimeError("behind")])])), "behind"),
        (Measurement("about", lambda much: [row()], needs="no-such-command"), "there is no no-such-command: apt-get"),
    ],
)
def test_a_measurement_that_fails_is_told_and_stops_nothing(one: Measurement, why: str) -> None:
    """The page says why the row is missing."""
    whole = page()
    measure(whole, "frames", one, _MUCH)
    assert whole.rows == []
    assert whole.skipped["frames"].startswith(why)


def test_help_names_every_row_and_shows_examples() -> None:
    """Nobody has to read the source to measure one thing."""
    told = parser().format_help()
    for name, one in MEASUREMENTS.items():
        assert f"  {name}" in told
        assert one.about in told
    assert "--quick --only frames" in told
    assert "exit status: 0" in told


@pytest.mark.parametrize("size", ["0", "-1", "2000", "nan", "much"])
def test_a_journal_size_that_makes_no_sense_is_refused(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is measured."""
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(["--journal-gb", size])
    assert ended.value.code == 2
    assert "--journal-gb" in capsys.readouterr().err


def test_the_defaults_measure_everything() -> None:
    """Into a file that Git ignores."""
    args = parser().parse_args([])
    assert (args.quick, args.only, args.journal_gb, args.json) == (False, None, None, Path("benchmarks.json"))


def test_a_full_run_is_longer_than_a_quick_one() -> None:
    """Of each pair the second."""
    assert (_MUCH.pick(1, 5), Extent(False, 1).pick(1, 5)) == (1, 5)
