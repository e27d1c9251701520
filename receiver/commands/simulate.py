"""``receiver simulate``: plays meetings at any receiver, as the vendor would.

Options for all vendors, and MeetStream's progress and table of counts; those of the others are ``simulate_cloud``. The
playing itself is ``receiver.simulator``.
"""

import argparse
import asyncio
import secrets
import sys
from urllib.parse import urlsplit

from receiver.commands import simulate_cloud
from receiver.commands.arguments import count, speed
from receiver.simulator import CLOUD_FAULTS, FAULTS, STAND_INS, Channels, MeetingTally, Tally, play

_EXIT_NOT_ALL_ACCEPTED = 1
_EXIT_INTERRUPTED = 130
_REACH_S = 5.0
_SHOWN_MEETINGS = 20
_EPILOG = """\
examples:
  receiver simulate meetstream --url http://127.0.0.1:8080/meetstream/default
        one meeting in real time: callbacks, live transcript, audio, video, control socket
  receiver simulate meetstream --url 'http://127.0.0.1:8080/meetstream/default?token=…' --speed 0 --meetings 20
        twenty meetings at once, as fast as they go
  receiver simulate meetstream --url … --faults duplicates,reorder,drop-socket,garbage --seed 7
        everything that goes wrong in practice; the same seed makes the same choices again
  receiver simulate meetstream --url … --no-audio --no-video --no-control --transcript webhook
        POSTs only
  receiver simulate daily --url … --secret BASE64 --meetings 5 --faults duplicates,reorder
        any other vendor's webhooks, and sockets where it dials any
  receiver simulate meemo --serve --port 9000
        its REST API: prints the account to configure, plays what is created there until Ctrl-C

POSTs go to the URL itself, sockets to the same place as ws or wss with /BOT_ID/audio, /video, /control, /transcript
behind the path; a query stays. MeetStream sends nothing again after a failure, and so does its simulation.

exit status: 0 every POST got a 2xx and no socket was refused (malformed garbage may be answered 4xx); 1 not so, or the
URL cannot be reached; 2 usage; 130 ended by Ctrl-C
"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "simulate",
        help="play meetings at a receiver, as the vendor would",
        description="Play meetings at any receiver over real HTTP and real WebSockets, in the vendor's wire format.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("vendor", choices=list(STAND_INS), help="which vendor to play")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--url", type=_url, help="the receiver's endpoint, with its token if it has one")
    where.add_argument("--serve", action="store_true", help="be the vendor's REST API, and play what is created there")
    parser.add_argument("--port", type=_port, help="with --serve: listen there, on 127.0.0.1 (default: a free one)")
    callback_help = "with --serve, waterai: the URL that its dashboard has; the others are told over the API"
    parser.add_argument("--callback", type=_url, metavar="URL", help=callback_help)
    parser.add_argument("--meetings", type=count, metavar="N", help="meetings at the same time (default 1)")
    parser.add_argument("--speed", type=speed, default=1.0, metavar="X", help="1 = real time (default), 0 = at once")
    faults_help = f"meetstream --url: {','.join(FAULTS)}; else {','.join(CLOUD_FAULTS)}"
    parser.add_argument("--faults", type=_faults, default=frozenset(), metavar="LIST", help=faults_help)
    parser.add_argument("--seed", type=int, metavar="S", help="makes ids, cast and faults repeat")
    transports = ["webhook", "websocket", "alternate"]
    transport_help = "meetstream: how live transcription travels (default alternate: every second meeting by WebSocket)"
    parser.add_argument("--transcript", choices=transports, help=transport_help)
    signs_with = "sign with this secret (daily: base64; realtimekit: a private key in PEM; waterai signs nothing)"
    parser.add_argument("--secret", default="", metavar="TEXT", help=signs_with)
    for channel in ("audio", "video", "control"):
        parser.add_argument(
            f"--no-{channel}", dest=channel, action="store_false", help=f"meetstream: no {channel} socket"
        )
    parser.set_defaults(run=run, parser=parser)


def run(args: argparse.Namespace) -> int:
    """Play, show what happens, print the counts. Returns the exit status."""
    if problem := refusal_of(args):
        args.parser.error(problem)
    seed = secrets.randbelow(1_000_000) if args.seed is None else args.seed
    if args.serve:
        return simulate_cloud.serve(args, seed)
    if args.vendor != "meetstream":
        return simulate_cloud.run(args, seed, unreachable)
    tally = Tally()
    try:
        problem = asyncio.run(_play(args, seed, tally))
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted; so far:\n")
        sys.stdout.write(table(tally))
        return _EXIT_INTERRUPTED
    if problem:
        sys.stderr.write(f"receiver: {problem}\n")
        return _EXIT_NOT_ALL_ACCEPTED
    sys.stdout.write(table(tally))
    return 0 if tally.ok else _EXIT_NOT_ALL_ACCEPTED


def refusal_of(args: argparse.Namespace) -> str:
    """Why these options do not go together; empty if they do."""
    vendor, pushes = args.vendor, not args.serve
    live = vendor == "meetstream" and pushes
    mode = "--url" if pushes else "--serve"
    allowed = tuple(FAULTS if live else CLOUD_FAULTS)
    if unknown := args.faults - set(allowed):
        return f"--faults: found {', '.join(sorted(unknown))}, allowed with {vendor} {mode}: {', '.join(allowed)}"
    own = {"--transcript": args.transcript is not None}
    own |= {f"--no-{channel}": not getattr(args, channel) for channel in ("audio", "video", "control")}
    if (given := [name for name, is_given in own.items() if is_given]) and not live:
        return f"{', '.join(given)}: found with {vendor} {mode}, allowed with meetstream --url: leave it out"
    if pushes and (args.port is not None or args.callback):
        return "--port, --callback: found with --url, allowed with --serve: leave them out"
    if not pushes and args.meetings is not None:
        return "--meetings: found with --serve, allowed with --url: what is created over the API is played"
    stand_in = STAND_INS[vendor]
    if args.callback and not stand_in.callback:
        return f"--callback: found with {vendor}, allowed with waterai: {vendor} is told the URL over its API"
    if args.secret and vendor == "waterai":
        return "--secret: found with waterai, allowed with vendors that sign: the URL's token is what lets it in"
    if args.secret and args.serve and not stand_in.secret:
        return f"--secret: found with {vendor} --serve, allowed with --url: each webhook gets a secret over its API"
    return ""


def table(tally: Tally) -> str:
    """The counts for people: a row for each meeting, the sum, and what went wrong or was injected."""
    head = ("meeting", "posts", "2xx", "refused", "failed", "audio s", "frames lost", "turns")
    rows = [head, *(_row(meeting) for meeting in tally.meetings[:_SHOWN_MEETINGS])]
    if len(tally.meetings) > _SHOWN_MEETINGS:
        rows.append((f"… {len(tally.meetings) - _SHOWN_MEETINGS} more", *[""] * (len(head) - 1)))
    turns = sum(len(meeting.turns) for meeting in tally.meetings)
    rows.append(("all", *_counts(tally), str(turns)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows]
    return "\n".join([*lines, *_remarks(tally)]) + "\n"


async def _play(args: argparse.Namespace, seed: int, tally: Tally) -> str:
    """Run the simulation; one sentence if it could not even begin."""
    if problem := await unreachable(args.url):
        return problem
    meetings = args.meetings or 1
    sys.stderr.write(f"playing {meetings} meeting(s), seed {seed}\n")
    many = meetings > 1
    await play(
        args.url,
        meetings=meetings,
        speed=args.speed,
        faults=args.faults,
        seed=seed,
        transcript=args.transcript or "alternate",
        audio=args.audio,
        video=args.video,
        control=args.control,
        secret=args.secret,
        on_spoken=lambda bot_id, speaker, text, at_s: _print_line(bot_id if many else "", f"{speaker}: {text}"),
        on_progress=lambda bot_id, what: _report(f"{_short(bot_id)} {what}"),
        tally=tally,
    )
    return ""


async def unreachable(url: str) -> str:
    """Why nobody can be reached at ``url``; empty if somebody listens there."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        async with asyncio.timeout(_REACH_S):
            _, writer = await asyncio.open_connection(parts.hostname, port)
    except TimeoutError:
        return f"nobody answers at {parts.hostname}:{port} (no connection within {_REACH_S:.0f} s)"
    except OSError as error:
        return f"nobody answers at {parts.hostname}:{port} ({error.strerror or error})"
    writer.close()
    return ""


