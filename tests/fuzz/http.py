"""Target: bytes as a connection brings them, through aiohttp's own parser and the receiver's whole ingress.

In one process and without a port: a fake transport, and a journal that keeps nothing, so that thousands of connections
a second go through. ``test_http_bytes.py`` does the same to a real server over real sockets.
"""

import asyncio
import logging
import re
import tempfile
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import structlog
from aiohttp.http_exceptions import HttpProcessingError

from receiver import app, engine
from receiver.app import Receiver
from receiver.journal.base import EVENTS, QUARANTINE, Ended
from receiver.journal.row import encode_row
from receiver.journal.sqlite import SqliteJournal
from receiver.journal.state import State
from receiver.record import Record
from receiver.settings import from_dict
from receiver.vendors import decode_record

_SERVER_FAULT = re.compile(rb"HTTP/1\.[01] 5\d\d ")
_CONFIG: dict[str, Any] = {
    "server": {"port": 0, "max_body_bytes": 4096, "max_message_bytes": 4096, "heartbeat_s": 0, "drain_s": 0.3},
    "endpoints": {"meetstream": {"default": {}, "token": {"token_env": "T", "secret_env": ["S"]}}},
    "admin": {"token_env": "A"},
    "sinks": {},
    "journal": {"min_free_bytes": 0, "dedup_entries": 1000},
}
_ENVIRON = {"T": "tok-4711", "S": "whsec_1", "A": "adm"}
_MOST_TURNS = 200
_QUIET_TURNS = 12
_HANG_S = 5.0


class _Journal(SqliteJournal):
    """Takes everything and keeps nothing; what it is given must have a row, and decode later to what it did live."""

    _numbers = 0

    def put(self, record: Record, ended: Ended, lane: str = EVENTS) -> None:
        self._numbers += record.count
        record.seq = self._numbers
        encode_row(record)
        if lane != QUARANTINE:
            assert record.events is None or decode_record(record).events == record.events
        asyncio.get_running_loop().call_soon(ended, None)

    async def keep_keys(self, *_: Any) -> None:
        """There is no record on disk with which a file of keys could end, and to say so would be no fault."""


class _State(State):
    def stream_opened(self, connection: str, note: bytes) -> None:
        """Nothing is kept."""

    def stream_closed(self, connection: str) -> None:
        """Nothing is kept."""


class _Listener:
    """A port that nobody listens on."""

    def __init__(self) -> None:
        self.sockets = [self]

    def getsockname(self) -> tuple[str, int]:
        return "127.0.0.1", 8080

    def close(self) -> None:
        """Nothing to close."""


class _Loop(asyncio.SelectorEventLoop):
    """Keeps the protocol factory that a server listens with."""

    factory: Callable[[], asyncio.Protocol]

    async def create_server(self, protocol_factory: Any, *_: Any, **__: Any) -> Any:
        self.factory = protocol_factory
        return _Listener()


class _Transport(asyncio.Transport):
    """The server's side of a connection whose peer reads everything at once."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 40_000), "sockname": ("127.0.0.1", 8080)})
        self.written = bytearray()
        self.closed = False
        self.protocol: asyncio.BaseProtocol = asyncio.Protocol()

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self.protocol

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def writelines(self, list_of_data: Any) -> None:
        self.written += b"".join(list_of_data)

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        """The peer sends no more than it has sent."""

    def resume_reading(self) -> None:
        """See ``pause_reading``."""

    def get_write_buffer_size(self) -> int:
        return 0

    def can_write_eof(self) -> bool:
        return False


class _Ingress:
    """The server with its real wiring, but for the port and for what lies behind the journal's door."""

    def __init__(self) -> None:
        self.loop = _Loop()
        self._folder = tempfile.TemporaryDirectory(prefix="fuzz-")
        self.server = Receiver(from_dict({**_CONFIG, "data_dir": self._folder.name}, _ENVIRON, Path()))
        # aiohttp lingers for a second even where the peer is gone
        with (
            patch.object(app, "_LINGER_S", 0.01),
            patch.object(engine, "SqliteJournal", _Journal),
            patch.object(engine, "State", _State),
        ):
            self.loop.run_until_complete(self.server.start())
        self._own = asyncio.all_tasks(self.loop)
        self.faults: list[str] = []
        self.loop.set_exception_handler(lambda _, context: self.faults.append(repr(context)))

    async def connection(self, data: bytes) -> bytes:
        """Everything that a peer is answered which sends ``data`` in two pieces, waits, and is gone."""
        protocol, transport = self.loop.factory(), _Transport()
        transport.protocol = protocol
        protocol.connection_made(transport)
        half = len(data) // 2 if len(data) % 4 == 1 else len(data)
        for piece in (data[:half], data[half:]):
            if piece and not transport.closed:
                protocol.data_received(piece)
                await _quiet(transport)
        protocol.eof_received()
        await asyncio.sleep(0)
        protocol.connection_lost(None)
        for _ in range(_MOST_TURNS):
            if not self._others():
                break
            await asyncio.sleep(0)
        if others := self._others():
            _, late = await asyncio.wait(others, timeout=_HANG_S)
            assert not late, f"still at work long after the peer is gone: {late}"
        return bytes(transport.written)

    def _others(self) -> set["asyncio.Task[Any]"]:
        return asyncio.all_tasks() - self._own - {cast("asyncio.Task[Any]", asyncio.current_task())}

    def close(self) -> None:
        self.loop.run_until_complete(self.server.stop())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        self._folder.cleanup()


def http(data: bytes) -> None:
    """No 5xx, no fault in a log, nothing left running, and books that balance, whatever a connection brings."""
    ingress = _ingress()
    del ingress.faults[:]
    with _listening(ingress.faults):
        answer = ingress.loop.run_until_complete(ingress.connection(data))
    assert not ingress.faults, ingress.faults
    assert not _SERVER_FAULT.search(answer), answer[:200]
    for name, book in ingress.server.ledger.intake.items():
        assert book.balanced and not book.sockets_open, f"{name}: {book}"


@cache
def _ingress() -> _Ingress:
    return _Ingress()


def close() -> None:
    """Let go of what the first input has made, if there was one."""
    if _ingress.cache_info().currsize:
        _ingress().close()
        _ingress.cache_clear()


async def _quiet(transport: _Transport) -> None:
    """Let the server work until it has not written for a while."""
    quiet = 0
    for _ in range(_MOST_TURNS):
        before = len(transport.written)
        await asyncio.sleep(0)
        quiet = quiet + 1 if len(transport.written) == before else 0
        if quiet > _QUIET_TURNS or transport.closed:
            return


class _Faults(logging.Handler):
    """Notes errors that aiohttp logs, but for what it says of bytes that are no HTTP."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._faults = faults
        self._format = logging.Formatter()

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError) and error.code < 500:
            return
        self._faults.append(self._format.format(record))


@contextmanager
def _listening(faults: list[str]) -> Iterator[None]:
    """Logs of errors become faults; nothing is printed meanwhile."""

    def note(_: Any, method: str, event: MutableMapping[str, Any]) -> Any:
        if method in ("error", "exception", "critical"):
            faults.append(repr(event))
        raise structlog.DropEvent

    before = structlog.get_config()
    handler, server_log = _Faults(faults), logging.getLogger("aiohttp.server")
    propagates = server_log.propagate
    server_log.addHandler(handler)
    server_log.propagate = False
    structlog.configure(processors=[note], cache_logger_on_first_use=False)
    try:
        yield
    finally:
        structlog.configure(**before)
        server_log.removeHandler(handler)
        server_log.propagate = propagates
