"""The settings that librdkafka is given: defaults, the operator's own, secrets from the environment. Pure.

Also the one place that knows which of them are secret, so that neither an error nor a log line can show one.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from receiver.errors import ConfigError

#: What the guarantee of this sink rests on: setting -> (allowed values, the first is sent). Nothing may override it.
FIXED: dict[str, tuple[str, ...]] = {"enable.idempotence": ("true",), "acks": ("all", "-1")}
#: Settings under which a success would never be reported, or a batch would never be committed.
REFUSED: dict[str, tuple[str, ...]] = {
    "request.required.acks": FIXED["acks"],
    "delivery.report.only.error": ("false",),
    "transactional.id": (),
}
HIDDEN = "[hidden]"
_SECRET = re.compile(r"password|secret|\.pem$|oauthbearer\.config|assertion\.|\.credentials", re.IGNORECASE)


class ClientSettings:
    """``values`` for librdkafka, and :meth:`hide`, which takes their secrets out of a text."""

    def __init__(self, values: dict[str, str], secrets: frozenset[str]) -> None:
        self.values = values
        self._secrets = sorted((secret for secret in secrets if secret), key=len, reverse=True)

    def __repr__(self) -> str:
        return f"ClientSettings({', '.join(sorted(self.values))})"

    def hide(self, text: str) -> str:
        """``text`` with every secret value replaced."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return text


def client_settings(
    section: str,
    defaults: Mapping[str, str],
    config: Mapping[str, Any],
    config_env: Mapping[str, Any],
    environ: Mapping[str, str],
) -> ClientSettings:
    """Merge ``defaults``, ``config`` (setting -> value) and ``config_env`` (setting -> environment variable's name).

    Tables may be nested, because TOML reads ``sasl.mechanism = "PLAIN"`` as one. ``section`` is named in errors.
    Raises: ConfigError with one line for each problem.
    """
    problems: list[str] = []
    values = dict(defaults)
    for key, value in _flat(config):
        if not isinstance(value, str | int | float):
            problems.append(f"{section}.config.{key}: found {type(value).__name__}, allowed text, number, true, false")
        else:
            values[key] = str(value).lower() if isinstance(value, bool) else str(value)
    secrets = {value for key, value in values.items() if _SECRET.search(key)}
    for key, variable in _flat(config_env):
        secret = environ.get(variable) if isinstance(variable, str) else None
        if secret is None:
            problems.append(f"{section}.config_env.{key}: found {variable!r}, allowed the name of a set variable")
        else:
            values[key] = secret
            secrets.add(secret)
    for key, allowed in _breaches(values):
        problems.append(f"{section}.config.{key}: found {values[key]}, allowed {allowed}")
    if problems:
        raise ConfigError(*problems)
    values.update({key: allowed[0] for key, allowed in FIXED.items()})
    return ClientSettings(values, frozenset(secrets))


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _breaches(values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for key, allowed in {**FIXED, **REFUSED}.items():
        if key in values and values[key] not in allowed:
            yield key, " or ".join(allowed[:1]) or "nothing: it is not supported"
