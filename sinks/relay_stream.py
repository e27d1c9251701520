"""One stream on its way to the recogniser: chunks in, messages of one length out, over one connection at a time.

What is not handed to an open connection yet stays here: of one batch, never more. A connection that is lost is dialled
again when the batch is repeated, and told at which sample it goes on.
"""

import asyncio
import base64
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import WebSocketException

from receiver.audio.encode import Cutter, encode, silence
from receiver.audio.mix import Mixer, live_sound
from receiver.audio.timeline import NS_PER_S, Clock
from receiver.events import AudioChunk, Event, StreamClosed, StreamOpened, format_time
from sinks.relay_config import RelayConfig, fill_json

#: what is taken from the clock at once
_MOST_S = 0.5
Dial = Callable[[dict[str, Any]], Awaitable[ClientConnection]]


class RelayStream:
    """One track of one subject. ``push`` and ``send`` in turn; ``ended``: its closing was pushed."""

    def __init__(self, config: RelayConfig, names: dict[str, Any], dial: Dial) -> None:
        """``names``: subject, track and vendor, for the templates."""
        self.names = names
        self.ended = False
        self._config = config
        self._dial = dial
        self._socket: ClientConnection | None = None
        self._mixer: Mixer | None = None
        self._cutter = Cutter(config.message_bytes)
        self._unsent: deque[bytes] = deque()
        self._sent_frames = 0
        #: connections that took the place of one that had not been closed yet
        self._others: set[str] = set()

    def push(self, event: Event) -> None:
        """Add an event of the stream: a chunk, its opening or its closing."""
        if isinstance(event.data, AudioChunk):
            if self._mixer is None:
                self._begin(event)
            assert self._mixer is not None  # noqa: S101 - set by _begin; for the type checker
            self._mixer.push(event)
        elif isinstance(event.data, StreamOpened) and self._mixer is not None:
            self._others.add(event.data.connection)
            if not event.data.resumes:
                self._mixer.renew(event.source)
        elif isinstance(event.data, StreamClosed) and self._mixer is not None:
            self._others.discard(event.data.connection)
            self.ended = not self._others
            if self.ended:
                self._mixer.end()

    async def send(self) -> ClientConnection | None:
        """Hand on all that was pushed. The connection, where the stream has ended and it may still answer.

        Raises ``WebSocketException``, ``OSError``, ``TimeoutError``; what was not handed on stays.
        """
        while self._fill():
            await self._hand(await self._connected(), self._unsent[0])
            self._unsent.popleft()
            self._sent_frames += self._config.frames
        if not self.ended:
            return None
        if self._socket is not None and self._config.stop:
            await self._hand(self._socket, fill_json(self._config.stop, self.names))
        socket, self._socket = self._socket, None
        return socket

    def let_go(self) -> None:
        """Its connection is closed by somebody else; the next one goes on where it was."""
        self._socket = None

    def _begin(self, event: Event) -> None:
        sound = live_sound(event)
        zero_ns = event.received_ns - len(sound.samples) * NS_PER_S // sound.rate_hz
        self._mixer = Mixer(Clock(self._config.rate_hz, zero_ns), self._config.channels)

    def _fill(self) -> bool:
        """Whether there is a message to hand on; makes some of what was pushed."""
        config, mixer = self._config, self._mixer
        while not self._unsent and mixer is not None:
            samples = mixer.take(int(_MOST_S * config.rate_hz))
            if not len(samples):
                break
            self._unsent += self._cutter.push(encode(config.codec, samples))
        if self.ended and not self._unsent and self._cutter.held_bytes:
            full = silence(config.codec, config.channels, config.frames)
            self._unsent += self._cutter.push(full[self._cutter.held_bytes :])
        return bool(self._unsent)

    async def _connected(self) -> ClientConnection:
        if self._socket is None:
            self._socket = socket = await self._dial(self.names)
            if self._config.start:
                await self._hand(socket, fill_json(self._config.start, self._start()))
        return self._socket

    def _start(self) -> dict[str, Any]:
        config, mixer = self._config, self._mixer
        zero_ns = mixer.clock.zero_ns if mixer is not None else 0
        return {
            **self.names,
            "codec": config.codec,
            "rate_hz": config.rate_hz,
            "channels": config.channels,
            "frame_ms": config.frame_ms,
            "first_sample": self._sent_frames,
            "time": format_time(zero_ns + self._sent_frames * NS_PER_S // config.rate_hz),
        }

    async def _hand(self, socket: ClientConnection, message: bytes | str) -> None:
        try:
            async with asyncio.timeout(self._config.timeout_s):
                await socket.send(message if isinstance(message, str) else self._framed(message))
        except (WebSocketException, OSError, TimeoutError):
            self._socket = None
            socket.transport.abort()
            raise

    def _framed(self, sound: bytes) -> bytes | str:
        if self._config.framing == "binary":
            return sound
        return fill_json(self._config.audio, {"audio": base64.b64encode(sound).decode()})