def _print_line(bot_id: str, line: str) -> None:
    sys.stdout.write(f"[{_short(bot_id)}] {line}\n" if bot_id else f"{line}\n")
    sys.stdout.flush()


def _report(line: str) -> None:
    sys.stderr.write(f"  {line}\n")


def _short(bot_id: str) -> str:
    return bot_id[:8]


def _row(meeting: MeetingTally) -> tuple[str, ...]:
    return (_short(meeting.bot_id), *_counts(meeting), str(len(meeting.turns)))


def _counts(counts: Tally | MeetingTally) -> tuple[str, ...]:
    posts = (counts.posts_sent, counts.posts_accepted, counts.posts_refused, counts.posts_failed)
    return (*map(str, posts), f"{counts.audio_s:.2f}", str(counts.frames_lost))


def _remarks(tally: Tally) -> list[str]:
    remarks = [
        f"distinct deliveries accepted: {tally.distinct_accepted}; sent twice: {tally.duplicates_sent};"
        f" out of order: {tally.reordered}",
        f"sockets: {tally.sockets_opened} opened, {tally.sockets_cut} cut on purpose, {tally.sockets_lost} lost,"
        f" {tally.sockets_refused} refused, {tally.sockets_unreachable} not reached;"
        f" {tally.text_messages_sent} text messages, {tally.video_pieces_sent} pieces of video,"
        f" {tally.pongs_received} of {tally.pings_sent} pings answered",
    ]
    if tally.garbage:
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(tally.garbage.items()))
        remarks.append(
            f"garbage: {tally.malformed_sent} malformed, {tally.unknown_sent} unknown ({kinds}); POSTs of it:"
            f" {tally.garbage_accepted} accepted, {tally.garbage_refused} refused, {tally.garbage_failed} failed"
        )
    return remarks


def _url(text: str) -> str:
    try:
        Channels.derive(text)
        urlsplit(text).port  # noqa: B018 - raises for a port that is no number
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _faults(text: str) -> frozenset[str]:
    names = frozenset(name.strip() for name in text.split(",") if name.strip())
    if unknown := names - {*FAULTS, *CLOUD_FAULTS}:
        known = ", ".join(dict.fromkeys((*FAULTS, *CLOUD_FAULTS)))
        raise argparse.ArgumentTypeError(f"found {', '.join(sorted(unknown))}, allowed {known}")
    return names


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65_536:
        raise argparse.ArgumentTypeError(f"found {text}, allowed a number from 1 to 65535")
    return int(text)
