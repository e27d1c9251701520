"""The demonstration with vendors' stand-ins: meetings are created over REST, pushed, dialled, fetched and compared.

One server with an endpoint and an account for each vendor; every fact that they share is told over the vendor's API, as
in earnest. ``plays`` is what each vendor needs beside.
"""

import asyncio
import contextlib
import os
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp

from receiver.app import Receiver
from receiver.commands.urls import endpoint_urls
from receiver.delivery.retry import Backoff
from receiver.demo.books import Line, Report, sink_rows
from receiver.demo.far_sides import KafkaReader, caught_up, far_sides, http_target, mock_kafka, new_secret, sinks_config
from receiver.demo.plays import PLAYS, Play
from receiver.fetching.base import Book as Fetching
from receiver.fetching.base import Pacing
from receiver.fetching.jobs import Times
from receiver.rest import APIS, api_of
from receiver.rest.base import Wiring
from receiver.settings import Settings, from_dict
from receiver.simulator import STAND_INS
from receiver.vendors.replies import REST

_FETCH_S = 120.0
_READ_BYTES = 4 << 20
#: after an end, seconds of the meeting, and of the clock where it is played at once
_AFTER_S, _AT_ONCE_S = 10.0, 0.4


async def run_vendors(
    data_dir: Path, vendors: Sequence[str], *, meetings: int, speed: float, seed: int, say: Callable[[str], None]
) -> Report:
    """Create ``meetings`` at each of ``vendors``, play them, fetch what they leave, and balance the books.

    Raises what ``Receiver`` raises, and ``VendorError``."""
    started_s = time.monotonic()
    async with contextlib.AsyncExitStack() as stack:
        target = await stack.enter_async_context(http_target())
        brokers = await stack.enter_async_context(mock_kafka())
        plays: list[Play] = []
        for vendor in vendors:
            cloud = STAND_INS[vendor].make(speed=speed, seed=seed, progress=_progress(say, vendor))
            await stack.enter_async_context(cloud.serve())
            plays.append(PLAYS[vendor](cloud, new_secret()))
        config = _config(data_dir, plays, sinks_config(target.url, brokers, verbose=meetings <= 3))
        receiver = Receiver(_settings(config, plays), fetch_times=times_at(speed), fetch_pacing=_pacing(speed))
        await receiver.start()
        reader = KafkaReader(brokers)
        try:
            say(f"server on {receiver.url}")
            for one in plays:
                say(f"{one.cloud.VENDOR} on {one.cloud.url}")
            async with aiohttp.ClientSession() as client:
                await _create(receiver, config, plays, client, meetings)
                for one in plays:
                    await one.cloud.idle()
            say("meetings are over, waiting for what is fetched")
            await _fetched(receiver, say)
            say("waiting for the sinks")
            await caught_up(receiver, say)
            answers = await _answers(receiver)
            books = {name: one.book for name, one in receiver.engine.desk.fetchers.items()}
        finally:
            await receiver.stop()
        say("reading back what arrived in Kafka")
        kafka_ids = await asyncio.to_thread(reader.finish, receiver.ledger.sink("kafka").delivered)
        found = far_sides(receiver, sum(one.sound_s for one in plays), target, kafka_ids)
    files = [receiver.settings.data_dir / name for name in ("events", "audio", "journal")]
    blocks = {one.cloud.VENDOR: _block(receiver, one, answers[one.cloud.VENDOR], books) for one in plays}
    return Report([], sink_rows(receiver, found), files, time.monotonic() - started_s, blocks)


def times_at(speed: float) -> Times:
    """When fetching asks, for meetings that are played at ``speed``. How long a meeting may be silent is as ever."""
    after_s = _AFTER_S / speed if speed else _AT_ONCE_S
    return Times(after_end_s=after_s, again_s=after_s)


def _pacing(speed: float) -> Pacing:
    """Stand-ins may be asked as often as one likes; what is not ready yet is soon."""
    first_s = min(1.0, 1.0 / speed) if speed else 0.1
    return Pacing(backoff=Backoff(first_s=first_s, most_s=2 * first_s), at_once=8, calls_per_s=200.0)


