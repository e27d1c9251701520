"""A disk that runs full step by step, and has space again: media are shed first, transcripts next, callbacks last.

Sockets are told 1013 and new ones 503, POSTs 503 with Retry-After, readiness is red and says why. With space again all
goes on without a restart, and everything that was answered 2xx is at the sink, which writes to the same disk.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import aiohttp

from tests.disk import SmallDisk, small_disk
from tests.end_to_end.process import PATIENCE_S, Server, read_events
from tests.faults.base import Options, Report
from tests.faults.load import Audio, Callbacks, body, transcript
from tests.faults.oracle import FarSide, balance, judge

_MIB = 1 << 20
_DISK_BYTES = 128 * _MIB
_MARKS = f"min_free_bytes = {40 * _MIB}\nmin_free_media_bytes = {40 * _MIB}\nmin_free_transcript_bytes = {20 * _MIB}"
_SECTIONS = """
[journal.events]
segment_bytes = 1_000_000

[journal.media]
segment_bytes = 1_000_000

[sinks.file]
type = "file"
"""
_SOCKETS = 4
_KINDS = ("media", "transcript", "callback")
#: left on the disk in each step; what is shed then
_STEPS = ((30 * _MIB, 1), (10 * _MIB, 2), (0, 3))


class Load:
    """All three kinds at once."""

    def __init__(self, server: Server) -> None:
        url = f"{server.url}/meetstream/default"
        self.callbacks = Callbacks(url, rate=60.0, bots=4)
        self.transcripts = Callbacks(url, rate=60.0, bots=4, prefix="words")
        self.transcripts.make = transcript
        self.audio = Audio(url, sockets=_SOCKETS)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for part in (self.callbacks, self.transcripts, self.audio):
                tasks.create_task(part.run())

    def stop(self) -> None:
        for part in (self.callbacks, self.transcripts, self.audio):
            part.stop()

    def failures(self) -> tuple[Counter[str], Counter[str], Counter[str]]:
        """What was not, as ``_KINDS``."""
        audio = self.audio.refusals + Counter({str(code): n for code, n in self.audio.closings.items() if code != 1000})
        return audio, self.transcripts.failures.copy(), self.callbacks.failures.copy()


async def run(options: Options) -> Report:
    """Fill in steps, free, again for ``rounds``; then balance."""
    report = Report()
    with small_disk(options.folder / "data", _DISK_BYTES) as disk:
        server = Server(options.folder, _SECTIONS, journal=_MARKS)
        await server.start()
        try:
            load = Load(server)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(load.run())
                for number in range(options.pick(1, 10)):
                    options.say(f"round {number + 1}")
                    await _round(report, server, load, disk, number)
                load.stop()
            metrics = await server.caught_up("file")
            taken = load.callbacks.accepted | load.transcripts.accepted
            far = FarSide(read_events(server.data_dir / "events"))
            judge(report, "file", far, callbacks=taken, frames=load.audio.sent)
            balance(report, metrics, "file")
            _check_books(report, metrics)
            report.equal("exit status", await server.stop(), 0)
        finally:
            await server.kill()
    return report


async def _round(report: Report, server: Server, load: Load, disk: SmallDisk, number: int) -> None:
    for left_bytes, shed in _STEPS:
        disk.fill(left_bytes)
        await _until(lambda shed=shed: _is_shed(server, shed))  # type: ignore[misc]
        before = load.failures()
        await asyncio.sleep(1.0)
        await _until(lambda before=before, shed=shed: _are_refused(load, before, shed))  # type: ignore[misc]
        new = [after - old for after, old in zip(load.failures(), before, strict=True)]
        name, wanted = f"round {number + 1}, {left_bytes // _MIB} MiB left", ", ".join(_KINDS[:shed])
        report.equal(f"{name}: shed", ", ".join(_shed((await _readyz(server))[1])), wanted)
        refused = [kind for kind, count in zip(_KINDS, new, strict=True) if count]
        report.equal(f"{name}: kinds that were refused", ", ".join(refused), wanted)
        statuses = set().union(*new[1:])
        report.equal(f"{name}: POSTs refused otherwise than with 503", sorted(statuses - {"503"}), [])
    status, retry_after = await _post(server, body("later", number + 1))
    report.equal(f"round {number + 1}: a callback on the full disk", (status, retry_after), (503, "5"))
    report.equal(f"round {number + 1}: readiness", (await _readyz(server))[0], 503)
    disk.free()
    await _until(lambda: _is_shed(server, 0))
    transcripts, callbacks = load.transcripts.count, load.callbacks.count

    async def flows() -> bool:
        taken = load.transcripts.count > transcripts and load.callbacks.count > callbacks
        return taken and await _sockets(server) == _SOCKETS

    await _until(flows)
    before = load.failures()
    await asyncio.sleep(0.5)
    report.equal(f"round {number + 1}, space again: refused", load.failures(), before)


def _check_books(report: Report, metrics: Mapping[str, float]) -> None:
    shed = {kind: int(metrics[f"receiver_shed_total{{kind={kind}}}"]) for kind in _KINDS}
    failed = int(metrics["receiver_failed_total{endpoint=default,vendor=meetstream}"])
    report.equal("failed = shed", failed, sum(shed.values()))
    for kind, count in shed.items():
        report.at_least(f"{kind} shed", count, 1)


def _shed(told: Mapping[str, Any]) -> tuple[str, ...]:
    """Kinds that /readyz says are shed."""
    text = told["checks"]["shedding"]
    return tuple(kind for kind in _KINDS if f"{kind} (" in text)


async def _until(holds: Callable[[], Awaitable[bool]]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not await holds():
        assert time.monotonic() < deadline_s, "did not happen in time"
        await asyncio.sleep(0.05)


async def _is_shed(server: Server, kinds: int) -> bool:
    """Whether just so many kinds are shed; none: and all else is well, too."""
    status, told = await _readyz(server)
    return _shed(told) == _KINDS[:kinds] and (status == 200 or kinds > 0)


async def _are_refused(load: Load, before: Sequence[Counter[str]], kinds: int) -> bool:
    """Whether so many kinds have each been refused since."""
    return all(after - old for after, old in zip(load.failures()[:kinds], before[:kinds], strict=True))


async def _sockets(server: Server) -> float:
    """How many are open."""
    return (await server.metrics())["receiver_sockets_open{endpoint=default,vendor=meetstream}"]


async def _readyz(server: Server) -> tuple[int, dict[str, Any]]:
    async with aiohttp.ClientSession() as client, client.get(f"{server.url}/readyz") as reply:
        return reply.status, await reply.json()


async def _post(server: Server, data: bytes) -> tuple[int, str]:
    async with aiohttp.ClientSession() as client, client.post(f"{server.url}/meetstream/default", data=data) as reply:
        return reply.status, reply.headers.get("Retry-After", "")
