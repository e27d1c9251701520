"""All accounts of a server: a fetcher for each that has something to do, and orders for any of them.

Where no account wants anything there is no task, no connection and no reading.
"""

import asyncio
from collections.abc import Callable, Iterable

import aiohttp
import structlog

from receiver.delivery.pace import Pace
from receiver.errors import VendorCannot
from receiver.fetching.base import Fate, Knows, Pacing, Takes
from receiver.fetching.fetcher import Fetcher
from receiver.fetching.jobs import Times
from receiver.fetching.orders import FetchOrder, Tell, account_for, carry_out
from receiver.journal.base import Journal
from receiver.journal.state import State
from receiver.record import Decoded, Record
from receiver.rest import api_of
from receiver.rest.base import Fetched, VendorApi
from receiver.settings import Account
from receiver.telemetry.metrics import Gauge

log = structlog.get_logger()
ApiOf = Callable[[Account, aiohttp.ClientSession], VendorApi]


class Desk:
    """``start`` once, ``use`` as often as the accounts change, ``stop`` at the end; ``carry_out`` at any time."""

    def __init__(
        self,
        accounts: Iterable[Account],
        *,
        journal: Journal,
        state: State,
        decode: Callable[[Record], Decoded],
        pace: Pace,
        take: Takes,
        known: Knows,
        api: ApiOf = api_of,
        times: Times = Times(),  # noqa: B008 - frozen
        pacing: Pacing = Pacing(),  # noqa: B008 - frozen
    ) -> None:
        self.accounts = tuple(accounts)
        self.fetchers: dict[str, Fetcher] = {}
        self._journal, self._state, self._decode, self._pace = journal, state, decode, pace
        self._take, self._known, self._api, self._times, self._pacing = take, known, api, times, pacing
        self._running: dict[str, asyncio.Task[None]] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._client: aiohttp.ClientSession | None = None

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Begin with what the accounts want."""
        self._tasks = tasks
        for account in self.accounts:
            self._begin(account)

    async def stop(self) -> None:
        """End all calls under way; what they were for is asked for again by whoever goes on."""
        self._tasks = None
        await self._end(list(self._running))
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def use(self, accounts: Iterable[Account]) -> None:
        """Have these from now on; those that are as they were go on untouched."""
        before, self.accounts = self.accounts, tuple(accounts)
        await self._end([_key(one) for one in before if one not in self.accounts])
        for account in self.accounts:
            if account not in before:
                self._begin(account)

    async def carry_out(self, order: FetchOrder, tell: Tell) -> None:
        """Fetch now, and journal it. Raises ``NotFound``, ``Malformed``, ``VendorCannot``, ``JournalUnavailable``."""
        account = account_for(self.accounts, order.vendor, order.endpoint)
        fetcher = self.fetchers.get(_key(account)) or self._fetcher(account)

        async def keep(one: Fetched) -> Fate:
            return await self._take(fetcher.record(one))

        await carry_out(fetcher.api, order, keep, tell)

    def gauges(self) -> Iterable[Gauge]:
        """What ``/metrics`` shows."""
        for fetcher in self.fetchers.values():
            account, book = fetcher.api.account, fetcher.book
            of = {"vendor": account.vendor, "endpoint": account.name}
            yield "receiver_fetch_pending", "Answers of vendors that are waited for.", of, fetcher.plan.pending
            yield "receiver_fetch_done", "What was asked for and answered, since start.", of, book.done
            yield "receiver_fetch_given_up", "What was asked for in vain, since start.", of, book.given_up
            yield "receiver_fetch_retries", "Calls that were put off, since start.", of, book.retries

    def _begin(self, account: Account) -> None:
        if self._tasks is None or not (account.fetch or account.reconcile):
            return
        try:
            fetcher = self._fetcher(account)
        except VendorCannot as error:
            log.error("fetch.no_client", endpoint=_key(account), error=str(error))
            return
        if unknown := [kind for kind in account.fetch if kind not in fetcher.api.KINDS]:
            log.warning("fetch.kind.unknown", endpoint=_key(account), kinds=unknown, allowed=list(fetcher.api.KINDS))
        fetcher.begin()
        self.fetchers[_key(account)] = fetcher
        self._running[_key(account)] = self._tasks.create_task(fetcher.run(), name=fetcher.name)

    def _fetcher(self, account: Account) -> Fetcher:
        return Fetcher(
            self._api(account, self._session()),
            journal=self._journal,
            state=self._state,
            decode=self._decode,
            pace=self._pace,
            take=self._take,
            known=self._known,
            times=self._times,
            pacing=self._pacing,
        )

    def _session(self) -> aiohttp.ClientSession:
        if self._client is None:
            self._client = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        return self._client

    async def _end(self, keys: Iterable[str]) -> None:
        ending = [self._running.pop(key) for key in keys if key in self._running]
        for key in keys:
            self.fetchers.pop(key, None)
        for task in ending:
            task.cancel()
        if ending:
            await asyncio.wait(ending)


def _key(account: Account) -> str:
    return f"{account.vendor}/{account.name}"
