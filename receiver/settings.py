"""Configuration: one frozen tree, loaded once from TOML. Unknown keys, wrong types and missing secrets stop the start.

Secrets are named, never written: ``token_env`` is the name of an environment variable, ``token_file`` of a file.
Every problem is one line, ``section.key: found …, allowed …``. Every key stands in ``config/receiver.toml``.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from receiver.errors import ConfigError
from receiver.secretnames import SecretNames
from receiver.sections import join, read_section, shown
from receiver.settings_checks import (
    check_journal,
    check_live,
    check_name,
    check_server,
    check_sinks,
    is_loopback,
    is_safe_url,
)
from receiver.settings_dial import Dial, read_dials
from receiver.settings_scheme import read_scheme
from receiver.settings_sections import (
    AccountSettings,
    AdminSettings,
    DialSettings,
    EndpointSettings,
    JournalSettings,
    LaneSettings,
    LiveSettings,
    LogSettings,
    MeetingsSettings,
    ReaderSettings,
    Section,
    ServerSettings,
)
from receiver.vendors.base import Scheme

__all__ = [
    "Account",
    "AccountSettings",
    "AdminSettings",
    "Dial",
    "DialSettings",
    "Endpoint",
    "EndpointSettings",
    "JournalSettings",
    "LaneSettings",
    "LiveSettings",
    "LogSettings",
    "Reader",
    "ReaderSettings",
    "ServerSettings",
    "Settings",
    "from_dict",
    "is_loopback",
    "load",
]


def _default_endpoints() -> dict[str, dict[str, dict[str, Any]]]:
    return {"meetstream": {"default": {}}}


def _default_sinks() -> dict[str, dict[str, Any]]:
    return {"stdout": {"type": "stdout"}, "file": {"type": "file"}}


class _File(Section, kw_only=True, frozen=True, forbid_unknown_fields=True):
    data_dir: str = "receiver-data"
    server: ServerSettings = ServerSettings()
    journal: JournalSettings = JournalSettings()
    log: LogSettings = LogSettings()
    admin: AdminSettings = AdminSettings()
    live: LiveSettings = LiveSettings()
    meetings: MeetingsSettings = MeetingsSettings()
    readers: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)
    endpoints: dict[str, dict[str, dict[str, Any]]] = msgspec.field(default_factory=_default_endpoints)
    accounts: dict[str, dict[str, dict[str, Any]]] = msgspec.field(default_factory=dict)
    dial: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)
    sinks: dict[str, dict[str, Any]] = msgspec.field(default_factory=_default_sinks)


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint with its secrets resolved. ``repr`` shows none of them."""

    vendor: str
    name: str
    tokens: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    auto_token: bool = False
    key_url: str = ""
    #: in place of the vendor's own way to sign and to name
    scheme: Scheme | None = None

    @property
    def signed(self) -> bool:
        """Whether there is something to check a signature with."""
        return bool(self.secrets or self.key_url)

    def __repr__(self) -> str:
        return f"Endpoint({self.vendor}/{self.name}, {len(self.tokens)} tokens, {len(self.secrets)} secrets)"


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A vendor's REST API with its secret resolved. ``repr`` does not show it. ``base_url`` empty: the vendor's own."""

    vendor: str
    name: str
    key: str = ""
    id: str = ""
    base_url: str = ""
    fetch: tuple[str, ...] = ()
    reconcile: bool = False
    give_up_s: float = 3600.0

    def __repr__(self) -> str:
        return f"Account({self.vendor}/{self.name})"


class Reader(msgspec.Struct, frozen=True, kw_only=True):
    """A reader with its tokens resolved. ``repr`` shows none of them."""

    name: str
    scopes: tuple[str, ...]
    tokens: tuple[str, ...] = ()
    auto_token: bool = False
    #: with what nobody sees who reads
    redact: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Reader({self.name}, {', '.join(self.scopes)}, {len(self.tokens)} tokens)"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that ``serve`` needs to know."""

    data_dir: Path
    server: ServerSettings
    journal: JournalSettings
    log: LogSettings
    endpoints: tuple[Endpoint, ...]
    sinks: dict[str, dict[str, Any]]
    admin_token: str = ""
    live: LiveSettings = LiveSettings()
    meetings: MeetingsSettings = MeetingsSettings()
    readers: tuple[Reader, ...] = ()
    accounts: tuple[Account, ...] = ()
    dials: tuple[Dial, ...] = ()

    def __repr__(self) -> str:
        return f"Settings({self.data_dir}, {self.endpoints}, sinks {', '.join(self.sinks)})"


