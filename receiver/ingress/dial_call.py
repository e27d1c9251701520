"""One socket that we keep dialled: open, lost, resumed, over. What comes on it goes the way of every vendor socket."""

import asyncio
import random
import time
from contextlib import suppress
from secrets import token_hex
from typing import Final, Literal

import msgspec
import structlog

from receiver.errors import Malformed
from receiver.ingress.dial_line import Line, Unreachable
from receiver.ingress.dial_talk import FAULT, JOURNAL, QUIET, Talk, Timing
from receiver.ingress.inflow import Inflow
from receiver.ingress.note import StreamNote, opening_of
from receiver.ingress.stream import Rim, Stream
from receiver.settings import Dial
from receiver.telemetry.ledger import Intake as Book
from receiver.vendors.realtimekit import calling, session
from receiver.vendors.realtimekit.calling import Next

log = structlog.get_logger()
_CHANNEL: Final = "transcript"
#: a far end that asks for a longer pause than that (Retry-After) is asked sooner all the same
_MOST_ASKED_S = 300.0
State = Literal["dialling", "open", "over"]


class Call:
    """``run`` until it is over; it can be run again after ``hang_up``, and then goes on where it was.

    It ends with the session; where the vendor says that dialling again makes no sense; where for ``give_up_s`` no
    connection has lasted; and where on an open one nothing but answers to our own requests has come for ``quiet_s``: an
    attached agent keeps a session alive, and billed, in which nobody else is left.
    """

    def __init__(self, dial: Dial, book: Book, inflow: Inflow, max_message_bytes: int, timing: Timing) -> None:
        self.dial = dial
        self.state: State = "dialling"
        #: why it is over, or why it is not open; empty while all is well
        self.problem = ""
        #: whether it ended in a way that somebody should look at
        self.failed = False
        #: set once it was open, or is over
        self.settled = asyncio.Event()
        self.subject = dial.subject
        self._book = book
        self._inflow = inflow
        self._max_message_bytes = max_message_bytes
        self._timing = timing
        self._parting: tuple[int, str, float] | None = None
        self._hung_up = asyncio.Event()
        #: around an attempt that is under way
        self._attempting: asyncio.Timeout | None = None
        #: the vendor's name of the connection that was lost, and when; empty: there is none to ask for
        self._connection_id = ""
        self._lost_s = 0.0
        #: attempts and short connections in a row
        self._failures = 0
        self._good_s = self._heard_s = time.monotonic()

    @property
    def _name(self) -> str:
        return f"{self.dial.vendor}/{self.dial.endpoint}"

    async def run(self, rim: Rim) -> None:
        """Dial, and dial again, until it is over or ``hang_up`` is called. A fault of ours ends it, not the server."""
        self._parting = None
        self._hung_up.clear()
        self._good_s = self._heard_s = time.monotonic()
        self._recall(rim)
        try:
            while self._parting is None:
                following, asked_s = await self._attempt(rim)
                if self._parting is not None or not await self._follow(following, asked_s):
                    break
        except Exception:
            log.exception("dial.fault", dial=self.dial.name)
            self._over(FAULT, failed=True)

    def _recall(self, rim: Rim) -> None:
        """Of the process before this one: which connection it was, where the config tells of which meeting."""
        note = StreamNote(self.dial.vendor, self.dial.endpoint, self.subject, _CHANNEL, "", 0)
        ended = rim.streams.ended(note.key) if self.subject and not self._connection_id else None
        if ended is not None:
            with suppress(Malformed):  # of an earlier version's making
                agent = session(opening_of(msgspec.structs.replace(note, state=ended.state)))
                self._connection_id, self._lost_s = agent.connection_id, ended.at_s

    def hang_up(self, code: int, reason: str, wait_s: float) -> None:
        """End it, by our own wish: close what is open, within ``wait_s``; ``run`` returns soon after."""
        self._parting = code, reason, wait_s
        self._hung_up.set()
        if self._attempting is not None and not self._attempting.expired():
            self._attempting.reschedule(0.0)

    # ---- what follows

    async def _follow(self, following: Next, asked_s: float) -> bool:
        """Whether to dial again; returns when it is time to."""
        now_s = time.monotonic()
        self.problem = following.reason
        if following.act in ("done", "stop"):
            self._over(following.reason, failed=following.act == "stop")
            return False
        if now_s - self._good_s >= self.dial.give_up_s:
            reason = f"no connection has lasted for {self.dial.give_up_s:g} s; the last: {following.reason}"
            self._over(reason, failed=True)
            return False
        if following.act == "fresh":
            self._connection_id = ""
        pause_s = self._pause_s(following, asked_s)
        log.warning(
            "dial.redialling", dial=self.dial.name, endpoint=self._name, reason=following.reason,
            resume=bool(self._connection_id), pause_s=round(pause_s, 3),
        )  # fmt: skip
        await self._pause(pause_s)
        return True

    def _pause_s(self, following: Next, asked_s: float) -> float:
        if following.pace == "now":
            return 0.0
        self._failures += 1
        attempt = self._failures - (following.pace == "soon")
        chance = random.random()  # noqa: S311 - spreads attempts, no secret
        return self._timing.backoff.wait_s(attempt, chance, asked_s) if attempt else 0.0

    async def _pause(self, pause_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._hung_up.wait()

    def _over(self, reason: str, *, failed: bool) -> None:
        self.state, self.problem, self.failed = "over", reason, failed
        self.settled.set()
        if failed:
            log.error("dial.stopped", dial=self.dial.name, endpoint=self._name, reason=reason)
        else:
            log.info("dial.ended", dial=self.dial.name, endpoint=self._name, reason=reason)

    # ---- one connection

    async def _attempt(self, rim: Rim) -> tuple[Next, float]:
        """Dial once and read to the end; what follows, and the pause in seconds that the far end asks for."""
        timing = self._timing
        if rim.intake.shedding.refuses(_CHANNEL):  # no socket is opened for what would not be taken on it
            self._good_s = time.monotonic()
            return Next("resume", "later", JOURNAL), 0.0
        if self._connection_id and time.monotonic() - self._lost_s > timing.resume_s:
            self._connection_id = ""
        try:
            async with asyncio.timeout(timing.open_s) as self._attempting:
                line = await Line.open(
                    calling.address(self.dial.url or calling.URL, self._connection_id),
                    self._inflow,
                    headers=calling.headers(self.dial.token),
                    subprotocol=calling.SUBPROTOCOL,
                    max_message_bytes=self._max_message_bytes,
                )
        except TimeoutError:
            return Next("resume", "later", f"not reached within {timing.open_s:g} s"), 0.0
        except Unreachable as problem:
            if not problem.status:
                return Next("resume", "later", f"not reached: {problem}"), 0.0
            following = calling.after_refusal(problem.status, problem.body, resumed=bool(self._connection_id))
            return following, _seconds(problem.retry_after)
        finally:
            self._attempting = None
        return await self._converse(line, rim), 0.0

    async def _converse(self, line: Line, rim: Rim) -> Next:
        """One connection, from its opening to its closing in the journal."""
        dial, book = self.dial, self._book
        opened_ns, opened_s = time.time_ns(), time.monotonic()
        connection = f"{opened_ns:x}-{token_hex(4)}"
        note = StreamNote(dial.vendor, dial.endpoint, self.subject, _CHANNEL, connection, opened_ns)
        agent = session(opening_of(note))
        stream = Stream(rim, agent, note, book)
        talk = Talk(line, stream, agent, self._timing, dial.quiet_s, self._heard_s)
        book.sockets_open += 1
        book.sockets_total += 1
        self.state, self.problem = "open", ""
        self.settled.set()
        try:
            await talk.run(self._hang_up_when_told)
        finally:
            self.state, self._lost_s, self._heard_s = "dialling", time.monotonic(), talk.heard_s
            self.subject = agent.subject or self.subject
            self._connection_id = talk.connection_id or self._connection_id
            line.gone()
            log.info(
                "stream.closed", endpoint=self._name, connection=connection, code=line.code, messages=stream.messages,
                bytes=stream.bytes,
            )  # fmt: skip
            book.sockets_open -= 1
            await stream.finish(line.code, clean=line.clean)
        if self._lost_s - opened_s >= self._timing.good_s:
            self._failures, self._good_s = 0, self._lost_s
        if stream.failed.is_set():
            self._good_s = self._lost_s  # it is not the far end that is to blame
            return Next("resume", "later", JOURNAL)
        if talk.quiet:
            return Next("done", "now", f"{QUIET}: no message for {dial.quiet_s:g} s")
        if line.said:
            return Next("resume", "later", FAULT)
        return calling.after_close(line.code, line.reason, over=agent.close_expected())

    async def _hang_up_when_told(self, line: Line) -> None:
        await self._hung_up.wait()
        if self._parting is not None:
            await line.hang_up(*self._parting)


def _seconds(retry_after: str) -> float:
    """Of a ``Retry-After`` that is a number; a date is not worth reading."""
    return min(float(retry_after), _MOST_ASKED_S) if retry_after.isascii() and retry_after.isdigit() else 0.0
