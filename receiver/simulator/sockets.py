"""A bot's sockets: live audio, live video, live transcription, control. Each is a ``Line``."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

from receiver.simulator import wire
from receiver.simulator.faults import REDIAL_S
from receiver.simulator.line import Line
from receiver.simulator.part import Part
from receiver.simulator.script import MEDIA_S, Cue, Message, name_at
from receiver.simulator.tally import FRAME_BYTES

FRAME_S = 0.02
_PONG_WAIT_S = 2.0
#: at the very end not even the placeholder for silence is told
_NAMELESS_FRAMES = 5


class Sockets:
    """All sockets of one bot. ``cuts``: when which channel is cut on purpose, in seconds on the meeting's clock."""

    def __init__(self, part: Part, tasks: asyncio.TaskGroup, cuts: dict[str, float]) -> None:
        self._part, self._tasks, self._cuts = part, tasks, cuts
        self._lines: dict[str, Line] = {}
        self._media: list[asyncio.Task[None]] = []
        self._pings: dict[int, int] = {}
        self._pong = asyncio.Event()

    async def follow(self, cue: Cue) -> None:
        """Open or close what the cue says. Opening waits for the first connection, but not for ever."""
        if cue.name == "close":
            for task in self._media:
                await task
            for line in self._lines.values():
                await line.close()
            return
        wanted = [channel for channel in self._part.channels if (channel == "control") == (cue.name == "control")]
        for channel in wanted:
            self._lines[channel] = line = self._make_line(channel)
            self._tasks.create_task(line.run())
        for channel in wanted:
            await self._lines[channel].open()
        if "audio" in wanted:
            self._media.append(self._tasks.create_task(self._stream_audio(self._lines["audio"])))
        if "video" in wanted:
            self._media.append(self._tasks.create_task(self._stream_video(self._lines["video"])))

    async def pass_time(self, at_s: float) -> None:
        """Tell the sockets that have no stream of their own how late it is."""
        for channel in ("control", "transcript"):
            if channel in self._lines:
                await self._lines[channel].pass_time(at_s)

    async def say(self, message: Message) -> None:
        """Send a message over the socket of its lane, if the bot has it."""
        line = self._lines.get(message.lane)
        if line is None:
            return
        content = message.build()
        if isinstance(content, bytes) and message.lane != "audio":
            content = content.decode()
        if await line.send(content, message.at_s, counted=not message.garbage) and message.garbage:
            self._part.count_garbage(message)
        self._part.tell(message)

    def _make_line(self, channel: str) -> Line:
        bot_id, urls, speech = self._part.meeting.bot_id, self._part.urls, self._part.speech
        places = {
            "audio": urls.audio,
            "video": urls.video,
            "control": urls.control,
            "transcript": urls.transcript_socket,
        }
        listeners: dict[str, Callable[[str], None]] = {"control": self._take_command, "video": self._take_pong}
        return Line(
            channel,
            places[channel],
            self._part.pace,
            self._part.tally,
            hello=[wire.video_start(bot_id, speech.video), speech.video_pieces[0]]
            if channel == "video"
            else [wire.ready(bot_id)],
            on_text=listeners.get(channel, lambda text: None),
            on_state=lambda state: self._part.options.on_progress(bot_id, state),
            cut_at_s=self._cuts.get(channel),
            silence_s=REDIAL_S,
        )

    async def _stream_audio(self, line: Line) -> None:
        """All of the meeting's sound in frames of 20 ms, each tagged with who is heard in it."""
        part, pcm = self._part, memoryview(self._part.speech.pcm)
        silence, nameless = wire.audio_header("", "NoSpeaker"), wire.audio_header("", "")
        headers = {person: wire.audio_header(person.device, person.name) for person in part.meeting.people.values()}
        count = len(pcm) // FRAME_BYTES
        sent: list[int] = []
        for index in range(count):
            at_s = MEDIA_S + index * FRAME_S
            await part.pace.until(at_s)
            await line.pass_time(at_s)
            person = name_at(part.meeting, part.speech, (index + 0.5) * FRAME_S)
            header = headers[person] if person else silence if index < count - _NAMELESS_FRAMES else nameless
            if await line.send(header + pcm[index * FRAME_BYTES : (index + 1) * FRAME_BYTES], at_s):
                sent = [sent[0] if sent else index, index]
                part.tally.audio_span_s = round((sent[1] + 1 - sent[0]) * FRAME_S, 3)

    async def _stream_video(self, line: Line) -> None:
        """A few seconds of picture, with a latency ping behind each piece."""
        part, pieces = self._part, self._part.speech.video_pieces[1:]
        duration_s, at_s = float(part.speech.video["duration_s"]), MEDIA_S
        for sequence, piece in enumerate(pieces, start=1):
            at_s = MEDIA_S + sequence * duration_s / len(pieces)
            await part.pace.until(at_s)
            await line.send(piece, at_s)
            self._pings[sequence] = sent_at_ms = time.time_ns() // 1_000_000
            if await line.send(wire.video_ping(part.meeting.bot_id, sequence, sent_at_ms), at_s):
                part.tally.add(pings_sent=1)
            else:
                del self._pings[sequence]
        await self._await_pongs()
        await line.send(wire.video_end(part.meeting.bot_id, duration_s), at_s)
        await line.close()

    async def _await_pongs(self) -> None:
        try:
            async with asyncio.timeout(_PONG_WAIT_S):
                while self._pings:
                    self._pong.clear()
                    await self._pong.wait()
        except TimeoutError:
            pass  # the counts tell

    def _take_pong(self, text: str) -> None:
        pong = _json_object(text)
        sequence = pong.get("seq")
        sent_at_ms = self._pings.pop(sequence, None) if isinstance(sequence, int) else None
        is_right = (
            sent_at_ms is not None
            and pong.get("type") == "video_latency_pong"
            and pong.get("sent_at_ms") == sent_at_ms
            and pong.get("bot_id") == self._part.meeting.bot_id
            and isinstance(pong.get("server_received_at_ms"), int)
        )
        self._part.tally.add(**{"pongs_received" if is_right else "pongs_wrong": 1})
        self._pong.set()

    def _take_command(self, text: str) -> None:
        """Keep what the receiver asks of the bot; like a real one, pass over in silence what makes no sense."""
        if command := _json_object(text):
            self._part.tally.commands.append(command)


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
