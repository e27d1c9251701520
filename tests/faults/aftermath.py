"""What lies at the far sides after faults, added up over any number of servers and judged once at the end.

Files are read line by line: memory holds ids and the sound of one server at a time.
"""

import base64
import hashlib
import itertools
import wave
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from receiver.events import DATA_TYPES, MEDIA_TYPES
from receiver.simulator import Tally
from tests.end_to_end.process import each_event
from tests.faults.base import Report
from tests.faults.oracle import mark_of

NO_MEDIA = sorted(set(DATA_TYPES) - MEDIA_TYPES)


def digest(event: dict[str, Any]) -> str:
    """SHA-256 of the vendor's bytes that an event was made from, in hex; empty where it was made from none."""
    raw = base64.b64decode(event["rawbase64"]) if "rawbase64" in event else event.get("raw", "").encode()
    return hashlib.sha256(raw).hexdigest() if raw else ""


class Sound:
    """The samples of ``audio.chunk`` events on each stream's clock; gaps are silence."""

    def __init__(self) -> None:
        self._streams: dict[str, bytearray] = defaultdict(bytearray)
        self.chunks = 0

    def add(self, event: dict[str, Any]) -> None:
        """Put a chunk at its place."""
        sound, begin, size = self._streams[event["subject"]], 2 * event["firstsample"], 2 * event["samples"]
        sound.extend(bytes(max(0, begin + size - len(sound))))
        sound[begin : begin + size] = base64.b64decode(event["data_base64"])
        self.chunks += 1

    def differing(self, folder: Path) -> list[str]:
        """Subjects whose WAV file below ``folder`` is not playable, or not the sound of the events."""
        names = {path.stem for path in folder.glob("*.wav")} | set(self._streams)
        return sorted(name for name in names if not self._same(folder / f"{name}.wav", self._streams.get(name)))

    @staticmethod
    def _same(path: Path, expected: bytearray | None) -> bool:
        if expected is None or not path.exists():
            return False
        with wave.open(str(path)) as file:
            form = file.getframerate(), file.getnchannels(), file.getsampwidth()
            return form == (48_000, 1, 2) and file.readframes(file.getnframes()) == expected


class FileSide:
    """What the file sink of one server holds."""

    def __init__(self, folder: Path) -> None:
        self.ids: Counter[str] = Counter()
        self.sequences: dict[str, int] = {}
        self.digests: set[str] = set()
        #: serial numbers of ``load``'s callbacks, by subject
        self.serials: dict[str, list[int]] = defaultdict(list)
        self.sound = Sound()
        self.out_of_order = 0
        self._opened: Counter[str] = Counter()
        self._closed: Counter[str] = Counter()
        self._media: set[str] = set()
        last = 0
        for event in each_event(folder):
            self._take(event)
            self.out_of_order += int(event["sequence"]) <= last
            last = int(event["sequence"])

    def _take(self, event: dict[str, Any]) -> None:
        kind = event["type"]
        self.ids[event["id"]] += 1
        if kind in MEDIA_TYPES:
            self._media.add(event["id"].partition("/")[0])
            if kind == "audio.chunk":
                self.sound.add(event)
            return
        self.sequences[event["id"]] = int(event["sequence"])
        self.digests.add(digest(event))
        if (mark := mark_of(event)) is not None:
            self.serials[mark[0]].append(mark[1])
        if kind in ("stream.opened", "stream.closed"):
            (self._opened if kind == "stream.opened" else self._closed)[event["data"]["connection"]] += 1

    @property
    def twice(self) -> int:
        """Ids that are there more than once."""
        return sum(count > 1 for count in self.ids.values())

    @property
    def untold_streams(self) -> list[str]:
        """Streams that were not opened and closed exactly once, or whose media nobody was told of."""
        names = set(self._opened) | set(self._closed) | self._media
        facts = {name: (self._opened[name], self._closed[name]) for name in names}
        return [f"{name}: opened {a}, closed {b}" for name, (a, b) in sorted(facts.items()) if (a, b) != (1, 1)]


