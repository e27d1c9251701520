"""``receiver dead``: what a sink's far side refused for good, and another try at it."""

import argparse
import asyncio
import sqlite3
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from receiver.app import Receiver
from receiver.commands.arguments import add_server_options, server_journal
from receiver.commands.client import post, stream
from receiver.delivery.dead import Outcome
from receiver.events import format_time
from receiver.journal.dead import DeadLetter, letters_in
from receiver.secretfiles import Runtime, read_runtime
from receiver.settings import LogSettings, Settings
from receiver.telemetry import log as logs

_EPILOG = """\
examples:
  receiver dead list
  receiver dead list --sink kafka --json
  receiver dead show 12 > event.json         the event as its sink was given it; why it was refused: standard error
  receiver dead retry 12 15                  write them to their sink once more
  receiver dead retry --all --sink kafka     ... all of one sink
  receiver dead drop 12                      remove it for good
  receiver dead drop --all --sink old

A letter is retried with the event as it was. After a decoder was mended, `receiver replay` decodes anew. What the far
side takes leaves the list; what it refuses again stays, with the new reason. A sink that is down is waited for; Ctrl-C
ends that. The file sink refuses a letter whose file goes on behind it. Letters stay as long as what lies in quarantine
([journal.quarantine]).

Works beside a live server and without one (retry then opens the sinks itself).
exit status: 0 fine, 1 not found, refused again or not removed, 2 no number given, 78 the config is wrong
"""


class _Envelope(msgspec.Struct):
    """What the list shows of an event."""

    type: str = ""
    subject: str = ""
    receivedtime: str = ""


