"""What is known of a stream: from its opening, for the records of one that has ended, for whoever continues it."""

import msgspec

from receiver.errors import Malformed, NotFound
from receiver.ingress.streams import Key
from receiver.record import Record
from receiver.vendors import vendor_named


class StreamNote(msgspec.Struct, frozen=True):
    """What a socket's opening told, or what is kept of an open one until its closing is journalled."""

    vendor: str
    endpoint: str
    subject: str
    channel: str
    connection: str
    opened_ns: int
    track: str = ""
    #: the session's snapshot when the stream was bound, where there is a track: a record has no other place for that
    state: bytes = b""

    @property
    def key(self) -> Key:
        """What names the stream, whichever connection carries it."""
        return self.vendor, self.endpoint, self.subject, self.channel, self.track


def opening_of(note: StreamNote) -> Record:
    """The record that a vendor's session starts from: what the URL, or the stream so far, told."""
    return Record(
        vendor=note.vendor,
        endpoint=note.endpoint,
        kind="text",
        payload=b"",
        received_ns=note.opened_ns,
        channel=note.channel,
        connection=note.connection,
        subject=note.subject,
        state=note.state,
    )


def note_of(record: Record) -> StreamNote:
    """What the record of an opening or a closing tells of its stream."""
    note = StreamNote(
        record.vendor, record.endpoint, record.subject, record.channel, record.connection, record.received_ns
    )
    try:
        session = vendor_named(record.vendor).session(record)
    except (Malformed, NotFound):  # of an earlier version's making
        return note
    if not session.track:
        return note
    return msgspec.structs.replace(note, subject=session.subject, track=session.track, state=record.state)
