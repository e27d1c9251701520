"""The page: of what machine, when, with which libraries, and every row. As text to be pasted, and as JSON."""

import contextlib
import os
import platform
import resource
import textwrap
from importlib import metadata
from pathlib import Path

import msgspec
import psutil

from tests.benchmarks.rows import WIDTH, Row

_LIBRARIES = ("aiohttp", "fastapi", "httptools", "picows", "uvicorn", "uvloop", "websockets", "confluent-kafka")
#: how long "the rest of the machine" must be measured to mean anything
_LEAST_S = 1.0


class Page(msgspec.Struct):
    """A run. ``skipped``: what was not measured, and why. ``others``: share of the machine's processor time that went
    to anything but the run itself (other programs, the kernel, the host of a virtual machine)."""

    machine: str
    date: str
    versions: dict[str, str]
    pinned: str
    quick: bool
    rows: list[Row] = []
    skipped: dict[str, str] = {}
    others: float = 0.0

    def head(self) -> str:
        """What the figures belong to."""
        versions = ", ".join(f"{name} {is_}" for name, is_ in self.versions.items())
        told = (self.machine, f"{self.date}{', quick: short rounds, wide spreads' * self.quick}", versions, self.pinned)
        return "\n".join(line for part in told for line in textwrap.wrap(part, WIDTH)) + "\n"

    def tail(self) -> str:
        """How many goals are met, what is missing, and how much of the machine was somebody else's."""
        verdicts = [one for row in self.rows for one in row.verdicts]
        counted = {
            "met": sum(one.met is True for one in verdicts),
            "missed": sum(one.met is False for one in verdicts),
            "not measured": sum(one.met is None for one in verdicts),
        }
        told = [
            f"{len(verdicts)} goals: " + ", ".join(f"{count} {what}" for what, count in counted.items()),
            f"{self.others * 100:.0f} % of all cores' time went to others: kernel, programs beside the run, host",
            *(f"{name}: not measured, {why}" for name, why in self.skipped.items()),
        ]
        return "\n".join(line for part in told for line in textwrap.wrap(part, WIDTH)) + "\n"

    def json(self) -> bytes:
        return msgspec.json.format(msgspec.json.encode(self)) + b"\n"


class Machine:
    """What the run takes of this machine, from the making of this on."""

    def __init__(self) -> None:
        self._before = _machine_s()

    def others(self) -> float:
        """Share of the machine's time since then that this process and its ended children did not take; 0 where too
        little time has gone by."""
        total_s, busy_s, own_s = (now - then for now, then in zip(_machine_s(), self._before, strict=True))
        return max(0.0, (busy_s - own_s) / total_s) if total_s > _LEAST_S else 0.0


def machine() -> str:
    """Processor, cores, memory, system."""
    model = "unknown processor"
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), model)
    memory = psutil.virtual_memory().total / (1 << 30)
    return f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.release()}"


def versions() -> dict[str, str]:
    """Of Python and of the libraries that are there."""
    found = {"Python": platform.python_version()}
    for name in _LIBRARIES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _machine_s() -> tuple[float, float, float]:
    """Processor time: of all cores, of it not idle, of it ours."""
    times = psutil.cpu_times()
    idle_s = times.idle + getattr(times, "iowait", 0.0)
    # guests' time is part of user time already
    total_s = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
    own = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return total_s, total_s - idle_s, sum(usage.ru_utime + usage.ru_stime for usage in own)
