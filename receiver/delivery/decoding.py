"""Events of records that come from disk, whoever reads them: sinks, live readers, meetings."""

from collections.abc import Callable, Sequence

import structlog

from receiver.delivery.pace import Pace
from receiver.errors import Malformed
from receiver.events import Event
from receiver.record import Decoded, Record
from receiver.redaction import redact_text

log = structlog.get_logger()


async def decode_all(records: Sequence[Record], decode: Callable[[Record], Decoded], pace: Pace, reader: str) -> None:
    """Give each record its events, at ``pace``; ``None`` stays where no decoder takes it now."""
    waiting = [record for record in records if record.events is None]
    await pace.each(waiting, lambda record: give_events(record, decode, reader))


def give_events(record: Record, decode: Callable[[Record], Decoded], reader: str) -> None:
    """Have ``record`` decoded for all who read it, unless another of them was faster."""
    if record.events is None:
        record.events = decode_again(record, decode, reader)
        record.lighten()


def decode_again(record: Record, decode: Callable[[Record], Decoded], reader: str) -> list[Event] | None:
    """Events of a record that came from disk; ``None``, and an error in the log, where no decoder takes it now.

    It decoded when it arrived, so this is a fault of a newer decoder: its bytes stay in the journal.
    """
    try:
        events = decode(record).events
    except Exception as error:
        text = redact_text(f"{type(error).__name__}: {error}")
        known = isinstance(error, Malformed)
        log.error("sink.undecodable", sink=reader, sequence=record.seq, error=text, exc_info=not known)
        return None
    for offset, event in enumerate(events):
        event.sequence = min(record.seq + offset, record.last_seq)
    return events
