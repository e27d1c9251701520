"""One WebSocket connection of a MeetStream bot. One class for all four channels: the shape of a message tells it.

A session knows what the messages so far have told (bot, channel, sample clock, video facts); the URL's hints stand
until a message says otherwise. It knows no socket and no clock: messages and times come in as arguments.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

import msgspec

from receiver.errors import FrameTruncated, Malformed
from receiver.events import AudioChunk, Event, Person, StreamChannel, VideoChunk
from receiver.record import Decoded, Record
from receiver.vendors.base import receive_each
from receiver.vendors.meetstream import body as bodies
from receiver.vendors.meetstream.commands import command_messages, pong, ready_reply
from receiver.vendors.meetstream.control import decode_control
from receiver.vendors.meetstream.frames import RATE_HZ, SAMPLE_BYTES, is_mp4_piece, pcm_offset, speaker_of
from receiver.vendors.meetstream.messages import LegacyChunk, Ping, Ready, VideoStart, channel_of
from receiver.vendors.meetstream.wire import person
from receiver.vendors.wire import Delivery, read_object, typed

_CHANNELS = frozenset(get_args(StreamChannel))
_MEDIA_TYPES = {"audio.chunk": "audio/pcm", "video.chunk": "video/mp4"}
_NS_PER_S = 1_000_000_000


class _State(msgspec.Struct, array_like=True):
    """What ``receive`` depends on. ``numbered`` counts the events whose ids are numbers of this connection."""

    subject: str = ""
    channel: str = ""
    numbered: int = 0
    #: position on the sample clock, and the arrival of the last audio frame; 0: none yet
    samples: int = 0
    arrival_ns: int = 0
    #: whether the next audio frame is the first after another connection's
    resumes: bool = False
    codec: str | None = None
    container: str | None = None
    width: int | None = None
    height: int | None = None


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_State)


class MeetStreamSession:
    """See :class:`receiver.vendors.base.Session`. Raises nothing but ``Malformed``, and stays usable after it."""

    __slots__ = (
        "_ended", "_head", "_head_bytes", "_prefix", "_repeat", "_replies", "_source", "_speaker", "_state", "channel",
        "subject", "track",
    )  # fmt: skip

    def __init__(self, record: Record) -> None:
        self._source = f"/{record.vendor}/{record.endpoint}"
        self._prefix = record.connection or "decode"
        self._repeat = record.repeat
        self._state = _restored(record.state) if record.state else _State()
        self.subject = self._state.subject or record.subject
        self.channel = self._state.channel or (record.channel if record.channel in _CHANNELS else "")
        self.track = ""
        self._replies: list[bytes | str] = []
        self._ended = False
        # Frames mostly begin as the one before: the lengths stand in there, so the samples begin at the same place.
        self._head, self._head_bytes = b"", 0
        self._speaker: Person | None = None

    def learn(self, message: bytes | str) -> None:
        """Take subject and channel from ``message`` where it tells them; never raises, yields nothing."""
        if isinstance(message, str):
            try:
                self._absorb(read_object(_encoded(message)))
            except Malformed:
                return
        elif message and not self.channel:
            self.channel = "video" if is_mp4_piece(message) else "audio"

    def snapshot(self) -> bytes:
        """What ``receive`` depends on, as MessagePack."""
        self._state.subject, self._state.channel = self.subject, self.channel
        return _ENCODER.encode(self._state)

    def adopt(self, state: bytes) -> None:
        """Continue the stream whose last snapshot was ``state``. Raises ``Malformed`` where that is none.

        Its sample clock goes on, and the next audio frame tells the gap. Within one connection none is ever invented:
        frames that arrive late are late, not lost.
        """
        before = _restored(state)
        self.subject = self.subject or before.subject
        self.channel = self.channel or before.channel
        self._state.samples = before.samples
        self._state.arrival_ns = before.arrival_ns
        self._state.resumes = before.arrival_ns > 0

    def receive(self, message: bytes | str, now_ns: int) -> Decoded:
        """Events of one message that arrived at ``now_ns``. Raises ``Malformed``; the session stays usable."""
        if isinstance(message, str):
            return self._text(_encoded(message), now_ns)
        events: list[Event] = []
        if self._take_alike((message,), 0, now_ns, events):
            return Decoded(events)
        self.learn(message)
        if not message:
            raise FrameTruncated("the message is empty", 0)
        if self.channel == "video" or (self.channel != "audio" and is_mp4_piece(message)):
            return self._video_chunk(message, now_ns)
        offset = pcm_offset(message)
        self._head = head = message[:offset]
        self._head_bytes, self._speaker = offset, speaker_of(head)
        return Decoded([self._audio_chunk(message, memoryview(message)[offset:], self._speaker, now_ns)])

    def receive_frames(self, frames: Sequence[bytes], now_ns: int, events: list[Event]) -> int:
        """Add the events of ``frames`` to ``events``, as far as ``receive`` takes them: how many these are."""
        taken = 0
        while (taken := self._take_alike(frames, taken, now_ns, events)) < len(frames):
            if not receive_each(self, frames[taken : taken + 1], now_ns, events):
                break
            taken += 1
        return taken

    def replies(self) -> list[bytes | str]:
        """Messages to send to the bot now; each is handed out once."""
        replies, self._replies = self._replies, []
        return replies

    def close_expected(self) -> bool:
        """Whether the bot has said that its stream is over."""
        return self._ended

    def command(self, name: str, arguments: Mapping[str, Any]) -> list[str]:
        """Text messages that carry out a command; see :func:`command_messages`."""
        return command_messages(name, arguments, self.subject)

    def _absorb(self, body: dict[str, Any]) -> None:
        self.subject = bodies.bot_id_of(body) or self.subject
        if body.get("type") == "video_stream_start":
            self.channel = "video"
        elif not self.channel:
            self.channel = channel_of(body)

    def _text(self, payload: bytes, now_ns: int) -> Decoded:
        body = read_object(payload)
        self._absorb(body)
        kind = body.get("type")
        if isinstance(kind, str) and kind in _TYPED:
            return _TYPED[kind](self, body, payload, now_ns)
        delivery = Delivery(self._source, self.subject, now_ns, payload, self._repeat)
        if body.get("command") is not None:
            decoded = decode_control(body, delivery, self._next_id())
        else:
            decoded = bodies.decode_object(body, delivery)
        if decoded is None:
            event = bodies.unknown(body, delivery).events[0]
            event.id = self._next_id()
            decoded = Decoded([event])
        return self._counted(decoded)

    def _next_id(self) -> str:
        return f"{self._prefix}/{self._state.numbered + 1}"

    def _counted(self, decoded: Decoded) -> Decoded:
        self._state.numbered += 1
        return decoded

    def _ready(self, body: dict[str, Any], _payload: bytes, _now_ns: int) -> Decoded:
        typed(body, Ready)
        if self.channel in ("", "audio", "control"):
            self._replies.append(ready_reply(self.channel, self.subject))
        return Decoded([])

    def _video_start(self, body: dict[str, Any], _payload: bytes, _now_ns: int) -> Decoded:
        told = typed(body, VideoStart)
        state = self._state
        state.codec, state.container, state.width, state.height = told.codec, told.container, told.width, told.height
        self._ended = False
        return Decoded([])

    def _video_ping(self, body: dict[str, Any], _payload: bytes, now_ns: int) -> Decoded:
        ping = msgspec.to_builtins(typed(body, Ping))
        self._replies.append(pong(ping, now_ns, self.subject))
        return Decoded([])

    def _video_end(self, body: dict[str, Any], _payload: bytes, _now_ns: int) -> Decoded:
        typed(body, Ready)
        self._ended = True
        return Decoded([])

    def _video_chunk(self, message: bytes, now_ns: int) -> Decoded:
        state = self._state
        data = VideoChunk(codec=state.codec, container=state.container, width=state.width, height=state.height)
        return Decoded([self._media("video.chunk", data, message, message, now_ns)])

    def _take_alike(self, frames: Sequence[bytes], at: int, now_ns: int, events: list[Event]) -> int:
        """Take audio frames from ``at`` on that begin as the one before; where those end."""
        head, begin, speaker = self._head, self._head_bytes, self._speaker
        if not head or self.channel != "audio":
            return at
        try:
            while at < len(frames) and (frame := frames[at]).startswith(head):
                events.append(self._audio_chunk(frame, memoryview(frame)[begin:], speaker, now_ns))
                at += 1
        except Exception:  # a fault of ours: `receive` meets it again, and is answered there
            return at
        return at

    def _legacy_chunk(self, body: dict[str, Any], payload: bytes, now_ns: int) -> Decoded:
        told = typed(body, LegacyChunk)
        speaker = person(told.speakerId, told.speakerName)
        return Decoded([self._audio_chunk(payload, memoryview(told.audioData), speaker, now_ns)])

    def _audio_chunk(self, raw: bytes, pcm: memoryview, speaker: Person | None, now_ns: int) -> Event:
        state = self._state
        samples, odd_bytes = divmod(len(pcm), SAMPLE_BYTES)
        if odd_bytes:
            pcm = pcm[:-odd_bytes]
        gap_ms = None
        if state.resumes:
            gap_ns = max(0, now_ns - state.arrival_ns - samples * _NS_PER_S // RATE_HZ)
            state.samples += gap_ns * RATE_HZ // _NS_PER_S
            state.resumes = False
            gap_ms = round(gap_ns / 1e6, 3) or None
        data = AudioChunk(
            codec="pcm_s16le",
            rate_hz=RATE_HZ,
            channels=1,
            speaker=speaker,
            track="mixed",
            first_sample=state.samples,
            samples=samples,
            gap_ms=gap_ms,
        )
        state.samples += samples
        state.arrival_ns = now_ns
        return self._media("audio.chunk", data, pcm, raw, now_ns)

    def _media(
        self, type_: str, data: AudioChunk | VideoChunk, media: bytes | memoryview, raw: bytes, now_ns: int
    ) -> Event:
        self._state.numbered = number = self._state.numbered + 1
        return Event(
            id=f"{self._prefix}/{number}",
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


_TYPED: dict[str, Callable[[MeetStreamSession, dict[str, Any], bytes, int], Decoded]] = {
    "ready": MeetStreamSession._ready,
    "video_stream_start": MeetStreamSession._video_start,
    "video_latency_ping": MeetStreamSession._video_ping,
    "video_stream_end": MeetStreamSession._video_end,
    "PCMChunk": MeetStreamSession._legacy_chunk,
}


def session(record: Record) -> MeetStreamSession:
    """A session with the endpoint, connection, channel and subject of ``record``, restored from its ``state``."""
    return MeetStreamSession(record)


def _restored(state: bytes) -> _State:
    try:
        return _DECODER.decode(state) if state else _State()
    except (msgspec.DecodeError, ValueError):
        raise Malformed("the session's state cannot be read", "state") from None


def _encoded(message: str) -> bytes:
    # A lone surrogate becomes bytes that are no UTF-8, which the reader refuses with their offset.
    return message.encode("utf-8", "surrogatepass")
