"""``receiver demo``: watch meetings pass through the real server, then see the books balance."""

import argparse
import secrets
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from receiver.commands.arguments import count, speed
from receiver.loop import run_loop
from receiver.simulator import STAND_INS, Tally
from receiver.telemetry import log as logs

if TYPE_CHECKING:
    from receiver.demo import Line, Report

_EPILOG = """\
examples:
  receiver demo                      one meeting of about half a minute, in real time
  receiver demo --speed 10           ten times faster
  receiver demo --speed 0 --meetings 5
  receiver demo --data ./mydemo      keep the files there
  receiver demo --vendor all --speed 0
                                     all vendors' services on loopback: meetings are created over REST, and fetched

A real server starts on a free loopback port; simulated MeetStream bots send it callbacks, transcripts, audio and video
over real HTTP and WebSockets; the events leave through the stdout, file, wav, kafka (librdkafka's built-in mock broker)
and http sinks. The table at the end compares what was sent with what arrived at each far side. With --vendor the REST
APIs are played, too: accounts, registered webhooks, sockets that are dialled, and answers that are fetched.
exit status: 0 the counts balance, 1 they do not, 130 ended by Ctrl-C
"""


def register(subparsers: Any) -> None:
    """Add ``demo``."""
    parser = subparsers.add_parser(
        "demo",
        help="play meetings at the real server and show that nothing was lost",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--speed", type=speed, default=1.0, help="1 = real time, 10 = ten times faster, 0 = no waiting")
    parser.add_argument("--meetings", type=count, default=1, metavar="N", help="how many at once (default 1)")
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="a new or empty folder (default: receiver-data/demo-…)"
    )
    vendor_help = f"all, or some of {','.join(STAND_INS)} (default: MeetStream's pushes alone)"
    parser.add_argument("--vendor", type=vendors, metavar="LIST", help=vendor_help)
    parser.add_argument("--seed", type=int, help="play the very same meetings again")
    parser.set_defaults(run=run)


def vendors(text: str) -> tuple[str, ...]:
    """Names with commas between them, each once; ``all``."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if names == ["all"]:
        return tuple(STAND_INS)
    unknown = [name for name in names if name not in STAND_INS]
    if unknown or not names:
        found = ", ".join(unknown) or "nothing"
        raise argparse.ArgumentTypeError(f"found {found}, allowed all, or some of {','.join(STAND_INS)}")
    return tuple(dict.fromkeys(names))


def run(arguments: argparse.Namespace) -> int:
    """Play, balance, print the table."""
    from receiver.demo import run_demo, run_vendors  # loads numpy and Kafka: other commands should not wait for them
    from receiver.settings import LogSettings

    logs.configure(LogSettings(level="error", format="text"))
    folder = arguments.data or Path("receiver-data") / time.strftime("demo-%Y%m%d-%H%M%S")
    if folder.exists() and any(folder.iterdir()):
        sys.stderr.write(f"receiver: {folder} is not empty; --data wants a new or empty folder\n")
        return 2
    seed = secrets.randbelow(1_000_000) if arguments.seed is None else arguments.seed
    reports: list[Report] = []
    tally = Tally()

    async def play() -> int:
        meetings, pace = arguments.meetings, arguments.speed
        if arguments.vendor is None:
            report = await run_demo(folder, meetings=meetings, speed=pace, seed=seed, say=_say, tally=tally)
        else:
            report = await run_vendors(folder, arguments.vendor, meetings=meetings, speed=pace, seed=seed, say=_say)
        reports.append(report)
        return 0

    try:
        run_loop(play())
    except KeyboardInterrupt:
        sent = f" after {tally.posts_sent} POSTs and {tally.frames_sent} audio frames" if not arguments.vendor else ""
        _say(f"ended by Ctrl-C{sent}; files: {folder}")
        return 130
    report = reports[0]
    sys.stdout.write(_table(report, seed))
    return 0 if report.balanced else 1


def _table(report: "Report", seed: int) -> str:
    blocks = {"": report.lines, **report.blocks}
    width = max(len(line.what) for lines in blocks.values() for line in lines)
    rows = []
    for name, lines in blocks.items():
        if lines:
            rows += ["", *filter(None, [name])]
            rows += [f"  {line.what:<{width}}  {line.found:>9,}{_verdict(line)}" for line in lines]
    rows += ["", f"  {'sink':<8}{'delivered':>10}{'filtered':>10}{'dead':>6}{'pending':>9}  at the far side"]
    for sink in report.sinks:
        counts = f"{sink.delivered:>10,}{sink.filtered:>10,}{sink.dead:>6,}{sink.pending:>9,}"
        found = (
            f"{sink.found.found:,} {sink.found.what}{_verdict(sink.found)}" if sink.found else "(what you saw above)"
        )
        rows.append(f"  {sink.name:<8}{counts}  {found}")
    verdict = "balanced: nothing was lost" if report.balanced else "NOT balanced"
    rows += [
        "",
        f"{verdict} ({report.took_s:.1f} s, seed {seed})",
        "",
        "files:",
        *(f"  {path}" for path in report.files),
    ]
    return "\n".join(rows) + "\n"


def _verdict(line: "Line") -> str:
    if line.expected is None:
        return ""
    return "  ok" if line.holds else f"  WRONG, expected {line.expected:,}"


def _say(text: str) -> None:
    sys.stderr.write(f"-- {text}\n")
    sys.stderr.flush()