def load(
    path: Path | None,
    environ: Mapping[str, str] = os.environ,
    *,
    server: Mapping[str, Any] | None = None,
    data_dir: str | None = None,
    need_secrets: bool = True,
) -> Settings:
    """Read ``path`` (``None``: the defaults); ``server`` and ``data_dir`` from a command line outweigh it.

    ``need_secrets`` = False: secrets that are not to be had are left out. For commands that only look for the server.
    Raises ``ConfigError`` with every problem that was found.
    """
    raw: dict[str, Any] = {}
    if path is not None:
        try:
            raw = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ConfigError(f"config: found no file {path}, allowed a readable TOML file") from None
        except OSError as error:
            problem = f"config: found {path}, which cannot be read ({error.strerror}), allowed a readable TOML file"
            raise ConfigError(problem) from error
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"config: found {path}, which is not TOML ({error}), allowed a TOML file") from error
    if server and isinstance(raw.get("server", {}), dict):
        raw["server"] = {**raw.get("server", {}), **server}
    if data_dir is not None:
        raw["data_dir"] = data_dir
    return from_dict(raw, environ, base=path.parent if path is not None else Path(), need_secrets=need_secrets)


def from_dict(
    raw: Mapping[str, Any], environ: Mapping[str, str] = os.environ, base: Path = Path(), *, need_secrets: bool = True
) -> Settings:
    """Settings from a parsed TOML document.

    ``data_dir`` is relative to the working directory; files of tokens, secrets and certificates are relative to
    ``base``, the folder of the config.
    """
    problems: list[str] = []
    file = read_section(raw, _File, "", problems) or _File()
    secret_problems: list[str] = []
    names = SecretNames(environ, base, secret_problems)
    check_server(file.server, problems)
    endpoints = _endpoints(file, names, problems, need_secrets=need_secrets)
    accounts = _accounts(file, names, problems)
    check_journal(file.journal, problems)
    check_sinks(file.sinks, problems)
    check_live(file.live, problems)
    readers = _readers(file, names, problems)
    dials = read_dials(file.dial, file.endpoints, names, problems)
    admin = file.admin
    if admin.token_env and admin.token_file:
        problems.append("admin.token_file: found beside admin.token_env, allowed one of the two")
    admin_tokens = names.values("admin", "token", [admin.token_env], [admin.token_file])
    if need_secrets:
        problems += secret_problems
    if problems:
        raise ConfigError(*problems)
    return Settings(
        data_dir=Path(file.data_dir),
        server=_with_files(file.server, base),
        journal=file.journal,
        log=file.log,
        endpoints=tuple(endpoints),
        sinks=file.sinks,
        admin_token=admin_tokens[0] if admin_tokens else "",
        live=file.live,
        meetings=file.meetings,
        readers=tuple(readers),
        accounts=tuple(accounts),
        dials=tuple(dials),
    )


