"""``receiver serve``: the server, until a signal ends it."""

import argparse
import asyncio
import errno
import gc
import os
import signal
import sqlite3
import threading
from pathlib import Path
from typing import Any

import structlog

from receiver import __version__
from receiver.app import Receiver
from receiver.errors import ConfigError, ReceiverError
from receiver.settings import Settings, load
from receiver.telemetry import log as logs

log = structlog.get_logger()
#: beyond ``server.drain_s``, for closing files: then a sink that is stuck is left behind
_GRACE_S = 5.0
#: full collections are rare: with 10,000 connections open, each stops everything for 100 to 200 ms
_COLLECT = (10_000, 20, 20)
_EPILOG = """\
examples:
  receiver serve                          defaults: 127.0.0.1:8080, ./receiver-data, sinks stdout and file
  receiver serve --config receiver.toml
  receiver serve --port 0                 any free port; the log says which

SIGTERM and SIGINT drain: stop accepting, finish requests, close sockets (1001), flush sinks, exit 0. What a sink
could not take by then is in the journal, and it gets that at the next start.
Events of the stdout sink go to standard output, logs to standard error.
exit status: 0 drained, 78 the config is wrong or its port or data folder cannot be had
"""


def register(subparsers: Any) -> None:
    """Add ``serve``."""
    parser = subparsers.add_parser(
        "serve", help="run the server", epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file; without it, sensible defaults")
    parser.add_argument("--host", help="address to listen on, in place of server.host")
    parser.add_argument("--port", type=int, help="port to listen on, in place of server.port; 0 = any free one")
    parser.add_argument("--data", metavar="DIR", help="data folder, in place of data_dir")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    overrides = {"host": arguments.host, "port": arguments.port}
    settings = load(arguments.config, server={key: value for key, value in overrides.items() if value is not None},
                    data_dir=arguments.data)  # fmt: skip
    logs.configure(settings.log)
    return run_loop(serve(settings))


async def serve(settings: Settings) -> int:
    """Start, wait for a signal, stop."""
    gc.set_threshold(*_COLLECT)
    receiver = Receiver(settings)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        await receiver.start()
    except OSError as error:
        raise ConfigError(_why_not(settings, error)) from error
    except sqlite3.Error as error:
        raise ConfigError(f"data_dir: found {settings.data_dir}, whose journal does not open ({error})") from error
    try:
        announce(receiver)
        await stop.wait()
    finally:
        _leave_within(settings.server.drain_s + _GRACE_S)
        log.info("server.draining", drain_s=settings.server.drain_s)
        await receiver.stop()
    log.info("server.stopped")
    return 0


def announce(receiver: Receiver) -> None:
    """Log where the server is to be found. Tokens are never logged: ``receiver urls`` prints them."""
    for one in receiver.settings.endpoints:
        accepted = [name for name, held in (("token", one.tokens), ("signature", one.secrets)) if held]
        url = f"{receiver.url}/{one.vendor}/{one.name}"
        log.info(
            "endpoint.serving",
            url=url,
            sockets="ws" + url.removeprefix("http") + "/{audio,video,transcript,control}",
            proof=" or ".join(accepted) or "none: anybody who reaches it may deliver",
        )
    log.info(
        "server.ready",
        url=receiver.url,
        health=f"{receiver.url}/healthz",
        ready=f"{receiver.url}/readyz",
        metrics=f"{receiver.url}/metrics",
        data=str(receiver.settings.data_dir),
        sinks=list(receiver.workers),
        version=__version__,
    )


def _why_not(settings: Settings, error: OSError) -> str:
    """Which key is to blame for an error of the operating system at start."""
    if error.filename is not None:
        return f"data_dir: found {settings.data_dir}, which cannot be used ({error}), allowed a writable folder"
    where = f"{settings.server.host}:{settings.server.port}"
    if error.errno == errno.EADDRINUSE:
        return f"server.port: found {where}, which is in use, allowed a free port"
    key = "server.port" if error.errno in (errno.EACCES, errno.EPERM) else "server.host"
    return f"{key}: found {where}, which cannot be served ({error.strerror or error}), allowed one of this machine"


def _leave_within(limit_s: float) -> None:
    """End the process then, whatever a sink's thread is stuck in: everything that was answered is in the journal."""

    def leave() -> None:
        log.error("server.drain.forced", after_s=limit_s)
        os._exit(0)

    timer = threading.Timer(limit_s, leave)
    timer.daemon = True
    timer.start()


def run_loop(main: Any) -> int:
    """Run a coroutine on uvloop where it is installed."""
    try:
        import uvloop
    except ImportError:
        factory = None
    else:
        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        try:
            status: int = runner.run(main)
        except BaseExceptionGroup as group:
            first = next(iter(_leaves(group)))
            raise first if isinstance(first, ReceiverError) else group from None
        return status


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
