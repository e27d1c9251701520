"""The secrets behind the names in a config: environment variables and files. Reads them, keeps none."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from receiver.sections import shown

#: how variables are usually called; what looks otherwise may be the secret itself and is not shown
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,63}\Z")


class SecretNames:
    """Turns names into secrets; adds a line to ``problems`` for each that leads to none.

    Files are relative to ``base``. White space around a secret is not part of it.
    """

    def __init__(self, environ: Mapping[str, str], base: Path, problems: list[str]) -> None:
        self._environ, self._base, self._problems = environ, base, problems

    def values(self, section: str, what: str, variables: Sequence[str], files: Sequence[str]) -> tuple[str, ...]:
        """The secrets of ``<what>_env`` and ``<what>_file`` in ``section``; an empty name stands for none."""
        found = []
        for variable in filter(None, variables):
            value = self._environ.get(variable, "").strip()
            if value:
                found.append(value)
            else:
                name = repr(variable) if _VARIABLE.match(variable) else "a name (not shown: is it the secret itself?)"
                self._note(section, what, "env", f"{name}, which is not set or empty", "the name of a variable")
        for name in filter(None, files):
            try:
                value = (self._base / name).read_text(encoding="utf-8").strip()
            except (OSError, ValueError) as error:
                told = error.strerror if isinstance(error, OSError) else "not text"
                self._note(section, what, "file", f"{shown('', name)}, which cannot be read ({told})", "a file")
                continue
            if value:
                found.append(value)
            else:
                self._note(section, what, "file", f"{shown('', name)}, which is empty", "a file")
        return tuple(found)

    def _note(self, section: str, what: str, kind: str, found: str, allowed: str) -> None:
        self._problems.append(f"{section}.{what}_{kind}: found {found}, allowed {allowed} that holds the {what}")
