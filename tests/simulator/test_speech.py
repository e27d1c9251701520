"""The shipped speech: small, whole, and saying what the script says."""

import subprocess
from importlib import resources
from itertools import pairwise
from shutil import which

import numpy as np
import pytest

from receiver.simulator import speech

ASSETS = resources.files("receiver.simulator") / "assets"


def loudness(start_s: float, end_s: float) -> float:
    """Root mean square of a piece of the sound."""
    samples = np.frombuffer(speech.load().pcm, "<i2").astype(float)
    piece = samples[round(start_s * speech.RATE_HZ) : round(end_s * speech.RATE_HZ)]
    return float(np.sqrt(np.mean(piece**2)))


def test_all_assets_together_are_small() -> None:
    """What is shipped stays under 1 MB."""
    assert sum(len(asset.read_bytes()) for asset in ASSETS.iterdir()) < 1_000_000


def test_sound_lasts_as_long_as_the_script_says() -> None:
    """48 kHz, 16 bit, mono, and whole frames of 20 ms."""
    content = speech.load()
    assert len(content.pcm) == round(content.duration_s * 48_000) * 2
    assert len(content.pcm) % 1920 == 0
    assert 25 <= content.duration_s <= 35


def test_voices_are_heard_in_their_utterances_and_nothing_between() -> None:
    """Each utterance is audible for its whole length; the pauses are silent."""
    utterances = speech.load().utterances
    assert all(loudness(utterance.start_s, utterance.end_s) > 500 for utterance in utterances)
    assert all(loudness(first.end_s + 0.1, second.start_s - 0.02) < 20 for first, second in pairwise(utterances))


def test_words_make_up_the_text_and_follow_each_other() -> None:
    """Word timings lie inside the utterance, in order."""
    for utterance in speech.load().utterances:
        assert " ".join(word.text for word in utterance.words) == utterance.text
        times = [moment for word in utterance.words for moment in (word.start_s, word.end_s)]
        assert times == sorted(times)
        assert (times[0], times[-1]) == (utterance.start_s, utterance.end_s)


def test_three_voices_and_letters_beyond_ascii() -> None:
    """Three people speak; a name and the text go beyond ASCII."""
    content = speech.load()
    assert {utterance.role for utterance in content.utterances} == set(content.names) == {"a", "b", "c"}
    assert any("Zoë" in utterance.text for utterance in content.utterances)
    assert all(not name.isascii() for name in content.names["b"])


@pytest.mark.parametrize(("code", "sample"), [(0xFF, 0), (0x7F, 0), (0xF0, 120), (0x80, 32124), (0x00, -32124)])
def test_mu_law_table(code: int, sample: int) -> None:
    """ITU-T G.711: the codes at the ends of the scale and around zero."""
    assert speech._expand_mu_law(np.array([code], np.uint8)).tolist() == [sample]


@pytest.mark.skipif(which("ffmpeg") is None, reason="ffmpeg decodes the asset for comparison")
def test_another_decoder_hears_the_same() -> None:
    """ffmpeg's decoding and resampling of the WAV agrees with ours."""
    command = ["ffmpeg", "-loglevel", "error", "-i", str(ASSETS / "meeting.wav"), "-f", "s16le", "-ar", "48000", "-"]
    theirs = np.frombuffer(subprocess.run(command, check=True, capture_output=True).stdout, "<i2").astype(float)
    ours = np.frombuffer(speech.load().pcm, "<i2").astype(float)
    length = min(len(ours), len(theirs))
    assert abs(len(ours) - len(theirs)) < 480
    assert np.corrcoef(ours[:length], theirs[:length])[0, 1] > 0.999


def test_movie_is_cut_before_each_fragment() -> None:
    """The pieces are the file: first the opening boxes, then a moof with its media each."""
    pieces = speech.load().video_pieces
    assert b"".join(pieces) == (ASSETS / "camera.mp4").read_bytes()
    assert pieces[0][4:8] == b"ftyp"
    assert b"moov" in pieces[0]
    assert len(pieces) > 3
    assert all(piece[4:8] == b"moof" for piece in pieces[1:])
