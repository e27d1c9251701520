"""What is to be asked for, and when: read from an account's events in journal order. Pure; times are given, in seconds.

What is announced, or hinted at by an event, is asked for at once. A while after the end the rest follows, and the
vendor's own record, where that is compared with; a second time later, since the last events come late too. A meeting
that falls silent without an end is compared as well: its end may be what was missed.

Memory: the plan is ``full`` at so many jobs, then nothing more is to be taken; of subjects those go first of which
nothing has come for longest.
"""

import heapq
import itertools
from collections.abc import Iterable, Mapping

from receiver.events import Artifact, BotStatus, Event
from receiver.fetching.jobs import DELIVERY_LOG, OWN_RECORD, Done, Job, Times, Watch, read_done
from receiver.record import Record
from receiver.vendors.replies import REST, done_of

_END = "end"
MOST_JOBS = 10_000
MOST_SUBJECTS = 10_000
#: comparisons of a meeting that stays silent, each after twice the time of the one before
_MOST_CHECKS = 4
_UNDER_WAY = frozenset({
    "joining", "waiting_room", "in_meeting", "recording_permission_allowed", "recording_permission_denied", "recording",
    "paused",
})  # fmt: skip
_LIVELY = frozenset({
    "meeting.started", "participant.joined", "participant.left", "participant.updated", "transcript.partial",
    "transcript.final", "chat.message", "stream.opened", "stream.closed", "control.message",
})  # fmt: skip


