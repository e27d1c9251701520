"""One meeting as a list of what happens when. Pure: the same seed and start give the same bytes.

Times ``at_s`` are seconds on the meeting's own clock, from the moment when the bot was sent. Bodies are built only when
they are sent, so that a hundred meetings do not hold a hundred copies.
"""

import random
import string
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Literal

from receiver.simulator import wire
from receiver.simulator.speech import Speech, Utterance, Word
from receiver.simulator.tally import Nature

Lane = Literal["callback", "participant", "transcript", "control", "audio"]
IN_MEETING_S, MEDIA_S = 0.8, 1.2
#: the transcription service is that much behind the voice
_LAG_S = 0.15
_UPDATE_SPACING_S = 0.04
_NOTETAKER = "Notetaker"


@dataclass(frozen=True, slots=True)
class Person:
    """A voice's part in one meeting."""

    name: str
    device: str


@dataclass(frozen=True, slots=True)
class Meeting:
    """Who and when: what makes one meeting differ from another."""

    bot_id: str
    started: datetime
    people: dict[str, Person]  # by role
    attributes: dict[str, str]
    exit_name: str
    first_turn: int


@dataclass(frozen=True, slots=True)
class Message:
    """One push. ``burst``: sent without waiting for the answers to those before it."""

    at_s: float
    lane: Lane
    name: str
    build: Callable[[], bytes | str]
    burst: bool = False
    turn: int | None = None
    commits: Utterance | None = None
    copies: Literal["", "after", "together"] = ""
    garbage: str = ""
    nature: Nature | None = None


@dataclass(frozen=True, slots=True)
class Cue:
    """Something that the bot does with its sockets: ``control`` opens one, ``media`` the rest, ``close`` ends them."""

    at_s: float
    name: Literal["control", "media", "close"]


Step = Message | Cue


def make_meeting(seed: int, index: int, started: datetime, speech: Speech) -> Meeting:
    """The ``index``-th meeting of a run: its bot id, cast and exit follow from ``seed`` alone."""
    rng = random.Random(f"meeting {seed} {index}")  # noqa: S311 - a script, not a secret
    space = "".join(rng.choices(string.ascii_letters + string.digits, k=12))
    devices = rng.sample(range(100, 999), len(speech.names))
    people = {
        role: Person(rng.choice(names), f"spaces/{space}/devices/{device}")
        for (role, names), device in zip(speech.names.items(), devices, strict=True)
    }
    return Meeting(
        bot_id=str(uuid.UUID(int=rng.getrandbits(128), version=4)),
        started=started,
        people=people,
        attributes={"meeting": f"incident-review-{index + 1}", "team": "platform"},
        exit_name="bot.kicked" if index % 3 == 2 else "bot.stopped",
        first_turn=rng.randint(0, 400),
    )


def write_script(meeting: Meeting, speech: Speech, *, retried_join: bool, video: bool, deletion: bool) -> list[Step]:
    """All steps of one meeting in the order of their times."""
    end_s = MEDIA_S + speech.duration_s
    steps: list[Step] = [
        *_arrival(meeting, retried_join),
        Cue(IN_MEETING_S, "control"),
        Cue(MEDIA_S, "media"),
        *_people(meeting, end_s),
        *_conversation(meeting, speech),
        *_control(meeting, speech),
        Cue(end_s, "close"),
        *_departure(meeting, end_s, video, deletion),
    ]
    return sorted(steps, key=lambda step: step.at_s)


def name_at(meeting: Meeting, speech: Speech, moment_s: float) -> Person | None:
    """Whose voice is heard ``moment_s`` seconds into the sound."""
    for utterance in speech.utterances:
        if utterance.start_s <= moment_s < utterance.end_s:
            return meeting.people[utterance.role]
    return None


def raw_text(text: str) -> str:
    """``text`` as the service gives it before formatting: lower case, no punctuation but the apostrophe."""
    kept = "".join(letter for letter in text.lower() if letter.isalnum() or letter in " '")
    return " ".join(kept.split())


def _callback(meeting: Meeting, at_s: float, name: str, *, burst: bool = False, exit_name: str = "") -> Message:
    build = partial(
        wire.callback,
        name,
        bot_id=meeting.bot_id,
        started=meeting.started,
        at_s=at_s,
        attributes=meeting.attributes,
        exit_name=exit_name,
    )
    return Message(at_s, "callback", name, build, burst=burst)


def _arrival(meeting: Meeting, retried_join: bool) -> Iterator[Message]:
    yield _callback(meeting, 0.0, "bot.joining")
    if retried_join:
        yield _callback(meeting, 0.2, "bot.joining")
    yield _callback(meeting, 0.4, "bot.in_waiting_room")
    yield _callback(meeting, IN_MEETING_S - 0.01, "bot.inmeeting")
    yield _callback(meeting, MEDIA_S - 0.01, "bot.recording")


