"""Audio in real time: how late frames are at the sinks, whether all arrive, what the server weighs meanwhile."""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.benchmarks.contenders import Contender, Running, running
from tests.benchmarks.frames import JOURNALLED
from tests.benchmarks.goals import Verdict, at_most
from tests.benchmarks.meter import STRIDE, read_noted
from tests.benchmarks.rows import Book, Row
from tests.benchmarks.voices import FRAME_S, Voices
from tests.faults.target import new_topic, real_kafka

RUNNER = "tests.benchmarks.peers.ours_metered"
OURS = Contender("ours", sinks='[sinks.meter]\ntype = "meter"\n', runner=RUNNER)
FILE = Contender("file sink", sinks='[sinks.meter]\ntype = "metered_file"\ncompress = "none"\n', runner=RUNNER)
SENDER = Contender("only recv()", "bare_recv")
#: what the goals speak of
GOAL_SOCKETS = 1000
NO_KAFKA = "there is no broker: MEETING_RECEIVER_KAFKA is not `real`"
_SINK = "meter"
_PENDING = f'receiver_sink_pending{{sink="{_SINK}"}}'
#: everybody connects, and the server warms up
_WARM_S = 1.0
#: so long after the last frame all of them have to be at the sink
_PATIENCE_S = 20.0
#: for so long the same frames go to a peer that only reads: the sender is not the limit where it is in time there
_PROOF_S = 3.0
#: a sender that is later than this shows in what is measured from the moment of sending
_LATE_MS = 5.0


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What came of one run. ``lost``: frames that no server took in time, or that are not in its journal. ``behind_s``:
    audio that was not at the sink when the last frame was sent. ``missing``: frames that were not there long after;
    they count as that late."""

    p50_ms: float
    p99_ms: float
    sent_p99_ms: float
    lost: int
    dropped: int
    missing: int
    behind_s: float
    rss_mb: float
    core: float
    late_ms: float


def many_sockets(sockets: int, seconds: float) -> Row:
    """To a sink that takes everything at once: what the way through the house takes."""
    book = Book()
    heard = play(OURS, sockets, seconds)
    remarks = _tell(book, OURS.name, heard)
    with running(SENDER) as server, Voices(server.port, sockets) as voices:
        voices.begin()
        voices.speak(_PROOF_S, lambda: None)
        book.add(f"{SENDER.name}: sender late, p99", "ms", voices.late_ms(0.99))
    verdicts = [
        *at_most("frames lost", heard.lost, 0),
        *at_most("arrival to sink, p99", heard.p99_ms, 20, unit="ms"),
        *at_most("memory at its highest", heard.rss_mb, 400, unit="MB"),
    ]
    name = f"{sockets:,} sockets in real time, 50 frames/s each, {seconds:.0f} s, to a sink that does nothing"
    return _row(name, sockets, book, verdicts, remarks)


def sink_lags(sockets: int, seconds: float) -> Row:
    """The same to real sinks. Kafka where there is a broker, which shares the sender's core."""
    book, remarks, verdicts = Book(), list[str](), list[Verdict]()
    with _kafka() as kafka:
        for one in (FILE, kafka):
            if one is None:
                verdicts += at_most("kafka sink: arrival to sink, p99", None, 50, unit="ms", why=NO_KAFKA)
                continue
            heard = play(one, sockets, seconds)
            remarks += _tell(book, one.name, heard)
            verdicts += at_most(f"{one.name}: frames lost", heard.lost, 0)
            verdicts += at_most(f"{one.name}: arrival to sink, p99", heard.p99_ms, 50, unit="ms")
    name = f"sinks behind {sockets:,} sockets in real time, 50 frames/s each, {seconds:.0f} s"
    return _row(name, sockets, book, verdicts, remarks)


