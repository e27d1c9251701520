"""Resampling piece by piece is resampling: no click at a border, no tone that was not there."""

import subprocess
import sys

import numpy as np
import pytest
import soxr

from receiver.audio.pcm import Samples
from receiver.audio.resample import LiveResampler
from receiver.commands.serve import SOXR_BLOCKS
from tests.live_audio.chunks import noise, tone

RATES = [(48_000, 16_000), (48_000, 8000), (16_000, 48_000), (44_100, 16_000), (8000, 48_000), (16_000, 11_025)]

#: what the command does around a server, and in place of that a resampler
_SERVER = """
import asyncio
from types import SimpleNamespace
from receiver.commands import serve
class Running:
    receiver = SimpleNamespace(settings=None)
    async def run(self, *_):
        from tests.live_audio.test_resample import longest_behind_ms
        print(longest_behind_ms((48_000, 16_000)))
asyncio.run(serve._serve(Running, None))
"""


def resampled(samples: Samples, rate_in_hz: int, rate_out_hz: int, piece: int) -> Samples:
    one = LiveResampler(rate_in_hz, rate_out_hz, samples.shape[1])
    parts = [one.push(samples[at : at + piece]) for at in range(0, len(samples), piece)]
    return np.concatenate([*parts, one.end()])


def sweep(rate_hz: int, most_hz: float, seconds: float = 2.0) -> Samples:
    """A sine that rises from 100 Hz."""
    at_s = np.arange(round(rate_hz * seconds)) / rate_hz
    phase = 2 * np.pi * (100 * at_s + (most_hz - 100) * at_s**2 / (2 * seconds))
    samples: Samples = np.rint(10_000 * np.sin(phase)).astype(np.int16).reshape(-1, 1)
    return samples


@pytest.mark.parametrize("rates", RATES)
@pytest.mark.parametrize("piece_ms", [7, 20, 400])
def test_a_sweep_in_pieces_is_the_sweep_at_once(rates: tuple[int, int], piece_ms: int) -> None:
    """To the last bit, so there is nothing at a border; and of the length that the clock says."""
    rate_in_hz, rate_out_hz = rates
    whole = sweep(rate_in_hz, min(rates) / 2)
    got = resampled(whole, rate_in_hz, rate_out_hz, rate_in_hz * piece_ms // 1000)
    assert len(got) == len(whole) * rate_out_hz // rate_in_hz
    assert np.array_equal(got, resampled(whole, rate_in_hz, rate_out_hz, len(whole)))


@pytest.mark.parametrize("rates", RATES)
def test_a_sweep_sounds_as_it_does_from_a_resampler_that_sees_all_of_it(rates: tuple[int, int]) -> None:
    """Each tone, up to 0.85 of what the lower rate can carry, within a hundredth of its level."""
    rate_in_hz, rate_out_hz = rates
    whole = sweep(rate_in_hz, 0.85 * min(rates) / 2)
    at_once = soxr.resample(whole.astype(np.float32), rate_in_hz, rate_out_hz)[:, 0]
    got = resampled(whole, rate_in_hz, rate_out_hz, rate_in_hz // 50)[:, 0]
    window = np.hanning(rate_out_hz // 25)
    for start in range(rate_out_hz // 10, len(got) - rate_out_hz // 10, len(window) // 2):
        wanted = np.sqrt(np.mean((at_once[start : start + len(window)] * window) ** 2))
        level = np.sqrt(np.mean((got[start : start + len(window)] * window) ** 2))
        assert abs(level / wanted - 1) < 0.01, start


@pytest.mark.parametrize("rates", RATES)
def test_a_pure_tone_stays_pure(rates: tuple[int, int]) -> None:
    """All else is 80 dB below it: the noise of 16 bits is there, a click every 20 ms would be far above."""
    rate_in_hz, rate_out_hz = rates
    got = resampled(tone(1000, rate_in_hz, 2), rate_in_hz, rate_out_hz, rate_in_hz // 50)[rate_out_hz // 2 :]
    spectrum = np.abs(np.fft.rfft(got[:rate_out_hz, 0] * np.blackman(rate_out_hz)))
    assert spectrum.argmax() == 1000
    peak = spectrum[1000]
    spectrum[994:1007] = 0
    assert 20 * np.log10(spectrum.max() / peak) < -80


@pytest.mark.parametrize("rates", [(48_000, 16_000), (48_000, 8000), (44_100, 16_000)])
def test_what_the_lower_rate_cannot_carry_is_gone(rates: tuple[int, int]) -> None:
    """It would come back as a tone that nobody has said."""
    rate_in_hz, rate_out_hz = rates
    got = resampled(tone(rate_out_hz * 0.65, rate_in_hz, 1), rate_in_hz, rate_out_hz, 960)
    assert np.abs(got[rate_out_hz // 10 : -rate_out_hz // 10]).max() <= 1


def test_full_scale_does_not_turn_over() -> None:
    """A filter overshoots where the signal is at its limit; what does not fit is held there."""
    loud = np.where(noise(48_000) > 0, 32_767, -32_768).astype(np.int16)
    stream = soxr.ResampleStream(48_000, 44_100, 1, dtype="float32", quality="HQ")
    exact = stream.resample_chunk(loud.astype(np.float32), last=True)
    assert np.abs(exact).max() > 40_000
    got = resampled(loud, 48_000, 44_100, 960)
    assert np.array_equal(got, np.clip(np.rint(exact), -32_768, 32_767)[: len(got)])


def longest_behind_ms(rates: tuple[int, int]) -> float:
    """Of what was said in pieces of 20 ms, so much was not to be heard yet after any of them."""
    one, given, found = LiveResampler(*rates, 1), 0, []
    for number in range(1, 200):
        given += len(one.push(noise(rates[0] // 50)))
        found.append(number * 20 - given * 1000 / rates[1])
    assert min(found) > 0
    return max(found[5:])


@pytest.mark.parametrize(
    ("rates", "most_ms"),
    [
        ((48_000, 16_000), 16), ((44_100, 16_000), 17), ((16_000, 48_000), 16), ((48_000, 8000), 28),
        ((32_000, 16_000), 8),
    ],
)  # fmt: skip
def test_the_delay_is_short(rates: tuple[int, int], most_ms: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """After each piece, all is there but what the filter has not seen both sides of, and the block that is not full."""
    monkeypatch.setenv(*SOXR_BLOCKS)
    assert longest_behind_ms(rates) <= most_ms


def test_a_server_has_it_as_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """It tells libsoxr; by itself that has blocks of a file's size."""
    monkeypatch.delenv(SOXR_BLOCKS[0], raising=False)
    assert longest_behind_ms((48_000, 16_000)) > 30
    told = subprocess.run([sys.executable, "-c", _SERVER], capture_output=True, text=True, check=True)
    assert float(told.stdout.split()[0]) <= 16


def test_the_same_rate_is_the_same_samples() -> None:
    """No filter touches them."""
    samples = noise(1000, 2)
    assert np.array_equal(resampled(samples, 16_000, 16_000, 77), samples)


def test_two_channels_stay_apart() -> None:
    """Each is what it would be alone."""
    both = np.concatenate((tone(440, 48_000, 1), tone(880, 48_000, 1)), axis=1)
    got = resampled(both, 48_000, 16_000, 960)
    for channel in (0, 1):
        assert np.array_equal(
            got[:, channel : channel + 1], resampled(both[:, channel : channel + 1], 48_000, 16_000, 960)
        )
