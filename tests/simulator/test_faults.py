"""Faults on purpose: they happen, they are counted, and they leave the meeting whole."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

from receiver.simulator import play, speech
from tests.simulator.recording_server import Post, Recorder, recording_server

POSTS_ONLY: dict[str, Any] = {"audio": False, "video": False, "control": False, "transcript": "webhook", "speed": 0}
STARTED = datetime(2026, 10, 5, 9, 30, 0, tzinfo=UTC)
ALL_FRAMES = len(speech.load().pcm) // 1920


def is_malformed_post(body: bytes) -> bool:
    """What a receiver puts into quarantine, decided by hand: no object, or a known key of the wrong type."""
    try:
        value = json.loads(body)
    except ValueError:
        return True
    wrong = not isinstance(value, dict) or not isinstance(value.get("event", ""), str)
    return wrong or not isinstance(value.get("words", []), list)


async def test_duplicates_are_the_same_bytes_and_counted() -> None:
    """Some POSTs of each kind come twice; merged, nothing is missing."""
    async with recording_server() as plain:
        await play(plain.url, started=STARTED, **POSTS_ONLY)
    async with recording_server() as recorder:
        tally = await play(recorder.url, faults={"duplicates"}, started=STARTED, **POSTS_ONLY)
    bodies = Counter(post.body for post in recorder.posts)
    repeated = [json.loads(body) for body, count in bodies.items() if count == 2]
    assert set(bodies) == {post.body for post in plain.posts}
    assert max(bodies.values()) == 2
    assert len(repeated) == tally.duplicates_sent >= 6
    assert tally.posts_sent == tally.posts_accepted == len(recorder.posts)
    assert tally.distinct_accepted == len(bodies)
    assert any("transcript" in body for body in repeated)
    assert any("data" in body for body in repeated)
    assert any("bot_event" in body for body in repeated)


async def test_some_duplicates_are_in_flight_with_their_original() -> None:
    """The hardest case for a receiver: both copies are unanswered at the same moment."""
    unanswered: Counter[bytes] = Counter()
    together: set[bytes] = set()

    def arrive(recorder: Recorder, post: Post) -> bool:
        """Called when a post has arrived, before its answer."""
        unanswered[post.body] += 1
        together.update(body for body, count in unanswered.items() if count > 1)
        return False

    async def answer(post: Post) -> None:
        if "event" in post.json:
            await asyncio.sleep(0.05)  # a slow receiver
        unanswered[post.body] -= 1

    async with recording_server(hold=arrive, before_answer=answer) as recorder:
        tally = await play(recorder.url, faults={"duplicates"}, **POSTS_ONLY)
    assert 1 <= len(together) < tally.duplicates_sent


async def test_reordering_delivers_joining_after_recording() -> None:
    """The vendor's own test scenario: a late bot.joining, with its old timestamp; and nothing is lost."""
    async with recording_server() as plain:
        await play(plain.url, started=STARTED, **POSTS_ONLY)
    async with recording_server() as recorder:
        tally = await play(recorder.url, faults={"reorder"}, started=STARTED, **POSTS_ONLY)
    names = [post.json.get("event") for post in recorder.posts]
    assert names.index("bot.joining") > names.index("bot.recording")
    assert sorted(post.body for post in recorder.posts) == sorted(post.body for post in plain.posts)
    stamps = [post.json["timestamp"] for post in recorder.posts if "transcript" in post.json]
    inversions = sum(earlier > later for earlier, later in pairwise(stamps))
    assert inversions >= 5
    assert tally.reordered == inversions + 1


async def test_a_partial_may_come_after_its_commit() -> None:
    """Two messages can overtake each other at the end of a turn too."""
    async with recording_server() as recorder:
        await play(recorder.url, faults={"reorder"}, **POSTS_ONLY)
    committed: set[int] = set()
    late = 0
    for post in recorder.posts:
        if "transcript" in post.json:
            late += post.json["turn_order"] in committed
            committed |= {post.json["turn_order"]} if post.json["end_of_turn"] else set()
    assert late == 1


