"""``receiver fetch``: ask a vendor for what its pushes left out, and journal it, or print it."""

import argparse
import asyncio
import sys
import time
from typing import Any, get_args

import aiohttp
import msgspec

from receiver.app import Receiver
from receiver.commands.bot_account import account_of, add_account_options, ask
from receiver.commands.client import live_server, shown_token, stream
from receiver.errors import NotFound, VendorError
from receiver.events import FetchedKind
from receiver.fetching.orders import Came, FetchOrder, kinds_of
from receiver.record import Record
from receiver.rest.base import Fetched, Hints, VendorApi
from receiver.secretfiles import Runtime, read_runtime
from receiver.settings import LogSettings, Settings, load
from receiver.telemetry import log as logs
from receiver.vendors import decode_record
from receiver.vendors.replies import reply_record

_EPILOG = """\
examples:
  receiver fetch BOT                                  what [accounts] fetches by itself, now
  receiver fetch BOT --kind transcript --kind summary
  receiver fetch MEETING --vendor realtimekit --session SESSION --kind participants
  receiver fetch BOT --kind detail --print            events on standard output; nothing is journalled
  receiver fetch BOT --url https://hooks.example.org --token-env RECEIVER_ADMIN_TOKEN

Answers are journalled as deliveries of their own: sinks and /meetings get them as `artifact.fetched`. A running server
does the asking, with its own account; without one, it is done here and the sinks get it when the server starts. Each
kind is tried once: what is not ready yet is said, and comes by itself where the account's `fetch` names it. --print
shows no links and tokens; --show-secrets does.
exit status: 0 all of it came, 1 some of it did not or nobody was reached, 2 a wrong option, 65 no such kind, 77 no
permission, 78 the config is wrong or has no account
"""


def register(subparsers: Any) -> None:
    """Add ``fetch``."""
    parser = subparsers.add_parser(
        "fetch",
        help="ask a vendor for transcripts, summaries and other answers, and journal them",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("subject", metavar="SUBJECT", help="id of the bot or meeting")
    kinds = get_args(FetchedKind)
    parser.add_argument("--kind", action="append", default=[], choices=kinds, metavar="KIND", help=", ".join(kinds))
    parser.add_argument("--session", default="", help="the occurrence, where the vendor tells them apart")
    parser.add_argument("--artifact", default="", metavar="ID", help="of one recording or transcript among several")
    parser.add_argument("--print", action="store_true", help="print the events, journal nothing")
    parser.add_argument("--show-secrets", action="store_true", help="--print: links and tokens too")
    add_account_options(parser)
    parser.add_argument("--url", help="a server elsewhere, e.g. https://hooks.example.org")
    parser.add_argument("--token-env", metavar="NAME", help="environment variable with that server's admin token")
    parser.set_defaults(run=run, parser=parser)


def run(arguments: argparse.Namespace) -> int:
    """Have it fetched by the server, at rest, or only printed."""
    order = FetchOrder(
        subject=arguments.subject,
        kinds=arguments.kind,
        vendor=arguments.vendor,
        endpoint=arguments.endpoint,
        session=arguments.session,
        artifact=arguments.artifact,
    )
    if arguments.print:
        return _print(arguments, order)
    settings = load(arguments.config, data_dir=arguments.data, need_secrets=False)
    if arguments.url is not None:
        token = shown_token(arguments.token_env) or settings.admin_token
        runtime = live_server(settings.data_dir, arguments.url, token)
    else:
        runtime = read_runtime(settings.data_dir)
    report = _Report()
    if runtime is not None:
        return _live(runtime, order, report)
    settings = load(arguments.config, data_dir=arguments.data)
    account = account_of(arguments, settings)
    order = msgspec.structs.replace(order, vendor=account.vendor, endpoint=account.name)
    asyncio.run(_at_rest(settings, order, report))
    return report.status


class _Report:
    """Tells what came as it comes; ``status``: 0 once something came and nothing is missing."""

    def __init__(self) -> None:
        self._came = self._missing = 0

    @property
    def status(self) -> int:
        return 0 if self._came and not self._missing else 1

    def tell(self, came: Came) -> None:
        self._came += came.outcome in ("accepted", "duplicate")
        self._missing += came.outcome in ("pending", "failed", "quarantined")
        told = {
            "accepted": f"journalled, {came.bytes} bytes ({came.call})",
            "duplicate": f"in the journal already ({came.call})",
            "quarantined": f"not understood, in quarantine: `receiver quarantine list` ({came.call})",
            "none": "the vendor has none",
            "pending": f"not ready yet: {came.error}",
            "failed": came.error,
        }[came.outcome]
        sys.stdout.write(f"{came.kind}: {' '.join(told.split())}\n")
        sys.stdout.flush()


def _live(runtime: Runtime, order: FetchOrder, report: _Report) -> int:
    ended: list[str] = []

    def hear(line: dict[str, Any]) -> None:
        if "outcome" in line:
            report.tell(msgspec.convert(line, Came))
        elif "error" in line:
            ended.append(str(line["error"]))
        elif line.get("done"):
            ended.append("")

    try:
        status = stream(runtime, "/api/fetch", order, hear)
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        sys.stderr.write(f"receiver: no answer from the server: {error}\n")
        return 1
    if ended == [""]:
        return report.status
    sys.stderr.write(f"receiver: {ended[0] if ended else 'it ended in the middle: see what is told above'}\n")
    return {400: 65, 401: 77, 403: 77}.get(status, 1)


async def _at_rest(settings: Settings, order: FetchOrder, report: _Report) -> None:
    """Without a server: open the journal, ask, journal, close. Sinks stay where they are."""
    logs.configure(LogSettings(level="warning"))
    receiver = Receiver(msgspec.structs.replace(settings, sinks={}))
    async with receiver.at_rest():
        await receiver.fetch(order, report.tell)


def _print(arguments: argparse.Namespace, order: FetchOrder) -> int:
    account = account_of(arguments, load(arguments.config, data_dir=arguments.data))
    missing = False

    async def work(api: VendorApi) -> list[Fetched]:
        nonlocal missing
        found: list[Fetched] = []
        refused: VendorError | None = None
        for kind in kinds_of(api, order.kinds):
            try:
                answers = await api.fetch(kind, order.subject, Hints(session=order.session, artifact=order.artifact))
            except VendorError as error:
                refused, missing = error, True
                sys.stderr.write(f"{kind}: {error}\n")
                continue
            if not answers:
                sys.stderr.write(f"{kind}: the vendor has none\n")
            found += answers
        if refused is not None and not found:
            raise refused
        if not found:
            raise NotFound("there is nothing to print")
        return found

    for one in ask(account, work):
        for event in decode_record(_record(account.vendor, account.name, one)).events:
            sys.stdout.write(event.json(secrets=arguments.show_secrets).decode() + "\n")
    return int(missing)


def _record(vendor: str, endpoint: str, one: Fetched) -> Record:
    return reply_record(
        vendor,
        endpoint,
        one.call,
        one.body,
        subject=one.subject,
        content_type=one.content_type,
        now_ns=time.time_ns(),
    )
