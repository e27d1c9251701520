"""What two processes that follow one another tell each other. No logic."""

import msgspec

from receiver.record import Record


class Prepared(msgspec.Struct, tag=True):
    """New to old: the config is right, and nothing but the journal is missing."""


class Problem(msgspec.Struct, tag=True):
    """New to old: it will not be, and it ends. ``config``: what is wrong is in the config."""

    text: str
    config: bool = False


class Go(msgspec.Struct, tag=True):
    """Old to new: the journal is yours."""


class Serving(msgspec.Struct, tag=True):
    """New to old: it has the journal and accepts connections."""


class Take(msgspec.Struct, tag=True):
    """Old to new: a delivery that came on one of its connections. ``reason``: it belongs into quarantine."""

    number: int
    vendor: str
    endpoint: str
    payload: bytes
    received_ns: int
    subject: str
    headers: tuple[tuple[str, str], ...]
    reason: str = ""

    def record(self) -> Record:
        """As it came in."""
        return Record(
            vendor=self.vendor,
            endpoint=self.endpoint,
            kind="body",
            channel="http",
            payload=self.payload,
            received_ns=self.received_ns,
            subject=self.subject,
            headers=self.headers,
        )


class Answer(msgspec.Struct, tag=True):
    """New to old: what became of a ``Take``: an outcome, or why it is to come again."""

    number: int
    fate: str = ""
    reason: str = ""
    failed: str = ""


Message = Prepared | Problem | Go | Serving | Take | Answer
decode = msgspec.msgpack.Decoder(Message).decode
