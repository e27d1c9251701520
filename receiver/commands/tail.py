"""``receiver tail``: events as they happen, or as the journal has them, on the terminal."""

import argparse
import asyncio
import os
import shutil
import sqlite3
import sys
import time
from typing import Any

from receiver.commands.arguments import add_server_options, moment, server_journal
from receiver.commands.client import live_server, shown_token
from receiver.commands.follow import Stream
from receiver.commands.paint import Painter
from receiver.errors import Malformed
from receiver.events import format_time
from receiver.live.query import Begin, Filter, make_filter
from receiver.live.stored import stored
from receiver.secretfiles import Runtime, read_runtime
from receiver.settings import LogSettings, load
from receiver.telemetry import log as logs

_LAST_HOUR_NS = 3600 * 10**9
_EPILOG = """\
examples:
  receiver tail                                    the last hour, from the journal; needs no server
  receiver tail --follow                           from now on, as it happens; Ctrl-C ends it
  receiver tail --follow --from 10m                the last ten minutes, then as it happens
  receiver tail --follow --type 'transcript.*' --final
  receiver tail --subject bot-1 --from start --json > bot-1.jsonl
  receiver tail --from 2026-06-10T09:00 --type bot.status chat.message
  receiver tail --follow --url https://receiver.example.org --token-env READER_TOKEN

--from takes a sequence number (the first one to show), a time of arrival (ISO 8601, UTC where it names no zone), an age
(90s, 30m, 2h, 7d, 1w) or start: the oldest that is kept. On a terminal, what is still being said is grey and replaced
in place; NO_COLOR is respected. Sound and video are shown only where --type names them: 'audio.*'.
A connection that is lost is dialled again and goes on where it was. What is missing in the journal is said.
exit status: 0 shown, 1 nothing fits, no server, or the journal cannot be read, 2 a wrong argument, 77 no permission
"""


def register(subparsers: Any) -> None:
    """Add ``tail``."""
    parser = subparsers.add_parser(
        "tail",
        help="show events as they happen, or those of the journal",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--follow", "-f", action="store_true", help="go on with what happens")
    parser.add_argument("--from", dest="begin", type=_begin, metavar="TIME|SEQ", help="where to begin (see below)")
    parser.add_argument(
        "--type", dest="types", nargs="+", default=[], metavar="TYPE", help="event types; * as wildcard"
    )
    parser.add_argument("--subject", dest="subjects", nargs="+", default=[], metavar="ID", help="bot or meeting ids")
    parser.add_argument("--vendor", dest="vendors", nargs="+", default=[], metavar="NAME", help="vendors")
    parser.add_argument("--final", action="store_true", help="no transcript.partial")
    parser.add_argument("--json", action="store_true", help="one CloudEvents object a line")
    add_server_options(parser)
    parser.add_argument("--url", help="with --follow: a server elsewhere, e.g. https://receiver.example.org")
    parser.add_argument("--token-env", metavar="NAME", help="environment variable with that server's reader token")
    parser.set_defaults(run=run, parser=parser)


def run(arguments: argparse.Namespace) -> int:
    """Show events until there are no more, or until Ctrl-C."""
    try:
        wanted = make_filter(arguments.types, arguments.subjects, arguments.vendors, final=arguments.final)
    except Malformed as problem:
        arguments.parser.error(str(problem))
    if arguments.url and not arguments.follow:
        arguments.parser.error("--url goes with --follow: without it, the journal of this machine is read")
    logs.configure(LogSettings(level="error"))
    painter = make_painter(as_json=arguments.json)
    try:
        if arguments.follow:
            return _follow(arguments, painter)
        return _show_stored(arguments, wanted, painter)
    except KeyboardInterrupt:
        painter.close()
        return 0 if arguments.follow else 130
    except BrokenPipeError:  # whoever read has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def make_painter(*, as_json: bool) -> Painter:
    """As standard output is."""
    terminal = sys.stdout.isatty() and os.environ.get("TERM", "") not in ("", "dumb")
    colour = terminal and not os.environ.get("NO_COLOR")
    return Painter(
        sys.stdout, as_json=as_json, colour=colour, columns=shutil.get_terminal_size().columns if terminal else 0
    )


def _show_stored(arguments: argparse.Namespace, wanted: Filter, painter: Painter) -> int:
    _, folder = server_journal(arguments)
    if not folder.is_dir():
        return 1
    begin = arguments.begin or Begin(since_ns=time.time_ns() - _LAST_HOUR_NS)
    count = 0
    try:
        for one in stored(folder, wanted, begin):
            painter.show(one)
            count += 1
    except (sqlite3.Error, OSError) as error:
        if isinstance(error, BrokenPipeError):
            raise
        sys.stderr.write(f"receiver: the journal in {folder} cannot be read: {error}\n")
        return 1
    painter.close()
    if not count:
        hint = "" if arguments.begin else " in the last hour: --from start shows everything"
        sys.stderr.write(f"receiver: the journal has nothing that fits{hint}\n")
    return 0 if count else 1


def _follow(arguments: argparse.Namespace, painter: Painter) -> int:
    settings = load(arguments.config, data_dir=arguments.data, need_secrets=False)
    token = shown_token(arguments.token_env)
    first = live_server(settings.data_dir, arguments.url, token)
    if first is None:
        return 1

    def find() -> Runtime | None:
        return first if arguments.url else read_runtime(settings.data_dir)

    parameters = [("types", one) for one in arguments.types]
    parameters += [("subject", one) for one in arguments.subjects]
    parameters += [("vendor", one) for one in arguments.vendors]
    parameters += [("final", "true")] if arguments.final else []

    async def show() -> None:
        async for one in Stream(find, parameters, _after(arguments.begin)):
            painter.show(one)
            painter.flush()

    asyncio.run(show())
    return 0


def _begin(text: str) -> Begin:
    """``--from``."""
    text = text.strip()
    if text == "start":
        return Begin(after=0)
    if text.isdecimal() and text.isascii():
        return Begin(after=max(0, int(text) - 1))
    return Begin(since_ns=moment(text))


def _after(begin: Begin | None) -> str:
    """The same for a server; nothing is now."""
    if begin is None:
        return ""
    return format_time(begin.since_ns) if begin.since_ns is not None else str(begin.after or 0)
