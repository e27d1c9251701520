"""The conservation oracle: what a server answered 2xx, or took on a socket, is an obligation, and is met at every sink.

Each delivery of ``load`` bears a serial number in what the receiver passes on (a callback in its custom attributes, a
frame in its first samples), so a far side can be judged by what lies there, without the receiver's help.
"""

import base64
import itertools
import struct
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from tests.faults.base import Report

#: subject and serial number
Mark = tuple[str, int]
#: of the first samples of a frame: a mark that no sound of ours begins with, and the serial number
_FRAME_MARK = struct.Struct("<4sQ")
_MAGIC = b"\x7fMRf"
FATES = ("journalled", "duplicates", "refused", "quarantined", "failed")
#: what a sink can be finished with beside delivered
SINK_FATES = ("delivered", "filtered", "dead", "expired", "undecodable")


def marked_pcm(serial: int, size_bytes: int = 1920) -> bytes:
    """Samples that bear ``serial``."""
    return _FRAME_MARK.pack(_MAGIC, serial).ljust(size_bytes, b"\0")


def mark_of(event: Mapping[str, Any]) -> Mark | None:
    """Subject and serial number of an event in CloudEvents JSON; ``None`` where it bears none."""
    if "data_base64" in event:
        sound = base64.b64decode(event["data_base64"][:16])
        magic, serial = _FRAME_MARK.unpack(sound) if len(sound) == _FRAME_MARK.size else (b"", 0)
        return (str(event["subject"]), serial) if magic == _MAGIC else None
    serial_text = (event.get("data") or {}).get("attributes", {}).get("serial")
    return (str(event["subject"]), int(serial_text)) if serial_text is not None else None


class FarSide:
    """What lies at one sink's far side, in order of arrival there."""

    def __init__(self, events: Iterable[Mapping[str, Any]] = ()) -> None:
        self.ids: Counter[str] = Counter()
        self.callbacks: dict[str, list[int]] = defaultdict(list)
        self.frames: dict[str, list[int]] = defaultdict(list)
        for event in events:
            self.take(event)

    def take(self, event: Mapping[str, Any]) -> None:
        """One event more. Of one that comes again only the first counts for the order."""
        self.ids[event["id"]] += 1
        mark = mark_of(event)
        if mark is not None and self.ids[event["id"]] == 1:
            (self.frames if "data_base64" in event else self.callbacks)[mark[0]].append(mark[1])


def judge(
    report: Report,
    sink: str,
    far: FarSide,
    *,
    callbacks: Mapping[str, Iterable[int]],
    frames: Mapping[str, Iterable[int]] | None = None,
    once: bool = True,
    ordered: bool = True,
) -> None:
    """Nothing that was taken is missing at ``sink``; each subject is in order; ``once``: no id twice.

    ``ordered`` False: for what was sent by several connections at once, which have no order.
    """
    for what, wanted, found in (("callbacks", callbacks, far.callbacks), ("frames", frames or {}, far.frames)):
        missing = [(who, one) for who, ones in wanted.items() for one in set(ones).difference(found.get(who, ()))]
        if wanted:
            report.equal(
                f"{sink}: {what} missing of {sum(len(set(ones)) for ones in wanted.values()):,}", len(missing), 0
            )
        if ordered:
            unordered = [who for who, ones in found.items() if any(a >= b for a, b in itertools.pairwise(ones))]
            report.equal(f"{sink}: subjects whose {what} are out of order", unordered[:5], [])
    if once:
        report.equal(f"{sink}: ids that are there twice", sum(count > 1 for count in far.ids.values()), 0)


def balance(report: Report, metrics: Mapping[str, float], *sinks: str) -> None:
    """The ledger of ``/metrics``: each endpoint's and each sink's books, once nothing is pending."""
    for name, received in metrics.items():
        if name.startswith("receiver_received_total{"):
            labels = name.partition("{")[2]
            fates = sum(metrics[f"receiver_{fate}_total{{{labels}"] for fate in FATES)
            report.equal(f"ledger of {{{labels}: received = {' + '.join(FATES)}", int(received), int(fates))
    for sink in sinks:
        label = f"{{sink={sink}}}"
        report.equal(f"ledger of sink {sink}: pending", int(metrics[f"receiver_sink_pending{label}"]), 0)
