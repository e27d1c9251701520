"""What a recogniser says, on its way back: each answer is posted to an endpoint of this server, like any delivery.

So it is journalled before anything is made of it, gets its number and its id there, and reaches every other sink and
every listener. Nothing goes from a sink into the journal by a way of its own.
"""

import asyncio
import time
from typing import Any

import aiohttp
import msgspec
import structlog

from receiver.events import format_time
from sinks.http_answer import is_success
from sinks.relay_config import RelayConfig, RelaySecrets, fill_json, fill_url, pick

_decode = msgspec.json.Decoder().decode
#: pauses before further tries; after the last of them an answer is given up, and told in the log
_PAUSES_S = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class Answers:
    """Posts the answers of all connections of one sink. They keep the order that each connection has."""

    def __init__(self, name: str, config: RelayConfig, secrets: RelaySecrets) -> None:
        self._config = config
        self._log = structlog.get_logger().bind(sink=name)
        self._headers = secrets.answers
        self._client: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Have a client."""
        self._client = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=self._config.timeout_s),
            headers=self._headers,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def close(self) -> None:
        """Let go of the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def take(self, message: str | bytes, names: dict[str, Any]) -> None:
        """Hand on one answer; one without text is left out. Returns when the endpoint has it, or it is given up."""
        body = self._body(message, names) if self._config.answers_url else None
        if body is None or self._client is None:
            return
        url = fill_url(self._config.answers_url, names)
        reason = ""
        for pause_s in (*_PAUSES_S, None):
            try:
                async with self._client.post(url, data=body, allow_redirects=False) as reply:
                    await reply.read()
                    if is_success(reply.status):
                        return
                    reason = f"status {reply.status}"
                    if reply.status < 500 and reply.status != 429:
                        break
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                reason = type(error).__name__
            if pause_s is not None:
                await asyncio.sleep(pause_s)
        self._log.error("sink.relay.answer_lost", reason=reason)

    def _body(self, message: str | bytes, names: dict[str, Any]) -> bytes | None:
        try:
            answer = _decode(message)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        text, final = pick(answer, self._config.answer_text), pick(answer, self._config.answer_final)
        if not isinstance(text, str) or not text.strip():
            return None
        values = {**names, "text": text, "final": final is None or bool(final), "time": format_time(time.time_ns())}
        return fill_json(self._config.answer, values).encode()
