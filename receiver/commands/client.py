"""How commands talk to the live server of a data folder."""

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from receiver.errors import ConfigError
from receiver.secretfiles import Runtime, read_runtime

#: in place of the process number of a server that was named by its URL
ELSEWHERE = 0
_LINE_BYTES = 1 << 20


def post(runtime: Runtime, path: str, body: dict[str, Any], timeout_s: float = 30.0) -> tuple[int, dict[str, Any]]:
    """POST an order; status and JSON answer.

    Raises ``aiohttp.ClientError``, ``TimeoutError``; ``ValueError`` where the answer is no JSON object.
    """

    async def call() -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": f"Bearer {runtime.token}"}
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        # found through a private file, it is this machine's own: its certificate names the public host, not this one
        verify = runtime.pid == ELSEWHERE
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=headers) as client,
            client.post(runtime.url + path, json=body, ssl=verify, allow_redirects=False) as reply,
        ):
            answer = await reply.json(content_type=None)
            if not isinstance(answer, dict):
                raise ValueError(f"status {reply.status} without a JSON object: no receiver")
            return reply.status, answer

    return asyncio.run(call())


def stream(runtime: Runtime, path: str, body: Any, hear: Callable[[dict[str, Any]], None]) -> int:
    """POST an order that is answered with JSON lines; ``hear`` is called with each of them. The status of the answer.

    Raises ``aiohttp.ClientError``, ``TimeoutError``; ``ValueError`` where a line is no JSON object.
    """

    async def call() -> int:
        headers = {"Authorization": f"Bearer {runtime.token}", "Content-Type": "application/json"}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=60)
        verify = runtime.pid == ELSEWHERE
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=headers, read_bufsize=_LINE_BYTES) as client,
            client.post(runtime.url + path, data=msgspec.json.encode(body), ssl=verify, allow_redirects=False) as reply,
        ):
            async for line in reply.content:
                told = msgspec.json.decode(line)
                if not isinstance(told, dict):
                    raise ValueError(f"status {reply.status} without a JSON object: no receiver")
                hear(told)
            return reply.status

    return asyncio.run(call())


def shown_token(name: str | None) -> str:
    """The token of ``--token-env``; empty where it was not given. Raises ``ConfigError`` for one that is not set."""
    token = os.environ.get(name, "").strip() if name else ""
    if name and not token:
        raise ConfigError(f"--token-env: found {name}, which is not set, allowed a variable that is")
    return token


def live_server(data_dir: Path, url: str | None, token: str | None) -> Runtime | None:
    """The server named on the command line, else the one that runs on this data folder; says so where there is none."""
    if url is not None:
        return Runtime(pid=ELSEWHERE, url=url.rstrip("/"), token=token or "")
    runtime = read_runtime(data_dir)
    if runtime is None:
        sys.stderr.write(f"receiver: no server runs on {data_dir}; start `receiver serve`, or name one with --url\n")
    return runtime
