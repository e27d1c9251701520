"""HTTP deliveries: limits and credentials first, then the body, then the journal, then the answer.

A body with a ``Content-Encoding`` is inflated first; the signature, the journal and the decoder see what it says. One
that cannot be inflated goes as it was sent, into quarantine.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Literal

import orjson
from aiohttp import web

from receiver.errors import BadSignature, Malformed, Overloaded, StaleSignature, TooLarge, Unauthorized
from receiver.ingress.answers import ACCEPTED
from receiver.ingress.body import inflate, read_body
from receiver.ingress.guard import Guard, Target
from receiver.ingress.intake import Outcome, Takes
from receiver.ingress.keys import Keys
from receiver.ingress.limits import Budget, Hold
from receiver.record import Record
from receiver.redaction import is_secret_key
from receiver.settings import Endpoint, ServerSettings
from receiver.telemetry.ledger import Intake as Book
from receiver.telemetry.ledger import Ledger
from receiver.vendors import vendor_named
from receiver.vendors.base import Headers, Scheme

_PONG = b'{"status":"ok"}\n'
_JSON = {"Content-Type": "application/json"}
_METHODS = frozenset({"POST", "PUT"})
#: longest wait for memory and for the journal's queue; beyond it the client may as well come again
_MOST_WAIT_S = 10.0


class Deliveries:
    """Handles vendor POSTs."""

    def __init__(self, guard: Guard, intake: Takes, ledger: Ledger, server: ServerSettings) -> None:
        self.guard = guard
        self._keys = Keys()
        #: may be replaced at any time: a delivery asks for it when it is complete
        self.intake = intake
        self._ledger = ledger
        self.max_body_bytes = server.max_body_bytes
        self._timeout_s = server.request_timeout_s
        self._wait_s = min(_MOST_WAIT_S, server.request_timeout_s)
        self.budget = Budget(server.max_inflight_bytes, self._wait_s)

    def book(self, endpoint: Endpoint) -> Book:
        """The book of an endpoint's deliveries."""
        return self._ledger.endpoint(endpoint.vendor, endpoint.name)

    def signed_at_once(self, target: Target, headers: Iterable[tuple[str, str]], body: bytes, received_ns: int) -> bool:
        """Whether a delivery to an endpoint with secrets is beyond doubt, by them and without waiting for anything."""
        endpoint = target.endpoint
        if endpoint.key_url:
            return False
        try:
            result = vendor_named(endpoint.vendor).verify(
                _joined(headers), body, secrets=endpoint.secrets, now_s=received_ns / 1e9
            )
        except Unauthorized:
            return False
        return target.authorized or result == "valid"

    def admit(self, request: web.BaseRequest) -> Target:
        """Endpoint and credential, from the head alone; whoever is refused here has cost nothing but the head."""
        target = self.guard.target(
            request.rel_url.raw_path, request.rel_url.query, request.headers.get("Authorization")
        )
        if not self._may_ping(target, request):
            self._require(target, request)
        if (request.content_length or 0) > self.max_body_bytes:
            self._count_refused(target)
            raise TooLarge(f"the body is larger than the limit of {self.max_body_bytes} bytes (server.max_body_bytes)")
        return target

    async def handle(self, request: web.BaseRequest) -> web.Response:
        """One delivery. Errors leave as ``ReceiverError``; the application turns them into answers."""
        if request.method not in _METHODS:
            raise web.HTTPMethodNotAllowed(request.method, sorted(_METHODS))
        target = self.admit(request)
        with self.budget.hold() as hold:
            return await self._take(request, target, hold)

    async def _take(self, request: web.BaseRequest, target: Target, hold: Hold) -> web.Response:
        endpoint = target.endpoint
        book = self.book(endpoint)
        body, fault = await self._read(request, hold, book)
        if self._may_ping(target, request):
            if vendor_named(endpoint.vendor).is_ping(body):
                return web.Response(body=_PONG, headers=_JSON)
            self._require(target, request)
        await self._room(book)
        received_ns = time.time_ns()
        book.received += 1
        book.bytes += len(body)
        record = record_of(
            target, body, received_ns, _kept_headers(request.headers, endpoint.scheme, inflated=not fault)
        )
        trusted = target.authorized and bool(endpoint.tokens)
        try:
            signed = await self._verify(target, request.headers, body, received_ns)
        except Overloaded:
            book.failed += 1
            raise
        except Unauthorized as refusal:
            if isinstance(refusal, StaleSignature) or (trusted and isinstance(refusal, BadSignature)):
                # who holds the secret or the token sent it: refused, but kept, since a rotated secret or a wrong clock
                # must not cost a delivery
                await self.intake.quarantine(record, str(refusal), book)
            else:
                book.refused += 1
            raise
        if fault:
            outcome = await self.intake.quarantine(record, fault, book)
        else:
            outcome = await self.intake.accept(record, book)
        return _answer(outcome, trusted=trusted or signed)

    async def _read(self, request: web.BaseRequest, hold: Hold, book: Book) -> tuple[bytes, str]:
        """The body, inflated; or as it was sent, and why it does not inflate."""
        try:
            async with asyncio.timeout(self._timeout_s):
                body = await read_body(request, hold, self.max_body_bytes)
                try:
                    encoding = request.headers.get("Content-Encoding", "").strip().lower()
                    return await inflate(body, encoding, hold, self.max_body_bytes), ""
                except Malformed as problem:
                    return body, str(problem)
        except TooLarge:
            _count(book, "refused")
            raise
        except Overloaded:
            _count(book, "failed")
            raise
        except TimeoutError:
            if hold.short:  # it was we who did not take more of it
                _count(book, "failed")
                raise Overloaded("there was no memory for the body, come back later") from None
            _count(book, "refused")
            raise web.HTTPRequestTimeout(text="the body did not arrive in time") from None
        except (ConnectionError, web.RequestPayloadError):
            _count(book, "refused")
            raise web.HTTPBadRequest(text="the body did not arrive as a whole") from None

    async def _room(self, book: Book) -> None:
        """Wait until the journal has room for more. Raises ``Overloaded``."""
        try:
            async with asyncio.timeout(self._wait_s):
                await self.intake.room()
        except TimeoutError:
            _count(book, "failed")
            raise Overloaded("the journal is behind with what it was given, come back later") from None

    async def _verify(self, target: Target, headers: Mapping[str, str], body: bytes, received_ns: int) -> bool:
        """Whether a valid signature was shown. Raises where one is wrong, or missing and nothing else was shown, and
        ``Overloaded`` where nothing else was shown and the vendor's public key cannot be had."""
        endpoint = target.endpoint
        if not endpoint.signed:
            return False
        lower = _joined((name.lower(), value) for name, value in headers.items())
        verify = endpoint.scheme.verify if endpoint.scheme else vendor_named(endpoint.vendor).verify
        secrets = endpoint.secrets
        if endpoint.key_url and _signature_shown(headers, endpoint.scheme):
            try:
                secrets = await self._keys.of(endpoint.key_url)
            except Overloaded:
                if not target.authorized:
                    raise
                return False
        try:
            result = verify(lower, body, secrets=secrets, now_s=received_ns / 1e9)
        except StaleSignature:
            raise
        except BadSignature:
            newer = await self._keys.newer(endpoint.key_url) if endpoint.key_url else ()
            if not newer:
                raise
            result = verify(lower, body, secrets=newer, now_s=received_ns / 1e9)
        except Unauthorized:  # the vendor signs always, and somebody has left it out; a token is enough
            if not target.authorized:
                raise
            return False
        if result == "unsigned" and not target.authorized:
            raise Unauthorized("missing signature: this endpoint takes signed deliveries, or a token in its URL")
        return result == "valid"

    def _may_ping(self, target: Target, request: web.BaseRequest) -> bool:
        """Whether the body is so short that it may be the vendor's trial of the URL: it is read before it is judged."""
        length = request.content_length
        return length is not None and length <= vendor_named(target.endpoint.vendor).PING_BYTES

    def _require(self, target: Target, request: web.BaseRequest) -> None:
        try:
            self.guard.require(target, _signature_shown(request.headers, target.endpoint.scheme))
        except Unauthorized:
            self._count_refused(target)
            raise

    def _count_refused(self, target: Target) -> None:
        _count(self.book(target.endpoint), "refused")