def register(subparsers: Any) -> None:
    """Add ``dead``."""
    parser = subparsers.add_parser(
        "dead",
        help="list, show, retry or drop events that a sink refused",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("action", choices=("list", "show", "retry", "drop"))
    parser.add_argument("numbers", nargs="*", type=int, metavar="NUMBER", help="as `list` shows it")
    parser.add_argument("--sink", metavar="NAME", help="only letters of this sink")
    parser.add_argument("--all", action="store_true", help="retry, drop: everything (of --sink)")
    parser.add_argument("--json", action="store_true", help="list: one JSON object a line")
    add_server_options(parser)
    parser.set_defaults(run=run, parser=parser)


def run(arguments: argparse.Namespace) -> int:
    """List, show, retry or drop."""
    settings, folder = server_journal(arguments)
    try:
        return _act(arguments, settings, folder)
    except sqlite3.Error as error:
        sys.stderr.write(f"receiver: the dead letters in {folder} cannot be read: {error}\n")
        return 1
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        sys.stderr.write(f"receiver: no answer from the server: {error}\n")
        return 1


def _act(arguments: argparse.Namespace, settings: Settings, folder: Path) -> int:
    if arguments.action == "list":
        return _list(letters_in(folder, arguments.sink), as_json=arguments.json)
    if not arguments.numbers and (arguments.action == "show" or not arguments.all):
        others = "" if arguments.action == "show" else ", or --all"
        arguments.parser.error(f"{arguments.action} needs a NUMBER{others}; `receiver dead list` shows them")
    there = {letter.number: letter.sink for letter in letters_in(folder, arguments.sink)}
    numbers: list[int] = list(there) if arguments.all else arguments.numbers
    missing = [number for number in numbers if number not in there]
    for number in missing:
        of_sink = f" of sink {arguments.sink}" if arguments.sink else ""
        sys.stderr.write(f"{number}: there is no such dead letter{of_sink}; see `receiver dead list`\n")
    numbers = [number for number in numbers if number in there]
    if not numbers:
        return 1 if missing else 0
    if arguments.action == "show":
        failed = _show(letter for letter in letters_in(folder, arguments.sink) if letter.number in set(numbers))
    elif arguments.action == "drop":
        failed = _drop(settings, numbers)
    else:
        failed = _retry(settings, numbers, {there[number] for number in numbers})
    return 1 if failed or missing else 0


def _list(letters: Iterable[DeadLetter], *, as_json: bool) -> int:
    count = 0
    for letter in letters:
        count += 1
        try:
            envelope = msgspec.json.decode(letter.event, type=_Envelope)
        except msgspec.MsgspecError:
            envelope = _Envelope()
        about = {
            "number": letter.number,
            "sink": letter.sink,
            "refused": format_time(letter.at_ns),
            "tries": letter.tries,
            "type": envelope.type,
            "subject": envelope.subject,
            "received": envelope.receivedtime,
            "sequence": letter.seq,
            "id": letter.id,
            "reason": letter.reason,
        }
        if as_json:
            sys.stdout.write(msgspec.json.encode(about).decode() + "\n")
        else:
            line = "{number:>6}  {refused}  {sink}  {type}  {subject}  {tries}x  {reason}".format(**about)
            sys.stdout.write(" ".join(line.splitlines()) + "\n")
    if not as_json:
        sys.stdout.write(f"{count} dead letters\n")
    return 0


def _show(letters: Iterable[DeadLetter]) -> bool:
    for letter in letters:
        sys.stderr.write(
            f"{letter.number}: refused by {letter.sink} at {format_time(letter.at_ns)}, {letter.tries} times in all:"
            f" {letter.reason}\n"
        )
        sys.stdout.buffer.write(letter.event + b"\n")
        sys.stdout.buffer.flush()
    return False


def _drop(settings: Settings, numbers: list[int]) -> bool:
    runtime = read_runtime(settings.data_dir)
    if runtime is None:
        dropped = asyncio.run(_drop_at_rest(settings, numbers))
    else:
        status, answer = post(runtime, "/api/dead/drop", {"numbers": numbers})
        if status != 200:
            raise ValueError(str(answer.get("error", answer)))
        dropped = answer["dropped"]
    sys.stdout.write(f"dropped {len(dropped)}\n")
    return len(dropped) < len(numbers)


async def _drop_at_rest(settings: Settings, numbers: list[int]) -> list[int]:
    logs.configure(LogSettings(level="error"))
    receiver = Receiver(msgspec.structs.replace(settings, sinks={}))
    async with receiver.at_rest():
        return await receiver.state.dead.drop(numbers)


def _retry(settings: Settings, numbers: list[int], sinks: set[str]) -> bool:
    report = _Report()
    runtime = read_runtime(settings.data_dir)
    if runtime is None:
        asyncio.run(_retry_at_rest(settings, numbers, sinks, report))
    else:
        _retry_live(runtime, numbers, report)
    return report.delivered < len(numbers)


class _Report:
    """Tells each outcome as it comes."""

    def __init__(self) -> None:
        self.delivered = 0

    def tell(self, outcome: Outcome) -> None:
        self.delivered += outcome.delivered
        sys.stdout.write(f"{outcome.number}: {' '.join(outcome.text.split())}\n")
        sys.stdout.flush()


def _retry_live(runtime: Runtime, numbers: list[int], report: _Report) -> None:
    ended: list[str] = []

    def hear(line: dict[str, Any]) -> None:
        if "number" in line:
            report.tell(msgspec.convert(line, Outcome))
        elif "error" in line:
            ended.append(str(line["error"]))
        elif line.get("done"):
            ended.append("")

    stream(runtime, "/api/dead/retry", {"numbers": numbers}, hear)
    if not ended:
        raise ValueError("it ended in the middle")
    if ended[0]:
        sys.stderr.write(f"receiver: {ended[0]}; what is not told above is still there\n")


async def _retry_at_rest(settings: Settings, numbers: list[int], sinks: set[str], report: _Report) -> None:
    """Without a server: open the journal and the sinks concerned, retry, close."""
    logs.configure(LogSettings(level="warning"))
    concerned = {name: keys for name, keys in settings.sinks.items() if name in sinks}
    receiver = Receiver(msgspec.structs.replace(settings, sinks=concerned))
    async with receiver.at_rest():
        await receiver.retry_dead(numbers, report.tell)
