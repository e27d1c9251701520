"""``receiver quarantine``: what could not be understood, byte for byte, and another try at it."""

import argparse
import asyncio
import sqlite3
import sys
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from receiver.app import Receiver
from receiver.commands.arguments import add_server_options, server_journal
from receiver.commands.client import post
from receiver.errors import NotFound
from receiver.events import format_time
from receiver.ingress.quarantine import find, quarantined
from receiver.secretfiles import read_runtime
from receiver.settings import LogSettings, Settings
from receiver.telemetry import log as logs

_EPILOG = """\
examples:
  receiver quarantine list
  receiver quarantine list --json
  receiver quarantine show 1234 > body.bin     the bytes as they came; what is known about them goes to standard error
  receiver quarantine retry 1234 1240          decode again: what is understood now becomes events
  receiver quarantine retry --all

Works beside a live server and without one. exit status: 0 fine, 1 not found, or something is still malformed
"""


def register(subparsers: Any) -> None:
    """Add ``quarantine``."""
    parser = subparsers.add_parser(
        "quarantine",
        help="list, show or retry deliveries that could not be understood",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("action", choices=("list", "show", "retry"))
    parser.add_argument("sequences", nargs="*", type=int, metavar="SEQUENCE", help="as `list` shows it")
    parser.add_argument("--all", action="store_true", help="retry everything")
    parser.add_argument("--json", action="store_true", help="list: one JSON object a line")
    add_server_options(parser)
    parser.set_defaults(run=run, parser=parser)


def run(arguments: argparse.Namespace) -> int:
    """List, show or retry."""
    settings, folder = server_journal(arguments)
    try:
        return _act(arguments, settings, folder)
    except sqlite3.Error as error:
        sys.stderr.write(f"receiver: the quarantine in {folder} cannot be read: {error}\n")
        return 1


def _act(arguments: argparse.Namespace, settings: Settings, folder: Path) -> int:
    if arguments.action == "list":
        return _list(folder, as_json=arguments.json)
    sequences: list[int] = arguments.sequences
    if arguments.action == "retry" and arguments.all:
        sequences = [record.seq for record in quarantined(folder)]
    elif not sequences:
        arguments.parser.error(f"{arguments.action} needs a SEQUENCE; `receiver quarantine list` shows them")
    if arguments.action == "show":
        return _show(folder, sequences)
    results = _retry(settings, sequences)
    for sequence, result in zip(sequences, results, strict=True):
        sys.stdout.write(f"{sequence}: {result}\n")
    return 0 if all(result.startswith(("accepted", "duplicate")) for result in results) else 1


def _list(folder: Path, *, as_json: bool) -> int:
    count = 0
    for record in quarantined(folder):
        count += 1
        about = {
            "sequence": record.seq,
            "received": format_time(record.received_ns),
            "endpoint": f"{record.vendor}/{record.endpoint}",
            "kind": record.kind,
            "subject": record.subject,
            "bytes": len(record.payload),
            "reason": record.reason,
        }
        if as_json:
            sys.stdout.write(msgspec.json.encode(about).decode() + "\n")
        else:
            sys.stdout.write(
                "{sequence:>8}  {received}  {endpoint}  {kind:<6} {bytes:>8} B  {reason}\n".format(**about)
            )
    if not as_json:
        sys.stdout.write(f"{count} in quarantine\n")
    return 0


def _show(folder: Path, sequences: list[int]) -> int:
    for sequence in sequences:
        record = find(folder, sequence)
        sys.stderr.write(
            f"{sequence}: {record.kind} at {record.vendor}/{record.endpoint}, {format_time(record.received_ns)}, "
            f"subject {record.subject or '-'}: {record.reason}\n"
        )
        sys.stdout.buffer.write(record.payload)
        sys.stdout.buffer.flush()
    return 0


def _retry(settings: Settings, sequences: list[int]) -> list[str]:
    runtime = read_runtime(settings.data_dir)
    if runtime is None:
        return asyncio.run(_retry_at_rest(settings, sequences))
    results = []
    for sequence in sequences:
        try:
            status, answer = post(runtime, f"/api/quarantine/{sequence}/retry", {})
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            results.append(f"no answer from the server: {error}")
            continue
        results.append(str(answer.get("result") if status == 200 else answer.get("error", answer)))
    return results


async def _retry_at_rest(settings: Settings, sequences: list[int]) -> list[str]:
    """Without a server: open the journal, retry, close. Sinks get the events at the next start."""
    logs.configure(LogSettings(level="error"))
    receiver = Receiver(msgspec.structs.replace(settings, sinks={}))
    results = []
    async with receiver.at_rest():
        for sequence in sequences:
            try:
                results.append(await receiver.retry_quarantined(sequence))
            except NotFound as error:
                results.append(str(error))
    return results
