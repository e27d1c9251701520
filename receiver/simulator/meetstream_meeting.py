"""The meeting of one bot that was created over REST: from ``bot.joining`` to ``bot.done``, or until it is removed.

What is said comes from ``script``, the bytes from ``wire``; the cloud delivers. The bot's own record is kept whether or
not anybody takes a delivery: what was missed can be looked up there.
"""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from receiver.simulator import wire
from receiver.simulator.line import Pace
from receiver.simulator.meetstream_bot import POST_CALL, Bot
from receiver.simulator.part import Options, Part
from receiver.simulator.script import MEDIA_S, Cue, Message, write_script
from receiver.simulator.sockets import Sockets
from receiver.simulator.speech import Speech

if TYPE_CHECKING:
    from receiver.simulator.meetstream_cloud import MeetStreamCloud


class _Removed(Exception):
    """Ends what a removed bot's sockets still do."""


async def attend(cloud: "MeetStreamCloud", bot: Bot, speech: Speech) -> None:
    """Play the meeting and what follows it; the counts of the sockets go into the cloud's."""
    bot.speech = speech
    bot.meeting = replace(bot.meeting, attributes=bot.attributes)
    if bot.body.get("join_at"):
        await _happen(cloud, bot, "bot.scheduled", 0.0)
    pace, zero_s = Pace(cloud.speed), asyncio.get_running_loop().time()
    try:
        async with asyncio.TaskGroup() as tasks:
            await _talk(cloud, bot, Sockets(_part(cloud, bot, speech, pace), tasks, {}), speech, pace, zero_s)
    except* _Removed:
        pass
    end_s = MEDIA_S + speech.duration_s
    if bot.removed.is_set():
        end_s = min(end_s, (asyncio.get_running_loop().time() - zero_s) * cloud.speed)
    for after_s, name in _departure(bot):
        await cloud.pause(0.1)
        await _happen(cloud, bot, name, end_s + after_s)
    cloud.tally.frames += bot.tally.frames_sent + bot.tally.video_pieces_sent
    cloud.tally.messages += bot.tally.text_messages_sent
    cloud.tally.sockets += bot.tally.sockets_opened


async def _talk(
    cloud: "MeetStreamCloud", bot: Bot, sockets: Sockets, speech: Speech, pace: Pace, zero_s: float
) -> None:
    """Everything up to the moment when the bot leaves. Raises ``_Removed``."""
    urls, end_s = bot.urls, MEDIA_S + speech.duration_s
    steps = write_script(bot.meeting, speech, retried_join=False, video=False, deletion=False)
    for step in steps:
        if step.at_s > end_s:
            return
        if await _removed_before(bot, zero_s + pace.wall(step.at_s)):
            raise _Removed
        if isinstance(step, Cue):
            await sockets.follow(step)
        elif step.lane == "callback":
            await _happen(cloud, bot, step.name, step.at_s)
        elif step.lane == "participant":
            body = _participant(bot, step)
            await cloud.deliver(bot, urls.participant, body, signed=False)
        elif step.lane == "transcript" and urls.transcript:
            content = step.build()
            await cloud.deliver(
                bot, urls.transcript, content if isinstance(content, bytes) else content.encode(), signed=False
            )
        else:
            await sockets.say(step)


def _participant(bot: Bot, step: Message) -> bytes:
    """The delivery of somebody who came or left, which the bot's record keeps too."""
    content = step.build()
    body = content if isinstance(content, bytes) else content.encode()
    bot.participant_events.append(json.loads(body))
    return body


async def _happen(cloud: "MeetStreamCloud", bot: Bot, name: str, at_s: float) -> None:
    """An event of the bot's life: into its record first, so that who is told can fetch at once."""
    exit_name = "" if name != "bot.stopped" else "bot.stopped" if bot.removed.is_set() else bot.meeting.exit_name
    if name == "bot.scheduled":
        body = json.dumps(
            {
                "event": name, "bot_event": name, "bot_id": bot.id, "bot_status": "Scheduled", "status_code": 200,
                "message": "Bot is scheduled", "timestamp": wire.instant(bot.meeting.started, at_s),
                "custom_attributes": bot.attributes,
            }
        ).encode()  # fmt: skip
    else:
        body = wire.callback(
            name, bot_id=bot.id, started=bot.meeting.started, at_s=at_s, attributes=bot.attributes, exit_name=exit_name
        )
    told = json.loads(body)
    bot.note(name, told["timestamp"], told["message"])
    cloud.progress(bot.id, name)
    await cloud.deliver(bot, bot.callback_url, body, signed=True)


def _departure(bot: Bot) -> Iterator[tuple[float, str]]:
    """Seconds after the bot's leave, and the event."""
    yield 0.05, "bot.leaving"
    yield 0.2, "bot.stopped"
    yield 0.4, "bot.uploading"
    yield 0.7, "manifest.completed"
    yield 0.75, "audio.processed"
    if bot.provider in POST_CALL:
        yield 0.8, "transcription.processed"
    if bot.has_video:
        yield 0.85, "video.processed"
    yield 1.0, "bot.done"


async def _removed_before(bot: Bot, moment_s: float) -> bool:
    """Wait for a moment of the loop's clock; true as soon as the bot is removed."""
    try:
        async with asyncio.timeout(max(moment_s - asyncio.get_running_loop().time(), 0.0)):
            await bot.removed.wait()
    except TimeoutError:
        return False
    return True


def _part(cloud: "MeetStreamCloud", bot: Bot, speech: Speech, pace: Pace) -> Part:
    urls = bot.urls
    options = Options(
        faults=frozenset(),
        audio=bool(urls.audio),
        video=bool(urls.video),
        control=bool(urls.control),
        deletion=False,
        secret="",
        on_spoken=lambda bot_id, speaker, text, at_s: None,
        on_progress=cloud.progress,
    )
    return Part(bot.meeting, speech, urls, pace, bot.tally, options)
