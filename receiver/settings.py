"""Configuration: one frozen tree, loaded once from TOML. Unknown keys, wrong types and missing secrets stop the start.

Secrets are named, never written: ``token_env`` is the name of an environment variable, ``token_file`` of a file.
Every problem is one line, ``section.key: found …, allowed …``. Every key stands in ``config/receiver.toml``.
"""

import ipaddress
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from receiver.errors import ConfigError
from receiver.secretnames import SecretNames
from receiver.sections import join, read_section, shown

_MOST = 1 << 60
Port = Annotated[int, Meta(ge=0, le=65535)]
Positive = Annotated[int, Meta(ge=1, le=_MOST)]
NotNegative = Annotated[int, Meta(ge=0, le=_MOST)]
#: up to thirty years; neither infinite nor NaN
Seconds = Annotated[float, Meta(ge=0, le=1e9)]
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}\Z")
_NAME_WORDS = "lower-case letters, digits, - and _"


class _Section(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    pass


class ServerSettings(_Section, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """``[server]``: the one port, and what a client may cost."""

    host: str = "127.0.0.1"
    port: Port = 8080
    #: https://… as vendors see it; only ``receiver urls`` uses it
    public_url: str = ""
    #: PEM files, to serve TLS without a proxy; relative to the config's folder
    tls_cert_file: str = ""
    tls_key_file: str = ""
    #: largest HTTP body
    max_body_bytes: Positive = 10 << 20
    #: largest WebSocket message; video pieces are large
    max_message_bytes: Positive = 16 << 20
    #: a request must be complete within this time
    request_timeout_s: Seconds = 30.0
    #: bytes of bodies that are under way at any moment, of all clients together; beyond it they wait, then 503
    max_inflight_bytes: Positive = 256 << 20
    #: bytes of WebSocket messages that are not complete, of all sockets together; beyond it they are read in turn
    max_inflight_message_bytes: Positive = 128 << 20
    #: a new connection must show a complete head within this time
    head_timeout_s: Seconds = 10.0
    #: a connection without a request is closed after this time; longer than the proxy in front keeps it
    idle_timeout_s: Seconds = 150.0
    #: open connections; new ones beyond are told 503
    max_connections: Positive = 20_000
    #: failed credentials of an address, beyond which it is told 429; a valid one always passes; 0 = no limit
    max_bad_tokens_per_minute: NotNegative = 60
    #: protocol pings on quiet sockets; a peer that does not answer is gone; 0 = none
    heartbeat_s: Seconds = 60.0
    #: a socket that comes back within this time continues its stream
    resume_s: Seconds = 600.0
    #: SIGTERM: longest time to finish requests, close sockets and flush sinks
    drain_s: Seconds = 15.0


class LaneSettings(_Section, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """``[journal.events]``, ``[journal.media]``, ``[journal.quarantine]``: retention, by whichever comes first."""

    max_bytes: Positive
    max_age_s: Seconds
    #: files are deleted as a whole: the grain of retention
    segment_bytes: Positive = 64 << 20
    #: memory for the newest records, decoded, for sinks that keep up
    tail_bytes: NotNegative = 8 << 20
    #: ``media`` only: time between syncs to disk; the others are synced before anything is answered
    sync_every_ms: NotNegative = 0


class JournalSettings(_Section, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """``[journal]``."""

    events: LaneSettings = LaneSettings(max_bytes=8 << 30, max_age_s=7 * 86400)
    media: LaneSettings = LaneSettings(max_bytes=16 << 30, max_age_s=86400, tail_bytes=16 << 20, sync_every_ms=1000)
    quarantine: LaneSettings = LaneSettings(max_bytes=1 << 30, max_age_s=30 * 86400, tail_bytes=0)
    #: deliveries remembered to recognise repeats
    dedup_entries: Positive = 200_000
    dedup_window_s: Seconds = 48 * 3600.0
    #: deliveries without any time or id of the vendor's are repeats only within this time
    dedup_untimed_window_s: Seconds = 10.0
    #: readiness turns red below this much free disk
    min_free_bytes: NotNegative = 256 << 20
    #: below these no media, and no transcripts, are taken; callbacks are as long as there is any
    min_free_media_bytes: NotNegative = 256 << 20
    min_free_transcript_bytes: NotNegative = 64 << 20


class EndpointSettings(_Section, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """``[endpoints.VENDOR.NAME]``: one URL path. Without token and secret anybody who reaches it may deliver."""

    #: ``auto``: made at first start, kept in the data folder, shown by ``receiver urls``
    token: Literal["", "auto"] = ""
    #: environment variable, or file relative to the config's folder, that holds the token
    token_env: str = ""
    token_file: str = ""
    #: environment variables that hold signing secrets; any may fit, so that they can be rotated
    secret_env: list[str] = []
    secret_file: list[str] = []
    #: take deliveries without any credential although the server is reachable from other machines
    open: bool = False


class AdminSettings(_Section, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """``[admin]``: who may send commands to bots over HTTP."""

    token_env: str = ""
    token_file: str = ""


class LogSettings(_Section, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """``[log]``: structured logs on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "text", "auto"] = "auto"


def _default_endpoints() -> dict[str, dict[str, dict[str, Any]]]:
    return {"meetstream": {"default": {}}}


def _default_sinks() -> dict[str, dict[str, Any]]:
    return {"stdout": {"type": "stdout"}, "file": {"type": "file"}}


class _File(_Section, kw_only=True, frozen=True, forbid_unknown_fields=True):
    data_dir: str = "receiver-data"
    server: ServerSettings = ServerSettings()
    journal: JournalSettings = JournalSettings()
    log: LogSettings = LogSettings()
    admin: AdminSettings = AdminSettings()
    endpoints: dict[str, dict[str, dict[str, Any]]] = msgspec.field(default_factory=_default_endpoints)
    sinks: dict[str, dict[str, Any]] = msgspec.field(default_factory=_default_sinks)


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint with its secrets resolved. ``repr`` shows none of them."""

    vendor: str
    name: str
    tokens: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    auto_token: bool = False

    def __repr__(self) -> str:
        return f"Endpoint({self.vendor}/{self.name}, {len(self.tokens)} tokens, {len(self.secrets)} secrets)"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that ``serve`` needs to know."""

    data_dir: Path
    server: ServerSettings
    journal: JournalSettings
    log: LogSettings
    endpoints: tuple[Endpoint, ...]
    sinks: dict[str, dict[str, Any]]
    admin_token: str = ""

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
    _check_server(file.server, problems)
    endpoints = _endpoints(file, names, problems, need_secrets=need_secrets)
    _check_journal(file.journal, problems)
    _check_sinks(file.sinks, problems)
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
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that listens on ``host``."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _endpoints(file: _File, names: SecretNames, problems: list[str], *, need_secrets: bool) -> list[Endpoint]:
    found = []
    for vendor, named in file.endpoints.items():
        for name, keys in named.items():
            section = join(join("endpoints", vendor), name)
            if not _NAME.match(name):
                problems.append(f"{section}: found the name {shown('', name)}, allowed {_NAME_WORDS}")
            one = read_section(keys, EndpointSettings, section, problems) or EndpointSettings()
            tokens = names.values(section, "token", [one.token_env], [one.token_file])
            secrets = names.values(section, "secret", one.secret_env, one.secret_file)
            named_any = any((one.token, one.token_env, one.token_file, *one.secret_env, *one.secret_file))
            if need_secrets and not (named_any or one.open or is_loopback(file.server.host)):
                problems.append(
                    f"{section}: found no token and no secret while server.host = {shown('', file.server.host)} is"
                    ' reachable from other machines, allowed token = "auto", token_env, token_file, secret_env,'
                    " secret_file, or open = true"
                )
            auto = one.token == "auto"  # noqa: S105 - a keyword, no token
            found.append(Endpoint(vendor=vendor, name=name, tokens=tokens, secrets=secrets, auto_token=auto))
    return found


def _check_server(server: ServerSettings, problems: list[str]) -> None:
    try:
        server.host.encode("idna")
    except UnicodeError:
        problems.append(f"server.host: found {shown('', server.host)}, allowed an IP address or a host name")
    if server.max_inflight_message_bytes < 2 * server.max_message_bytes:
        problems.append(
            f"server.max_inflight_message_bytes: found {server.max_inflight_message_bytes}, allowed at least twice"
            f" server.max_message_bytes = {server.max_message_bytes}"
        )
    if server.max_inflight_bytes < 4 * server.max_body_bytes:
        problems.append(
            f"server.max_inflight_bytes: found {server.max_inflight_bytes}, allowed at least four times"
            f" server.max_body_bytes = {server.max_body_bytes}"
        )
    for given, missing in (("tls_cert_file", "tls_key_file"), ("tls_key_file", "tls_cert_file")):
        if getattr(server, given) and not getattr(server, missing):
            problems.append(f"server.{missing}: found nothing beside server.{given}, allowed both or none")


def _check_journal(journal: JournalSettings, problems: list[str]) -> None:
    """A 2xx means: on disk. Only media, which nobody is answered for, may wait."""
    for lane in ("events", "quarantine"):
        if wait_ms := getattr(journal, lane).sync_every_ms:
            problems.append(f"journal.{lane}.sync_every_ms: found {wait_ms}, allowed 0: a 2xx means that it is on disk")
    if journal.min_free_transcript_bytes > journal.min_free_media_bytes:
        problems.append(
            f"journal.min_free_transcript_bytes: found {journal.min_free_transcript_bytes}, allowed at most"
            f" journal.min_free_media_bytes = {journal.min_free_media_bytes}: media go first"
        )


def _check_sinks(sinks: Mapping[str, dict[str, Any]], problems: list[str]) -> None:
    for name, keys in sinks.items():
        section = join("sinks", name)
        if not _NAME.match(name):
            problems.append(f"{section}: found the name {shown('', name)}, allowed {_NAME_WORDS}")
        if not isinstance(keys.get("type"), str):
            problems.append(f"{section}.type: found {shown('', keys.get('type'))}, allowed the name of a sink type")


def _with_files(server: ServerSettings, base: Path) -> ServerSettings:
    files = {key: str(base / getattr(server, key)) for key in ("tls_cert_file", "tls_key_file") if getattr(server, key)}
    return msgspec.structs.replace(server, **files) if files else server
