"""Load from processes of its own (``sender``), so that neither the judge nor a far side holds it up."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from tests.faults.base import Report

_END_S = 120.0


@dataclass
class Sender:
    """One process of ``tests.faults.sender``; ``lines`` are its newest figures, ``end`` its last word."""

    process: asyncio.subprocess.Process
    lines: list[dict[str, Any]] = field(default_factory=list)
    end: dict[str, Any] = field(default_factory=dict)

    async def read(self) -> None:
        """Until it ends."""
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            said = json.loads(line)
            if "taken" in said:
                self.end = said
            else:
                self.lines.append(said)

    def latencies_s(self, begin_s: float, end_s: float) -> list[float]:
        """Of the callbacks answered in a span of the wall clock that is over for some seconds; needs ``each``."""
        return [ms / 1000 for line in self.lines for at_s, ms in line["each"] if begin_s <= at_s < end_s]


@asynccontextmanager
async def sending(
    url: str, prefix: str, *, processes: int = 1, bots: int, rate: float, sockets: int, each: bool = False
) -> AsyncIterator[list[Sender]]:
    """Processes at work; each has said what was taken from it when this ends. Numbers are of all of them together."""
    senders = []
    try:
        for number in range(processes):
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.faults.sender", f"{url}/meetstream/default",
                "--prefix", f"{prefix}{number}", "--bots", str(bots // processes),
                "--rate", str(rate / processes), "--sockets", str(sockets // processes), *["--each"] * each,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 24,
            )  # fmt: skip
            senders.append(Sender(process))
        async with asyncio.TaskGroup() as tasks:
            for sender in senders:
                tasks.create_task(sender.read())
            yield senders
            for sender in senders:
                assert sender.process.stdin is not None
                sender.process.stdin.close()
    finally:
        for sender in senders:
            if sender.process.returncode is None:
                with suppress(TimeoutError, ProcessLookupError):
                    await asyncio.wait_for(sender.process.wait(), _END_S)
                    continue
                sender.process.kill()
                await sender.process.wait()


def told(report: Report, senders: Sequence[Sender]) -> dict[str, int]:
    """The last number of each subject that was taken. They are numbered from 1, without a gap."""
    report.equal("senders that told what was taken", sum(bool(sender.end) for sender in senders), len(senders))
    failures = {what: count for sender in senders for what, count in sender.end.get("failures", {}).items()}
    report.equal("deliveries that failed", failures, {})
    return {who: number for sender in senders for who, number in sender.end.get("taken", {}).items()}
