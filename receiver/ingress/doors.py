"""Connections before they are requests: how many may be open, and how long one may take to say what it wants.

Stands between the event loop and aiohttp's protocol and passes everything on; nothing here reads what is sent, the
bytes of a head that does not end are counted.
"""

import asyncio
import logging
import os
import resource
import socket
import ssl
from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

log = structlog.get_logger()
_BACKLOG = 1024
#: descriptors for the journal, sinks and files, which connections cannot have
_OWN_FILES = 256
#: of one request's head; aiohttp limits its lines, and all of them together would be a megabyte for each connection
_MOST_HEAD_BYTES = 64 << 10
_HEAD_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\n"
    b"Content-Type: application/json\r\nContent-Length: 55\r\n\r\n"
    b'{"error":"the head of a request is larger than 64 KiB"}'
)
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\n"
    b"Content-Type: application/json\r\nContent-Length: 32\r\n\r\n"
    b'{"error":"too many connections"}'
)


class Doors:
    """Counts the open connections of a server. ``open`` and ``turned_away`` are for reading."""

    def __init__(self, most: int, head_timeout_s: float) -> None:
        """``most``: new connections beyond are told 503. ``head_timeout_s`` 0: heads may take for ever."""
        self.open = 0
        self.turned_away = 0
        #: set while no connection is open
        self.empty = asyncio.Event()
        self.empty.set()
        self._listeners: list[asyncio.Server] = []
        self._most = max(1, min(most, _raise_open_files() - _OWN_FILES))
        self._head_timeout_s = head_timeout_s
        self._headless: dict[asyncio.BaseProtocol, asyncio.TimerHandle] = {}
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
            lambda: _Door(self, server),
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

    def leave(self, protocol: asyncio.BaseProtocol) -> None:
        """A connection is gone."""
        self.open -= 1
        if not self.open:
            self.empty.set()
        self._said_full = self._said_full and self.open * 10 > self._most * 9
        self.head_seen(protocol)


class _Door(asyncio.Protocol):
    """One connection; aiohttp's protocol is made only for one that gets in."""

    __slots__ = ("_doors", "_head_bytes", "_inner", "_server", "_wire", "on_data")

    def __init__(self, doors: Doors, server: web.Server) -> None:
        self._doors = doors
        self._server = server
        self._inner: asyncio.Protocol | None = None
        self._head_bytes = 0
        #: told how many bytes came, behind those who got them
        self.on_data: Callable[[int], None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        wire = cast(asyncio.Transport, transport)
        if self._doors.enter(wire):
            self._wire = wire
            self._inner = self._server()
            self._inner.connection_made(wire)
            self._doors.expect_head(self._inner, wire)

    def data_received(self, data: bytes) -> None:
        inner = self._inner
        if inner is None:
            return
        inner.data_received(data)
        if self.on_data is not None:
            self.on_data(len(data))
            return
        waiter = getattr(inner, "_waiter", None)  # aiohttp's, for the next request: not done while a head is incomplete
        if waiter is None or waiter.done():
            self._head_bytes = 0
        else:
            self._head_bytes += len(data)
            if self._head_bytes > _MOST_HEAD_BYTES and not self._wire.is_closing():
                self._wire.write(_HEAD_TOO_LARGE)
                self._wire.close()

    def eof_received(self) -> bool | None:
        return self._inner.eof_received() if self._inner is not None else None

    def pause_writing(self) -> None:
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._inner is not None:
            self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._inner is not None:
            inner, self._inner = self._inner, None
            self._doors.leave(inner)
            inner.connection_lost(exc)


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
