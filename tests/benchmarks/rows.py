"""What a measurement gives: figures of contenders, taken in turn in the same run, and the ratios between them."""

import statistics
import textwrap
from collections import defaultdict
from collections.abc import Iterator, Sequence

import msgspec

from tests.benchmarks.goals import Verdict, short

#: columns of the page
WIDTH = 110
#: a sender whose core is busy for more of the time may be what a figure shows
_BUSY = 0.9


class Figure(msgspec.Struct):
    """One contender's values, a round each, with their median and spread. ``load``: share of the time, round by round,
    for which the sender was on its core; empty where the sender is paced or there is none."""

    name: str
    unit: str
    values: list[float]
    load: list[float] = []
    median: float = 0.0
    least: float = 0.0
    most: float = 0.0

    def __post_init__(self) -> None:
        self.median, self.least, self.most = statistics.median(self.values), min(self.values), max(self.values)

    def text(self) -> str:
        """Median, spread where there is one, and the sender's share."""
        parts = [f"{short(self.median)} {self.unit}"]
        if len(self.values) > 1:
            parts.append(f"({short(self.least)} … {short(self.most)})")
        if self.load:
            parts.append(f"sender {_percent(statistics.median(self.load))}")
        return "  ".join(parts)

    def remarks(self) -> list[str]:
        """Said where the sender may have been the limit."""
        if not self.load or (busy := statistics.median(self.load)) < _BUSY:
            return []
        return [f"{self.name}: the sender was busy for {_percent(busy)} of the time, so this may be all it can send"]


class Row(msgspec.Struct):
    """One part of the page and what stands behind it. ``ratios``: ours against each, the median over rounds."""

    name: str
    figures: list[Figure]
    ratios: dict[str, float] = {}
    verdicts: list[Verdict] = []
    remarks: list[str] = []

    def text(self) -> str:
        """For people, at most ``WIDTH`` columns wide."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        yield self.name
        width = max((len(figure.name) for figure in self.figures), default=0)
        for figure in self.figures:
            ratio = self.ratios.get(figure.name)
            yield f"  {figure.name:<{width}}  {figure.text()}{f'  ours x {ratio:.2f}' if ratio else ''}"
        for line in (*(one.text() for one in self.verdicts), *self.remarks):
            yield from textwrap.wrap(line, WIDTH - 2, initial_indent="  ", subsequent_indent="    ")


class Book:
    """Gathers values, round by round."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str], list[float]] = defaultdict(list)
        self._load: dict[tuple[str, str], list[float]] = defaultdict(list)

    def add(self, name: str, unit: str, value: float, load: float | None = None) -> None:
        """``load``: for what share of the time the sender was busy."""
        self._values[name, unit].append(value)
        if load is not None:
            self._load[name, unit].append(load)

    def figures(self) -> list[Figure]:
        return [Figure(*key, values, self._load.get(key, [])) for key, values in self._values.items()]

    def median(self, name: str, unit: str) -> float:
        return statistics.median(self._values[name, unit])

    def ratio(self, one: str, other: str, unit: str) -> float:
        """The median over rounds of ``one`` against ``other``; not a number where the other did nothing in a round."""
        values = self._values[other, unit]
        return ratio(self._values[one, unit], values) if all(values) else float("nan")

    def ratios(self, ours: str, unit: str) -> dict[str, float]:
        """Ours against each other one of the same unit, round by round."""
        return {
            name: self.ratio(ours, name, unit)
            for (name, of), values in self._values.items()
            if of == unit and name != ours and all(values)
        }


def ratio(one: Sequence[float], other: Sequence[float]) -> float:
    """The median over rounds of one against the other."""
    return statistics.median(a / b for a, b in zip(one, other, strict=True))


def _percent(share: float) -> str:
    return f"{share * 100:.0f} %"
