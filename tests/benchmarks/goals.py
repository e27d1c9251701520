"""What a row should reach, and whether it does. Pure. A goal that is missed is told; it fails nothing."""

import math

import msgspec

#: beyond it, percents say nothing any more
_MANY = 10


class Verdict(msgspec.Struct):
    """One goal and what was measured. ``by``: how far the value is on the good side of ``limit``, as a share of it, or
    the bare difference where the limit is 0; negative where the goal is missed. ``then``: a goal beyond the first one.
    ``met`` is ``None`` where nothing was measured, and ``why`` says so."""

    what: str
    limit: float
    most: bool = False
    unit: str = ""
    then: bool = False
    value: float | None = None
    met: bool | None = None
    by: float = 0.0
    why: str = ""

    def text(self) -> str:
        """For people: ``goal  ours / (a) >= 2: 2.90, met by 45 %``."""
        about = f"{self.what} {'<=' if self.most else '>='} {_number(self.limit)}{_unit(self.unit)}"
        about = f"{'then' if self.then else 'goal'}  {about}"
        if self.value is None:
            return f"{about}: not measured, {self.why}"
        return (
            f"{about}: {short(self.value)}{_unit(self.unit)}, {'met' if self.met else 'missed'}{self._far(self.value)}"
        )

    def _far(self, value: float) -> str:
        far = abs(self.by)
        if far == 0:
            return ""
        if not self.limit:
            return f" by {short(far)}{_unit(self.unit)}"
        return f" by {far * 100:.0f} %" if far < _MANY else f", it is {short(value / self.limit)} times that"


def at_least(
    what: str, value: float | None, *limits: float, unit: str = "", then: float | None = None, why: str = ""
) -> list[Verdict]:
    """A verdict on each of ``limits`` and on ``then``, the goal beyond them."""
    return _verdicts(what, value, limits, unit, then, why, most=False)


def at_most(
    what: str, value: float | None, *limits: float, unit: str = "", then: float | None = None, why: str = ""
) -> list[Verdict]:
    """The same, for what should be small."""
    return _verdicts(what, value, limits, unit, then, why, most=True)


def judge(verdict: Verdict, value: float) -> Verdict:
    """``verdict`` with what was measured. A value that is no number misses every goal."""
    good = verdict.limit - value if verdict.most else value - verdict.limit
    by = good / verdict.limit if verdict.limit else good
    return msgspec.structs.replace(verdict, value=value, met=good >= 0, by=by if math.isfinite(by) else -math.inf)


def short(value: float) -> str:
    """A figure with as many digits as anybody reads."""
    return f"{value:,.0f}" if abs(value) >= 100 or value == round(value, 0) else f"{value:.2f}"


def _verdicts(
    what: str, value: float | None, limits: tuple[float, ...], unit: str, then: float | None, why: str, *, most: bool
) -> list[Verdict]:
    wanted = [Verdict(what, limit, most, unit, why=why) for limit in limits]
    if then is not None:
        wanted.append(Verdict(what, then, most, unit, then=True, why=why))
    return wanted if value is None else [judge(one, value) for one in wanted]


def _number(value: float) -> str:
    return f"{value:,.10g}"


def _unit(unit: str) -> str:
    return f" {unit}" if unit else ""
