"""Sinks are islands: whatever befalls one of them, callers and the other sinks do not notice.

Spans without and with one fault alternate under the same load (``archipelago``), and in the end everything has to have
arrived everywhere. Latencies are reported and judge nothing.
"""

import asyncio
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import orjson

from tests.end_to_end.process import Server
from tests.faults.archipelago import Archipelago, archipelago
from tests.faults.base import Options, Report
from tests.faults.far_sides import Fault
from tests.faults.load import quantile_ms, ratio

_POLL_S = 0.002
#: a fault that began before anything was sent shows with the first batch
_SEEN_S = 60.0


@dataclass(frozen=True)
class Span:
    """Latencies of a span of time, seconds: POSTs, and from an event's arrival to its line in the good file."""

    posts: list[float]
    lines: list[float]


async def run(options: Options) -> Report:
    """A: all is well. B: one fault. Ratios are of all pairs."""
    report = Report()
    async with archipelago(options, report) as here:
        watch = _Watch(here.server)
        watching = asyncio.create_task(watch.run())
        try:
            await _alternate(here, watch, options, report)
        finally:
            watching.cancel()
    return report


async def _alternate(here: Archipelago, watch: "_Watch", options: Options, report: Report) -> None:
    span_s = 10.0 if options.long else 0.8
    bounds: dict[str, list[tuple[float, float, float, float]]] = {fault.about: [] for fault in here.faults}
    for number in range(options.pick(1, 5)):
        for fault in here.faults:
            begin_s = time.time()
            await asyncio.sleep(span_s)
            well_s = time.time()
            await fault.begin()
            bad_s = time.time()
            await asyncio.sleep(span_s)
            bounds[fault.about].append((begin_s, well_s, bad_s, time.time()))
            await _look(here, fault, report)
            await fault.end()
            await here.live(fault.sink)
        options.say(f"round {number + 1} done")
    pairs: dict[str, list[tuple[Span, Span]]] = {}
    for about, spans in bounds.items():
        pairs[about] = [
            (
                Span(await here.posts_s(begin_s, well_s), watch.lines(begin_s, well_s)),
                Span(await here.posts_s(bad_s, end_s), watch.lines(bad_s, end_s)),
            )
            for begin_s, well_s, bad_s, end_s in spans
        ]
        report.figure(about, _ratios(pairs[about]))
    report.figure("all faults", _ratios([pair for of_fault in pairs.values() for pair in of_fault]))


async def _look(here: Archipelago, fault: Fault, report: Report) -> None:
    """While it lasts: the good sink has all that came so far, and the metrics show who has not."""
    await here.live("good")
    label, deadline_s = f"{{sink={fault.sink}}}", time.monotonic() + _SEEN_S
    seen = False
    while not seen and time.monotonic() < deadline_s:
        metrics = await here.server.metrics()
        seen = metrics[f"receiver_sink_failures{label}"] > 0 or metrics[f"receiver_sink_busy_seconds{label}"] > 0.2
    report.equal(f"{fault.about}: seen in the metrics", seen, True)


class _Watch:
    """Notes for each callback how long after its arrival its line stands in the good file, within 2 ms."""

    def __init__(self, server: Server) -> None:
        self._folder = server.data_dir / "good"
        self._offsets: dict[Path, int] = {}
        #: when a line was seen, and after how long
        self._seen: list[tuple[float, float]] = []

    def lines(self, begin_s: float, end_s: float) -> list[float]:
        """Of a span of the wall clock."""
        return [took_s for at_s, took_s in self._seen if begin_s <= at_s < end_s]

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            for path in self._folder.glob("*.jsonl"):
                self._look(path)
            await asyncio.sleep(_POLL_S)

    def _look(self, path: Path) -> None:
        with path.open("rb") as file:
            file.seek(self._offsets.get(path, 0))
            whole = file.read().rpartition(b"\n")[0]
            now_s = time.time()
        if not whole:
            return
        self._offsets[path] = self._offsets.get(path, 0) + len(whole) + 1
        for line in whole.splitlines():
            if b'"type":"bot.' in line[:400]:
                received = datetime.fromisoformat(orjson.loads(line)["receivedtime"])
                self._seen.append((now_s, now_s - received.timestamp()))


def _ratios(pairs: list[tuple[Span, Span]]) -> str:
    """With the fault against without: median over the pairs of p50 and p99, of POSTs and of lines."""
    parts = []
    for what in ("posts", "lines"):
        for share in (0.5, 0.99):
            well, bad = ([quantile_ms(getattr(pair[side], what), share) for pair in pairs] for side in (0, 1))
            if all(well) and all(bad):
                parts.append(f"{what} p{share * 100:.0f} ×{ratio(bad, well):.2f}")
    return ", ".join(parts)
