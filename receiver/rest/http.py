"""One vendor's REST API over HTTP: authorisation, tries, limits, and errors in the vendor's own words.

A call is tried again where the vendor says that it was not done (429, 503 with Retry-After), and where doing it twice
does no harm. Secrets are in no error, repr or log line.
"""

import asyncio
import email.utils
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, NoReturn, TypeVar

import aiohttp
import msgspec
import orjson
import structlog

from receiver.errors import VendorError, VendorNotFound, VendorUnreachable
from receiver.redaction import REDACTED, is_secret_key, redact_text

log = structlog.get_logger()
T = TypeVar("T")
#: parts of a query; ``None`` leaves a key out, a list repeats it
Query = Mapping[str, "str | int | float | bool | list[str] | None"]
Headers = Callable[[], Awaitable[Mapping[str, str]]]
#: methods that may be sent twice
_HARMLESS = frozenset({"GET", "HEAD", "PUT", "DELETE"})
_MOST_WORDS = 300
#: of an error body, before secrets are taken out of it
_MOST_READ = 4096
#: shorter parts of a header are words such as ``Token``
_SHORTEST_SECRET = 6
#: where vendors put what they have to say, in the order in which it is looked for
_WORDS = ("message", "detail", "error", "info", "errors", "details", "error_description", "msg")


class Tries(msgspec.Struct, frozen=True, kw_only=True):
    """How often a call is tried, and how long between: doubled each time, from ``first_s`` to ``most_s``, with jitter.

    A Retry-After of the vendor outweighs it, up to ``most_wait_s``; one that is longer ends the tries.
    """

    count: int = 4
    first_s: float = 0.5
    most_s: float = 10.0
    most_wait_s: float = 60.0
    timeout_s: float = 30.0
    most_bytes: int = 64 << 20


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """An answer of 2xx. ``headers`` have lower-case names."""

    what: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self, type_: type[T]) -> T:
        """The body as ``type_``; unknown keys are let be. Raises ``VendorError`` that names the field."""
        try:
            return msgspec.json.decode(self.body, type=type_, strict=False)
        except (msgspec.DecodeError, ValueError) as error:
            raise VendorError(f"{self.what}: the answer is not as documented ({error})") from None
        except RecursionError:
            raise VendorError(f"{self.what}: the answer is nested too deeply") from None

    def __repr__(self) -> str:
        return f"Reply({self.what}: {self.status}, {len(self.body)} bytes)"


class Rest:
    """``call`` relative to ``base_url``. ``headers`` gives those of each try: a token may have been renewed meanwhile.

    ``accepted``: statuses beyond 2xx that mean success with this vendor. Redirects are not followed: nobody but the
    vendor's own host sees a token.
    """

    def __init__(
        self,
        client: aiohttp.ClientSession,
        vendor: str,
        base_url: str,
        headers: Headers,
        *,
        accepted: frozenset[int] = frozenset(),
        tries: Tries = Tries(),  # noqa: B008 - frozen
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._client, self._vendor, self._headers = client, vendor, headers
        self._accepted, self._tries = accepted, tries

    def __repr__(self) -> str:
        return f"Rest({self._vendor} at {redact_text(self.base_url)})"

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        harmless: bool | None = None,
    ) -> Reply:
        """The answer to ``method`` at ``path`` (below ``base_url``; or a whole URL on the same host).

        ``json``: anything that msgspec encodes. ``harmless``: whether it may be sent twice (default: by the method).
        Raises ``VendorNotFound``, ``VendorUnreachable``, else ``VendorError``.
        """
        url = self._url(path)
        what = f"{self._vendor}: {method} {redact_text(path.partition('?')[0])}"
        data: bytes | aiohttp.FormData | None = None
        kind: dict[str, str] = {}
        if json is not None:
            data, kind = msgspec.json.encode(json), {"Content-Type": "application/json"}
        twice = method in _HARMLESS if harmless is None else harmless
        for number in range(1, self._tries.count + 1):
            if form is not None:
                data = aiohttp.FormData(dict(form))
            own = {**await self._headers(), **kind, **(headers or {})}
            try:
                status, got, body = await self._exchange(method, url, _query(query), data, own, what)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                if not twice or number == self._tries.count:
                    told = redact_text(f"{type(error).__name__} {error}".strip())
                    raise VendorUnreachable(f"{what}: no answer ({told})") from None
                await self._rest(number, None, what)
                continue
            if 200 <= status < 300 or status in self._accepted:
                return Reply(what=what, status=status, headers=got, body=body)
            wait_s = retry_after_s(got)
            undone = status == 429 or (status == 503 and wait_s is not None)
            if not (undone or (status >= 500 and twice)) or number == self._tries.count:
                _refuse(what, status, body, own)
            if wait_s is not None and wait_s > self._tries.most_wait_s:
                _refuse(f"{what}: told to wait {wait_s:.0f} s", status, body, own)
            await self._rest(number, wait_s, what)
        raise AssertionError("unreachable: the last try returns or raises")

    async def download(self, url: str) -> bytes:
        """What lies at a signed link of the vendor's, asked for without any credential. Raises ``VendorError``."""
        what = f"{self._vendor}: download"
        try:
            status, _, body = await self._exchange("GET", url, None, None, {}, what, redirects=True)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise VendorUnreachable(f"{what}: no answer ({type(error).__name__})") from None
        if not 200 <= status < 300:
            _refuse(what, status, b"", {})
        return body

    def _url(self, path: str) -> str:
        if not path.startswith(("http://", "https://")):
            return f"{self.base_url}/{path.lstrip('/')}"
        if origin(path) != origin(self.base_url):
            raise VendorError(f"{self._vendor}: led to another host than its own; not followed, the token stays here")
        return path

    async def _exchange(
        self,
        method: str,
        url: str,
        query: list[tuple[str, str]] | None,
        data: bytes | aiohttp.FormData | None,
        headers: Mapping[str, str],
        what: str,
        *,
        redirects: bool = False,
    ) -> tuple[int, dict[str, str], bytes]:
        timeout = aiohttp.ClientTimeout(total=self._tries.timeout_s)
        async with self._client.request(
            method, url, params=query, data=data, headers=headers, timeout=timeout, allow_redirects=redirects
        ) as answer:
            parts, length = [], 0
            async for part in answer.content.iter_any():
                length += len(part)
                if length > self._tries.most_bytes:
                    raise VendorError(f"{what}: the answer is longer than {self._tries.most_bytes} bytes")
                parts.append(part)
            return answer.status, {name.lower(): value for name, value in answer.headers.items()}, b"".join(parts)

    async def _rest(self, number: int, wait_s: float | None, what: str) -> None:
        tries = self._tries
        own_s = min(tries.most_s, tries.first_s * 2 ** (number - 1)) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
        log.info("rest.retry", call=what, tried=number, wait_s=round(own_s if wait_s is None else wait_s, 2))
        await asyncio.sleep(own_s if wait_s is None else wait_s)


