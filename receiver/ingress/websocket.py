"""The sockets that vendors dial. Refused before the 101 where no token is shown; closed with a code that says why."""

import asyncio
import time
from collections.abc import Mapping
from secrets import token_hex
from typing import Any

import structlog
from aiohttp import WSCloseCode, WSMsgType, web

from receiver.errors import NotFound, Unauthorized
from receiver.ingress.guard import Guard
from receiver.ingress.stream import Rim, Stream, StreamNote, opening_of
from receiver.settings import ServerSettings
from receiver.telemetry.ledger import Ledger
from receiver.vendors import vendor_named

log = structlog.get_logger()
_TRY_AGAIN = WSCloseCode.TRY_AGAIN_LATER
#: pieces of audio sent to a bot are paced at this share of real time (MeetStream, control commands, 2026)
_PACE = 0.8


class Sockets:
    """Handles WebSocket upgrades of vendors, and commands back to their bots."""

    def __init__(self, guard: Guard, rim: Rim, ledger: Ledger, server: ServerSettings) -> None:
        self._guard = guard
        self._rim = rim
        self._ledger = ledger
        self._server = server
        self._peers: dict[Stream, web.WebSocketResponse] = {}

    async def handle(self, request: web.BaseRequest) -> web.WebSocketResponse:
        """One socket, from handshake to its closing in the journal."""
        target = self._guard.target(
            request.rel_url.raw_path, request.rel_url.query, request.headers.get("Authorization")
        )
        book = self._ledger.endpoint(target.endpoint.vendor, target.endpoint.name)
        if not target.authorized:
            book.received += 1
            book.refused += 1
            raise Unauthorized("missing or wrong token: put the endpoint's token into the path or ?token=")
        peer = web.WebSocketResponse(
            heartbeat=self._server.heartbeat_s or None, max_msg_size=self._server.max_message_bytes, compress=False
        )
        await peer.prepare(request)
        connection = f"{time.time_ns():x}-{token_hex(4)}"
        endpoint = target.endpoint
        note = StreamNote(endpoint.vendor, endpoint.name, target.subject, target.channel, connection, time.time_ns())
        session = vendor_named(endpoint.vendor).session(opening_of(note))
        stream = Stream(self._rim, target, session, connection, book)
        self._peers[stream] = peer
        book.sockets_open += 1
        book.sockets_total += 1
        try:
            await self._serve(peer, stream)
        finally:
            book.sockets_open -= 1
            del self._peers[stream]
            code = peer.close_code
            await stream.finish(code, clean=code is not None and code != WSCloseCode.ABNORMAL_CLOSURE)
            log.info(
                "stream.closed", endpoint=f"{target.endpoint.vendor}/{target.endpoint.name}", connection=connection,
                code=code, messages=stream.messages, bytes=stream.bytes,
            )  # fmt: skip
        return peer

    async def send(self, bot: str, command: str, arguments: Mapping[str, Any]) -> int:
        """Carry out a command at a bot; how many messages went out. Raises ``NotFound`` where its control socket is not
        open, ``Malformed`` where an argument is wrong."""
        stream = self._rim.streams.control_of(bot)
        peer = self._peers.get(stream) if stream is not None else None
        if stream is None or peer is None:
            open_bots = ", ".join(self._rim.streams.controllable[:10]) or "none"
            raise NotFound(f"no control socket of bot {bot!r} is open; bots with an open one: {open_bots}")
        messages = stream.session.command(command, arguments)
        for index, message in enumerate(messages):
            if index:
                await asyncio.sleep(_PACE)
            await peer.send_str(message)
        return len(messages)

    async def close_all(self) -> None:
        """Tell every peer that the server goes away (1001)."""
        peers = list(self._peers.values())
        await asyncio.gather(
            *(peer.close(code=WSCloseCode.GOING_AWAY, message=b"server is shutting down") for peer in peers),
            return_exceptions=True,
        )

    async def _serve(self, peer: web.WebSocketResponse, stream: Stream) -> None:
        session = stream.session
        async for message in peer:
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                break
            await stream.take(message.data)
            for reply in session.replies():
                if isinstance(reply, str):
                    await peer.send_str(reply)
                else:
                    await peer.send_bytes(reply)
            if stream.failed.is_set():
                await peer.close(code=_TRY_AGAIN, message=b"the journal cannot take more now, come back later")
                return
