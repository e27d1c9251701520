"""One turn of a transcript, and whether an update belongs to it. Pure.

Vendors number turns per stream of their recogniser, or not at all, and start again from zero without a word. So beside
the number, times decide: a number that comes back with another beginning, or long after, is another turn.
"""

from enum import Enum, auto
from typing import Literal

import msgspec

from receiver.events import Person, Transcript

TurnState = Literal["open", "final", "cut"]
#: session, the vendor's number, and the speaker's id or name
Key = tuple[str | None, int | str | None, str]

#: beginnings of the same turn move by less, those of two turns lie further apart (seconds)
_NEAR_S, _FAR_S = 1.0, 5.0
#: an update of an unfinished turn comes within this time after the one before
_UPDATE_NS = 60 * 10**9
#: partials that trail behind the final, and finals that mend it
_TRAILING_NS, _MENDED_NS = 2 * 10**9, 5 * 10**9
#: longer than any stream of a recogniser
_MOST_S = 1e7


class Fit(Enum):
    """What an update is to a turn with its key: of it, too late to change it, or of another turn."""

    SAME = auto()
    STALE = auto()
    OTHER = auto()


class Turn(msgspec.Struct, eq=False, kw_only=True, array_like=True, gc=False):
    """One person's words without a break. ``time_ns``: of the newest update that counts; ``first_ns``: of the first.

    ``position_ns`` orders turns: where it begins on the recogniser's clock (``zero_ns`` is when that began), else when
    it was first told of.

    No cycle can lead through a turn, so the collector does not look at it: there are many.
    """

    key: Key
    speaker: Person | None
    first_ns: int
    time_ns: int
    received_ns: int
    position_ns: int
    zero_ns: int | None
    state: TurnState = "open"
    text: str = ""
    formatted: str = ""
    #: the text that ``formatted`` is a better form of
    formatted_from: str = ""
    start_s: float | None = None
    end_s: float | None = None
    language: str | None = None
    confidence: float | None = None
    final_id: str = ""
    characters: int = 0

    @property
    def shown(self) -> str:
        """The formatted text where it covers the words, with what was said after it; else the text.

        Words are counted, not compared: formatting turns "twenty five" into "25", and interim words are replaced.
        """
        if not self.formatted or self.text == self.formatted_from:
            return self.formatted or self.text
        words, covered_count = self.text.split(), len(self.formatted_from.split())
        if len(words) < covered_count:
            return self.text
        return " ".join([self.formatted, *words[covered_count:]])

    def fit(self, time_ns: int, data: Transcript, *, final: bool) -> Fit:
        """What an update with this turn's key is to it."""
        if self.state != "final":
            return self._fit_going(time_ns, data, final)
        return self._fit_again(time_ns, data) if final else self._fit_trailing(time_ns, data)

    def _fit_going(self, time_ns: int, data: Transcript, final: bool) -> Fit:
        age_ns = time_ns - self.time_ns
        if age_ns < 0 and not final:
            return Fit.STALE
        apart_s = _apart_s(self.start_s, data.start_s)
        if data.turn is None:
            if final and (time_ns < self.first_ns or _is_before(data, self.start_s)):
                return Fit.OTHER
        elif apart_s is not None and apart_s > _FAR_S:
            return Fit.OTHER
        return Fit.SAME if age_ns <= _UPDATE_NS or (apart_s is not None and apart_s <= _NEAR_S) else Fit.OTHER

    def _fit_trailing(self, time_ns: int, data: Transcript) -> Fit:
        """A partial after the final: late, or the first of another turn."""
        age_ns = time_ns - self.time_ns
        if data.turn is None:
            within = data.start_s is not None and self.end_s is not None and data.start_s < self.end_s
            return Fit.STALE if age_ns <= 0 or (within and age_ns <= _MENDED_NS) else Fit.OTHER
        apart_s = _apart_s(self.start_s, data.start_s)
        if apart_s is not None and apart_s > _FAR_S and age_ns > 0:
            return Fit.OTHER
        return Fit.STALE if age_ns <= _TRAILING_NS or (apart_s is not None and apart_s <= _NEAR_S) else Fit.OTHER

    def _fit_again(self, time_ns: int, data: Transcript) -> Fit:
        """A final after the final: the same once more, a better form of it, or another turn."""
        age_ns = time_ns - self.time_ns
        apart_s = _apart_s(self.start_s, data.start_s)
        said = _letters(data.text or data.formatted_text or "")
        alike = said == _letters(self.text) or (self.formatted != "" and said == _letters(self.formatted))
        if data.turn is None:
            same = alike and (age_ns == 0 if apart_s is None else apart_s == 0)
        elif alike and (apart_s is None or apart_s <= _NEAR_S):
            same = True
        else:
            same = abs(age_ns) <= _MENDED_NS and (apart_s is None or apart_s <= _FAR_S)
        if not same:
            return Fit.OTHER
        return Fit.SAME if age_ns >= 0 else Fit.STALE


def sane(start_s: float | None) -> float | None:
    """A time on a recogniser's clock; ``None`` where it cannot be one."""
    return start_s if start_s is not None and 0 <= start_s <= _MOST_S else None


def _apart_s(one_s: float | None, other_s: float | None) -> float | None:
    return None if one_s is None or other_s is None else abs(one_s - other_s)


def _is_before(data: Transcript, start_s: float | None) -> bool:
    """Whether ``data`` ends where a turn from ``start_s`` on begins, or earlier."""
    if start_s is None or data.start_s is None or data.end_s is None:
        return False
    return data.start_s < start_s and data.end_s <= start_s


def _letters(text: str) -> str:
    """Letters and digits in one case: spoken words, whatever their punctuation."""
    return "".join(letter for letter in text.casefold() if letter.isalnum())