def play(one: Contender, sockets: int, seconds: float) -> Heard:
    """Have ``sockets`` speak to a server whose sink ``meter`` notes what it gets."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=Path.cwd()) as name:
        folder, rss = Path(name), [0]
        with running(one, folder) as server, Voices(server.port, sockets) as voices:
            from_ns, busy_s, begun_s = time.time_ns(), server.cpu_s(), time.perf_counter()
            voices.begin()
            voices.speak(seconds, lambda: rss.append(server.rss_bytes()))
            core = (server.cpu_s() - busy_s) / (time.perf_counter() - begun_s)
            behind = asyncio.run(server.metric(_PENDING))
            voices.finish()
            pending, journalled = asyncio.run(_arrived(server, voices.sent))
        noted = read_noted(folder / "data", _SINK)
    at_ns, received_ns, sent_ns = noted.columns()
    counted = (sent_ns > 0) & (received_ns > from_ns + _WARM_S * 1e9)
    late = np.full(round(pending / STRIDE), _PATIENCE_S * 1000)
    arrival_ms = np.append((at_ns - received_ns)[counted] / 1e6, late)
    whole_ms = np.append((at_ns - sent_ns)[counted] / 1e6, late)
    if not len(arrival_ms):
        raise RuntimeError(f"{one.name}: no frame came to the sink in {seconds:.0f} s")
    unsafe = max(0, voices.sent - round(journalled)) if pending else abs(voices.sent - noted.media)
    return Heard(
        p50_ms=float(np.percentile(arrival_ms, 50)),
        p99_ms=float(np.percentile(arrival_ms, 99)),
        sent_p99_ms=float(np.percentile(whole_ms, 99)),
        lost=voices.dropped + unsafe,
        dropped=voices.dropped,
        missing=round(pending),
        behind_s=behind * FRAME_S / sockets,
        rss_mb=max(rss) / 1e6,
        core=core,
        late_ms=voices.late_ms(0.99),
    )


async def _arrived(server: Running, sent: int) -> tuple[float, float]:
    """Wait until nothing is pending; what is, and what the journal has, in the end."""
    deadline_s = time.monotonic() + _PATIENCE_S
    while True:
        journalled, pending = await server.metric(JOURNALLED), await server.metric(_PENDING)
        if (journalled >= sent and not pending) or time.monotonic() > deadline_s:
            return pending, journalled
        await asyncio.sleep(0.1)


def _tell(book: Book, name: str, heard: Heard) -> list[str]:
    """Figures into ``book``; what to know beside them."""
    for what, unit, value in (
        ("arrival to sink, p50", "ms", heard.p50_ms),
        ("arrival to sink, p99", "ms", heard.p99_ms),
        ("sending to sink, p99", "ms", heard.sent_p99_ms),
        ("behind at the end", "s", heard.behind_s),
        ("core", "%", heard.core * 100),
        ("memory at its highest", "MB", heard.rss_mb),
        ("sender late, p99", "ms", heard.late_ms),
    ):
        book.add(f"{name}: {what}", unit, value)
    remarks = []
    if heard.dropped:
        remarks.append(
            f"{name}: {heard.dropped:,} of the lost frames waited for a second in the sender: nobody read them"
        )
    if heard.missing:
        remarks.append(f"{name}: {heard.missing:,} frames were not at the sink {_PATIENCE_S:.0f} s after the last one")
    if heard.late_ms > _LATE_MS:
        remarks.append(f"{name}: the sender was late itself; times from arrival on do not count that")
    return remarks


def _row(name: str, sockets: int, book: Book, verdicts: Sequence[Verdict], remarks: list[str]) -> Row:
    if sockets != GOAL_SOCKETS:
        remarks.append(f"the goals are of {GOAL_SOCKETS:,} sockets")
    return Row(name, book.figures(), {}, list(verdicts), remarks)


@contextlib.contextmanager
def _kafka() -> Iterator[Contender | None]:
    with real_kafka() as address:
        if address is None:
            yield None
            return
        sinks = f'[sinks.meter]\ntype = "metered_kafka"\nbrokers = "{address}"\ntopic = "{new_topic()}"\n'
        yield Contender("kafka sink", sinks=sinks, runner=RUNNER)
