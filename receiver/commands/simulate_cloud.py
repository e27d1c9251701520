"""``receiver simulate`` with a vendor's stand-in: pushes at a URL, or is the REST API that meetings are created at."""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from receiver.simulator import STAND_INS, CloudTally
from receiver.simulator.cloud import Cloud

_EXIT_NOT_ALL_ACCEPTED = 1
_EXIT_INTERRUPTED = 130


def run(args: argparse.Namespace, seed: int, unreachable: Callable[[str], Awaitable[str]]) -> int:
    """Push meetings at ``--url``. Returns the exit status."""
    try:
        tally = asyncio.run(_play(args, seed, unreachable))
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted: what was under way is counted nowhere\n")
        return _EXIT_INTERRUPTED
    except ValueError as error:  # what the vendor has not
        args.parser.error(str(error))
    if isinstance(tally, str):
        sys.stderr.write(f"receiver: {tally}\n")
        return _EXIT_NOT_ALL_ACCEPTED
    sys.stdout.write(table(tally))
    return 0 if is_ok(tally) else _EXIT_NOT_ALL_ACCEPTED


def serve(args: argparse.Namespace, seed: int) -> int:
    """Be the vendor's API until Ctrl-C. Returns the exit status."""
    stand_in = STAND_INS[args.vendor]
    own = {stand_in.secret: args.secret, stand_in.callback: args.callback or ""}
    own.pop("", None)
    try:
        cloud = stand_in.make(speed=args.speed, seed=seed, faults=args.faults, progress=_report, **own)
    except ValueError as error:
        args.parser.error(str(error))
    try:
        asyncio.run(_serve(args.vendor, cloud, args.port or 0))
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        sys.stdout.write(table(cloud.tally))
        return _EXIT_INTERRUPTED
    except OSError as error:
        sys.stderr.write(f"receiver: cannot listen on 127.0.0.1:{args.port} ({error.strerror or error})\n")
        return _EXIT_NOT_ALL_ACCEPTED
    return 0


def is_ok(tally: CloudTally) -> bool:
    """Whether something was pushed, and each push got a 2xx."""
    return tally.pushed > 0 and tally.accepted == tally.pushed and tally.held_back == 0


def table(tally: CloudTally) -> str:
    """The counts for people: what was pushed and how it was answered, sockets, and each REST call."""
    shown = {
        "pushed": tally.pushed, "2xx": tally.accepted, "refused": tally.refused, "failed": tally.failed,
        "sent twice": tally.repeated, "out of order": tally.reordered, "held back": tally.held_back,
        "distinct": len(tally.distinct),
    }  # fmt: skip
    widths = [max(len(name), len(f"{number:,}")) for name, number in shown.items()]
    lines = [
        "  ".join(map(str.rjust, shown, widths)),
        "  ".join(f"{number:>{width},}" for number, width in zip(shown.values(), widths, strict=True)),
    ]
    if tally.sockets:
        lines.append(f"sockets: {tally.sockets} opened; {tally.messages:,} text messages, {tally.frames:,} frames")
    if tally.calls:
        lines += ["calls:", *(f"  {number:>5,}  {call}" for call, number in sorted(tally.calls.items()))]
    return "\n".join(lines) + "\n"


def sections(vendor: str, cloud: Cloud) -> str:
    """What to set and to paste so that a receiver has an account at ``cloud``, which listens."""
    access = STAND_INS[vendor].access(cloud)
    variable = f"{vendor.upper()}_STANDIN_KEY"
    lines = [f"export {variable}='{access.key}'", "", f"[accounts.{vendor}.default]", f'key_env = "{variable}"']
    if access.id:
        lines.append(f'id = "{access.id}"')
    lines.append(f'base_url = "{access.base_url}"')
    for name, toml in (("key_url", 'key_url = "{}"'), ("agent_url", "# of POST /api/dial: url {}")):
        if told := getattr(cloud, name, ""):
            lines += ["", *([f"[endpoints.{vendor}.default]"] if name == "key_url" else []), toml.format(told)]
    return "\n".join(lines) + "\n"


async def _play(args: argparse.Namespace, seed: int, unreachable: Callable[[str], Awaitable[str]]) -> CloudTally | str:
    if problem := await unreachable(args.url):
        return problem
    meetings = args.meetings or 1
    sys.stderr.write(f"playing {meetings} meeting(s), seed {seed}\n")
    return await STAND_INS[args.vendor].play_meetings(
        args.url,
        meetings=meetings,
        speed=args.speed,
        seed=seed,
        faults=args.faults,
        secret=args.secret,
        progress=_report,
    )


async def _serve(vendor: str, cloud: Cloud, port: int) -> None:
    async with cloud.serve(port):
        sys.stdout.write(f"{vendor} on {cloud.url}; Ctrl-C ends it\n\n{sections(vendor, cloud)}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


def _report(subject: str, what: str) -> None:
    # a URL has its token behind the path
    named = urlsplit(subject).path if "://" in subject else subject[:12]
    sys.stderr.write(f"  {named} {what}\n")
    sys.stderr.flush()
