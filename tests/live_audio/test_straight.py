"""The short way of sound that nothing is done to: it must be, byte for byte, what the long way gives."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.audio.encode import encode
from receiver.audio.mix import Mixer
from receiver.audio.pcm import MAX_POSITION, Raw, Samples
from receiver.audio.timeline import Clock
from receiver.events import Event, StreamOpened
from receiver.live.audio.feeds import Seat
from receiver.live.audio.listening import Listening
from receiver.live.audio.query import Wish
from tests.live_audio.chunks import MS, ZERO_NS, Frame, chunk, frame_event, noise
from tests.live_audio.test_timeline import RATE_HZ, mixer

MOST = RATE_HZ // 2
PCM = noise(RATE_HZ).tobytes()
NOTHING: tuple[int, list[Raw]] = (0, [])


class Paper:
    """A line that keeps what it is sent."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def send(self, samples: Samples | Raw) -> bool:
        self.parts.append(encode("pcm_s16le", samples))
        return True

    async def drain(self) -> None:
        pass


def the_long_way(one: Mixer, events: Sequence[Event], now_ns: int) -> bytes:
    """What comes of ``events`` when all are pushed and then all is taken."""
    for event in events:
        if isinstance(event.data, StreamOpened):
            one.renew(event.source)
            continue
        try:
            one.push(event, now_ns)
        except ValueError:
            continue
    one.advance(now_ns)
    parts = []
    while len(samples := one.take(MOST)):
        parts.append(samples.tobytes())
    return b"".join(parts)


class Said(NamedTuple):
    """One chunk: where it lies behind the one before on its track, in frames, and what is odd about it."""

    frames: int
    shift: int
    late_ms: int
    odd: dict[str, Any]


