"""Hostile clients beside genuine traffic: silent and dripping connections by the thousand, bombs, guesses, garbage.

Genuine callbacks and audio are measured alone and beside each attack, in turns, round by round. The attackers run in
processes of their own. Nothing genuine may be refused or lost, memory has a ceiling, attackers see 4xx, 503 or a close
code; by how much the genuine latency grows is told as a ratio.
"""

import asyncio
import json
import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.end_to_end.process import Server, read_events, serving
from tests.faults.attackers import ATTACKS
from tests.faults.base import Options, Report
from tests.faults.load import Audio, Callbacks, quantile_ms, ratio
from tests.faults.oracle import FarSide, balance, judge
from tests.ingress.hostile import rss_bytes

MIB = 1 << 20
TOKEN = "tok-genuine"
SECTIONS = """
[endpoints.meetstream.default]
token_env = "T"

[endpoints.meetstream.open]

[sinks.file]
type = "file"
"""
#: workers of each attack: short form, long form
WORKERS = {
    "silent": (400, 10_000), "heads": (400, 10_000), "bodies": (400, 10_000), "bombs": (4, 20), "guesses": (20, 100),
    "garbage": (20, 100), "sockets": (20, 60),
}  # fmt: skip
#: what each may be answered, beside 503 and resets; garbage may be anything that is not the server's fault
ANSWERS = {
    "silent": set[str](), "heads": set[str](), "bodies": {"408"}, "bombs": {"413"}, "guesses": {"401", "429"},
    "sockets": {"101", "close 1002", "close 1007", "close 1009", "close 1006"},
}  # fmt: skip
_HARMLESS = {"503", "ConnectionResetError", "BrokenPipeError", "TimeoutError", "IncompleteReadError"}
_GONE_S = 30.0


@dataclass
class Measured:
    """Latencies in ms, a value a round: genuine callbacks alone, and beside the attack."""

    alone: dict[float, list[float]] = field(default_factory=lambda: defaultdict(list))
    beside: dict[float, list[float]] = field(default_factory=lambda: defaultdict(list))
    answers: Counter[str] = field(default_factory=Counter)
    rss_peak: int = 0
    workers_up: int = 0


async def run(options: Options) -> Report:
    """Every attack, ``rounds`` times."""
    report = Report()
    rounds, span_s = options.pick(1, 5), (8.0 if options.long else 1.0)
    measured = {name: Measured() for name in ATTACKS}
    async with serving(options.folder, SECTIONS, environ={"T": TOKEN}) as server:
        url = f"{server.url}/meetstream/default/{TOKEN}"
        callbacks = Callbacks(url, rate=200.0 if options.long else 100.0, prefix="genuine")
        audio = Audio(url, sockets=4)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(callbacks.run())
            tasks.create_task(audio.run())
            await asyncio.sleep(span_s)
            begin_rss = rss_bytes(server.pid)
            for number in range(rounds):
                for name, found in measured.items():
                    count = WORKERS[name][options.long]
                    await _measure(callbacks, found.alone, span_s)
                    async with _attack(server, name, count, found):
                        await _measure(callbacks, found.beside, span_s)
                    await _gone(server)
                options.say(f"round {number + 1} of {rounds}")
            callbacks.stop()
            audio.stop()
        metrics = await server.caught_up("file")
        await server.stop()
    report.equal("genuine POSTs that failed", dict(callbacks.failures), {})
    report.equal("genuine sockets that failed or broke", dict(audio.refusals) | dict(audio.unsure), {})
    report.equal("close codes of genuine sockets", dict(audio.closings), {1000: 4})
    judge(
        report,
        "file",
        FarSide(read_events(server.data_dir / "events")),
        callbacks=callbacks.accepted,
        frames=audio.sent,
    )
    balance(report, metrics, "file")
    _judge_attackers(report, measured)
    peak = max(found.rss_peak for found in measured.values())
    report.at_most(
        "memory of the server, growth at its peak",
        round((peak - begin_rss) / MIB),
        400 if options.long else 250,
        " MiB",
    )
    _tell(report, measured, begin_rss)
    return report


async def _measure(callbacks: Callbacks, into: dict[float, list[float]], span_s: float) -> None:
    callbacks.latencies_s.clear()
    await asyncio.sleep(span_s)
    for share in (0.5, 0.99):
        into[share].append(quantile_ms(callbacks.latencies_s, share))


@asynccontextmanager
async def _attack(server: Server, name: str, count: int, found: Measured) -> AsyncIterator[None]:
    """Attackers that are at work; what they were answered goes into ``found``."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.faults.attackers", name, server.url, str(count),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None
    try:
        async with asyncio.TaskGroup() as tasks:
            watch = tasks.create_task(_watch(server, found))
            up = await process.stdout.readline()
            assert up.startswith(b"up "), f"the attackers of {name} did not start"
            found.workers_up = int(up.split()[1])
            yield
            process.stdin.close()
            found.answers.update(json.loads(await process.stdout.readline()))
            await process.wait()
            watch.cancel()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _watch(server: Server, found: Measured) -> None:
    while True:
        found.rss_peak = max(found.rss_peak, rss_bytes(server.pid))
        await asyncio.sleep(0.05)


async def _gone(server: Server) -> None:
    """Wait until the attackers' connections are closed, so that the next measurement is one without them."""
    deadline_s = time.monotonic() + _GONE_S
    while (await server.metrics())["receiver_connections_open{}"] > 50:
        assert time.monotonic() < deadline_s, "the attackers' connections are still open"
        await asyncio.sleep(0.2)


def _judge_attackers(report: Report, measured: dict[str, Measured]) -> None:
    for name, found in measured.items():
        answers = set(found.answers) - _HARMLESS
        wrong = {one for one in answers if one.startswith("5")} if name == "garbage" else answers - ANSWERS[name]
        report.equal(f"{name}: answers that should not be", sorted(wrong), [])
        report.at_least(f"{name}: workers at work", found.workers_up, 1)


def _tell(report: Report, measured: dict[str, Measured], begin_rss: int) -> None:
    for name, found in measured.items():
        parts = []
        for share in (0.5, 0.99):
            alone, beside = found.alone[share], found.beside[share]
            parts.append(
                f"p{share * 100:.0f} {statistics.median(alone):.1f} -> {statistics.median(beside):.1f} ms "
                f"(x {ratio(beside, alone):.2f})"
            )
        grown = (found.rss_peak - begin_rss) / MIB
        answers = " ".join(f"{what}: {count:,}" for what, count in found.answers.most_common(6))
        report.figure(f"{name} x {found.workers_up:,}", f"{', '.join(parts)}; {grown:+.0f} MiB; {answers or 'cut off'}")
