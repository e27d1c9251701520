"""One account at work: follows the journal, asks for what events announce, journals the answers.

Its place in the journal is a cursor that stands before every event whose wish is not fulfilled or given up; so nothing
is forgotten in a crash, and what is asked for twice is merged as a repeat. It is late rather than in anybody's way:
few calls at a time, and pauses between reads.
"""

import asyncio
import contextlib
import hashlib
import random
import time
from collections.abc import Callable, Sequence

import msgspec
import structlog

from receiver.delivery.decoding import decode_all
from receiver.delivery.pace import Pace
from receiver.errors import JournalUnavailable, ReceiverError, VendorCannot, VendorError, VendorPending
from receiver.fetching.base import Book, Knows, Pacing, Takes
from receiver.fetching.jobs import DELIVERY_LOG, OWN_RECORD, Job, Times
from receiver.fetching.plan import Plan
from receiver.journal.base import Journal
from receiver.journal.clock import steady_ns
from receiver.journal.state import State
from receiver.record import Decoded, Record
from receiver.redaction import redact_text
from receiver.rest.base import Fetched, Hints, VendorApi
from receiver.vendors.replies import Seen, gave_up_record, reply_record

log = structlog.get_logger()
_READ_BYTES = 256 << 10


class Fetcher:
    """``begin``, then ``run`` as a task of its own; cancelling that loses nothing."""

    def __init__(
        self,
        api: VendorApi,
        *,
        journal: Journal,
        state: State,
        decode: Callable[[Record], Decoded],
        pace: Pace,
        take: Takes,
        known: Knows,
        times: Times = Times(),  # noqa: B008 - frozen
        pacing: Pacing = Pacing(),  # noqa: B008 - frozen
    ) -> None:
        account = api.account
        #: of the cursor; no sink can have such a name
        self.name = f"fetch/{account.vendor}/{account.name}"
        self.api = api
        self.book = Book()
        self.plan = Plan(
            [kind for kind in api.KINDS if kind in account.fetch],
            api.HINTS,
            reconcile=account.reconcile and api.RECONCILES,
            delivery_log=account.reconcile and api.RECONCILES,
            give_up_s=account.give_up_s,
            times=times,
        )
        self._journal, self._state, self._decode, self._pace = journal, state, decode, pace
        self._take, self._known, self._pacing = take, known, pacing
        self._source = f"/{account.vendor}/{account.name}"
        self._vendor, self._endpoint = account.vendor, account.name
        self._upto = 0
        self._moved_s = 0.0
        self._next_call_s = 0.0
        #: the jobs have changed
        self._changed = asyncio.Event()
        self._caught_up = asyncio.Event()
        #: digests of the delivery log as it was last
        self._logged: set[bytes] = set()

    @property
    def idle(self) -> bool:
        """Whether all that is in the journal is read, and all that it wants is answered or given up."""
        return self._upto >= self._journal.head and self.plan.idle and not self.book.running

    def begin(self) -> None:
        """Take the place in the journal: what comes from now on is heeded. What was there before the account first had
        something to do is not asked for."""
        if self.name not in self._state.cursors:
            self._state.move(self.name, self._journal.head)
        self._upto = self._state.cursors[self.name]

    async def run(self) -> None:
        """Work for ever. Nothing but cancellation ends it."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow(self._journal.head))
            tasks.create_task(self._work(tasks))

    # ---- reading

    async def _follow(self, past: int) -> None:
        """``past``: what lay in the journal at the start ends there."""
        failures = 0
        while True:
            try:
                await self._step(past)
            except Exception as error:  # the journal's fault, or ours
                failures += 1
                log.error("fetch.read.failed", endpoint=self._source, error=_told(error))
                await asyncio.sleep(self._pacing.trouble.wait_s(failures, random.random()))  # noqa: S311 - jitter
            else:
                failures = 0

    async def _step(self, past: int) -> None:
        if self.plan.full:
            self._changed.clear()
            await self._changed.wait()
            return
        records, upto = await self._journal.read(self._upto, media=False, limit_bytes=_READ_BYTES, reader=self.name)
        await self._plan_for(records, past)
        behind, self._upto = upto > self._upto, upto
        if upto >= past:
            self._caught_up.set()
        if not behind:
            self._move()
            await self._journal.wait(upto, media=False)
            return
        if time.monotonic() >= self._moved_s + self._pacing.move_s:
            self._move()
        if upto >= past:
            await asyncio.sleep(self._pacing.gather_s)

    async def _plan_for(self, records: Sequence[Record], past: int) -> None:
        own = [one for one in records if (one.vendor, one.endpoint) == (self._vendor, self._endpoint)]
        await decode_all(own, self._decode, self._pace, self.name)
        for one in own:
            try:
                self.plan.take(one, steady_ns(one.received_ns) / 1e9, past=one.seq <= past)
            except Exception as fault:  # what one event holds stops no other
                log.error("fetch.plan.failed", endpoint=self._source, sequence=one.seq, error=type(fault).__name__)
        if own:
            self._changed.set()

    def _move(self) -> None:
        self._moved_s = time.monotonic()
        hold = self.plan.hold
        upto = self._upto if hold is None else min(self._upto, hold - 1)
        if upto > self._state.cursors[self.name]:
            self._state.move(self.name, upto)

    # ---- asking

    async def _work(self, tasks: asyncio.TaskGroup) -> None:
        """Begin jobs when they are due and there is room. Not before all that lay there is read: it may hold the
        answers."""
        await self._caught_up.wait()
        while True:
            self._changed.clear()
            self._begin(tasks)
            with contextlib.suppress(TimeoutError):
                next_s = None if self.book.running >= self._pacing.at_once else self.plan.next_s
                async with asyncio.timeout_at(None if next_s is None else _loop_s(next_s)):
                    await self._changed.wait()

    def _begin(self, tasks: asyncio.TaskGroup) -> None:
        now_s = time.monotonic()
        while self.book.running < self._pacing.at_once and (job := self.plan.due(now_s)) is not None:
            self.book.running += 1
            begin_s = max(now_s, self._next_call_s)
            self._next_call_s = begin_s + 1 / self._pacing.calls_per_s
            tasks.create_task(self._do(job, begin_s - now_s))

    async def _do(self, job: Job, wait_s: float) -> None:
        try:
            await asyncio.sleep(wait_s)
            try:
                await (self._read_log() if job.kind == DELIVERY_LOG else self._answer(job))
            except Exception as error:
                await self._failed(job, error)
            else:
                self.book.done += 1
                self.plan.finish(job, time.monotonic())
        except Exception as fault:  # ours; the next try may fare better
            log.error("fetch.fault", endpoint=self._source, kind=job.kind, error=_told(fault), exc_info=True)
            self.plan.retry(job, time.monotonic() + self._pacing.backoff.most_s)
        finally:
            self.book.running -= 1
            self._move()
            self._changed.set()

    async def _answer(self, job: Job) -> None:
        """Ask, and journal what comes."""
        answers, seen = await self._ask(job)
        for number, one in enumerate(answers, 1):
            await self._keep(self.record(one, seen, done=job.done if number == len(answers) else ""))

    async def _read_log(self) -> None:
        """Journal what stands in it since the last look: the intake drops what has come otherwise."""
        entries = {
            hashlib.blake2b(one.call.encode() + b"\0" + one.body, digest_size=16).digest(): one
            for one in await self.api.own_record("", Hints())
        }
        for digest, one in entries.items():
            if digest not in self._logged:
                await self._keep(self.record(one))
        self._logged = set(entries)

    async def _ask(self, job: Job) -> tuple[list[Fetched], Seen | None]:
        # hints may be a moment old, a comparison has to know of everything up to the end
        known = self._known(self._source, job.subject, job.seq if job.kind == OWN_RECORD else 0)
        watch = self.plan.watch(job.subject)
        hints = Hints(session=job.session, artifact=job.artifact)
        if watch.session == job.session:
            hints = msgspec.structs.replace(hints, since_s=watch.since_s, until_s=watch.until_s)
        if known is not None and job.session in ("", known.session):
            hints = msgspec.structs.replace(
                hints,
                session=known.session,
                since_s=known.since_s if hints.since_s is None else hints.since_s,
                until_s=known.until_s if hints.until_s is None else hints.until_s,
            )
        if job.kind != OWN_RECORD:
            return await self.api.fetch(job.kind, job.subject, hints), None
        if known is None:
            raise VendorPending("nothing is known of it here, or not yet: there is nothing to compare with")
        return await self.api.own_record(job.subject, hints), known.seen

    def record(self, one: Fetched, seen: Seen | None = None, *, done: str = "") -> Record:
        """An answer as a delivery."""
        return reply_record(
            self._vendor,
            self._endpoint,
            one.call,
            one.body,
            subject=one.subject,
            content_type=one.content_type,
            now_ns=time.time_ns(),
            seen=seen,
            done=done,
        )

    async def _failed(self, job: Job, error: Exception) -> None:
        """Put it off, or give it up and say so."""
        if not isinstance(error, VendorError):
            log.error("fetch.fault", endpoint=self._source, kind=job.kind, error=_told(error), exc_info=True)
        now_s = time.monotonic()
        retryable = not isinstance(error, VendorError) or error.retryable
        asked_s = (error.retry_after_s or None) if isinstance(error, VendorPending) else None
        last_s = job.give_up_s - now_s
        if job.kind == DELIVERY_LOG and isinstance(error, VendorCannot):
            self.plan.drop(job)
        elif job.kind == DELIVERY_LOG:
            log.warning("fetch.log.failed", endpoint=self._source, error=_told(error))
            self.plan.finish(job, now_s)
        elif not retryable or last_s <= 0 or (asked_s or 0.0) > last_s:
            await self._give_up(job, error)
        else:
            wait_s = self._pacing.backoff.wait_s(job.tries, random.random(), asked_s)  # noqa: S311 - jitter
            wait_s = min(wait_s, last_s)
            self.book.retries += 1
            log.info(
                "fetch.retry", endpoint=self._source, kind=job.kind, tried=job.tries, wait_s=round(wait_s, 1),
                error=_told(error),
            )  # fmt: skip
            self.plan.retry(job, now_s + wait_s)

    async def _give_up(self, job: Job, error: Exception) -> None:
        told = redact_text(str(error)) if isinstance(error, ReceiverError) else type(error).__name__
        log.warning("fetch.gave_up", endpoint=self._source, kind=job.kind, tried=job.tries, error=_told(error))
        if job.kind != OWN_RECORD:
            trace = gave_up_record(
                self._vendor, self._endpoint, job.kind, f"given up: {told}",
                subject=job.subject, now_ns=time.time_ns(), done=job.done,
            )  # fmt: skip
            await self._keep(trace)
        self.book.given_up += 1
        self.plan.finish(job, time.monotonic())

    async def _keep(self, record: Record) -> None:
        """However long the journal takes nothing."""
        failures = 0
        while True:
            try:
                await self._take(record)
            except JournalUnavailable:
                failures += 1
                await asyncio.sleep(self._pacing.trouble.wait_s(failures, random.random()))  # noqa: S311 - jitter
            else:
                return


def _loop_s(monotonic_s: float) -> float:
    """A moment of the monotonic clock on the loop's."""
    return asyncio.get_running_loop().time() + monotonic_s - time.monotonic()


def _told(error: Exception) -> str:
    return redact_text(f"{type(error).__name__}: {error}")