def often(usual: Any, *others: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Mostly ``usual``, or a run of chunks would never go on."""
    return st.one_of(*[st.just(usual) for _ in range(8)], *others)


odds = often(
    {},
    st.builds(dict, track=st.sampled_from(["b", "mixed"])),
    st.builds(dict, first_sample=st.none() | st.integers(-1, 2**54), gap_ms=st.none() | st.floats(-1, 500)),
    st.builds(dict, rate_hz=st.sampled_from([1, 8000, 48_000]), channels=st.integers(1, 2)),
    st.builds(dict, codec=st.sampled_from(["pcm_mulaw", "opus"]), speaker=st.sampled_from(["Ada", "Bob"])),
    st.builds(dict, sequence=st.integers(0, 9)),
    st.sampled_from([{"torn": True}, {"opens": True}, {"gap_ms": 50.0}]),
)
chunks = st.builds(
    Said,
    often(320, st.integers(0, 700), st.integers(0, RATE_HZ)),
    often(0, st.integers(-700, 700), st.just(-200_000), st.just(400_000)),
    often(0, st.integers(-50, 600), st.integers(215, 400)),
    odds,
)
waits_ms = often(20, st.integers(0, 700), st.integers(215, 400))
batches = st.lists(chunks, max_size=1) | st.lists(chunks, max_size=3)
steps = st.lists(st.tuples(waits_ms, batches), max_size=25)
wishes = st.sampled_from(
    [*[{}] * 6, *[{"rate_hz": 48_000}, {"rate_hz": 8000}] * 2, {"track": "b"}, {"speaker": "Ada"}, {"channels": 2}]
)


@given(steps, wishes, st.booleans(), st.sampled_from([None, "mixed"]))
@settings(deadline=None, max_examples=300)
def test_the_short_way_gives_what_the_long_way_gives(
    case: list[tuple[int, list[Said]]], wish: dict[str, Any], clocked: bool, usual_track: str | None
) -> None:
    """Through silence, gaps, overlaps, repetitions, late arrivals, other tracks and forms, in every step."""
    wanted = Wish(**{"rate_hz": RATE_HZ, **wish})
    listening, paper = Listening(Seat(None, 0, ZERO_NS), wanted, 30.0), Paper()  # type: ignore[arg-type]
    listening._most_frames = MOST
    long = Mixer(Clock(wanted.rate_hz, ZERO_NS), wanted.channels, wanted.track, wanted.speaker)
    now_ns, number, said = ZERO_NS, 0, 0
    for wait_ms, batch in case:
        now_ns += wait_ms * MS
        events = []
        for one in batch:
            keys = {"track": usual_track, **one.odd}
            number = keys.pop("sequence", number + 1)
            said = max(0, said + one.shift)
            pcm = PCM[: 2 * one.frames + keys.pop("torn", False)]
            if clocked:
                keys.setdefault("first_sample", said)
            said += one.frames
            opens = keys.pop("opens", False)
            event = frame_event(Frame(pcm, **keys), now_ns - one.late_ms * MS, sequence=number)
            if opens:
                event.data = StreamOpened(channel="audio", connection="c")
            events.append(event)
        paper.parts.clear()
        assert listening.hear(events, paper, now_ns)
        assert b"".join(paper.parts) == the_long_way(long, events, now_ns)
        assert listening._mixer.head == long.head


@pytest.mark.parametrize("clocked", [True, False])
def test_what_goes_on_goes_the_short_way(clocked: bool) -> None:
    """The very bytes that came in, several at once too, as soon as a track is known."""
    one, sound = mixer(), noise(3200)
    events = [
        chunk(sound[at : at + 320], at / 16 + 20, sequence=at + 1, first_sample=at if clocked else None)
        for at in range(0, 3200, 320)
    ]
    now_ns = ZERO_NS + 20 * MS
    assert one.straight(events[:1], now_ns, MOST) == NOTHING, "the first one makes the track"
    assert the_long_way(one, events[:1], now_ns) == events[0].media
    assert one.straight(events[1:2], now_ns + 20 * MS, MOST) == (1, [events[1].media])
    both = 2, [event.media for event in events[2:4]]
    assert one.straight(events[2:], now_ns + 180 * MS, 640) == both, "no more at once"
    assert one.head == 4 * 320


@pytest.mark.parametrize("rate_hz", [8000, 11_025, 48_000])
def test_what_goes_on_at_another_rate_goes_the_short_way(rate_hz: int) -> None:
    """Where the filter gives nothing yet, nothing is sent, and the chunk is taken all the same."""
    one, two = (Mixer(Clock(rate_hz, ZERO_NS), 1) for _ in range(2))
    sound = noise(RATE_HZ)
    events = [chunk(sound[at : at + 80], at / 16 + 5, sequence=at + 1) for at in range(0, RATE_HZ, 80)]
    now_ns = ZERO_NS + 5 * MS
    heard = [the_long_way(one, events[:1], now_ns)]
    held = 0
    for event in events[1:]:
        now_ns += 5 * MS
        count, parts = one.straight([event], now_ns, MOST)
        assert count == 1
        held += not parts
        heard += map(bytes, parts)
    assert b"".join(heard) == the_long_way(two, events, now_ns) and one.head == two.head
    assert held


@pytest.mark.parametrize(
    "odd",
    [
        {"track": "b"}, {"first_sample": 321}, {"first_sample": 319}, {"first_sample": None}, {"rate_hz": 8000},
        {"codec": "pcm_mulaw"}, {"sequence": 1}, {"channels": 2}, {"pcm": b""}, {"pcm": b"\1\2\3"},
    ],
)  # fmt: skip
def test_what_does_not_go_on_is_left_for_the_long_way(odd: dict[str, Any]) -> None:
    """And nothing of it is noted."""
    one, sound, now_ns = mixer(), noise(640), ZERO_NS + 40 * MS
    the_long_way(one, [chunk(sound[:320], 20, first_sample=0, sequence=1)], now_ns)
    keys = {"pcm": sound[320:].tobytes(), "first_sample": 320, "sequence": 2, **odd}
    number = keys.pop("sequence")
    event = frame_event(Frame(**keys), now_ns, sequence=number)
    assert one.straight([event], now_ns, MOST) == NOTHING and one.head == 320
    follower = chunk(sound[320:], 40, first_sample=320, sequence=2)
    assert one.straight([follower], now_ns, MOST) == (1, [follower.media])


def test_what_waits_goes_first() -> None:
    """A chunk that was pushed and not taken."""
    one, sound, now_ns = mixer(), noise(640), ZERO_NS + 40 * MS
    one.push(chunk(sound[:320], 20, first_sample=0))
    follower = chunk(sound[320:], 40, first_sample=320)
    assert one.straight([follower], now_ns, MOST) == NOTHING
    assert the_long_way(one, [follower], now_ns) == sound.tobytes()


def test_a_stream_that_begins_anew_goes_on_with_nothing() -> None:
    """Also where no clock of its own tells."""
    one, sound, now_ns = mixer(), noise(640), ZERO_NS + 40 * MS
    the_long_way(one, [chunk(sound[:320], 20)], now_ns)
    one.renew("/v/e")
    assert one.straight([chunk(sound[320:], 40)], now_ns, MOST) == NOTHING


def test_a_gap_and_silence_that_is_due_are_told() -> None:
    """A gap that the vendor counts; what comes behind a sound that was read late."""
    one, sound = mixer(), noise(640)
    the_long_way(one, [chunk(sound[:320], 20)], ZERO_NS + 20 * MS)
    assert one.straight([chunk(sound[320:], 70, gap_ms=50.0)], ZERO_NS + 70 * MS, MOST) == NOTHING
    assert one.straight([chunk(sound[320:], 70)], ZERO_NS + 291 * MS, MOST) == NOTHING
    assert one.straight([chunk(sound[320:], 70)], ZERO_NS + 290 * MS, MOST) != NOTHING


def test_a_position_beyond_any_stream_is_refused_as_ever() -> None:
    """A stream may count up to there, and no further."""
    one, sound, now_ns = mixer(), noise(640), ZERO_NS + 40 * MS
    the_long_way(one, [chunk(sound[:320], 20, first_sample=MAX_POSITION - 319)], now_ns)
    beyond = chunk(sound[320:], 40, first_sample=MAX_POSITION + 1)
    assert one.head == 320 and one.straight([beyond], now_ns, MOST) == NOTHING


@pytest.mark.parametrize("wish", [{"speaker": "Ada"}, {"track": "a"}])
def test_a_speaker_is_looked_for_and_a_track_is_not(wish: dict[str, Any]) -> None:
    """Who speaks may change with every chunk; which track it is was known when it came in."""
    one, sound = mixer(**wish), noise(640)
    keys = {"track": "a", "speaker": "Ada"}
    the_long_way(one, [chunk(sound[:320], 20, first_sample=0, **keys)], ZERO_NS + 20 * MS)
    found = one.straight([chunk(sound[320:], 40, first_sample=320, **keys)], ZERO_NS + 40 * MS, MOST)
    assert (found != NOTHING) == ("track" in wish)


def test_raw_sound_is_encoded_as_its_samples_are() -> None:
    """Mu-law too; from any kind of bytes."""
    sound = noise(320, 2)
    for codec in ("pcm_s16le", "pcm_mulaw"):
        for raw in (sound.tobytes(), memoryview(sound.tobytes())):
            assert encode(codec, raw) == encode(codec, np.ascontiguousarray(sound))
