"""Connections before they are requests: how many may be open, and how long one may take to say what it wants.

Nothing here reads what is sent; ``receiver.ingress.door`` has what belongs to one connection.
"""

import asyncio
import logging
import os
import resource
import socket
import ssl
from collections.abc import Sequence
from functools import partial

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from receiver.ingress.door import Door
from receiver.ingress.lean import Lean

log = structlog.get_logger()
_BACKLOG = 1024
#: descriptors for the journal, sinks and files, which connections cannot have
_OWN_FILES = 256
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\n"
    b"Content-Type: application/json\r\nContent-Length: 32\r\n\r\n"
    b'{"error":"too many connections"}'
)


class Doors:
    """Counts the open connections of a server. ``open`` and ``turned_away`` are for reading."""

    def __init__(self, most: int, head_timeout_s: float, idle_timeout_s: float) -> None:
        """``most``: new connections beyond are told 503. ``head_timeout_s`` 0: heads may take for ever.
        ``idle_timeout_s``: a connection that has delivered, and says nothing more for so long, is closed."""
        self.open = 0
        self.turned_away = 0
        #: set while no connection is open
        self.empty = asyncio.Event()
        self.empty.set()
        self._listeners: list[asyncio.Server] = []
        self._most = max(1, min(most, _raise_open_files() - _OWN_FILES))
        self._head_timeout_s = head_timeout_s
        self._idle_timeout_s = idle_timeout_s
        self._headless: dict[asyncio.BaseProtocol, asyncio.TimerHandle] = {}
        #: takes deliveries the short way; ``None``: all go to aiohttp
        self.lean: Lean | None = None
        #: connections that aiohttp knows nothing of, so far
        self.own: set[Door] = set()
        self._sweep: asyncio.TimerHandle | None = None
        self._said_full = False
        logging.getLogger("aiohttp.server").addFilter(_not_about_broken_http)
        logging.getLogger("aiohttp.websocket").setLevel(logging.ERROR)  # its warnings quote what a stranger sent

    async def listen(
        self, server: web.Server, where: tuple[str, int] | Sequence[socket.socket], tls: ssl.SSLContext | None
    ) -> tuple[str, int]:
        """Accept connections for ``server`` at a host and port, or on sockets that listen already. Host and port."""
        loop = asyncio.get_running_loop()
        handshake_s = self._head_timeout_s if tls is not None and self._head_timeout_s else None
        create = partial(
            loop.create_server,
            lambda: Door(self, server),
            ssl=tls,
            backlog=_BACKLOG,
            ssl_handshake_timeout=handshake_s,
        )
        if isinstance(where, tuple):
            host, port = where
            self._listeners = [await create(host, port)]
            return host, self._listeners[0].sockets[0].getsockname()[1]
        self._listeners = [await create(sock=one) for one in where]
        host, port, *_ = where[0].getsockname()
        return host, port

    def duplicates(self) -> list[socket.socket]:
        """The listening sockets once more: they go on listening when these doors are closed."""
        sockets = [one for listener in self._listeners for one in listener.sockets]
        return [socket.socket(fileno=os.dup(one.fileno())) for one in sockets]

    def close(self) -> None:
        """Accept no more. Connections that are open stay open."""
        for listener in self._listeners:
            listener.close()

    def head_seen(self, protocol: asyncio.BaseProtocol) -> None:
        """A request's head is complete: its connection may take its time now."""
        if (timer := self._headless.pop(protocol, None)) is not None:
            timer.cancel()

    def enter(self, transport: asyncio.Transport) -> bool:
        """Whether there is room for a connection; if not, it is told so."""
        if self.open < self._most:
            self.open += 1
            self.empty.clear()
            return True
        self.turned_away += 1
        if not self._said_full:
            self._said_full = True
            log.warning("connections.full", open=self.open)
        transport.write(_FULL)
        transport.close()
        return False

    def expect_head(self, protocol: asyncio.BaseProtocol, transport: asyncio.Transport) -> None:
        """Cut a connection off unless its head is seen in time."""
        if self._head_timeout_s:
            loop = asyncio.get_running_loop()
            self._headless[protocol] = loop.call_later(self._head_timeout_s, transport.abort)

    def hand_over(self, door: asyncio.BaseProtocol, inner: asyncio.BaseProtocol, transport: asyncio.Transport) -> None:
        """The head that is awaited is for ``inner`` from now on: with the time that is left, or with all of it."""
        if (timer := self._headless.pop(door, None)) is not None:
            self._headless[inner] = timer
        else:
            self.expect_head(inner, transport)

    def take_back(self, door: Door, inner: asyncio.BaseProtocol) -> None:
        """``inner`` has nothing to do with ``door`` any more."""
        self.head_seen(inner)
        self.own.add(door)

    async def finish(self, limit_s: float) -> None:
        """Answer what is under way the short way, and close the connections that aiohttp knows nothing of."""
        if under_way := [end for door in list(self.own) if (end := door.finish()) is not None]:
            await asyncio.wait(under_way, timeout=limit_s)

    def sweep(self) -> None:
        """Close those of them that have been silent for too long, now and then."""
        if self._sweep is None:
            loop = asyncio.get_running_loop()
            self._sweep = loop.call_later(max(0.05, self._idle_timeout_s / 10), self._swept)

    def _swept(self) -> None:
        self._sweep = None
        before_s = asyncio.get_running_loop().time() - self._idle_timeout_s
        for door in list(self.own):
            door.close_if_idle(before_s)
        if self.own:
            self.sweep()

    def leave(self, protocol: asyncio.BaseProtocol) -> None:
        """A connection is gone."""
        self.open -= 1
        if not self.open:
            self.empty.set()
        self._said_full = self._said_full and self.open * 10 > self._most * 9
        self.head_seen(protocol)


def _not_about_broken_http(record: logging.LogRecord) -> bool:
    """What is no HTTP is answered 4xx; a log of it would hold the line as sent, and any stranger could fill it."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


def _raise_open_files() -> int:
    """Let this process open as many files as it may; how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (ValueError, OSError):
            hard = soft  # some systems cap it lower than they say
    return hard if hard != resource.RLIM_INFINITY else 1 << 30
