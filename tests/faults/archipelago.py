"""One server with a sink for each fault that can befall a far side, and one that stays well; load on it throughout.

A file on a disk that is full, http targets that answer 500, 429 with Retry-After, or nothing at all, a broker that is
frozen and killed (where a real one is to be had), plug-ins that raise and that block.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.end_to_end.process import Server, read_events, serving
from tests.faults.base import Options, Report
from tests.faults.far_sides import Fault, Guest, Kafka, SmallDisk, Targets
from tests.faults.guest import install
from tests.faults.load import quantile_ms
from tests.faults.oracle import FarSide, balance, judge
from tests.faults.senders import Sender, sending, told
from tests.kafka_broker import start_broker

PATIENCE_S = 180.0
#: a sink that is so little behind is live again
LIVE = 100
_GOOD = '[sinks.good]\ntype = "file"\npath = "good/{date}.jsonl"\n'
#: callbacks a second, beside 200 frames: server, far sides, broker and load have to fit on two cores
_RATE = 100
#: the sender tells every other second what was answered
_TOLD_S = 2.5


@dataclass(frozen=True)
class Archipelago:
    """``begin`` and ``end`` a fault; meanwhile look at ``server`` and at what callers see."""

    server: Server
    faults: list[Fault]
    sender: Sender

    @property
    def sinks(self) -> list[str]:
        """All that something can befall."""
        return list(dict.fromkeys(fault.sink for fault in self.faults))

    async def live(self, sink: str) -> None:
        """Wait until ``sink`` has nearly all."""
        deadline_s = time.monotonic() + PATIENCE_S
        while (await self.server.metrics())[f"receiver_sink_pending{{sink={sink}}}"] > LIVE:
            assert time.monotonic() < deadline_s, f"{sink} does not catch up"
            await asyncio.sleep(0.05)

    async def posts_s(self, begin_s: float, end_s: float) -> list[float]:
        """Latencies of the callbacks that were answered in a span of the wall clock."""
        await asyncio.sleep(max(0.0, end_s + _TOLD_S - time.time()))
        return self.sender.latencies_s(begin_s, end_s)


@asynccontextmanager
async def archipelago(options: Options, report: Report) -> AsyncIterator[Archipelago]:
    """Everything well at first. When it ends, the load stops and everything that was taken has to be everywhere."""
    folder = options.folder
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
        # in the short form outages are short, too: what they leave behind has to be on disk and in many pieces
        short, journal = not options.long, "min_free_bytes = 0"
        server = await stack.enter_async_context(
            serving(
                folder,
                "\n".join(sections),
                keys="helper_after_s = 1" if short else "",
                journal=f"{journal}\n[journal.media]\ntail_bytes = {1 << 20}" if short else journal,
                environ=environ,
            )
        )
        async with sending(server.url, "bot", bots=8, rate=_RATE, sockets=4, each=True) as senders:
            here = Archipelago(server, faults, senders[0])
            yield here
        metrics = await server.caught_up("good", *here.sinks)
        balance(report, metrics, "good", *here.sinks)
        taken = told(report, senders)
        frames = {who: range(1, last + 1) for who, last in taken.items() if "sound" in who}
        callbacks = {who: range(1, last + 1) for who, last in taken.items() if who not in frames}
        far: dict[str, Callable[[], FarSide]] = {
            "good": lambda: FarSide(read_events(server.data_dir / "good")), "raises": raises.far, "blocks": blocks.far,
        }  # fmt: skip
        for name, side in far.items():
            judge(report, name, side(), callbacks=callbacks, frames=frames)
        for name, side_of in targets.far.items():
            judge(report, name, side_of, callbacks=callbacks, once=False)
        if disk is not None:
            judge(report, "full", disk.far(), callbacks=callbacks)
        if kafka is not None:
            judge(report, "kafka", await kafka.far(), callbacks=callbacks, frames=frames, once=False)


async def _kafka(folder: Path, stack: AsyncExitStack) -> Kafka | None:
    (folder / "kafka").mkdir()
    broker = await asyncio.to_thread(start_broker, folder / "kafka")
    stack.push_async_callback(asyncio.to_thread, broker.stop)
    return Kafka(broker) if broker.real else None


def span_text(latencies_s: list[float]) -> str:
    """Its quantiles."""
    return f"p50 {quantile_ms(latencies_s, 0.5):.1f} ms, p99 {quantile_ms(latencies_s, 0.99):.1f} ms"
