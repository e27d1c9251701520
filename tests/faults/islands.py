"""Sinks are islands: whatever befalls one of them, callers and the other sinks do not notice, and it catches up.

One server with a file sink that stays well, and one sink for each fault: a file on a disk that is full, http targets
that answer 500, 429 with Retry-After, or nothing at all, a broker that is frozen and killed (where a real one is to be
had), plug-ins that raise and that block. Spans without and with one fault alternate under the same load. Then all
faults come at once and go, and everything has to arrive everywhere. Latencies are reported and judge nothing.
"""

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import orjson

from tests.end_to_end.process import Server, read_events, serving
from tests.faults.base import Options, Report
from tests.faults.far_sides import Fault, Guest, Kafka, SmallDisk, Targets
from tests.faults.guest import install
from tests.faults.load import Audio, Callbacks, quantile_ms, ratio
from tests.faults.oracle import FarSide, balance, judge
from tests.kafka_broker import start_broker

_PATIENCE_S = 180.0
_POLL_S = 0.002
#: a sink that is so little behind is live again
_LIVE = 100
_GOOD = '[sinks.good]\ntype = "file"\npath = "good/{date}.jsonl"\n'


@dataclass(frozen=True)
class Span:
    """Latencies of a span of time, seconds: POSTs, and from an event's arrival to its line in the good file."""

    posts: list[float]
    lines: list[float]


async def run(options: Options) -> Report:
    """Alternate, pile up, mend, judge."""
    report, folder = Report(), options.folder
    async with AsyncExitStack() as stack:
        targets = Targets("answers500", "answers429", "hangs")
        await stack.enter_async_context(targets.serving())
        disk = await stack.enter_async_context(SmallDisk.mounted(folder / "small"))
        kafka = await _kafka(folder, stack)
        raises, blocks = Guest(folder, "raises"), Guest(folder, "blocks")
        faults = [
            targets.fault("answers500", "500", "an http target answers 500"),
            targets.fault("answers429", "429", "an http target answers 429"),
            targets.fault("hangs", "hang", "an http target does not answer"),
            raises.fault("raise", "a plug-in raises"),
            blocks.fault("block", "a plug-in blocks"),
            *([disk.fault()] if disk else []),
            *(kafka.faults() if kafka else []),
        ]
        left_out = [what for what, there in (("full disk", disk), ("Kafka", kafka)) if there is None]
        report.figure("left out, not to be had here", ", ".join(left_out) or "nothing")
        sections = [_GOOD, *map(targets.section, targets.mood), raises.section(), blocks.section()]
        sections += [part.section() for part in (disk, kafka) if part is not None]
        environ = install(folder / "site")
        server = await stack.enter_async_context(serving(folder, "\n".join(sections), environ=environ))
        trial = _Trial(server, faults, report, options)
        await trial.run()
        far = {"good": FarSide(read_events(server.data_dir / "good")), "raises": raises.far(), "blocks": blocks.far()}
        far |= targets.far
        if disk is not None:
            far["full"] = disk.far()
        if kafka is not None:
            far["kafka"] = await kafka.far()
        for name, side in far.items():
            frames = trial.audio.sent if name in ("good", "raises", "blocks", "kafka") else None
            once = name not in ("kafka", *targets.mood)
            judge(report, name, side, callbacks=trial.callbacks.accepted, frames=frames, once=once)
    return report


async def _kafka(folder: Path, stack: AsyncExitStack) -> Kafka | None:
    (folder / "kafka").mkdir()
    broker = await asyncio.to_thread(start_broker, folder / "kafka")
    stack.push_async_callback(asyncio.to_thread, broker.stop)
    return Kafka(broker) if broker.real else None


