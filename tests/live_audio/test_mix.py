"""Who is heard: tracks, speakers, and several at once."""

import numpy as np

from receiver.audio.mix import Mixer
from receiver.events import Person
from tests.live_audio.chunks import MS, ZERO_NS, chunk, noise
from tests.live_audio.test_timeline import heard, mixer, taken


def test_several_tracks_are_added_up_and_held_to_the_range() -> None:
    """Two loud voices at once are loud, and never turn over into noise."""
    loud = np.full((320, 1), 30_000, np.int16)
    quiet = np.full((320, 1), -5_000, np.int16)
    events = [chunk(loud, 20, track="a"), chunk(loud, 20, track="b"), chunk(quiet, 40, track="a"),
              chunk(quiet, 40, track="b")]  # fmt: skip
    got = heard(events)
    assert (got[:320] == 32_767).all() and (got[320:] == -10_000).all()


def test_tracks_lie_where_they_were_said() -> None:
    """Each has a clock of its own, which begins where its first chunk arrived."""
    a, b = noise(1600, seed=1), noise(320, seed=2)
    got = heard([chunk(a, 100, track="a", first_sample=0), chunk(b, 80, track="b", first_sample=99_000)]).astype(int)
    expected = a.astype(int)
    expected[960:1280] += b
    assert np.array_equal(got, expected)


def test_one_track_or_the_vendors_own_mix() -> None:
    """`track` names one; where the vendor mixes, its mix is heard and nobody twice."""
    a, b, mixed = noise(320, seed=1), noise(320, seed=2), noise(320, seed=3)
    events = [chunk(a, 20, track="a"), chunk(b, 20, track="b"), chunk(mixed, 20, track="mixed")]
    assert np.array_equal(heard(events, track="b"), b)
    assert np.array_equal(heard(events), mixed)
    assert np.array_equal(heard(reversed(events)), mixed)
    assert not len(heard(events, track="nobody"))


def test_one_speaker_is_heard_where_he_speaks() -> None:
    """On a mixed track others are silence in his time; by name or by id."""
    a, b = noise(320, seed=1), noise(320, seed=2)
    events = [
        chunk(a, 20, track="mixed", speaker="Ada", first_sample=0),
        chunk(b, 40, track="mixed", speaker="Bob", first_sample=320),
        chunk(a, 60, track="mixed", speaker="Ada", first_sample=640),
        chunk(b, 80, track="mixed", first_sample=960),
    ]
    silence = np.zeros_like(a)
    assert np.array_equal(heard(events, speaker="Ada"), np.concatenate((a, silence, a, silence)))
    events[0].data.speaker = Person(id="spk_1")  # type: ignore[attr-defined]
    assert np.array_equal(heard(events, speaker="spk_1")[:320], a)


def test_a_track_that_pauses_holds_the_others_up_for_a_fifth_of_a_second() -> None:
    """Then they go on without it, and it comes in again at its place."""
    one = mixer()
    a, b = noise(16_000, seed=1), noise(320, seed=2)
    one.push(chunk(b, 20, track="b", first_sample=0))
    lags = []
    for end_ms in range(20, 1000, 20):
        one.push(chunk(a[end_ms * 16 - 320 : end_ms * 16], end_ms, track="a", first_sample=end_ms * 16 - 320))
        taken(one)
        lags.append(end_ms - one.head / 16)
    assert max(lags) == 220 and lags[-1] == 0
    one.push(chunk(b, 980, track="b", first_sample=15_360))
    one.push(chunk(a[15_680:], 1000, track="a", first_sample=15_680))
    one.end()
    assert len(taken(one)) and one.head == 16_000


def test_a_chunk_can_be_taken_as_soon_as_it_is_there() -> None:
    """It does not wait for the next one, nor for the clock."""
    one, sound = mixer(), noise(960)
    for number in range(3):
        part = sound[number * 320 : number * 320 + 320]
        one.push(chunk(part, 20 + number * 20, track="mixed", first_sample=number * 320))
        assert np.array_equal(taken(one), part)


def test_nobody_is_silence_in_real_time() -> None:
    """Also before the first chunk, and after a skip from there on."""
    one = mixer()
    one.advance(ZERO_NS + 1000 * MS)
    assert not taken(one).any() and one.head == 12_800
    one.skip(16_000)
    one.advance(ZERO_NS + 2000 * MS)
    assert not taken(one).any() and one.head == 28_800


def test_many_tracks_that_came_and_went_are_forgotten() -> None:
    """A meeting of a day has many guests; what is kept does not grow with them."""
    one: Mixer = mixer()
    for number in range(500):
        one.push(chunk(noise(320), 20 + number * 500, track=f"guest-{number}"))
        taken(one)
    assert len(one._tracks) <= 65
