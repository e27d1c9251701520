"""A far side that comes back gets what it missed at many times real time, and live traffic does not wait for that.

Each fault alone keeps its sink down for a while under load (``archipelago``), then all of them at once. Speeds and
latencies are reported and judge nothing; that everything arrives does.
"""

import asyncio
import time

from tests.faults.archipelago import LIVE, PATIENCE_S, Archipelago, archipelago, span_text
from tests.faults.base import Options, Report
from tests.faults.far_sides import Fault

#: each look costs the server some milliseconds of its event loop
_POLL_S = 0.2


async def run(options: Options) -> Report:
    """One fault after the other, then all."""
    report = Report()
    async with archipelago(options, report) as here:
        await asyncio.sleep(1.0)
        if options.long:
            for fault in here.faults:
                await _outage(here, [fault], fault.about, options, report)
        await _outage(here, here.faults, "all at once", options, report)
        away = {told["sink"] for told in here.server.said("sink.away")}
        report.figure("the helper delivered for", ", ".join(sorted(away)))
        report.at_least("sinks that the helper delivered for", len(away), 1)
    return report


async def _outage(here: Archipelago, some: list[Fault], about: str, options: Options, report: Report) -> None:
    outage_s = float(options.pick(4, 60))
    faults = {fault.sink: fault for fault in some}  # the last of a sink's
    before_s = time.time()
    await asyncio.sleep(outage_s / 4)
    begin_s = time.time()
    for fault in faults.values():
        await fault.begin()
    await asyncio.sleep(outage_s)
    for fault in faults.values():
        await fault.end()
    mended_s = time.time()
    caught = await _catching_up(here, list(faults))
    live_s = time.time()
    speeds = {sink: f"{(first_s - begin_s) / (end_s - first_s):.0f}" for sink, (first_s, end_s) in caught.items()}
    first_s = min(first for first, _ in caught.values())
    report.figure(
        f"{about}, down for {outage_s:.0f} s",
        f"catching up at {speeds} × real time; live {live_s - mended_s:.1f} s after the far side was back; "
        f"POSTs before {span_text(await here.posts_s(before_s, begin_s))}, "
        f"while down {span_text(await here.posts_s(begin_s, mended_s))}, "
        f"while catching up {span_text(await here.posts_s(first_s, live_s))}",
    )
    options.say(f"{about}: {report.figures[f'{about}, down for {outage_s:.0f} s']}")


async def _catching_up(here: Archipelago, sinks: list[str]) -> dict[str, tuple[float, float]]:
    """When each got its first delivery, at the earliest, and was live, at the latest: seconds since the epoch."""
    before: dict[str, tuple[float, float]] = {}
    caught: dict[str, tuple[float, float]] = {}
    deadline_s = time.monotonic() + PATIENCE_S
    while len(caught) < len(sinks):
        metrics, now_s = await here.server.metrics(), time.time()
        for sink in sinks:
            delivered = metrics[f"receiver_sink_delivered_total{{sink={sink}}}"]
            if sink not in before or before[sink][0] == delivered:
                before[sink] = delivered, now_s
            if metrics[f"receiver_sink_pending{{sink={sink}}}"] <= LIVE:
                caught.setdefault(sink, (before[sink][1], max(now_s, before[sink][1] + _POLL_S)))
        assert time.monotonic() < deadline_s, f"not caught up: {sorted(set(sinks) - set(caught))}"
        await asyncio.sleep(_POLL_S)
    return caught
