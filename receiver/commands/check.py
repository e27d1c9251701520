"""``receiver check``: what is wrong with a config, found before it matters. Starts nothing, leaves nothing behind."""

import argparse
import asyncio
import contextlib
import errno
import os
import shutil
import socket
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec

from receiver.commands.urls import UNSIGNED_BOTS
from receiver.errors import BadSignature, ConfigError, Unauthorized
from receiver.plugins import check_vendors, make_sinks
from receiver.redaction import redact_text
from receiver.rest import APIS
from receiver.secretfiles import read_runtime
from receiver.settings import Account, Endpoint, LogSettings, Settings, is_loopback, load
from receiver.telemetry import log as logs
from receiver.vendors.base import Scheme
from sinks.base import Sink

_REACH_S = 15.0
_CLOSE_S = 5.0
_EPILOG = """\
examples:
  receiver check                          the defaults, and whether this folder can be written
  receiver check --config receiver.toml   also secrets, TLS files, the port, and whether each sink can be reached

Each problem is one line on standard error, `section.key: found …, allowed …`. Lines that begin with `warn` are worth
a look and change no exit status.
exit status: 0 all well, 1 something cannot be reached or written, 78 the config is wrong
"""


class Finding(msgspec.Struct, frozen=True):
    """One line of the report."""

    verdict: Literal["ok", "warn", "bad"]
    what: str
    text: str
    #: whether the config itself is wrong, so that waiting or repairing elsewhere does not help
    config: bool = False


