"""The short way of a vendor's POST: from the bytes of a connection to the journal and back, without a task.

Only what cannot be read in two ways goes here: HTTP/1.1, plain headers, a body whose one length is told and which is
there as a whole, for an endpoint that needs no more than a token or a signature by a secret of ours. Everything else,
and whatever goes wrong before a delivery is given to the journal, is left as it is for aiohttp's handler to take or
refuse, so that limits and error answers exist once.

What one turn of the loop brings goes to the journal together, step by step: all are decoded, then all are submitted.
One after the other from end to end they would take half as long again, since each step pushes the others out of what
the processor keeps at hand.
"""

import asyncio
import re
import time
from collections.abc import Callable
from email.utils import formatdate
from functools import partial
from typing import Protocol

from aiohttp.http import SERVER_SOFTWARE
from yarl import URL

from receiver.errors import JournalUnavailable, NotFound, Unauthorized
from receiver.ingress.answers import ACCEPTED, RETRY_AFTER_S, sentence
from receiver.ingress.framing import LINE
from receiver.ingress.guard import Target
from receiver.ingress.http import Deliveries, is_kept, record_of
from receiver.ingress.intake import Outcome
from receiver.record import Record
from receiver.telemetry.ledger import Intake as Book
from receiver.vendors import vendor_named

#: longest head and body together
MOST_BYTES = 64 << 10
#: longest head and most headers: aiohttp refuses a line or a number of them beyond about that
_MOST_HEAD_BYTES, _MOST_HEADERS = 8000, 100
#: what a connection sends when it sends a delivery in the plainest form. A target with an empty or dotted segment, and
#: values with control characters or a continued line, are none of it
_HEAD = re.compile(
    rb"POST ((?:/(?!\.)[A-Za-z0-9._~%:@!$&'()*+,;=-]+)+(?:\?[!-~]*)?) HTTP/1\.1\r\n"
    rb"(" + LINE + rb"+)\r\n"
)
_DIGITS = re.compile(rb"[0-9]{1,9}")
#: these change how a request is read or answered
_ODD = frozenset({
    "transfer-encoding", "content-encoding", "expect", "upgrade", "te", "trailer", "proxy-connection", "keep-alive",
    "http2-settings",
})  # fmt: skip
#: aiohttp refuses a head in which one of these stands twice
_SINGLE = frozenset({
    "content-location", "content-range", "content-type", "etag", "max-forwards", "server", "user-agent",
})  # fmt: skip
_KEEP_ALIVE, _CLOSE = (b"keep-alive", b"Keep-Alive"), (b"close", b"Close")
_MOST_LINES, _MOST_TARGETS = 1024, 4096
_LONGEST_LINE, _LONGEST_TARGET = 128, 512


class Waits(Protocol):
    """A connection that waits for an answer to what it sent."""

    #: whether the answer is the last one of the connection, as the request has asked
    last: bool

    def answer(self, data: bytes) -> None:
        """Send ``data``: the request is done."""

    def refused(self, data: bytes) -> None:
        """``data``, which was taken, is for others after all."""


#: one that waits for the end of this turn, with the request to its last byte
_Delivery = tuple[Record, Book, Waits, bytes]


