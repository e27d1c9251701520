"""What wrk prints becomes figures, or an error that shows what it printed."""

import pytest

from tests.benchmarks.wrk import Told, read_told

_TEXT = """\
Running 5s test @ http://127.0.0.1:8080/meetstream/default
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     6.62ms    1.02ms  22.10ms   87.12%
    Req/Sec     9.71k   412.11    10.42k    74.00%
  48312 requests in 5.01s, 8.11MB read
Requests/sec:   9643.11
Transfer/sec:      1.62MB
RESULT 48312 5010012 12 6500 9100
"""


def test_the_scripts_own_line_is_read() -> None:
    """In its own units: requests, microseconds, failures, two percentiles."""
    assert read_told(_TEXT) == Told(requests=48312, took_s=5.010012, failed=12, p50_ms=6.5, p99_ms=9.1)


def test_only_answers_with_success_count() -> None:
    """A server that refuses is fast."""
    assert Told(requests=1000, took_s=2.0, failed=400, p50_ms=1, p99_ms=1).rate == 300


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "printed 0 results"),
        ("unable to connect to 127.0.0.1:8080 Connection refused\n", "Connection refused"),
        (_TEXT + "RESULT 1 1 0 1 1\n", "printed 2 results"),
        ("RESULT 48312 5010012 12 6500\n", "of five numbers"),
        ("RESULT 48312 5010012 twelve 6500 9100\n", "twelve"),
        ("RESULT 0 0 0 0 0\n", "took 0 microseconds"),
    ],
)
def test_anything_else_is_an_error_that_shows_it(text: str, said: str) -> None:
    """No figure is made up."""
    with pytest.raises(RuntimeError, match=said):
        read_told(text)


@pytest.mark.parametrize("end", range(_TEXT.index("RESULT"), len(_TEXT)))
def test_a_line_that_is_cut_off_is_no_result(end: int) -> None:
    """Wherever: what is left of a number may look like one."""
    with pytest.raises(RuntimeError):
        read_told(_TEXT[:end])
