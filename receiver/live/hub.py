"""Turns of the live readers. A reader is a cursor into the journal; each piece that he gets is a turn of his.

All turns are given here, a few at a time, and measured: while deliveries come in, readers together have an eighth of
the loop. So a thousand of them get larger pieces, later, and deliveries do not wait. A reader who does not take what he
is sent has no turn, and finds the rest in the journal when he does.

Readers who keep up and want the same get the same bytes: formed once, and written to their connections right here. One
who is behind, or does not take what he was sent, is served by a task of his own.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NamedTuple

from receiver.live.allowance import Allowance
from receiver.live.reading import Feed, Piece, Source
from receiver.record import Record

#: turns that are given at once: others come to the loop in between
_AT_ONCE = 16
#: a turn that takes longer waits for its reader and not for us
_MOST_TURN_S = 0.001
#: without anything to send: how often is looked who wants a heartbeat, and after how long one does
_TICK_S, _HEARTBEAT_S = 5.0, 10.0
#: a reader who has taken nothing for so long is cut off: he may come back with his last number
_STALLED_S = 300.0
#: what a connection holds that is not sent yet: with more than this its reader does not keep up
_MOST_UNSENT_BYTES = 64 << 10
Send = Callable[[bytes], Awaitable[None]]
Heartbeat = Callable[[], Awaitable[None]]


class Line(NamedTuple):
    """A connection to which the bytes of ``Frames.wire`` can be written past what else writes there, as long as it is
    not ``closed``. ``drain`` waits until it takes more."""

    drain: Callable[[], Awaitable[None]]
    closed: Callable[[], bool]


class Client:
    """One reader. ``cursor``: the number up to which he has been sent everything."""

    def __init__(self, feed: Feed, wire: Callable[[], asyncio.Transport | None], line: Line | None = None) -> None:
        """``wire``: his connection, while there is one. Without a ``line`` he is always served by his own task."""
        self.feed = feed
        self.line = line
        self.cursor = 0
        self.place = 0
        #: events that went out
        self.sent = 0
        #: the last number that he was told
        self.told = 0
        self._wire = wire
        self.heard_s = time.monotonic()
        #: since when something is being sent to him, monotonic; 0: nothing is
        self.sending_since_s = 0.0
        #: no more turns; see ``Hub.end``
        self.ended = False

    @property
    def gone(self) -> bool:
        """Whether his connection is lost."""
        wire = self._wire()
        return wire is None or wire.is_closing()

    @property
    def full(self) -> bool:
        """Whether his connection holds more than it should."""
        wire = self._wire()
        return wire is not None and wire.get_write_buffer_size() > _MOST_UNSENT_BYTES

    def write(self, data: bytes) -> bool:
        """Give ``data`` to his connection; whether there was one."""
        wire = self._wire()
        if wire is None or wire.is_closing() or self.line is None or self.line.closed():
            return False
        wire.write(data)
        return True

    def cut_off(self) -> None:
        """Lose his connection."""
        wire = self._wire()
        if wire is not None:
            wire.abort()


class Hub:
    """Readers of one kind, with or without media. ``run`` for as long as there may be any."""

    def __init__(self, source: Source, *, media: bool) -> None:
        self.upto = 0
        #: up to where the round before went: who is there keeps up
        self._before = 0
        self.clients: set[Client] = set()
        #: events that went out, to all of them
        self.sent = 0
        self._source = source
        self._media = media
        self._waiting: dict[Client, asyncio.Future[None]] = {}
        self._anybody = asyncio.Event()
        self._stir = asyncio.Event()

    @property
    def behind(self) -> int:
        """Readers who have not been sent everything that there is, or do not take it."""
        return sum(client.cursor < self.upto or client.sending_since_s > 0 for client in self.clients)

    async def serve(self, client: Client, begun: Record | None, send: Send, heartbeat: Heartbeat) -> None:
        """Send what comes until the end. ``begun``: a record that the reader had a part of. Raises ``ConnectionError``,
        and whatever ``send`` raises."""
        self.clients.add(client)
        self._anybody.set()
        client.feed.readers += 1
        try:
            if begun is not None:
                piece = client.feed.rest(begun, client.told)
                client.place = piece.place
                await self._send(client, piece.frames, send)
                client.told = piece.last or client.told
                self._count(client, piece.events)
            while await self._turn(client):
                await self._step(client, send, heartbeat)
        finally:
            client.feed.readers -= 1
            self.clients.discard(client)
            self._waiting.pop(client, None)
            if not self.clients:
                self._anybody.clear()

    def end(self, client: Client) -> None:
        """No more turns for him."""
        client.ended = True
        self._wake(client)

    async def watch(self) -> None:
        """Notice what is new in the journal while there are readers. For ever."""
        seen = 0
        while True:
            await self._anybody.wait()
            await self._source.journal.wait(seen, media=self._media)
            seen = self._source.journal.visible(media=self._media)
            self._stir.set()

    async def run(self) -> None:
        """Give turns. For ever."""
        ticked_s = time.monotonic()
        allowance = Allowance(time.perf_counter())
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_TICK_S):
                    await self._stir.wait()
            self._stir.clear()
            now_s = time.monotonic()
            if now_s - ticked_s >= _TICK_S:
                ticked_s = now_s
                self._look_after(now_s)
            await self._round(now_s)
            spent_s, self._source.spent_s = self._source.spent_s, 0.0
            rest_s = allowance.spend(spent_s, time.perf_counter())
            if rest_s and self._source.pace.is_live():
                await asyncio.sleep(rest_s)

    async def _round(self, now_s: float) -> None:
        """A turn for each reader for whom there is something, as far as it is there when the round begins."""
        self._before, self.upto = self.upto, self._source.journal.visible(media=self._media)
        groups: dict[tuple[Feed, int], list[Client]] = {}
        others: list[Client] = []
        for client in self._waiting:
            if client.cursor < self.upto:
                if client.line is None or client.full:
                    others.append(client)
                else:
                    groups.setdefault((client.feed, client.cursor), []).append(client)
            elif now_s - client.heard_s >= _HEARTBEAT_S:
                others.append(client)
        for (feed, cursor), clients in groups.items():
            piece = self._source.kept(feed, cursor)
            if piece is None and (cursor >= self._before or cursor == feed.reached):
                piece = await feed.piece(cursor, self.upto, clients[0].place, live=True)
            if piece is None:
                others += clients
            else:
                await self._give(clients, cursor, piece)
        for begin in range(0, len(others), _AT_ONCE):
            for client in others[begin : begin + _AT_ONCE]:
                self._wake(client)
            await asyncio.sleep(0)

    async def _give(self, clients: list[Client], cursor: int, piece: Piece) -> None:
        """Write ``piece`` to those who are at ``cursor`` and wait for it."""
        feed = clients[0].feed
        feed.reached = max(feed.reached, piece.upto)
        data = feed.frames.wire(piece.frames) if piece.frames else b""
        for begin in range(0, len(clients), _AT_ONCE):
            begin_s = time.perf_counter()
            for client in clients[begin : begin + _AT_ONCE]:
                if client in self._waiting and client.cursor == cursor:
                    self._write(client, piece, data, begin_s)
            self._source.spent_s += time.perf_counter() - begin_s
            await asyncio.sleep(0)

    def _write(self, client: Client, piece: Piece, data: bytes, now_s: float) -> None:
        client.cursor, client.place = piece.upto, piece.place
        if client.cursor < self.upto:
            self._stir.set()
        if not data:
            return
        if not client.write(data):
            self.end(client)
            return
        client.heard_s = now_s
        client.told = piece.last or client.told
        self._count(client, piece.events)
        if client.full:  # his own task waits until he has taken it
            self._wake(client)

    def _wake(self, client: Client) -> None:
        waiter = self._waiting.pop(client, None)
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def _turn(self, client: Client) -> bool:
        """Wait for a turn; false when there will be none."""
        if client.ended:
            return False
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[client] = waiter
        if client.cursor < self._source.journal.visible(media=self._media):
            self._stir.set()
        await waiter
        return not client.ended

    async def _step(self, client: Client, send: Send, heartbeat: Heartbeat) -> None:
        """One turn, in his own task."""
        if client.line is not None and client.full:
            client.sending_since_s = time.monotonic()
            await client.line.drain()
            client.sending_since_s = 0.0
        frames: tuple[bytes, ...] = ()
        events = 0
        if client.cursor < self.upto:
            piece = await client.feed.piece(client.cursor, self.upto, client.place)
            client.cursor, client.place, frames, events = piece.upto, piece.place, piece.frames, piece.events
            client.told = piece.last or client.told
        begin_s = time.perf_counter()
        if frames:
            await self._send(client, frames, send)
            self._count(client, events)
        elif time.monotonic() - client.heard_s >= _HEARTBEAT_S:
            if client.told < client.cursor:
                client.told = client.cursor
                await self._send(client, (client.feed.frames.position(client.cursor),), send)
            else:
                client.heard_s = client.sending_since_s = time.monotonic()
                await heartbeat()
                client.sending_since_s = 0.0
        self._source.spent_s += min(time.perf_counter() - begin_s, _MOST_TURN_S)

    async def _send(self, client: Client, frames: tuple[bytes, ...], send: Send) -> None:
        client.heard_s = client.sending_since_s = time.monotonic()
        for frame in frames:
            await send(frame)
        client.sending_since_s = 0.0

    def _count(self, client: Client, events: int) -> None:
        client.sent += events
        self.sent += events

    def _look_after(self, now_s: float) -> None:
        """No place for those who are gone, or take nothing any more."""
        for client in self.clients:
            if client.sending_since_s and now_s - client.sending_since_s > _STALLED_S:
                client.cut_off()
            if client.gone:
                self.end(client)
