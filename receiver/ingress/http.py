"""HTTP deliveries: limits and credentials first, then the body, then the journal, then the answer."""

import asyncio
import time
from collections.abc import Mapping

import orjson
from aiohttp import web

from receiver.errors import BadSignature, TooLarge, Unauthorized
from receiver.ingress.guard import Guard, Target
from receiver.ingress.intake import Intake, Outcome
from receiver.record import Record
from receiver.redaction import is_secret_key
from receiver.telemetry.ledger import Ledger
from receiver.vendors import vendor_named

_ANSWERS = {fate: b'{"status":"%s"}\n' % fate.encode() for fate in ("accepted", "duplicate", "quarantined")}
_JSON = {"Content-Type": "application/json"}
_METHODS = frozenset({"POST", "PUT"})


class Deliveries:
    """Handles vendor POSTs."""

    def __init__(self, guard: Guard, intake: Intake, ledger: Ledger, max_body_bytes: int, timeout_s: float) -> None:
        self._guard = guard
        self._intake = intake
        self._ledger = ledger
        self._max_body_bytes = max_body_bytes
        self._timeout_s = timeout_s

    def admit(self, request: web.BaseRequest) -> Target:
        """Endpoint and credential, from the head alone; whoever is refused here has cost nothing but the head."""
        target = self._guard.target(
            request.rel_url.raw_path, request.rel_url.query, request.headers.get("Authorization")
        )
        try:
            self._guard.require(target, any(name.lower().endswith("signature") for name in request.headers))
            if (request.content_length or 0) > self._max_body_bytes:
                raise self._too_large()
        except (Unauthorized, TooLarge):
            self._count_refused(target)
            raise
        return target

    async def handle(self, request: web.BaseRequest) -> web.Response:
        """One delivery. Errors leave as ``ReceiverError``; the application turns them into answers."""
        if request.method not in _METHODS:
            raise web.HTTPMethodNotAllowed(request.method, sorted(_METHODS))
        target = self.admit(request)
        endpoint = target.endpoint
        book = self._ledger.endpoint(endpoint.vendor, endpoint.name)
        try:
            async with asyncio.timeout(self._timeout_s):
                body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            self._count_refused(target)
            raise self._too_large() from None
        except TimeoutError:
            self._count_refused(target)
            raise web.HTTPRequestTimeout(text="the body did not arrive in time") from None
        received_ns = time.time_ns()
        book.received += 1
        book.bytes += len(body)
        record = Record(
            vendor=endpoint.vendor,
            endpoint=endpoint.name,
            kind="body",
            channel="http",
            payload=body,
            received_ns=received_ns,
            subject=target.subject,
            headers=_kept_headers(request.headers),
        )
        trusted = target.authorized and bool(endpoint.tokens)
        try:
            signed = self._verify(target, request.headers, body, received_ns)
        except Unauthorized as refusal:
            if trusted and isinstance(refusal, BadSignature):
                # who holds the token sent it: refused, but kept, since a rotated secret must not cost a delivery
                await self._intake.quarantine(record, str(refusal), book)
            else:
                book.refused += 1
            raise
        outcome = await self._intake.accept(record, book)
        return _answer(outcome, trusted=trusted or signed)

    def _verify(self, target: Target, headers: Mapping[str, str], body: bytes, received_ns: int) -> bool:
        """Whether a valid signature was shown. Raises where one is wrong, or missing and nothing else was shown."""
        endpoint = target.endpoint
        if not endpoint.secrets:
            return False
        lower: dict[str, str] = {}
        for name, value in headers.items():
            lower[name.lower()] = f"{lower[name.lower()]},{value}" if name.lower() in lower else value
        vendor = vendor_named(endpoint.vendor)
        result = vendor.verify(lower, body, secrets=endpoint.secrets, now_s=received_ns / 1e9)
        if result == "unsigned" and not target.authorized:
            raise Unauthorized("missing signature: this endpoint takes signed deliveries, or a token in its URL")
        return result == "valid"

    def _too_large(self) -> TooLarge:
        return TooLarge(f"the body is larger than the limit of {self._max_body_bytes} bytes (server.max_body_bytes)")

    def _count_refused(self, target: Target) -> None:
        book = self._ledger.endpoint(target.endpoint.vendor, target.endpoint.name)
        book.received += 1
        book.refused += 1


def _answer(outcome: Outcome, *, trusted: bool) -> web.Response:
    if outcome.fate != "quarantined":
        return web.Response(body=_ANSWERS[outcome.fate], headers=_JSON)
    text = {"status": "quarantined", "error": outcome.reason}
    body = orjson.dumps(text, option=orjson.OPT_APPEND_NEWLINE)
    return web.Response(body=body, status=200 if trusted else 400, headers=_JSON)


def _kept_headers(headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """What the journal keeps of the head: everything but credentials. A signature is none: it can be checked again."""
    return tuple(
        (name.lower(), value)
        for name, value in headers.items()
        if name.lower().endswith("signature") or not is_secret_key(name)
    )
