"""One WebSocket of RealtimeKit: a track that the SFU sends (binary), or the agent's socket (text).

The SFU tells nothing of who or what it sends, so the URL has to: its id is ``<meeting id>``, or
``<meeting id>:<track>`` (also with a slash, written %2F) where a meeting has several tracks. One socket is one track.
"""

from collections.abc import Mapping
from typing import Any, get_args
from zlib import crc32

import msgspec

from receiver.errors import Malformed
from receiver.events import AudioChunk, Event, StreamChannel, VideoChunk
from receiver.record import Decoded, Record
from receiver.vendors.base import receive_each
from receiver.vendors.realtimekit.agent import AgentState, decode_message, meeting_of
from receiver.vendors.realtimekit.clock import RATE_HZ, SampleClock
from receiver.vendors.realtimekit.jpeg import jpeg_size
from receiver.vendors.realtimekit.packet import read_packet
from receiver.vendors.wire import Delivery, read_object

CHANNELS = 2
FRAME_BYTES = 2 * CHANNELS
#: how a JPEG begins; no other payload of an adapter is likely to
_JPEG = b"\xff\xd8"
_CHANNEL_NAMES = frozenset(get_args(StreamChannel))
_MEDIA_TYPES = {"audio.chunk": "audio/pcm", "video.chunk": "image/jpeg"}


class _State(msgspec.Struct, array_like=True):
    """What ``receive`` depends on. ``numbered`` counts the events whose ids are numbers of this connection."""

    subject: str = ""
    channel: str = ""
    numbered: int = 0
    clock: SampleClock = msgspec.field(default_factory=SampleClock)
    agent: AgentState = msgspec.field(default_factory=AgentState)
    track: str = ""


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_State)


