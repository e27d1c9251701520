"""The relay sink: dials out and pushes each audio stream to a recogniser's WebSocket.

Only the sink is here: the table of streams, the connections and those who read what comes back on them. Keys are in
``relay_config``, a stream is in ``relay_stream``, the way of answers in ``relay_answers``.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Coroutine
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any, ClassVar

import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from yarl import URL

from receiver.audio.mix import live_sound
from receiver.events import Event, StreamClosed, StreamOpened
from sinks.base import Batch, SinkConfig, SinkNotConnected, SinkRejected
from sinks.pcm import Mark
from sinks.reach import reach
from sinks.relay_answers import Answers
from sinks.relay_config import RelayConfig, fill_url, load_secrets
from sinks.relay_stream import RelayStream
from sinks.wav_stream import StreamKey, stream_key

log = structlog.get_logger()
_GOING_AWAY = 1001
_MOST_ANSWER_BYTES = 1 << 20
_CLOSE_S = 1.0
#: streams, also ended ones, of which it is known how far they were handed on
_MOST_MARKS = 10_000


class RelaySink:
    """Audio to a recogniser, one connection a stream (source, subject, track), on the meeting's own clock.

    Delivered means: handed to an open connection. What was under way on one that is lost is not sent again; the next
    connection tells at which sample it goes on. A recogniser that is slow or gone holds up this sink and nobody else:
    its batch is repeated, with back-off, until it takes it, and streams that have theirs already are left out. Pauses
    are sent as silence when somebody speaks again. What is no 16-bit or mu-law PCM is rejected.
    """

    Config: ClassVar[type[SinkConfig]] = RelayConfig

    def __init__(self, name: str, config: RelayConfig, data_dir: Path) -> None:
        """Raises ``ConfigError``: a bad URL, template or number, or a secret that is named and not there."""
        self._config = config
        self._secrets = load_secrets(name, config, data_dir)
        self._url = URL(config.url.partition("{")[0])
        #: all that errors tell of the URL: its path may be a secret
        self._place = f"{self._url.host}:{self._url.port}"
        self._answers = Answers(name, config, self._secrets)
        self._streams: dict[StreamKey, RelayStream] = {}
        #: the one that was pushed to last at the end
        self._marks: OrderedDict[StreamKey, Mark] = OrderedDict()
        self._stack: AsyncExitStack | None = None
        #: who reads on each connection
        self._readers: dict[ClientConnection, asyncio.Task[None]] = {}
        self._running: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Reach the far side with TCP and TLS; streams dial when they have something to say. Raises
        ``SinkNotConnected``."""
        await self.close()
        secure = self._url.scheme == "wss"
        await reach(self._url.host or "", self._url.port or 0, self._config.timeout_s, secure=secure)
        self._stack = AsyncExitStack()
        self._tasks = await self._stack.enter_async_context(asyncio.TaskGroup())
        await self._answers.open()
        self._stack.push_async_callback(self._answers.close)

    async def write(self, batch: Batch) -> None:
        """Hand on the audio of ``batch``. Raises ``ConnectionError``, after which other streams' connections go on;
        ``SinkRejected`` for what is no PCM, and for late chunks that their stream has gone past."""
        if self._stack is None:
            raise SinkNotConnected("the sink is not open")
        refused: dict[str, list[Event]] = {}
        waiting: dict[StreamKey, list[Event]] = {}
        for event in batch.events:
            for key in self._streams_of(event, waiting):
                if reason := self._refusal(event, key, late=batch.late):
                    refused.setdefault(reason, []).append(event)
                else:
                    waiting.setdefault(key, []).append(event)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._serve(key, events)) for key, events in waiting.items()]
        if problem := next(filter(None, (task.result() for task in tasks)), ""):
            raise ConnectionError(problem)
        if refused:
            reasons = "; ".join(sorted(refused)[:3])
            raise SinkRejected(reasons, [event for events in refused.values() for event in events])

    async def close(self) -> None:
        """Close all connections. Streams know how far they are: they go on where they were."""
        stack, self._stack = self._stack, None
        if stack is None:
            return
        sockets = list(self._readers)
        for task in self._running:
            task.cancel()
        for stream in self._streams.values():
            stream.let_go()
        await asyncio.gather(*(socket.close(_GOING_AWAY) for socket in sockets), return_exceptions=True)
        await stack.aclose()

    # ---- what a batch means

    def _streams_of(self, event: Event, waiting: dict[StreamKey, list[Event]]) -> list[StreamKey]:
        """The streams that ``event`` is for: a chunk is for its own, an opening or a closing for all of its subject."""
        if event.type == "audio.chunk":
            return [stream_key(event)]
        if isinstance(event.data, StreamOpened | StreamClosed) and event.data.channel == "audio":
            keys = self._streams.keys() | waiting.keys()
            return [key for key in keys if key[:2] == (event.source, event.subject)]
        return []

    def _refusal(self, event: Event, key: StreamKey, *, late: bool) -> str:
        """Why the far side will never get a chunk; empty where it will, or has."""
        if event.type != "audio.chunk":
            return ""
        try:
            live_sound(event)
        except ValueError as problem:
            return str(problem)
        return "its stream has gone past it" if late and self._has(key, event) else ""

    def _has(self, key: StreamKey, event: Event) -> bool:
        return key in self._marks and self._marks[key].covers(event)

    async def _serve(self, key: StreamKey, events: list[Event]) -> str:
        """Hand on what is new of ``events``; why not, where that fails."""
        try:
            for event in events:
                if not self._has(key, event):
                    await self._push(key, event)
            if stream := self._streams.get(key):
                await self._send(key, stream)
        except TimeoutError:
            return f"{self._place} does not take it within {self._config.timeout_s:g} s"
        except ConnectionClosed as problem:
            code = problem.rcvd.code if problem.rcvd is not None else 1006
            return f"{self._place} closed the connection with {code}"
        except (WebSocketException, OSError) as problem:
            return f"cannot connect to {self._place}: {_reason(problem)}"
        return ""

    async def _push(self, key: StreamKey, event: Event) -> None:
        stream = self._streams.get(key)
        if stream is not None and stream.ended:
            await self._send(key, stream)
            stream = None
        if stream is None and event.type == "audio.chunk":
            names = {"subject": key[1], "track": key[2], "vendor": key[0].lstrip("/").partition("/")[0]}
            stream = self._streams[key] = RelayStream(self._config, names, self._dial)
        if stream is not None:
            stream.push(event)
        before = self._marks.pop(key, Mark())
        self._marks[key] = Mark(event.sequence, max(event.received_ns, before.received_ns))
        if len(self._marks) > _MOST_MARKS:
            self._marks.popitem(last=False)

    async def _send(self, key: StreamKey, stream: RelayStream) -> None:
        """Hand on what was pushed; an ended stream leaves the table, and its connection is read a while longer."""
        socket = await stream.send()
        if stream.ended:
            del self._streams[key]
        if socket is not None:
            self._start(self._linger(socket))

    # ---- connections

    async def _dial(self, names: dict[str, Any]) -> ClientConnection:
        socket = await connect(
            fill_url(self._config.url, names),
            additional_headers=self._secrets.headers,
            compression=None,
            proxy=None,
            open_timeout=self._config.timeout_s,
            close_timeout=_CLOSE_S,
            max_size=_MOST_ANSWER_BYTES,
        )
        self._readers[socket] = self._start(self._read(socket, names))
        return socket

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._tasks.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def _read(self, socket: ClientConnection, names: dict[str, Any]) -> None:
        """Hand on what the far side says, until it says no more."""
        try:
            async for message in socket:
                await self._answers.take(message, names)
        except (WebSocketException, OSError):
            pass  # whoever sends next is told
        except Exception:  # ours: it ends the reading, not the sink
            log.exception("sink.relay.fault")
        finally:
            self._readers.pop(socket, None)

    async def _linger(self, socket: ClientConnection) -> None:
        if reader := self._readers.get(socket):
            await asyncio.wait((reader,), timeout=self._config.linger_s)
        with suppress(WebSocketException, OSError):
            await socket.close()


def _reason(problem: Exception) -> str:
    """Without what may quote the URL or a header."""
    if isinstance(problem, InvalidStatus):
        return f"it answered {problem.response.status_code}"
    return (problem.strerror if isinstance(problem, OSError) else None) or type(problem).__name__