def words_of(body: bytes, shown: Iterable[str] = ()) -> str:
    """What an error body says, in the vendor's words: short, on one line, without secrets; empty if it says nothing.

    ``shown``: credentials that the call showed; a vendor may repeat them.
    """
    try:
        told = _said(orjson.loads(body))
    except orjson.JSONDecodeError:
        told = "" if body.lstrip()[:1] in (b"<", b"{", b"[") else body[:_MOST_READ].decode("utf-8", "replace")
    told = redact_text(" ".join(told[:_MOST_READ].split()))
    for secret in shown:
        told = told.replace(secret, REDACTED)
    return told[:_MOST_WORDS]


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that Retry-After asks for, by number or by date; ``None`` where it asks for nothing readable."""
    text = headers.get("retry-after", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
        except (ValueError, TypeError, OverflowError):
            return None
    return max(0.0, seconds) if seconds == seconds and seconds != float("inf") else None


def origin(url: str) -> tuple[str, str]:
    """Scheme and authority of ``url``, for comparison."""
    scheme, _, rest = url.partition("://")
    return scheme.lower(), rest.partition("/")[0].partition("?")[0].lower()


def _said(told: Any, depth: int = 0) -> str:
    """The first text in an error's JSON, and a field's name where it is a table of fields."""
    if isinstance(told, str):
        return told
    if isinstance(told, int | float):
        return str(told)
    if depth > 4:
        return ""
    if isinstance(told, list):
        return "; ".join(filter(None, (_said(one, depth + 1) for one in told[:5])))
    if isinstance(told, dict):
        found = [_said(told[name], depth + 1) for name in _WORDS if told.get(name)]
        if not any(found):  # at the top only lists are errors of fields (Django's form); the rest may be anything
            fields = [(name, value) for name, value in told.items() if depth or isinstance(value, list)]
            found = [f"{name}: {_said(value, depth + 1)}" for name, value in fields[:5]]
        return ": ".join(filter(None, found))
    return ""


def _query(query: Query | None) -> list[tuple[str, str]] | None:
    if query is None:
        return None
    pairs = []
    for name, value in query.items():
        for one in value if isinstance(value, list) else [value]:
            if one is not None:
                pairs.append((name, str(one).lower() if isinstance(one, bool) else str(one)))
    return pairs


def _refuse(what: str, status: int, body: bytes, sent: Mapping[str, str]) -> NoReturn:
    kind = VendorNotFound if status == 404 else VendorUnreachable if status == 429 or status >= 500 else VendorError
    values = (value for name, value in sent.items() if is_secret_key(name))
    shown = [part for value in values for part in value.split() if len(part) >= _SHORTEST_SECRET]
    raise kind(f"{what}: answered {status}", vendor_status=status, words=words_of(body, shown))
