"""Public keys that a vendor publishes: fetched when first needed, kept for an hour, asked for anew when none fits.

While none can be had, deliveries are told to come again (503): a vendor that retries does so for 5xx only. A key that
was had once stays in force until another one comes.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable

import aiohttp
import structlog

from receiver.errors import Overloaded
from receiver.redaction import redact_text

log = structlog.get_logger()
Fetch = Callable[[str], Awaitable[bytes]]
#: how long keys are taken without asking again
_FRESH_S = 3600.0
#: Between two times that the vendor is asked: forged deliveries must not make this server a burden to it.
_PAUSE_S = 30.0
#: vendors wait for an answer for three seconds or more
_FETCH_S = 2.5
_MOST_BYTES = 64 << 10
#: line ends as JSON writes them, or as JSON writes what somebody has escaped before
_ESCAPED = re.compile(r"(?:\\+r)?\\+n")
_PEM = re.compile(r"-----BEGIN (?:RSA )?PUBLIC KEY-----[A-Za-z0-9+/=\s]+-----END (?:RSA )?PUBLIC KEY-----")


class Keys:
    """The keys of one server's endpoints, by the URL where they are published."""

    def __init__(self, fetch: Fetch | None = None, now_s: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch or _fetch
        self._now_s = now_s
        self._known: dict[str, _Published] = {}

    async def of(self, url: str) -> tuple[str, ...]:
        """The keys of ``url``, as PEM. Raises ``Overloaded`` where none was to be had yet."""
        known = self._known.setdefault(url, _Published())
        stale = self._now_s() - known.had_s > _FRESH_S
        # one delivery waits for a newer key, those beside it have the old one
        if not known.keys or (stale and not known.turn.locked()):
            await self._ask(url, known)
        if not known.keys:
            raise Overloaded("the vendor's public key cannot be had at this time, come back later")
        return known.keys

    async def newer(self, url: str) -> tuple[str, ...]:
        """Keys that were not known when a signature did not fit; none where there are no others."""
        known = self._known.setdefault(url, _Published())
        before = known.keys
        await self._ask(url, known)
        return tuple(key for key in known.keys if key not in before)

    async def _ask(self, url: str, known: "_Published") -> None:
        before = known.keys
        async with known.turn:
            if known.keys != before or self._now_s() - known.asked_s < _PAUSE_S:
                return
            known.asked_s = self._now_s()
            try:
                found = published(await self._fetch(url))
            except Exception as error:
                log.warning("keys.fetch.failed", url=url, error=redact_text(f"{type(error).__name__}: {error}"))
                return
            if not found:
                log.warning("keys.fetch.failed", url=url, error="what is published there holds no PEM key")
                return
            if found != known.keys:
                log.info("keys.fetched", url=url, keys=len(found))
            known.keys, known.had_s = found, self._now_s()


class _Published:
    """What is known of one URL. Times are of the monotonic clock."""

    def __init__(self) -> None:
        self.keys: tuple[str, ...] = ()
        self.had_s = self.asked_s = float("-inf")
        self.turn = asyncio.Lock()


def published(document: bytes) -> tuple[str, ...]:
    """Every PEM public key in a document: JSON or bare, with real line ends or with backslash and n."""
    text = _ESCAPED.sub("\n", document.decode("utf-8", "replace"))
    return tuple(dict.fromkeys(match.group() for match in _PEM.finditer(text)))


async def _fetch(url: str) -> bytes:
    timeout = aiohttp.ClientTimeout(total=_FETCH_S)
    async with aiohttp.ClientSession(timeout=timeout, trust_env=True) as client, client.get(url) as answer:
        answer.raise_for_status()
        return await answer.content.read(_MOST_BYTES)
