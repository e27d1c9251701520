"""The http sink: CloudEvents over HTTP, signed by Standard Webhooks, in batches or one by one.

Only the sending is here: cutting a batch into requests, the requests, and the memory of what the far side already has.
Keys are in ``http_config``, the meaning of answers in ``http_answer``, signatures in ``standard_webhooks``.
"""

import asyncio
import io
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import aiohttp
from yarl import URL

from receiver.events import Event, http_headers
from sinks.base import Batch, SinkConfig, SinkNotConnected, SinkRejected
from sinks.http_answer import is_refusal, is_success, not_now
from sinks.http_config import HttpConfig, load_credentials
from sinks.reach import reach
from sinks.standard_webhooks import message_id, webhook_headers

_USER_AGENT = "meeting-receiver"
#: as much of an answer's body is read so that the connection can be used again; longer ones cost the connection
_DRAIN_BYTES = 65_536
#: above this aiohttp wants a stream, so that sending does not hold up the loop
_LARGE_BODY_BYTES = 1 << 20
#: the JSON of more than these is made in a thread, so that it does not hold up the loop
_FEW_EVENTS = 50
_OF_MODE = {"batch": "application/cloudevents-batch+json", "structured": "application/cloudevents+json"}

EventKey = tuple[str, str, int]
#: an event and its form on the wire: a JSON object, or the data alone
Item = tuple[Event, bytes | memoryview]


class HttpSink:
    """POST events as CloudEvents. Keeps order; may repeat after a lost answer; never drops.

    Success is a 2xx, whatever its body. Refused for content (400, 413, 422 …): a batch is halved until only the events
    that the far side does not want remain, and these are rejected. Anything else is tried again, and what was accepted
    before is left out then.
    """

    Config: ClassVar[type[SinkConfig]] = HttpConfig
    portable: ClassVar[bool] = True

    def __init__(self, name: str, config: HttpConfig, data_dir: Path) -> None:
        """Raises ``ConfigError``: bad URL or header, or a secret that is named and not there."""
        self._config = config
        self._credentials = load_credentials(name, config, data_dir)
        self._url = URL(config.url)
        #: all that errors tell of the URL: its path may be a secret
        self._place = f"{self._url.host}:{self._url.port}"
        self._client: aiohttp.ClientSession | None = None
        #: events of the batch in progress: empty text = delivered, else why it was refused
        self._settled: dict[EventKey, str] = {}

    async def open(self) -> None:
        """Reach the far side with TCP and TLS; sends nothing. Raises ``SinkNotConnected``.

        With ``trust_env`` the way may lead through a proxy: then the first request shows whether it is open.
        """
        await self.close()
        if not self._config.trust_env:
            secure = self._url.scheme == "https"
            await reach(self._url.host or "", self._url.port or 0, self._config.timeout_s, secure=secure)
        self._client = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=self._config.timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": _USER_AGENT, **self._credentials.headers},
            auto_decompress=False,
            trust_env=self._config.trust_env,
        )

    async def write(self, batch: Batch) -> None:
        """Deliver ``batch``. Raises: SinkNotConnected, SinkOverloaded, SinkRejected, NotAccepted (try again)."""
        keys = {_key(event) for event in batch.events}
        self._settled = {key: reason for key, reason in self._settled.items() if key in keys}
        waiting = [event for event in batch.events if _key(event) not in self._settled]
        for items in await self._cut(batch, waiting):
            await self._deliver(items)
        settled, self._settled = self._settled, {}
        refused = [event for event in batch.events if settled[_key(event)]]
        if refused:
            raise SinkRejected(settled[_key(refused[0])], refused)

    async def close(self) -> None:
        """Let go of the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _cut(self, batch: Batch, events: Sequence[Event]) -> Iterable[list[Item]]:
        if len(events) <= _FEW_EVENTS:
            return self._requests(batch, events)
        return await asyncio.to_thread(lambda: list(self._requests(batch, events)))

    def _requests(self, batch: Batch, events: Sequence[Event]) -> Iterator[list[Item]]:
        """Cut ``events`` into what goes into one request each."""
        together: list[Item] = []
        size_bytes = 1
        for event in events:
            if self._config.mode == "binary":
                yield [(event, event.body(secrets=batch.secrets))]
                continue
            item = (event, batch.json(event))
            more_bytes = len(item[1]) + 1
            full = self._config.mode == "structured" or size_bytes + more_bytes > self._config.batch_bytes
            if together and full:
                yield together
                together, size_bytes = [], 1
            together.append(item)
            size_bytes += more_bytes
        if together:
            yield together

    async def _deliver(self, items: list[Item]) -> None:
        """Send ``items`` as one request; where the far side refuses it, in halves, down to the single event."""
        waiting = [items]
        while waiting:
            some = waiting.pop()
            status = await self._post(some)
            if is_success(status):
                self._settled.update((_key(event), "") for event, _ in some)
            elif len(some) == 1:
                self._settled[_key(some[0][0])] = f"{self._place} refused it with {status}"
            else:
                middle = len(some) // 2
                waiting += [some[middle:], some[:middle]]

    async def _post(self, items: list[Item]) -> int:
        """One request. Returns a status that is a success or a refusal; raises for any other."""
        if self._client is None:
            raise SinkNotConnected("the sink is not open")
        body, headers = self._message(items)
        id_ = message_id(part for event, _ in items for part in (event.source, event.id))
        headers |= webhook_headers(self._credentials.keys, id_, int(time.time()), body)
        data = io.BytesIO(body) if len(body) > _LARGE_BODY_BYTES else body
        try:
            async with self._client.post(self._url, data=data, headers=headers, allow_redirects=False) as reply:
                status, retry_after = reply.status, reply.headers.get("Retry-After")
                await _drain(reply)
        except TimeoutError:
            raise SinkNotConnected(f"{self._place} did not answer within {self._config.timeout_s:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            # Of these two the text is known to name host and port at most; others may quote the URL.
            told = isinstance(error, aiohttp.ClientConnectorError | aiohttp.ServerDisconnectedError)
            reason = str(error) if told else type(error).__name__
            raise SinkNotConnected(f"no answer from {self._place}: {reason}") from None
        if is_success(status) or is_refusal(status):
            return status
        raise not_now(self._place, status, retry_after, time.time())

    def _message(self, items: list[Item]) -> tuple[bytes | memoryview, dict[str, str]]:
        """Body and headers of one request."""
        if self._config.mode == "binary":
            return items[0][1], http_headers(items[0][0])
        headers = {"content-type": _OF_MODE[self._config.mode]}
        if self._config.mode == "structured":
            return items[0][1], headers
        return b"[" + b",".join([body for _, body in items]) + b"]", headers


async def _drain(reply: aiohttp.ClientResponse) -> None:
    """Read a short body, so that the connection can serve again. What happens here changes no answer: the status has
    told it, and a connection that breaks or hangs is closed."""
    try:
        await reply.content.readexactly(_DRAIN_BYTES)
    except asyncio.IncompleteReadError:
        return
    except (aiohttp.ClientError, TimeoutError, OSError):
        pass
    reply.close()


def _key(event: Event) -> EventKey:
    return event.source, event.id, event.sequence
