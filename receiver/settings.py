"""Configuration: one frozen tree, loaded once from TOML. Unknown keys, wrong types and missing secrets stop the start.

Secrets are named, never written: ``token_env`` is the name of an environment variable, ``token_file`` of a file.
Every problem is one line, ``section.key: found …, allowed …``.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from receiver.errors import ConfigError

Port = Annotated[int, Meta(ge=0, le=65535)]
Positive = Annotated[int, Meta(gt=0)]
NotNegative = Annotated[int, Meta(ge=0)]
Seconds = Annotated[float, Meta(ge=0)]
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}\Z")
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class _Section(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    pass


class ServerSettings(_Section, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """``[server]``: the one port, and what a client may cost."""

    host: str = "127.0.0.1"
    port: Port = 8080
    #: https://… as vendors see it; only ``receiver urls`` uses it
    public_url: str = ""
    tls_cert_file: str = ""
    tls_key_file: str = ""
    #: largest HTTP body
    max_body_bytes: Positive = 10 << 20
    #: largest WebSocket message; video pieces are large
    max_message_bytes: Positive = 16 << 20
    #: a request must be complete within this time
    request_timeout_s: Seconds = 30.0
    #: protocol pings on quiet sockets; a peer that does not answer is gone
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
    #: newest records kept in memory for sinks that keep up
    tail_bytes: NotNegative = 32 << 20
    #: ``media`` only: time between syncs to disk
    sync_every_ms: NotNegative = 0


class JournalSettings(_Section, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """``[journal]``."""

    events: LaneSettings = LaneSettings(max_bytes=8 << 30, max_age_s=7 * 86400)
    media: LaneSettings = LaneSettings(max_bytes=16 << 30, max_age_s=86400, sync_every_ms=1000)
    quarantine: LaneSettings = LaneSettings(max_bytes=1 << 30, max_age_s=30 * 86400, tail_bytes=0)
    #: keys remembered to recognise repeated deliveries
    dedup_entries: Positive = 200_000
    dedup_window_s: Seconds = 48 * 3600.0
    #: deliveries without any time or id of the vendor's are repeats only within this time
    dedup_untimed_window_s: Seconds = 10.0
    #: readiness turns red below this much free disk
    min_free_bytes: NotNegative = 256 << 20


class EndpointSettings(_Section, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """``[endpoints.VENDOR.NAME]``: one URL path. Without token and secret anybody who reaches it may deliver."""

    #: ``auto``: made at first start, kept in the data folder, shown by ``receiver urls``
    token: Literal["", "auto"] = ""
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
) -> Settings:
    """Read ``path`` (``None``: the defaults); ``server`` and ``data_dir`` from a command line outweigh it.

    Raises ``ConfigError`` with every problem that was found.
    """
    raw: dict[str, Any] = {}
    if path is not None:
        try:
            raw = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ConfigError(f"config: found no file {path}, allowed a readable TOML file") from None
        except OSError as error:
            raise ConfigError(f"config: cannot read {path}: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"config: {path} is not TOML: {error}") from error
    if server and isinstance(raw.get("server", {}), dict):
        raw["server"] = {**raw.get("server", {}), **server}
    if data_dir is not None:
        raw["data_dir"] = data_dir
    return from_dict(raw, environ, base=path.parent if path is not None else Path())


def from_dict(raw: Mapping[str, Any], environ: Mapping[str, str] = os.environ, base: Path = Path()) -> Settings:
    """Settings from a parsed TOML document; relative paths are relative to the working directory."""
    file = _convert(raw)
    problems: list[str] = []
    endpoints = []
    for vendor, named in file.endpoints.items():
        for name, keys in named.items():
            section = f"endpoints.{vendor}.{name}"
            try:
                endpoint = msgspec.convert(keys, EndpointSettings)
            except msgspec.ValidationError as error:
                problems.append(explain(error, keys, section))
                continue
            if not _NAME.match(name):
                problems.append(f"{section}: found name {name!r}, allowed lower-case letters, digits, - and _")
            resolver = _Resolver(section, environ, base, problems)
            tokens = resolver.values([endpoint.token_env], [endpoint.token_file], "token")
            secrets = resolver.values(endpoint.secret_env, endpoint.secret_file, "secret")
            auto = endpoint.token != ""
            if not (tokens or secrets or auto or endpoint.open) and file.server.host not in _LOOPBACK:
                problems.append(
                    f"{section}: found no token and no secret while server.host = {file.server.host!r} is reachable"
                    ' from other machines, allowed token = "auto", token_env, token_file, secret_env, or open = true'
                )
            endpoints.append(Endpoint(vendor=vendor, name=name, tokens=tokens, secrets=secrets, auto_token=auto))
    for name, sink in file.sinks.items():
        if not _NAME.match(name):
            problems.append(f"sinks.{name}: found this name, allowed lower-case letters, digits, - and _")
        if not isinstance(sink.get("type"), str):
            problems.append(
                f"sinks.{name}.type: found {sink.get('type', 'nothing')!r}, allowed the name of a sink type"
            )
    if bool(file.server.tls_cert_file) != bool(file.server.tls_key_file):
        problems.append("server.tls_key_file: found only one of certificate and key, allowed both or none")
    admin = _Resolver("admin", environ, base, problems).values([file.admin.token_env], [file.admin.token_file], "token")
    if problems:
        raise ConfigError(*problems)
    return Settings(
        data_dir=Path(file.data_dir),
        server=file.server,
        journal=file.journal,
        log=file.log,
        endpoints=tuple(endpoints),
        sinks=file.sinks,
        admin_token=admin[0] if admin else "",
    )


class _Resolver:
    """Turns the names of secrets into secrets; notes a problem for each that is missing."""

    def __init__(self, section: str, environ: Mapping[str, str], base: Path, problems: list[str]) -> None:
        self._section, self._environ, self._base, self._problems = section, environ, base, problems

    def values(self, variables: list[str], files: list[str], what: str) -> tuple[str, ...]:
        found = []
        for variable in filter(None, variables):
            value = self._environ.get(variable, "").strip()
            if value:
                found.append(value)
            else:
                self._note(what, "env", f"the name {variable!r} of an environment variable that is not set or empty")
        for name in filter(None, files):
            try:
                value = (self._base / name).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                self._note(what, "file", f"{name!r}, which cannot be read ({type(error).__name__})")
                continue
            if value:
                found.append(value)
            else:
                self._note(what, "file", f"{name!r}, which is empty")
        return tuple(found)

    def _note(self, what: str, kind: str, found: str) -> None:
        self._problems.append(f"{self._section}.{what}_{kind}: found {found}, allowed one that holds the {what}")


def _convert(raw: Mapping[str, Any]) -> _File:
    merged = dict(raw)
    journal = merged.get("journal")
    if isinstance(journal, dict):  # a lane that names one key keeps the defaults of the others
        defaults = JournalSettings()
        lanes = {
            lane: msgspec.to_builtins(getattr(defaults, lane)) | journal[lane]
            for lane in ("events", "media", "quarantine")
            if isinstance(journal.get(lane), dict)
        }
        merged["journal"] = journal | lanes
    try:
        return msgspec.convert(merged, _File)
    except msgspec.ValidationError as error:
        raise ConfigError(explain(error, merged)) from error


def explain(error: msgspec.ValidationError, raw: Any, prefix: str = "") -> str:
    """``section.key: found …, allowed …`` out of msgspec's words. Values are shown: secrets never stand in a config."""
    text = str(error)
    words, _, where = text.partition(" - at `")
    path = [part for part in re.split(r"[.\[\]`$]+", where) if part]
    unknown = re.search(r"unknown field `([^`]*)`", words)
    missing = re.search(r"required field `([^`]*)`", words)
    if unknown or missing:
        path.append((unknown or missing).group(1))  # type: ignore[union-attr]
    value = raw
    for part in path:
        if isinstance(value, list):
            value = value[int(part)] if part.isdigit() and int(part) < len(value) else None
        else:
            value = value.get(part, ...) if isinstance(value, dict) else ...
    key = ".".join([prefix, *path] if prefix else path) or "config"
    if unknown:
        return f"{key}: found an unknown key, allowed the keys of config/receiver.toml"
    if missing:
        return f"{key}: found nothing, allowed a value: the key is required"
    found = "nothing" if value is ... else repr(value)
    if words.startswith("Invalid enum value"):
        return f"{key}: found {found}, allowed one of the values that config/receiver.toml lists"
    allowed = words.removeprefix("Expected ").split(", got ")[0].replace("`", "")
    return f"{key}: found {found}, allowed {allowed}"
