"""What is done now and then behind the port: cursors are written down, keys are, and what has had its time goes."""

import asyncio
import sqlite3
from collections.abc import Coroutine, Mapping
from typing import Any

import structlog

from receiver.delivery.worker import SinkWorker
from receiver.journal.clock import cautious_ns
from receiver.journal.dedup import Dedup
from receiver.journal.keyfile import KeyFile
from receiver.journal.sqlite import SqliteJournal
from receiver.journal.state import State
from receiver.settings import JournalSettings
from receiver.telemetry.ledger import Ledger

log = structlog.get_logger()
_FLUSH_S = 0.2
_TRIM_S = 2.0
#: how often keys are written down, if so many are new: of all that are remembered a twentieth; a stop takes less.
#: Fewer are read back from the journal in no time, and all of them are written
_KEYS_S = 20.0
_KEYS_SHARE, _KEYS_SHARE_AT_STOP = 20, 200


class Chores:
    """One for each time that a data folder is opened. ``workers``: those of the moment, by sink."""

    def __init__(
        self,
        settings: JournalSettings,
        journal: SqliteJournal,
        state: State,
        ledger: Ledger,
        workers: Mapping[str, SinkWorker],
        dedup: Dedup,
        keys: KeyFile,
    ) -> None:
        self._settings = settings
        self._journal = journal
        self._state = state
        self._ledger = ledger
        self._workers = workers
        self._dedup = dedup
        self._keys = keys

    def for_ever(self) -> tuple[Coroutine[Any, Any, None], ...]:
        """For a task each."""
        return self._flush(), self._trim(), self._keep_keys_now_and_then()

    async def keep_keys_at_stop(self) -> None:
        """Write keys down where that makes the next start faster."""
        await self._keep_keys(_KEYS_SHARE_AT_STOP)

    async def review(self) -> None:
        """Look at what of the journal was left for later, so that it did not hold up the start."""
        try:
            await self._journal.review()
        except (OSError, sqlite3.Error) as error:
            log.error("journal.review.failed", error=str(error))

    async def _flush(self) -> None:
        while True:
            await self._state.changed.wait()
            await asyncio.sleep(_FLUSH_S)
            await self._state.flush()

    async def _keep_keys_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(_KEYS_S)
            await self._keep_keys(_KEYS_SHARE)

    async def _keep_keys(self, share: int) -> None:
        least = max(1, self._settings.dedup_entries // share)
        await self._journal.keep_keys(self._dedup, self._keys, least)

    async def _trim(self) -> None:
        while True:
            await asyncio.sleep(_TRIM_S)
            cursors = {name: worker.taken for name, worker in self._workers.items()}
            media = {name: worker.taken for name, worker in self._workers.items() if worker.media}
            try:
                lost = await self._journal.trim(cursors, media)
            except (OSError, sqlite3.Error) as error:
                log.error("journal.trim.failed", error=str(error))
                continue
            await self._trim_dead()
            for name, count in lost.items():
                if count:
                    self._ledger.sink(name).expired += count
                    log.error("sink.expired", sink=name, events=count)

    async def _trim_dead(self) -> None:
        """Dead letters stay for as long as what lies in quarantine does."""
        limits = self._settings.quarantine
        try:
            removed = await self._state.dead.trim(cautious_ns(), limits.max_bytes, limits.max_age_s)
        except sqlite3.Error as error:
            log.error("dead.trim.failed", error=str(error))
        else:
            if removed:
                log.error("dead.expired", letters=removed)
