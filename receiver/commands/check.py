"""``receiver check``: what is wrong with a config, found before it matters. Starts nothing."""

import argparse
import asyncio
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from receiver.errors import ConfigError
from receiver.plugins import check_vendors, make_sink
from receiver.redaction import redact_text
from receiver.settings import Settings, load
from sinks.base import Sink

_REACH_S = 10.0
_EPILOG = """\
examples:
  receiver check                          the defaults, and whether this folder can be written
  receiver check --config receiver.toml   also secrets, and whether each sink can be reached

Each problem is one line, `section.key: found …, allowed …`.
exit status: 0 all well, 1 something cannot be reached or written, 78 the config is wrong
"""


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
    problems: list[str] = []
    sinks: dict[str, Sink] = {}
    try:
        check_vendors(settings)
    except ConfigError as error:
        problems += error.problems
    for name, keys in settings.sinks.items():
        try:
            sinks[name] = make_sink(name, keys, settings.data_dir)[0]
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(*problems)
    source = arguments.config or "the defaults"
    _say("ok", "config", f"{source}: {len(settings.endpoints)} endpoints, {len(sinks)} sinks")
    results = [*_check_endpoints(settings), _check_tls(settings), _check_disk(settings), *asyncio.run(_reach(sinks))]
    for good, what, text in filter(None, results):
        _say("ok" if good else "bad", what, text)
    return 0 if all(result is None or result[0] for result in results) else 1


_Result = tuple[bool, str, str]


def _check_endpoints(settings: Settings) -> list[_Result]:
    found = []
    for one in settings.endpoints:
        held = [word for word, there in (("token", one.tokens or one.auto_token), ("signature", one.secrets)) if there]
        text = "takes " + (
            " or ".join(held) if held else 'anybody\'s deliveries: set token = "auto" before you expose it'
        )
        found.append((True, f"endpoints.{one.vendor}.{one.name}", text))
    return found


def _check_tls(settings: Settings) -> _Result | None:
    if not settings.server.tls_cert_file:
        return None
    import ssl

    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(
            settings.server.tls_cert_file, settings.server.tls_key_file
        )
    except (OSError, ssl.SSLError) as error:
        return False, "server.tls_cert_file", f"found a pair that does not load ({error}), allowed PEM files"
    return True, "server.tls_cert_file", "certificate and key load"


def _check_disk(settings: Settings) -> _Result:
    """The nearest folder that exists must be writable and have room; nothing is created."""
    folder = settings.data_dir.absolute()
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        return False, "data_dir", f"found {settings.data_dir}, which cannot be written, allowed a writable folder"
    free, wanted = shutil.disk_usage(folder).free, settings.journal.min_free_bytes
    if free < wanted:
        return False, "data_dir", f"found {free} bytes free, allowed at least {wanted} (journal.min_free_bytes)"
    return True, "data_dir", f"{settings.data_dir} can be written, {free / 1e9:.1f} GB free"


async def _reach(sinks: dict[str, Sink]) -> Sequence[_Result]:
    return await asyncio.gather(*(_reach_one(name, sink) for name, sink in sinks.items()))


async def _reach_one(name: str, sink: Sink) -> _Result:
    try:
        async with asyncio.timeout(_REACH_S):
            await sink.open()
    except TimeoutError:
        return False, f"sinks.{name}", f"found no answer within {_REACH_S:.0f} s, allowed a sink that can be reached"
    except Exception as error:
        return False, f"sinks.{name}", redact_text(f"found {error}, allowed a sink that can be reached")
    finally:
        await sink.close()
    return True, f"sinks.{name}", "can be reached"


def _say(verdict: str, what: str, text: str) -> None:
    stream = sys.stdout if verdict == "ok" else sys.stderr
    stream.write(f"{verdict:<4} {what}: {text}\n")
    stream.flush()
