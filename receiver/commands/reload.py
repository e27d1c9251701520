"""``receiver reload``: a changed config, or newly installed code, without losing or refusing a delivery."""

import argparse
import sys
from typing import Any

import aiohttp

from receiver.commands.arguments import add_server_options
from receiver.commands.client import live_server, post
from receiver.settings import load

#: to start a process, to let go of the journal and to open it
_PATIENCE_S = 180.0
_EPILOG = """\
examples:
  receiver reload --config receiver.toml              the config was edited: put it in force
  receiver reload --config receiver.toml --restart    a new version was installed
  kill -HUP PID                                       the same as the first, for those who know the process

What changed decides: tokens, signing secrets, sinks and [log] change in the running server, which interrupts nothing
else. For anything else, and where nothing changed, a new process takes over the port and the old one serves its
connections to their end: deliveries wait for a moment and none is refused; sockets are closed with 1012, and streams
whose peer dials again continue. A config that is wrong, or a process that does not come up, changes nothing.

Environment variables are those that the server was started with; data_dir cannot change. Sockets that were accepted
with a token stay when the token goes. The process that was started first stays until the last one ends, and passes
signals on: supervisors notice nothing.
exit status: 0 it is in force, 1 no server, or the new process did not come up, 77 not allowed, 78 the config is wrong
"""


def register(subparsers: Any) -> None:
    """Add ``reload``."""
    parser = subparsers.add_parser(
        "reload",
        help="put a changed config or new code in force, with no gap",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_server_options(parser)
    parser.add_argument("--restart", action="store_true", help="a new process in any case")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Ask the live server, and tell what came of it."""
    settings = load(arguments.config, data_dir=arguments.data, need_secrets=False)
    runtime = live_server(settings.data_dir, None, None)
    if runtime is None:
        return 1
    try:
        status, answer = post(runtime, "/api/reload", {"restart": arguments.restart}, timeout_s=_PATIENCE_S)
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        sys.stderr.write(f"receiver: no answer from {runtime.url}: {error}\n")
        return 1
    if status != 200:
        sys.stderr.write("".join(f"receiver: {line}\n" for line in str(answer.get("error", answer)).splitlines()))
        return {400: 78, 401: 77}.get(status, 1)
    changed = f"changed: {', '.join(answer['changed'])}" if answer["changed"] else "nothing in the config changed"
    if answer["how"] == "in place":
        sys.stdout.write(f"in force in process {answer['pid']}; {changed}\n")
    else:
        sys.stdout.write(f"process {answer['pid']} has taken over from {runtime.pid}; {changed}\n")
    return 0
