"""Live events of a server, over its WebSocket, for as long as anybody wants them.

A lost connection is dialled again and goes on where it was: nothing is missed and nothing comes twice.
"""

import asyncio
import ssl
import sys
from collections.abc import AsyncIterator, Callable
from typing import Literal
from urllib.parse import urlencode

import msgspec
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI, WebSocketException

from receiver.commands.client import ELSEWHERE
from receiver.errors import Forbidden, Malformed, NotFound, ReceiverError, Unauthorized
from receiver.events import Event
from receiver.live.frames import Gap
from receiver.live.incoming import Position, read_message
from receiver.secretfiles import Runtime

_FIRST_WAIT_S, _MOST_WAIT_S = 0.25, 2.0
_REFUSALS: dict[int, type[ReceiverError]] = {400: Malformed, 401: Unauthorized, 403: Forbidden, 404: NotFound}


class Stream:
    """``async for`` gives events and gaps. Raises ``ReceiverError`` where the server refuses for good."""

    def __init__(self, find: Callable[[], Runtime | None], parameters: list[tuple[str, str]], after: str) -> None:
        """``find`` names the server, anew for each connection: ``None`` while there is none. ``after``: where to begin;
        empty: now."""
        self._find = find
        self._parameters = parameters
        self._after = after
        self._wait_s = _FIRST_WAIT_S
        self._told = False

    async def __aiter__(self) -> AsyncIterator[Event | Gap]:
        while True:
            runtime = self._find()
            if runtime is not None:
                try:
                    async with self._dial(runtime) as socket:
                        self._say_back(runtime)
                        async for message in socket:
                            self._wait_s = _FIRST_WAIT_S
                            one = read_message(message)
                            self._after = str(one.last if isinstance(one, Gap) else one.sequence)
                            if not isinstance(one, Position):
                                yield one
                except InvalidStatus as refusal:
                    _raise_refusal(refusal)
                except InvalidURI as problem:
                    raise NotFound(f"{runtime.url} is no URL of a server") from problem
                except (OSError, TimeoutError, WebSocketException, InvalidHandshake):
                    pass
            self._say_gone()
            await asyncio.sleep(self._wait_s)
            self._wait_s = min(2 * self._wait_s, _MOST_WAIT_S)

    def _dial(self, runtime: Runtime) -> connect:
        after = [("after", self._after)] if self._after else []
        url = f"ws{runtime.url.removeprefix('http')}/live/events?{urlencode([*self._parameters, *after])}"
        headers = {"Authorization": f"Bearer {runtime.token}"} if runtime.token else {}
        context: ssl.SSLContext | None = None
        proxy: Literal[True] | None = True if runtime.pid == ELSEWHERE else None
        if url.startswith("wss:"):
            context = ssl.create_default_context()
            if runtime.pid != ELSEWHERE:  # this machine's own: its certificate names the public host, not this one
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return connect(url, additional_headers=headers, ssl=context, max_size=None, proxy=proxy)

    def _say_gone(self) -> None:
        if not self._told:
            self._told = True
            sys.stderr.write("receiver: the server is away; going on where this was when it is back\n")

    def _say_back(self, runtime: Runtime) -> None:
        if self._told:
            self._told = False
            sys.stderr.write(f"receiver: connected again to {runtime.url}\n")


def _raise_refusal(refusal: InvalidStatus) -> None:
    """What trying again does not change."""
    status, body = refusal.response.status_code, refusal.response.body or b""
    try:
        text = str(msgspec.json.decode(body, type=dict[str, str])["error"])
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError):
        text = f"the server answered {status}: no receiver, or an older one"
    if status in _REFUSALS:
        raise _REFUSALS[status](text) from refusal
