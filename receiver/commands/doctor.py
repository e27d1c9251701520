"""``receiver doctor``: is this installation well? Looks at journal, machine and sinks, and tries a delivery."""

import argparse
import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from receiver.commands import check
from receiver.delivery.select import Selection
from receiver.doctor import delivery, journal, machine
from receiver.doctor.finding import Finding
from receiver.errors import ConfigError
from receiver.plugins import check_vendors, make_sinks
from receiver.resources import lock
from receiver.secretfiles import LOCK, Runtime, read_runtime, with_auto_tokens
from receiver.settings import LogSettings, Settings, load
from receiver.telemetry import log as logs
from sinks.base import Sink, SinkConfig

_LIMIT_S = 15.0
_EPILOG = """\
examples:
  receiver doctor --config receiver.toml           beside the live server, or while none runs
  receiver doctor --config receiver.toml --json    one JSON object: {"ok": …, "live": …, "findings": […]}

What it looks at: every file of the journal, damaged files that were set aside, how far each sink is behind, quarantine
and dead letters, the cost of an fsync, room on the disk, the clock, the certificate, whether each sink can be reached,
and a delivery with token and signature through the whole way. Beside a live server that delivery is real: each
sink gets one `vendor.event` named receiver.doctor for each endpoint. All of the journal is
read, which may take minutes.
exit status: 0 all well or warnings only, 1 something is bad, 77 the server is another user's, 78 the config is wrong
"""


def register(subparsers: Any) -> None:
    """Add ``doctor``."""
    parser = subparsers.add_parser(
        "doctor",
        help="journal, disk, clock, sinks, and a test delivery",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file of the server")
    parser.add_argument("--data", metavar="DIR", help="data folder of the server, in place of data_dir")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    parser.add_argument("--wait", type=float, default=_LIMIT_S, metavar="SECONDS", help="longest wait for the test"
                        f" delivery to reach every sink (default {_LIMIT_S:.0f})")  # fmt: skip
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Look at everything, say each finding as it comes."""
    settings = load(arguments.config, data_dir=arguments.data)
    logs.configure(LogSettings(level="error"))
    check_vendors(settings)
    sinks = make_sinks(settings)
    with _server_or_lock(settings.data_dir) as (live, runtime):
        findings = []
        for finding in _findings(settings, sinks, live, runtime, arguments.wait):
            findings.append(finding)
            if not arguments.json:
                print(finding.line(), flush=True)
    well = all(finding.verdict != "bad" for finding in findings)
    if arguments.json:
        report = {"ok": well, "live": live, "findings": findings}
        print(msgspec.json.encode(report).decode())
    return 0 if well else 1


def _findings(
    settings: Settings, sinks: dict[str, tuple[Sink, SinkConfig]], live: bool, runtime: Runtime | None, limit_s: float
) -> Iterator[Finding]:
    clock, census = machine.Clock(), journal.Census()
    folder = settings.data_dir / "journal"
    selections = {name: Selection(config.types, config.subjects) for name, (_, config) in sinks.items()}
    if folder.is_dir():
        readers = [journal.Reader(name, selection.media) for name, selection in selections.items()]
        with _progress() as progress:
            yield from journal.examine(folder, readers, census, live=live, progress=progress)
    else:
        yield Finding("ok", "journal", f"none in {settings.data_dir} yet")
    yield machine.examine_sync(machine.nearest(settings.data_dir))
    yield machine.examine_disk(settings, census.bytes)
    if settings.server.tls_cert_file:
        yield machine.examine_certificate(settings.server.tls_cert_file, settings.server.tls_key_file)
    yield from _reach(settings, {name: sink for name, (sink, _) in sinks.items()})
    if runtime is not None:
        wanted = {name: bool(selection.pick([delivery.SPECIMEN])) for name, selection in selections.items()}
        yield from asyncio.run(delivery.examine_live(runtime.url, with_auto_tokens(settings), wanted, limit_s))
    elif live:
        yield Finding("warn", "delivery", "a server holds the data folder and does not say where it listens",
                      "try again when it has started")  # fmt: skip
    else:
        yield from _at_rest(settings, limit_s)
    yield clock.examine(journal.newest_in_future(census, folder))


def _at_rest(settings: Settings, limit_s: float) -> list[Finding]:
    try:
        return asyncio.run(delivery.examine_at_rest(settings, limit_s))
    except (ConfigError, OSError) as error:
        return [Finding("bad", "delivery", f"the server does not start ({error})", "see `receiver check`")]


def _reach(settings: Settings, sinks: dict[str, Sink]) -> Iterator[Finding]:
    if not sinks:
        yield Finding("warn", "sinks", "found none: deliveries are journalled and go nowhere")
    with check.no_new_folders(settings.data_dir):
        for one in asyncio.run(check.reach(sinks)):
            yield Finding(one.verdict, one.what, one.text)


@contextlib.contextmanager
def _server_or_lock(data_dir: Path) -> Iterator[tuple[bool, Runtime | None]]:
    """Whether a server runs on the folder, and where. Where none does, none can start before this is over.

    Raises ``Unauthorized`` where the server is another user's.
    """
    runtime = read_runtime(data_dir)
    if runtime is not None or not (data_dir / LOCK).exists():
        yield runtime is not None, runtime
        return
    try:
        held = lock(data_dir)
    except ConfigError:
        yield True, None
        return
    try:
        yield False, None
    finally:
        os.close(held)


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Say on a terminal how far it is."""
    if not sys.stderr.isatty():
        yield lambda text: None
        return
    yield lambda text: print(f"\r\x1b[K{text}\r", end="", file=sys.stderr, flush=True)
    print("\r\x1b[K", end="", file=sys.stderr, flush=True)
