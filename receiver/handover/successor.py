"""The process that is to take over, as the one that serves sees it; afterwards, whose journal deliveries go to."""

import asyncio
import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import cast

import structlog

from receiver.errors import ConfigError, JournalUnavailable
from receiver.handover.messages import Answer, Go, Message, Prepared, Problem, Serving, Take, decode
from receiver.handover.predecessor import VARIABLE, Inheritance
from receiver.ingress.intake import Fate, Offered, Outcome, Takes, hand_to
from receiver.line import Line
from receiver.record import Record
from receiver.telemetry.ledger import Intake as Book

log = structlog.get_logger()
#: to import everything, read the config and connect to nothing
_PREPARE_S = 30.0
#: to open the journal; deliveries wait for it
_TAKE_OVER_S = 60.0
_END_S = 5.0


class Successor:
    """``start``, ``prepared``, ``go``; then it takes deliveries (it is a ``Takes``) until ``close``.

    Deliveries may be handed to it before ``go``: they wait. Raises from ``prepared`` and ``go``: ``ConfigError``,
    ``JournalUnavailable``; it is gone then.
    """

    def __init__(self, process: subprocess.Popen[bytes], line: Line[Message]) -> None:
        self.pid = process.pid
        self._process = process
        self._line = line
        self._numbers = itertools.count()
        self._asked: dict[int, asyncio.Future[Answer]] = {}
        #: deliveries that came before it has the journal
        self._early: list[Take] | None = []
        self._gone = ""
        #: who takes deliveries where this one never came up
        self._instead: Takes | None = None

    @classmethod
    async def start(cls, listening: Sequence[socket.socket], leash: socket.socket, *, activated: bool) -> "Successor":
        """Run the command that this process was started with once more, in the same place, with these sockets."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            inheritance = Inheritance(
                line=theirs.fileno(),
                listening=[one.fileno() for one in listening],
                leash=leash.fileno(),
                activated=activated,
            )
            process = _run(inheritance, [inheritance.line, inheritance.leash, *inheritance.listening], os.environ)
        return cls(process, await Line.over(ours, decode))

    async def prepared(self) -> None:
        """Return when it wants nothing but the journal."""
        await self._expect(Prepared, _PREPARE_S)

    async def go(self) -> None:
        """Give it the journal; return when it serves."""
        self._line.say(Go())
        await self._expect(Serving, _TAKE_OVER_S)
        early, self._early = self._early or [], None
        for take in early:
            self._line.say(take)

    async def attend(self) -> None:
        """Pass its answers on, until it hangs up. Run it from ``go`` on."""
        while isinstance(answer := await self._line.hear(), Answer):
            asked = self._asked.pop(answer.number, None)
            if asked is not None and not asked.done():
                asked.set_result(answer)
        self._lost("the process that has taken over is gone")

    def give_back(self, instead: Takes) -> None:
        """It did not come up: what waits for it goes to ``instead``."""
        self._instead = instead
        self._early = None
        self._lost("")

    def close(self) -> None:
        """Nothing more comes from here."""
        self._line.close()

    # ---- who makes deliveries safe

    def ready(self) -> bool:
        """Nothing is begun at once over there."""
        return False

    def begin(self, offered: Sequence[Offered]) -> list[bool]:
        """None of them."""
        return [False] * len(offered)

    async def room(self) -> None:
        """There is always room: bodies under way are bounded where they are read."""

    async def accept(self, record: Record, book: Book) -> Outcome:
        """Have the other process take it; raises ``JournalUnavailable``."""
        return await self._ask(record, "", book)

    async def quarantine(self, record: Record, reason: str, book: Book) -> Outcome:
        """Have the other process keep it; raises ``JournalUnavailable``."""
        return await self._ask(record, reason, book)

    async def _ask(self, record: Record, reason: str, book: Book) -> Outcome:
        if self._gone:
            raise JournalUnavailable(self._gone)
        number = next(self._numbers)
        asked = self._asked[number] = asyncio.get_running_loop().create_future()
        take = Take(
            number=number, vendor=record.vendor, endpoint=record.endpoint, payload=record.payload,
            received_ns=record.received_ns, subject=record.subject, headers=record.headers, reason=reason,
        )  # fmt: skip
        if self._early is None:
            self._line.say(take)
        else:
            self._early.append(take)
        answer = await asked
        if self._instead is not None:
            return await hand_to(self._instead, record, reason, book)
        if answer.failed:
            book.failed += 1
            raise JournalUnavailable(answer.failed)
        return Outcome(cast(Fate, answer.fate), answer.reason)

    # ---- parts

    async def _expect(self, kind: type[Message], within_s: float) -> None:
        try:
            async with asyncio.timeout(within_s):
                message = await self._line.hear()
        except TimeoutError:
            message = Problem(f"nothing was heard of it for {within_s:g} s")
        if isinstance(message, kind):
            return
        self._line.close()
        await asyncio.to_thread(self._end)
        if isinstance(message, Problem) and message.config:
            raise ConfigError(*message.text.splitlines())
        why = message.text if isinstance(message, Problem) else f"it ended with status {self._process.returncode}"
        raise JournalUnavailable(f"the new process did not come up: {why}")

    def _end(self) -> None:
        """See to it that the process is gone: give it time, then ask, then kill."""
        for number in (0, signal.SIGTERM, signal.SIGKILL):
            self._process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_S)
                return

    def _lost(self, why: str) -> None:
        self._gone = why
        for asked in self._asked.values():
            if not asked.done():
                asked.set_result(Answer(number=0, failed=why))
        self._asked.clear()


def _run(inheritance: Inheritance, descriptors: Sequence[int], environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, *sys.orig_argv[1:]]
    return subprocess.Popen(  # noqa: S603 - the command that this process itself was started with
        command, env={**environ, VARIABLE: inheritance.text()}, pass_fds=descriptors
    )
