"""The sockets that a config has us dial: ``[dial.NAME]``, with their tokens."""

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from receiver.secretnames import SecretNames
from receiver.sections import join, read_section, shown
from receiver.settings_checks import check_name, is_bearer_token, is_safe_url
from receiver.settings_sections import DialSettings


class Dial(msgspec.Struct, frozen=True, kw_only=True):
    """A socket to dial, its token resolved; :class:`DialSettings` says what the rest is. ``repr`` shows no token."""

    name: str
    vendor: str
    endpoint: str
    token: str
    url: str
    subject: str
    give_up_s: float
    quiet_s: float

    def __repr__(self) -> str:
        return f"Dial({self.name}, {self.vendor}/{self.endpoint})"


def read_dials(
    sections: Mapping[str, Any], endpoints: Mapping[str, Collection[str]], names: SecretNames, problems: list[str]
) -> list[Dial]:
    """The dials of ``sections``; ``endpoints`` are names by vendor. Adds a line to ``problems`` for each mistake."""
    found = []
    for name, keys in sections.items():
        section = join("dial", name)
        check_name(section, name, problems)
        one = read_section(keys, DialSettings, section, problems) or DialSettings()
        tokens = names.values(section, "token", [one.token_env], [one.token_file])
        _check(section, one, endpoints.get(one.vendor, ()), problems)
        if tokens and not is_bearer_token(tokens[0]):
            problems.append(f"{section}: found a token with a space or worse in it, allowed printable ASCII characters")
        found.append(
            Dial(
                name=name, vendor=one.vendor, endpoint=one.endpoint, token=tokens[0] if tokens else "", url=one.url,
                subject=one.subject, give_up_s=one.give_up_s, quiet_s=one.quiet_s,
            )
        )  # fmt: skip
    return found


def _check(section: str, one: DialSettings, endpoints: Collection[str], problems: list[str]) -> None:
    if bool(one.token_env) == bool(one.token_file):
        told = "both token_env and token_file" if one.token_env else "no token"
        problems.append(f"{section}: found {told}, allowed one of token_env and token_file")
    if one.endpoint not in endpoints:
        problems.append(
            f"{section}.endpoint: found {shown('', one.endpoint)}, allowed the name of an endpoint of {one.vendor};"
            f" there are: {', '.join(endpoints) or 'none'}"
        )
    if one.url and not is_safe_url(one.url, "wss", "ws"):
        problems.append(
            f"{section}.url: found {shown('', one.url)}, allowed a wss:// URL, or ws:// of this machine: the token is"
            " sent there"
        )
    if not one.give_up_s:
        problems.append(f"{section}.give_up_s: found 0, allowed more: nothing is dialled for ever")
