"""Looking at what lies in quarantine, and trying it again once a decoder has learned."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

from receiver.errors import Malformed, NotFound
from receiver.ingress.intake import Intake, decode_safely
from receiver.journal.base import MEDIA, QUARANTINE
from receiver.journal.lane import Lane
from receiver.journal.reader import SegmentReader
from receiver.journal.segment import SUFFIX
from receiver.record import Record, pack_frames
from receiver.telemetry.ledger import Intake as Book
from receiver.vendors import decode_record

_ALL = (1 << 63) - 1


def quarantined(journal_folder: Path) -> Iterator[Record]:
    """Every record in quarantine, oldest first. Reads the files: works beside a live server and without one."""
    for path in sorted((journal_folder / QUARANTINE).glob("*" + SUFFIX)):
        reader = SegmentReader(path)
        try:
            yield from reader.read(0, _ALL)
        finally:
            reader.close()


def find(journal_folder: Path, sequence: int) -> Record:
    """One record in quarantine. Raises ``NotFound``."""
    for record in quarantined(journal_folder):
        if record.seq == sequence:
            return record
    raise NotFound(f"nothing in quarantine has the sequence number {sequence}; see `receiver quarantine list`")


async def retry_record(folder: Path, lane: Lane, intake: Intake, sequence: int) -> str:
    """Decode a quarantined record once more; what is understood now goes to the journal and leaves quarantine.

    Returns one sentence. Raises ``NotFound``, and ``JournalUnavailable`` (it then stays where it is).
    """
    record = await asyncio.to_thread(find, folder, sequence)
    try:
        decoded = decode_safely(decode_record, record)
    except Malformed as problem:
        return f"still malformed: {problem}"
    record.reason = ""
    if record.kind == "binary":
        record.kind, record.payload = "frames", pack_frames([(record.received_ns, record.payload)])
        record.events = decoded.events
        await asyncio.shield(intake.journal.submit(record, MEDIA))
        fate = "accepted"
    else:
        outcome = await intake.accept(record, Book())
        fate = outcome.fate
    await asyncio.to_thread(lane.delete, sequence)
    return f"{fate}: {len(decoded.events)} events, {time.strftime('%H:%M:%SZ', time.gmtime())}"
