"""A long run at speed: retention turns over again and again, files rotate, somebody takes the old ones away.

Memory, open files, threads, disk and latency of the first third are compared with those of the last. Each callback and
each frame that was taken is at the sink once and in order, and nothing expires unread.
"""

import asyncio
import gzip
import json
import statistics
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from tests.end_to_end.process import Server, serving
from tests.faults.base import Options, Report
from tests.faults.oracle import balance, mark_of
from tests.faults.senders import Sender, sending, told
from tests.ingress.hostile import rss_bytes

MIB = 1 << 20
SECTIONS = """
dedup_entries = 20_000

[journal.events]
segment_bytes = {events_segment}
max_bytes = {events_bytes}

[journal.media]
segment_bytes = {media_segment}
max_bytes = {media_bytes}

[journal.quarantine]
segment_bytes = {quarantine_segment}
max_bytes = {quarantine_bytes}

[endpoints.meetstream.default]

[sinks.file]
type = "file"
path = "events/all.jsonl"
rotate_bytes = {rotate_bytes}
"""
#: closed files that stay: the newest tells the sink where it is
_KEPT = 1


@dataclass(frozen=True)
class Shape:
    """How large everything is; ``rate`` in callbacks a second, of all senders together."""

    senders: int
    bots: int
    rate: float
    sockets: int
    every_s: float
    segment: int
    kept: int
    rotate: int

    def sections(self) -> str:
        return SECTIONS.format(
            events_segment=self.segment, events_bytes=self.kept, media_segment=2 * self.segment,
            media_bytes=2 * self.kept, quarantine_segment=self.segment // 4, quarantine_bytes=self.kept // 4,
            rotate_bytes=self.rotate,
        )  # fmt: skip


