"""A MeetStream bot that goes through a meeting, and ``play``, which sends several of them at a receiver.

What is said and when comes from ``script``, the bytes from ``wire``, the accidents from ``faults``; ``posts`` and
``sockets`` carry them.
"""

import asyncio
import random
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Literal

import aiohttp

from receiver.simulator import faults as accidents
from receiver.simulator import speech as recording
from receiver.simulator.channels import Channels
from receiver.simulator.line import Pace
from receiver.simulator.part import OnProgress, OnSpoken, Options, Part
from receiver.simulator.posts import Posts
from receiver.simulator.script import Cue, Message, Step, make_meeting, write_script
from receiver.simulator.sockets import Sockets
from receiver.simulator.tally import MeetingTally, Tally

_POST_TIMEOUT_S = 15.0
_LONGEST_STAGGER_S = 3.0


async def play(
    url: str,
    *,
    meetings: int = 1,
    speed: float = 1.0,
    faults: Collection[str] = frozenset(),
    seed: int = 0,
    transcript: Literal["webhook", "websocket", "alternate"] = "alternate",
    audio: bool = True,
    video: bool = True,
    control: bool = True,
    deletion: bool = False,
    secret: str = "",
    channels: Mapping[str, str] | None = None,
    on_spoken: OnSpoken = lambda bot_id, speaker, text, at_s: None,
    on_progress: OnProgress = lambda bot_id, what: None,
    started: datetime | None = None,
    tally: Tally | None = None,
) -> Tally:
    """Play ``meetings`` meetings at once, slightly staggered, and return what was sent and how it was answered.

    ``url``: the receiver's endpoint, http or https, with its token in path or query; all channels follow from it
    unless ``channels`` names others (fields of ``Channels``). ``speed``: 1 = real time, 10 = ten times faster, 0 = as
    fast as it goes. ``faults``: of ``FAULTS``. ``transcript``: how live transcription travels; ``alternate`` = every
    second meeting by WebSocket. ``deletion``: a ``data_deletion`` comes at the end. ``secret``: sign the callbacks.
    ``on_spoken(bot_id, speaker, text, at_s)`` is called as a line is committed, ``on_progress(bot_id, what)`` on each
    change of state. ``started``: the wall-clock time that bodies count from (default: now). ``tally``: filled while the
    play runs, for those who may cancel it.

    Nothing is sent twice unless a fault says so; failures are counted, not raised. The order is the natural one: a
    lifecycle callback waits for all answers before it, transcript updates for one another; a participant event may be
    in flight beside a transcript update, and the events after the call beside each other.
    Raises ``ValueError`` on a bad URL, an unknown fault or channel.
    """
    targets = Channels.derive(url, channels)
    if unknown := set(faults) - set(accidents.FAULTS):
        raise ValueError(f"no such fault: {', '.join(sorted(unknown))}")
    whole = Tally() if tally is None else tally
    start = started or datetime.now(UTC)
    options = Options(frozenset(faults), audio, video, control, deletion, secret, on_spoken, on_progress)
    content = await asyncio.to_thread(recording.load)
    timeout, connector = aiohttp.ClientTimeout(total=_POST_TIMEOUT_S), aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as client, asyncio.TaskGroup() as bots:
        for index in range(meetings):
            rng = random.Random(f"faults {seed} {index}")  # noqa: S311 - accidents, not secrets
            meeting = make_meeting(seed, index, start, content)
            by_socket = transcript == "websocket" or (transcript == "alternate" and index % 2 == 1)
            own = MeetingTally(bot_id=meeting.bot_id, transport="websocket" if by_socket else "webhook", whole=whole)
            whole.meetings.append(own)
            pace = Pace(speed, rng.uniform(0.1, min(_LONGEST_STAGGER_S, 0.4 * meetings)) if index else 0.0)
            part = Part(meeting, content, targets.of(meeting.bot_id), pace, own, options)
            bots.create_task(_attend(part, client, rng, retried_join=index % 2 == 1))
    return whole


async def _attend(part: Part, client: aiohttp.ClientSession, rng: random.Random, *, retried_join: bool) -> None:
    """One bot's whole meeting, from ``bot.joining`` to ``bot.done``."""
    steps, cuts = _plan(part, rng, retried_join)
    async with asyncio.TaskGroup() as tasks:
        posts, sockets = Posts(part, client, tasks), Sockets(part, tasks, cuts)
        for step in steps:
            await part.pace.until(step.at_s)
            await sockets.pass_time(step.at_s)
            if isinstance(step, Cue):
                await sockets.follow(step)
            elif _is_posted(step, part):
                await posts.send(step)
            else:
                await sockets.say(step)


def _plan(part: Part, rng: random.Random, retried_join: bool) -> tuple[list[Step], dict[str, float]]:
    """The script with its accidents, and when which socket is cut."""
    options = part.options
    steps = write_script(
        part.meeting, part.speech, retried_join=retried_join, video=options.video, deletion=options.deletion
    )
    if "reorder" in options.faults:
        steps, moved = accidents.reorder(steps, rng)
        part.tally.add(reordered=moved)
    if "duplicates" in options.faults:
        steps = accidents.duplicate(steps, rng, lambda message: _is_posted(message, part))
    if "garbage" in options.faults:
        steps = accidents.litter(steps, part.meeting, part.speech, part.channels, rng)
    return steps, accidents.cuts(part.speech, rng) if "drop-socket" in options.faults else {}


def _is_posted(message: Message, part: Part) -> bool:
    if message.lane == "transcript" and message.name != "post":
        return part.tally.transport == "webhook"
    return message.name == "post" or message.lane in ("callback", "participant")