@pytest.mark.parametrize("speed", [0, 6])
async def test_cut_sockets_come_back_with_a_fresh_ready(speed: float) -> None:
    """Audio, control and transcript are cut without a close frame; frames meanwhile are lost and counted."""
    async with recording_server() as recorder:
        tally = await play(recorder.url, speed=speed, faults={"drop-socket"}, transcript="websocket", video=False)
    for channel in ("audio", "control", "transcript"):
        first, second = recorder.of(channel)
        assert (first.close_code, second.close_code) == (1006, 1000)
        assert first.texts[0] == second.texts[0]
        assert second.texts[0]["type"] == "ready"
    assert tally.sockets_cut == 3
    assert tally.sockets_lost == 0
    frames = [len(connection.binary) for connection in recorder.of("audio")]
    assert sum(frames) == tally.frames_sent
    assert tally.frames_sent + tally.frames_lost == ALL_FRAMES
    assert tally.frames_lost == 25 if speed == 0 else tally.frames_lost >= 25
    assert tally.meetings[0].audio_span_s == speech.load().duration_s
    commits = [text for connection in recorder.of("transcript") for text in connection.texts if text.get("end_of_turn")]
    heard, said = [text["transcript"] for text in commits], [turn.raw_text for turn in tally.meetings[0].turns]
    # while a machine stands still the meeting's clock goes on, and what it says before the line is back is lost
    assert heard == said if speed == 0 else heard == [one for one in said if one in heard] and heard[-1] == said[-1]


async def test_garbage_is_counted_by_kind_and_nature() -> None:
    """Malformed goes to quarantine, unknown is passed on: the counts tell how many of each a receiver got."""
    async with recording_server() as recorder:
        tally = await play(recorder.url, speed=0, meetings=2, faults={"garbage"})
    assert set(tally.garbage.values()) == {1, 2}
    assert tally.garbage["transcript.not_json"] == 1  # one meeting of the two has that socket
    assert tally.garbage_sent == tally.malformed_sent + tally.unknown_sent
    malformed = [post.body for post in recorder.posts if is_malformed_post(post.body)]
    assert len(malformed) == len(set(malformed)) == len(tally.expected({"malformed"})) == 12
    assert len(recorder.posts) == tally.posts_sent + tally.garbage_accepted
    assert len(tally.expected({"unknown"})) == 4
    assert tally.distinct_accepted == tally.posts_sent
    texts = [message for connection in recorder.of("control") for message in connection.messages]
    assert sum("levitate" in str(text) for text in texts) == 2
    assert tally.ok


async def test_garbage_frames_are_no_audio() -> None:
    """A truncated frame and one of an unknown tag come between the meeting's own, which stay whole."""
    async with recording_server() as recorder:
        tally = await play(recorder.url, speed=0, faults={"garbage"}, video=False)
    frames = recorder.of("audio")[0].binary
    assert len(frames) == ALL_FRAMES + 2
    assert tally.frames_sent == ALL_FRAMES
    assert [frame[0] for frame in frames if len(frame) < 1000 and frame[0] != 1] == [7]
    [truncated] = [frame for frame in frames if len(frame) < 1000 and frame[0] == 1]
    assert 3 + int.from_bytes(truncated[1:3], "little") > len(truncated)


@pytest.mark.parametrize(
    ("answer", "is_ok"),
    [
        (lambda body: 400 if is_malformed_post(body) else 200, True),
        (lambda body: 500 if is_malformed_post(body) else 200, False),
        (lambda body: 400 if b"levitating" in body or is_malformed_post(body) else 200, False),
    ],
)
async def test_only_malformed_garbage_may_be_refused(answer: Callable[[bytes], int], is_ok: bool) -> None:
    """4xx for malformed bodies is allowed; 5xx never, nor a refusal of what is only unknown."""
    async with recording_server(on_post=lambda post: answer(post.body)) as recorder:
        tally = await play(recorder.url, faults={"garbage"}, **POSTS_ONLY)
    assert tally.posts_accepted == tally.posts_sent
    assert tally.ok is is_ok


async def test_all_faults_together_leave_the_meeting_whole() -> None:
    """Merged and without garbage, every delivery of every meeting has arrived."""
    faults = {"duplicates", "reorder", "drop-socket", "garbage"}
    async with recording_server() as plain:
        await play(plain.url, meetings=3, seed=9, started=STARTED, **POSTS_ONLY)
    async with recording_server() as recorder:
        await play(recorder.url, meetings=3, seed=9, faults=faults, started=STARTED, **POSTS_ONLY)
    assert {post.body for post in plain.posts} <= {post.body for post in recorder.posts}


async def test_unknown_faults_are_refused() -> None:
    """A misspelt fault would silently test nothing."""
    with pytest.raises(ValueError, match="no such fault: dupes"):
        await play("http://127.0.0.1:9/x", faults={"dupes"})