SHORT = Shape(senders=1, bots=20, rate=250, sockets=4, every_s=1, segment=MIB // 4, kept=MIB, rotate=2 * MIB)
LONG = Shape(
    senders=2, bots=200, rate=500, sockets=20, every_s=5, segment=16 * MIB, kept=128 * MIB, rotate=64 * MIB
)  # fmt: skip


@dataclass
class Sample:
    """The server at one moment; latencies in ms since the last one."""

    rss: float
    files: float
    threads: float
    disk: float
    p50: float
    p99: float


@dataclass
class Archive:
    """The far side, with little memory: of each subject the last number, and how many did not follow it."""

    folder: Path
    last: dict[str, int] = field(default_factory=dict)
    wrong: int = 0
    events: int = 0
    removed: int = 0

    def collect(self, *, end: bool = False) -> None:
        """Read and remove closed files, the newest excepted; at the ``end`` read everything."""
        closed = sorted(self.folder.glob("*~*.jsonl.gz"), key=lambda path: path.name.partition("~")[2])
        for path in closed if end else closed[:-_KEPT]:
            self._read(gzip.decompress(path.read_bytes()).splitlines())
            path.unlink()
            self.removed += 1
        if end:
            plain = sorted(self.folder.glob("*.jsonl"), key=lambda path: path.name.replace(".jsonl", "~~"))
            for path in plain:
                self._read(path.read_bytes().splitlines())

    def _read(self, lines: list[bytes]) -> None:
        for line in lines:
            event: dict[str, Any] = msgspec.json.decode(line)
            self.events += 1
            if (mark := mark_of(event)) is not None:
                who, number = mark
                self.wrong += number != self.last.get(who, 0) + 1
                self.last[who] = number


async def run(options: Options) -> Report:
    """``rounds`` are seconds here."""
    report, shape = Report(), LONG if options.long else SHORT
    span_s = options.pick(25, 1800)
    samples: list[Sample] = []
    async with serving(options.folder, shape.sections().lstrip()) as server:
        archive = Archive(server.data_dir / "events")
        async with sending(
            server.url, "soak", processes=shape.senders, bots=shape.bots, rate=shape.rate, sockets=shape.sockets
        ) as senders:
            for number in range(int(span_s / shape.every_s)):
                await asyncio.sleep(shape.every_s)
                await asyncio.to_thread(archive.collect)
                samples.append(await asyncio.to_thread(_sample, server, senders))
                if options.long and number % 12 == 11:
                    options.say(f"{(number + 1) * shape.every_s:.0f} s, {_line(samples[-1])}")
        metrics = await server.caught_up("file")
        await server.stop()
        await asyncio.to_thread(archive.collect, end=True)
    _judge(report, server, senders, archive, metrics)
    _compare(report, samples, shape)
    posts = sum(line["posts"] for sender in senders for line in sender.lines)
    report.figure("callbacks a second", f"{posts / span_s:,.0f}")
    report.figure("events at the sink, closed files taken away", f"{archive.events:,}, {archive.removed:,}")
    return report


def _sample(server: Server, senders: list[Sender]) -> Sample:
    process = Path("/proc") / str(server.pid)
    status = (process / "status").read_text().partition("Threads:")[2]
    newest = [sender.lines[-1] for sender in senders if sender.lines]
    return Sample(
        rss=rss_bytes(server.pid) / MIB,
        files=sum(1 for _ in (process / "fd").iterdir()),
        threads=int(status.split()[0]),
        disk=sum(_sizes(server.data_dir)) / MIB,
        p50=max((line["p50"] for line in newest), default=0.0),
        p99=max((line["p99"] for line in newest), default=0.0),
    )


def _sizes(folder: Path) -> Iterator[int]:
    for path in folder.rglob("*"):
        with suppress(OSError):  # retention takes files away meanwhile
            if path.is_file():
                yield path.stat().st_size


def _judge(report: Report, server: Server, senders: list[Sender], archive: Archive, metrics: dict[str, float]) -> None:
    taken = told(report, senders)
    report.equal(f"subjects whose {sum(taken.values()):,} deliveries are not all at the sink",
                 sorted(who for who, number in taken.items() if archive.last.get(who) != number)[:5], [])  # fmt: skip
    report.equal("deliveries missing, twice or out of order at the sink", archive.wrong, 0)
    report.equal("events that expired unread", int(metrics.get("receiver_sink_expired_total{sink=file}", 0)), 0)
    trims = [line for line in server.log.read_bytes().splitlines() if b'"journal.trimmed"' in line]
    for lane in ("events", "media", "quarantine"):
        files = sum(json.loads(line)["files"] for line in trims if f'"{lane}"'.encode() in line)
        report.at_least(f"journal files of {lane} that retention took", files, 4)
    report.at_least("closed files of the sink that were taken away", archive.removed, 2)
    balance(report, metrics, "file")


def _compare(report: Report, samples: list[Sample], shape: Shape) -> None:
    """The first third against the last. What retention fills is no growth: the disk has a ceiling of its own."""
    third = len(samples) // 3
    first, last = samples[:third], samples[-third:]

    def median(part: list[Sample], name: str) -> float:
        return statistics.median(float(getattr(one, name)) for one in part)

    for name, unit, most in (("rss", " MiB", 40.0), ("files", "", 8.0), ("threads", "", 4.0)):
        grown = round(median(last, name) - median(first, name), 1)
        report.at_most(f"{name}: growth from the first third to the last", grown, most, unit)
    ceiling = (3 * (shape.kept + 2 * shape.segment) + 4 * shape.rotate) / MIB + 16
    report.at_most("disk at its fullest", round(max(one.disk for one in samples), 1), round(ceiling), " MiB")
    for name in ("rss", "disk", "files", "threads", "p50", "p99"):
        unit = {"rss": " MiB", "disk": " MiB", "p50": " ms", "p99": " ms"}.get(name, "")
        report.figure(
            f"{name}, first third -> last third", f"{median(first, name):,.1f} -> {median(last, name):,.1f}{unit}"
        )


def _line(sample: Sample) -> str:
    return (
        f"RSS {sample.rss:.0f} MiB, {sample.files:.0f} files, {sample.threads:.0f} threads, "
        f"disk {sample.disk:.0f} MiB, p50 {sample.p50:.1f} ms, p99 {sample.p99:.1f} ms"
    )