def record_of(target: Target, body: bytes, received_ns: int, headers: Headers) -> Record:
    """A delivery as the journal takes it."""
    return Record(
        vendor=target.endpoint.vendor,
        endpoint=target.endpoint.name,
        kind="body",
        channel="http",
        payload=body,
        received_ns=received_ns,
        subject=target.subject,
        headers=headers,
    )


def _signature_shown(headers: Mapping[str, str], scheme: Scheme | None) -> bool:
    return any(_is_signature(name.lower(), scheme) for name in headers)


def _is_signature(lower_name: str, scheme: Scheme | None) -> bool:
    return lower_name == scheme.signed_in if scheme else lower_name.endswith("signature")


def _count(book: Book, fate: Literal["refused", "failed"]) -> None:
    book.received += 1
    setattr(book, fate, getattr(book, fate) + 1)


def _answer(outcome: Outcome, *, trusted: bool) -> web.Response:
    if outcome.fate != "quarantined":
        return web.Response(body=ACCEPTED[outcome.fate], headers=_JSON)
    text = {"status": "quarantined", "error": outcome.reason}
    body = orjson.dumps(text, option=orjson.OPT_APPEND_NEWLINE)
    return web.Response(body=body, status=200 if trusted else 400, headers=_JSON)


def _kept_headers(headers: Mapping[str, str], scheme: Scheme | None = None, *, inflated: bool) -> Headers:
    """What the journal keeps of the head: everything but credentials, and what is true of the bytes that it holds. A
    signature is no credential: it can be checked again.

    What a scheme names otherwise comes first, under the name that the decoder knows, whatever the config says later.
    """
    every = tuple((name.lower(), value) for name, value in headers.items())
    kept = tuple(
        (name, value)
        for name, value in every
        if is_kept(name, inflated=inflated) or (scheme is not None and name == scheme.signed_in)
    )
    return scheme.named(every) + kept if scheme else kept


def is_kept(name: str, *, inflated: bool) -> bool:
    """Whether the journal keeps a header of this name, in lower case."""
    return not (inflated and name == "content-encoding") and (name.endswith("signature") or not is_secret_key(name))


def _joined(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Headers by lower-case name; what is given twice stands apart by commas."""
    joined: dict[str, str] = {}
    for name, value in headers:
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined
