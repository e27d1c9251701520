"""``GET /live/events``: Server-Sent Events, and the same as a WebSocket. Each reader is a cursor into the journal."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

import structlog
from aiohttp import HttpVersion11, WSCloseCode, WSMsgType, web

from receiver.errors import Overloaded
from receiver.live.access import Access, Grant
from receiver.live.frames import SSE_HEARTBEAT, SSE_HELLO, Framing
from receiver.live.hub import Client, Heartbeat, Hub, Line, Send
from receiver.live.query import Begin, Query, read_query
from receiver.live.reading import Feed, Source
from receiver.telemetry.metrics import Gauge

log = structlog.get_logger()
_SSE_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
    "X-Content-Type-Options": "nosniff",
}
#: a reader says nothing; what he says all the same is not kept
_MOST_MESSAGE_BYTES = 4096
_CLOSE_S = 2.0
_ENDS = (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR)
#: close code and reason
Parting = tuple[int, str]
_STARTING: Parting = WSCloseCode.TRY_AGAIN_LATER, "the server is starting"
_GONE: Parting = WSCloseCode.GOING_AWAY, "the connection is lost"
_REVOKED: Parting = WSCloseCode.POLICY_VIOLATION, "the token is no longer in force"


@dataclass
class _Place:
    """Where a reader is served, and why he is when it ends."""

    hub: Hub
    grant: Grant
    framing: Framing
    parting: Parting = _GONE


class LiveEvents:
    """Serves from ``start`` to ``stop``, and again."""

    def __init__(self, access: Access, max_clients: int) -> None:
        self._access = access
        self.max_clients = max_clients
        #: events that went out since start
        self._sent_before = 0
        #: why nobody is served at this time
        self._parting: Parting | None = _STARTING
        #: places that are taken; those who have begun to be served
        self._taken = 0
        self._clients: dict[Client, _Place] = {}
        self._nobody = asyncio.Event()
        self._nobody.set()
        self._hubs: dict[bool, Hub] = {}
        self._feeds: dict[tuple[object, ...], Feed] = {}

    def start(self, source: Source, tasks: asyncio.TaskGroup) -> None:
        """Read from ``source`` from now on."""
        self._source = source
        self._hubs = {media: Hub(source, media=media) for media in (False, True)}
        self._running = [tasks.create_task(part) for hub in self._hubs.values() for part in (hub.run(), hub.watch())]
        self._feeds.clear()
        self._parting = None

    async def stop(self, parting: Parting, wait_s: float) -> None:
        """Take leave of every reader; one who has not gone within ``wait_s`` is cut off."""
        if self._parting is not None:
            return
        self._parting = parting
        self._end(list(self._clients), parting)
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._nobody.wait()
        for client in self._clients:
            client.cut_off()
        for task in self._running:
            task.cancel()
        self._sent_before += sum(hub.sent for hub in self._hubs.values())
        self._hubs = {}

    def recheck(self) -> None:
        """Take leave of readers whose token is no longer in force."""
        gone = [client for client, place in self._clients.items() if not self._access.holds(place.grant)]
        self._end(gone, _REVOKED)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One reader, from the first to the last byte.

        Raises ``Unauthorized``, ``Forbidden``, ``Malformed`` (a filter that can mean nothing), ``Overloaded``."""
        grant = self._access.require(request, "events")
        query = read_query(request.query, request.headers.get("Last-Event-ID", "").strip())
        if query.filter.media:
            self._access.require(request, "audio")
        if self._parting is not None:
            raise Overloaded(f"{self._parting[1]}: ask again on a new connection")
        if self._taken >= self.max_clients:
            raise Overloaded(f"{self.max_clients} readers are connected, and no more are taken (live.max_clients)")
        self._taken += 1
        try:
            if request.headers.get("Upgrade", "").lower() == "websocket":
                return await self._serve_socket(request, query, grant)
            return await self._serve_sse(request, query, grant)
        finally:
            self._taken -= 1

    def gauges(self) -> Iterable[Gauge]:
        """What ``/metrics`` shows."""
        framings: list[str] = [place.framing for place in self._clients.values()]
        for framing in ("sse", "websocket"):
            count = framings.count(framing)
            yield "receiver_live_clients", "Live readers that are connected.", {"over": framing}, count
        behind = sum(hub.behind for hub in self._hubs.values())
        sent = self._sent_before + sum(hub.sent for hub in self._hubs.values())
        yield "receiver_live_clients_behind", "Live readers who have not been sent all that there is.", {}, behind
        yield "receiver_live_events_sent", "Events sent to live readers since start.", {}, sent

    # ---- one reader

    async def _serve_sse(self, request: web.Request, query: Query, grant: Grant) -> web.StreamResponse:
        response = web.StreamResponse(headers=_SSE_HEADERS)
        await response.prepare(request)

        async def heartbeat() -> None:
            await response.write(SSE_HEARTBEAT)

        with suppress(ConnectionError):
            await response.write(SSE_HELLO)
            # nothing but HTTP/1.1 has chunks
            line = Line(request.writer.drain, lambda: False) if request.version >= HttpVersion11 else None
            _, reason = await self._serve(request, query, grant, "sse", response.write, heartbeat, line)
            await response.write(f": {reason}\n".encode())
            await response.write_eof()
        response.force_close()
        return response

    async def _serve_socket(self, request: web.Request, query: Query, grant: Grant) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(max_msg_size=_MOST_MESSAGE_BYTES, compress=False, timeout=_CLOSE_S)
        try:
            await socket.prepare(request)
        except ValueError as problem:
            raise web.HTTPBadRequest(text="Sec-WebSocket-Key is not base64") from problem

        async def send(message: bytes) -> None:
            await socket.send_frame(message, WSMsgType.TEXT)

        async def serve() -> None:
            line = Line(request.writer.drain, lambda: socket.closed)
            with suppress(ConnectionError):
                code, reason = await self._serve(request, query, grant, "websocket", send, socket.ping, line)
                await socket.close(code=code, message=reason.encode())

        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(serve())
            tasks.create_task(_read_to_end(socket, serving))
        return socket

    async def _serve(
        self,
        request: web.Request,
        query: Query,
        grant: Grant,
        framing: Framing,
        send: Send,
        heartbeat: Heartbeat,
        line: Line | None,
    ) -> Parting:
        """Send until the end that is ours; why. Raises ``ConnectionError`` where it is the reader's."""
        if self._parting is not None:  # since he was let in
            return self._parting
        mask = self._access.mask(grant)
        key = (query.filter, framing, query.form, mask)
        feed = self._feeds.get(key)
        if feed is None:
            feed = self._feeds[key] = Feed(self._source, query.filter, framing, query.form, mask)
        hub = self._hubs[feed.media]
        client = Client(feed, lambda: request.transport, line)
        self._clients[client] = _Place(hub, grant, framing)
        self._nobody.clear()
        try:
            cursor, begun = await self._source.begin(query.begin, media=feed.media)
            client.cursor, client.told = cursor, cursor if begun is None else query.begin.after or 0
            if query.begin == Begin():  # else he knows where he began, should he have to come back before anything came
                await send(feed.frames.position(cursor))
            await hub.serve(client, begun, send, heartbeat)
        finally:
            place = self._clients.pop(client)
            if not feed.readers and self._feeds.get(key) is feed:
                del self._feeds[key]
            if not self._clients:
                self._nobody.set()
            log.info("live.closed", reader=grant.credential.reader, over=framing, events=client.sent)
        return place.parting

    def _end(self, clients: Iterable[Client], parting: Parting) -> None:
        for client in clients:
            place = self._clients[client]
            place.parting = parting
            place.hub.end(client)


async def _read_to_end(socket: web.WebSocketResponse, serving: "asyncio.Task[None]") -> None:
    """A reader's messages mean nothing; that he closes, or is gone, ends it."""
    while (kind := (await socket.receive()).type) not in _ENDS:
        pass
    if kind is not WSMsgType.CLOSING:  # that one is of our own closing
        serving.cancel()