class RealtimeKitSession:
    """See :class:`receiver.vendors.base.Session`. Raises nothing but ``Malformed``, and stays usable after it.

    ``subject`` is the meeting, ``track`` what else the id of the URL tells: two tracks of one meeting are two streams.
    """

    def __init__(self, record: Record) -> None:
        self._source = f"/{record.vendor}/{record.endpoint}"
        self._prefix = record.connection or "decode"
        self._repeat = record.repeat
        self._state = _restored(record.state) if record.state else _State()
        self.subject, track = _meeting_and_track(self._state.subject or record.subject)
        self.track = self._state.track or track
        self.channel = self._state.channel or (record.channel if record.channel in _CHANNEL_NAMES else "")
        #: the request whose result came last
        self.answered = ""
        self._ended = False

    @property
    def connection_id(self) -> str:
        """The vendor's name of the agent's connection, with which a new one continues it for 5 s; empty: not told."""
        return self._state.agent.connection_id

    def learn(self, message: bytes | str) -> None:
        """Take subject and channel from ``message`` where it tells them; never raises, yields nothing."""
        try:
            if isinstance(message, str):
                self._absorb(read_object(_encoded(message)))
            elif not self.channel and (payload := read_packet(message).payload):
                self.channel = "video" if payload[: len(_JPEG)] == _JPEG else "audio"
        except Malformed:
            return

    def snapshot(self) -> bytes:
        """What ``receive`` depends on, as MessagePack."""
        self._state.subject, self._state.channel, self._state.track = self.subject, self.channel, self.track
        return _ENCODER.encode(self._state)

    def adopt(self, state: bytes) -> None:
        """Continue the stream whose last snapshot was ``state``. Raises ``Malformed`` where that is none.

        The sample clock and the packets' numbers go on, and so does the agent's session.
        """
        before = _restored(state) if state else _State()
        self.subject = self.subject or _meeting_and_track(before.subject)[0]
        self.channel = self.channel or before.channel
        self._state.clock = before.clock
        self._state.clock.resumes = before.clock.arrival_ns > 0
        self._state.agent = before.agent

    def receive(self, message: bytes | str, now_ns: int) -> Decoded:
        """Events of one message that arrived at ``now_ns``. Raises ``Malformed``; the session stays usable.

        A packet without payload, and one that the SFU sends again after it redialled, give none.
        """
        if isinstance(message, str):
            return self._text(_encoded(message), now_ns)
        if self.channel == "transcript":
            raise Malformed("the agent's socket sends no binary messages", "byte 0")
        packet = read_packet(message)
        self.learn(message)
        if self.channel == "video" or (self.channel != "audio" and packet.payload[: len(_JPEG)] == _JPEG):
            return self._picture(message, packet.payload, now_ns)
        return self._sound(message, packet.sequence, packet.payload, now_ns)

    receive_frames = receive_each

    def replies(self) -> list[bytes | str]:
        """None: neither peer waits for an answer."""
        return []

    def close_expected(self) -> bool:
        """Whether the agent was told that the session is over."""
        return self._ended

    def command(self, name: str, arguments: Mapping[str, Any]) -> list[str]:
        """Raises ``Malformed``: neither socket takes commands."""
        raise Malformed("realtimekit takes no commands over its sockets", name)

    def _absorb(self, body: dict[str, Any]) -> None:
        meeting = meeting_of(body)
        if meeting is not None:
            self.subject = meeting or self.subject
            self.channel = self.channel or "transcript"

    def _text(self, payload: bytes, now_ns: int) -> Decoded:
        body = read_object(payload)
        self._absorb(body)
        delivery = Delivery(self._source, self.subject, now_ns, payload, self._repeat)
        decoded = decode_message(body, delivery, self._state.agent, self._next_id())
        for event in decoded.events:
            self._ended = event.type == "meeting.ended" or (self._ended and event.type != "meeting.started")
        if body.get("category") == "result" and isinstance(request_id := body.get("request_id"), str):
            self.answered = request_id
        self._state.numbered += len(decoded.events)
        return decoded

    def _sound(self, message: bytes, sequence: int, payload: memoryview, now_ns: int) -> Decoded:
        clock = self._state.clock
        samples = len(payload) // FRAME_BYTES
        digest = crc32(payload)
        if not samples:
            clock.pass_by(sequence, digest)
            return Decoded([])
        gap = clock.gap_before(sequence, digest, samples, now_ns)
        if gap is None:
            return Decoded([])
        data = AudioChunk(
            codec="pcm_s16le",
            rate_hz=RATE_HZ,
            channels=CHANNELS,
            track=self.track or "mixed",
            first_sample=clock.samples - samples,
            samples=samples,
            gap_ms=round(gap * 1000 / RATE_HZ, 3) or None,
        )
        return self._media("audio.chunk", data, payload[: samples * FRAME_BYTES], message, now_ns)

    def _picture(self, message: bytes, payload: memoryview, now_ns: int) -> Decoded:
        if not payload:
            return Decoded([])
        width, height = jpeg_size(payload) or (None, None)
        data = VideoChunk(codec="mjpeg", container="jpeg", width=width, height=height, track=self.track or None)
        return self._media("video.chunk", data, payload, message, now_ns)

    def _media(self, type_: str, data: AudioChunk | VideoChunk, media: memoryview, raw: bytes, now_ns: int) -> Decoded:
        event = Event(
            id=self._next_id(),
            source=self._source,
            type=type_,
            time_ns=now_ns,
            received_ns=now_ns,
            data=data,
            subject=self.subject,
            media=media,
            media_type=_MEDIA_TYPES[type_],
            raw=raw,
        )
        self._state.numbered += 1
        return Decoded([event])

    def _next_id(self) -> str:
        return f"{self._prefix}/{self._state.numbered + 1}"


def session(record: Record) -> RealtimeKitSession:
    """A session with the endpoint, connection, channel and subject of ``record``, restored from its ``state``."""
    return RealtimeKitSession(record)


def _meeting_and_track(id_: str) -> tuple[str, str]:
    """The two parts of the URL's id; the second is empty where it names no track."""
    for mark in "/:":
        meeting, found, track = id_.partition(mark)
        if found:
            return meeting, track
    return id_, ""


def _restored(state: bytes) -> _State:
    try:
        return _DECODER.decode(state)
    except (msgspec.DecodeError, ValueError):
        raise Malformed("the session's state cannot be read", "state") from None


def _encoded(message: str) -> bytes:
    # A lone surrogate becomes bytes that are no UTF-8, which the reader refuses with their offset.
    return message.encode("utf-8", "surrogatepass")
