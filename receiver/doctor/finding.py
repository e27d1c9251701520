"""One thing that was looked at, and what came of it."""

from typing import Any, Literal

import msgspec

Verdict = Literal["ok", "warn", "bad"]


class Finding(msgspec.Struct, frozen=True):
    """``text`` is for people; ``facts`` are the numbers behind it, for machines; ``advice`` says what to do."""

    verdict: Verdict
    what: str
    text: str
    advice: str = ""
    facts: dict[str, Any] = {}

    def line(self) -> str:
        """``verdict what: text, advice`` on one line."""
        text = f"{self.text}; {self.advice}" if self.advice else self.text
        return f"{self.verdict:<4} {self.what}: {' '.join(text.split())}"


def count(number: int, what: str) -> str:
    """``1 file``, ``2,000 files``."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
