"""The meeting's clock: where a chunk belongs, whatever arrives twice, late, or not at all."""

import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.audio.encode import encode
from receiver.audio.mix import Mixer
from receiver.audio.pcm import Samples
from receiver.audio.timeline import Clock
from receiver.events import Event
from tests.live_audio.chunks import MS, ZERO_NS, chunk, noise

RATE_HZ = 16_000


def mixer(rate_hz: int = RATE_HZ, channels: int = 1, **wish: str) -> Mixer:
    return Mixer(Clock(rate_hz, ZERO_NS), channels, **wish)


def taken(one: Mixer) -> Samples:
    """All that can be taken now, in pieces."""
    parts = [np.empty((0, one.take(0).shape[1]), np.int16)]
    while len(part := one.take(777)):
        parts.append(part)
    return np.concatenate(parts)


def heard(events: Iterable[Event], rate_hz: int = RATE_HZ, channels: int = 1, **wish: str) -> Samples:
    """All that comes of these events."""
    one = mixer(rate_hz, channels, **wish)
    for event in events:
        one.push(event)
    one.end()
    return taken(one)


@st.composite
def broken_up(draw: st.DrawFn) -> tuple[list[tuple[int, int]], set[int]]:
    """Pieces of a stream as (first sample, end), in order of arrival with repetitions, and which pieces are lost."""
    cuts = sorted(draw(st.sets(st.integers(1, 7999), max_size=30)) | {0, 8000})
    pieces = list(itertools.pairwise(cuts))
    lost = {index for index in draw(st.sets(st.integers(0, 30), max_size=6)) if index < len(pieces)}
    arrivals: list[tuple[int, int]] = []
    for index, piece in enumerate(pieces):
        if index in lost:
            continue
        arrivals.append(piece)
        for back, more in draw(st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 2000)), max_size=2)):
            begin = max(0, piece[0] - back)  # said again, from somewhere before to somewhere within what was said
            end = min(piece[1], begin + more)
            if end > begin and not any(begin < pieces[gone][1] and end > pieces[gone][0] for gone in lost):
                arrivals.append((begin, end))
    return arrivals, lost


@given(broken_up(), st.integers(0, 100), st.booleans())
@settings(deadline=None)
def test_any_chunking_gives_the_same_samples(
    case: tuple[list[tuple[int, int]], set[int]], jitter_ms: int, taken_at_once: bool
) -> None:
    """Pieces of any length, repeated and overlapping, some lost: each sample is at its own place, once; what is lost
    is silence of its length."""
    arrivals, _ = case
    sound = noise(8000)
    expected = np.zeros_like(sound)
    one, parts = mixer(), []
    for number, (begin, end) in enumerate(arrivals):
        expected[begin:end] = sound[begin:end]
        late_ms = jitter_ms if number % 3 == 1 else 0
        one.push(chunk(sound[begin:end], end / 16 + late_ms, first_sample=begin))
        if taken_at_once:
            parts.append(taken(one))
    one.end()
    got = np.concatenate([*parts, taken(one)])
    assert np.array_equal(got, expected[: max((end for _, end in arrivals), default=0)])


def test_a_pause_that_no_sample_clock_tells_is_silence_as_long_as_arrival_says() -> None:
    """MeetStream counts only what it sends: half a second without a frame is half a second of silence."""
    sound = noise(640)
    got = heard([chunk(sound[:320], 20, first_sample=0), chunk(sound[320:], 540, first_sample=320)])
    assert len(got) == 540 * 16
    assert np.array_equal(got[:320], sound[:320]) and not got[320 : 520 * 16].any()
    assert np.array_equal(got[520 * 16 :], sound[320:])


def test_a_delay_of_the_network_is_no_pause() -> None:
    """Frames a fifth of a second late follow the ones before without a seam."""
    sound = noise(960)
    events = [chunk(sound[:320], 20, first_sample=0), chunk(sound[320:640], 220, first_sample=320)]
    assert np.array_equal(heard([*events, chunk(sound[640:], 220, first_sample=640)]), sound)