class Plan:
    """The jobs of one account."""

    def __init__(
        self,
        kinds: Iterable[str],
        hints: Mapping[str, tuple[str, ...]],
        *,
        reconcile: bool = False,
        delivery_log: bool = False,
        give_up_s: float = 3600.0,
        times: Times = Times(),  # noqa: B008 - frozen
        most_jobs: int = MOST_JOBS,
        most_subjects: int = MOST_SUBJECTS,
    ) -> None:
        """``kinds``: what is wanted, the first ones first. ``hints``: vendor event name -> kinds."""
        self._kinds = tuple(kinds)
        self._hints = hints
        self._reconcile = reconcile
        self._give_up_s = give_up_s
        self._times = times
        self._most_jobs = most_jobs
        self._most_subjects = most_subjects
        self._watches: dict[str, Watch] = {}
        self._jobs: dict[tuple[str, str], Job] = {}
        #: by subject: looks at meetings that fall silent
        self._silent: dict[str, Job] = {}
        self._queue: list[tuple[float, int, Job]] = []
        self._numbers = itertools.count()
        if delivery_log:
            self._add(Job(subject="", kind=DELIVERY_LOG, seq=0, due_s=0.0, give_up_s=0.0))

    @property
    def full(self) -> bool:
        """Whether no more is to be taken now."""
        return len(self._jobs) >= self._most_jobs

    @property
    def pending(self) -> int:
        """How many things are to be asked for, or are asked for now."""
        return sum(job.kind not in (_END, DELIVERY_LOG) for job in self._jobs.values())

    @property
    def idle(self) -> bool:
        """Whether nothing is to be asked for, also not a while after an end; silent meetings and logs aside."""
        return all(job.kind == DELIVERY_LOG for job in self._jobs.values())

    @property
    def hold(self) -> int | None:
        """The lowest number of an event that is still needed after a restart."""
        jobs = itertools.chain(self._jobs.values(), self._silent.values())
        return min((job.seq for job in jobs if job.seq), default=None)

    @property
    def next_s(self) -> float | None:
        """When ``due`` has something to do; ``None``: not before more is taken."""
        return self._queue[0][0] if self._queue else None

    def watch(self, subject: str) -> Watch:
        """What is known of a subject."""
        return self._watches.get(subject) or Watch()

    def take(self, record: Record, at_s: float, *, past: bool = False) -> None:
        """A record of this account, decoded, that arrived at ``at_s``. ``past``: it lay in the journal at the start, so
        what it wants may be answered by a record behind it."""
        answer = record.channel == REST
        if answer and (done := read_done(done_of(record))) is not None:
            self._answered(done, past)
        for event in record.events or ():
            if event.subject and (event.data.reconciled or not answer):
                self._event(event, record.seq, at_s)

    def due(self, now_s: float) -> Job | None:
        """A job whose time has come; it is under way until ``retry`` or ``finish``."""
        while self._queue and self._queue[0][0] <= now_s:
            due_s, _, job = heapq.heappop(self._queue)
            if job.over or job.running:
                continue
            if job.due_s > due_s:
                self._push(job)
            elif job is self._silent.get(job.subject):
                self._is_silent(job, now_s)
            elif job.kind == _END:
                self._remove(job)
                self._after_end(job, now_s)
            else:
                job.running = True
                job.tries += 1
                return job
        return None

    def retry(self, job: Job, at_s: float) -> None:
        """Ask again at ``at_s``."""
        job.running = False
        job.due_s = at_s
        self._push(job)

    def finish(self, job: Job, now_s: float) -> None:
        """It was answered, or given up."""
        job.running = False
        if job.kind == DELIVERY_LOG:
            job.tries = 0
            self.retry(job, now_s + self._times.log_s)
        elif job.again:
            job.seq, job.again, job.tries = job.again, 0, 0
            job.give_up_s = now_s + self._give_up_s
            self.retry(job, now_s)
        elif job.kind == OWN_RECORD and not job.late and self.watch(job.subject).ended:
            self.watch(job.subject).asked.add(OWN_RECORD)
            job.late, job.tries = True, 0
            self._put_off(job, now_s)
        else:
            self._remove(job)

    def drop(self, job: Job) -> None:
        """It is wanted no more."""
        self._remove(job)

    # ---- what events tell

    def _event(self, event: Event, seq: int, at_s: float) -> None:
        data, subject = event.data, event.subject
        watch = self._touched(subject)
        moment_s = event.time_ns / 1e9
        started = event.type == "meeting.started" or (isinstance(data, BotStatus) and data.status in _UNDER_WAY)
        if started and watch.ended and moment_s > (watch.until_s or 0.0):
            watch = self._watches[subject] = Watch()
        if data.session:
            watch.session = data.session
        if not watch.ended and (started or event.type in _LIVELY):
            if watch.since_s is None or moment_s < watch.since_s:
                watch.since_s = moment_s
            self._listen(subject, watch, seq, at_s)
        kinds = dict.fromkeys(self._hints.get(event.vendorevent, ()), "")
        if isinstance(data, Artifact):
            if event.type == "artifact.ready":
                kinds[data.kind] = data.id or ""
            else:
                self._will_not_come(subject, data.kind)
        for kind in self._kinds:
            if kind in kinds:
                self._ask(subject, kind, seq, at_s, artifact=kinds[kind])
        if event.type == "meeting.ended" or (isinstance(data, BotStatus) and data.final):
            self._ended(subject, watch, seq, at_s, moment_s)

    def _touched(self, subject: str) -> Watch:
        watch = self._watches.pop(subject, None)
        if watch is None:
            watch = Watch()
            if len(self._watches) >= self._most_subjects:
                eldest = next(iter(self._watches))
                del self._watches[eldest]
                self._unlisten(eldest)
        self._watches[subject] = watch
        return watch

    def _ended(self, subject: str, watch: Watch, seq: int, at_s: float, moment_s: float) -> None:
        watch.ended, watch.until_s = True, moment_s
        self._unlisten(subject)
        if not self._kinds and not self._reconcile:
            return
        job = self._job(subject, _END, seq, at_s, watch.session)
        job.due_s = at_s + self._times.after_end_s
        known = self._jobs.get((subject, job.label))
        if known is None:
            self._add(job)
        else:
            known.due_s = job.due_s

    def _after_end(self, ending: Job, now_s: float) -> None:
        subject, session = ending.subject, ending.session
        watch = self.watch(subject)
        asked = watch.asked if watch.session == session else ()
        for kind in self._kinds:
            if kind not in asked:
                self._ask(subject, kind, ending.seq, now_s, session=session)
        if not self._reconcile:
            return
        if OWN_RECORD not in asked:
            self._ask(subject, OWN_RECORD, ending.seq, now_s, session=session)
            return
        job = self._job(subject, OWN_RECORD, ending.seq, now_s, session)
        known = self._jobs.setdefault((subject, job.label), job)
        if not known.running:
            known.late = True
            self._put_off(known, ending.due_s)

    def _ask(
        self, subject: str, kind: str, seq: int, now_s: float, *, session: str | None = None, artifact: str = ""
    ) -> None:
        watch = self.watch(subject)
        session = watch.session if session is None else session
        if session == watch.session:
            watch.asked.add(kind)
        job = self._job(subject, kind, seq, now_s, session, artifact)
        known = self._jobs.get((subject, job.label))
        if known is None:
            self._add(job)
        elif known.running:
            known.again = seq
        else:
            known.give_up_s = job.give_up_s
            if now_s < known.due_s:
                self.retry(known, now_s)

    def _job(self, subject: str, kind: str, seq: int, now_s: float, session: str, artifact: str = "") -> Job:
        return Job(
            subject=subject,
            kind=kind,
            seq=seq,
            due_s=now_s,
            give_up_s=now_s + self._give_up_s,
            session=session,
            artifact=artifact,
        )

    def _will_not_come(self, subject: str, kind: str) -> None:
        """The vendor says that it failed or was left out: that is not waited for, and not asked for after the end."""
        self.watch(subject).asked.add(kind)
        for job in [job for (of, _), job in self._jobs.items() if of == subject and job.kind == kind]:
            if not job.running:
                self._remove(job)

    def _answered(self, done: Done, past: bool) -> None:
        watch = self._watches.get(done.subject)
        if watch is not None and watch.session == done.session and (done.kind != OWN_RECORD or watch.ended):
            watch.asked.add(done.kind)
        job = self._jobs.get((done.subject, done.label))
        if past and job is not None and not job.running:
            self._remove(job)

    # ---- meetings that fall silent

    def _listen(self, subject: str, watch: Watch, seq: int, at_s: float) -> None:
        if not self._reconcile:
            return
        watch.checks = 0
        job = self._silent.get(subject)
        if job is not None:
            job.seq, job.due_s = seq, at_s + self._times.quiet_s
            return
        job = Job(subject=subject, kind=OWN_RECORD, seq=seq, due_s=at_s + self._times.quiet_s, give_up_s=0.0)
        self._silent[subject] = job
        self._push(job)

    def _unlisten(self, subject: str) -> None:
        job = self._silent.pop(subject, None)
        if job is not None:
            job.over = True

    def _is_silent(self, job: Job, now_s: float) -> None:
        watch = self.watch(job.subject)
        watch.checks += 1
        self._ask(job.subject, OWN_RECORD, job.seq, now_s)
        watch.asked.discard(OWN_RECORD)  # after the end it is compared in any case
        if watch.checks >= _MOST_CHECKS:
            self._unlisten(job.subject)
        else:
            job.due_s = now_s + self._times.quiet_s * 2.0**watch.checks
            self._push(job)

    # ---- jobs

    def _add(self, job: Job) -> None:
        self._jobs[job.subject, job.label] = job
        self._push(job)

    def _put_off(self, job: Job, now_s: float) -> None:
        job.due_s = now_s + self._times.again_s
        job.give_up_s = job.due_s + self._give_up_s
        self._push(job)

    def _remove(self, job: Job) -> None:
        job.over = True
        if self._jobs.get((job.subject, job.label)) is job:
            del self._jobs[job.subject, job.label]

    def _push(self, job: Job) -> None:
        heapq.heappush(self._queue, (job.due_s, next(self._numbers), job))
