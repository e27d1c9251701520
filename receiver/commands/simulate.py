"""``receiver simulate``: plays meetings at any receiver, as the vendor would.

Options, progress and the table of counts; the playing itself is ``receiver.simulator``.
"""

import argparse
import asyncio
import secrets
import sys
from urllib.parse import urlsplit

from receiver.commands.arguments import count, speed
from receiver.simulator import FAULTS, Channels, MeetingTally, Tally, play

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

POSTs go to the URL itself, sockets to the same place as ws or wss with /BOT_ID/audio, /video, /control, /transcript
behind the path; a query stays. Nothing is ever sent again after a failure: the vendor does not do that either.

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
    parser.add_argument("vendor", choices=["meetstream"], help="which vendor to play")
    parser.add_argument("--url", required=True, type=_url, help="the receiver's endpoint, with its token if it has one")
    parser.add_argument("--meetings", type=count, default=1, metavar="N", help="bots at the same time (default 1)")
    parser.add_argument("--speed", type=speed, default=1.0, metavar="X", help="1 = real time (default), 0 = at once")
    parser.add_argument("--faults", type=_faults, default=frozenset(), metavar="LIST", help=",".join(FAULTS))
    parser.add_argument("--seed", type=int, metavar="S", help="makes bot ids, cast and faults repeat")
    transports = ["webhook", "websocket", "alternate"]
    transport_help = "how live transcription travels (default alternate: every second meeting by WebSocket)"
    parser.add_argument("--transcript", choices=transports, default="alternate", help=transport_help)
    parser.add_argument("--secret", default="", metavar="TEXT", help="sign the callbacks with this secret")
    for channel in ("audio", "video", "control"):
        parser.add_argument(f"--no-{channel}", dest=channel, action="store_false", help=f"no {channel} socket")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Play, show what happens, print the counts. Returns the exit status."""
    tally = Tally()
    seed = secrets.randbelow(1_000_000) if args.seed is None else args.seed
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
    if problem := await _unreachable(args.url):
        return problem
    sys.stderr.write(f"playing {args.meetings} meeting(s), seed {seed}\n")
    many = args.meetings > 1
    await play(
        args.url,
        meetings=args.meetings,
        speed=args.speed,
        faults=args.faults,
        seed=seed,
        transcript=args.transcript,
        audio=args.audio,
        video=args.video,
        control=args.control,
        secret=args.secret,
        on_spoken=lambda bot_id, speaker, text, at_s: _print_line(bot_id if many else "", f"{speaker}: {text}"),
        on_progress=lambda bot_id, what: _report(f"{_short(bot_id)} {what}"),
        tally=tally,
    )
    return ""


async def _unreachable(url: str) -> str:
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
    if unknown := names - set(FAULTS):
        raise argparse.ArgumentTypeError(f"found {', '.join(sorted(unknown))}, allowed {', '.join(FAULTS)}")
    return names
