"""What goes wrong on purpose: repeats, late and swapped deliveries, cut sockets, garbage. Pure: changes scripts.

Each function takes a script and gives a changed one; a seeded generator makes the choices.
"""

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from receiver.simulator import wire
from receiver.simulator.script import IN_MEETING_S, MEDIA_S, Lane, Meeting, Message, Step
from receiver.simulator.speech import Speech
from receiver.simulator.tally import Nature

FAULTS = ("duplicates", "reorder", "drop-socket", "garbage")
#: how long a cut socket stays away, in seconds of the meeting; what would have been sent meanwhile is lost
REDIAL_S = 0.5

_LANES: tuple[Lane, ...] = ("callback", "participant", "transcript")


def duplicate(steps: Sequence[Step], rng: random.Random, is_posted: Callable[[Message], bool]) -> list[Step]:
    """Repeat about a fifth of the POSTs byte by byte, every second one at the same moment as the original."""
    chosen: list[tuple[int, Message]] = []
    for lane in _LANES:
        places = [(index, step) for index, step in _messages(steps) if step.lane == lane and is_posted(step)]
        chosen += rng.sample(places, max(len(places) // 5, min(2, len(places))))
    changed = list(steps)
    for count, (index, message) in enumerate(chosen):
        changed[index] = replace(message, copies="together" if count % 2 else "after")
    return changed


def reorder(steps: Sequence[Step], rng: random.Random) -> tuple[list[Step], int]:
    """Send ``bot.joining`` after ``bot.recording`` and swap some neighbouring updates of a turn.

    One turn's commit is overtaken by a partial as well. Returns the script and how many messages come late.
    """
    late: list[Step] = [replace(step, at_s=MEDIA_S) for _, step in _messages(steps) if step.name == "bot.joining"]
    changed = [step for step in steps if not (isinstance(step, Message) and step.name == "bot.joining")]
    recording = next(index for index, step in _messages(changed) if step.name == "bot.recording")
    changed[recording + 1 : recording + 1] = late
    updates = [(index, step) for index, step in _messages(changed) if step.turn is not None]
    pairs = [pair for pair in itertools.pairwise(updates) if pair[0][1].turn == pair[1][1].turn]
    commits = [pair for pair in pairs if pair[1][1].commits]
    partials = [pair for pair in pairs if not pair[1][1].commits]
    taken: set[int] = set()
    for (first, earlier), (second, later) in [rng.choice(commits), *rng.sample(partials, len(partials) // 8)]:
        if not taken & {first, second}:
            changed[first], changed[second] = replace(later, at_s=earlier.at_s), replace(earlier, at_s=later.at_s)
            taken |= {first, second}
    return changed, len(late) + len(taken) // 2


def cuts(speech: Speech, rng: random.Random) -> dict[str, float]:
    """When each socket is cut, on the meeting's clock: early in a long utterance, so that its end gets through."""
    long = [utterance for utterance in speech.utterances[1:-1] if utterance.end_s - utterance.start_s > 4 * REDIAL_S]
    return {
        channel: round(MEDIA_S + rng.choice(long).start_s + rng.uniform(0.2, 0.8), 3)
        for channel in ("audio", "control", "transcript")
    }


def litter(
    steps: Sequence[Step], meeting: Meeting, speech: Speech, lanes: Sequence[str], rng: random.Random
) -> list[Step]:
    """Strew garbage of every kind over the meeting; ``lanes`` are the sockets that the bot has."""
    garbage = [message for message in _garbage(meeting) if message.name == "post" or message.lane in lanes]
    length_s = speech.duration_s - 2.0
    placed = [replace(message, at_s=IN_MEETING_S + 1.0 + rng.uniform(0.0, length_s)) for message in garbage]
    return sorted([*steps, *placed], key=lambda step: step.at_s)


def _garbage(meeting: Meeting) -> list[Message]:
    """One message of each kind. Each names its bot somewhere, so that no two of a run are the same."""
    bot, stamp = meeting.bot_id, wire.instant(meeting.started, IN_MEETING_S)
    start = f'{{"event": "bot.recording", "bot_id": "{bot}", '
    unknown_event = f'{{"event": "bot.levitating", "bot_id": "{bot}", "timestamp": "{stamp}"}}'
    wrong_words = f'{{"bot_id": "{bot}", "speakerName": "x", "transcript": "x", "words": "none", "end_of_turn": true}}'
    table: tuple[tuple[str, Lane, Nature, bytes | str], ...] = (
        ("post.not_json", "callback", "malformed", f"bot_id={bot}&event=bot.recording"),
        ("post.cut_short", "callback", "malformed", start + '"messa'),
        ("post.list", "callback", "malformed", f'["{bot}", {start}"status_code": 200}}]'),
        ("post.wrong_type", "callback", "malformed", f'{{"event": 17, "bot_id": "{bot}", "timestamp": []}}'),
        ("post.wrong_words", "transcript", "malformed", wrong_words),
        ("post.not_utf8", "callback", "malformed", start.encode() + b'"message": "\xff\xfe"}'),
        ("post.unknown_event", "callback", "unknown", unknown_event),
        ("post.unknown_object", "callback", "unknown", f'{{"greeting": "hello", "from": "{bot}"}}'),
        ("audio.truncated", "audio", "malformed", b"\x01\x40\x00" + bot.encode()[:20]),
        ("audio.unknown_tag", "audio", "malformed", b"\x07\x00\x00\x00\x00" + bot.encode()),
        ("control.not_json", "control", "malformed", f"hello, this is {bot}"),
        ("control.unknown_command", "control", "unknown", f'{{"command": "levitate", "bot_id": "{bot}"}}'),
        ("transcript.not_json", "transcript", "malformed", f'{{"bot_id": "{bot}", "transcript": "cut'),
    )
    return [
        Message(0.0, lane, kind.partition(".")[0], partial(_same, content), burst=True, garbage=kind, nature=nature)
        for kind, lane, nature, content in table
    ]


def _same(content: bytes | str) -> bytes | str:
    return content


def _messages(steps: Sequence[Step]) -> list[tuple[int, Message]]:
    return [(index, step) for index, step in enumerate(steps) if isinstance(step, Message)]
