"""What a measurement gives: figures of contenders, taken in turn in the same run, and the ratios between them."""

import statistics
from collections import defaultdict
from collections.abc import Sequence

import msgspec


class Figure(msgspec.Struct):
    """One contender's values, a round each."""

    name: str
    unit: str
    values: list[float]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def text(self) -> str:
        """Median and spread."""
        return f"{_short(self.median)} {self.unit}  ({_short(min(self.values))} … {_short(max(self.values))})"


class Row(msgspec.Struct):
    """One line of the page and what stands behind it. ``ratios``: ours against each, the median over rounds."""

    name: str
    figures: list[Figure]
    ratios: dict[str, float] = {}
    goal: str = ""
    remarks: list[str] = []

    def text(self) -> str:
        """For people."""
        lines = [self.name + (f"   goal: {self.goal}" if self.goal else "")]
        width = max((len(figure.name) for figure in self.figures), default=0)
        for figure in self.figures:
            ratio = self.ratios.get(figure.name)
            lines.append(f"  {figure.name:<{width}}  {figure.text()}{f'   ours x {ratio:.2f}' if ratio else ''}")
        lines += [f"  {remark}" for remark in self.remarks]
        return "\n".join(lines) + "\n"


class Book:
    """Gathers values, round by round."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str], list[float]] = defaultdict(list)

    def add(self, name: str, unit: str, value: float) -> None:
        self._values[name, unit].append(value)

    def figures(self) -> list[Figure]:
        return [Figure(name, unit, values) for (name, unit), values in self._values.items()]

    def ratios(self, ours: str, unit: str) -> dict[str, float]:
        """Ours against each other one of the same unit, round by round."""
        mine = self._values[ours, unit]
        return {
            name: ratio(mine, values)
            for (name, of), values in self._values.items()
            if of == unit and name != ours and all(values)
        }


def ratio(one: Sequence[float], other: Sequence[float]) -> float:
    """The median over rounds of one against the other."""
    return statistics.median(a / b for a, b in zip(one, other, strict=True))


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"
