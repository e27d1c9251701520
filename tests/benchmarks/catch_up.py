"""A sink whose far side hung for a while: how fast it gets what it missed, from disk, and what the others notice.

Two sinks have the same traffic, audio in real time and callbacks at a steady rate. One of them stands still for a
time that is far longer than what the journal keeps in memory. The helper, which then delivers to it, has the server's
core, too.
"""

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.contenders import Contender, running
from tests.benchmarks.goals import at_least, at_most
from tests.benchmarks.meter import LIVE_S, caught_up_mark, install, read_noted
from tests.benchmarks.realtime import RUNNER
from tests.benchmarks.rows import Book, Row
from tests.benchmarks.steady import Answers, requests, send_steadily
from tests.benchmarks.voices import Voices

#: memory for the newest records: a second of that traffic, so that what was missed comes from disk
_TAIL_BYTES = 2 << 20
_CONFIG = """
[journal.events]
tail_bytes = {tail}
[journal.media]
tail_bytes = {tail}
[sinks.live]
type = "meter"
[sinks.late]
type = "portable_meter"
gate = "{gate}"
"""
_SOCKETS = 20
_RATE = 200.0
_WARM_S = 2.0
_LOOK_S = 0.05
_PATIENCE_S = 90.0
_TICK_S = 0.001
_SPEED = "traffic delivered, seconds of it in a second"
_ANSWER = "callback answer, p99"
_LAG = "the other sink: arrival to sink, p99"


def catching_up(rounds: int, calm_s: float, outage_s: float) -> Row:
    """``calm_s`` before and after; ``outage_s`` of standing still."""
    book, remarks = Book(), list[str]()
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="bench-", dir=Path.cwd()) as name:
            folder = Path(name)
            story = _Story(folder / "gate", calm_s, outage_s)
            config, environ = _CONFIG.format(tail=_TAIL_BYTES, gate=story.gate), install(folder / "site")
            one = Contender("ours", sinks=config, runner=RUNNER, environ=environ)
            with running(one, folder) as server, Voices(server.port, _SOCKETS) as voices:
                answers = asyncio.run(story.run(server.port, voices))
                voices.finish()
            remarks += story.tell(book, folder / "data", answers)
    verdicts = at_least("catching up from disk, in multiples of real time", book.median(_SPEED, "s"), 10)
    for what in (_ANSWER, _LAG):
        slower = book.ratio(f"{what}, meanwhile", f"{what}, calm", "ms")
        verdicts += at_most(f"{what}: meanwhile / calm", slower, 1.1)
    name = f"{outage_s:.0f} s of {_SOCKETS} sockets in real time and {_RATE:.0f} callbacks/s, caught up from disk"
    return Row(name, book.figures(), {}, verdicts, remarks)


def caught_up(at_ns: Any, received_ns: Any, opened_ns: int) -> tuple[int, float]:
    """When a sink was live again, from when each event reached it and had arrived, in nanoseconds since the epoch; and
    how many seconds of arrivals it was given in a second until then.

    Raises: RuntimeError, where nothing came after ``opened_ns``, or it never was live.
    """
    later = at_ns >= opened_ns
    at_ns, received_ns = at_ns[later], received_ns[later]
    live = np.flatnonzero(at_ns - received_ns <= LIVE_S * 1e9)
    if not len(live) or live[0] == 0:
        raise RuntimeError("the sink has not caught up" if len(at_ns) and not len(live) else "the sink missed nothing")
    first, last = 0, live[0]
    speed = (received_ns[last] - received_ns[first]) / max(1, at_ns[last] - at_ns[first])
    return int(at_ns[last]), float(speed)


class _Story:
    """Calm, outage, catching up, calm: under one load. Nothing is asked of the server meanwhile: that would show."""

    def __init__(self, gate: Path, calm_s: float, outage_s: float) -> None:
        self.gate = gate
        self._calm_s, self._outage_s = calm_s, outage_s
        #: phase -> when it began, nanoseconds since the epoch
        self._at_ns: dict[str, int] = {}
        self._going = True

    async def run(self, port: int, voices: Voices) -> Answers:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._speak(voices))
            posts = tasks.create_task(send_steadily(port, _RATE, requests(port, lambda: self._going)))
            try:
                await self._phases()
            finally:
                self._going = False
        return posts.result()

    def tell(self, book: Book, data_dir: Path, answers: Answers) -> list[str]:
        """Figures of this round into ``book``; what to know beside them."""
        opened_ns = self._at_ns["open"]
        late_at_ns, late_received_ns, _ = read_noted(data_dir, "late").columns()
        caught_ns, speed = caught_up(late_at_ns, late_received_ns, opened_ns)
        book.add(_SPEED, "s", speed)
        book.add("caught up after", "s", (caught_ns - opened_ns) / 1e9)
        at_ns, received_ns, _ = read_noted(data_dir, "live").columns()
        #: of perf_counter against the epoch
        epoch_s = time.time() - time.perf_counter()
        due_ns, took_ms = np.array([((due_s + epoch_s) * 1e9, took_s * 1e3) for due_s, took_s in answers.took]).T
        for what, when_ns, values in ((_ANSWER, due_ns, took_ms), (_LAG, received_ns, (at_ns - received_ns) / 1e6)):
            calm = self._within(when_ns, "calm", "shut") | self._within(when_ns, "live", "end")
            meanwhile = (when_ns >= opened_ns) & (when_ns < caught_ns)
            book.add(f"{what}, calm", "ms", float(np.percentile(values[calm], 99)))
            book.add(f"{what}, meanwhile", "ms", float(np.percentile(values[meanwhile], 99)))
        return [f"{answers.failed} callbacks without success"] * bool(answers.failed)

    async def _phases(self) -> None:
        await asyncio.sleep(_WARM_S)
        self._begin("calm")
        await asyncio.sleep(self._calm_s)
        self._begin("shut")
        self.gate.touch()
        await asyncio.sleep(self._outage_s)
        self.gate.unlink()
        self._begin("open")
        live, deadline_s = caught_up_mark(self.gate), time.monotonic() + _PATIENCE_S
        while not live.exists():
            if time.monotonic() > deadline_s:
                raise RuntimeError(f"a sink has not caught up {_PATIENCE_S:.0f} s after its far side came back")
            await asyncio.sleep(_LOOK_S)
        self._begin("live")
        await asyncio.sleep(self._calm_s)
        self._begin("end")

    async def _speak(self, voices: Voices) -> None:
        voices.begin()
        while self._going:
            voices.tick()
            await asyncio.sleep(_TICK_S)

    def _begin(self, phase: str) -> None:
        self._at_ns[phase] = time.time_ns()

    def _within(self, when_ns: Any, begin: str, end: str) -> Any:
        return (when_ns >= self._at_ns[begin]) & (when_ns < self._at_ns[end])