class _Trial:
    """The load and what is measured meanwhile."""

    def __init__(self, server: Server, faults: list[Fault], report: Report, options: Options) -> None:
        self._server, self._faults, self._report, self._options = server, faults, report, options
        self._sinks = tuple(dict.fromkeys(fault.sink for fault in faults))
        self._arrivals: list[float] = []
        self.callbacks = Callbacks(f"{server.url}/meetstream/default", rate=300 if options.long else 100)
        self.audio = Audio(f"{server.url}/meetstream/default", sockets=4)

    async def run(self) -> None:
        """Everything, until all sinks have everything."""
        async with asyncio.TaskGroup() as tasks:
            loads = [tasks.create_task(self.callbacks.run()), tasks.create_task(self.audio.run())]
            watching = tasks.create_task(self._watch())
            try:
                await self._alternate()
                await self._all_at_once()
            finally:
                self.callbacks.stop()
                self.audio.stop()
                await asyncio.wait(loads)
                watching.cancel()
        metrics = await self._server.caught_up("good", *self._sinks)
        balance(self._report, metrics, "good", *self._sinks)
        self._report.equal("POSTs that were not accepted", dict(self.callbacks.failures), {})

    async def _alternate(self) -> None:
        """A: all is well. B: one fault. Ratios are medians over all pairs."""
        span_s = 10.0 if self._options.long else 0.8
        pairs: dict[str, list[tuple[Span, Span]]] = {fault.about: [] for fault in self._faults}
        for _ in range(self._options.pick(1, 5)):
            for fault in self._faults:
                well = await self._span(span_s)
                await fault.begin()
                pairs[fault.about].append((well, await self._span(span_s)))
                await self._look(fault)
                await fault.end()
                await self._live(fault.sink)
        for about, of_fault in pairs.items():
            self._report.figure(about, _ratios(of_fault))
        self._report.figure("all faults", _ratios([pair for of_fault in pairs.values() for pair in of_fault]))

    async def _look(self, fault: Fault) -> None:
        """While it lasts: the good sink has all that came so far, and the metrics show who has not."""
        await self._live("good")
        metrics = await self._server.metrics()
        label = f"{{sink={fault.sink}}}"
        seen = metrics[f"receiver_sink_failures{label}"] > 0 or metrics[f"receiver_sink_busy_seconds{label}"] > 0.2
        self._report.equal(f"{fault.about}: seen in the metrics", seen, True)

    async def _all_at_once(self) -> None:
        """Every sink but the good one is down, then back: how fast they catch up, and what POSTs notice of it."""
        outage_s = 60.0 if self._options.long else 4.0
        last = {fault.sink: fault for fault in self._faults}
        before = await self._span(outage_s / 4)
        for fault in last.values():
            await fault.begin()
        await asyncio.sleep(outage_s)
        for fault in last.values():
            await fault.end()
        began_s = time.monotonic()
        self.callbacks.latencies_s, self._arrivals = [], []
        took = dict(zip(last, await asyncio.gather(*map(self._catching_up, last)), strict=True))
        during = Span(self.callbacks.latencies_s, self._arrivals)
        report = self._report
        report.figure("all at once, for", f"{outage_s:.0f} s; all live again after {time.monotonic() - began_s:.1f} s")
        speeds = {name: f"{outage_s / took_s:.0f}" for name, took_s in took.items()}
        report.figure("catching up, in multiples of real time, from the first batch on", speeds)
        report.figure("POSTs before", _text(before.posts))
        report.figure("POSTs while they catch up", _text(during.posts))

    async def _catching_up(self, sink: str) -> float:
        """Seconds from the first delivery to the moment when it is live."""
        label = f"{{sink={sink}}}"
        first: float | None = None
        begun_s = deadline_s = time.monotonic()
        while True:
            metrics = await self._server.metrics()
            delivered, now_s = metrics[f"receiver_sink_delivered_total{label}"], time.monotonic()
            first = delivered if first is None else first
            if delivered == first:
                begun_s = now_s
            if metrics[f"receiver_sink_pending{label}"] <= _LIVE:
                return max(now_s - begun_s, 0.1)
            assert now_s < deadline_s + _PATIENCE_S, f"{sink} does not catch up"
            await asyncio.sleep(0.1)

    async def _live(self, sink: str) -> None:
        """Wait until ``sink`` has nearly all."""
        deadline_s = time.monotonic() + _PATIENCE_S
        while (await self._server.metrics())[f"receiver_sink_pending{{sink={sink}}}"] > _LIVE:
            assert time.monotonic() < deadline_s, f"{sink} does not catch up"
            await asyncio.sleep(0.05)

    async def _span(self, span_s: float) -> Span:
        self.callbacks.latencies_s, self._arrivals = [], []
        await asyncio.sleep(span_s)
        return Span(self.callbacks.latencies_s, self._arrivals)

    async def _watch(self) -> None:
        """Note for each callback how long after its arrival its line stands in the good file, within 2 ms."""
        offsets: dict[Path, int] = {}
        while True:
            for path in (self._server.data_dir / "good").glob("*.jsonl"):
                with path.open("rb") as file:
                    file.seek(offsets.get(path, 0))
                    whole = file.read().rpartition(b"\n")[0]
                    now_s = time.time()
                if whole:
                    offsets[path] = offsets.get(path, 0) + len(whole) + 1
                for line in whole.splitlines():
                    if b'"type":"bot.' in line[:400]:
                        received = datetime.fromisoformat(orjson.loads(line)["receivedtime"])
                        self._arrivals.append(now_s - received.timestamp())
            await asyncio.sleep(_POLL_S)


def _ratios(pairs: list[tuple[Span, Span]]) -> str:
    """With the fault against without: median over the pairs of p50 and p99, of POSTs and of lines."""
    parts = []
    for what in ("posts", "lines"):
        for share in (0.5, 0.99):
            well, bad = ([quantile_ms(getattr(pair[side], what), share) for pair in pairs] for side in (0, 1))
            if all(well) and all(bad):
                parts.append(f"{what} p{share * 100:.0f} ×{ratio(bad, well):.2f}")
    return ", ".join(parts)


def _text(latencies_s: list[float]) -> str:
    return f"p50 {quantile_ms(latencies_s, 0.5):.1f} ms, p99 {quantile_ms(latencies_s, 0.99):.1f} ms"