def test_what_came_in_time_and_was_read_late_follows_without_a_seam() -> None:
    """The journal was slow and not the bot: silence was not sent yet, and jitter of arrival is no gap."""
    sound, one = noise(640), mixer()
    one.push(chunk(sound[:320], 20, first_sample=0))
    one.advance(ZERO_NS + 245 * MS)
    assert len(taken(one)) == 400, "5 ms of silence were sent"
    one.push(chunk(sound[320:], 52, first_sample=320))
    one.end()
    assert np.array_equal(taken(one), sound[320:])


def test_what_comes_after_its_time_was_told_as_silence_is_heard_complete() -> None:
    """A stall of a second is sent as silence; then the second that was held up is heard, and nothing of it is lost."""
    sound, one = noise(RATE_HZ + 320), mixer()
    one.push(chunk(sound[:320], 20, first_sample=0))
    got = [taken(one)]
    for now_ms in range(40, 1020, 20):
        one.advance(ZERO_NS + now_ms * MS)
        got.append(taken(one))
    assert 780 * 16 <= sum(map(len, got)) <= 800 * 16, "silence comes in real time, a fifth of a second behind"
    one.push(chunk(sound[320:], 1020, first_sample=320))
    one.end()
    got.append(taken(one))
    whole = np.concatenate(got)
    assert np.array_equal(whole[-RATE_HZ:], sound[320:]) and np.array_equal(whole[:320], sound[:320])
    assert not whole[320:-RATE_HZ].any()


def test_without_a_sample_clock_the_gap_that_is_told_counts() -> None:
    """`gap_ms` is silence or loss before the chunk."""
    sound = noise(640)
    got = heard([chunk(sound[:320], 20), chunk(sound[320:], 140, gap_ms=100.0)])
    assert len(got) == 640 + 1600 and np.array_equal(got[-320:], sound[320:]) and not got[320:1920].any()


def test_a_repeated_event_is_heard_once_also_without_a_sample_clock() -> None:
    """Its number in the journal tells."""
    sound = noise(320)
    events = [chunk(sound, 20, sequence=5), chunk(sound, 20, sequence=5), chunk(sound, 40, sequence=6)]
    assert np.array_equal(heard(events), np.concatenate((sound, sound)))


def test_a_new_stream_under_the_same_name_is_heard_at_once() -> None:
    """Its clock begins at 0 again: told by its opening, or by a step back that no repetition explains."""
    sound = noise(320)
    for told in (True, False):
        one = mixer()
        one.push(chunk(sound, 20, first_sample=1_000_000))
        if told:
            one.renew("/v/e")
        one.push(chunk(sound, 40, first_sample=0))
        one.end()
        assert np.array_equal(taken(one), np.concatenate((sound, sound))), told


def test_a_position_that_cannot_be_is_not_believed() -> None:
    """A sample clock a year ahead would be a year of silence."""
    sound = noise(320)
    got = heard([chunk(sound, 20, first_sample=0), chunk(sound, 40, first_sample=10**12)])
    assert np.array_equal(got, np.concatenate((sound, sound)))


def test_a_clock_that_is_set_makes_no_hour_of_silence() -> None:
    """Arrivals behind the present are a jump of this machine's clock."""
    sound, one = noise(320), mixer()
    one.push(chunk(sound, 20, first_sample=0), ZERO_NS + 20 * MS)
    one.push(chunk(sound, 3_600_000, first_sample=320), ZERO_NS + 40 * MS)
    one.end()
    assert np.array_equal(taken(one), np.concatenate((sound, sound)))


@pytest.mark.parametrize("rates", [(8000, 16_000), (48_000, 16_000), (16_000, 44_100), (44_100, 8000)])
def test_a_change_of_rate_keeps_the_clock(rates: tuple[int, int]) -> None:
    """A second at one rate and a second at another, one after the other: two seconds of the same length."""
    first, second = rates
    events = [
        chunk(noise(first), 1000, rate_hz=first, first_sample=0),
        chunk(noise(second), 2000, rate_hz=second, first_sample=5_000_000),
    ]
    assert len(heard(events)) == 2 * RATE_HZ