def _config(data_dir: Path, plays: Iterable[Play], sinks: dict[str, dict[str, Any]]) -> dict[str, Any]:
    endpoints: dict[str, Any] = {}
    accounts: dict[str, Any] = {}
    for one in plays:
        vendor = one.cloud.VENDOR
        access = STAND_INS[vendor].access(one.cloud)
        os.environ[_variable(vendor, "KEY")] = access.key
        os.environ[_variable(vendor, "TOKEN")] = secrets.token_urlsafe(24)
        signatures = one.signatures(_variable(vendor, "SECRET"))
        endpoints[vendor] = {"default": {"token_env": _variable(vendor, "TOKEN"), **signatures}}
        accounts[vendor] = {
            "default": {
                "key_env": _variable(vendor, "KEY"), "id": access.id, "base_url": access.base_url,
                "fetch": list(APIS[vendor]().KINDS), "reconcile": True,
            }
        }  # fmt: skip
    return {
        "data_dir": str(data_dir), "server": {"port": 0}, "endpoints": endpoints, "accounts": accounts, "sinks": sinks,
    }  # fmt: skip


def _settings(config: dict[str, Any], plays: Iterable[Play]) -> Settings:
    for one in plays:
        os.environ[_variable(one.cloud.VENDOR, "SECRET")] = one.secret
    return from_dict(config)


def _variable(vendor: str, what: str) -> str:
    return f"RECEIVER_DEMO_{vendor.upper()}_{what}"


def _progress(say: Callable[[str], None], vendor: str) -> Callable[[str, str], None]:
    return lambda subject, what: say(f"{vendor} {subject[:8]} {what}")


async def _create(
    receiver: Receiver, config: dict[str, Any], plays: Sequence[Play], client: aiohttp.ClientSession, meetings: int
) -> None:
    """Register what has to be, take the secrets that vendors tell, and create the meetings over their APIs."""
    wirings = {one.vendor: Wiring(**endpoint_urls(one, receiver.url)) for one in receiver.settings.endpoints}
    apis = {one.vendor: api_of(one, client) for one in receiver.settings.accounts}
    for one in plays:
        await one.register(apis[one.cloud.VENDOR], wirings[one.cloud.VENDOR])
    # as a reload does: a secret is known once the vendor has told it
    await receiver.use(_settings(config, plays), ())
    for number in range(meetings):
        for one in plays:
            await one.create(apis[one.cloud.VENDOR], wirings[one.cloud.VENDOR], receiver, number)


async def _fetched(receiver: Receiver, say: Callable[[str], None]) -> None:
    """Return when no account waits for anything any more, or it takes too long."""
    fetchers = receiver.engine.desk.fetchers
    deadline_s = time.monotonic() + _FETCH_S
    told_s = time.monotonic()
    while not all(one.idle for one in fetchers.values()) and time.monotonic() < deadline_s:
        await asyncio.sleep(0.05)
        if time.monotonic() - told_s > 1:
            told_s = time.monotonic()
            waiting = (f"{name} {one.plan.pending}" for name, one in fetchers.items() if not one.idle)
            say("still to be fetched: " + ", ".join(waiting))


async def _answers(receiver: Receiver) -> Counter[str]:
    """By vendor: how many answers to REST calls are in the journal."""
    found: Counter[str] = Counter()
    after = 0
    while True:
        records, upto = await receiver.journal.read(after, media=False, limit_bytes=_READ_BYTES)
        found.update(one.vendor for one in records if one.channel == REST)
        if upto == after:
            return found
        after = upto


def _block(receiver: Receiver, one: Play, answers: int, fetched: Mapping[str, Fetching]) -> list[Line]:
    vendor, tally = one.cloud.VENDOR, one.cloud.tally
    book, fetching = receiver.ledger.endpoint(vendor, "default"), fetched[f"{vendor}/default"]
    sent = tally.pushed + tally.frames + tally.messages
    return [
        Line("sent: webhooks", tally.pushed),
        Line("sent: messages and frames on sockets", tally.frames + tally.messages),
        Line("answered 2xx", tally.accepted, tally.pushed),
        Line("refused, quarantined or failed", book.refused + book.quarantined + book.failed, 0),
        Line("journalled, repeats once", book.journalled - answers, sent - tally.repeated),
        Line("REST calls", sum(tally.calls.values())),
        Line("wishes fulfilled", fetching.done),
        Line("given up", fetching.given_up, 0),
        Line("answers journalled", answers),
    ]
