"""The forms in which events go to live readers: frames of Server-Sent Events, and WebSocket messages. Pure.

``id:`` is an event's sequence number: whoever comes back with it misses nothing and gets nothing twice. No frame of our
own, a comment for instance, ends with a blank line: some libraries make an event of it.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Literal, NamedTuple

import msgspec

from receiver.events import Event, format_sequence
from receiver.live import wire
from receiver.live.masking import Mask
from receiver.live.query import Form
from sinks.text import text_line

Framing = Literal["sse", "websocket"]
GAP, POSITION = "receiver.gap", "receiver.position"
#: what the first bytes of an answer are: how soon to come back, and something to pass proxies with
SSE_HELLO = b"retry: 2000\n: ok\n"
SSE_HEARTBEAT = b":\n"


class Gap(NamedTuple):
    """``missed`` sequence numbers that can not be sent, from ``first`` to ``last``: retention has taken them away
    (``expired``), the disk has spoilt them (``damaged``), or no decoder takes them any more (``undecodable``). Of a
    reader that was away, or that reads media as well, ``missed`` is what there may have been at most."""

    missed: int
    first: int
    last: int
    reason: Literal["expired", "damaged", "undecodable"]

    def json(self) -> bytes:
        """As a reader gets it, whatever he has filtered: nobody knows what was in there."""
        told = {
            "type": GAP, "missed": self.missed, "from": format_sequence(self.first), "to": format_sequence(self.last),
            "reason": self.reason,
        }  # fmt: skip
        return msgspec.json.encode(told)

    def text(self) -> bytes:
        """For people."""
        return f"-- {self.missed} missing between {self.first} and {self.last}: {self.reason}".encode()


class Frames(NamedTuple):
    """How one kind of reader is told things."""

    event: Callable[[Event], bytes]
    gap: Callable[[Gap], bytes]
    #: where a reader is, who may have been sent nothing yet or had nothing to be sent for a while
    position: Callable[[int], bytes]
    #: whether frames can go out as one
    joined: bool
    #: frames as the bytes of a connection: one chunk of HTTP, or text messages of a WebSocket
    wire: Callable[[Iterable[bytes]], bytes]


def frames_for(framing: Framing, form: Form, mask: Mask | None = None) -> Frames:
    """The forms of a reader. ``mask``: what is hidden from him."""
    shown, gap = (_text, Gap.text) if form == "text" else (Event.json, Gap.json)
    event = shown if mask is None else lambda one: shown(mask.event(one))
    if framing == "websocket":
        return Frames(event, gap, _position, joined=False, wire=partial(wire.messages, wire.TEXT))
    return Frames(
        lambda one: _sse(one.sequence, one.type, event(one)),
        lambda one: _sse(one.last, "gap", gap(one)),
        lambda number: _sse(number, POSITION, _position(number)),
        joined=True,
        wire=_chunk,
    )


def _sse(number: int, kind: str, data: bytes) -> bytes:
    return b"id: %020d\nevent: %s\ndata: %s\n\n" % (number, kind.encode(), data)


def _chunk(frames: Iterable[bytes]) -> bytes:
    return wire.chunk(b"".join(frames))


def _text(event: Event) -> bytes:
    return text_line(event).encode(errors="replace")


def _position(number: int) -> bytes:
    return msgspec.json.encode({"type": POSITION, "sequence": format_sequence(number)})