def test_channels_become_those_that_were_asked_for() -> None:
    """Two become one by their mean, one is heard on both sides, two stay two, six are one voice for both ears."""
    two, six = noise(320, 2), noise(320, 6)
    mean = np.rint(two.mean(axis=1, keepdims=True, dtype=np.float32)).astype(np.int16)
    assert np.array_equal(heard([chunk(two, 20)]), mean)
    assert np.array_equal(heard([chunk(two, 20)], channels=2), two)
    assert np.array_equal(heard([chunk(mean, 20)], channels=2), np.repeat(mean, 2, axis=1))
    both = heard([chunk(six, 20)], channels=2)
    assert np.array_equal(both[:, 0], both[:, 1]) and np.allclose(both[:, 0], six.mean(axis=1), atol=0.6)


def test_mulaw_is_heard_as_what_it_stands_for() -> None:
    """A codec of telephone lines: within its own coarseness, the same samples."""
    sound = noise(320)
    coded = encode("pcm_mulaw", sound)
    event = chunk(sound, 20, codec="pcm_mulaw")
    event.media = coded
    got = heard([event]).astype(int)
    assert len(got) == 320 and np.abs(got - sound).max() <= 512


@pytest.mark.parametrize("keys", [{"codec": "opus"}, {"rate_hz": 0}, {"rate_hz": 50}, {"first_sample": -1}])
def test_what_is_no_pcm_is_refused_with_a_reason(keys: dict[str, Any]) -> None:
    """And what comes after it is heard."""
    one = mixer()
    with pytest.raises(ValueError, match=r"codec|Hz|first_sample"):
        one.push(chunk(noise(320), 20, **keys))
    one.push(chunk(noise(320), 40))
    assert len(taken(one)) == 640


def test_a_chunk_of_hours_is_refused() -> None:
    """No stream sends one, and it would be as long in memory."""
    with pytest.raises(ValueError, match="more than 60 s"):
        mixer().push(chunk(noise(4001 * 60), 20, rate_hz=4000))


frames: st.SearchStrategy[dict[str, Any]] = st.builds(
    dict,
    rate_hz=st.sampled_from([4000, 8000, 11_025, 48_000, 384_000]) | st.integers(-1, 400_000),
    channels=st.integers(1, 6),
    first_sample=st.none() | st.integers(0, 2000) | st.integers(-1, 2**60),
    gap_ms=st.none() | st.floats(-1, 2000),
    track=st.sampled_from([None, "a", "b", "mixed"]),
    speaker=st.sampled_from([None, "Ada", "Bob"]),
    codec=st.sampled_from(["pcm_s16le", "pcm_mulaw", "x"]),
)


@given(st.lists(st.tuples(frames, st.integers(-5000, 5000), st.binary(max_size=200), st.integers(0, 9)), max_size=20))
@settings(deadline=None)
def test_whatever_comes_what_is_sent_never_goes_back_and_never_runs_away(case: list[Any]) -> None:
    """Any numbers in any order: the head moves forward by what is taken, and stays near what arrived."""
    one, latest_ms, head = mixer(speaker=""), 0, 0
    for keys, at_ms, pcm, sequence in case:
        event = chunk(np.zeros((1, keys["channels"]), np.int16), at_ms, sequence=sequence, **{
            key: value for key, value in keys.items() if key != "channels"
        })  # fmt: skip
        event.media = pcm
        latest_ms = max(latest_ms, at_ms)
        try:
            one.push(event)
        except ValueError:
            continue
        got = taken(one)
        assert one.head == head + len(got)
        head = one.head
    one.end()
    taken(one)
    # ten seconds ahead of its arrival is what a sample clock is believed, each chunk may be 50 ms, each gap 2 s
    assert one.head <= (latest_ms + 10_000 + 20 * 2050) * 16


def test_an_empty_or_broken_chunk_is_nothing() -> None:
    """An odd last byte is dropped."""
    event = chunk(noise(320), 20)
    event.media = b"\x01"
    assert not len(heard([event]))
