"""``receiver replay``: a span of the journal, decoded again, written to one sink once more."""

import argparse
import asyncio
import sqlite3
import sys
import time
from typing import Any

import aiohttp
import msgspec

from receiver.app import Receiver
from receiver.commands.arguments import add_server_options, moment
from receiver.commands.client import stream
from receiver.delivery.replay import Progress, ReplayOrder
from receiver.errors import Malformed, ReceiverError
from receiver.events import format_time
from receiver.secretfiles import Runtime, read_runtime
from receiver.settings import LogSettings, Settings, load
from receiver.telemetry import log as logs

_PROGRESS_S = 2.0
_EPILOG = """\
examples:
  receiver replay --from 2h --sink kafka --dry-run                     what would be written: counts by type
  receiver replay --from 2h --sink kafka
  receiver replay --from 2026-06-10T09:00 --to 2026-06-10T10:00 --subject bot-1 --types 'transcript.*' --sink http
  receiver replay --from 1d --types bot.status chat.message --sink http
  receiver replay --from 30m --sink http --paced --speed 4        the pauses of the first time, a quarter as long

Times are those of arrival (`receivedtime`), ISO 8601 (UTC where they name no zone), or an age: 90s, 30m, 2h, 7d, 1w.
Everything is decoded again from the bytes as they came, so a mended decoder counts. Ids and sequence numbers stay what
they were. The sink's own types, subjects, raw and secrets apply.

Only what the sink has had already is replayed: what still waits for it comes by itself. What the far side refuses
becomes a dead letter. A file sink skips what its files have, or have gone past: their lines are in order of sequence.
To fill them anew, stop the server (a live sink holds its files open), move the files away, replay. A wav sink likewise.

Works on a live server, between the live events, and without one (it then opens the journal and that sink itself).
exit status: 0 replayed, 1 nothing found, something refused, or ended early, 2 a wrong time, range, type or sink,
78 the config is wrong
"""