def _endpoints(file: _File, names: SecretNames, problems: list[str], *, need_secrets: bool) -> list[Endpoint]:
    found = []
    for vendor, named in file.endpoints.items():
        for name, keys in named.items():
            section = join(join("endpoints", vendor), name)
            check_name(section, name, problems)
            one = read_section(keys, EndpointSettings, section, problems) or EndpointSettings()
            tokens = names.values(section, "token", [one.token_env], [one.token_file])
            secrets = names.values(section, "secret", one.secret_env, one.secret_file)
            named_any = any((one.token, one.token_env, one.token_file, *one.secret_env, *one.secret_file, one.key_url))
            if need_secrets and not (named_any or one.open or is_loopback(file.server.host)):
                problems.append(
                    f"{section}: found no token and no secret while server.host = {shown('', file.server.host)} is"
                    ' reachable from other machines, allowed token = "auto", token_env, token_file, secret_env,'
                    " secret_file, or open = true"
                )
            auto = one.token == "auto"  # noqa: S105 - a keyword, no token
            if one.key_url and not is_safe_url(one.key_url, "https", "http"):
                problems.append(
                    f"{section}.key_url: found {shown('', one.key_url)}, allowed an https:// URL: who can change the"
                    " key can sign"
                )
            if one.key_url and secrets:
                problems.append(
                    f"{section}.key_url: found beside secrets, allowed one of the two: pinned keys need no URL"
                )
            found.append(
                Endpoint(
                    vendor=vendor,
                    name=name,
                    tokens=tokens,
                    secrets=secrets,
                    auto_token=auto,
                    key_url=one.key_url,
                    scheme=read_scheme(vendor, one.scheme, join(section, "scheme"), problems),
                )
            )
    return found


def _accounts(file: _File, names: SecretNames, problems: list[str]) -> list[Account]:
    found = []
    for vendor, named in file.accounts.items():
        for name, keys in named.items():
            section = join(join("accounts", vendor), name)
            one = read_section(keys, AccountSettings, section, problems) or AccountSettings()
            if name not in file.endpoints.get(vendor, {}):
                problems.append(
                    f"{section}: found no endpoint of this name, allowed accounts that belong to one: add"
                    f" [{join(join('endpoints', vendor), name)}]"
                )
            if one.key_env and one.key_file:
                problems.append(f"{section}.key_file: found beside {section}.key_env, allowed one of the two")
            keys_found = names.values(section, "key", [one.key_env], [one.key_file])
            if not (one.key_env or one.key_file):
                problems.append(f"{section}: found no key, allowed key_env or key_file")
            if one.base_url and not is_safe_url(one.base_url, "https", "http"):
                problems.append(
                    f"{section}.base_url: found {shown('', one.base_url)}, allowed an https:// URL: the key goes there"
                )
            found.append(
                Account(
                    vendor=vendor,
                    name=name,
                    key=keys_found[0] if keys_found else "",
                    id=one.id,
                    base_url=one.base_url,
                    fetch=tuple(dict.fromkeys(one.fetch)),
                    reconcile=one.reconcile,
                    give_up_s=one.give_up_s,
                )
            )
    return found


def _readers(file: _File, names: SecretNames, problems: list[str]) -> list[Reader]:
    found = []
    for name, keys in file.readers.items():
        section = join("readers", name)
        check_name(section, name, problems)
        one = read_section(keys, ReaderSettings, section, problems) or ReaderSettings()
        tokens = names.values(section, "token", [one.token_env], [one.token_file])
        if not any((one.token, one.token_env, one.token_file)):
            problems.append(f'{section}: found no token, allowed token = "auto", token_env or token_file')
        if not one.scopes:
            problems.append(f"{section}.scopes: found an empty list, allowed one with something in it")
        hidden = tuple(sorted({*one.redact, *file.live.redact}))
        if "text" in hidden and "audio" in one.scopes:
            problems.append(
                f'{section}.scopes: found "audio" while what is said is redacted, allowed scopes without it: sound'
                " cannot be redacted"
            )
        auto = one.token == "auto"  # noqa: S105 - a keyword, no token
        found.append(Reader(name=name, scopes=tuple(one.scopes), tokens=tokens, auto_token=auto, redact=hidden))
    return found


def _with_files(server: ServerSettings, base: Path) -> ServerSettings:
    files = {key: str(base / getattr(server, key)) for key in ("tls_cert_file", "tls_key_file") if getattr(server, key)}
    return msgspec.structs.replace(server, **files) if files else server