class Line:
    """What a header line means here."""

    __slots__ = ("kept", "lower", "pair", "role", "value")

    def __init__(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        self.value = value.strip(b" \t")
        self.lower = lower = name.decode().lower()
        self.pair = lower, self.value.decode("utf-8", "surrogateescape")
        #: whether the journal keeps it
        self.kept = is_kept(lower, inflated=True)
        self.role = (
            "length" if lower == "content-length"
            else "host" if lower == "host"
            else "authorization" if lower == "authorization"
            else "connection" if lower == "connection"
            else "odd" if lower in _ODD
            else "single" if lower in _SINGLE
            else ""
        )  # fmt: skip


class Lean:
    """``offer`` what a connection has sent. One object for all connections of a server."""

    def __init__(self, deliveries: Deliveries, leaving: Callable[[], bool]) -> None:
        """``leaving``: whether answers are the last of their connection, which is not told here."""
        self._deliveries = deliveries
        self._leaving = leaving
        #: deliveries that went this way
        self.taken = 0
        #: what this turn of the loop has brought
        self._come: list[_Delivery] = []
        #: most of what a sender says is what it said before
        self._lines: dict[bytes, Line] = {}
        self._targets: dict[tuple[bytes, str | None], Target] = {}
        self._generation = -1
        self._answers: dict[tuple[str, bool], bytes] = {}
        self._second = 0

    def offer(self, data: bytes, waits: Waits) -> int:
        """How many bytes of ``data`` were taken: ``waits`` gets its answer later, or is told that they are for others
        after all. 0: none, they are for others. Negative: so many bytes of the body are still to come, offer them
        together."""
        head = _HEAD.match(data)
        if head is None or self._leaving():
            return 0
        length = host = -1
        last = False
        authorization: str | None = None
        kept: list[tuple[str, str]] = []
        shown: list[tuple[str, str]] = []
        singles: list[str] = []
        lines = self._lines
        for raw in head[2].split(b"\r\n")[:-1]:
            line = lines.get(raw) or self._learn(raw)
            role = line.role
            if role:
                if role == "single":
                    if line.lower in singles:
                        return 0
                    singles.append(line.lower)
                elif role == "length":
                    if length >= 0 or not _DIGITS.fullmatch(line.value):
                        return 0
                    length = int(line.value)
                elif role == "host":
                    host += 1
                elif role == "authorization":
                    if authorization is not None:
                        return 0
                    authorization = line.pair[1]
                elif role == "connection" and line.value in _CLOSE:
                    last = True
                elif role == "odd" or line.value not in _KEEP_ALIVE:
                    return 0
            shown.append(line.pair)
            if line.kept:
                kept.append(line.pair)
        start = head.end()
        end = start + length
        if length <= 0 or host != 0 or end > MOST_BYTES or length > self._deliveries.max_body_bytes:
            return 0
        if start > _MOST_HEAD_BYTES or len(shown) > _MOST_HEADERS:
            return 0
        target = self._target(head[1], authorization)
        if target is None or length <= vendor_named(target.endpoint.vendor).PING_BYTES:
            return 0
        if len(data) < end:
            return len(data) - end
        if last and len(data) > end:
            return 0
        waits.last = last
        return end if self._takes(target, data[:end], start, tuple(kept), shown, waits) else 0

    def _takes(
        self,
        target: Target,
        data: bytes,
        start: int,
        kept: tuple[tuple[str, str], ...],
        shown: list[tuple[str, str]],
        waits: Waits,
    ) -> bool:
        """Have a delivery, whose body is ``data`` from ``start`` on, wait for the end of this turn; whether it may."""
        deliveries, endpoint, body = self._deliveries, target.endpoint, data[start:]
        received_ns = time.time_ns()
        if endpoint.signed and not deliveries.signed_at_once(target, shown, body, received_ns):
            return False
        if not deliveries.intake.ready() or not deliveries.budget.lend(len(body)):
            return False
        if not self._come:
            asyncio.get_running_loop().call_soon(self._hand_over)
        self._come.append((record_of(target, body, received_ns, kept), deliveries.book(endpoint), waits, data))
        return True

    def _hand_over(self) -> None:
        """Give to the journal what this turn has brought."""
        come, self._come = self._come, []
        begun = self._deliveries.intake.begin(
            [(record, book, partial(self._end, len(record.payload), waits)) for record, book, waits, _ in come]
        )
        for has_begun, (record, book, waits, data) in zip(begun, come, strict=True):
            size = len(record.payload)
            if has_begun:
                book.received += 1
                book.bytes += size
                self.taken += 1
            else:
                self._deliveries.budget.returned(size)
                asyncio.get_running_loop().call_soon(waits.refused, data)  # a fault there is nobody else's

    def _end(self, size: int, waits: Waits, outcome: Outcome | JournalUnavailable) -> None:
        self._deliveries.budget.returned(size)
        if isinstance(outcome, JournalUnavailable):
            body = sentence(str(outcome))
            head = self._head(outcome.status, "Service Unavailable", len(body), waits.last, RETRY_AFTER_S)
            waits.answer(head + body)
        else:
            waits.answer(self._answer(outcome, waits.last))

    def _answer(self, outcome: Outcome, last: bool) -> bytes:
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._answers.clear()
        answer = self._answers.get((outcome.fate, last))
        if answer is None:
            body = ACCEPTED[outcome.fate]
            answer = self._answers[outcome.fate, last] = self._head(200, "OK", len(body), last) + body
        return answer

    def _head(self, status: int, reason: str, length: int, last: bool, retry_after_s: str = "") -> bytes:
        """The head that aiohttp would write."""
        retry = f"Retry-After: {retry_after_s}\r\n" if retry_after_s else ""
        close = "Connection: close\r\n" if last else ""
        return (
            f"HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\n{retry}Content-Length: {length}\r\n"
            f"Date: {formatdate(usegmt=True)}\r\nServer: {SERVER_SOFTWARE}\r\n{close}\r\n"
        ).encode()

    def _target(self, raw: bytes, authorization: str | None) -> Target | None:
        """Whom a request is for, if it may deliver there without more being known of it than its head."""
        guard = self._deliveries.guard
        if self._generation != guard.generation:
            self._generation = guard.generation
            self._targets.clear()
        key = raw, authorization
        if (target := self._targets.get(key)) is not None:
            return target
        url = URL(raw.decode(), encoded=True)
        try:
            target = guard.target(url.raw_path, url.query, authorization)
        except (NotFound, Unauthorized):
            return None
        if target.endpoint.scheme is not None or not (target.authorized or target.endpoint.signed):
            return None
        if target.authorized and len(raw) + len(authorization or "") <= _LONGEST_TARGET:
            if len(self._targets) >= _MOST_TARGETS:
                self._targets.clear()
            self._targets[key] = target
        return target

    def _learn(self, raw: bytes) -> Line:
        line = Line(raw)
        if line.kept and len(raw) <= _LONGEST_LINE and not line.lower.endswith("signature"):
            if len(self._lines) >= _MOST_LINES:
                self._lines.clear()
            self._lines[raw] = line
        return line
