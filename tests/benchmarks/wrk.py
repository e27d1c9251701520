"""Runs wrk (https://github.com/wg/wrk) and reads what it prints. It has one thread and the sender's core."""

import itertools
import resource
import subprocess
import time
from pathlib import Path

import msgspec

CONNECTIONS = 64
_SCRIPT = Path(__file__).parent / "wrk.lua"
_PATIENCE_S = 60.0
#: where the numbers of a run begin: none is a repeat of another's
_serials = itertools.count(1)


class Told(msgspec.Struct, frozen=True):
    """What ``wrk.lua`` prints in the end. ``failed``: without an answer, or with one that is no 2xx or 3xx."""

    requests: int
    took_s: float
    failed: int
    p50_ms: float
    p99_ms: float

    @property
    def rate(self) -> float:
        """Requests a second that were answered with success."""
        return (self.requests - self.failed) / self.took_s


def read_told(text: str) -> Told:
    """Shape: ``RESULT requests took_us failed p50_us p99_us`` on a line of its own, wherever in ``text``.

    Raises: RuntimeError, where there is no such line, or it is not of that shape.
    """
    whole = [line for line in text.splitlines(keepends=True) if line.endswith("\n")]
    lines = [line.split() for line in whole if line.startswith("RESULT ")]
    if len(lines) != 1 or len(lines[0]) != 6:
        raise RuntimeError(f"wrk printed {len(lines)} results of five numbers, wanted one; it said: {text[-500:]!r}")
    try:
        requests, took_us, failed, p50_us, p99_us = (int(word) for word in lines[0][1:])
    except ValueError as error:
        raise RuntimeError(f"wrk printed a result that is no number: {' '.join(lines[0])!r}") from error
    if took_us <= 0:
        raise RuntimeError(f"wrk printed that it took {took_us} microseconds, wanted more than 0")
    return Told(requests, took_us / 1e6, failed, p50_us / 1e3, p99_us / 1e3)


def run_wrk(url: str, seconds: float) -> tuple[Told, float]:
    """POST to ``url`` over 64 connections, as fast as answers come, every body another one; also for what share of
    that time wrk was on its core."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", "-s", str(_SCRIPT)]
    before_s, from_s = _children_s(), time.perf_counter()
    done = subprocess.run(
        [*command, url, "--", str(next(_serials) * 10_000_000)],
        capture_output=True, text=True, timeout=seconds + _PATIENCE_S, check=False,
    )  # fmt: skip
    took_s = time.perf_counter() - from_s
    if done.returncode:
        raise RuntimeError(f"wrk ended with status {done.returncode}: {(done.stderr or done.stdout).strip()[-500:]}")
    return read_told(done.stdout), (_children_s() - before_s) / took_s


def _children_s() -> float:
    """Processor time of children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
