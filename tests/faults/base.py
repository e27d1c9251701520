"""What a scenario is given and what it gives back: options, checks that hold or do not, figures. No faults here."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from tests.faults import SCENARIOS


@dataclass(frozen=True, kw_only=True)
class Options:
    """``folder`` is empty and the scenario's own. ``long``: the form that is run by hand. ``rounds``: in place of the
    scenario's own number, 0 = that. ``say`` tells a person how far it is."""

    folder: Path
    long: bool = False
    seed: int = 1
    rounds: int = 0
    say: Callable[[str], None] = lambda text: None

    def pick(self, short: int, long: int) -> int:
        """How many rounds, sockets, seconds …: as asked for, else by the form."""
        return self.rounds or (long if self.long else short)


@dataclass(frozen=True)
class Check:
    """One promise: ``wanted`` is a value, or words such as ``at most 50 MB``."""

    what: str
    found: str
    wanted: str
    holds: bool


@dataclass
class Report:
    """What a scenario found. Figures are measured and judge nothing."""

    checks: list[Check] = field(default_factory=list)
    figures: dict[str, str] = field(default_factory=dict)
    took_s: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether every promise held; a report without checks proves nothing."""
        return bool(self.checks) and all(check.holds for check in self.checks)

    def equal(self, what: str, found: Any, wanted: Any) -> None:
        """``found`` must be ``wanted``."""
        self.checks.append(Check(what, _text(found), _text(wanted), found == wanted))

    def at_most(self, what: str, found: float, most: float, unit: str = "") -> None:
        """``found`` must not be above ``most``."""
        self.checks.append(Check(what, f"{found:,g}{unit}", f"at most {most:,g}{unit}", found <= most))

    def at_least(self, what: str, found: float, least: float, unit: str = "") -> None:
        """``found`` must not be below ``least``."""
        self.checks.append(Check(what, f"{found:,g}{unit}", f"at least {least:,g}{unit}", found >= least))

    def figure(self, what: str, value: Any) -> None:
        """A measured value, with its unit in the text."""
        self.figures[what] = _text(value)

    def lines(self) -> list[str]:
        """For people."""
        shown = [
            f"  {'ok ' if one.holds else 'BAD'} {one.what}: {one.found} (wanted: {one.wanted})" for one in self.checks
        ]
        return shown + [f"      {what}: {value}" for what, value in self.figures.items()]


class Scenario(Protocol):
    """A module of this folder."""

    __doc__: str | None

    async def run(self, options: Options) -> Report:
        """Break things, let them recover, judge. Everything that it started is gone at the end."""


def scenario(name: str) -> Scenario:
    """The module behind a name of ``SCENARIOS``."""
    if name not in SCENARIOS:
        raise KeyError(name)
    return cast(Scenario, import_module(f"tests.faults.{name}"))


async def run(name: str, options: Options) -> Report:
    """One scenario, timed."""
    started_s = time.monotonic()
    report = await scenario(name).run(options)
    report.took_s = time.monotonic() - started_s
    return report


def _text(value: Any) -> str:
    with contextlib.suppress(TypeError, ValueError):
        if isinstance(value, int) and not isinstance(value, bool):
            return f"{value:,}"
        if isinstance(value, float):
            return f"{value:,.3g}"
    text = str(value)
    return text if len(text) <= 800 else text[:799] + "…"
