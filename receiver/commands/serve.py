"""``receiver serve``: the server, until a signal ends it."""

import argparse
import errno
import gc
import os
import socket
import sqlite3
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from receiver import __version__
from receiver.app import Receiver
from receiver.errors import ConfigError, ReceiverError
from receiver.handover.leash import Leash
from receiver.handover.predecessor import Inheritance, Predecessor
from receiver.listening import activated, address_of
from receiver.loop import run_loop
from receiver.running import Running
from receiver.settings import Settings, load
from receiver.telemetry import log as logs

log = structlog.get_logger()
#: beyond ``server.drain_s``, for closing files: then a sink that is stuck is left behind
_GRACE_S = 5.0
#: full collections are rare: with 10,000 connections open, each stops everything for 100 to 200 ms
_COLLECT = (10_000, 20, 20)
#: how long a thread may hold the interpreter while another waits for it; Python's own default is 5 ms. A commit waits
#: for it twice, and with 0.1 ms the file sink loses more by it than anybody gains
_SWITCH_S = 0.0003
#: the longest transform of libsoxr, as a power of two (log2_large_dft_size in its soxr.h; what the environment says
#: counts for each run that begins). Its own is 17, for the sake of files: live sound would wait for a block to be full
SOXR_BLOCKS = "SOXR_LARGE_DFT_SIZE", "8"
_EPILOG = """\
examples:
  receiver serve                          defaults: 127.0.0.1:8080, ./receiver-data, sinks stdout and file
  receiver serve --config receiver.toml
  receiver serve --port 0                 any free port; the log says which

SIGTERM and SIGINT drain: stop accepting, finish requests, close sockets (1001), flush sinks, exit 0. What a sink
could not take by then is in the journal, and it gets that at the next start.
SIGHUP reloads, see `receiver reload --help`. Under systemd's socket activation it serves on the sockets it is given, in
place of server.host and server.port.
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
    """Serve until SIGTERM or SIGINT, or until another process has taken over."""
    inheritance = Inheritance.take(os.environ)
    if inheritance is None:
        return _run(arguments, activated(os.environ), Leash.fresh(), None)
    listening = [socket.socket(fileno=descriptor) for descriptor in inheritance.listening]
    predecessor = Predecessor(inheritance)
    leash = Leash.inherited(inheritance.leash)
    try:
        return _run(arguments, listening, leash, predecessor, activated_before=inheritance.activated)
    except (ReceiverError, OSError, sqlite3.Error) as error:
        run_loop(predecessor.failed(error))
        raise


def _run(
    arguments: argparse.Namespace,
    listening: list[socket.socket],
    leash: Leash,
    predecessor: Predecessor | None,
    *,
    activated_before: bool = False,
) -> int:
    by_systemd = activated_before or (bool(listening) and predecessor is None)

    def load_settings() -> Settings:
        overrides = {"host": arguments.host, "port": arguments.port}
        given = {key: value for key, value in overrides.items() if value is not None}
        if by_systemd:
            given |= address_of(listening)
        return load(arguments.config, server=given, data_dir=arguments.data)

    settings = load_settings()
    logs.configure(settings.log)

    def make() -> Running:
        return Running(load_settings, settings, listening, leash, activated=by_systemd, predecessor=predecessor)

    return run_loop(_serve(make, leash))


async def _serve(make: Callable[[], Running], leash: Leash) -> int:
    gc.set_threshold(*_COLLECT)
    sys.setswitchinterval(_SWITCH_S)
    os.environ.setdefault(*SOXR_BLOCKS)
    running = make()
    settings = running.receiver.settings
    try:
        await running.run(announce, lambda limit_s: _leave_within(limit_s, leash))
    except OSError as error:
        raise ConfigError(_why_not(settings, error)) from error
    except sqlite3.Error as error:
        raise ConfigError(f"data_dir: found {settings.data_dir}, whose journal does not open ({error})") from error
    log.info("server.stopped")
    return 0


def announce(receiver: Receiver) -> None:
    """Log where the server is to be found. Tokens are never logged: ``receiver urls`` prints them."""
    for one in receiver.settings.endpoints:
        accepted = [name for name, held in (("token", one.tokens), ("signature", one.signed)) if held]
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


def _leave_within(drain_s: float, leash: Leash) -> None:
    """End the process then, whatever a sink's thread is stuck in: everything that was answered is in the journal."""
    log.info("server.draining", drain_s=drain_s)
    limit_s = drain_s + _GRACE_S

    def leave() -> None:
        log.error("server.drain.forced", after_s=limit_s)
        leash.tell("exit", 0)
        os._exit(0)

    timer = threading.Timer(limit_s, leave)
    timer.daemon = True
    timer.start()