@dataclass
class Aftermath:
    """Sums over servers. All but the first four have to be 0."""

    answered: int = 0
    events: int = 0
    chunks: int = 0
    repeats: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    #: the first of them, for whoever looks for the reason
    named: dict[str, list[str]] = field(default_factory=dict)
    twice: int = 0
    out_of_order: int = 0
    untold_streams: list[str] = field(default_factory=list)
    wrong_sound: list[str] = field(default_factory=list)
    strange: Counter[str] = field(default_factory=Counter)
    kafka_order: list[str] = field(default_factory=list)
    kafka_ids: int = 0
    #: sinks that a last stop left something for, which the next start then brought
    left: Counter[str] = field(default_factory=Counter)
    #: what the servers logged as errors: where something is missing, a reason may be among them
    errors: Counter[str] = field(default_factory=Counter)

    def file(self, tally: Tally, accepted: Mapping[str, list[int]], far: FileSide) -> None:
        """What was answered 2xx, to a simulation and to ``load.Callbacks``, against the file."""
        answered = tally.expected((None, "unknown"))
        self.answered += len(answered) + sum(map(len, accepted.values()))
        self.events += far.ids.total()
        self.chunks += far.sound.chunks
        self.missing["file"] += sum(delivery.digest not in far.digests for delivery in answered)
        for who, serials in accepted.items():
            self.missing["file"] += len(set(serials).difference(far.serials[who]))
            self.out_of_order += any(a >= b for a, b in itertools.pairwise(far.serials[who]))
        self.twice += far.twice
        self.out_of_order += far.out_of_order
        self.untold_streams += far.untold_streams

    def wav(self, far: FileSide, folder: Path) -> None:
        """The recordings against the events in the file."""
        self.wrong_sound += far.sound.differing(folder)

    def other(self, name: str, far: FileSide, ids: Counter[str]) -> None:
        """A sink that gets all but media, at least once, against the file."""
        missing = sorted((far.sequences[id_], id_) for id_ in set(far.sequences).difference(ids))
        self.missing[name] += len(missing)
        if missing:
            newest = max(far.sequences.values())
            self.named[name] = [f"{id_} ({newest - sequence} before the last)" for sequence, id_ in missing[:10]]
        self.strange[name] += len(set(ids).difference(far.sequences))
        self.repeats[name] += ids.total() - len(ids)

    def kafka(self, far: FileSide, records: Iterable[tuple[str, str, int]]) -> None:
        """``(key, id, sequence)`` in order of each key: ids stay the same, first occurrences come in order. What has no
        key is spread over the partitions and has no order."""
        ids: Counter[str] = Counter()
        by_key: dict[str, list[int]] = defaultdict(list)
        for key, name, sequence in records:
            ids[name] += 1
            self.kafka_ids += far.sequences.get(name) != sequence
            if ids[name] == 1 and key:
                by_key[key].append(sequence)
        self.kafka_order += [key for key, ones in by_key.items() if any(a >= b for a, b in itertools.pairwise(ones))]
        self.other("kafka", far, ids)

    def judge(self, report: Report) -> None:
        """All promises at once."""
        for name, count in self.missing.items():
            of = f"deliveries answered 2xx, {self.answered:,} of them" if name == "file" else "events of the file"
            report.equal(f"{name}: missing {of}", count, 0)
        report.equal("file: ids that are there twice", self.twice, 0)
        report.equal("file: events out of order", self.out_of_order, 0)
        report.equal("streams not told of as opened and closed once", self.untold_streams, [])
        report.equal("wav: recordings that are not the sound of the events", self.wrong_sound, [])
        for name, count in self.strange.items():
            report.equal(f"{name}: ids that the file does not have", count, 0)
        if "kafka" in self.missing:
            report.equal("kafka: keys whose events are out of order", self.kafka_order, [])
            report.equal("kafka: events with another sequence number than in the file", self.kafka_ids, 0)
        report.figure("events, of these sound", f"{self.events:,}, {self.chunks:,}")
        for name, named in self.named.items():
            report.figure(f"{name}: missing", ", ".join(named))
        report.figure("sinks that a stop had no time for, done at the next start", _counted(self.left))
        report.figure("errors in the log", _counted(self.errors))
        for name, count in self.repeats.items():
            report.figure(f"{name}: repeats of events with the same id", count)


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{what}: {count}" for what, count in counts.items()) or "none"
