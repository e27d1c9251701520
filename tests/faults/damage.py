"""A damaged journal after ``kill -9``: it opens, serves, says what is lost, and delivers nothing that was not written.

Bits flip, pages are torn (half of one holds zeros or something older), zeroed or cut off: in closed files, in the
newest file and its log, in ``state.db``. One sink has had nearly everything by then, another one nothing.
"""

import asyncio
import base64
import hashlib
import random
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from tests.end_to_end.process import Server, each_event, free_port, until
from tests.faults.aftermath import NO_MEDIA, digest
from tests.faults.base import Options, Report
from tests.faults.load import Audio, Callbacks, body
from tests.faults.oracle import mark_of, marked_pcm
from tests.faults.target import HttpTarget, listening

PAGE = 4096
SINKS = """
[journal.events]
segment_bytes = 200_000

[journal.media]
segment_bytes = 400_000

[sinks.file]
type = "file"
raw = true
secrets = true

[sinks.http]
type = "http"
url = "{url}"
raw = true
secrets = true
types = {types}
"""
_PATH = "/meetstream/default"
_RATE = 300.0
_BOTS = 8
#: callbacks and frames that are sent before the kill, on a disk however slow
_LEAST = 60
#: what our own facts about sockets are made from is not the vendor's
_OWN = {"stream.opened", "stream.closed"}


def flip(raw: bytearray, dice: random.Random) -> None:
    """One bit."""
    raw[dice.randrange(len(raw))] ^= 1 << dice.randrange(8)