def register(subparsers: Any) -> None:
    """Add ``check``."""
    parser = subparsers.add_parser(
        "check",
        help="validate a config, its secrets, sinks and disk",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file; without it, the defaults are checked")
    parser.add_argument("--data", metavar="DIR", help="data folder, in place of data_dir")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Check everything; all problems are shown, not only the first."""
    settings = load(arguments.config, data_dir=arguments.data)
    logs.configure(LogSettings(level="error"))
    problems: list[str] = []
    sinks: dict[str, Sink] = {}
    try:
        check_vendors(settings)
    except ConfigError as error:
        problems += error.problems
    try:
        sinks = {name: sink for name, (sink, _) in make_sinks(settings).items()}
    except ConfigError as error:
        problems += error.problems
    if problems:
        raise ConfigError(*problems)
    counts = f"{_count(len(settings.endpoints), 'endpoint')}, {_count(len(sinks), 'sink')}"
    findings = [Finding("ok", "config", f"{arguments.config or 'the defaults'}: {counts}")]
    _say(findings[0])
    for finding in _findings(settings, sinks):
        _say(finding)
        findings.append(finding)
    bad = [finding for finding in findings if finding.verdict == "bad"]
    if not bad:
        return 0
    sys.stderr.write(f"{_count(len(bad), 'problem')}\n")
    return 78 if any(finding.config for finding in bad) else 1


def _findings(settings: Settings, sinks: dict[str, Sink]) -> Iterator[Finding]:
    yield from (_check_endpoint(one) for one in settings.endpoints)
    yield from (_check_account(one) for one in settings.accounts)
    yield _check_readers(settings)
    if settings.server.tls_cert_file:
        yield _check_tls(settings)
    yield _check_port(settings)
    disk = _check_disk(settings)
    yield disk
    if not sinks:
        yield Finding("warn", "sinks", "found none: deliveries are journalled and go nowhere")
    if disk.verdict != "bad":
        with no_new_folders(settings.data_dir):
            yield from asyncio.run(reach(sinks))


def _check_endpoint(one: Endpoint) -> Finding:
    what = f"endpoints.{one.vendor}.{one.name}"
    held = [word for word, there in (("token", one.tokens or one.auto_token), ("signature", one.signed)) if there]
    if one.scheme and one.signed:
        held[-1] = f"signature in {one.scheme.signed_in}"
        if unfit := sum(not _is_key(one.scheme, secret) for secret in one.secrets):
            text = f"found {_count(unfit, 'secret')} that its scheme can make no key of, allowed what scheme.key says"
            return Finding("bad", f"{what}.secret_env", text, config=True)
    if held == ["signature"] and one.vendor == "meetstream":
        return Finding("warn", what, f"takes deliveries that show its signature{UNSIGNED_BOTS}")
    if held:
        return Finding("ok", what, f"takes deliveries that show its {' or '.join(held)}")
    return Finding("warn", what, 'takes anybody\'s deliveries: set token = "auto" before others can reach it')


def _is_key(scheme: Scheme, secret: str) -> bool:
    try:
        scheme.sign(b"", [secret], 0.0)
    except BadSignature:
        return False
    return True


def _check_account(one: Account) -> Finding:
    """What is asked of a vendor by itself; nothing is sent."""
    what = f"accounts.{one.vendor}.{one.name}"
    load = APIS.get(one.vendor)
    if load is None:
        return Finding("bad", what, f"found no client for {one.vendor}, allowed {', '.join(APIS)}", config=True)
    api = load()
    if unknown := [kind for kind in one.fetch if kind not in api.KINDS]:
        text = f"found {', '.join(unknown)}, allowed for {one.vendor} {', '.join(api.KINDS)}"
        return Finding("bad", f"{what}.fetch", text, config=True)
    if one.reconcile and not api.RECONCILES:
        return Finding("bad", f"{what}.reconcile", "found true, allowed false: the vendor keeps no record", config=True)
    asked = [f"fetches {', '.join(one.fetch)}"] if one.fetch else []
    asked += ["compares with the vendor's record"] if one.reconcile else []
    return Finding("ok", what, " and ".join(asked) or "for commands only: nothing is fetched by itself")


def _check_readers(settings: Settings) -> Finding:
    """Who reads events, sound, meetings and the page."""
    if settings.readers:
        held = "; ".join(f"{one.name} ({', '.join(one.scopes)})" for one in settings.readers)
        return Finding("ok", "readers", f"what is live is read with the token of {held}")
    if is_loopback(settings.server.host):
        return Finding("ok", "readers", "found none: only this machine reads what is live")
    return Finding("warn", "readers", f"found none, and server.host = {settings.server.host} is no loopback address:"
                   ' nobody reads what is live; add [readers.NAME] with token = "auto"')  # fmt: skip


def _check_tls(settings: Settings) -> Finding:
    files = settings.server.tls_cert_file, settings.server.tls_key_file
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(*files)
    except (OSError, ssl.SSLError) as error:
        text = f"found a pair that does not load ({error}), allowed PEM files"
        return Finding("bad", "server.tls_cert_file", text, config=True)
    return Finding("ok", "server.tls_cert_file", "certificate and key load")


def _check_port(settings: Settings) -> Finding:
    """Whether the port is to be had, by taking it for a moment without listening."""
    host, port = settings.server.host, settings.server.port
    where = f"{host}:{port}"
    try:
        live = read_runtime(settings.data_dir) is not None
    except Unauthorized:
        live = True
    if live:
        return Finding("ok", "server.port", f"a receiver is running on this data folder; {where} was not tried")
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM):
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return Finding("warn", "server.port", f"found {where} in use at this moment, allowed a free port")
        return Finding("bad", "server.host", f"found {where}, which cannot be had ({error.strerror or error}),"
                       " allowed an address of this machine and a port that this user may have")  # fmt: skip
    return Finding("ok", "server.port", f"{where} is free")


def _check_disk(settings: Settings) -> Finding:
    """The nearest folder that exists must be writable and have room; nothing is created."""
    folder = settings.data_dir.absolute()
    while not os.path.lexists(folder):
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        text = f"found {settings.data_dir}, which cannot be written, allowed a writable folder"
        return Finding("bad", "data_dir", text)
    free, wanted = shutil.disk_usage(folder).free, settings.journal.min_free_bytes
    if free < wanted:
        text = f"found {free} bytes free, allowed at least {wanted} (journal.min_free_bytes)"
        return Finding("bad", "data_dir", text)
    return Finding("ok", "data_dir", f"{settings.data_dir} can be written, {free / 1e9:.1f} GB free")


@contextlib.contextmanager
def no_new_folders(data_dir: Path) -> Iterator[None]:
    """Opening a sink may make its folder. Made by another user than the server's, it would lock the server out."""
    before = _folders(data_dir)
    try:
        yield
    finally:
        for folder in sorted(_folders(data_dir) - before, reverse=True):
            with contextlib.suppress(OSError):
                Path(folder).rmdir()


def _folders(root: Path) -> set[str]:
    return {folder for folder, _, _ in os.walk(root)}


async def reach(sinks: dict[str, Sink]) -> list[Finding]:
    """Open and close each sink, all at once; below :func:`no_new_folders`."""
    return await asyncio.gather(*(_reach_one(name, sink) for name, sink in sinks.items()))


async def _reach_one(name: str, sink: Sink) -> Finding:
    what = f"sinks.{name}"
    allowed = "allowed a sink that can be reached"
    try:
        async with asyncio.timeout(_REACH_S):
            await sink.open()
    except TimeoutError:
        return Finding("bad", what, f"found no answer within {_REACH_S:.0f} s, {allowed}")
    except ConfigError as error:
        key, _, text = error.problems[0].partition(": ")
        return Finding("bad", key if text else what, redact_text(text or key), config=True)
    except Exception as error:
        return Finding("bad", what, redact_text(f"found {error or type(error).__name__}, {allowed}"))
    finally:
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_CLOSE_S):
                await sink.close()
    return Finding("ok", what, "can be reached")


def _say(finding: Finding) -> None:
    stream = sys.stdout if finding.verdict == "ok" else sys.stderr
    line = " ".join(finding.text.split())
    stream.write(f"{finding.verdict:<4} {finding.what}: {line}\n")
    stream.flush()


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