def _departure(meeting: Meeting, end_s: float, video: bool, deletion: bool) -> Iterator[Message]:
    yield _callback(meeting, end_s + 0.05, "bot.leaving")
    yield _callback(meeting, end_s + 0.2, "bot.stopped", exit_name=meeting.exit_name)
    yield _callback(meeting, end_s + 0.4, "bot.uploading")
    yield _callback(meeting, end_s + 0.7, "manifest.completed")
    yield _callback(meeting, end_s + 0.702, "audio.processed", burst=True)
    yield _callback(meeting, end_s + 0.8, "transcription.processed", burst=True)
    if video:
        yield _callback(meeting, end_s + 0.802, "video.processed", burst=True)
    yield _callback(meeting, end_s + 1.0, "bot.done")
    if deletion:
        at_s = end_s + 3600.0
        build = partial(wire.data_deletion, bot_id=meeting.bot_id, started=meeting.started, at_s=at_s, objects=7)
        yield Message(end_s + 1.1, "callback", "data_deletion", build)


def _people(meeting: Meeting, end_s: float) -> Iterator[Message]:
    """The first voice was there before the bot (no join) and stays on after it (no leave); the bot is a participant."""
    bot = Person(_NOTETAKER, meeting.people["a"].device.rpartition("/")[0] + "/1")
    second, third = meeting.people["b"], meeting.people["c"]
    for at_s, action, person, name in (
        (IN_MEETING_S + 0.02, "join", bot, bot.name),
        (IN_MEETING_S + 0.1, "join", second, second.name.split()[0]),
        (MEDIA_S + 1.5, "join", third, "Unknown"),
        (end_s - 2.5, "leave", third, third.name.split()[0]),
        (end_s - 0.2, "leave", second, second.name.split()[0]),
    ):
        build = partial(
            wire.participant,
            action,
            bot_id=meeting.bot_id,
            started=meeting.started,
            at_s=at_s,
            device=person.device,
            name=name,
            full_name=person.name,
            attributes=meeting.attributes,
        )
        yield Message(at_s, "participant", f"participant_events.{action}", build)


def _control(meeting: Meeting, speech: Speech) -> Iterator[Message]:
    asked, interrupted = speech.utterances[3], speech.utterances[6]
    speaker, at_s = meeting.people[asked.role].name, MEDIA_S + asked.end_s + 0.3
    message = partial(wire.user_message, meeting.bot_id, speaker, asked.text, wire.instant(meeting.started, at_s))
    yield Message(at_s, "control", "usermsg", message)
    yield Message(MEDIA_S + interrupted.start_s + 0.2, "control", "interrupt", wire.interrupt)


def _conversation(meeting: Meeting, speech: Speech) -> Iterator[Message]:
    """Live transcription: turns are numbered per stream, with a gap now and then."""
    turn, earliest_s = meeting.first_turn, 0.0
    for index, utterance in enumerate(speech.utterances):
        for message in _turn(meeting, utterance, turn, earliest_s, formats_with_commit=index % 3 == 2):
            earliest_s = message.at_s + _UPDATE_SPACING_S
            yield message
        turn += 2 if index == 4 else 1


def _turn(
    meeting: Meeting, utterance: Utterance, turn: int, earliest_s: float, *, formats_with_commit: bool
) -> Iterator[Message]:
    """Each word comes as interim, a long one first by its beginning; then all final, formatted, committed."""
    words = utterance.words
    last_s = words[-1].end_s
    plan: list[tuple[float, int, Word | None, str, bool]] = []
    for count, word in enumerate(words):
        middle_s = (word.start_s + word.end_s) / 2
        if len(raw_text(word.text)) > 6:
            beginning = Word(word.text[: len(word.text) * 2 // 3], word.start_s, middle_s)
            plan.append((middle_s, count, beginning, "", False))
        plan.append((word.end_s, count, word, "", False))
    plan.append((last_s + 0.06, len(words), None, "", False))
    if formats_with_commit:
        plan.append((last_s + 0.14, len(words), None, utterance.text, True))
    else:
        plan.append((last_s + 0.10, len(words), None, utterance.text, False))
        plan.append((last_s + 0.16, len(words), None, "", True))
    for heard_s, final_count, interim, formatted, commits in plan:
        at_s = round(max(MEDIA_S + heard_s + _LAG_S, earliest_s), 3)
        earliest_s = at_s + _UPDATE_SPACING_S
        build = partial(_update, meeting, utterance, turn, at_s, final_count, interim, formatted, commits)
        yield Message(at_s, "transcript", "transcript", build, turn=turn, commits=utterance if commits else None)


def _update(
    meeting: Meeting,
    utterance: Utterance,
    turn: int,
    at_s: float,
    final_count: int,
    interim: Word | None,
    formatted: str,
    commits: bool,
) -> bytes:
    words = [_word_object(word, final=True) for word in utterance.words[:final_count]]
    if interim is not None:
        words.append(_word_object(interim, final=False))
    return wire.transcript(
        bot_id=meeting.bot_id,
        started=meeting.started,
        at_s=at_s,
        speaker=meeting.people[utterance.role].name,
        words=words,
        turn_order=turn,
        utterance=formatted,
        end_of_turn=commits,
    )


def _word_object(word: Word, *, final: bool) -> dict[str, Any]:
    """Confidence follows from the word, so that it is the same in each update; end times move until final."""
    raw = raw_text(word.text)
    confidence = round(0.9 + len(raw) % 9 / 100, 2) if final else round(0.5 + len(raw) % 5 / 10, 2)
    end_s = word.end_s if final else word.end_s + 0.02
    return wire.word(raw, word.text if final else raw, word.start_s, end_s, confidence=confidence, final=final)