def flip_many(raw: bytearray, dice: random.Random) -> None:
    """One bit in each 8 KiB or so, half of them at the beginnings of pages."""
    for _ in range(1 + len(raw) // 8192):
        begin = dice.randrange(0, len(raw), PAGE)
        offset = begin + dice.randrange(64 if dice.random() < 0.5 else PAGE)
        raw[min(offset, len(raw) - 1)] ^= 1 << dice.randrange(8)


def zero(raw: bytearray, dice: random.Random) -> None:
    """A page of nothing."""
    begin = dice.randrange(0, len(raw), PAGE)
    raw[begin : begin + PAGE] = bytes(len(raw[begin : begin + PAGE]))


def tear(raw: bytearray, dice: random.Random) -> None:
    """The second half of a page holds zeros, or what stands in another one."""
    begin = dice.randrange(0, len(raw), PAGE) + PAGE // 2
    half = raw[begin : begin + PAGE // 2]
    other = dice.randrange(0, len(raw), PAGE) + PAGE // 2
    raw[begin : begin + len(half)] = bytes(raw[other : other + len(half)] if dice.random() < 0.5 else b"").ljust(
        len(half), b"\0"
    )


def cut(raw: bytearray, dice: random.Random) -> None:
    """The end is missing."""
    del raw[dice.randrange(len(raw)) :]


DAMAGES = (flip, flip_many, zero, tear, cut)


def spoil(journal: Path, dice: random.Random) -> list[tuple[str, str]]:
    """Damage one file below ``journal``, or two; ``(file, how)`` of each."""
    closed, newest = _segments(journal / "events")
    media, _ = _segments(journal / "media")
    sound = sorted((journal / "media").glob("*.payloads"))
    groups = [
        closed, [newest], [Path(f"{newest}-wal")], media, sound, [journal / "state.db"], [journal / "state.db-wal"],
    ]  # fmt: skip
    groups = [there for group in groups if (there := [path for path in group if path.exists() and path.stat().st_size])]
    done = []
    for group in dice.sample(groups, 1 if dice.random() < 0.7 else 2):
        path, how = dice.choice(group), dice.choice(DAMAGES)
        raw = bytearray(path.read_bytes())
        how(raw, dice)
        path.write_bytes(raw)
        done.append((str(path.relative_to(journal)), how.__name__))
    return done


def _segments(folder: Path) -> tuple[list[Path], Path]:
    paths = sorted(folder.glob("*.db"))
    return paths[:-1], paths[-1]


class Far:
    """One far side: serial numbers by bot, ids, and events that nobody sent like that."""

    def __init__(self) -> None:
        self.serials: set[tuple[str, int]] = set()
        self.ids: Counter[str] = Counter()
        self.frames = 0
        self.spoilt: list[str] = []

    def take(self, event: dict[str, Any]) -> None:
        """One event more."""
        self.ids[event["id"]] += 1
        mark = mark_of(event)
        if mark is None:
            if event["type"] not in _OWN:
                self.spoilt.append(event["type"])
        elif "data_base64" in event:
            self.frames += 1
            if base64.b64decode(event["data_base64"]) != marked_pcm(mark[1]):
                self.spoilt.append(event["id"])
        else:
            self.serials.add(mark)
            if digest(event) != hashlib.sha256(body(*mark)).hexdigest():
                self.spoilt.append(event["id"])


@dataclass
class Sums:
    """Over all rounds."""

    accepted: int = 0
    frames: int = 0
    missing: Counter[str] = field(default_factory=Counter)
    cut_off: int = 0
    silent: list[str] = field(default_factory=list)
    spoilt: list[str] = field(default_factory=list)
    twice: int = 0
    undelivered_after: int = 0
    unbalanced: list[str] = field(default_factory=list)
    refused: int = 0
    harmless: int = 0


async def run(options: Options) -> Report:
    """Load, kill, damage, start, judge: ``rounds`` times, each in a folder of its own."""
    report, sums, rounds = Report(), Sums(), options.pick(6, 300)
    async with listening() as target:
        for number in range(rounds):
            seed = 1000 * options.seed + number
            folder = options.folder / f"{seed}"
            folder.mkdir()
            bad = len(sums.silent) + len(sums.unbalanced)
            what = await _round(folder, random.Random(seed), target, sums)
            options.say(f"{number + 1} of {rounds}: {what}; missing so far {dict(sums.missing)}")
            if len(sums.silent) + len(sums.unbalanced) == bad:
                shutil.rmtree(folder)
    report.equal("POSTs not answered 2xx after the damage", sums.refused, 0)
    report.equal("deliveries after the damage that are missing at a sink", sums.undelivered_after, 0)
    report.equal("rounds in which something is missing and the log says nothing", sums.silent, [])
    report.equal("events delivered that are not what was sent", sums.spoilt, [])
    report.equal("file: ids that are there twice", sums.twice, 0)
    report.equal("rounds whose books do not balance: something pending for ever", sums.unbalanced, [])
    report.at_least("deliveries accepted before the damage", sums.accepted, 50 * rounds)
    report.at_least("frames in the file", sums.frames, 20 * rounds)
    report.figure("callbacks missing, told in the log", ", ".join(f"{k} {v:,}" for k, v in sums.missing.items()) or "0")
    report.figure("rounds in which no callback is missing", sums.harmless)
    report.figure("rounds in which the end of a log was lost, which is like a crash earlier", sums.cut_off)
    return report


async def _round(folder: Path, dice: random.Random, target: HttpTarget, sums: Sums) -> str:
    at_http, at_file = Far(), Far()
    target.look, target.down = at_http.take, True
    types = msgspec.json.encode(NO_MEDIA).decode()
    server = Server(folder, SINKS.format(url=target.url, types=types), port=free_port())
    try:
        await server.start()
        accepted = await _load(server, dice)
        damage = spoil(server.data_dir / "journal", dice)
        target.down = False
        await server.start()
        fresh = await _post(server.url, sums)
        balanced = await _caught_up(server)
        errors = server.errors()
        await server.stop()
    finally:
        await server.kill()
    for event in each_event(server.data_dir / "events"):
        at_file.take(event)
    what = f"{folder.name}: " + ", ".join(f"{how} of {name}" for name, how in damage)
    sums.accepted += len(accepted)
    sums.frames += at_file.frames
    sums.twice += sum(count > 1 for count in at_file.ids.values())
    sums.undelivered_after += sum(far.serials.isdisjoint(fresh) for far in (at_file, at_http))
    sums.spoilt += at_file.spoilt + at_http.spoilt
    if not balanced:
        sums.unbalanced.append(what)
    _judge(sums, accepted, {"file": at_file, "http": at_http}, damage, errors, what)
    return what


def _judge(
    sums: Sums, accepted: set[tuple[str, int]], fars: Mapping[str, Far], damage: list[tuple[str, str]],
    errors: list[str], what: str,
) -> None:  # fmt: skip
    lost = False
    for name, far in fars.items():
        missing = accepted - far.serials
        sums.missing[name] += len(missing)
        lost |= bool(missing)
        if not missing or errors:
            continue
        oldest = min(serial for _, serial in missing)
        newest = max((serial for who, serial in far.serials if who != "fresh"), default=0)
        if any(one.startswith("events/") and one.endswith("-wal") for one, _ in damage) and oldest > newest - 2 * _BOTS:
            sums.cut_off += 1
        else:
            sums.silent.append(f"{what} ({name}: {len(missing)})")
    sums.harmless += not lost


async def _load(server: Server, dice: random.Random) -> set[tuple[str, int]]:
    """Callbacks and frames until ``kill -9``; which callbacks were answered 2xx."""
    url = server.url + _PATH
    callbacks, audio = Callbacks(url, rate=_RATE, bots=_BOTS), Audio(url, sockets=2, rate=200.0)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(callbacks.run())
        tasks.create_task(audio.run())
        await asyncio.sleep(dice.uniform(0.5, 1.5))
        await until(lambda: callbacks.count >= _LEAST and audio.begun >= _LEAST, "there is something to damage")
        await server.kill()
        callbacks.stop()
        audio.stop()
    return {(who, serial) for who, serials in callbacks.accepted.items() for serial in serials}


async def _post(url: str, sums: Sums) -> set[tuple[str, int]]:
    """A delivery that must be taken, and its mark."""
    mark = "fresh", 10**9
    async with aiohttp.ClientSession() as client, client.post(url + _PATH, data=body(*mark)) as reply:
        sums.refused += not 200 <= reply.status < 300
    return {mark}


async def _caught_up(server: Server) -> bool:
    try:
        await server.caught_up("file", "http")
    except AssertionError:
        return False
    return True
