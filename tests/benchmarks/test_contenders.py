"""What belongs to which core, and how a server's own figures are read."""

import pytest

from tests.benchmarks.contenders import pins, read_metric
from tests.benchmarks.posts import CONTENDERS as POSTS

_METRICS = """\
# HELP receiver_sink_pending Sequence numbers that wait for the sink.
# TYPE receiver_sink_pending gauge
receiver_sink_pending{sink="live"} 3.0
receiver_sink_pending{sink="late"} 1.5e+03
receiver_sink_pending_more{sink="late"} 7.0
receiver_connections_open 9.0
"""


def test_server_and_sender_get_a_core_each() -> None:
    """The first two that this process may use, whatever their numbers."""
    found = pins([4, 6, 7], "/usr/bin/taskset")
    assert (found.server, found.load) == (4, 6)
    assert "core 4" in found.text and "core 6" in found.text


@pytest.mark.parametrize(
    ("cores", "taskset", "why"),
    [([0], "/usr/bin/taskset", "1 core"), ([0, 1], None, "no taskset"), ([0], None, "1 core")],
)
def test_where_that_cannot_be_nothing_is_pinned_and_the_page_says_so(
    cores: list[int], taskset: str | None, why: str
) -> None:
    """Never half of it: a server alone on a core that others share would be no measure."""
    found = pins(cores, taskset)
    assert (found.server, found.load) == (None, None)
    assert found.text.startswith("nothing is pinned") and why in found.text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("receiver_sink_pending", 1503),
        ('receiver_sink_pending{sink="late"}', 1500),
        ("receiver_connections_open", 9),
        ("receiver_nothing", 0),
    ],
)
def test_a_metric_is_one_series_or_the_sum_over_its_labels(name: str, value: float) -> None:
    """A longer name is another metric."""
    assert read_metric(_METRICS, name) == value


def test_no_two_contenders_have_the_same_name() -> None:
    """Figures are kept by name."""
    names = [one.name for one in POSTS]
    assert len(set(names)) == len(names)
