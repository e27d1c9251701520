"""What a vendor module offers. Pure: no asyncio, socket, clock or file; the time and the secrets come as arguments."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec

from receiver.events import Event
from receiver.record import Decoded, Record

#: ``valid``: a signature was there and fits. ``unsigned``: none was there and the vendor leaves pushes unsigned.
Signature = Literal["valid", "unsigned"]


def no_ping(_body: bytes) -> bool:
    """``is_ping`` of a vendor that tries no URL."""
    return False


Headers = tuple[tuple[str, str], ...]


class Scheme(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the deliveries of one account are signed and named, where the vendor's documents leave that open.

    Its fields are the keys of an endpoint's ``scheme`` table, each with a default. It counts at arrival only: what a
    record needs for being decoded stands in its headers, so that decoding asks for no scheme.
    """

    @property
    @abstractmethod
    def signed_in(self) -> str:
        """The header that holds the signature, in lower case."""

    @abstractmethod
    def faults(self) -> Iterator[tuple[str, str]]:
        """Keys whose value cannot be used, and what is allowed there."""

    @abstractmethod
    def verify(
        self, headers: Mapping[str, str], body: bytes, *, secrets: Sequence[str], now_s: float | None
    ) -> Signature:
        """What :meth:`Vendor.verify` does, by this scheme."""

    @abstractmethod
    def sign(self, body: bytes, secrets: Sequence[str], now_s: float) -> dict[str, str]:
        """Headers that :meth:`verify` takes for ``body``; for trying an installation."""

    @abstractmethod
    def named(self, headers: Headers) -> Headers:
        """Those of ``headers`` (lower-case names) that tell what a delivery is, under the names that ``decode`` knows;
        what has one already, or tells nothing, is left out."""


class Session(Protocol):
    """One WebSocket connection of a vendor, or one that continues it. Knows what its messages so far have told."""

    #: bot or meeting; empty until the URL or a message tells it
    subject: str
    #: ``audio``, ``video``, ``transcript``, ``control``; empty until the URL or a message tells it
    channel: str
    #: which of several streams of one subject and channel it is; empty where there is only one
    track: str

    def learn(self, message: bytes | str) -> None:
        """Take subject and channel from ``message`` where it tells them; never raises, yields nothing."""

    def snapshot(self) -> bytes:
        """What ``receive`` depends on, small; a session restored from it decodes the next message the same way."""

    def adopt(self, state: bytes) -> None:
        """Continue the stream whose last snapshot was ``state``: its sample clock goes on, the gap is told."""

    def receive(self, message: bytes | str, now_ns: int) -> Decoded:
        """Events of one message. Raises ``Malformed``; the session stays usable."""

    def receive_frames(self, frames: Sequence[bytes], now_ns: int, events: list[Event]) -> int:
        """Add the events of binary messages that came together to ``events``, as far as :meth:`receive` would take
        them: how many these are. Of those behind it knows nothing. Raises nothing."""

    def replies(self) -> list[bytes | str]:
        """Messages to send to the peer now; each is handed out once. Only a text asks for any, no frame does."""

    def close_expected(self) -> bool:
        """Whether the peer has said that it is done."""

    def command(self, name: str, arguments: Mapping[str, Any]) -> list[str]:
        """Text messages that carry out a command such as ``sendmsg``. Raises ``Malformed`` on a bad argument."""


class Vendor(Protocol):
    """A module below ``receiver/vendors/``."""

    NAME: str
    #: vendor event name -> event type of the contract, for documents and the contract test
    EVENT_TYPES: Mapping[str, str]
    #: the longest body that :meth:`is_ping` may take, bytes; 0: this vendor tries no URL before it knows the secret
    PING_BYTES: int

    def is_ping(self, body: bytes) -> bool:
        """Whether the vendor only tries the URL, which it may do unsigned: it is answered 200 and not kept."""

    def verify(
        self, headers: Mapping[str, str], body: bytes, *, secrets: Sequence[str], now_s: float | None
    ) -> Signature:
        """Check the signature of the raw ``body``. ``headers`` have lower-case names. ``now_s`` = None: age unchecked.

        Raises ``BadSignature``, ``StaleSignature`` where only its time does not fit; ``Unauthorized`` where a signature
        is missing and the vendor always sends one.
        """

    def decode(self, record: Record) -> Decoded:
        """Events of one HTTP body. Raises ``Malformed``."""

    def decode_reply(self, record: Record) -> Decoded:
        """Events of an answer of the vendor's REST API, of the call ``replies.call_of(record)``. Raises ``Malformed``.

        Of the vendor's own record of what happened: only what ``replies.seen_of(record)`` does not have, marked
        ``reconciled``.
        """

    def session(self, record: Record) -> Session:
        """A session with the endpoint, connection, channel and subject of ``record``, restored from its ``state``."""


def receive_each(session: Session, frames: Sequence[bytes], now_ns: int, events: list[Event]) -> int:
    """``receive_frames`` of a session that has no shorter way."""
    for taken, frame in enumerate(frames):
        try:
            events += session.receive(frame, now_ns).events
        except Exception:  # a fault of ours as well: whoever has `receive` look at it has an answer to both
            return taken
    return len(frames)


def scheme_of(vendor: Vendor) -> type[Scheme] | None:
    """The ``SCHEME`` that a vendor module may offer beside all else; ``None``: its deliveries have one form."""
    found: type[Scheme] | None = getattr(vendor, "SCHEME", None)
    return found