def register(subparsers: Any) -> None:
    """Add ``replay``."""
    parser = subparsers.add_parser(
        "replay",
        help="write events of the journal to a sink once more",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--from", dest="from_ns", required=True, type=moment, metavar="TIME", help="first arrival")
    parser.add_argument("--to", dest="to_ns", type=moment, metavar="TIME", help="last arrival (default: now)")
    parser.add_argument("--sink", required=True, metavar="NAME", help="where to, as the config names it")
    parser.add_argument("--subject", dest="subjects", nargs="+", default=["*"], metavar="ID", help="bot or meeting ids")
    parser.add_argument("--types", nargs="+", default=["*"], metavar="TYPE", help="event types; * as wildcard")
    parser.add_argument("--dry-run", action="store_true", help="count, write nothing")
    parser.add_argument("--paced", action="store_true", help="keep the original spacing")
    parser.add_argument("--speed", type=_speed, metavar="X", help="with --paced: so many times as fast (default 1)")
    add_server_options(parser)
    parser.set_defaults(run=run, parser=parser)


def run(arguments: argparse.Namespace) -> int:
    """Replay, on the live server or at rest."""
    if arguments.speed is not None and not arguments.paced:
        arguments.parser.error("--speed goes with --paced")
    order = ReplayOrder(
        sink=arguments.sink,
        from_ns=arguments.from_ns,
        to_ns=time.time_ns() if arguments.to_ns is None else arguments.to_ns,
        types=arguments.types,
        subjects=arguments.subjects,
        speed=(arguments.speed or 1.0) if arguments.paced else 0.0,
        dry_run=arguments.dry_run,
    )
    try:
        order.check()
    except Malformed as problem:
        arguments.parser.error(str(problem))
    settings = load(arguments.config, data_dir=arguments.data, need_secrets=False)
    if not (settings.data_dir / "journal").is_dir():
        sys.stderr.write(f"receiver: no journal in {settings.data_dir}: no server has run there yet\n")
        return 1
    runtime = read_runtime(settings.data_dir)
    report = _Report()
    if runtime is not None:
        _replay_live(runtime, order, report, arguments.parser)
    else:
        if order.sink not in settings.sinks:
            names = ", ".join(settings.sinks) or "none"
            arguments.parser.error(f"no sink is called {order.sink!r}; there are: {names}")
        asyncio.run(_replay_at_rest(settings, order, report))
    return report.finish(order)


def _replay_live(runtime: Runtime, order: ReplayOrder, report: "_Report", parser: argparse.ArgumentParser) -> None:
    def hear(line: dict[str, Any]) -> None:
        if "error" in line:
            report.error = str(line["error"])
        elif line.get("done"):
            report.error = ""
        elif line:
            report.show(msgspec.convert(line, Progress))

    report.error = "the server ended in the middle"
    try:
        status = stream(runtime, "/api/replay", order, hear)
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        report.error = f"no answer from the server: {error}"
        return
    if status == 404:
        parser.error(report.error)


async def _replay_at_rest(settings: Settings, order: ReplayOrder, report: "_Report") -> None:
    """Without a server: open the journal and the sink, replay, close."""
    logs.configure(LogSettings(level="warning"))
    receiver = Receiver(msgspec.structs.replace(settings, sinks={order.sink: settings.sinks[order.sink]}))
    async with receiver.at_rest():
        replay = receiver.replay(order)

        async def work() -> None:
            try:
                await replay.run()
            except (ReceiverError, sqlite3.Error, OSError) as error:
                report.error = str(error)

        async with asyncio.TaskGroup() as group:
            task = group.create_task(work())
            while not task.done():
                await asyncio.wait((task,), timeout=_PROGRESS_S)
                report.show(replay.progress)


class _Report:
    """Progress on standard error once it takes a while, the result on standard output."""

    def __init__(self) -> None:
        self.error = ""
        self._progress = Progress()
        self._told_s = time.monotonic()

    def show(self, progress: Progress) -> None:
        """Told every two seconds at most."""
        self._progress = progress
        if time.monotonic() - self._told_s < _PROGRESS_S:
            return
        self._told_s = time.monotonic()
        span = progress.end - progress.begin
        share = 100 * (progress.at - progress.begin) // span if span > 0 else 100
        sys.stderr.write(f"{share:>3} %  {sum(progress.found.values())} found, {progress.written} taken\n")

    def finish(self, order: ReplayOrder) -> int:
        """Say what was done; the exit status."""
        progress = self._progress
        found = sum(progress.found.values())
        if self.error:
            sys.stderr.write(f"receiver: {self.error}\n")
        if not found:
            if not self.error:
                sys.stderr.write(
                    f"receiver: nothing that {order.sink} has had arrived between {format_time(order.from_ns)} and"
                    f" {format_time(order.to_ns)} and fits\n"
                )
            self._say_rest()
            return 1
        for kind, count in sorted(progress.found.items()):
            sys.stdout.write(f"{count:>10}  {kind}\n")
        done = "would be written" if order.dry_run else f"found, {progress.written} taken"
        span = f"from {format_time(progress.first_ns)} to {format_time(progress.last_ns)}"
        sys.stdout.write(f"{found:>10}  {done} {'to' if order.dry_run else 'by'} {order.sink}, {span}\n")
        self._say_rest()
        return 1 if self.error or progress.refused else 0

    def _say_rest(self) -> None:
        progress = self._progress
        if progress.refused:
            sys.stderr.write(f"{progress.refused} refused: see `receiver dead list`\n")
        if progress.undecodable:
            sys.stderr.write(f"{progress.undecodable} sequence numbers that no decoder takes: see the log\n")
        if progress.waiting:
            sys.stderr.write("newer events still wait for the sink: they come by themselves\n")


def _speed(text: str) -> float:
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is no speed; allowed a number above 0, such as 1 or 2.5")
    return speed
