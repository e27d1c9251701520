"""The sockets that vendors dial. Refused before the 101 where no token is shown; closed with a code that says why."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from secrets import token_hex
from typing import Any

import structlog
from aiohttp import WSCloseCode, web

from receiver.errors import JournalUnavailable, NotFound, Shed, Unauthorized
from receiver.ingress.guard import Guard, Target
from receiver.ingress.inflow import Inflow
from receiver.ingress.note import StreamNote, opening_of
from receiver.ingress.peer import Peer
from receiver.ingress.runs import unmask
from receiver.ingress.shedding import kind_of_channel
from receiver.ingress.stream import Rim, Stream
from receiver.settings import ServerSettings
from receiver.telemetry.ledger import Ledger
from receiver.vendors import vendor_named

log = structlog.get_logger()
#: pieces of audio sent to a bot are a second long and paced at this share of real time (MeetStream, control commands)
_PACE_S = 0.8
#: longest time for a peer to answer a closing; at most a third of the drain limit, so that sinks get the rest
_CLOSE_WAIT_S = 5.0
GOING_AWAY = WSCloseCode.GOING_AWAY, "server is shutting down"
SERVICE_RESTART = WSCloseCode.SERVICE_RESTART, "server is restarting, dial again"


class Sockets:
    """Handles WebSocket upgrades of vendors, and commands back to their bots."""

    def __init__(self, guard: Guard, rim: Rim, ledger: Ledger, server: ServerSettings) -> None:
        self._guard = guard
        #: what sockets that are dialled from now on share
        self.rim = rim
        self._ledger = ledger
        self._server = server
        self.inflow = Inflow(server.max_inflight_message_bytes, server.max_message_bytes)
        self._close_wait_s = min(_CLOSE_WAIT_S, server.drain_s / 3)
        #: whether everything is loaded that a socket takes
        self._is_ready = False
        self._peers: dict[Stream, Peer] = {}
        self._parting: tuple[int, str] | None = None
        self._nobody = asyncio.Event()

    async def handle(self, request: web.BaseRequest) -> web.WebSocketResponse:
        """One socket, from handshake to its closing in the journal."""
        target = self._admit(request)
        if not self._is_ready:
            await asyncio.to_thread(unmask)
            self._is_ready = True
        endpoint = target.endpoint
        server = self._server
        peer = Peer(
            self.inflow,
            max_message_bytes=server.max_message_bytes,
            heartbeat_s=server.heartbeat_s,
            close_wait_s=self._close_wait_s,
        )
        response = await peer.accept(request)
        opened_ns = time.time_ns()
        connection = f"{opened_ns:x}-{token_hex(4)}"
        note = StreamNote(endpoint.vendor, endpoint.name, target.subject, target.channel, connection, opened_ns)
        book = self._ledger.endpoint(endpoint.vendor, endpoint.name)
        stream = Stream(self.rim, vendor_named(endpoint.vendor).session(opening_of(note)), note, book)
        self._peers[stream] = peer
        book.sockets_open += 1
        book.sockets_total += 1
        try:
            await self._serve(peer, stream)
        finally:
            peer.gone()
            log.info(
                "stream.closed", endpoint=f"{endpoint.vendor}/{endpoint.name}", connection=connection,
                code=peer.code, messages=stream.messages, bytes=stream.bytes,
            )  # fmt: skip
            book.sockets_open -= 1
            del self._peers[stream]
            if not self._peers:
                self._nobody.set()
            await stream.finish(peer.code, clean=peer.clean)
        return response

    async def send(self, bot: str, command: str, arguments: Mapping[str, Any]) -> int:
        """Carry out a command at a bot; how many messages went out. Raises ``NotFound`` where its control socket is not
        open, ``Malformed`` where an argument is wrong."""
        stream = self.rim.streams.control_of(bot)
        peer = self._peers.get(stream) if stream is not None else None
        if stream is None or peer is None:
            open_bots = ", ".join(self.rim.streams.controllable[:10]) or "none"
            raise NotFound(f"no control socket of bot {bot!r} is open; bots with an open one: {open_bots}")
        messages = stream.session.command(command, arguments)
        for index, message in enumerate(messages):
            if index:
                await asyncio.sleep(_PACE_S)
            if not await peer.send(message):
                raise NotFound(f"bot {bot!r} closed its control socket after {index} of {len(messages)} messages")
        return len(messages)

    async def close_all(self, parting: tuple[int, str], wait_s: float | None = None) -> None:
        """Close every socket with this code and reason and read each to its end; those whose peer does not agree within
        ``wait_s`` (default: a third of the drain limit) are cut off. No socket is accepted from now on."""
        self._parting = parting
        if not self._peers:
            return
        self._nobody.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout((wait_s or self._close_wait_s) * 1.2):
                await asyncio.gather(*(peer.hang_up(*parting, wait_s) for peer in self._peers.values()))
                await self._nobody.wait()

    def resume(self, rim: Rim) -> None:
        """Accept sockets again after ``close_all``."""
        self.rim = rim
        self._parting = None

    def _admit(self, request: web.BaseRequest) -> Target:
        """Who may have a socket, from the head of the request alone."""
        if request.method != "GET":
            raise web.HTTPMethodNotAllowed(request.method, ["GET"])
        target = self._guard.target(
            request.rel_url.raw_path, request.rel_url.query, request.headers.get("Authorization")
        )
        if not target.authorized:
            book = self._ledger.endpoint(target.endpoint.vendor, target.endpoint.name)
            book.received += 1
            book.refused += 1
            if target.endpoint.tokens:
                raise Unauthorized("missing or wrong token: put the endpoint's token into the path or ?token=")
            raise Unauthorized("sockets carry no signature: this endpoint needs a token in its configuration")
        if self._parting is not None:
            raise JournalUnavailable(self._parting[1])
        self._require_space(target)
        return target

    def _require_space(self, target: Target) -> None:
        """No socket is opened for what would not be taken on it."""
        shedding, kind = self.rim.intake.shedding, kind_of_channel(target.channel)
        try:
            shedding.require(kind)
        except Shed as problem:
            book = self._ledger.endpoint(target.endpoint.vendor, target.endpoint.name)
            book.received += 1
            book.failed += 1
            shedding.failed(problem, kind)
            raise

    async def _serve(self, peer: Peer, stream: Stream) -> None:
        """Read until the end. A fault of ours ends the socket, never the server."""
        try:
            async with asyncio.TaskGroup() as tasks:
                watch = tasks.create_task(_hang_up_when_lost(peer, stream))
                if self._parting is not None:
                    await peer.hang_up(*self._parting)
                while (message := await peer.receive(stream)) is not None:
                    await stream.take(message, peer.lying_bytes)
                    for reply in stream.session.replies():
                        await peer.send(reply)
                watch.cancel()
        except* Exception:
            log.exception("stream.fault", connection=stream.connection)
            await peer.hang_up(WSCloseCode.INTERNAL_ERROR, "internal error")


async def _hang_up_when_lost(peer: Peer, stream: Stream) -> None:
    await stream.failed.wait()
    await peer.hang_up(WSCloseCode.TRY_AGAIN_LATER, "the journal cannot take more now, come back later")
