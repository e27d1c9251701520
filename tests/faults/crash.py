"""``kill -9`` at random points under load: nothing that was answered 2xx is lost, nothing is in the file twice.

Callbacks, transcripts and audio with duplicates, disorder and garbage; the server dies while it starts, serves and
stops. File, WAV, HTTP, and Kafka where ``MEETING_RECEIVER_KAFKA`` is ``real``. A folder is judged after some rounds and
dropped, so that any number of rounds takes the same room.
"""

import asyncio
import contextlib
import random
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from receiver.simulator import Tally, play
from tests.end_to_end.process import Server, free_port
from tests.faults.aftermath import NO_MEDIA, Aftermath, FileSide
from tests.faults.base import Options, Report
from tests.faults.load import Callbacks
from tests.faults.target import HttpTarget, listening, new_topic, read_topic, real_kafka

#: kills before a folder is judged
BLOCK = 15
#: meetings, their speed, and the longest time in seconds until the next kill; at full speed it meets a queue of frames
PLAYS = ((2, 8.0, 1.2), (2, 0.0, 0.4))
FAULTS = ("duplicates", "reorder", "garbage")
_PATH = "/meetstream/default"
#: callbacks a second beside the meetings
_RATE = 100.0
#: so that the helper is met at its work, too
_KEYS = "helper_after_s = 0.05"
SINK_NAMES = ("file", "wav", "http")
SINKS = """
[sinks.file]
type = "file"
raw = true
secrets = true
rotate_bytes = 8000000

[sinks.wav]
type = "wav"

[sinks.http]
type = "http"
url = "{url}"
types = {types}
"""
KAFKA = """
[sinks.kafka]
type = "kafka"
brokers = "{brokers}"
topic = "{topic}"
types = {types}
"""


class Ordeal:
    """One server folder: meetings one after another, and kills meanwhile."""

    def __init__(self, server: Server, dice: random.Random, seed: int) -> None:
        self.tally = Tally()
        self._server = server
        self._dice = dice
        self._seed = seed
        self._plays = 0
        self.callbacks = Callbacks(f"{server.url}{_PATH}", rate=_RATE)

    async def run(self, kills: int) -> None:
        """Kill ``kills`` times; then the server serves and the last meetings are over."""
        async with self._playing() as longest_s:
            for _ in range(kills):
                await asyncio.sleep(self._dice.uniform(0.02, longest_s[0]))
                if self._dice.random() < 0.1:  # in the middle of an orderly stop
                    self._server.terminate()
                    await asyncio.sleep(self._dice.uniform(0.0, 0.2))
                await self._server.kill()
                await self._server.spawn()
                if self._dice.random() < 0.8:
                    await self._server.ready()
            await self._server.ready()

    @asynccontextmanager
    async def _playing(self) -> AsyncIterator[list[float]]:
        longest_s = [PLAYS[0][2]]
        enough = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._play(enough, longest_s))
            tasks.create_task(self.callbacks.run())
            try:
                yield longest_s
            finally:
                enough.set()
                self.callbacks.stop()

    async def _play(self, enough: asyncio.Event, longest_s: list[float]) -> None:
        url = f"{self._server.url}{_PATH}"
        while not enough.is_set():
            meetings, speed, longest_s[0] = PLAYS[self._plays % len(PLAYS)]
            seed = self._seed + self._plays
            self._plays += 1
            await play(url, meetings=meetings, speed=speed, seed=seed, faults=FAULTS, tally=self.tally)


async def block(
    folder: Path, kills: int, seed: int, target: HttpTarget, brokers: str | None, found: Aftermath
) -> Tally:
    """``kills`` rounds on one folder, judged into ``found``."""
    target.ids.clear()
    topic, types = new_topic(), msgspec.json.encode(NO_MEDIA).decode()
    sections = SINKS.format(url=target.url, types=types)
    sections += KAFKA.format(brokers=brokers, topic=topic, types=types) if brokers else ""
    folder.mkdir()
    server = Server(folder, sections, port=free_port(), keys=_KEYS)
    try:
        await server.start()
        ordeal = Ordeal(server, random.Random(seed), seed)
        await ordeal.run(kills)
        assert await server.stop() == 0
        if left := server.said("server.drain.incomplete"):  # not lost: the next start goes on with it
            found.left += Counter(sink for entry in left for sink in entry["sinks"])
            await server.start()
            await server.caught_up(*SINK_NAMES, *["kafka"] * bool(brokers))
            assert await server.stop() == 0
    finally:
        await server.kill()
    found.errors += server.all_errors()
    far = FileSide(server.data_dir / "events")
    found.file(ordeal.tally, ordeal.callbacks.accepted, far)
    found.wav(far, server.data_dir / "audio")
    found.other("http", far, target.ids)
    if brokers:
        found.kafka(far, await read_topic(brokers, topic))
    return ordeal.tally


async def run(options: Options) -> Report:
    """Kill ``rounds`` times, in blocks."""
    report, found, rounds = Report(), Aftermath(), options.pick(30, 1000)
    started_s, left, sent, unanswered, lost = time.monotonic(), rounds, 0, 0, 0
    with contextlib.ExitStack() as stack:
        brokers = stack.enter_context(real_kafka())
        async with listening() as target:
            while left > 0:
                kills, seed = min(BLOCK, left), 1_000_000 * options.seed + 1000 * left
                folder = options.folder / f"{left}"
                tally = await block(folder, kills, seed, target, brokers, found)
                left -= kills
                sent, unanswered = sent + tally.posts_sent, unanswered + tally.posts_failed
                lost += tally.sockets_lost
                if any(found.missing.values()) or found.twice or found.untold_streams:
                    break  # the folder is what one wants to look at
                shutil.rmtree(folder)
                options.say(f"{rounds - left} kills, {found.answered:,} deliveries answered, {found.events:,} events")
    report.equal("kills", rounds - left, rounds)
    found.judge(report)
    report.at_least("deliveries answered 2xx", found.answered, 10 * rounds)
    report.at_least("sockets that the kills cut", lost, 1)
    report.figure("POSTs of the meetings, of these unanswered", f"{sent:,}, {unanswered:,}")
    report.figure("seconds a round", (time.monotonic() - started_s) / rounds)
    if brokers is None:
        report.figure("kafka", "left out: MEETING_RECEIVER_KAFKA is not `real`")
    return report
